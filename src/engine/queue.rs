//! Which work is queued for which offer, and when it is due. Pure: time is an argument.
//!
//! An offer has at most one queued piece of work, and while it is running, no other starts for that
//! offer. Evaluations requested in the meantime run once afterwards, however many requests there were.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::marketplace::OfferId;

/// How often the wall clock is read while work waits for a date: a timer does not advance while the
/// machine sleeps, and does not notice that the clock was set.
const TICK: Duration = Duration::from_secs(1);

/// A piece of work on an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Poll its operation.
    Poll,
    /// Look at the offer and decide about it.
    Evaluate,
}

/// When a piece of work is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// At a time of the monotonic clock.
    At(Instant),
    /// On a date (UTC) of the wall clock, even if the clock is set or the machine sleeps.
    On(Timestamp),
}

/// The current time of both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// The monotonic time.
    pub(super) instant: Instant,
    /// The wall-clock time (UTC).
    pub(super) date: Timestamp,
}

/// The queued and running work, by offer.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: BTreeMap<OfferId, (Work, When)>,
    by_instant: BTreeSet<(Instant, OfferId)>,
    by_date: BTreeSet<(Timestamp, OfferId)>,
    /// The offers with running work, and whether an evaluation was requested in the meantime.
    busy: BTreeMap<OfferId, bool>,
}

impl Queue {
    /// Queues an evaluation for now or, if work on the offer is running, for after that.
    pub(super) fn ask(&mut self, offer: &OfferId, now: Instant) {
        match self.busy.get_mut(offer) {
            Some(again) => *again = true,
            None => self.put(offer, Work::Evaluate, When::At(now)),
        }
    }

    /// Takes the work that is due. It counts as running until [`done`](Self::done) is called.
    pub(super) fn take(&mut self, now: Now) -> Vec<(OfferId, Work)> {
        let mut due = Vec::new();
        while let Some((at, _)) = self.by_instant.first()
            && *at <= now.instant
        {
            due.extend(self.by_instant.pop_first().map(|(_, offer)| offer));
        }
        while let Some((on, _)) = self.by_date.first()
            && *on <= now.date
        {
            due.extend(self.by_date.pop_first().map(|(_, offer)| offer));
        }
        let begin = |offer: OfferId| {
            let (work, _) = self.waiting.remove(&offer)?;
            self.busy.insert(offer.clone(), false);
            Some((offer, work))
        };
        due.into_iter().filter_map(begin).collect()
    }

    /// Ends the running work on an offer and queues its next piece. An evaluation that was requested in
    /// the meantime replaces that piece.
    pub(super) fn done(&mut self, offer: &OfferId, next: Option<(Work, When)>, now: Instant) {
        let asked = self.busy.remove(offer).unwrap_or(false);
        let next = if asked { Some((Work::Evaluate, When::At(now))) } else { next };
        if let Some((work, when)) = next {
            self.put(offer, work, when);
        }
    }

    /// How long until work is due; `None` if none is queued with a time.
    pub(super) fn idle(&self, now: Now) -> Option<Duration> {
        let instant =
            self.by_instant.first().map(|(at, _)| at.saturating_duration_since(now.instant));
        let date = self.by_date.first().map(|(on, _)| {
            let left = Duration::try_from(on.duration_since(now.date)).unwrap_or_default();
            left.min(TICK)
        });
        [instant, date].into_iter().flatten().min()
    }

