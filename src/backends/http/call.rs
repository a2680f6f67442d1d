//! A request without its token: the question, the publisher and the encoding.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, IF_MATCH};
use http::{HeaderValue, Method, Request};
use url::Url;

use super::token::Token;
use crate::marketplace::{PublisherId, RequestId};

/// The header with golive's id for a request.
const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-client-request-id");

/// The same header as Microsoft Graph spells it.
const GRAPH_CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("client-request-id");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The call's name, as a request extension, for a [`Transport`](super::Transport) that counts
/// requests: a small fixed set, independent of the offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallName(pub &'static str);

/// A request without its token.
#[derive(Debug)]
pub(crate) struct Call {
    /// Its name in the log.
    pub(crate) name: &'static str,
    /// The publisher it is about, which decides its share of the permits.
    pub(crate) publisher: PublisherId,
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) body: Bytes,
    pub(crate) if_match: Option<HeaderValue>,
    /// If `None`, each attempt gets a new id.
    pub(crate) request_id: Option<RequestId>,
    /// Whether the id is sent in Microsoft Graph's header, too.
    pub(crate) is_to_graph: bool,
    /// The minimum timeout, which overrides a shorter request timeout: a call known to be slow
    /// would otherwise never succeed.
    pub(crate) least_timeout: Duration,
}

impl Call {
    pub(crate) fn read(name: &'static str, publisher: &PublisherId, url: Url) -> Self {
        let (publisher, method, body) = (publisher.clone(), Method::GET, Bytes::new());
        let least_timeout = Duration::ZERO;
        Self {
            name,
            publisher,
            method,
            url,
            body,
            if_match: None,
            request_id: None,
            is_to_graph: false,
            least_timeout,
        }
    }

    /// Method and path, for messages.
    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.method, self.url.path())
    }

    /// Builds the HTTP request.
    pub(crate) fn request(
        &self,
        token: &Token,
        request_id: &RequestId,
    ) -> Result<Request<Bytes>, http::Error> {
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(self.url.as_str())
            .extension(CallName(self.name))
            .header(AUTHORIZATION, token.header())
            .header(ACCEPT, JSON)
            .header(CONTENT_TYPE, JSON)
            .header(CLIENT_REQUEST_ID, request_id.as_str());
        if self.is_to_graph {
            request = request.header(GRAPH_CLIENT_REQUEST_ID, request_id.as_str());
        }
        if let Some(tag) = &self.if_match {
            request = request.header(IF_MATCH, tag);
        }
        request.body(self.body.clone())
    }
}
