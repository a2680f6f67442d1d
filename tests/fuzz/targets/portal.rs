//! The marketplace's client, with the input as answers and recorded requests.

use std::error::Error;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use golive::backends::http::{
    ClientParts, EnvToken, RetryPolicy, Settings, TokenSource, Transport, TransportError,
};
use golive::backends::portal::PortalClient;
use golive::clock::Clock;
use golive::marketplace::MAX_RETRY_AFTER;
use golive::marketplace::MarketplaceError;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use jiff::Timestamp;
use tokio::runtime::{Builder, Runtime};

use super::text::assert_clean;

/// The token, which no text may show.
const TOKEN: &str = "s3cr3t-0123456789-s3cr3t";

/// A part of the token this long must not show either.
const PART: usize = 16;

/// A client, and the server's state.
pub(super) struct Portal {
    pub(super) client: PortalClient,
    answers: Arc<ResponseOverrides>,
}

impl Portal {
    /// Every request gets this answer.
    pub(super) fn new(endpoint: &str, answer: Response<Bytes>) -> Self {
        let answers = Arc::new(ResponseOverrides { answer, asked: Mutex::default() });
        // A read is not repeated: the answer would be the same.
        let retry = RetryPolicy { tries: 1, ..RetryPolicy::default() };
        let settings = Settings { retry, ..Settings::default() };
        let client = PortalClient::new(ClientParts {
            endpoint: endpoint.parse().expect("an endpoint"),
            transport: Arc::clone(&answers) as _,
            tokens: TOKENS.with(Arc::clone),
            clock: Arc::new(Noon),
            settings,
            rng: fastrand::Rng::with_seed(1),
            permits: None,
        });
        Self { client, answers }
    }

    /// The requested URLs since the last call.
    pub(super) fn asked(&self) -> Vec<Uri> {
        std::mem::take(&mut *self.answers.asked.lock().expect("no panic holds it"))
    }
}

thread_local! {
    // The token's encodings are computed once, not for every input.
    static TOKENS: Arc<dyn TokenSource> = Arc::new(EnvToken::new(Some(TOKEN)).expect("a token"));
    static RUNTIME: Runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
}

/// Runs a future that waits only for the paused time.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    RUNTIME.with(|runtime| runtime.block_on(future))
}

#[derive(Debug)]
struct ResponseOverrides {
    answer: Response<Bytes>,
    asked: Mutex<Vec<Uri>>,
}

#[async_trait]
impl Transport for ResponseOverrides {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        self.asked.lock().expect("no panic holds it").push(request.uri().clone());
        Ok(self.answer.clone())
    }
}

/// A clock that stands still.
#[derive(Debug)]
pub(super) struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        "2026-12-01T12:00:00Z".parse().expect("a moment")
    }
}

/// Parses an answer: `HTTP/1.1 202`, headers, an empty line, the body. Any other input is a body,
/// answered with `status`.
pub(super) fn answer(data: &[u8], status: u16) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    let Some(mut rest) = data.strip_prefix(b"HTTP/1.1 ") else {
        *response.body_mut() = Bytes::copy_from_slice(data);
        return response;
    };
    let first = line(&mut rest);
    if let Ok(status) = StatusCode::from_bytes(first.get(..3).unwrap_or_default()) {
        *response.status_mut() = status;
    }
    loop {
        let header = line(&mut rest);
        if header.is_empty() {
            break;
        }
        if let Some((name, value)) = self::header(header) {
            response.headers_mut().append(name, value);
        }
    }
    *response.body_mut() = Bytes::copy_from_slice(rest);
    response
}

/// Takes a line off a text.
pub(super) fn line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let (line, tail) = rest.split_at(end);
    *rest = tail.get(1..).unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// A header's name and value, if valid.
pub(super) fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = HeaderName::from_bytes(&line[..colon]).ok()?;
    let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
    Some((name, value))
}

/// Fails unless a text from an answer is harmless to show and has no part of the token.
pub(super) fn assert_harmless(text: &str) {
    assert_clean(text);
    // Every part of that length contains the token's middle.
    if text.contains(&TOKEN[TOKEN.len() - PART..PART]) {
        let mut parts = (0..=TOKEN.len() - PART).map(|start| &TOKEN[start..start + PART]);
        assert!(!parts.any(|part| text.contains(part)), "{text:?} has a part of the token in it");
    }
}

/// Checks an error: its texts are harmless, and its `Retry-After` is bounded.
pub(super) fn assert_harmless_error(error: &MarketplaceError) {
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(error) = cause {
        assert_harmless(&error.to_string());
        cause = error.source();
    }
    assert!(error.retry_after().unwrap_or_default() <= MAX_RETRY_AFTER, "{error:?}");
}
