//! Where an offer stands, and what that doesn't allow.

use serde::{Deserialize, Serialize};

/// What an offer's status is when no operation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Resting {
    NeverPublished,
    NotStarted,
    WaitingForPublisherReview,
    Succeeded,
    Canceled,
    Failed,
}

/// Where an offer stands, whatever the API calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    NeverPublished,
    NotStarted,
    Publish,
    SignOff,
    GoLive,
    Live,
    Canceled,
    Failed,
}

impl Stage {
    /// The reference's word for it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::NeverPublished => "NeverPublished",
            Self::NotStarted => "NotStarted",
            Self::Publish | Self::GoLive => "Running",
            Self::SignOff => "WaitingForPublisherReview",
            Self::Live => "Succeeded",
            Self::Canceled => "Canceled",
            Self::Failed => "Failed",
        }
    }
}

/// Why the state of an offer does not allow something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
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
