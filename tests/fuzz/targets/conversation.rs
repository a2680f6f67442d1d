//! The emulator's HTTP surface: a conversation of requests with the router, in process.
//!
//! An input is a list of requests, parted by lines of `===`. A request is its line (`POST
//! /api/…`), headers, an empty line and a body; `wait 90` lets the time pass, in seconds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::body::{Body, to_bytes};
use golive::clock::Clock;
use golive::emulator::{self, Emulator, Entry, Seed};
use http::header::{HOST, LOCATION};
use http::{Method, Request, Response, StatusCode, Uri};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tower::ServiceExt as _;

use super::portal::{block_on, header, line};

/// The most requests of one input.
const MAX_REQUESTS: usize = 24;

/// The offers: a default one, one that advances by polls with unusual answers, one that fails, and one
/// that was never published.
const SEED: &str = "
strict: false
forbidden: [fabrikam]
stepTime: 10s
offers:
  contoso/vm: {}
  contoso/odd: {polls: 2, arrayForm: true, header: relative, casing: pascal, cancelAnswer: immediate}
  contoso/bad: {fail: {step: live}, retryAfter: 30}
  contoso/new: {status: NeverPublished, header: both}
";

pub fn emulator(data: &[u8]) {
    let clock = Arc::new(SetClock::default());
    let emulator = Emulator::new(SEEDS.with(Seed::clone), Arc::clone(&clock) as Arc<dyn Clock>);
    let mut talk = Conversation { router: emulator.router(), sent: 0, runs: BTreeMap::new() };
    let mut golives: BTreeMap<String, u64> = BTreeMap::new();
    for part in parts(data).take(MAX_REQUESTS) {
        if let Some(seconds) = part.strip_prefix(b"wait ") {
            clock.pass(seconds);
        } else if let Some(request) = request(part) {
            let golive = talk.send(request);
            if let Some(offer) = golive {
                *golives.entry(offer).or_default() += 1;
            }
        }
    }
    let journal = emulator.journal();
    assert_eq!(journal.entries().len(), talk.sent, "every request is written down");
    assert!(journal.entries().all(|entry| entry.status.is_some()), "and so is its answer");
    for (offer, times) in golives {
        let counted = journal.golives(&offer);
        // The answer to *configure* doesn't say whether something started.
        let by_configure = |entry: &Entry| {
            entry.accepted
                && entry.golive.as_ref().is_some_and(|own| own.offer == offer)
                && entry.path.to_ascii_lowercase().contains("configure")
        };
        let configured = journal.entries().filter(|entry| by_configure(entry)).count() as u64;
        assert_eq!(counted.accepted, times + configured, "golives of {offer}");
        assert!(counted.received >= counted.accepted);
    }
}

thread_local! {
    static SEEDS: Seed = emulator::parse(SEED).expect("a seed");
}

/// A clock that the input advances.
#[derive(Debug, Default)]
struct SetClock(AtomicI64);

