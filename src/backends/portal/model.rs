//! Typed answers of the Cloud Partner Portal: offers, slots, steps and operations, before
//! `interpret` draws conclusions.

use std::time::Duration;

use crate::marketplace::text_enum::text_enum;
use crate::marketplace::{
    AttemptMark, ChangedTime, Fence, Message, OfferId, OperationKind, OperationRef,
    OperationStatus, Release, Step, Version,
};

text_enum! {
    /// The status of an offer. [`OfferStatus::Succeeded`] alone doesn't say which operation
    /// succeeded.
    pub enum OfferStatus {
        /// A draft that was never published.
        NeverPublished = "NeverPublished",
        /// No operation has begun, or one is queued.
        NotStarted = "NotStarted",
        /// In preview, waiting for the publisher's sign-off, which is the golive.
        WaitingForPublisherReview = "WaitingForPublisherReview",
        /// An operation runs.
        Running = "Running",
        /// The last operation succeeded.
        Succeeded = "Succeeded" | "Complete" | "Completed",
        /// In *list offers*: the offer has been published, to preview or live.
        Published = "published",
        /// The last operation was canceled.
        Canceled = "Canceled" | "Cancelled",
        /// The last operation failed.
        Failed = "Failed",
    }
}

/// A slot, which holds one version of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// The version that passed certification, visible to a limited audience.
    Preview,
    /// The version that customers can buy.
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
    /// Publisher and name of the offer.
    pub id: OfferId,
    /// The status in the list.
    pub status: OfferStatus,
    /// The version, if the list has one.
    pub version: Option<Version>,
    /// The time of the last change.
    pub changed_time: Option<ChangedTime>,
    /// Whether the offer was migrated to Partner Center: since then, no answer has an entity tag
    /// (field).
    pub is_migrated: bool,
}

/// An offer, or one slot or version of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// The version, if the answer has one.
    pub version: Option<Release>,
    /// The entity tag for `If-Match`, quotes included. There is none since the offers were migrated
    /// (field).
    pub etag: Option<Fence>,
}

/// The state of a publication, from an answer's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication<S> {
    /// The overall status; steps may contradict it, and then count more.
    pub status: S,
    /// The steps of the current or last operation, in order.
    pub steps: Vec<Step>,
    /// Messages about the operation as a whole.
    pub messages: Vec<Message>,
    /// The marketplace's number of the publication; can exceed 2^53. Only this identifies it, since
    /// *offer status* falls back to the publication before (field, BOSH pipeline).
    pub publishing_version: Option<Version>,
    /// The same publication's number in the offer's own count.
    pub offer_version: Option<Version>,
}

/// The answer to *offer status*.
pub type StatusReport = Publication<OfferStatus>;

/// The answer to *get operation*.
pub type Operation = Publication<OperationStatus>;

/// An answer to *get operation*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolledOperation {
    /// The operation's state.
    pub operation: Operation,
    /// How long the marketplace asks us to wait before the next poll.
    pub retry_after: Option<Duration>,
}

/// An operation as *list operations* shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// The operation's id.
    pub id: String,
    /// Publish, golive or cancel.
    pub kind: OperationKind,
    /// The status in the list.
    pub state: OperationStatus,
    /// `staging` or `production`.
    pub slot: Option<String>,
    /// The version of the offer that it works on.
    pub offer_version: Option<Version>,
    /// The marketplace's number of the publishing. Can exceed 2^53.
    pub publishing_version: Option<Version>,
    /// The time of the last change.
    pub changed_time: Option<ChangedTime>,
}

impl Submission {
    /// Whether it takes a release live. Clients check the slot as well as the type (field, Garden
    /// Linux).
    pub(super) fn is_golive(&self) -> bool {
        let slot = self.slot.as_deref().unwrap_or_default();
        match self.kind {
            OperationKind::GoLive => true,
            OperationKind::Publish | OperationKind::Unknown(_) => {
                slot.eq_ignore_ascii_case("production")
            }
            OperationKind::Cancel => false,
        }
    }

    /// The kind of operation, corrected by the slot.
    pub(super) fn purpose(&self) -> OperationKind {
        if self.is_golive() { OperationKind::GoLive } else { self.kind.clone() }
    }

    /// The reference for later reads.
    pub(super) fn reference(&self) -> OperationRef {
        OperationRef { id: self.id.clone(), location: None }
    }

    /// Identifies this entry of the list.
    pub(super) fn mark(&self) -> AttemptMark {
        let time = self.changed_time.as_ref().map_or("", |time| time.0.as_str());
        AttemptMark::new(&self.id, &self.state, time)
    }
}
