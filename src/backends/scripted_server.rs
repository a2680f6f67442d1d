//! A scripted server for the tests of both backends.

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

use super::http::{
    ClientParts, Dropped, InProcessTransport, MAX_BODY, Settings, Token, TokenSource, Transport,
};
use crate::clock::RuntimeClock;
use crate::marketplace::{MarketplaceError, OfferId, PublisherId};

/// A token that is easy to find where it must not be.
pub(crate) const TOKEN: &str =
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.c2VjcmV0LXNlY3JldA.s1gn+tu/re=";

/// A request that the server received.
#[derive(Clone, Debug)]
pub(crate) struct ReceivedRequest {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    pub(crate) at: Instant,
}

/// A server that gives prepared answers in turn, then 404s, and records the requests.
#[derive(Clone, Default)]
pub(crate) struct ScriptedServer {
    pub(crate) answers: Arc<Mutex<VecDeque<Response<Body>>>>,
    pub(crate) received: Arc<Mutex<Vec<ReceivedRequest>>>,
    pub(crate) latency: Duration,
    /// Requests under way now, and the maximum so far.
    pub(crate) busy: Arc<Mutex<(usize, usize)>>,
}

impl ScriptedServer {
    pub(crate) fn new(answers: impl IntoIterator<Item = Response<Body>>) -> Self {
        let answers = Arc::new(Mutex::new(answers.into_iter().collect()));
        Self { answers, ..Self::default() }
    }

    pub(crate) fn router(&self) -> Router {
        let server = self.clone();
        Router::new().fallback(move |request: Request| {
            let server = server.clone();
            async move { server.answer(request).await }
        })
    }

    pub(crate) fn transport(&self) -> Arc<InProcessTransport> {
        Arc::new(InProcessTransport::new(self.router()))
    }

    async fn answer(&self, request: Request) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, MAX_BODY).await.unwrap();
        self.received.lock().unwrap().push(ReceivedRequest {
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

    pub(crate) fn received(&self) -> Vec<ReceivedRequest> {
        self.received.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.received.lock().unwrap().len()
    }
}

/// The clients' time at the start of a test.
pub(crate) fn start() -> Timestamp {
    "2026-12-01T09:00:00Z".parse().unwrap()
}

pub(crate) fn clock() -> Arc<RuntimeClock> {
    Arc::new(RuntimeClock::starting_at(start()))
}

/// A client of this endpoint, at the start of a test.
pub(crate) fn client_parts(
    endpoint: &str,
    transport: Arc<dyn Transport>,
    tokens: Arc<dyn TokenSource>,
) -> ClientParts {
    ClientParts {
        endpoint: endpoint.parse().unwrap(),
        transport,
        tokens,
        clock: clock(),
        settings: Settings::default(),
        rng: fastrand::Rng::with_seed(1),
        permits: None,
    }
}

pub(crate) fn answer(status: u16, body: &str) -> Response<Body> {
    with(status, body, &[])
}

pub(crate) fn with(status: u16, body: &str, headers: &[(&str, &str)]) -> Response<Body> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Body::from(body.to_owned())).unwrap()
}

/// A connection that is reset before the answer comes.
pub(crate) fn dropped() -> Response<Body> {
    let mut response = answer(200, "");
    response.extensions_mut().insert(Dropped);
    response
}

pub(crate) fn vm() -> OfferId {
    "contoso/vm".parse().unwrap()
}

pub(crate) fn contoso() -> PublisherId {
    PublisherId::new("contoso").unwrap()
}

pub(crate) fn is_lost(error: &MarketplaceError) -> bool {
    matches!(error, MarketplaceError::Lost { .. })
}

/// Returns numbered tokens: a new one whenever the last one is rejected.
#[derive(Debug, Default)]
pub(crate) struct NumberedTokens(Mutex<u32>);

#[async_trait]
impl TokenSource for NumberedTokens {
    async fn token(&self, rejected: Option<&Token>) -> Result<Token, MarketplaceError> {
        let mut number = self.0.lock().unwrap();
        let current = |number: u32| Token::new(&format!("numbered-token-{number}")).unwrap();
        if rejected == Some(&current(*number)) {
            *number += 1;
        }
        Ok(current(*number))
    }
}
