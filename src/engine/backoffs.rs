//! How often in a row an offer could not be decided or launched, and how long to leave it alone then.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::next::NextWork;
use super::queue::{Now, When, Work};
use crate::backoff::Backoff;
use crate::marketplace::OfferId;

/// The shortest pause after an error.
const LEAST: Duration = Duration::from_secs(1);

/// The longest unit of the pause after an evaluation that leads to another one at once. The pause grows by
/// one unit with each such evaluation.
const UNIT: Duration = Duration::from_secs(2);

/// The longest such pause.
const LONGEST_IMMEDIATE: Duration = Duration::from_mins(1);

/// The failures of one offer in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Failures {
    /// Errors in a row.
    errors: u32,
    /// Evaluations in a row that led to another one at once.
    immediate: u32,
}

/// The failures in a row, by offer, and the resulting pauses.
#[derive(Debug)]
pub(super) struct Backoffs {
    failures: BTreeMap<OfferId, Failures>,
    /// When the pause after a given number of errors ends. Offers share these times, so that offers
    /// that failed with one list request are retried with one list request.
    pauses: BTreeMap<u32, Instant>,
    backoff: Backoff,
    /// The unit of the pauses after evaluations that lead to another one.
    unit: Duration,
    random: fastrand::Rng,
}

impl Backoffs {
    /// Pauses after errors grow up to `longest`. Pauses after evaluations that lead to another one grow
    /// in units of `interval`, but at most two seconds.
    pub(super) fn new(interval: Duration, longest: Duration, random: fastrand::Rng) -> Self {
        let base = Duration::from_secs(4);
        let backoff = Backoff { base, cap: longest };
        Self {
            failures: BTreeMap::new(),
            pauses: BTreeMap::new(),
            backoff,
            unit: UNIT.min(interval),
            random,
        }
    }

    /// The next work on an offer, and when it is due; `None` if the offer is left until something
    /// changes. No pause extends beyond the offer's launch date.
    pub(super) fn follow(
        &mut self,
        offer: &OfferId,
        next: NextWork,
        launch: Option<Timestamp>,
        now: Now,
    ) -> Option<(Work, When)> {
        let before = self.failures.get(offer).copied().unwrap_or_default();
        let (failures, next) = match next {
            NextWork::Rest => (Failures::default(), None),
            // A poll that is due at once may lead to an evaluation again and again, so pause between them.
            NextWork::Poll(at) if at < now.instant + LEAST => {
                let pause = (self.unit * before.immediate.saturating_sub(1)).min(LONGEST_IMMEDIATE);
                (before, Some((Work::Poll, When::At(at.max(now.instant + pause)))))
            }
            NextWork::Poll(at) => (Failures::default(), Some((Work::Poll, When::At(at)))),
            NextWork::EvaluateOn(date) if date > now.date => {
                (Failures::default(), Some((Work::Evaluate, When::On(date))))
            }
            // A date that has passed in the meantime is due.
            NextWork::EvaluateNow | NextWork::EvaluateSoon | NextWork::EvaluateOn(_) => {
                let pause = (self.unit * before.immediate).min(LONGEST_IMMEDIATE);
                let immediate = before.immediate.saturating_add(1);
                (
                    Failures { immediate, ..before },
                    Some((Work::Evaluate, When::At(now.instant + pause))),
                )
            }
            NextWork::Retry => {
                let errors = before.errors.saturating_add(1);
                let again = self.after(errors, now.instant);
                let pause = again.saturating_duration_since(now.instant);
                let is_earlier = |date: &Timestamp| {
                    let left = Duration::try_from(date.duration_since(now.date));
                    left.is_ok_and(|left| !left.is_zero() && left < pause)
                };
                let when = launch.filter(is_earlier).map_or(When::At(again), When::On);
                (Failures { errors, ..before }, Some((Work::Evaluate, when)))
            }
        };
        if failures == Failures::default() {
            self.failures.remove(offer);
        } else {
            self.failures.insert(offer.clone(), failures);
        }
        next
    }