impl SetClock {
    /// At most a day at a time, so that there is always a later moment.
    fn pass(&self, seconds: &[u8]) {
        let seconds = str::from_utf8(seconds).ok().and_then(|text| text.trim().parse().ok());
        self.0.fetch_add(seconds.unwrap_or(0).clamp(0, 86_400), Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        let passed = SignedDuration::from_secs(self.0.load(Ordering::Relaxed));
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(500_000) + passed
    }
}

fn parts(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(data);
    std::iter::from_fn(move || {
        let text = rest?;
        let at = text.windows(5).position(|window| window == b"\n===\n");
        rest = at.map(|at| &text[at + 5..]);
        Some(&text[..at.unwrap_or(text.len())])
    })
}

/// A request, if it is valid HTTP: others don't reach a router.
fn request(mut part: &[u8]) -> Option<Request<Body>> {
    let first = line(&mut part);
    let space = first.iter().position(|byte| *byte == b' ')?;
    let mut request = Request::new(Body::empty());
    *request.method_mut() = Method::from_bytes(&first[..space]).ok()?;
    *request.uri_mut() = Uri::try_from(&first[space + 1..]).ok()?;
    loop {
        let text = line(&mut part);
        if text.is_empty() {
            break;
        }
        let (name, value) = header(text)?;
        request.headers_mut().append(name, value);
    }
    *request.body_mut() = Body::from(part.to_vec());
    Some(request)
}

/// The state of a conversation.
struct Conversation {
    router: Router,
    sent: usize,
    /// The URL of each offer's last accepted operation.
    runs: BTreeMap<String, Uri>,
}

impl Conversation {
    /// Sends a request and checks its answer. Returns the offer if it was an accepted golive.
    fn send(&mut self, request: Request<Body>) -> Option<String> {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let (verb, offer) = starts(&method, uri.path()).unzip();
        let (response, body) = self.exchange(request);
        assert_answered(&method, &response, &body);
        let offer = offer.filter(|_| response.status() == StatusCode::ACCEPTED)?;
        if let Some(before) = self.runs.remove(&offer) {
            self.assert_ended(before);
        }
        let location = response.headers().get(LOCATION).expect("each seed has a Location");
        let location = Uri::try_from(location.as_bytes()).expect("a URL");
        self.runs.insert(offer.clone(), location);
        (verb == Some("golive")).then_some(offer)
    }

    /// Fails if the operation still runs: an offer never has two running operations.
    fn assert_ended(&mut self, location: Uri) {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = location;
        request.headers_mut().insert("authorization", "Bearer x".parse().expect("a value"));
        request.headers_mut().insert(HOST, "localhost".parse().expect("a value"));
        let (response, body) = self.exchange(request);
        if response.status() == StatusCode::NOT_FOUND {
            return;
        }
        assert_eq!(response.status(), StatusCode::OK);
        let operation: Value = serde_json::from_slice(&body).expect("JSON");
        let operation = operation.get(0).unwrap_or(&operation);
        let status = operation["status"].as_str().unwrap_or_default().to_ascii_lowercase();
        let ended = ["succeeded", "failed", "canceled"].contains(&status.as_str());
        assert!(ended, "a second operation was accepted while the first is {status}");
    }

    fn exchange(&mut self, request: Request<Body>) -> (Response<()>, Vec<u8>) {
        self.sent += 1;
        block_on(async {
            let Ok(response) = self.router.clone().oneshot(request).await;
            let (parts, body) = response.into_parts();
            let body = to_bytes(body, 1 << 24).await.expect("a body that ends");
            (Response::from_parts(parts, ()), body.to_vec())
        })
    }
}

/// The verb and the offer of a request that starts an operation.
fn starts(method: &Method, path: &str) -> Option<(&'static str, String)> {
    let decode = |part| percent_encoding::percent_decode_str(part).decode_utf8_lossy();
    let path = path.strip_prefix('/')?;
    let path = path.strip_suffix('/').unwrap_or(path);
    let words: Vec<_> = path.split('/').map(|part| decode(part).to_ascii_lowercase()).collect();
    let [api, publishers, publisher, offers, offer, verb] = words.as_slice() else { return None };
    let verb = ["publish", "golive"].into_iter().find(|known| known == verb)?;
    let known = [api.as_str(), publishers, offers] == ["api", "publishers", "offers"];
    (known && method == Method::POST).then(|| (verb, format!("{publisher}/{offer}")))
}

/// Checks an answer: errors have the documented shape or, like the real service, a text; and no request
/// causes a 5xx.
fn assert_answered(method: &Method, response: &Response<()>, body: &[u8]) {
    let status = response.status();
    assert!(!status.is_server_error(), "{status}");
    assert!(response.headers().contains_key("x-ms-request-id"));
    if (status.is_client_error() || status.is_redirection()) && method != Method::HEAD {
        let body: Value = serde_json::from_slice(body).expect("an error is JSON");
        let texts = match body.as_str() {
            Some(text) => vec![Some(text)],
            None => ["code", "message"].map(|field| body["error"][field].as_str()).to_vec(),
        };
        for text in texts {
            assert!(!text.expect("an error has a code and a message").is_empty());
        }
    }
}
