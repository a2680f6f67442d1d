//! The API calls of the Cloud Partner Portal.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, LOCATION};
use http::{HeaderValue, Method};
use url::Url;

use super::TOKEN_RESOURCE;
use super::location::{OperationUrl, call_url, with_version};
use super::model::{Offer, OfferSummary, PolledOperation, Slot, StatusReport, Submission};
use super::translate;
use super::wire::{PostMetadataWire, PostWire};
use crate::backends::http::ClientParts;
use crate::backends::http::advice::Advice;
use crate::backends::http::call::Call;
use crate::backends::http::endpoint::Endpoint;
use crate::backends::http::executor::RequestExecutor;
use crate::backends::http::response::ApiResponse;
use crate::marketplace::{
    Accepted, Fence, Launch, MarketplaceError, OfferId, OperationKind, OperationRef, PublisherId,
    RefusalKind,
};

/// The header that names the operation which a request has started.
const OPERATION_LOCATION: HeaderName = HeaderName::from_static("operation-location");

/// Minimum timeout of *get offer*: clients in the field waited for more than a minute, so often
/// that one of them raised its limit to this.
const GET_OFFER_TIMEOUT: Duration = Duration::from_mins(5);

/// The Cloud Partner Portal.
pub struct PortalClient {
    pub(super) executor: RequestExecutor,
}

impl PortalClient {
    /// A client of the marketplace at the endpoint.
    #[must_use]
    pub fn new(parts: ClientParts) -> Self {
        Self { executor: RequestExecutor::new(parts, &ADVICE) }
    }

    /// The base URL of its requests.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.executor.endpoint
    }

    /// The URL of a call on an offer.
    fn url(&self, offer: &OfferId, rest: &[&str]) -> Url {
        let head = ["publishers", offer.publisher().as_str(), "offers", offer.offer()];
        call_url(&self.executor.endpoint, &[&head, rest].concat())
    }

    /// The `If-Match` value: the entity tag, or `*` without one; the reference requires one of the
    /// two.
    fn if_match(&self, fence: Option<&Fence>) -> Result<HeaderValue, MarketplaceError> {
        let tag = fence.map_or("*", |tag| tag.0.as_str());
        // Only a tampered status file contains such a tag.
        HeaderValue::from_str(tag).map_err(|error| self.executor.not_sent(error.into()))
    }

    /// The operation that an answer has started: the first valid location of this offer,
    /// `Operation-Location` before `Location`.
    fn located(&self, offer: &OfferId, answer: &ApiResponse) -> Accepted {
        let mut why = None;
        for text in answer.texts(&OPERATION_LOCATION).chain(answer.texts(&LOCATION)) {
            if answer.cleaner.finds(text) {
                why.get_or_insert("ForeignOperationUrl: it has the token in it".to_owned());
                continue;
            }
            match OperationUrl::resolve(&self.executor.endpoint, offer, text) {
                Ok(url) => {
                    let (operation, retry_after) = (url.reference(), answer.retry_after);
                    return Accepted::Started { operation, retry_after };
                }
                Err(error) => {
                    why.get_or_insert(error.to_string());
                }
            }
        }
        let why = why.unwrap_or_else(|| "the answer names no operation".to_owned());
        Accepted::Unlocated { why }
    }

    /// The URL of an operation, checked again: its location may come from a file.
    fn operation_url(
        &self,
        offer: &OfferId,
        operation: &OperationRef,
    ) -> Result<OperationUrl, MarketplaceError> {
        let endpoint = &self.executor.endpoint;
        match &operation.location {
            Some(location) => OperationUrl::resolve(endpoint, offer, location),
            None => OperationUrl::by_id(endpoint, offer, &operation.id).ok_or_else(|| {
                let id = crate::marketplace::clean_line(&operation.id);
                MarketplaceError::ForeignOperationUrl(format!("{id:?} isn't a valid operation id"))
            }),
        }
    }
}

impl PortalClient {
    /// All offers of a publisher.
    pub async fn offers(
        &self,
        publisher: &PublisherId,
    ) -> Result<Vec<OfferSummary>, MarketplaceError> {
        let url = call_url(&self.executor.endpoint, &["publishers", publisher.as_str(), "offers"]);
        let call = Call::read("list offers", publisher, url);
        self.executor.list(call, with_version, |answer| translate::offers(answer, publisher)).await
    }

