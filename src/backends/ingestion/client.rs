//! The calls of the Product Ingestion API.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use url::Url;

use super::errors;
use super::model::{DRAFT, Job, ListedProduct, Submission};
use super::products::Products;
use super::translate;
use super::wire::{
    API_VERSION, CONFIGURE_SCHEMA, ConfigureWire, SUBMISSION_SCHEMA, SubmissionWire, TargetWire,
    VERSION_PARAMETER,
};
use crate::backends::http::ClientParts;
use crate::backends::http::call::Call;
use crate::backends::http::endpoint::Endpoint;
use crate::backends::http::executor::RequestExecutor;
use crate::marketplace::{
    Accepted, Launch, MarketplaceError, OfferId, OperationKind, OperationRef, PausedUntil,
    PublisherId, RefusalKind,
};

/// The service's own address.
pub const DEFAULT_ENDPOINT: &str = "https://graph.microsoft.com";

/// The scope of its tokens. Another service's token is answered 401 "Invalid audience" (seen by
/// clients).
pub const TOKEN_SCOPE: &str = "https://graph.microsoft.com/.default";

/// The path of the API at its endpoint.
const BASE: [&str; 2] = ["rp", "product-ingestion"];

/// Minimum timeout of a read: 5 s and 15 s were too short (seen by clients).
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Minimum timeout of *configure* and *cancel*: one that is cut off early is in doubt for minutes.
const CHANGE_TIMEOUT: Duration = Duration::from_mins(1);

/// The Product Ingestion API, with one account's tokens: no request names a publisher, so the token
/// alone decides whose products are meant (documented).
pub struct IngestionClient {
    pub(super) executor: RequestExecutor,
    pub(super) products: Products,
}

/// The answer to a request to cancel an operation. How the operation ends, the offer shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cancellation {
    /// The service took it.
    Asked,
    /// It refused, with this reason: a publish that is far enough along can't be canceled
    /// (documented).
    Refused(String),
}

impl IngestionClient {
    /// A client of the API at the endpoint, which is an origin: the client adds the path.
    #[must_use]
    pub fn new(parts: ClientParts) -> Self {
        let executor = RequestExecutor::new(parts, &errors::ADVICE);
        Self { executor, products: Products::default() }
    }

