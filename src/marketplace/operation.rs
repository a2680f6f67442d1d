//! Operations: what runs for hours at the marketplace, and its steps.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RequestId;
use super::offer::{ChangedTime, ETag, Version};
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
    /// The status of an operation. An unknown one means: still running.
    pub enum OperationStatus {
        /// Accepted, not begun.
        NotStarted = "notStarted",
        /// Under way.
        Running = "running" | "inProgress",
        /// Ended well.
        Succeeded = "succeeded" | "completed" | "complete",
        /// Ended badly.
        Failed = "failed",
        /// Ended by somebody.
        Canceled = "canceled" | "cancelled",
    }
}

impl OperationStatus {
    /// Whether nothing more will happen.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match self {
            Self::Succeeded | Self::Failed | Self::Canceled => true,
            Self::NotStarted | Self::Running | Self::Unknown(_) => false,
        }
    }
}

text_enum! {
    /// The status of one step.
    pub enum StepStatus {
        /// Not begun.
        NotStarted = "notStarted",
        /// Under way.
        InProgress = "inProgress" | "running",
        /// Waits for the publisher: for golive.
        WaitingForPublisherReview = "waitingForPublisherReview",
        /// Waits for the marketplace's people.
        WaitingForApproval = "waitingForApproval",
        /// Cannot go on.
        Blocked = "blocked",
        /// Turned down.
        Rejected = "rejected",
        /// Done.
        Complete = "complete" | "completed" | "succeeded",
        /// Ended badly.
        Failed = "failed",
        /// Ended by somebody.
        Canceled = "canceled" | "cancelled",
    }
}

text_enum! {
    /// How grave a message is.
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
    /// How far it is, in percent (0 to 100).
    #[serde(default)]
    pub progress: Option<u8>,
    /// Its status.
    pub status: StepStatus,
}

/// Where an operation is found again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationRef {
    /// Its id: a GUID, or `publisher$offer$version$slot` for offers that were not migrated.
    pub id: String,
    /// Path and query of its URL at the configured origin, where the marketplace gave one;
    /// otherwise it is asked for by its id.
    pub location: Option<String>,
}

/// The state of an operation, from the answer's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its status.
    pub status: OperationStatus,
    /// Its steps, in order.
    pub steps: Vec<Step>,
    /// Messages about the whole.
    pub messages: Vec<Message>,
    /// The version of the offer it works on.
    pub offer_version: Option<Version>,
    /// The marketplace's number of the publishing. Can exceed 2^53.
    pub publishing_version: Option<Version>,
    /// Whether somebody asked to cancel it, in the marketplace's words.
    pub cancellation: Option<String>,
}

/// An answer to *get operation*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polled {
    /// The operation.
    pub operation: Operation,
    /// How long the marketplace asks us to wait before the next poll.
    pub retry_after: Option<Duration>,
}

/// An operation as *list operations* shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// The operation's id.
    pub id: String,
    /// What it does.
    pub kind: OperationKind,
    /// How it stands.
    pub state: OperationStatus,
    /// `staging` or `production`.
    pub slot: Option<String>,
    /// The version of the offer it works on.
    pub offer_version: Option<Version>,
    /// The marketplace's number of the publishing. Can exceed 2^53.
    pub publishing_version: Option<Version>,
    /// When it last changed.
    pub changed_time: Option<ChangedTime>,
}

/// A request that starts or ends something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// `POST …/publish`
    Publish,
    /// `POST …/golive`
    GoLive,
    /// `POST …/cancel`
    Cancel,
}

impl Action {
    /// The last segment of the path.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::GoLive => "golive",
            Self::Cancel => "cancel",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a request that changes something says about the state it expects (`If-Match`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// The offer still has this entity tag.
    Matches(ETag),
    /// The last one wins (`*`).
    Any,
}

/// All that is said in one POST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// Which call.
    pub action: Action,
    /// What it expects of the offer.
    pub precondition: Precondition,
    /// The id the request carries.
    pub request_id: RequestId,
    /// Who is told by e-mail.
    pub notify: Vec<String>,
}

/// A POST was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// 202, and here is the operation.
    Started {
        /// Where it is found.
        operation: OperationRef,
        /// How long to wait before the first poll.
        retry_after: Option<Duration>,
    },
    /// 200: done at once (a cancel).
    Done,
    /// 2xx without a usable operation URL: none at all, not a URL, or one that is not ours.
    Unlocated {
        /// What was wrong with it, e.g. `ForeignOperationUrl: …`.
        why: String,
    },
}

impl Message {
    /// The moment the message was written.
    #[must_use]
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.at.as_deref().and_then(|at| ChangedTime(at.to_owned()).timestamp())
    }
}
