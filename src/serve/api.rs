//! The status as JSON: the bytes that the status file has, or will have.

use std::sync::Arc;

use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use super::renderer::Renderer;
use crate::status::{StatusStore, to_bytes};

/// The last rendered status, so that asking again for an unchanged one costs nothing.
#[derive(Debug, Default)]
pub(super) struct StatusCache(Mutex<Option<Arc<RenderedStatus>>>);

#[derive(Debug)]
struct RenderedStatus {
    /// See [`StatusStore::generation`].
    generation: u64,
    bytes: Bytes,
    tag: String,
}

impl StatusCache {
    /// The status now. Concurrent requests wait for one rendering.
    async fn get(&self, store: &StatusStore, renderer: &Renderer) -> Option<Arc<RenderedStatus>> {
        let mut cached = self.0.lock().await;
        if let Some(status) = &*cached
            && status.generation == store.generation()
        {
            return Some(Arc::clone(status));
        }
        let status = renderer.render(|serving| RenderedStatus::of(&serving.store)).await??;
        *cached = Some(Arc::new(status));
        cached.clone()
    }
}

impl RenderedStatus {
    fn of(store: &StatusStore) -> Option<Self> {
        let (generation, file) = store.numbered_snapshot();
        let bytes = to_bytes(&file).inspect_err(|error| {
            tracing::warn!(%error, "the status could not be written as JSON");
        });
        let bytes = Bytes::from(bytes.ok()?);
        let tag = format!("\"{}\"", hex::encode(&Sha256::digest(&bytes)[..16]));
        Some(Self { generation, bytes, tag })
    }
}

/// The status in memory, or 304 if the client has it already; `None` if it can't be rendered.
pub(super) async fn status(
    store: &StatusStore,
    renderer: &Renderer,
    cache: &StatusCache,
    headers: &HeaderMap,
) -> Option<Response> {
    let status = cache.get(store, renderer).await?;
    let mut response = if is_current(headers, &status.tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let content_type = [(header::CONTENT_TYPE, "application/json")];
        (content_type, status.bytes.clone()).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, HeaderValue::from_str(&status.tag).ok()?);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Some(response)
}

/// Whether `If-None-Match` lists the tag. Weak tags match too (RFC 9110, 13.1.2).
fn is_current(headers: &HeaderMap, tag: &str) -> bool {
    let lists = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|it| it.to_str().ok());
    let mut given = lists.flat_map(|list| list.split(',')).map(str::trim);
    given.any(|given| given == "*" || given.strip_prefix("W/").unwrap_or(given) == tag)
}

/// Weakens the tag of a compressed response: the same content in other bytes (RFC 9110, 8.8.1).
pub(super) async fn weaken_compressed_tag(mut response: Response) -> Response {
    let headers = response.headers_mut();
    if headers.contains_key(header::CONTENT_ENCODING)
        && let Some(tag) = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok())
        && let Ok(tag) = HeaderValue::from_str(&format!("W/{tag}"))
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
    async fn an_unchanged_status_is_not_rendered_again() {
        let (serving, _folder) = serving();
        let (cache, renderer) = (StatusCache::default(), Renderer::new(serving.clone()));
        let status = || cache.get(&serving.store, &renderer);
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
