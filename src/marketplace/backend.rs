//! What a marketplace's API is to golive.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    Fence, Following, Inquiry, Listing, MarketplaceError, OfferId, OfferState, OperationKind,
    OperationRef, PublisherId, Release, Report, RequestId,
};

/// An API of the marketplace. It answers in states, and alone knows which requests that takes.
/// Reads may be repeated by the implementation; [`Backend::launch`] is sent at most once per call (a
/// 401 answered with a fresh token aside: a refusal is not an acceptance).
#[async_trait]
pub trait Backend: Send + Sync {
    /// How long a request that starts something may be under way at most, from when it is handed
    /// over.
    fn longest_request(&self) -> Duration;

    /// How long after its deadline a request that left no trace may still show, with and without a
    /// fence.
    fn settling(&self) -> Settling;

    /// Which publishers it has asked to leave alone, and until when. By default none.
    fn paused_until(&self) -> PausedUntil {
        PausedUntil::default()
    }

    /// All offers of a publisher, with what the list tells at no further cost.
    async fn survey(&self, publisher: &PublisherId) -> Result<Vec<Listing>, MarketplaceError>;

    /// How one offer stands, with as few requests as the inquiry allows.
    async fn inspect(
        &self,
        offer: &OfferId,
        inquiry: &Inquiry,
    ) -> Result<OfferState, MarketplaceError>;

    /// Starts a publish or a golive. It does not wait where the marketplace has asked to: then nothing
    /// is sent, and the error is the [`MarketplaceError::Refused`] that asked, with the time that is
    /// left.
    async fn launch(&self, offer: &OfferId, launch: &Launch) -> Result<Accepted, MarketplaceError>;

    /// Asks how an operation is getting on.
    async fn poll(
        &self,
        offer: &OfferId,
        following: &Following,
    ) -> Result<Polled, MarketplaceError>;
}

/// Whom the marketplace has asked to leave alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PausedUntil {
    /// The publishers about which a request was answered so.
    pub publishers: BTreeMap<PublisherId, Pause>,
    /// Set while nothing at all is asked or sent, because two publishers or more were answered so.
    pub all: Option<Pause>,
}

/// A pause that the marketplace has asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// When it ends (UTC). Computed from two clocks, so that it differs by some microseconds each time.
    pub until: Timestamp,
    /// The answer that asked for it, in a sentence.
    pub why: String,
}

impl PausedUntil {
    /// The pause that holds for a publisher: its own or that of all, whichever is longer.
    #[must_use]
    pub fn of(&self, publisher: &PublisherId) -> Option<&Pause> {
        let own = self.publishers.get(publisher);
        own.into_iter().chain(&self.all).max_by_key(|pause| pause.until)
    }

    /// Whether nobody is left alone.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.publishers.is_empty() && self.all.is_none()
    }
}

/// How long after its deadline a request that left no trace may still show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settling {
    /// Where the request carried a fence.
    pub fenced: Duration,
    /// Where it carried none.
    pub unfenced: Duration,
}

impl Settling {
    /// The same time for both (`--settle`).
    #[must_use]
    pub fn all(time: Duration) -> Self {
        Self { fenced: time, unfenced: time }
    }

    /// The longer of the two.
    #[must_use]
    pub fn longest(self) -> Duration {
        self.fenced.max(self.unfenced)
    }
}

/// All that is said in one request that starts something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Publish or golive.
    pub kind: OperationKind,
    /// The release it is for.
    pub release: Release,
    /// What guards it against a change of the offer.
    pub fence: Option<Fence>,
    /// The id the request carries.
    pub request_id: RequestId,
    /// Who is told by e-mail.
    pub notify: Vec<String>,
}

/// A request was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// Here is the operation.
    Started {
        /// Where it is found.
        operation: OperationRef,
        /// How long to wait before the first poll.
        retry_after: Option<Duration>,
    },
    /// Accepted, it seems, without a usable handle: none at all, not a URL, or one that is not ours.
    Unlocated {
        /// What was wrong with it, e.g. `ForeignOperationUrl: …`.
        why: String,
    },
}

/// What came of asking for an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polled {
    /// What it says; `None` where it can't be asked for any more, or the offer shows no more than that
    /// it doesn't run.
    pub report: Option<Report>,
    /// How long the marketplace asks us to wait before the next poll.
    pub retry_after: Option<Duration>,
}
