//! Operations, which run for hours at the marketplace, and their steps.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ChangedTime;
use super::text_enum::text_enum;

text_enum! {
    /// What an operation does.
    pub enum OperationKind {
        /// Pushes the draft through certification to preview.
        Publish = "publish",
        /// Pushes the preview to production.
        GoLive = "golive" | "go-live",
        /// Ends the running operation.
        Cancel = "cancel",
    }
}

text_enum! {
    /// The status of an operation. An unknown one counts as still running.
    pub enum OperationStatus {
        /// Accepted, not started.
        NotStarted = "notStarted",
        /// Under way.
        Running = "running" | "inProgress",
        /// Ended well.
        Succeeded = "succeeded" | "completed" | "complete",
        /// Ended with an error.
        Failed = "failed",
        /// Canceled by a user.
        Canceled = "canceled" | "cancelled",
        /// Refused by the marketplace after it had taken the request: something else ran on the
        /// offer, or its release was no longer the newest. It changed nothing.
        Refused = "refused",
    }
}

impl OperationStatus {
    /// Whether the operation has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Canceled | Self::Refused)
    }
}

text_enum! {
    /// The status of one step.
    pub enum StepStatus {
        /// Not begun.
        NotStarted = "notStarted",
        /// Under way.
        InProgress = "inProgress" | "running",
        /// Waits for the publisher's sign-off, which is the golive.
        WaitingForPublisherReview = "waitingForPublisherReview",
        /// Waits for the marketplace's reviewers.
        WaitingForApproval = "waitingForApproval",
        /// Cannot go on.
        Blocked = "blocked",
        /// Rejected by the marketplace.
        Rejected = "rejected",
        /// Done.
        Complete = "complete" | "completed" | "succeeded",
        /// Ended with an error.
        Failed = "failed",
        /// Canceled by a user.
        Canceled = "canceled" | "cancelled",
    }
}

text_enum! {
    /// The severity of a message.
    pub enum Level {
        /// For information.
        Information = "information" | "info",
        /// A warning.
        Warning = "warning",
        /// An error.
        Error = "error",
    }
}

/// What the marketplace says about a step, as plain text: no tags, entities or terminal escapes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// When it was written, where the marketplace says so.
    #[serde(default)]
    pub at: Option<String>,
    /// How grave it is.
    pub level: Level,
    /// The text.
    pub text: String,
}

/// One step of an operation. Which steps there are depends on the type of the offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// How long the marketplace thinks it takes, in its words, e.g. `< 5 day`.
    #[serde(default)]
    pub estimate: Option<String>,
    /// Its id, e.g. `displaycertify`.
    pub id: String,
    /// What the marketplace says about it.
    #[serde(default)]
    pub messages: Vec<Message>,
    /// Its name for people, e.g. `Certification`.
    pub name: String,
    /// Its progress in percent (0 to 100).
    #[serde(default)]
    pub progress: Option<u8>,
    /// Its status.
    pub status: StepStatus,
}

/// Identifies an operation for later reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationRef {
    /// Its id: a GUID, or `publisher$offer$version$slot` for offers that were not migrated.
    pub id: String,
    /// Path and query of its URL at the configured origin, if the marketplace gave one; otherwise
    /// the URL is built from the id.
    pub location: Option<String>,
}

/// Whether several operations may have this id. Ids of the form `publisher$offer$version$slot`, for
/// offers that were not migrated, name a slot of a version, not one attempt at it.
#[must_use]
pub fn is_shared_operation_id(id: &str) -> bool {
    id.contains('$')
}

impl Message {
    /// The moment the message was written.
    #[must_use]
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.at.as_deref().and_then(|at| ChangedTime(at.to_owned()).timestamp())
    }
}