    /// The offers with queued work.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &OfferId> {
        self.waiting.keys()
    }

    /// Drops all work that is not due.
    pub(super) fn leave_the_rest(&mut self, now: Now) {
        let later = self.waiting.iter().filter(|(_, (_, when))| match when {
            When::At(at) => *at > now.instant,
            When::On(date) => *date > now.date,
        });
        let later: BTreeSet<OfferId> = later.map(|(offer, _)| offer.clone()).collect();
        self.waiting.retain(|offer, _| !later.contains(offer));
        self.by_instant.retain(|(_, offer)| !later.contains(offer));
        self.by_date.retain(|(_, offer)| !later.contains(offer));
    }

    /// When the queued work on an offer is due.
    pub(super) fn when(&self, offer: &OfferId) -> Option<When> {
        self.waiting.get(offer).map(|(_, when)| *when)
    }

    /// Whether work on an offer is running.
    pub(super) fn is_busy(&self, offer: &OfferId) -> bool {
        self.busy.contains_key(offer)
    }

    fn put(&mut self, offer: &OfferId, work: Work, when: When) {
        match self.waiting.insert(offer.clone(), (work, when)) {
            Some((_, When::At(at))) => drop(self.by_instant.remove(&(at, offer.clone()))),
            Some((_, When::On(on))) => drop(self.by_date.remove(&(on, offer.clone()))),
            None => {}
        }
        match when {
            When::At(at) => drop(self.by_instant.insert((at, offer.clone()))),
            When::On(on) => drop(self.by_date.insert((on, offer.clone()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    struct Bench {
        queue: Queue,
        start: Instant,
        date: Timestamp,
    }

    impl Bench {
        fn new() -> Self {
            let date = "2026-12-01T09:00:00Z".parse().unwrap();
            Self { queue: Queue::default(), start: Instant::now(), date }
        }

        fn at(&self, seconds: u64) -> Instant {
            self.start + Duration::from_secs(seconds)
        }

        fn on(&self, seconds: i64) -> Timestamp {
            self.date + SignedDuration::from_secs(seconds)
        }

        fn now(&self, seconds: u64) -> Now {
            Now { instant: self.at(seconds), date: self.on(seconds.cast_signed()) }
        }

        fn take(&mut self, seconds: u64) -> Vec<(String, Work)> {
            let now = self.now(seconds);
            let taken = self.queue.take(now).into_iter();
            taken.map(|(offer, work)| (offer.to_string(), work)).collect()
        }
    }

    fn offer(name: &str) -> OfferId {
        format!("contoso/{name}").parse().unwrap()
    }

    fn vm(work: Work) -> Vec<(String, Work)> {
        vec![("contoso/vm".to_owned(), work)]
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_asked_for_often_is_done_once() {
        let mut bench = Bench::new();
        for _ in 0..3 {
            let now = bench.at(0);
            bench.queue.ask(&offer("vm"), now);
        }
        assert_eq!(bench.take(0), vm(Work::Evaluate));
        assert_eq!(bench.take(9), []);
    }

    #[tokio::test(start_paused = true)]
    async fn one_thing_at_a_time_and_what_is_asked_meanwhile_afterwards() {
        let mut bench = Bench::new();
        let (vm_id, now) = (offer("vm"), bench.at(0));
        bench.queue.ask(&vm_id, now);
        bench.take(0);
        assert!(bench.queue.is_busy(&vm_id));
        bench.queue.ask(&vm_id, now);
        bench.queue.ask(&vm_id, now);
        assert_eq!(bench.take(1), []);
        // The evaluation replaces the poll that would have come next.
        let poll = Some((Work::Poll, When::At(bench.at(30))));
        bench.queue.done(&vm_id, poll, now);
        assert_eq!(bench.take(1), vm(Work::Evaluate));
        let poll = Some((Work::Poll, When::At(bench.at(30))));
        bench.queue.done(&vm_id, poll, now);
        assert_eq!((bench.take(29), bench.take(30)), (vec![], vm(Work::Poll)));
        bench.queue.done(&vm_id, None, now);
        assert_eq!((bench.take(99), bench.queue.idle(bench.now(99))), (vec![], None));
    }

    #[tokio::test(start_paused = true)]
    async fn an_evaluation_takes_the_place_of_a_later_poll_and_of_a_date() {
        let mut bench = Bench::new();
        for when in [When::At(bench.at(60)), When::On(bench.on(60))] {
            bench.queue.put(&offer("vm"), Work::Poll, when);
            let now = bench.at(0);
            bench.queue.ask(&offer("vm"), now);
            assert_eq!(bench.take(0), vm(Work::Evaluate));
            bench.queue.done(&offer("vm"), None, now);
            assert_eq!(bench.take(99), [], "{when:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_date_comes_when_the_clock_says_so() {
        let mut bench = Bench::new();
        bench.queue.put(&offer("vm"), Work::Evaluate, When::On(bench.on(3600)));
        // The clock is read each second, and then exactly at the date.
        assert_eq!(bench.queue.idle(bench.now(0)), Some(Duration::from_secs(1)));
        let last =
            Now { instant: bench.at(1), date: bench.on(3600) - SignedDuration::from_millis(7) };
        assert_eq!(bench.queue.idle(last), Some(Duration::from_millis(7)));
        assert_eq!(bench.queue.take(last), []);
        // The machine slept: a second has passed for timers, and an hour on the wall clock.
        let woken = Now { instant: bench.at(2), date: bench.on(3601) };
        assert_eq!(bench.queue.take(woken), [(offer("vm"), Work::Evaluate)]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_of_all_ends_the_idleness() {
        let mut bench = Bench::new();
        for (name, seconds) in [("a", 50), ("b", 20), ("c", 70)] {
            let at = bench.at(seconds);
            bench.queue.put(&offer(name), Work::Poll, When::At(at));
        }
        assert_eq!(bench.queue.idle(bench.now(5)), Some(Duration::from_secs(15)));
        assert_eq!(bench.take(50).len(), 2);
        assert_eq!(bench.queue.idle(bench.now(60)), Some(Duration::from_secs(10)));
        assert_eq!(bench.queue.idle(bench.now(90)), Some(Duration::ZERO));
    }
}
