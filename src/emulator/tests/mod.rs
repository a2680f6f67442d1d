//! The emulator in process, in virtual time; `socket` has the few tests on a socket.

mod calls;
mod faults;
mod field;
mod ingestion;
mod journal;
mod life;
mod memory;
mod quirks;
mod rules;
mod seeds;
mod shapes;
mod socket;

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::{HeaderMap, Request};
use serde_json::Value;
use tower::ServiceExt as _;

use super::{Emulator, Profile, Seed, parse};
use crate::backends::http::Dropped;
use crate::clock::RuntimeClock;

/// Where tests begin.
fn clock() -> Arc<RuntimeClock> {
    Arc::new(RuntimeClock::starting_at("2026-01-01T00:00:00Z".parse().unwrap()))
}

/// A marketplace as the reference describes it.
fn emulator(seed: &str) -> Emulator {
    Emulator::new(Seed { profile: Profile::Documented, ..seed_of(seed) }, clock())
}

/// A marketplace as the field knows it, which is the default.
fn field(seed: &str) -> Emulator {
    Emulator::new(seed_of(seed), clock())
}

#[track_caller]
fn seed_of(yaml: &str) -> Seed {
    parse(yaml).unwrap_or_else(|error| panic!("{}", problem(&error)))
}

/// What an error says, to its root.
fn problem(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), problem)
}

/// An answer, read whole.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    json: Value,
    dropped: bool,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn code(&self) -> &str {
        self.json["error"]["code"].as_str().unwrap_or_default()
    }
}

/// One request, all of it said by the caller.
async fn raw(
    emulator: &Emulator,
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let response = emulator.router().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, 1 << 24).await.unwrap_or_default();
    Answer {
        status: parts.status.as_u16(),
        dropped: parts.extensions.get::<Dropped>().is_some(),
        headers: parts.headers,
        json: serde_json::from_slice(&bytes).unwrap_or_default(),
    }
}

/// A request below `/api/publishers`, with a token, a host and the version.
async fn send(emulator: &Emulator, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut all = vec![("authorization", "Bearer t"), ("host", "localhost:8080")];
    all.extend_from_slice(headers);
    let join = if path.contains('?') { '&' } else { '?' };
    let uri = format!("/api/publishers/{path}{join}api-version=2017-10-31");
    raw(emulator, method, &uri, &all, "").await
}

async fn get(emulator: &Emulator, path: &str) -> Answer {
    send(emulator, "GET", path, &[]).await
}

async fn post(emulator: &Emulator, path: &str) -> Answer {
    send(emulator, "POST", path, &[]).await
}

async fn put(emulator: &Emulator, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut all = vec![("authorization", "Bearer t")];
    all.extend_from_slice(headers);
    let uri = format!("/api/publishers/{path}?api-version=2017-10-31");
    raw(emulator, "PUT", &uri, &all, body).await
}

/// The text at a place of what GET answers.
async fn text(emulator: &Emulator, path: &str, pointer: &str) -> String {
    let answer = get(emulator, path).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    let value = answer.json.pointer(pointer).unwrap_or_else(|| panic!("{pointer} in {answer:?}"));
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The statuses of an offer's steps.
async fn steps(emulator: &Emulator, path: &str) -> Vec<String> {
    let answer = get(emulator, path).await;
    let steps = answer.json["steps"].as_array().unwrap().clone();
    steps.iter().map(|step| step["status"].as_str().unwrap().to_owned()).collect()
}

async fn pass(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}
