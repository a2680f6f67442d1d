//! What the Cloud Partner Portal answers, in types: offers, slots, steps and operations, before
//! anything is concluded from them (`interpret`).

use std::time::Duration;

use crate::marketplace::text_enum::text_enum;
use crate::marketplace::{
    ChangedTime, Message, OfferId, OperationKind, OperationRef, OperationStatus, Step, Version,
};

text_enum! {
    /// The status of an offer. [`OfferStatus::Succeeded`] alone does not say what succeeded.
    pub enum OfferStatus {
        /// A draft that was never published.
        NeverPublished = "NeverPublished",
        /// No operation has begun, or one is queued.
        NotStarted = "NotStarted",
        /// In preview, waiting for the publisher's sign-off: for golive.
        WaitingForPublisherReview = "WaitingForPublisherReview",
        /// An operation runs.
        Running = "Running",
        /// The last operation succeeded.
        Succeeded = "Succeeded" | "Complete" | "Completed",
        /// What the list call says of an offer that has been published, to preview or live.
        Published = "published",
        /// The last operation was canceled.
        Canceled = "Canceled" | "Cancelled",
        /// The last operation failed.
        Failed = "Failed",
    }
}

/// An entity tag, opaque, as the marketplace gave it (quotes included where it quoted).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ETag(pub String);

/// A place where a version of an offer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// What certification let through, seen by few.
    Preview,
    /// What customers buy.
    Production,
}

impl Slot {
    /// The slot's name in a path.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Preview => "Preview",
            Self::Production => "Production",
        }
    }
}

/// An offer as a publisher's list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferSummary {
    /// The offer.
    pub id: OfferId,
    /// Its status.
    pub status: OfferStatus,
    /// Its version, where the list has one.
    pub version: Option<Version>,
    /// When it last changed.
    pub changed_time: Option<ChangedTime>,
    /// Whether it was migrated to Partner Center: since then, no answer has an entity tag (field).
    pub is_migrated: bool,
}

/// An offer, or one slot or version of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// Its version.
    pub version: Option<Version>,
    /// Its status, where the answer has one.
    pub status: Option<OfferStatus>,
    /// The entity tag for `If-Match`.
    pub etag: Option<ETag>,
    /// When it last changed.
    pub changed_time: Option<ChangedTime>,
}

/// The answer to *offer status*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusReport {
    /// The offer's status.
    pub status: OfferStatus,
    /// The steps of its current or last operation.
    pub steps: Vec<Step>,
    /// What the marketplace says about the operation as a whole.
    pub messages: Vec<Message>,
    /// The number of the publication that status and steps are about. It is what tells whose steps
    /// these are, since a status falls back to the publication before (field, BOSH pipeline).
    pub publishing_version: Option<Version>,
    /// Its number by the offer's own count.
    pub offer_version: Option<Version>,
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
}

/// An answer to *get operation*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolledOperation {
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

impl Submission {
    /// Whether it takes a release live. Clients tell by the slot as well as by the type (field,
    /// Garden Linux).
    pub(super) fn is_golive(&self) -> bool {
        let is_production =
            self.slot.as_deref().is_some_and(|it| it.eq_ignore_ascii_case("production"));
        match self.kind {
            OperationKind::GoLive => true,
            OperationKind::Publish | OperationKind::Unknown(_) => is_production,
            OperationKind::Cancel => false,
        }
    }

    /// What it does.
    pub(super) fn purpose(&self) -> OperationKind {
        if self.is_golive() { OperationKind::GoLive } else { self.kind.clone() }
    }

    /// Where to ask for it.
    pub(super) fn reference(&self) -> OperationRef {
        OperationRef { id: self.id.clone(), location: None }
    }

    /// A text that changes with each thing that the list says of it.
    pub(super) fn mark(&self) -> String {
        let time = self.changed_time.as_ref().map_or("", |time| time.0.as_str());
        format!("{} {} {time}", self.id, self.state)
    }
}
