//! Offers: their status, their versions, what their slots hold.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::operation::{Message, OperationKind, Step, StepStatus};
use super::text_enum::text_enum;
use super::{OfferId, PublisherId};

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
        Succeeded = "Succeeded",
        /// What the list call says of an offer that has been published, to preview or live.
        Published = "published",
        /// The last operation was canceled.
        Canceled = "Canceled" | "Cancelled",
        /// The last operation failed.
        Failed = "Failed",
    }
}

/// The version of an offer: an integer that grows with each publish.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Version(pub u64);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string())
    }
}

/// An entity tag, opaque, as the marketplace gave it (quotes included where it quoted).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ETag(pub String);

/// When an offer or a submission last changed, as the marketplace wrote it (UTC, seven
/// fractional digits). Compared as text; parsed only to order submissions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ChangedTime(pub String);

impl OfferStatus {
    /// Whether two calls may mean the same by these: only the list says `published`.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let succeeded = |status: &Self| matches!(status, Self::Succeeded | Self::Published);
        self == other || (succeeded(self) && succeeded(other))
    }
}

impl ChangedTime {
    /// Whether two texts mean the same moment, however many digits they have.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let moments = self.timestamp().zip(other.timestamp());
        self == other || moments.is_some_and(|(one, two)| one == two)
    }

    /// The moment, where the text is a timestamp. A text without an offset is taken as UTC.
    #[must_use]
    pub fn timestamp(&self) -> Option<Timestamp> {
        let with_offset = self.0.parse::<Timestamp>().ok();
        with_offset.or_else(|| {
            let civil: jiff::civil::DateTime = self.0.parse().ok()?;
            Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
        })
    }
}

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
    /// Whose offer it is.
    pub id: OfferId,
    /// Its status.
    pub status: OfferStatus,
    /// Its version, where the list has one.
    pub version: Option<Version>,
    /// When it last changed.
    pub changed_time: Option<ChangedTime>,
}

/// An offer, or one slot of it.
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
}

impl StatusReport {
    /// Whether the `live` step is complete; `None` where there is no such step, as not every type of
    /// offer has one.
    #[must_use]
    pub fn live_is_complete(&self) -> Option<bool> {
        let step = self.steps.iter().find(|step| step.id.eq_ignore_ascii_case("live"))?;
        Some(step.status == StepStatus::Complete)
    }

    /// What runs, as far as the steps tell: while the publisher's sign-off is yet to come, it is a
    /// publish. Where it is past, or where there is no such step, they tell too little.
    #[must_use]
    pub fn running_kind(&self) -> OperationKind {
        let mut steps = self.steps.iter();
        let sign_off = steps.find(|step| step.id.eq_ignore_ascii_case("publisher-signoff"));
        if sign_off.is_some_and(|step| step.status == StepStatus::NotStarted) {
            OperationKind::Publish
        } else {
            OperationKind::Unknown(String::new())
        }
    }
}

impl OfferSummary {
    /// The publisher whose list this came from.
    #[must_use]
    pub fn publisher(&self) -> &PublisherId {
        self.id.publisher()
    }
}
