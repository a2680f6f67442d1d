//! A request and what it is answered from, whatever the API.

use axum::body::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method};
use jiff::Timestamp;

use super::access::Access;
use super::ingestion;
use super::seed::Seed;
use super::world::World;

/// What a request is answered from.
pub(super) struct Context<'a> {
    pub world: &'a mut World,
    pub seed: &'a Seed,
    pub access: Access<'a>,
    pub request: &'a ApiRequest,
    pub now: Timestamp,
}

/// A request, read whole.
pub(super) struct ApiRequest {
    pub method: Method,
    pub segments: Vec<String>,
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
    /// Scheme and host the client used, where it is known.
    pub origin: Option<String>,
    pub body: Bytes,
}

impl ApiRequest {
    pub(super) fn new(parts: &Parts, body: Bytes) -> Self {
        let query = parts.uri.query().unwrap_or_default();
        let header = parts.headers.get(http::header::HOST);
        let host = header.and_then(|host| host.to_str().ok());
        let origin = match (parts.uri.scheme_str(), parts.uri.authority()) {
            (Some(scheme), Some(authority)) => Some(format!("{scheme}://{authority}")),
            (Some(_) | None, _) => host.map(|host| format!("http://{host}")),
        };
        Self {
            method: parts.method.clone(),
            segments: segments(parts.uri.path()),
            query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            headers: parts.headers.clone(),
            origin,
            body,
        }
    }

    /// Whether it is one of the Product Ingestion API.
    pub(super) fn is_ingestion(&self) -> bool {
        ingestion::serves(&self.segments)
    }

    /// A query parameter, its name in any case.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// A header as text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap_or_default())
    }
}

/// The segments of a path, decoded. One slash at the end is ignored.
pub(super) fn segments(path: &str) -> Vec<String> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    let decode = |segment| percent_encoding::percent_decode_str(segment).decode_utf8_lossy();
    path.split('/').map(|segment| decode(segment).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_decoded_and_one_slash_at_its_end_is_as_none() {
        assert_eq!(segments("/api/publishers/"), ["api", "publishers"]);
        assert_eq!(segments("/a%20b/c%2Fd"), ["a b", "c/d"]);
        assert_eq!(segments("/a//"), ["a", ""]);
    }
}
