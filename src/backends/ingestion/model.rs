//! What the API answers, in types: every text is cleaned, every word is known or kept as unknown.

use jiff::Timestamp;

use crate::marketplace::{Message, OfferId, OperationStatus};

/// The number that stands for a draft in a submission's id, and the release that a publish
/// publishes: it gets a number of its own only once it is published.
pub(super) const DRAFT: &str = "0";

/// A product: what an offer is in this API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Product {
    /// Its GUID. It never changes (documented).
    pub(super) guid: String,
    /// Its state of life.
    pub(super) lifecycle: Lifecycle,
    /// Whether the API named it for the offer in this run; otherwise the status file did.
    pub(super) is_confirmed: bool,
}

impl Product {
    /// The same product, as the API names it.
    pub(super) fn confirmed(self) -> Self {
        Self { is_confirmed: true, ..self }
    }
}

/// A product's state of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lifecycle {
    /// It can be published.
    Active,
    /// It was taken off the marketplace.
    Deprecated,
    /// It was deleted.
    Deleted,
}

/// A product in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListedProduct {
    pub(super) offer: OfferId,
    pub(super) product: Product,
}

/// A submission. Plans have none of their own: they are per product (documented).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Submission {
    /// Its number, golive's name for the release. A text, since it exceeds 2^53.
    pub(super) number: String,
    pub(super) target: Target,
    pub(super) stage: Stage,
    /// When it was made. A live entry's may be the day of the push to live (documented), so it is
    /// compared only among entries of one target.
    pub(super) created: Option<Timestamp>,
    /// Whether it took the product off the marketplace.
    pub(super) is_deprecated: bool,
}

/// The target of a submission. The schema has others: `flight`, `sandbox`, `certification`,
/// `retail`. golive ignores them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Draft,
    Preview,
    Live,
    Other,
}

/// How far a submission is, by its `status` and `result`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has no status, as a draft.
    Unpublished,
    /// `notStarted` or `running`, whatever the result says.
    Running,
    Succeeded,
    Failed,
    /// No source shows this word on a submission; jobs have it.
    Canceled,
    /// Words that this version of golive doesn't know.
    Unknown(String),
}

impl Stage {
    /// The status of a finished attempt; `None` if it has not ended, or not clearly.
    pub(super) fn ended_as(&self) -> Option<OperationStatus> {
        match self {
            Self::Succeeded => Some(OperationStatus::Succeeded),
            Self::Failed => Some(OperationStatus::Failed),
            Self::Canceled => Some(OperationStatus::Canceled),
            Self::Unpublished | Self::Running | Self::Unknown(_) => None,
        }
    }
}

/// A job of *configure*. It runs as long as the publish that it started (seen by clients).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) state: JobState,
    /// Its errors, with all that is nested in them.
    pub(super) messages: Vec<Message>,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobState {
    /// Also where the word is unknown: a job counts as running until it says otherwise.
    Running,
    Succeeded,
    Failed,
    Canceled,
    /// It ended because another publish of the product runs, or because its preview isn't the
    /// newest one: it changed nothing, and says nothing about the release.
    Refused,
    /// It ended, in words that this version of golive doesn't know.
    Over,
}
