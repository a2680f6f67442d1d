//! Runs the library's reconciler against an emulator, in one process and in virtual time: hours
//! pass in a moment, and every moment is the same in every run.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use golive::backends::http::{
    EnvToken, InProcessTransport, Settings as PortalSettings, Transport, TransportError,
};
use golive::backends::ingestion::IngestionClient;
use golive::backends::portal::PortalClient;
use golive::changes::{DecisionTime, Policy, Retry};
use golive::clock::{Clock, RuntimeClock};
use golive::disk::{Disk, RealDisk};
use golive::emulator::{Count, Emulator, Entry, Rule};
use golive::engine::{
    Dependencies, Desired, Guard, Job, Observations, Observer, Reconciler, RunError, Settings, Wait,
};
use golive::manifest;
use golive::marketplace::{Backend, OfferId, Settling};
use golive::operation::Intervals;
use golive::report::{Outcome, Reporter, Reporters};
use golive::status::{OfferRecord, Phase, SourceRecord, StatusFile, StatusStore, StoreError};
use golive::watch::{Daemon, Manifests, Parts, ServiceState, Source};
use http::{Request, Response};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::place::{STATUS, TOKEN, live, parse};

/// Where the marketplace is said to be.
const ENDPOINT: &str = "http://localhost:8080";

/// A marketplace, a folder and a time of their own. To be made inside a paused runtime.
pub(crate) struct Lab {
    pub(crate) emulator: Emulator,
    pub(crate) stop: CancellationToken,
    pub(crate) settle: Duration,
    /// How long the marketplace may put an offer off.
    pub(crate) pause: Duration,
    /// How many requests may be under way at once.
    pub(crate) concurrency: usize,
    pub(crate) disk: Arc<dyn Disk>,
    api: Api,
    folder: TempDir,
    clock: Arc<RuntimeClock>,
    transport: Arc<dyn Transport>,
}

/// The API that the reconciler uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Api {
    Portal,
    Ingestion,
}

/// What a run is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) policy: Policy,
    pub(crate) guard: Guard,
    pub(crate) wait: Wait,
    /// The offers whose manifest is gone.
    pub(crate) gone: BTreeSet<OfferId>,
}

impl Ask {
    /// One pass.
    pub(crate) fn once() -> Self {
        let policy = Policy::default();
        Self { policy, guard: Guard::default(), wait: Wait::No, gone: BTreeSet::new() }
    }

    /// To the end of everything.
    pub(crate) fn to_the_end() -> Self {
        Self { wait: Wait::Until(None), ..Self::once() }
    }

    /// The same, with failed offers tried again.
    pub(crate) fn with_retry(mut self) -> Self {
        self.policy.retry = Retry::All;
        self
    }
}

impl Lab {
    /// A marketplace as the seed says, and no manifests.
    #[track_caller]
    pub(crate) fn new(seed: &str) -> Self {
        let start: Timestamp = "2026-12-01T09:00:00Z".parse().unwrap();
        let clock = Arc::new(RuntimeClock::starting_at(start));
        let emulator = Emulator::new(parse(seed), Arc::clone(&clock) as _);
        let transport = Arc::new(InProcessTransport::new(emulator.router()));
        let folder = tempfile::tempdir().unwrap();
        let (settle, pause) = (Duration::from_secs(30), Duration::from_mins(2));
        let stop = CancellationToken::new();
        let disk = Arc::new(RealDisk);
        let api = Api::Portal;
        Self { emulator, stop, settle, pause, concurrency: 8, disk, api, folder, clock, transport }
    }

    /// A marketplace with `contoso/vm` and what else the seed says of it, and a manifest that
    /// wants it live.
    #[track_caller]
    pub(crate) fn vm(behaviour: &str) -> Self {
        let lab = Self::new(&format!("offers: {{contoso/vm: {behaviour}}}"));
        lab.manifest("vm.yaml", &live("contoso/vm", ""));
        lab
    }

    /// The same, and faults (a YAML list).
    #[track_caller]
    pub(crate) fn faulty_vm(behaviour: &str, faults: &str) -> Self {
        let lab = Self::vm(behaviour);
        lab.faults(faults);
        lab
    }

    /// Adds faults (a YAML list).
    #[track_caller]
    pub(crate) fn faults(&self, faults: &str) {
        let rules: Vec<Rule> = serde_yaml::from_str(faults).unwrap();
        for rule in rules {
            self.emulator.add_fault(rule);
        }
    }

    /// The same marketplace, through the Product Ingestion API, with the settling time that it has.
    pub(crate) fn through_ingestion(self) -> Self {
        Self { api: Api::Ingestion, settle: Duration::from_mins(10), ..self }
    }

