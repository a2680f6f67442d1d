//! The site as a whole, in process and in virtual time.

mod counted;
mod hostile;
pub(super) mod invented;
mod live;
mod proxied;
mod site;
mod slow;

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::{Request, header};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::site::{Site, router};
use super::{Metrics, Serving};
use crate::clock::RuntimeClock;
use crate::disk::RealDisk;
use crate::marketplace::OfferId;
use crate::report::{Event, Reporter as _};
use crate::status::{OfferRecord, StatusStore};
use crate::watch::{Ping, ServiceState};

/// A site without a socket. To be made inside a paused runtime.
struct Fixture {
    serving: Serving,
    site: Arc<Site>,
    pings: mpsc::Receiver<Ping>,
    stop: CancellationToken,
    folder: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let (serving, pings, folder) = shown();
        let stop = CancellationToken::new();
        let site = site(&serving, stop.clone());
        Self { serving, site, pings, stop, folder }
    }

    /// Serves what `serving` is now.
    fn serve_anew(&mut self) {
        self.site = site(&self.serving, self.stop.clone());
    }

    /// Puts a record in the place of the one there was, and tells.
    fn set(&self, offer: &str, record: OfferRecord) {
        let offer: OfferId = offer.parse().unwrap();
        let fresh = record.clone();
        let edited = self.serving.store.edit(&offer, || fresh, |_| record);
        let before = edited.before.as_deref();
        let event = Event::Changed { offer: &offer, before, record: &edited.after };
        self.serving.service_state.report(&event);
        self.serving.metrics.report(&event);
    }

    fn forget(&self, offer: &str) {
        let offer: OfferId = offer.parse().unwrap();
        self.serving.store.remove(&offer);
        self.serving.service_state.report(&Event::Forgotten(&offer));
    }

    async fn send(&self, request: Request<Body>) -> Response {
        router(Arc::clone(&self.site)).oneshot(request).await.unwrap()
    }

    async fn get(&self, path: &str) -> Response {
        self.send(get(path).body(Body::empty()).unwrap()).await
    }

    /// The text of an answer that is well.
    async fn text(&self, path: &str) -> String {
        let response = self.get(path).await;
        assert_eq!(response.status(), 200, "{path}");
        body(response).await
    }
}

/// What is shown where nothing is there yet; and the folder in which it would be written.
pub(super) fn serving() -> (Serving, TempDir) {
    let (serving, _, folder) = shown();
    (serving, folder)
}

fn site(serving: &Serving, stop: CancellationToken) -> Arc<Site> {
    Arc::new(Site::new(serving.clone(), "127.0.0.1:8080".parse().unwrap(), stop))
}

fn shown() -> (Serving, mpsc::Receiver<Ping>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("golive.status.json");
    let clock = Arc::new(RuntimeClock::starting_at(invented::at()));
    let store = StatusStore::open(path, Arc::new(RealDisk), clock.clone()).unwrap();
    let (service_state, pings) = ServiceState::new();
    let serving = Serving {
        service_state,
        store: Arc::new(store),
        metrics: Arc::new(Metrics::default()),
        clock,
        marketplace: "cloudpartner.azure.com".to_owned(),
        hosts: vec!["golive.contoso.com".to_owned()],
    };
    (serving, pings, folder)
}

/// A request as a browser of this machine makes it.
fn get(path: &str) -> http::request::Builder {
    Request::builder().uri(path).header(header::HOST, "127.0.0.1:8080")
}

async fn body(response: Response) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn header_of(response: &Response, name: header::HeaderName) -> Option<&str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}
