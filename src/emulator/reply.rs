//! An HTTP answer before it goes out, whatever the API.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::seed::scalar::RetryAfter;

/// An answer, before it goes out.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub status: StatusCode,
    pub headers: Vec<(HeaderName, String)>,
    pub body: Vec<u8>,
    /// What went wrong, for people, where this is an error.
    pub problem: Option<String>,
    /// Whether the request changed something.
    pub accepted: bool,
}

impl Reply {
    /// An answer without a body.
    pub(super) fn empty(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), problem: None, accepted: false }
    }

    /// A JSON answer.
    pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Self {
        // The wire types have text keys only: they serialize.
        let body = serde_json::to_vec(value).unwrap_or_default();
        let json = "application/json; charset=utf-8".to_owned();
        Self { body, ..Self::empty(status) }.with(header::CONTENT_TYPE, json)
    }

    /// The same answer with another JSON body.
    pub(super) fn with_body(self, value: &impl Serialize) -> Self {
        Self { body: serde_json::to_vec(value).unwrap_or_default(), ..self }
    }

    pub(super) fn with(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn with_retry_after(self, retry_after: Option<&RetryAfter>) -> Self {
        match retry_after {
            Some(retry_after) => self.with(header::RETRY_AFTER, retry_after.to_string()),
            None => self,
        }
    }

    /// The answer as it goes out.
    pub(super) fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        for (name, value) in self.headers {
            // An id of a client may have characters that no header can have: leave that header out.
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}
