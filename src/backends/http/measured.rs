//! A transport that times every request.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tokio::time::Instant;

use super::call::CallName;
use super::transport::{Transport, TransportError};

/// Times each request and passes it through unchanged. `count` gets the call's name, the status
/// (`None` if no response head came), and the time to the last byte.
pub struct Measured<F> {
    inner: Arc<dyn Transport>,
    count: F,
}

impl<F: Fn(&'static str, Option<StatusCode>, Duration) + Send + Sync> Measured<F> {
    /// Wraps `inner`.
    pub fn new(inner: Arc<dyn Transport>, count: F) -> Self {
        Self { inner, count }
    }
}

#[async_trait]
impl<F: Fn(&'static str, Option<StatusCode>, Duration) + Send + Sync> Transport for Measured<F> {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let call = request.extensions().get::<CallName>().map_or("other", |name| name.0);
        let mut pending =
            Pending { count: &self.count, call, status: None, started: Instant::now() };
        let outcome = self.inner.send(request).await;
        pending.status = match &outcome {
            Ok(response) => Some(response.status()),
            Err(error) => error.status(),
        };
        outcome
    }
}

/// A request in flight. It is counted on drop, because a request that times out is dropped.
struct Pending<'a, F: Fn(&'static str, Option<StatusCode>, Duration)> {
    count: &'a F,
    call: &'static str,
    status: Option<StatusCode>,
    started: Instant,
}

impl<F: Fn(&'static str, Option<StatusCode>, Duration)> Drop for Pending<'_, F> {
    fn drop(&mut self) {
        (self.count)(self.call, self.status, self.started.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Answers by the path.
    struct ByPath;

    #[async_trait]
    impl Transport for ByPath {
        async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
            let status = match request.uri().path() {
                "/slow" => {
                    tokio::time::sleep(Duration::from_mins(10)).await;
                    200
                }
                "/lost" => {
                    return Err(TransportError::Lost { what: "lost".to_owned(), source: None });
                }
                _ => 404,
            };
            tokio::time::sleep(Duration::from_millis(300)).await;
            Ok(Response::builder().status(status).body(Bytes::new()).unwrap())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_request_is_counted_whatever_becomes_of_it() {
        let counted = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&counted);
        let transport = Measured::new(Arc::new(ByPath), move |call, status, took| {
            sink.lock().unwrap().push((call, status.map(|status| status.as_u16()), took));
        });
        for path in ["/slow", "/lost", "/absent"] {
            let mut request = Request::builder().uri(path).body(Bytes::new()).unwrap();
            request.extensions_mut().insert(CallName("get offer"));
            drop(tokio::time::timeout(Duration::from_secs(2), transport.send(request)).await);
        }
        drop(transport.send(Request::new(Bytes::new())).await);
        let counted = counted.lock().unwrap().clone();
        let times: Vec<_> = counted.iter().map(|(call, status, _)| (*call, *status)).collect();
        let expected = [
            ("get offer", None),
            ("get offer", None),
            ("get offer", Some(404)),
            ("other", Some(404)),
        ];
        assert_eq!(times, expected);
        assert!(counted[0].2 >= Duration::from_secs(2), "it was given up: {counted:?}");
        assert!(counted[2].2 >= Duration::from_millis(300), "{counted:?}");
    }
}
