//! The interface of golive to a marketplace API.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    Fence, Following, Inquiry, Listing, MarketplaceError, OfferId, OfferState, OperationKind,
    OperationRef, PublisherId, Release, Report, RequestId,
};

/// A marketplace API. It returns states, and it alone knows which requests they take. An
/// implementation may retry reads; it sends [`Backend::launch`] at most once per call, except after
/// a 401 answered with a fresh token: a refused request was not accepted.
#[async_trait]
pub trait Backend: Send + Sync {
    /// The longest time a launch of this publisher's offers may take, from the call to its end.
    fn longest_request(&self, publisher: &PublisherId) -> Duration;

    /// How long after its deadline a request about this publisher's offers that left no trace may
    /// still take effect, with and without a fence.
    fn settling(&self, publisher: &PublisherId) -> Settling;

    /// The publishers that the marketplace asked golive to pause, and until when. By default none.
    fn paused_until(&self) -> PausedUntil {
        PausedUntil::default()
    }

    /// All offers of a publisher, with the facts that the list gives at no further cost.
    async fn survey(&self, publisher: &PublisherId) -> Result<Vec<Listing>, MarketplaceError>;

    /// Why an offer may be missing from its publisher's list, and what to do about it: a sentence for
    /// people.
    fn unlisted(&self, offer: &OfferId) -> String {
        format!(
            "the publisher {} has no offer {:?}; correct the manifest, or create the offer first",
            offer.publisher(),
            offer.offer()
        )
    }

    /// The listing of an offer whose product golive remembers ([`OfferState::product`]), if the
    /// publisher's list would tell nothing more; `None` if the list must be read, as by default.
    fn listing_of(&self, _offer: &OfferId, _product: &str) -> Option<Listing> {
        None
    }

    /// The state of one offer, with as few requests as the inquiry allows.
    async fn inspect(
        &self,
        offer: &OfferId,
        inquiry: &Inquiry,
    ) -> Result<OfferState, MarketplaceError>;

    /// Starts a publish or a golive. It doesn't wait for a pause that the marketplace asked for:
    /// then it sends nothing, and the error is the [`MarketplaceError::Refused`] that asked for the
    /// pause, with the remaining time.
    async fn launch(&self, offer: &OfferId, launch: &Launch) -> Result<Accepted, MarketplaceError>;

    /// Reads the state of an operation.
    async fn poll(
        &self,
        offer: &OfferId,
        following: &Following,
    ) -> Result<Polled, MarketplaceError>;
}

/// The pauses that the marketplace asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PausedUntil {
    /// The paused publishers: requests about them were throttled.
    pub publishers: BTreeMap<PublisherId, Pause>,
    /// The pause of the whole host, while two or more publishers are paused: nothing is sent.
    pub all: Option<Pause>,
}

/// A pause that the marketplace asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// When it ends (UTC). Computed from two clocks, so it differs by some microseconds each time.
    pub until: Timestamp,
    /// The answer that asked for it, as a sentence.
    pub why: String,
}

impl PausedUntil {
    /// The pause of a publisher: its own or that of the host, whichever is longer.
    #[must_use]
    pub fn of(&self, publisher: &PublisherId) -> Option<&Pause> {
        let own = self.publishers.get(publisher);
        own.into_iter().chain(&self.all).max_by_key(|pause| pause.until)
    }

    /// Whether nothing is paused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.publishers.is_empty() && self.all.is_none()
    }
}

/// How long after its deadline a request that left no trace may still take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settling {
    /// If the request carried a fence.
    pub fenced: Duration,
    /// If it carried none.
    pub unfenced: Duration,
}

impl Settling {
    /// The same time for both (`--settle`).
    #[must_use]
    pub fn all(time: Duration) -> Self {
        Self { fenced: time, unfenced: time }
    }

    /// The longer time of each kind.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { fenced: self.fenced.max(other.fenced), unfenced: self.unfenced.max(other.unfenced) }
    }

    /// The longer of the two.
    #[must_use]
    pub fn longest(self) -> Duration {
        self.fenced.max(self.unfenced)
    }
}

/// A request that starts a publish or a golive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Publish or golive.
    pub kind: OperationKind,
    /// The release it is for.
    pub release: Release,
    /// The fence: the marketplace refuses the request if the offer changed meanwhile.
    pub fence: Option<Fence>,
    /// The request's id.
    pub request_id: RequestId,
    /// The e-mail addresses that the marketplace notifies.
    pub notify: Vec<String>,
}

/// An accepted request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// The answer names the operation.
    Started {
        /// The operation's reference for [`Backend::poll`].
        operation: OperationRef,
        /// How long to wait before the first poll.
        retry_after: Option<Duration>,
    },
    /// Accepted, it seems, but without a usable operation: no location, an invalid URL, or one
    /// outside this marketplace and offer.
    Unlocated {
        /// What was wrong with the location, e.g. `ForeignOperationUrl: …`.
        why: String,
    },
}

/// The result of polling an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polled {
    /// The operation's report; `None` if it can no longer be read, or the offer shows only that it
    /// doesn't run.
    pub report: Option<Report>,
    /// How long the marketplace asks golive to wait before the next poll.
    pub retry_after: Option<Duration>,
}
