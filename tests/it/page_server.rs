//! Serves the service's page on a free port. Tests fill the service state and the records as the daemon
//! would.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use golive::changes::{Change, ChangeSet, Decision, OfferPosition};
use golive::clock::{Clock as _, SystemClock};
use golive::disk::RealDisk;
use golive::manifest::{self, FileManifests};
use golive::marketplace::{OfferId, Release};
use golive::report::{Event, Reporter as _};
use golive::serve::{Metrics, Serving, serve};
use golive::status::{OfferRecord, SourceRecord, StatusStore};
use golive::watch::{Ping, ServiceState};
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::sample_records;

/// A served page and its data. Must be created inside a runtime.
pub(crate) struct PageServer {
    pub(crate) service_state: Arc<ServiceState>,
    pub(crate) store: Arc<StatusStore>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) address: SocketAddr,
    pub(crate) now: Timestamp,
    stop: oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
    /// Receives health checks, so that they don't fail; no test answers them.
    _pings: mpsc::Receiver<Ping>,
    _folder: TempDir,
}

impl PageServer {
    /// Serves a page without offers.
    pub(crate) async fn start() -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// The same at an address.
    pub(crate) async fn at(address: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("golive.status.json");
        let clock = Arc::new(SystemClock);
        let store = StatusStore::open(path, Arc::new(RealDisk), clock.clone()).unwrap();
        let (service_state, pings) = ServiceState::new();
        let (store, metrics) = (Arc::new(store), Arc::new(Metrics::default()));
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = Serving {
            service_state: Arc::clone(&service_state),
            store: Arc::clone(&store),
            metrics: Arc::clone(&metrics),
            clock: clock.clone(),
            marketplace: "cloudpartner.azure.com".to_owned(),
            hosts: Vec::new(),
        };
        let stopped = async { drop(stopped.await) };
        let server = tokio::spawn(serve(serving, listener, stopped));
        let now = clock.now();
        Self {
            service_state,
            store,
            metrics,
            address,
            now,
            stop,
            server,
            _pings: pings,
            _folder: folder,
        }
    }

    /// The same with offers in all phases, and a service that started a day ago.
    pub(crate) async fn with_offers(count: usize) -> Self {
        let server = Self::start().await;
        server.service_state.update(|service| {
            service.started_at = Some(server.now - SignedDuration::from_hours(26));
            service.last_resync = Some(server.now - SignedDuration::from_mins(3));
            "https://git.contoso.com/marketplace/offers".clone_into(&mut service.place);
            service.source = Some(SourceRecord {
                branch: Some("main".to_owned()),
                commit: "8c1f0c7b64cc7e9a2d1a1f2f0f5d0b7d9d1c3e57".to_owned(),
                url: "https://git.contoso.com/marketplace/offers".to_owned(),
            });
            service.files = count;
            service.ready = true;
        });
        for (offer, record) in sample_records::offers(count, server.now) {
            if record.running().is_some() {
                let next = server.now + SignedDuration::from_secs(150);
                server.service_state.schedule(&offer, Some(next));
            }
            server.set(&offer, record);
        }
        server
    }

    /// A page's URL.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Replaces a record and reports the change, as the reconciler does.
    pub(crate) fn set(&self, offer: &OfferId, record: OfferRecord) {
        let fresh = record.clone();
        let edited = self.store.edit(offer, || fresh, |_| record);
        let before = edited.before.as_deref();
        self.report(&Event::Changed { offer, before, record: &edited.after });
    }

    /// Removes an offer and reports it.
    pub(crate) fn remove(&self, offer: &OfferId) {
        self.store.remove(offer);
        self.report(&Event::Forgotten(offer));
    }

    /// Reports an event to the service state and metrics.
    pub(crate) fn report(&self, event: &Event<'_>) {
        self.metrics.report(event);
        self.service_state.report(event);
    }

    /// Records a decision to launch the offer, so that the page has a diff to show.
    pub(crate) fn decide(&self, offer: &OfferId, version: u64) {
        let release = Release::from(version);
        let preview = OfferPosition {
            state: Some("preview"),
            preview_version: Some(release.clone()),
            live_version: None,
        };
        let live = OfferPosition {
            state: Some("live"),
            live_version: Some(release.clone()),
            ..preview.clone()
        };
        let decision = Decision::GoLive { release };
        let offer = offer.clone();
        let change =
            Change { offer, decision, from: preview, to: live, in_doubt: false, product: None };
        self.service_state.decided(&ChangeSet { changes: vec![change] });
    }

    /// Puts manifests with this text in force, or their errors.
    pub(crate) fn manifests(&self, name: &str, text: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.yaml");
        #[expect(clippy::disallowed_methods, reason = "a test's file needs no flush")]
        std::fs::write(&path, text).unwrap();
        let read = FileManifests::from_bytes(Path::new(name), text.as_bytes());
        let mut desired = match manifest::load(&[path]) {
            Ok(set) => set.offers,
            Err(_) => BTreeMap::new(),
        };
        for loaded in desired.values_mut() {
            Arc::get_mut(loaded).unwrap().file = PathBuf::from(name);
        }
        self.service_state.update(|service| {
            service.desired = Arc::new(desired);
            service.problems = Arc::new(read.problems().to_vec());
        });
    }

    /// Stops the server, and waits for its end.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.server.await.unwrap().unwrap();
    }
}
