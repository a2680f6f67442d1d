//! The time of a decision, and how long a request may take to show.

use std::time::Duration;

use jiff::Timestamp;

use crate::marketplace::Settling;
use crate::status::{Intent, OperationRecord};

/// The time of a decision, with the limits that decide what must show by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecisionTime {
    /// The current time (UTC).
    pub now: Timestamp,
    /// The longest time that a request may take.
    pub longest_request: Duration,
    /// How long after that the started operation shows (`--settle`).
    pub settling: Settling,
}

impl DecisionTime {
    /// How long after its deadline an intent's request may still show.
    #[must_use]
    pub fn settle(&self, intent: &Intent) -> Duration {
        if intent.fence.is_some() { self.settling.fenced } else { self.settling.unfenced }
    }

    /// When the effect of an intent's request must show, however late the request arrived; `None`
    /// if that time is out of range.
    #[must_use]
    pub fn settles_at(&self, intent: &Intent) -> Option<Timestamp> {
        intent.deadline.checked_add(self.settle(intent)).ok()
    }

    /// Whether the effect of an intent's request must show by now.
    #[must_use]
    pub fn has_settled(&self, intent: &Intent) -> bool {
        self.settles_at(intent).is_some_and(|at| at <= self.now)
    }

    /// Whether golive started the operation so recently that the marketplace may not show it yet:
    /// then its absence means nothing. The limit is the longest request plus twice the settle time:
    /// the second settle time is granted because the operation is known to have been accepted.
    #[must_use]
    pub fn may_not_show_yet(&self, operation: &OperationRecord) -> bool {
        let within = self.longest_request.saturating_add(self.settling.longest().saturating_mul(2));
        // A start in the future was written before the clock was set back; its distance counts.
        let age = self.now.duration_since(operation.started_at).unsigned_abs();
        !operation.adopted && age < within
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;

    use crate::marketplace::{OperationKind, OperationStatus};

    fn at(minutes: i64) -> Timestamp {
        let start: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        start + SignedDuration::from_mins(minutes)
    }

    fn time(minutes: i64) -> DecisionTime {
        let (longest_request, settle) = (Duration::from_mins(1), Duration::from_mins(5));
        DecisionTime { now: at(minutes), longest_request, settling: Settling::all(settle) }
    }

    fn operation() -> OperationRecord {
        let ended = OperationRecord::new(OperationKind::GoLive, OperationStatus::Succeeded, at(0));
        OperationRecord { finished_at: Some(at(0)), ..ended }
    }

    #[test]
    fn the_settle_time_extends_the_time_to_show() {
        let hides = |minutes| time(minutes).may_not_show_yet(&operation());
        assert_eq!((hides(10), hides(11)), (true, false));
        let adopted = OperationRecord { adopted: true, ..operation() };
        assert!(!time(0).may_not_show_yet(&adopted));
    }

    #[test]
    fn a_start_in_the_future_does_not_hide_an_operation_for_ever() {
        let hides = |minutes: i64| time(minutes).may_not_show_yet(&operation());
        assert!(hides(-5));
        assert!(!hides(-60 * 24 * 365));
    }
}
