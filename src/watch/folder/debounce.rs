//! Decides when a burst of events is over.

use std::time::Duration;

use tokio::time::Instant;

/// Limit for a burst while events keep coming.
const LONGEST: Duration = Duration::from_secs(10);

/// Limit for holding a burst back, from its first event on.
const LONGEST_HELD: Duration = Duration::from_mins(1);

/// The shortest interval between checks of a hold.
const HOLD_INTERVAL: Duration = Duration::from_millis(20);

/// Collects events until it is quiet. The time comes in as an argument.
#[derive(Debug)]
pub(super) struct Debounce {
    quiet: Duration,
    bunch: Option<Bunch>,
}

#[derive(Debug)]
struct Bunch {
    first: Instant,
    /// When to check whether the burst is over.
    due: Instant,
    /// Limit for the burst's duration; longer once it was held.
    longest: Duration,
}

/// The state of a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// There is none, or it goes on.
    NotYet,
    /// It is over.
    Over,
    /// It is over: the hold reached its limit.
    Outwaited,
}

impl Debounce {
    pub(super) fn new(quiet: Duration) -> Self {
        Self { quiet, bunch: None }
    }

    /// Records an event.
    pub(super) fn event(&mut self, now: Instant) {
        let bunch = self.bunch.get_or_insert(Bunch { first: now, due: now, longest: LONGEST });
        bunch.due = (now + self.quiet).min(bunch.first + bunch.longest);
    }

    /// When to call [`end`](Self::end); `None` without events.
    pub(super) fn due(&self) -> Option<Instant> {
        self.bunch.as_ref().map(|bunch| bunch.due)
    }

    /// Whether the burst is over. `is_held` is called once it is quiet: whether a process is still
    /// changing the files.
    pub(super) fn end(&mut self, now: Instant, is_held: impl FnOnce() -> bool) -> End {
        let Some(bunch) = self.bunch.as_mut().filter(|bunch| bunch.due <= now) else {
            return End::NotYet;
        };
        let latest = bunch.first + LONGEST_HELD;
        let end = if !is_held() {
            End::Over
        } else if now >= latest {
            End::Outwaited
        } else {
            bunch.longest = LONGEST_HELD;
            bunch.due = (now + self.quiet.max(HOLD_INTERVAL)).min(latest);
            return End::NotYet;
        };
        self.bunch = None;
        end
    }

    /// Forgets the burst: its events were handled.
    pub(super) fn clear(&mut self) {
        self.bunch = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Asks at each time it wants to be asked, with an event at each of these moments. Returns when
    /// it was over, and how.
    fn over(events: &[u32], held_until: u32) -> (u32, End) {
        let start = Instant::now();
        let mut debounce = Debounce::new(100 * MS);
        let mut events = events.iter().copied().peekable();
        loop {
            let due = debounce.due().map(|due| u32::try_from((due - start).as_millis()).unwrap());
            if let Some(at) = events.next_if(|at| due.is_none_or(|due| *at < due)) {
                debounce.event(start + at * MS);
                continue;
            }
            let due = due.unwrap();
            let end = debounce.end(start + due * MS, || due < held_until);
            if end != End::NotYet {
                assert_eq!(debounce.due(), None);
                return (due, end);
            }
        }
    }

    #[test]
    fn it_is_over_once_it_is_quiet() {
        assert_eq!(over(&[0], 0), (100, End::Over));
        assert_eq!(over(&[0, 60, 150, 249], 0), (349, End::Over));
        assert_eq!(over(&[0, 100], 0), (100, End::Over));
    }

    #[test]
    fn what_never_stops_is_cut() {
        let storm: Vec<u32> = (0..2000).map(|number| number * 50).collect();
        assert_eq!(over(&storm, 0), (10_000, End::Over));
    }

    #[test]
    fn a_hold_is_waited_for_but_not_for_ever() {
        assert_eq!(over(&[0], 30_050), (30_100, End::Over));
        assert_eq!(over(&[0], u32::MAX), (60_000, End::Outwaited));
        let storm: Vec<u32> = (0..2000).map(|number| number * 50).collect();
        assert_eq!(over(&storm, u32::MAX), (60_000, End::Outwaited));
    }

    #[test]
    fn nothing_ends_where_nothing_happened() {
        let mut debounce = Debounce::new(Duration::ZERO);
        let now = Instant::now();
        assert_eq!(debounce.end(now, || true), End::NotYet);
        debounce.event(now);
        debounce.clear();
        assert_eq!((debounce.due(), debounce.end(now, || false)), (None, End::NotYet));
        debounce.event(now);
        assert_eq!(debounce.end(now, || true), End::NotYet);
        assert_eq!(debounce.due(), Some(now + HOLD_INTERVAL));
    }
}