    /// The endpoint of its requests.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.executor.endpoint
    }

    /// The longest time from handing over a change to its end: as long for the permit to send it as
    /// for its answer.
    pub(super) fn longest_change(&self) -> Duration {
        let timeout = self.executor.settings.request_timeout;
        timeout.saturating_add(timeout.max(CHANGE_TIMEOUT))
    }

    pub(super) fn pauses(&self) -> PausedUntil {
        self.executor.paused_until()
    }

    /// The URL of a call.
    fn url(&self, path: &[&str], query: Option<(&str, &str)>) -> Url {
        let mut url = self.executor.endpoint.at(&[&BASE, path].concat());
        if let Some((name, value)) = query {
            url.query_pairs_mut().append_pair(name, value);
        }
        with_version(&mut url);
        url
    }

    fn read(name: &'static str, publisher: &PublisherId, url: Url) -> Call {
        Call { least_timeout: READ_TIMEOUT, is_to_graph: true, ..Call::read(name, publisher, url) }
    }

    /// All products of the account.
    pub(super) async fn all_products(
        &self,
        publisher: &PublisherId,
    ) -> Result<Vec<ListedProduct>, MarketplaceError> {
        let call = Self::read("list products", publisher, self.url(&["product"], None));
        let parse = |answer: &_| translate::products(answer, publisher);
        self.executor.list(call, with_version, parse).await
    }

    /// The products that have an offer's name.
    pub(super) async fn products_named(
        &self,
        offer: &OfferId,
    ) -> Result<Vec<ListedProduct>, MarketplaceError> {
        let publisher = offer.publisher();
        let url = self.url(&["product"], Some(("externalId", offer.offer())));
        let call = Self::read("find product", publisher, url);
        let parse = |answer: &_| translate::products(answer, publisher);
        let mut found = self.executor.list(call, with_version, parse).await?;
        // A service that doesn't know the parameter would give all products.
        found.retain(|it| it.offer == *offer);
        Ok(found)
    }

    /// The active submissions of a product, in no order that means anything.
    pub(super) async fn submissions(
        &self,
        publisher: &PublisherId,
        guid: &str,
    ) -> Result<Vec<Submission>, MarketplaceError> {
        let url = self.url(&["submission", guid], None);
        let call = Self::read("list submissions", publisher, url);
        self.executor.list(call, with_version, |answer| translate::submissions(answer, guid)).await
    }

    /// The state of a job, with its errors, and how long the service asks to wait before the next
    /// read. *Job detail* has no errors (documented).
    pub(super) async fn job(
        &self,
        publisher: &PublisherId,
        id: &str,
    ) -> Result<(Job, Option<Duration>), MarketplaceError> {
        let url = self.url(&["configure", id, "status"], None);
        let call = Self::read("job status", publisher, url);
        self.executor
            .read(&call, |answer| Ok((translate::job(answer, id)?, answer.retry_after)))
            .await
    }

    /// Starts a publish or a golive of a product, by *configure*.
    pub(super) async fn configure(
        &self,
        offer: &OfferId,
        guid: &str,
        launch: &Launch,
    ) -> Result<Accepted, MarketplaceError> {
        let (name, body) = match launch.kind {
            OperationKind::Publish => ("publish", body(guid, "preview", None)),
            OperationKind::GoLive => {
                let number = self.golive_number(launch)?;
                ("golive", body(guid, "live", Some(number)))
            }
            OperationKind::Cancel | OperationKind::Unknown(_) => {
                let why = format!("{:?} starts nothing", launch.kind.as_str());
                return Err(self.executor.not_sent(why.into()));
            }
        };
        let body = serde_json::to_vec(&body).map_err(|e| self.executor.not_sent(e.into()))?;
        let url = self.url(&["configure"], None);
        let mut call = change(name, offer.publisher(), url, Bytes::from(body));
        call.request_id = Some(launch.request_id.clone());
        let answer = self.executor.change(&call).await.map_err(errors::of_configure)?;
        Ok(match translate::job_id(&answer) {
            Ok(id) => Accepted::Started {
                operation: OperationRef { id, location: None },
                retry_after: answer.retry_after,
            },
            Err(why) => Accepted::Unlocated { why },
        })
    }

    /// The number of the preview that a golive names, which is its fence, too: without it, or with
    /// 0, the service refuses a golive (seen by clients).
    fn golive_number<'a>(&self, launch: &'a Launch) -> Result<&'a str, MarketplaceError> {
        let number = launch.release.as_str();
        let is_fence = launch.fence.as_ref().is_none_or(|fence| fence.0 == number);
        if is_fence && translate::is_id(number) && number != DRAFT {
            return Ok(number);
        }
        // Only a tampered status file has such a release.
        let why = format!("{number:?} names no submission that can go live");
        Err(self.executor.not_sent(why.into()))
    }

    /// Asks the service to cancel a running operation. Sent once, like any change.
    pub async fn cancel(
        &self,
        publisher: &PublisherId,
        operation: &OperationRef,
    ) -> Result<Cancellation, MarketplaceError> {
        if !translate::is_id(&operation.id) {
            let why = "the id of its job is not known: cancel it in Partner Center";
            return Ok(Cancellation::Refused(why.to_owned()));
        }
        let url = self.url(&["configure", &operation.id, "cancel"], None);
        match self.executor.change(&change("cancel", publisher, url, Bytes::new())).await {
            Ok(_) => Ok(Cancellation::Asked),
            Err(error) => match error.kind() {
                Some(RefusalKind::Invalid | RefusalKind::Conflict) => {
                    Ok(Cancellation::Refused(error.to_string()))
                }
                Some(
                    RefusalKind::Unauthenticated
                    | RefusalKind::Forbidden
                    | RefusalKind::NotFound
                    | RefusalKind::Throttled
                    | RefusalKind::Unavailable
                    | RefusalKind::Failed
                    | RefusalKind::Other,
                )
                | None => Err(error),
            },
        }
    }
}

fn change(name: &'static str, publisher: &PublisherId, url: Url, body: Bytes) -> Call {
    Call {
        name,
        publisher: publisher.clone(),
        method: Method::POST,
        url,
        body,
        if_match: None,
        request_id: None,
        is_to_graph: true,
        least_timeout: CHANGE_TIMEOUT,
    }
}

/// The body of *configure*. It is built, never a submission that was read: that one may come in a
/// newer schema, which is refused (seen by clients).
fn body(guid: &str, target: &str, number: Option<&str>) -> ConfigureWire {
    let submission = SubmissionWire {
        schema: Some(SUBMISSION_SCHEMA.to_owned()),
        id: number.map(|number| format!("submission/{guid}/{number}")),
        product: Some(format!("product/{guid}")),
        target: TargetWire { target_type: Some(target.to_owned()) },
        ..SubmissionWire::default()
    };
    ConfigureWire { schema: Some(CONFIGURE_SCHEMA.to_owned()), resources: vec![submission] }
}

/// Adds the version where a URL has none, as the link to a page may not. A `$` stands for itself in
/// a query.
fn with_version(url: &mut Url) {
    if url.query_pairs().any(|(name, _)| name.eq_ignore_ascii_case(VERSION_PARAMETER)) {
        return;
    }
    let version = format!("{VERSION_PARAMETER}={API_VERSION}");
    let query = match url.query().filter(|query| !query.is_empty()) {
        Some(query) => format!("{query}&{version}"),
        None => version,
    };
    url.set_query(Some(&query));
}

impl fmt::Debug for IngestionClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IngestionClient").field("endpoint", self.endpoint()).finish_non_exhaustive()
    }
}
