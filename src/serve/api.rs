//! The status as JSON: the bytes that the status file has, or will have.

use std::sync::Arc;

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use super::renderer::Renderer;
use super::site::respond;
use crate::status::{StatusStore, to_bytes};

/// The status as it was last rendered. To ask again for what has not changed costs nothing.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<Option<Arc<Status>>>);

#[derive(Debug)]
struct Status {
    /// What it is of, see [`StatusStore::generation`].
    generation: u64,
    bytes: Bytes,
    tag: String,
}

impl Kept {
    /// The status now. Whoever asks while it is rendered waits for the same rendering.
    async fn status(&self, store: &StatusStore, renderer: &Renderer) -> Option<Arc<Status>> {
        let mut kept = self.0.lock().await;
        if let Some(status) = &*kept
            && status.generation == store.generation()
        {
            return Some(Arc::clone(status));
        }
        let status = Arc::new(renderer.render(|serving| Status::of(&serving.store)).await??);
        *kept = Some(Arc::clone(&status));
        Some(status)
    }
}

impl Status {
    fn of(store: &StatusStore) -> Option<Self> {
        let (generation, file) = store.numbered_snapshot();
        let bytes = to_bytes(&file);
        let bytes = bytes.inspect_err(|error| {
            tracing::warn!(%error, "the status could not be written as JSON");
        });
        let bytes = Bytes::from(bytes.ok()?);
        let tag = format!("\"{}\"", hex::encode(&Sha256::digest(&bytes)[..16]));
        Some(Self { generation, bytes, tag })
    }
}

/// The status in memory, or 304 where the asker has it already; `None` where it can't be shown.
pub(super) async fn status(
    store: &StatusStore,
    renderer: &Renderer,
    kept: &Kept,
    headers: &HeaderMap,
) -> Option<Response> {
    let status = kept.status(store, renderer).await?;
    let tag = &status.tag;
    let mut response = match known(headers, tag) {
        Some(known) => {
            let mut response = Response::default();
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            if let Ok(known) = HeaderValue::from_str(&known) {
                response.headers_mut().insert(header::ETAG, known);
            }
            response
        }
        None => respond(StatusCode::OK, "application/json", status.bytes.clone()),
    };
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.entry(header::ETAG).or_insert(tag);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Some(response)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::marketplace::OfferId;
    use crate::serve::tests::{invented, serving};

    #[tokio::test]
    async fn what_has_not_changed_is_not_rendered_again() {
        let (serving, _folder) = serving();
        let (kept, renderer) = (Kept::default(), Renderer::new(serving.clone()));
        let status = || kept.status(&serving.store, &renderer);
        let (one, two) = tokio::join!(status(), status());
        let (one, two) = (one.unwrap(), two.unwrap());
        assert!(Arc::ptr_eq(&one, &two));
        let offer: OfferId = "contoso/vm".parse().unwrap();
        let changed: [&dyn Fn(); 2] = [
            &|| drop(serving.store.edit(&offer, || invented::running("Live", None), |it| it)),
            &|| serving.store.remove(&offer),
        ];
        for change in changed {
            let before = status().await.unwrap();
            change();
            let after = status().await.unwrap();
            assert_ne!((&before.tag, &before.bytes), (&after.tag, &after.bytes));
            assert!(Arc::ptr_eq(&after, &status().await.unwrap()));
        }
    }
}
