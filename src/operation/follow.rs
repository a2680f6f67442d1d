//! Following an operation to its end: when to poll next, and what an answer means.

use std::time::Duration;

/// The wait between two polls of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intervals {
    /// The first interval.
    pub first: Duration,
    /// The longest interval.
    pub longest: Duration,
}

impl Intervals {
    /// The interval after `polls` polls: each is 1.5 times the previous one, up to the longest.
    #[must_use]
    pub fn after(self, polls: u32) -> Duration {
        let mut interval = self.first.min(self.longest);
        for _ in 0..polls {
            if interval >= self.longest {
                break;
            }
            interval = (interval + interval / 2).min(self.longest);
        }
        interval
    }
}

/// The progress of following one operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Follow {
    /// How often the operation was polled.
    pub polls: u32,
    /// How many polls in a row have failed so far.
    pub failures: u32,
}

/// The result of a poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FollowEvent {
    /// The operation answered.
    Polled {
        /// Whether the operation still runs, by the body; the HTTP status code does not say.
        runs: bool,
        /// The `Retry-After` header, if sent.
        retry_after: Option<Duration>,
    },
    /// 404: the operation's URL has expired.
    Expired,
    /// No answer. This says nothing about the operation's state.
    Failed {
        /// The `Retry-After` header, if sent.
        retry_after: Option<Duration>,
    },
    /// No answer, and later polls would fail too: the token is refused and there is no other.
    Hopeless,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowCommand {
    /// Poll again after this long.
    PollAfter(Duration),
    /// The operation ended or its URL expired: decide about the offer again.
    AskOffer,
    /// Too many polls in a row failed: leave the operation to the next run.
    GiveUp,
}

/// How many polls in a row may fail before an operation is left to the next run. With the default
/// intervals that is an outage of well over an hour.
const MAX_FAILED_POLLS: u32 = 20;

impl Follow {
    /// Updates the counts and returns the next command.
    #[must_use]
    pub fn step(self, event: &FollowEvent, intervals: Intervals) -> (Self, FollowCommand) {
        let failures = match event {
            FollowEvent::Failed { .. } | FollowEvent::Hopeless => self.failures.saturating_add(1),
            FollowEvent::Polled { .. } | FollowEvent::Expired => 0,
        };
        let next = Self { polls: self.polls.saturating_add(1), failures };
        let interval = intervals.after(self.polls);
        let command = match event {
            FollowEvent::Expired | FollowEvent::Polled { runs: false, .. } => {
                FollowCommand::AskOffer
            }
            FollowEvent::Hopeless => FollowCommand::GiveUp,
            FollowEvent::Failed { .. } if failures >= MAX_FAILED_POLLS => FollowCommand::GiveUp,
            // `Retry-After` may lengthen the interval, never shorten it.
            FollowEvent::Polled { retry_after, .. } | FollowEvent::Failed { retry_after } => {
                FollowCommand::PollAfter(retry_after.unwrap_or_default().max(interval))
            }
        };
        (next, command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVALS: Intervals =
        Intervals { first: Duration::from_secs(30), longest: Duration::from_mins(5) };

    #[test]
    fn intervals_grow_and_stay_within_their_bounds() {
        let seconds: Vec<_> = (0..9).map(|polls| INTERVALS.after(polls).as_secs()).collect();
        assert_eq!(seconds, [30, 45, 67, 101, 151, 227, 300, 300, 300]);
        assert_eq!(INTERVALS.after(u32::MAX).as_secs(), 300);
        let swapped = Intervals { first: INTERVALS.longest, longest: INTERVALS.first };
        assert_eq!(swapped.after(3).as_secs(), 30);
    }

    #[test]
    fn only_a_finished_status_or_an_expired_url_ends_the_following() {
        let polled = |runs| FollowEvent::Polled { runs, retry_after: None };
        let next = |event| Follow::default().step(&event, INTERVALS).1;
        assert_eq!(next(polled(false)), FollowCommand::AskOffer);
        assert_eq!(next(FollowEvent::Expired), FollowCommand::AskOffer);
        let wait = FollowCommand::PollAfter(INTERVALS.first);
        assert_eq!(next(polled(true)), wait);
        assert_eq!(next(FollowEvent::Failed { retry_after: None }), wait);
        assert_eq!(next(FollowEvent::Hopeless), FollowCommand::GiveUp);
    }

    #[test]
    fn a_long_outage_ends_the_following() {
        let failed = FollowEvent::Failed { retry_after: None };
        let running = FollowEvent::Polled { runs: true, retry_after: None };
        let mut follow = Follow::default();
        for event in std::iter::repeat_n(&failed, 19).chain([&running]) {
            let (next, command) = follow.step(event, INTERVALS);
            assert!(matches!(command, FollowCommand::PollAfter(_)));
            follow = next;
        }
        let last = (0..20).fold((follow, None), |(follow, _), _| {
            let (next, command) = follow.step(&failed, INTERVALS);
            (next, Some(command))
        });
        assert_eq!(last.1, Some(FollowCommand::GiveUp));
    }

    #[test]
    fn retry_after_lengthens_an_interval_and_never_shortens_it() {
        let next = |seconds| {
            let retry_after = Some(Duration::from_secs(seconds));
            Follow::default().step(&FollowEvent::Failed { retry_after }, INTERVALS).1
        };
        assert_eq!(next(1), FollowCommand::PollAfter(Duration::from_secs(30)));
        assert_eq!(next(900), FollowCommand::PollAfter(Duration::from_mins(15)));
    }
}