    /// Puts something between client and marketplace.
    pub(crate) fn with_transport(
        mut self,
        wrap: impl FnOnce(Arc<dyn Transport>) -> Arc<dyn Transport>,
    ) -> Self {
        self.transport = wrap(self.transport);
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    #[expect(clippy::disallowed_methods, reason = "a test's file needs no flush")]
    pub(crate) fn manifest(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn forget_status(&self) {
        std::fs::remove_file(self.path(STATUS)).unwrap();
    }

    /// Writes a status file as a crash may have left it.
    #[expect(clippy::disallowed_methods, reason = "a test's file needs no flush")]
    pub(crate) fn leave_status(&self, change: impl FnOnce(&mut StatusFile)) {
        let mut file = self.status();
        change(&mut file);
        std::fs::write(self.path(STATUS), serde_json::to_vec(&file).unwrap()).unwrap();
    }

    pub(crate) fn status(&self) -> StatusFile {
        let path = self.path(STATUS);
        golive::status::parse(&path, &std::fs::read(&path).unwrap()).unwrap()
    }

    /// An offer's record, as it is on disk.
    pub(crate) fn record(&self, offer: &str) -> OfferRecord {
        let id: OfferId = offer.parse().unwrap();
        let record = self.status().offers.remove(&id);
        Arc::unwrap_or_clone(record.unwrap_or_else(|| panic!("{offer} is not in the status")))
    }

    /// What the manifests want.
    pub(crate) fn desired(&self) -> Desired {
        Arc::new(manifest::load(&[self.folder.path().to_owned()]).unwrap().offers)
    }

    /// What the publishers' lists say, beside what is on record.
    pub(crate) async fn observed(&self) -> Observations {
        let waits = (self.pause, self.pause);
        let reconciler = self.reconciler(
            Arc::new(self.store()),
            &self.stop,
            waits,
            Arc::new(Reporters::default()),
        );
        let observer = Observer::new(reconciler.marketplace(), self.concurrency, None);
        observer.list(&self.desired(), &BTreeMap::new(), &Policy::default()).await
    }

    /// What is decided with now.
    pub(crate) fn moment(&self) -> DecisionTime {
        let longest_request = PortalSettings::default().request_timeout * 2;
        DecisionTime { now: self.now(), longest_request, settling: Settling::all(self.settle) }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// One run, by a process of its own as it were: everything but the disk is new.
    pub(crate) async fn run(&self, ask: &Ask) -> Result<Outcome, RunError> {
        self.run_telling(ask, Arc::new(Reporters::default())).await
    }

    /// The same, and somebody is told of it.
    pub(crate) async fn run_telling(
        &self,
        ask: &Ask,
        reporter: Arc<dyn Reporter>,
    ) -> Result<Outcome, RunError> {
        let job = Job {
            desired: self.desired(),
            gone: ask.gone.clone(),
            policy: ask.policy.clone(),
            guard: ask.guard.clone(),
            wait: ask.wait,
        };
        let reconciler =
            self.reconciler(Arc::new(self.store()), &self.stop, (self.pause, self.pause), reporter);
        let (outcome, result) =
            golive::engine::run(&Arc::new(reconciler), &job, self.random()).await;
        result.map(|()| outcome)
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as _
    }

    fn store(&self) -> StatusStore {
        StatusStore::open(self.path(STATUS), Arc::clone(&self.disk), self.clock()).unwrap()
    }

    fn random(&self) -> fastrand::Rng {
        // Nothing may depend on the dice: the seed is another one in each run.
        fastrand::Rng::with_seed(
            u64::try_from(self.emulator.journal().entries().len()).unwrap() + 7,
        )
    }

    /// A reconciler. The marketplace may put reads and requests off for so long.
    fn reconciler(
        &self,
        store: Arc<StatusStore>,
        stop: &CancellationToken,
        (max_wait, pause): (Duration, Duration),
        reporter: Arc<dyn Reporter>,
    ) -> Reconciler {
        let concurrency = NonZeroUsize::new(self.concurrency).unwrap();
        let portal = PortalSettings { max_wait, concurrency, ..PortalSettings::default() };
        let (endpoint, transport) = (ENDPOINT.parse().unwrap(), Arc::clone(&self.transport));
        let tokens = Arc::new(EnvToken::new(Some(TOKEN)).unwrap());
        let (clock, random) = (self.clock(), self.random());
        let marketplace: Arc<dyn Backend> = match self.api {
            Api::Portal => {
                Arc::new(PortalClient::new(endpoint, transport, tokens, clock, portal, random))
            }
            Api::Ingestion => {
                Arc::new(IngestionClient::new(endpoint, transport, tokens, clock, portal, random))
            }
        };
        let surroundings =
            Dependencies { marketplace, store, clock: self.clock(), reporter, stop: stop.clone() };
        let intervals =
            Intervals { first: Duration::from_secs(30), longest: Duration::from_mins(5) };
        let (concurrency, settle) = (self.concurrency, Some(self.settle));
        Reconciler::new(surroundings, Settings { concurrency, intervals, pause, settle })
    }

    /// A service that watches the folder, as a process of its own.
    pub(crate) fn watch(&self) -> Watched {
        let (service_state, pings) = ServiceState::new();
        let store = Arc::new(self.store());
        let stop = CancellationToken::new();
        let reporter = Arc::clone(&service_state) as _;
        // Reads are put off as long as it takes; a request is looked at anew after that.
        let put_off = (Duration::MAX, Duration::ZERO);
        let reconciler = self.reconciler(Arc::clone(&store), &stop, put_off, reporter);
        let (touch, touches) = mpsc::channel(16);
        let (hangup, hangups) = mpsc::channel(1);
        let daemon = Daemon::new(Parts {
            reconciler: Arc::new(reconciler),
            store: Arc::clone(&store),
            clock: self.clock(),
            random: self.random(),
            service_state: Arc::clone(&service_state),
            pings,
            source: Box::new(Touched { touches, is_first: true }),
            manifests: Manifests::new(vec![self.folder.path().to_owned()]),
            hangups,
            stop: stop.clone(),
            on_manifests: Box::new(|_| {}),
            heartbeat: None,
            resync: Duration::from_mins(5),
        });
        Watched { service_state, store, touch, hangup, stop, task: tokio::spawn(daemon.run()) }
    }

    /// One pass.
    pub(crate) async fn once(&self) -> Outcome {
        self.run(&Ask::once()).await.unwrap()
    }

    /// To the end of everything.
    pub(crate) async fn to_the_end(&self) -> Outcome {
        self.run(&Ask::to_the_end()).await.unwrap()
    }

    pub(crate) fn phase(&self, offer: &str) -> Phase {
        self.record(offer).phase
    }

    /// How often golive was received and accepted.
    pub(crate) fn golives(&self, offer: &str) -> (u64, u64) {
        let Count { received, accepted } = self.emulator.journal().golives(offer);
        (received, accepted)
    }

    /// Every request so far, as `METHOD /path`.
    pub(crate) fn requests(&self) -> Vec<String> {
        let line = |entry: &Entry| format!("{} {}", entry.method, entry.path);
        self.emulator.journal().entries().map(line).collect()
    }

    /// The golive requests, in order.
    pub(crate) fn golive_entries(&self) -> Vec<Entry> {
        let journal = self.emulator.journal();
        journal.entries().filter(|entry| is_golive(entry)).cloned().collect()
    }
}

pub(crate) fn is_golive(entry: &Entry) -> bool {
    let by_portal = entry.path.trim_end_matches('/').ends_with("/golive");
    entry.method == "POST" && (by_portal || entry.golive.is_some())
}

/// Looks at every request before it passes.
pub(crate) struct Spy<F> {
    pub(crate) inner: Arc<dyn Transport>,
    pub(crate) look: F,
}

impl<F> std::fmt::Debug for Spy<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Spy")
    }
}

#[async_trait]
impl<F: Fn(&Request<Bytes>) + Send + Sync> Transport for Spy<F> {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        (self.look)(&request);
        self.inner.send(request).await
    }
}

