//! The client against scripted servers: in process with paused time, and on sockets of this
//! machine in real time.

mod bodies;
mod inspect;
mod logs;
mod pages;
mod pauses;
mod posts;
mod reads;
mod sockets;
mod spelling;
mod tokens;
mod turns;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use http::{HeaderMap, Method, Response};
use jiff::Timestamp;
use tokio::time::Instant;

use super::*;
use crate::backends::http::{
    AnonymousToken, Dropped, Endpoint, EnvToken, FileToken, HttpTransport, InProcessTransport,
    MAX_BODY, RetryPolicy, Settings, Token, TokenSource, Transport, TransportError,
};
use crate::clock::RuntimeClock;
use crate::marketplace::{
    Backend as _, Fence, Launch, MarketplaceError, OfferId, OperationKind, PublisherId, Refusal,
    Release, RequestId,
};

/// A token that is easy to find where it must not be.
const TOKEN: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.c2VjcmV0LXNlY3JldA.s1gn+tu/re=";

/// What the server saw.
#[derive(Clone, Debug)]
struct Seen {
    method: Method,
    target: String,
    headers: HeaderMap,
    body: String,
    at: Instant,
}

type Responses = VecDeque<Response<Body>>;

/// A server that gives prepared answers in turn, then 404s, and keeps what it was asked.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<Responses>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    latency: Duration,
    /// Requests under way now, and the most there were at once.
    busy: Arc<Mutex<(usize, usize)>>,
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Response<Body>>) -> Self {
        let answers = Arc::new(Mutex::new(answers.into_iter().collect()));
        Self { answers, ..Self::default() }
    }

    fn router(&self) -> Router {
        let script = self.clone();
        Router::new().fallback(move |request: Request| {
            let script = script.clone();
            async move { script.answer(request).await }
        })
    }

    async fn answer(&self, request: Request) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, MAX_BODY).await.unwrap();
        self.seen.lock().unwrap().push(Seen {
            method: parts.method,
            target: parts.uri.to_string(),
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
            at: Instant::now(),
        });
        {
            let mut busy = self.busy.lock().unwrap();
            busy.0 += 1;
            busy.1 = busy.1.max(busy.0);
        }
        tokio::time::sleep(self.latency).await;
        self.busy.lock().unwrap().0 -= 1;
        self.answers.lock().unwrap().pop_front().unwrap_or_else(|| answer(404, ""))
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    fn client(&self) -> PortalClient {
        self.client_with(Settings::default(), Arc::new(EnvToken::new(Some(TOKEN)).unwrap()))
    }

    fn client_with(&self, settings: Settings, tokens: Arc<dyn TokenSource>) -> PortalClient {
        let transport = Arc::new(InProcessTransport::new(self.router()));
        client(Endpoint::DEFAULT, transport, tokens, settings)
    }
}

fn client(
    endpoint: &str,
    transport: Arc<dyn Transport>,
    tokens: Arc<dyn TokenSource>,
    settings: Settings,
) -> PortalClient {
    let clock = Arc::new(RuntimeClock::starting_at(start()));
    let rng = fastrand::Rng::with_seed(1);
    PortalClient::new(endpoint.parse().unwrap(), transport, tokens, clock, settings, rng)
}

fn start() -> Timestamp {
    "2026-12-01T09:00:00Z".parse().unwrap()
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

fn vm() -> OfferId {
    "contoso/vm".parse().unwrap()
}

fn contoso() -> PublisherId {
    PublisherId::new("contoso").unwrap()
}

fn golive() -> Launch {
    Launch {
        kind: OperationKind::GoLive,
        release: Release::from(7),
        fence: Some(Fence("\"7\"".to_owned())),
        request_id: RequestId::from_random([7; 16]),
        notify: Vec::new(),
    }
}

fn refusal(error: &MarketplaceError) -> &Refusal {
    match error {
        MarketplaceError::Refused(refusal) => refusal,
        other @ (MarketplaceError::NotSent { .. }
        | MarketplaceError::Lost { .. }
        | MarketplaceError::Token(_)
        | MarketplaceError::ForeignOperationUrl(_)) => panic!("{other}"),
    }
}

/// The HTTP status of a refusal.
trait Status {
    fn status(&self) -> Option<u16>;
}

impl Status for MarketplaceError {
    fn status(&self) -> Option<u16> {
        self.kind()?;
        refusal(self).answer.split(' ').next()?.parse().ok()
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
