//! The client against scripted servers, in process, with paused time.

mod inspect;
mod posts;
mod reads;
mod runs;
mod service;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use http::{HeaderMap, Method, Response};
use tokio::time::Instant;

use super::*;
use crate::backends::http::{
    Dropped, EnvToken, InProcessTransport, MAX_BODY, Settings, Token, TokenSource,
};
use crate::clock::RuntimeClock;
use crate::marketplace::{
    Backend as _, Fence, Following, Inquiry, Launch, MarketplaceError, OfferId, OperationKind,
    OperationRef, PublisherId, RefusalKind, Release, RequestId,
};

/// A token that is easy to find where it must not be.
const TOKEN: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.c2VjcmV0LXNlY3JldA.s1gn+tu/re=";

const GUID: &str = "5d3a7f2e-0b1c-4c6e-9a52-1f2e3d4c5b6a";
const JOB: &str = "7b1a6cd2-4a6b-4b3e-9d53-0a1c1f2e3d4c";

/// What the server saw.
#[derive(Clone, Debug)]
struct Seen {
    method: Method,
    target: String,
    headers: HeaderMap,
    body: String,
}

/// A server that gives prepared answers in turn, then 404s, and keeps what it was asked.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<Response<Body>>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    latency: Duration,
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Response<Body>>) -> Self {
        let answers = Arc::new(Mutex::new(answers.into_iter().collect()));
        Self { answers, ..Self::default() }
    }

    /// The same with more answers.
    fn then(&self, answers: impl IntoIterator<Item = Response<Body>>) {
        self.answers.lock().unwrap().extend(answers);
    }

    async fn answer(&self, request: Request) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, MAX_BODY).await.unwrap();
        self.seen.lock().unwrap().push(Seen {
            method: parts.method,
            target: parts.uri.to_string(),
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        });
        tokio::time::sleep(self.latency).await;
        self.answers.lock().unwrap().pop_front().unwrap_or_else(|| answer(404, ""))
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// What was asked: method and path after the base, without the version.
    fn asked(&self) -> Vec<String> {
        let short = |seen: Seen| {
            let path = seen.target.split_once("/rp/product-ingestion/").unwrap().1.to_owned();
            let path = path.replace("$version=2022-03-01-preview2", "").replace(GUID, "GUID");
            format!("{} {}", seen.method, path.replace(JOB, "JOB").trim_end_matches(['?', '&']))
        };
        self.seen().into_iter().map(short).collect()
    }

    fn client(&self) -> IngestionClient {
        self.client_with(Arc::new(EnvToken::new(Some(TOKEN)).unwrap()))
    }

    fn client_with(&self, tokens: Arc<dyn TokenSource>) -> IngestionClient {
        let script = self.clone();
        let router = Router::new().fallback(move |request: Request| {
            let script = script.clone();
            async move { script.answer(request).await }
        });
        let transport = Arc::new(InProcessTransport::new(router));
        let clock = RuntimeClock::starting_at("2026-12-01T09:00:00Z".parse().unwrap());
        let (endpoint, rng) = (DEFAULT_ENDPOINT.parse().unwrap(), fastrand::Rng::with_seed(1));
        IngestionClient::new(endpoint, transport, tokens, Arc::new(clock), Settings::default(), rng)
    }

    /// A client that knows the product of `contoso/vm`.
    async fn acquainted(&self) -> IngestionClient {
        self.answers.lock().unwrap().push_front(products(&[("vm", GUID, "")]));
        let client = self.client();
        client.survey(&contoso()).await.unwrap();
        self.seen.lock().unwrap().clear();
        client
    }
}

fn answer(status: u16, body: &str) -> Response<Body> {
    with(status, body, &[])
}

fn with(status: u16, body: &str, headers: &[(&str, &str)]) -> Response<Body> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Body::from(body.to_owned())).unwrap()
}

/// A connection that is reset before the answer comes.
fn dropped() -> Response<Body> {
    let mut response = answer(200, "");
    response.extensions_mut().insert(Dropped);
    response
}