    pub(super) fn forget(&mut self, offer: &OfferId) {
        self.failures.remove(offer);
    }

    fn after(&mut self, errors: u32, now: Instant) -> Instant {
        let shared = self.pauses.get(&errors).filter(|end| **end >= now + LEAST);
        if let Some(end) = shared {
            return *end;
        }
        let end = now + LEAST + self.backoff.pause(errors, &mut self.random);
        self.pauses.retain(|_, end| *end > now);
        self.pauses.insert(errors, end);
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(name: &str) -> OfferId {
        format!("contoso/{name}").parse().unwrap()
    }

    struct Bench {
        tries: Backoffs,
        start: Instant,
    }

    impl Bench {
        fn new() -> Self {
            let random = fastrand::Rng::with_seed(7);
            let tries = Backoffs::new(Duration::from_mins(1), Duration::from_mins(5), random);
            Self { tries, start: Instant::now() }
        }

        /// How many milliseconds after the call an offer is evaluated, if the call is made at
        /// `millis`.
        fn pause(&mut self, name: &str, next: NextWork, millis: u64) -> Option<u128> {
            let instant = self.start + Duration::from_millis(millis);
            let date = "2026-12-01T09:00:00Z".parse().unwrap();
            let next = self.tries.follow(&offer(name), next, None, Now { instant, date });
            match next {
                Some((Work::Evaluate, When::At(at))) => Some((at - instant).as_millis()),
                None => None,
                Some(other) => panic!("{other:?}"),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_after_errors_grow_within_bounds_and_are_over_with_success() {
        let mut bench = Bench::new();
        for errors in 1..20 {
            let bound = 1_000 + (4_000 << (errors - 1).min(10)).min(300_000);
            let pause = bench.pause("vm", NextWork::Retry, errors * 1_000_000).unwrap();
            assert!((1_000..=bound).contains(&pause), "{errors}: {pause}");
        }
        assert_eq!(bench.pause("vm", NextWork::Rest, 30_000_000), None);
        assert!(bench.pause("vm", NextWork::Retry, 31_000_000).unwrap() <= 5_000);
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_together_is_tried_again_together() {
        let mut bench = Bench::new();
        let first = bench.pause("a", NextWork::Retry, 0).unwrap();
        assert_eq!(bench.pause("b", NextWork::Retry, 0), Some(first));
        assert_eq!(bench.pause("c", NextWork::Retry, 10), Some(first - 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_marketplace_that_contradicts_itself_is_not_asked_without_a_pause() {
        let mut bench = Bench::new();
        let pauses: Vec<_> =
            (0..4).map(|_| bench.pause("vm", NextWork::EvaluateNow, 0).unwrap()).collect();
        assert_eq!(pauses, [0, 2_000, 4_000, 6_000]);
        bench.pause("vm", NextWork::Rest, 0);
        assert_eq!(bench.pause("vm", NextWork::EvaluateNow, 0), Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_date_that_has_passed_is_due_and_no_reason_to_look_without_end() {
        let mut bench = Bench::new();
        let past = NextWork::EvaluateOn("2026-12-01T09:00:00Z".parse().unwrap());
        let pauses: Vec<_> = (0..3).map(|_| bench.pause("vm", past, 0).unwrap()).collect();
        assert_eq!(pauses, [0, 2_000, 4_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn no_pause_outlasts_a_launch_date() {
        let mut tries = Backoffs::new(
            Duration::from_mins(1),
            Duration::from_mins(5),
            fastrand::Rng::with_seed(7),
        );
        let date: Timestamp = "2026-12-01T09:00:00Z".parse().unwrap();
        let now = Now { instant: Instant::now(), date };
        let mut next = |seconds: i64| {
            let launch = date + jiff::SignedDuration::from_secs(seconds);
            let next = tries.follow(&offer("vm"), NextWork::Retry, Some(launch), now);
            (launch, next.unwrap().1)
        };
        let (launch, when) = next(1);
        assert_eq!(when, When::On(launch));
        for seconds in [-10, 3600] {
            assert!(matches!(next(seconds).1, When::At(_)), "{seconds}");
        }
    }
}