/// A service at work.
pub(crate) struct Watched {
    pub(crate) service_state: Arc<ServiceState>,
    pub(crate) store: Arc<StatusStore>,
    touch: mpsc::Sender<()>,
    hangup: mpsc::Sender<()>,
    stop: CancellationToken,
    task: JoinHandle<Result<(), StoreError>>,
}

impl Watched {
    /// Tells that files may have changed.
    pub(crate) async fn touch(&self) {
        self.touch.send(()).await.unwrap();
    }

    /// Asks to reconcile now.
    pub(crate) async fn hang_up(&self) {
        self.hangup.send(()).await.unwrap();
    }

    /// Stops it, and waits until it has.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }

    /// Kills it: nothing more is done, be it half done.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }

    /// An offer's record, as it is in memory.
    pub(crate) fn record(&self, offer: &str) -> Option<OfferRecord> {
        self.store.get(&offer.parse().unwrap()).map(Arc::unwrap_or_clone)
    }

    pub(crate) fn phase(&self, offer: &str) -> Option<Phase> {
        self.record(offer).map(|record| record.phase)
    }
}

/// A source of manifests that looks when it is told to.
struct Touched {
    touches: mpsc::Receiver<()>,
    is_first: bool,
}

#[async_trait]
impl Source for Touched {
    async fn changed(&mut self) -> Option<SourceRecord> {
        if !std::mem::take(&mut self.is_first) && self.touches.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        None
    }

    fn check_now(&mut self) {}

    fn watch(&mut self, _: &BTreeSet<PathBuf>) -> bool {
        false
    }
}
