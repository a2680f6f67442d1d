//! What errors, and the end of a run's time, mean for the trigger protocol.

use super::observe::{describe, failed};
use crate::changes::Observation;
use crate::marketplace::{MarketplaceError, RefusalKind};
use crate::operation::{Obstacle, RequestOutcome, State, StopReason};
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
pub(super) fn answer(error: &MarketplaceError) -> RequestOutcome {
    match error {
        MarketplaceError::NotSent { .. } => RequestOutcome::NotSent(obstacle(error)),
        MarketplaceError::Token(_) => RequestOutcome::Denied(obstacle(error)),
        MarketplaceError::Lost { .. } | MarketplaceError::ForeignOperationUrl(_) => {
            RequestOutcome::Unclear(describe(error))
        }
        MarketplaceError::Refused(refusal) => match refusal.kind {
            RefusalKind::Invalid => RequestOutcome::Refused(describe(error)),
            RefusalKind::Unauthenticated | RefusalKind::Forbidden | RefusalKind::NotFound => {
                RequestOutcome::Denied(obstacle(error))
            }
            RefusalKind::Conflict => RequestOutcome::Conflict(describe(error)),
            RefusalKind::Throttled | RefusalKind::Unavailable => {
                RequestOutcome::NotNow(refusal.retry_after)
            }
            RefusalKind::Failed | RefusalKind::Other => RequestOutcome::Unclear(describe(error)),
        },
    }
}

/// The obstacle that an error shows.
fn obstacle(error: &MarketplaceError) -> Obstacle {
    obstacle_of(failed(error))
}

/// The obstacle that a failed check of the offer shows.
pub(super) fn obstacle_of(seen: Observation) -> Obstacle {
    let (reason, why) = match seen {
        Observation::Unavailable(kind, why) => (kind.reason(), why),
        Observation::Offer(_) => (Reason::Unreachable, String::new()),
    };
    Obstacle { reason, why }
}