/// A list of products: name, GUID, further fields.
fn products(all: &[(&str, &str, &str)]) -> Response<Body> {
    let product = |(name, guid, more): &(&str, &str, &str)| {
        format!(
            r#"{{"$schema": "https://product-ingestion.azureedge.net/schema/product/2022-03-01-preview3",
                "id": "product/{guid}", "identity": {{"externalId": "{name}"}},
                "type": "azureVirtualMachine", "alias": "x"{more}}}"#
        )
    };
    let all: Vec<_> = all.iter().map(product).collect();
    answer(200, &format!(r#"{{"value": [{}]}}"#, all.join(",")))
}

/// A submission as the service writes it: number, target, status, result.
fn submission(number: &str, target: &str, status: &str, result: &str) -> String {
    let state = match status {
        "" => String::new(),
        _ => format!(
            r#", "status": "{status}", "result": "{result}",
                "created": "2026-11-2{}T10:00:00.1234567Z""#,
            number.len() % 10
        ),
    };
    format!(
        r#"{{"$schema": "https://schema.mp.microsoft.com/schema/submission/2022-03-01-preview2",
            "id": "submission/{GUID}/{number}", "product": "product/{GUID}",
            "target": {{"targetType": "{target}"}}, "lifecycleState": "generallyAvailable",
            "resourceName": "x"{state}}}"#
    )
}

/// A list of submissions, with the draft before them.
fn submissions(all: &[&str]) -> Response<Body> {
    let mut list = vec![submission("0", "draft", "", "")];
    for text in all {
        let words: Vec<_> = text.split([' ', '/']).collect();
        let [number, target, status, result] = words[..] else { panic!("{text}") };
        list.push(submission(number, target, status, result));
    }
    answer(200, &format!(r#"{{"value": [{}]}}"#, list.join(",")))
}

/// A job, with these errors.
fn job(status: &str, result: &str, errors: &str) -> String {
    format!(
        r#"{{"$schema": "https://schema.mp.microsoft.com/schema/configure-status/2022-03-01-preview2",
            "jobId": "{JOB}", "jobStatus": "{status}", "jobResult": "{result}",
            "jobStart": "2026-11-30T10:00:00.1234567Z", "jobEnd": "0001-01-01T00:00:00",
            "resourceUri": "https://product-ingestion.mp.microsoft.com/configure/{JOB}",
            "errors": [{errors}]}}"#
    )
}

fn vm() -> OfferId {
    "contoso/vm".parse().unwrap()
}

fn contoso() -> PublisherId {
    PublisherId::new("contoso").unwrap()
}

fn golive() -> Launch {
    Launch {
        kind: OperationKind::GoLive,
        release: Release::new("1152921504606846977"),
        fence: Some(Fence("1152921504606846977".to_owned())),
        request_id: RequestId::from_random([7; 16]),
        notify: Vec::new(),
    }
}

fn publish() -> Launch {
    let kind = OperationKind::Publish;
    Launch { kind, release: Release::new("0"), fence: None, ..golive() }
}

fn look() -> Inquiry {
    Inquiry { wants_live: true, ..Inquiry::default() }
}

/// golive follows the golive of release 2.
fn following() -> Following {
    Following {
        kind: OperationKind::GoLive,
        operation: Some(OperationRef { id: JOB.to_owned(), location: None }),
        release: Some(Release::new("2")),
        latest: None,
    }
}

fn is_lost(error: &MarketplaceError) -> bool {
    matches!(error, MarketplaceError::Lost { .. })
}

/// Gives numbered tokens: a new one each time the last is rejected.
#[derive(Debug, Default)]
struct Numbered(Mutex<u32>);

#[async_trait]
impl TokenSource for Numbered {
    async fn token(&self, rejected: Option<&Token>) -> Result<Token, MarketplaceError> {
        let mut number = self.0.lock().unwrap();
        let current = |number: u32| Token::new(&format!("numbered-token-{number}")).unwrap();
        if rejected == Some(&current(*number)) {
            *number += 1;
        }
        Ok(current(*number))
    }
}
