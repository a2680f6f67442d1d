//! The status as JSON: the bytes that the status file has, or will have.

use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sha2::{Digest as _, Sha256};

use super::site::respond;
use crate::status::{StatusStore, to_bytes};

/// The status in memory, or 304 where the asker has it already.
pub(super) fn status(store: &StatusStore, headers: &HeaderMap) -> serde_json::Result<Response> {
    let bytes = to_bytes(&store.snapshot())?;
    let tag = format!("\"{}\"", hex::encode(&Sha256::digest(&bytes)[..16]));
    let mut response = match known(headers, &tag) {
        Some(known) => {
            let mut response = Response::default();
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            if let Ok(known) = HeaderValue::from_str(&known) {
                response.headers_mut().insert(header::ETAG, known);
            }
            response
        }
        None => respond(StatusCode::OK, "application/json", bytes),
    };
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.entry(header::ETAG).or_insert(tag);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// The tag by which the asker has these bytes, if it does. Weak tags match too: what is asked is
/// whether the content is the same (RFC 9110, 13.1.2).
fn known(headers: &HeaderMap, tag: &str) -> Option<String> {
    let compressed = compressed_tag(tag);
    let listed = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|it| it.to_str().ok());
    let mut tags = listed.flat_map(|list| list.split(',')).map(str::trim);
    tags.find_map(|given| {
        let given = given.strip_prefix("W/").unwrap_or(given);
        let matches = given == "*" || given == tag || given == compressed;
        matches.then(|| if given == "*" { tag.to_owned() } else { given.to_owned() })
    })
}

/// The tag of the same content, compressed: other bytes, another tag.
fn compressed_tag(tag: &str) -> String {
    format!("{}-gzip\"", tag.trim_end_matches('"'))
}

/// Gives an answer that was compressed a tag of its own.
pub(super) async fn mark_compressed(mut response: Response) -> Response {
    let headers = response.headers_mut();
    if headers.contains_key(header::CONTENT_ENCODING)
        && let Some(tag) = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok())
        && let Ok(tag) = HeaderValue::from_str(&compressed_tag(tag))
    {
        headers.insert(header::ETAG, tag);
    }
    response
}