    /// The offer itself (its draft slot): the `ETag`.
    pub async fn offer(&self, offer: &OfferId) -> Result<Offer, MarketplaceError> {
        let mut call = Call::read("get offer", offer.publisher(), self.url(offer, &[]));
        call.least_timeout = GET_OFFER_TIMEOUT;
        self.executor.read(&call, |answer| translate::offer(answer, offer)).await
    }

    /// What a slot holds; `None` where the slot is empty.
    pub async fn slot(
        &self,
        offer: &OfferId,
        slot: Slot,
    ) -> Result<Option<Offer>, MarketplaceError> {
        let url = self.url(offer, &["slot", slot.as_str()]);
        let call = Call::read("get slot", offer.publisher(), url);
        match self.executor.read(&call, |answer| translate::offer(answer, offer)).await {
            Err(error) if error.kind() == Some(RefusalKind::NotFound) => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// The offer's status, with the steps of its last operation.
    pub async fn status(&self, offer: &OfferId) -> Result<StatusReport, MarketplaceError> {
        let call = Call::read("offer status", offer.publisher(), self.url(offer, &["status"]));
        self.executor
            .read(&call, |answer| translate::publication(answer, "an offer's status"))
            .await
    }

    /// The operations the marketplace remembers for an offer, in the order it lists them.
    pub async fn submissions(&self, offer: &OfferId) -> Result<Vec<Submission>, MarketplaceError> {
        // The reference writes a slash at the end of this path, and only of this one.
        let call =
            Call::read("list operations", offer.publisher(), self.url(offer, &["submissions", ""]));
        self.executor.list(call, with_version, translate::submissions).await
    }

    /// The state of one operation.
    ///
    /// # Errors
    ///
    /// If the operation has expired: [`MarketplaceError::Refused`] with status 404.
    pub async fn operation(
        &self,
        offer: &OfferId,
        operation: &OperationRef,
    ) -> Result<PolledOperation, MarketplaceError> {
        let url = self.operation_url(offer, operation)?.into_url();
        let call = Call::read("get operation", offer.publisher(), url);
        let read = |answer: &ApiResponse| {
            let operation = translate::publication(answer, "an operation")?;
            Ok(PolledOperation { operation, retry_after: answer.retry_after })
        };
        self.executor.read(&call, read).await
    }

    /// Starts a publish or a golive.
    pub async fn post(
        &self,
        offer: &OfferId,
        launch: &Launch,
    ) -> Result<Accepted, MarketplaceError> {
        let name = match launch.kind {
            OperationKind::Publish => "publish",
            OperationKind::GoLive => "golive",
            OperationKind::Cancel | OperationKind::Unknown(_) => {
                let why = format!("{:?} starts nothing", launch.kind.as_str());
                return Err(self.executor.not_sent(why.into()));
            }
        };
        let addresses = (!launch.notify.is_empty()).then(|| launch.notify.join(","));
        let body = PostWire { metadata: PostMetadataWire { notification_emails: addresses } };
        let body = serde_json::to_vec(&body).map_err(|e| self.executor.not_sent(e.into()))?;
        let call = Call {
            name,
            publisher: offer.publisher().clone(),
            method: Method::POST,
            url: self.url(offer, &[name]),
            body: Bytes::from(body),
            if_match: Some(self.if_match(launch.fence.as_ref())?),
            request_id: Some(launch.request_id.clone()),
            is_to_graph: false,
            least_timeout: Duration::ZERO,
        };
        let answer = self.executor.change(&call).await?;
        Ok(self.located(offer, &answer))
    }
}

impl fmt::Debug for PortalClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PortalClient").field("endpoint", self.endpoint()).finish_non_exhaustive()
    }
}

const ADVICE: Advice = Advice {
    resource: TOKEN_RESOURCE,
    forbidden: "the service principal is not on this publisher's account: add it in Partner \
                Center with the object id that it has in your own tenant (the enterprise \
                application's, not the app registration's)",
    not_found: "there is no such publisher or offer, or this token may not see it: compare the \
                ids with those that Partner Center shows; offers that were made in Partner Center \
                need the other API: try api: product-ingestion in golive.yaml, or --api",
};
