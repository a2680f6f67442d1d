//! Answers, as the API gives them.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::behaviour::{Header, Kind};
use super::dialect::Behaviour;
use super::model::Offer;
use super::operation::Operation;
use crate::backends::portal::wire::{API_VERSION, ErrorBodyWire, ErrorWire};

/// An answer, before it goes out.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    status: StatusCode,
    headers: Vec<(HeaderName, String)>,
    body: Vec<u8>,
    /// What went wrong, where something did.
    problem: Option<String>,
    /// Whether the request was done.
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

    /// An error in the API's form.
    pub(super) fn error(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        let (code, message) = (Some(code.to_owned()), Some(message.into()));
        let problem = message.clone();
        let reply = Self::json(status, &ErrorBodyWire { error: ErrorWire { code, message } });
        Self { problem, ..reply }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// What went wrong, in words, where this is an error.
    pub(super) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// The same answer with another JSON body.
    pub(super) fn with_body(self, value: &impl Serialize) -> Self {
        Self { body: serde_json::to_vec(value).unwrap_or_default(), ..self }
    }

    pub(super) fn with(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn with_retry_after(self, behaviour: &Behaviour) -> Self {
        match &behaviour.entry.retry_after {
            Some(retry_after) => self.with(header::RETRY_AFTER, retry_after.to_string()),
            None => self,
        }
    }

    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    pub(super) fn accepted(self) -> Self {
        Self { accepted: true, ..self }
    }

    /// The answer as it goes out.
    pub(super) fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        for (name, value) in self.headers {
            // Ids of clients may hold what no header does; then the header is left out.
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}

/// 202, and where the operation is found, in the form the offer is told to use.
pub(super) fn started(
    offer: &Offer,
    operation: &Operation,
    behaviour: &Behaviour,
    origin: Option<&str>,
) -> Reply {
    let location = header::LOCATION;
    let operation_location = HeaderName::from_static("operation-location");
    let (publisher, id) = (&offer.publisher, &offer.id);
    let path = format!("/api/publishers/{publisher}/offers/{id}/operations/{}", operation.id);
    let query = format!("?api-version={API_VERSION}");
    let relative = format!("{path}{query}");
    let absolute = match origin {
        Some(origin) => format!("{origin}{path}"),
        // A request without a host: nothing absolute can be said of it.
        None => relative.clone(),
    };
    let reply = Reply::empty(StatusCode::ACCEPTED).with_retry_after(behaviour);
    match behaviour.dialect.header {
        Header::Both => reply.with(operation_location, absolute).with(location, relative),
        Header::Absolute => reply.with(operation_location, absolute),
        Header::Relative => reply.with(location, relative),
        Header::RelativeOperationLocation => reply.with(operation_location, relative),
        Header::Dollar => {
            let slot = match operation.kind {
                Kind::Publish => "preview",
                Kind::GoLive => "production",
            };
            let name = format!("{publisher}${id}${}${slot}", operation.version);
            reply.with(location, format!("/api/operations/{name}{query}"))
        }
        Header::None => reply,
        Header::Garbage => reply.with(operation_location, "http://[not a url".to_owned()),
        Header::Foreign => {
            reply.with(operation_location, format!("https://elsewhere.example{path}"))
        }
    }
}
