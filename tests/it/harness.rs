//! Runs the library's reconciler against an emulator, in one process and in virtual time: hours pass in
//! a moment, and every run is the same.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use golive::backends::http::{
    ClientParts, EnvToken, InProcessTransport, Settings as PortalSettings, Transport,
    TransportError,
};
use golive::backends::ingestion::IngestionClient;
use golive::backends::portal::PortalClient;
use golive::changes::{DecisionTime, Policy, Retry};
use golive::clock::{Clock, RuntimeClock};
use golive::disk::{Disk, RealDisk};
use golive::emulator::{Emulator, Entry, Rule};
use golive::engine::{
    Dependencies, Desired, Guard, Job, Observations, Observer, Reconciler, RunError, Settings, Wait,
};
use golive::manifest;
use golive::marketplace::{Backend, OfferId, Settling};
use golive::operation::Intervals;
use golive::report::{Outcome, Reporter, Reporters};
use golive::status::{OfferRecord, Phase, StatusFile, StatusStore, StoreError};
use golive::watch::{Changed, Daemon, Manifests, Parts, ServiceState, Source};
use http::{Request, Response};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::test_env::{
    STATUS, TOKEN, golives_of, live, parse, read_status, record_of, requests_of,
};

/// Where the marketplace is said to be.
const ENDPOINT: &str = "http://localhost:8080";

/// A marketplace, a folder and a clock. Must be created inside a paused runtime.
pub(crate) struct Harness {
    pub(crate) emulator: Emulator,
    pub(crate) stop: CancellationToken,
    pub(crate) settle: Duration,
    /// The longest `Retry-After` that a run waits for.
    pub(crate) pause: Duration,
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

/// The options of a run.
#[derive(Clone, Debug)]
pub(crate) struct RunOptions {
    pub(crate) policy: Policy,
    pub(crate) guard: Guard,
    pub(crate) wait: Wait,
    /// Offers whose manifest was removed.
    pub(crate) gone: BTreeSet<OfferId>,
}

impl RunOptions {
    /// One pass.
    pub(crate) fn once() -> Self {
        let policy = Policy::default();
        Self { policy, guard: Guard::default(), wait: Wait::No, gone: BTreeSet::new() }
    }

    /// Waits until all operations have ended.
    pub(crate) fn until_done() -> Self {
        Self { wait: Wait::Until(None), ..Self::once() }
    }

    /// Retries failed offers, too.
    pub(crate) fn with_retry(mut self) -> Self {
        self.policy.retry = Retry::All;
        self
    }
}

impl Harness {
    /// A marketplace with this seed, and no manifests.
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

    /// A marketplace with `contoso/vm` and this seed for it, and a manifest that wants it live.
    #[track_caller]
    pub(crate) fn vm(behaviour: &str) -> Self {
        let harness = Self::new(&format!("offers: {{contoso/vm: {behaviour}}}"));
        harness.manifest("vm.yaml", &live("contoso/vm", ""));
        harness
    }

    /// A marketplace with these settings and `contoso/vm-0` to `contoso/vm-{count - 1}`, and manifests
    /// that want them live, with `more` lines each.
    #[track_caller]
    pub(crate) fn many(count: usize, settings: &str, more: &str) -> Self {
        let names: Vec<_> = (0..count).map(|number| format!("contoso/vm-{number}")).collect();
        let seeds: Vec<_> = names.iter().map(|name| format!("  {name}: {{}}\n")).collect();
        let harness = Self::new(&format!("{settings}\noffers:\n{}", seeds.concat()));
        let manifests: Vec<_> = names.iter().map(|name| live(name, more)).collect();
        harness.manifest("all.yaml", &manifests.join("---\n"));
        harness
    }

