//! A request before it has a token: what is asked, about whom, and how that is written.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, IF_MATCH};
use http::{HeaderValue, Method, Request};
use url::Url;

use super::token::Token;
use crate::marketplace::{PublisherId, RequestId};

/// The id golive gives to a request.
const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-client-request-id");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What a request is called, in its extensions, for a [`Transport`](super::Transport) that counts:
/// a few fixed names, whatever the offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallName(pub &'static str);

/// A request before it has a token.
#[derive(Debug)]
pub(crate) struct Call {
    /// What it is called in the log.
    pub(crate) name: &'static str,
    /// Whom it is about: publishers share the permits.
    pub(crate) publisher: PublisherId,
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) body: Bytes,
    pub(crate) if_match: Option<HeaderValue>,
    /// Where there is none, each attempt gets one of its own.
    pub(crate) request_id: Option<RequestId>,
    /// How long it may take at least, however short the time for a request is set: a call that is
    /// known to be slow would never be answered.
    pub(crate) least_timeout: Duration,
}

impl Call {
    pub(crate) fn read(name: &'static str, publisher: &PublisherId, url: Url) -> Self {
        let (publisher, method, body) = (publisher.clone(), Method::GET, Bytes::new());
        let least_timeout = Duration::ZERO;
        Self { name, publisher, method, url, body, if_match: None, request_id: None, least_timeout }
    }

    /// Method and path, for people.
    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.method, self.url.path())
    }

    /// What goes on the wire.
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
        if let Some(tag) = &self.if_match {
            request = request.header(IF_MATCH, tag);
        }
        request.body(self.body.clone())
    }
}
