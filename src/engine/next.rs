//! The next step for an offer. Pure: read off the offer's record.

use jiff::Timestamp;
use tokio::time::Instant;

use super::polls::Polls;
use super::queue::Now;
use crate::marketplace::OfferId;
use crate::operation::Intervals;
use crate::status::OfferRecord;

/// The next step for an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextWork {
    /// Poll its operation at this time.
    Poll(Instant),
    /// Evaluate the offer on this date (UTC): a launch date has come, a pause is over, or a request
    /// in doubt has settled.
    EvaluateOn(Timestamp),
    /// Evaluate the offer again at once.
    EvaluateNow,
    /// Evaluate the offer soon, together with others whose operations end about now.
    EvaluateSoon,
    /// Try again after a pause that the caller chooses: the offer could not be asked about, or its
    /// request could not be sent.
    Retry,
    /// Nothing, until something changes.
    Rest,
}

impl NextWork {
    /// The next step according to the offer's record.
    pub(super) fn of(
        offer: &OfferId,
        record: Option<&OfferRecord>,
        polls: &Polls,
        now: Now,
        intervals: Intervals,
    ) -> Self {
        let Some(record) = record else { return Self::Rest };
        if let Some(operation) = record.running() {
            return Self::Poll(polls.due(offer, operation, now, intervals));
        }
        // A refused request stays refused until something changes; any other error may pass.
        let refused = record.refused.as_ref().map(|refused| &refused.message);
        let passes = record.error.as_ref().is_some_and(|it| Some(&it.message) != refused);
        match record.next_check_at {
            Some(at) => Self::EvaluateOn(at),
            None if record.intent.is_some() || passes => Self::Retry,
            None => Self::Rest,
        }
    }

    /// The same, if it is a poll; otherwise `other`.
    pub(super) fn poll_or(self, other: Self) -> Self {
        if matches!(self, Self::Poll(_)) { self } else { other }
    }
}
