//! The service's page over the service state and records that are filled by hand, as the daemon would fill
//! them, on a free port of this machine.

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

use crate::invented;

/// A page that is served, and what it shows. To be made inside a runtime.
pub(crate) struct Served {
    pub(crate) service_state: Arc<ServiceState>,
    pub(crate) store: Arc<StatusStore>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) address: SocketAddr,
    pub(crate) now: Timestamp,
    stop: oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
    /// Nobody answers; the questions just have an end.
    _pings: mpsc::Receiver<Ping>,
    _folder: TempDir,
}

impl Served {
    /// Serves a page without offers, on a free port.
    pub(crate) async fn start() -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// The same, at an address.
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

    /// The same, with so many offers, in all phases, and a service that has been up for a day.
    pub(crate) async fn with_offers(count: usize) -> Self {
        let served = Self::start().await;
        served.service_state.update(|service| {
            service.started_at = Some(served.now - SignedDuration::from_hours(26));
            service.last_resync = Some(served.now - SignedDuration::from_mins(3));
            "https://git.contoso.com/marketplace/offers".clone_into(&mut service.place);
            service.source = Some(SourceRecord {
                branch: Some("main".to_owned()),
                commit: "8c1f0c7b64cc7e9a2d1a1f2f0f5d0b7d9d1c3e57".to_owned(),
                url: "https://git.contoso.com/marketplace/offers".to_owned(),
            });
            service.files = count;
            service.ready = true;
        });
        for (offer, record) in invented::offers(count, served.now) {
            if record.running().is_some() {
                let next = served.now + SignedDuration::from_secs(150);
                served.service_state.schedule(&offer, Some(next));
            }
            served.set(&offer, record);
        }
        served
    }

    /// Where a page is.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Puts a record in the place of the one there was, and tells, as the reconciler does.
    pub(crate) fn set(&self, offer: &OfferId, record: OfferRecord) {
        let fresh = record.clone();
        let edited = self.store.edit(offer, || fresh, |_| record);
        let before = edited.before.as_deref();
        self.tell(&Event::Changed { offer, before, record: &edited.after });
    }

    /// Takes an offer away, and tells.
    pub(crate) fn forget(&self, offer: &OfferId) {
        self.store.remove(offer);
        self.tell(&Event::Forgotten(offer));
    }

    /// Tells the service state and metrics.
    pub(crate) fn tell(&self, event: &Event<'_>) {
        self.metrics.report(event);
        self.service_state.report(event);
    }

    /// Has a golive of this offer decided, so that there is a difference to show.
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

    /// Manifests of this text are in force, or wrong.
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

    /// Ends the server, and waits for its end.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.server.await.unwrap().unwrap();
    }
}
