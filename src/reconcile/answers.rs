//! What errors, and the end of a run's time, mean for the trigger protocol.

use super::observe::{describe, failed};
use crate::changes::Seen;
use crate::marketplace::{MarketplaceError, RefusalKind};
use crate::operation::{Answer, Obstacle, State, StopReason};
use crate::status::Reason;

/// How a trigger ends if the run's time is up before a pause is over.
pub(super) fn out_of_time(state: &State) -> StopReason {
    match state {
        State::Doubting(doubt) => StopReason::InDoubt(doubt.why.clone()),
        State::Checking
        | State::Intending(_)
        | State::Sending(_)
        | State::Recording(_)
        | State::Dropping(_)
        | State::Pausing
        | State::Ended => {
            let why = "the request could not be sent before the time to wait was up".to_owned();
            StopReason::Unsent(Obstacle { reason: Reason::Unreachable, why })
        }
    }
}

/// What an error answer means for the protocol.
pub(super) fn answer(error: &MarketplaceError) -> Answer {
    match error {
        MarketplaceError::NotSent { .. } => Answer::NotSent(obstacle(error)),
        MarketplaceError::Token(_) => Answer::Denied(obstacle(error)),
        MarketplaceError::Lost { .. } | MarketplaceError::ForeignOperationUrl(_) => {
            Answer::Unclear(describe(error))
        }
        MarketplaceError::Refused(refusal) => match refusal.kind {
            RefusalKind::Invalid => Answer::Refused(describe(error)),
            RefusalKind::Unauthenticated | RefusalKind::Forbidden | RefusalKind::NotFound => {
                Answer::Denied(obstacle(error))
            }
            RefusalKind::Conflict => Answer::Conflict(describe(error)),
            RefusalKind::Throttled | RefusalKind::Unavailable => {
                Answer::NotNow(refusal.retry_after)
            }
            RefusalKind::Failed | RefusalKind::Other => Answer::Unclear(describe(error)),
        },
    }
}

/// The obstacle that an error shows.
fn obstacle(error: &MarketplaceError) -> Obstacle {
    obstacle_of(failed(error))
}

/// The obstacle that a failed look at the offer shows.
pub(super) fn obstacle_of(seen: Seen) -> Obstacle {
    let (reason, why) = match seen {
        Seen::Unauthorized(why) => (Reason::Unauthorized, why),
        Seen::Forbidden(why) => (Reason::Forbidden, why),
        Seen::NotFound(why) => (Reason::NotFound, why),
        Seen::Throttled(why) => (Reason::Throttled, why),
        Seen::Unreachable(why) => (Reason::Unreachable, why),
        Seen::Offer(_) => (Reason::Unreachable, String::new()),
    };
    Obstacle { reason, why }
}
