//! A transport that counts and times every request.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tokio::time::Instant;

use super::Metrics;
use crate::marketplace::portal::{CallName, Transport, TransportError};

/// Counts, and leaves the request as it is.
pub(super) struct Measured {
    metrics: Arc<Metrics>,
    inner: Arc<dyn Transport>,
}

impl Measured {
    pub(super) fn new(metrics: Arc<Metrics>, inner: Arc<dyn Transport>) -> Self {
        Self { metrics, inner }
    }
}

#[async_trait]
impl Transport for Measured {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let call = request.extensions().get::<CallName>().map_or("other", |name| name.0);
        let mut pending =
            Pending { metrics: &self.metrics, call, status: None, started: Instant::now() };
        let outcome = self.inner.send(request).await;
        pending.status = match &outcome {
            Ok(response) => Some(response.status()),
            Err(TransportError::Cut { head, .. }) => Some(head.status),
            Err(
                TransportError::NotSent { .. }
                | TransportError::Lost { .. }
                | TransportError::TooLong { .. },
            ) => None,
        };
        outcome
    }
}

/// A request under way. Counted when it is dropped, for one that takes too long is given up without
/// a word.
struct Pending<'a> {
    metrics: &'a Metrics,
    call: &'static str,
    status: Option<StatusCode>,
    started: Instant,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.metrics.requested(self.call, self.status, self.started.elapsed());
    }
}
