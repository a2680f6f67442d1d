//! An offer's phase and its reason, in the words that the status file and the reports share.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An offer's phase.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Phase {
    /// The desired release is in production.
    Live,
    /// The offer is in preview, as the manifest wants.
    Preview,
    /// A request that starts an operation is about to be sent, or may have been.
    Triggering,
    /// An operation runs.
    InProgress,
    /// Held on purpose: suspended, scheduled, or waiting for another offer.
    Held,
    /// A person must fix something.
    Blocked,
    /// The last attempt failed or was canceled.
    Failed,
}

impl Phase {
    /// All phases.
    pub const ALL: [Self; 7] = [
        Self::Live,
        Self::Preview,
        Self::Triggering,
        Self::InProgress,
        Self::Held,
        Self::Blocked,
        Self::Failed,
    ];

    /// Its name in the status file.
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

/// Why an offer is in its phase: stable names for programs.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Reason {
    /// The desired version is in production.
    InProduction,
    /// The manifest asks for preview, and the offer is live: it can't be taken back.
    AlreadyLive,
    /// The offer is in preview, as desired.
    InPreview,
    /// golive will be sent, or may have been.
    GoLivePending,
    /// Publish will be sent, or may have been.
    PublishPending,
    /// A golive runs.
    GoLiveRunning,
    /// A publish runs.
    PublishRunning,
    /// An operation of another or an unknown kind runs.
    OperationRunning,
    /// The manifest says `suspend`.
    Suspended,
    /// The manifest's `notBefore` is in the future.
    Scheduled,
    /// An offer named in `after` is not live yet.
    WaitingForDependency,
    /// 401: there is no token, or it is not accepted.
    Unauthorized,
    /// 403: the credentials may not touch this publisher.
    Forbidden,
    /// 404: no such publisher or offer.
    NotFound,
    /// The version in preview isn't the one that the manifest pins.
    VersionMismatch,
    /// Nothing was ever published to preview.
    NotInPreview,
    /// The marketplace's answer has a value that this golive does not know.
    UnknownStatus,
    /// The marketplace refused the request; it is not repeated until its cause is fixed.
    Refused,
    /// The offer keeps changing while golive tries to send the request.
    Conflict,
    /// The marketplace's `Retry-After` is longer than this run may wait.
    Throttled,
    /// The marketplace is unreachable.
    Unreachable,
    /// The last operation failed.
    OperationFailed,
    /// The last operation was canceled.
    OperationCanceled,
}

/// The variant's name, as in the status file.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
