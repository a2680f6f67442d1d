//! Where an offer stands, and why that may not allow what is asked.

use serde::{Deserialize, Serialize};

use crate::emulator::seed::Kind;

/// An offer's status while no operation runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum IdleStatus {
    #[default]
    NeverPublished,
    NotStarted,
    WaitingForPublisherReview,
    Succeeded,
    Canceled,
    Failed,
}

/// Where an offer stands, whatever an API calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Running(Kind),
    Idle(IdleStatus),
}

/// Why the state of an offer does not allow something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("an operation is already running on this offer")]
    Busy,
    #[error("the offer is not in preview: publish it first")]
    NotInPreview,
    #[error("the version in preview is already live: there is nothing to sign off")]
    NothingNewer,
    #[error("the last publish did not reach the publisher's sign-off: publish the offer again")]
    NotSignedOff,
    #[error("no operation is running on this offer: there is nothing to cancel")]
    NothingRuns,
}
