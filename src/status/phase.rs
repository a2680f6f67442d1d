//! An offer's phase and its reason, in the words that the status file and the reports share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where an offer stands, in one word.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Phase {
    /// Production holds what the manifest wants.
    Live,
    /// The offer is in preview, as the manifest wants.
    Preview,
    /// A request that starts an operation is about to be sent, or may have been.
    Triggering,
    /// An operation runs.
    InProgress,
    /// Held on purpose: suspended, scheduled, or waiting for another offer.
    Held,
    /// Something is in the way that a person must mend.
    Blocked,
    /// The last attempt failed or was canceled.
    Failed,
}

impl Phase {
    /// Every phase there is.
    pub const ALL: [Self; 7] = [
        Self::Live,
        Self::Preview,
        Self::Triggering,
        Self::InProgress,
        Self::Held,
        Self::Blocked,
        Self::Failed,
    ];

    /// As the status file spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "Live",
            Self::Preview => "Preview",
            Self::Triggering => "Triggering",
            Self::InProgress => "InProgress",
            Self::Held => "Held",
            Self::Blocked => "Blocked",
            Self::Failed => "Failed",
        }
    }
}

/// Why an offer is in its phase: a stable word for programs.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Reason {
    /// Production holds the desired version.
    InProduction,
    /// The manifest asks for preview, and the offer is live: it can't be taken back.
    AlreadyLive,
    /// The offer is in preview, as desired.
    InPreview,
    /// golive is to be sent, or may have been.
    GoLivePending,
    /// Publish is to be sent, or may have been.
    PublishPending,
    /// A golive runs.
    GoLiveRunning,
    /// A publish runs.
    PublishRunning,
    /// An operation of another or an unknown kind runs.
    OperationRunning,
    /// The manifest says `suspend`.
    Suspended,
    /// The manifest's `notBefore` is ahead.
    Scheduled,
    /// An offer named in `after` is not live yet.
    WaitingForDependency,
    /// 401: there is no token, or it is not accepted.
    Unauthorized,
    /// 403: the credentials may not touch this publisher.
    Forbidden,
    /// 404: no such publisher or offer.
    NotFound,
    /// Another version is in preview than the one that the manifest pins.
    VersionMismatch,
    /// Nothing was ever published to preview.
    NotInPreview,
    /// The marketplace says something this golive does not understand.
    UnknownStatus,
    /// The marketplace refused the request; it is not repeated until its cause is mended.
    Refused,
    /// The offer changes under golive's hands.
    Conflict,
    /// The marketplace asks to wait for longer than this run may.
    Throttled,
    /// The marketplace could not be asked.
    Unreachable,
    /// The last operation failed.
    OperationFailed,
    /// The last operation was canceled.
    OperationCanceled,
}