    /// The same with faults (a YAML list).
    #[track_caller]
    pub(crate) fn faulty_vm(behaviour: &str, faults: &str) -> Self {
        let harness = Self::vm(behaviour);
        harness.faults(faults);
        harness
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

    /// Wraps the transport between client and marketplace.
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

    pub(crate) fn delete_status(&self) {
        std::fs::remove_file(self.path(STATUS)).unwrap();
    }

    /// Writes a status file as a crash may have left it.
    #[expect(clippy::disallowed_methods, reason = "a test's file needs no flush")]
    pub(crate) fn edit_status(&self, change: impl FnOnce(&mut StatusFile)) {
        let mut file = self.status();
        change(&mut file);
        std::fs::write(self.path(STATUS), serde_json::to_vec(&file).unwrap()).unwrap();
    }

    pub(crate) fn status(&self) -> StatusFile {
        read_status(&self.path(STATUS))
    }

    /// An offer's record on disk.
    pub(crate) fn record(&self, offer: &str) -> OfferRecord {
        record_of(self.status(), offer)
    }

    /// The live version in an offer's record.
    #[track_caller]
    pub(crate) fn live_version(&self, offer: &str) -> u64 {
        self.record(offer).observed.unwrap().live.unwrap().as_str().parse().unwrap()
    }

    pub(crate) fn desired(&self) -> Desired {
        Arc::new(manifest::load(&[self.folder.path().to_owned()]).unwrap().offers)
    }

    /// Lists all publishers.
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

    /// The planner's times for a decision now.
    pub(crate) fn decision_time(&self) -> DecisionTime {
        let longest_request = PortalSettings::default().request_timeout * 2;
        DecisionTime { now: self.now(), longest_request, settling: Settling::all(self.settle) }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// One run, as if by a new process: it shares only the disk with earlier runs.
    pub(crate) async fn run(&self, options: &RunOptions) -> Result<Outcome, RunError> {
        self.run_with_reporter(options, Arc::new(Reporters::default())).await
    }

    /// The same, with a reporter.
    pub(crate) async fn run_with_reporter(
        &self,
        options: &RunOptions,
        reporter: Arc<dyn Reporter>,
    ) -> Result<Outcome, RunError> {
        let job = Job {
            desired: self.desired(),
            gone: options.gone.clone(),
            policy: options.policy.clone(),
            guard: options.guard.clone(),
            wait: options.wait,
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
        // No test may depend on random numbers: each run has another seed.
        fastrand::Rng::with_seed(
            u64::try_from(self.emulator.journal().entries().len()).unwrap() + 7,
        )
    }

    /// A reconciler that waits at most this long when reads and POSTs are throttled.
    fn reconciler(
        &self,
        store: Arc<StatusStore>,
        stop: &CancellationToken,
        (max_wait, pause): (Duration, Duration),
        reporter: Arc<dyn Reporter>,
    ) -> Reconciler {
        let concurrency = NonZeroUsize::new(self.concurrency).unwrap();
        let parts = ClientParts {
            endpoint: ENDPOINT.parse().unwrap(),
            transport: Arc::clone(&self.transport),
            tokens: Arc::new(EnvToken::new(Some(TOKEN)).unwrap()),
            clock: self.clock(),
            settings: PortalSettings { max_wait, concurrency, ..PortalSettings::default() },
            rng: self.random(),
            permits: None,
        };
        let marketplace: Arc<dyn Backend> = match self.api {
            Api::Portal => Arc::new(PortalClient::new(parts)),
            Api::Ingestion => Arc::new(IngestionClient::new(parts)),
        };
        let surroundings =
            Dependencies { marketplace, store, clock: self.clock(), reporter, stop: stop.clone() };
        let intervals =
            Intervals { first: Duration::from_secs(30), longest: Duration::from_mins(5) };
        let (concurrency, settle) = (self.concurrency, Some(self.settle));
        Reconciler::new(surroundings, Settings { concurrency, intervals, pause, settle })
    }

    /// Starts a service that watches the folder, as if in a new process.
    pub(crate) fn watch(&self) -> RunningService {
        let (service_state, pings) = ServiceState::new();
        let store = Arc::new(self.store());
        let stop = CancellationToken::new();
        let reporter = Arc::clone(&service_state) as _;
        // As in `golive watch`: reads wait without a limit, a throttled POST is planned anew.
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
            source: Box::new(ManualSource { events: touches, is_due: true, rechecks: false }),
            manifests: Manifests::new(vec![self.folder.path().to_owned()]),
            hangups,
            stop: stop.clone(),
            on_manifests: Box::new(|_| {}),
            heartbeat: None,
            resync: Duration::from_mins(5),
        });
        RunningService {
            service_state,
            store,
            touch,
            hangup,
            stop,
            task: tokio::spawn(daemon.run()),
        }
    }

    /// One pass.
    pub(crate) async fn once(&self) -> Outcome {
        self.run(&RunOptions::once()).await.unwrap()
    }

    /// Waits until all operations have ended.
    pub(crate) async fn until_done(&self) -> Outcome {
        self.run(&RunOptions::until_done()).await.unwrap()
    }

    pub(crate) fn phase(&self, offer: &str) -> Phase {
        self.record(offer).phase
    }

    /// How many golives were received and accepted.
    pub(crate) fn golives(&self, offer: &str) -> (u64, u64) {
        golives_of(&self.emulator, offer)
    }

    /// Every request so far, as `METHOD /path`.
    pub(crate) fn requests(&self) -> Vec<String> {
        requests_of(&self.emulator)
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

/// Calls `look` with every request before it passes.
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

/// A running service.
pub(crate) struct RunningService {
    pub(crate) service_state: Arc<ServiceState>,
    pub(crate) store: Arc<StatusStore>,
    touch: mpsc::Sender<()>,
    hangup: mpsc::Sender<()>,
    stop: CancellationToken,
    task: JoinHandle<Result<(), StoreError>>,
}

impl RunningService {
    /// Notifies it that files may have changed.
    pub(crate) async fn notify(&self) {
        self.touch.send(()).await.unwrap();
    }

    /// Requests a reconcile, as SIGHUP does.
    pub(crate) async fn hangup(&self) {
        self.hangup.send(()).await.unwrap();
    }

    /// Stops it, and waits for its end.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }

    /// Kills it in the middle of its work.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }

    /// An offer's record in memory.
    pub(crate) fn record(&self, offer: &str) -> Option<OfferRecord> {
        self.store.get(&offer.parse().unwrap()).map(Arc::unwrap_or_clone)
    }

    pub(crate) fn phase(&self, offer: &str) -> Option<Phase> {
        self.record(offer).map(|record| record.phase)
    }
}

/// A source of manifests that reports a change for every event.
pub(crate) struct ManualSource {
    pub(crate) events: mpsc::Receiver<()>,
    /// Whether a change is reported without an event, as at the start.
    pub(crate) is_due: bool,
    /// Whether `check_now` makes a change due.
    pub(crate) rechecks: bool,
}

#[async_trait]
impl Source for ManualSource {
    async fn changed(&mut self) -> Changed {
        if !std::mem::take(&mut self.is_due) && self.events.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        Changed::default()
    }

    fn check_now(&mut self) {
        self.is_due |= self.rechecks;
    }

    fn watch(&mut self, _: &BTreeSet<PathBuf>) -> bool {
        false
    }
}
