//! What the marketplace is to golive: offers, slots, operations, and the calls it answers.
//!
//! These types belong to golive, not to one remote API: the Cloud Partner Portal ([`portal`]) is
//! translated into them.

mod error;
mod id;
mod offer;
mod operation;
pub mod portal;
mod text;
mod text_enum;

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

pub use error::{MAX_RETRY_AFTER, MarketplaceError, Refusal};
pub use id::{IdError, OfferId, PublisherId, RequestId};
pub use offer::{ChangedTime, ETag, Offer, OfferStatus, OfferSummary, Slot, StatusReport, Version};
pub use operation::{
    Accepted, Action, Level, Link, Message, Operation, OperationKind, OperationRef,
    OperationStatus, Polled, Post, Precondition, Step, StepStatus, Submission,
};
pub(crate) use text::is_invisible;
pub use text::{clean_line, is_harmful, plain_text};

/// The calls golive makes. Reads may be repeated by the implementation; [`Marketplace::post`] is
/// sent at most once per call (a 401 answered with a fresh token aside: a refusal is not an
/// acceptance).
#[async_trait]
pub trait Marketplace: Send + Sync {
    /// How long a request may be under way at most, from when it is handed over.
    fn longest_request(&self) -> Duration {
        Duration::from_mins(2)
    }

    /// Until when it has asked to be left alone (UTC), if it has.
    fn paused_until(&self) -> Option<Timestamp> {
        None
    }

    /// All offers of a publisher, in one request.
    async fn offers(&self, publisher: &PublisherId) -> Result<Vec<OfferSummary>, MarketplaceError>;

    /// The offer itself (its draft slot): the `ETag` and the version.
    async fn offer(&self, offer: &OfferId) -> Result<Offer, MarketplaceError>;

    /// What a slot holds; `None` where the slot is empty.
    async fn slot(&self, offer: &OfferId, slot: Slot) -> Result<Option<Offer>, MarketplaceError>;

    /// One version of an offer; `None` where there is no such version.
    async fn version(
        &self,
        offer: &OfferId,
        version: Version,
    ) -> Result<Option<Offer>, MarketplaceError>;

    /// The offer's status, with the steps of its last operation.
    async fn status(&self, offer: &OfferId) -> Result<StatusReport, MarketplaceError>;

    /// The operations the marketplace remembers for an offer, in the order it lists them.
    async fn submissions(&self, offer: &OfferId) -> Result<Vec<Submission>, MarketplaceError>;

    /// The state of one operation. An expired operation is a [`MarketplaceError::Refused`] whose
    /// status is 404.
    async fn operation(
        &self,
        offer: &OfferId,
        operation: &OperationRef,
    ) -> Result<Polled, MarketplaceError>;

    /// Creates or changes the draft of an offer.
    async fn put(
        &self,
        offer: &OfferId,
        body: &serde_json::Value,
        precondition: &Precondition,
    ) -> Result<Offer, MarketplaceError>;

    /// Starts publish, golive or cancel. It does not wait where the marketplace has asked to: then
    /// nothing is sent, and the error is the [`MarketplaceError::Refused`] that asked, with the
    /// time that is left.
    async fn post(&self, offer: &OfferId, post: &Post) -> Result<Accepted, MarketplaceError>;
}
