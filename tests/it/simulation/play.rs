//! Plays one scenario: its rounds with faults, then undisturbed runs, after which the offers must be
//! as the manifests want them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use golive::backends::http::{ClientParts, Settings as HttpSettings};
use golive::backends::ingestion::IngestionClient;
use golive::backends::portal::PortalClient;
use golive::changes::{ChangeSet, Policy, Retry};
use golive::disk::Disk;
use golive::engine::{
    Dependencies, Desired, Guard, Job, Observer, Reconciler, Settings, Wait, observe_and_plan,
};
use golive::manifest::{FileManifests, Found, assemble};
use golive::marketplace::{Api, Backend, OfferId, Settling};
use golive::operation::Intervals;
use golive::report::Reporters;
use golive::status::{OfferRecord, StatusFile, StatusLock, StatusStore};
use golive::watch::{Daemon, Manifests, Parts, ServiceState};
use tokio::sync::mpsc;

use super::checker::{Invariant, Violation};
use super::convergence;
use super::files::SimDisk;
use super::mutants::{Mutant, MutantParts};
use super::network::{ORIGIN, SimTokens, SimTransport};
use super::random::RandomSource;
use super::scenario::{Limits, Run, RunMode, Scenario, name};
use super::schedule::{Fault, FaultPoint, Record, Schedule, Source};
use super::sim::{Process, Sim};
use crate::harness::ManualSource;

/// How many undisturbed runs may pass until one changes nothing.
const MAX_PASSES: u32 = 5;

/// The longest run: every operation here ends within hours.
const MAX_RUN: Duration = Duration::from_hours(24 * 20);

/// How long a process may take to stop: one request and a margin.
const MAX_STOP: Duration = Duration::from_mins(3);

/// How long a run waits for a `Retry-After`.
const MAX_PAUSE: Duration = Duration::from_mins(2);

/// How long the final service runs.
const FINAL_WATCH: Duration = Duration::from_hours(6);

/// The result of a play.
pub(crate) struct PlayResult {
    pub(crate) violation: Option<Violation>,
    pub(crate) fired: BTreeMap<FaultPoint, Fault>,
    pub(crate) effects: u64,
    pub(crate) points: Vec<FaultPoint>,
    pub(crate) trace: Vec<String>,
    /// The final status file.
    pub(crate) status: Option<Arc<StatusFile>>,
}

/// Plays a scenario in virtual time.
pub(crate) fn play(
    scenario: &Scenario,
    source: Source,
    mutant: Option<Mutant>,
    record: Record,
) -> PlayResult {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let random = RandomSource::new(scenario.seed);
        let schedule = Schedule::new(random, scenario.fault_rates.clone(), source, record);
        let sim = Arc::new(Sim::new(scenario.clone(), schedule));
        let runner = Runner { sim: Arc::clone(&sim), mutant };
        tokio::select! {
            biased;
            () = sim.broken.notified() => {}
            () = runner.run_scenario() => {}
        }
        let (violation, status) = {
            let checker = sim.checker();
            (checker.violation.clone(), checker.status.clone())
        };
        let mut schedule = sim.schedule();
        PlayResult {
            violation,
            fired: std::mem::take(&mut schedule.fired),
            effects: schedule.effects,
            points: schedule.points.take().unwrap_or_default(),
            trace: schedule.trace.take().unwrap_or_default(),
            status,
        }
    })
}

struct Runner {
    sim: Arc<Sim>,
    mutant: Option<Mutant>,
}

impl Runner {
    async fn run_scenario(&self) {
        let mut number = 0;
        for round in &self.sim.scenario.rounds {
            tokio::time::sleep(round.pause).await;
            for (after, event) in &round.events {
                let (sim, after, event) = (Arc::clone(&self.sim), *after, event.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    if !sim.schedule().faults_off {
                        sim.apply_event(&event);
                    }
                });
            }
            let runs = round.runs.iter().map(|run| {
                number += 1;
                self.after(run, number)
            });
            futures_util::future::join_all(runs).await;
        }
        self.sim.log(|| "-- no more faults from here on".to_owned());
        self.sim.schedule().faults_off = true;
        // Delayed requests arrive, and lagging state becomes visible.
        tokio::time::sleep(Duration::from_mins(20)).await;
        if self.sim.scenario.has_a_service() {
            number += 1;
            self.run_final_service(number).await;
        }
        self.run_until_stable(number + 1).await;
    }

    /// Runs an undisturbed service; after it the offers must have converged.
    async fn run_final_service(&self, number: u32) {
        let run = Run { mode: RunMode::Watch(FINAL_WATCH), ..undisturbed_run() };
        if !self.process(number, &run).await {
            return self.sim.violation(
                Invariant::Converges,
                format!("the undisturbed service {number} fails"),
            );
        }
        if let Err(what) = convergence::check_converged(&self.sim) {
            self.sim.violation(Invariant::NeverLost, format!("after hours of service, {what}"));
        }
    }

    async fn after(&self, run: &Run, number: u32) {
        tokio::time::sleep(run.after).await;
        self.process(number, run).await;
    }

    /// Undisturbed runs, until one changes nothing.
    async fn run_until_stable(&self, first: u32) {
        let calm = undisturbed_run();
        let mut before: Option<Option<_>> = None;
        for number in first..first + MAX_PASSES {
            if !self.process(number, &calm).await {
                self.sim
                    .violation(Invariant::Converges, format!("the undisturbed run {number} fails"));
                return;
            }
            let now = self.sim.checker().status.as_deref().map(convergence::outline);
            if before.as_ref() == Some(&now) {
                if let Err(what) = convergence::check_converged(&self.sim) {
                    self.sim.violation(Invariant::NeverLost, format!("after convergence, {what}"));
                    return;
                }
                // After a recent change golive inspects offers once more; then lists suffice.
                tokio::time::sleep(Duration::from_mins(70)).await;
                self.process(number + 1, &calm).await;
                return self.check_idle_run(number + 2, &calm).await;
            }
            before = Some(now);
            tokio::time::sleep(Duration::from_mins(6)).await;
        }
        self.sim.violation(
            Invariant::Converges,
            format!("not stable after {MAX_PASSES} undisturbed runs"),
        );
    }

    /// One more run after convergence must send few requests and change no record.
    async fn check_idle_run(&self, number: u32, calm: &Run) {
        let sim = &self.sim;
        // Operations of unmanaged offers are still followed: skip their records.
        let record_of = |number| {
            sim.manifest(number)?;
            let id = name(number).parse().unwrap();
            let record = sim.checker().status.as_ref()?.offers.get(&id).cloned();
            // A doubt after a second attempt is left to people, and inspected in each run.
            record.filter(|it| it.intent.as_ref().is_none_or(|intent| intent.attempt < 2))
        };
        let records = || (0..sim.scenario.offers.len()).map(record_of).collect::<Vec<_>>();
        let (before, began) = (records(), sim.now());
        let kept = sim.schedule().points.replace(Vec::new());
        if !self.process(number, calm).await {
            return sim.violation(
                Invariant::Converges,
                format!("the run {number} fails after convergence"),
            );
        }
        let points = std::mem::replace(&mut sim.schedule().points, kept).unwrap_or_default();
        if convergence::launch_date_passed(sim, began) {
            return; // There was something to do.
        }
        let now = records();
        if let Err(what) = convergence::check_few_requests(sim, &points) {
            sim.violation(Invariant::FewRequests, format!("a run that has nothing to do {what}"));
        } else if let Some((before, now)) = before.iter().zip(&now).find(|(one, two)| one != two) {
            let what = format!("a run that has nothing to do makes {before:?} to {now:?}");
            sim.violation(Invariant::Converges, what);
        }
    }

    /// One run of golive, as the command does it. Returns whether it succeeded.
    async fn process(&self, number: u32, run: &Run) -> bool {
        let sim = &self.sim;
        let scope = run.only.map(|only| BTreeSet::from([name(only).parse().unwrap()]));
        let retry = if run.retry { Retry::All } else { Retry::None };
        let policy = Policy { retry, scope, ..Policy::default() };
        let process = Arc::new(Process::new(number, policy, run.limits));
        sim.log(|| format!("-- process {number}: {run:?}"));
        sim.add_process(&process);
        let ended = tokio::select! {
            biased;
            () = process.killed.notified() => Err("it was killed".to_owned()),
            () = stop_deadline(&process, run) => {
                sim.violation(Invariant::Limits, format!("process {number} does not stop"));
                Err("it does not stop".to_owned())
            }
            ended = tokio::time::timeout(MAX_RUN, self.golive(&process, run)) => {
                ended.unwrap_or_else(|_| {
                    sim.violation(Invariant::Converges, format!("process {number} does not end"));
                    Err("it does not end".to_owned())
                })
            }
        };
        sim.log(|| format!("-- process {number} ends: {ended:?}"));
        ended.is_ok()
    }

    async fn golive(&self, process: &Arc<Process>, run: &Run) -> Result<(), String> {
        let sim = &self.sim;
        let disk = SimDisk { sim: Arc::clone(sim), process: Arc::clone(process) };
        let disk: Arc<dyn Disk> = Arc::new(disk);
        let mutant_parts = self.mutant.map(|mutant| MutantParts::new(mutant, Arc::clone(&disk)));
        let disk = mutant_parts.as_ref().map_or(disk, MutantParts::disk);
        let clock = Arc::clone(&sim.clock) as Arc<dyn golive::clock::Clock>;
        let path = Sim::status_path();
        let words = if run.watches().is_some() { "golive watch" } else { "golive apply" };
        let lock = StatusLock::acquire(&*disk, &path, run.lock_timeout, words, &*clock);
        let _lock = lock.await.map_err(|error| error.to_string())?;
        let max_wait = match run.mode {
            RunMode::Once => Duration::from_mins(2),
            RunMode::For(duration) => duration,
            RunMode::ToTheEnd | RunMode::Watch(_) => Duration::from_hours(1),
        };
        let marketplace = self.client(process, max_wait);
        let marketplace = match &mutant_parts {
            Some(mutant_parts) => mutant_parts.marketplace(marketplace),
            None => marketplace,
        };
        let now = sim.schedule().effects;
        sim.checker().run_started(process, now, (0..sim.scenario.offers.len()).map(name));
        let open = || {
            let store = StatusStore::open(path, Arc::clone(&disk), Arc::clone(&clock));
            store.map_err(|error| error.to_string())
        };
        match run.mode {
            RunMode::Watch(duration) => {
                let _disconnect = Disconnect(Arc::clone(process));
                let store = Arc::new(open()?);
                self.watch(process, store, marketplace, duration).await
            }
            RunMode::Once | RunMode::For(_) | RunMode::ToTheEnd => {
                let open = || open().map(Arc::new);
                self.apply(process, run, open, marketplace).await
            }
        }
    }

    /// Runs a service until it is stopped.
    async fn watch(
        &self,
        process: &Arc<Process>,
        store: Arc<StatusStore>,
        marketplace: Arc<dyn Backend>,
        duration: Duration,
    ) -> Result<(), String> {
        let sim = &self.sim;
        let (event, events) = mpsc::channel(8);
        *process.file_events.lock().unwrap() = Some(event);
        let (service_state, pings) = ServiceState::new();
        let (_hangup, hangups) = mpsc::channel(1);
        let (reporting, reporting_sim) = (Arc::clone(process), Arc::clone(sim));
        let patience = Duration::ZERO;
        let reconciler = self.reconciler(process, Arc::clone(&store), marketplace, patience);
        let daemon = Daemon::new(Parts {
            reconciler: Arc::new(reconciler),
            store,
            clock: Arc::clone(&sim.clock) as Arc<dyn golive::clock::Clock>,
            random: sim.random.of(("daemon", process.number)).0,
            service_state,
            pings,
            source: Box::new(ManualSource { events, is_due: true, rechecks: true }),
            manifests: Manifests::new(vec![sim.folder()]),
            hangups,
            stop: process.stop.clone(),
            on_manifests: Box::new(move |desired| {
                reporting_sim.manifests_changed(&reporting, desired);
            }),
            heartbeat: None,
            resync: Duration::from_mins(30),
        });
        let (sim, stop) = (Arc::clone(sim), process.stop.clone());
        let stopper = async move {
            tokio::time::sleep(duration).await;
            sim.log(|| "-- the service is to stop".to_owned());
            stop.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            ended = daemon.run() => ended.map_err(|error| error.to_string()),
            () = stopper => Ok(()),
        }
    }

    async fn apply(
        &self,
        process: &Arc<Process>,
        run: &Run,
        open: impl FnOnce() -> Result<Arc<StatusStore>, String>,
        marketplace: Arc<dyn Backend>,
    ) -> Result<(), String> {
        let sim = &self.sim;
        for offer in 0..sim.scenario.offers.len() {
            if sim.manifest(offer).is_none() && run.only.is_none() {
                // golive may drop the records of offers without a manifest.
                sim.record_deleted(offer);
            }
        }
        let file =
            FileManifests::from_bytes(Path::new("/offers/all.yaml"), sim.manifests().as_bytes());
        let files = vec![PathBuf::from("/offers/all.yaml")];
        let found = Found { files, ..Found::default() };
        let desired = Arc::new(assemble(&found, [&file]).map_err(|it| format!("{it:?}"))?.offers);
        *process.desired.lock().unwrap() = Arc::clone(&desired);
        let store = open()?;
        let recorded = store.snapshot().offers;
        let gone = recorded.keys().filter(|offer| !desired.contains_key(*offer)).cloned().collect();
        let wait = match run.mode {
            RunMode::Once => Wait::No,
            RunMode::For(duration) => Wait::Until(Some(duration)),
            RunMode::ToTheEnd | RunMode::Watch(_) => Wait::Until(None),
        };
        let guard = self.guard(process, run.limits, &marketplace, &desired, &recorded).await;
        let reconciler = self.reconciler(process, store, marketplace, MAX_PAUSE);
        let policy = process.policy.clone();
        let job = Job { desired, gone, policy, guard, wait };
        let random = sim.random.of(("golive", process.number)).0;
        let (_, result) = golive::engine::run(&Arc::new(reconciler), &job, random).await;
        if run.limits == Limits::ExpectOther && result.is_ok() && !process.stop.is_cancelled() {
            sim.violation(Invariant::Limits, format!("{process:?} takes what was not reviewed"));
        }
        result.map_err(|error| error.to_string())
    }

    /// The guard for the limits; for `ExpectCurrent` it plans first.
    async fn guard(
        &self,
        process: &Process,
        limits: Limits,
        marketplace: &Arc<dyn Backend>,
        desired: &Desired,
        recorded: &BTreeMap<OfferId, Arc<OfferRecord>>,
    ) -> Guard {
        let expected = |digest| Guard { expect: Some(digest), max_changes: None };
        match limits {
            Limits::None => Guard::default(),
            Limits::MaxChanges(most) => Guard { expect: None, max_changes: Some(most) },
            Limits::ExpectOther => expected("sha256:another".to_owned()),
            Limits::ExpectCurrent => {
                let settle = self.settle().map(Settling::all);
                let observer = Observer::new(Arc::clone(marketplace), 4, settle);
                let moment =
                    observer.decision_time(self.sim.now(), desired.keys().map(OfferId::publisher));
                let policy = Policy { verify: true, ..process.policy.clone() };
                let plan = observe_and_plan(&observer, desired, recorded, &policy, moment);
                let changes = tokio::select! {
                    biased;
                    () = process.stop.cancelled() => ChangeSet::default(),
                    changes = plan => changes.unwrap(),
                };
                process.review(&changes);
                expected(changes.digest())
            }
        }
    }

    fn client(&self, process: &Arc<Process>, max_wait: Duration) -> Arc<dyn Backend> {
        let sim = &self.sim;
        let parts = ClientParts {
            endpoint: ORIGIN.parse().unwrap(),
            transport: Arc::new(SimTransport {
                sim: Arc::clone(sim),
                process: Arc::clone(process),
            }),
            tokens: Arc::new(SimTokens::new(Arc::clone(sim))),
            clock: Arc::clone(&sim.clock) as _,
            settings: HttpSettings { max_wait, ..HttpSettings::default() },
            rng: sim.random.of(("golive", process.number)).0,
            permits: None,
        };
        match sim.scenario.api {
            Api::CloudPartnerPortal => Arc::new(PortalClient::new(parts)),
            Api::ProductIngestion => Arc::new(IngestionClient::new(parts)),
        }
    }

    fn reconciler(
        &self,
        process: &Arc<Process>,
        store: Arc<StatusStore>,
        marketplace: Arc<dyn Backend>,
        pause: Duration,
    ) -> Reconciler {
        let sim = &self.sim;
        let surroundings = Dependencies {
            marketplace,
            store,
            clock: Arc::clone(&sim.clock) as Arc<dyn golive::clock::Clock>,
            reporter: Arc::new(Reporters::default()),
            stop: process.stop.clone(),
        };
        let intervals =
            Intervals { first: Duration::from_mins(2), longest: Duration::from_mins(20) };
        let settings = Settings { concurrency: 4, intervals, pause, settle: self.settle() };
        Reconciler::new(surroundings, settings)
    }

    /// The settle time; `None` is the backend's own.
    fn settle(&self) -> Option<Duration> {
        (self.mutant == Some(Mutant::NoSettling)).then_some(Duration::ZERO)
    }
}

/// A run without faults or limits.
fn undisturbed_run() -> Run {
    Run {
        after: Duration::ZERO,
        retry: false,
        only: None,
        mode: RunMode::ToTheEnd,
        lock_timeout: Duration::from_secs(1),
        limits: Limits::None,
    }
}

/// Drops the channel of file events when a service ends.
struct Disconnect(Arc<Process>);

impl Drop for Disconnect {
    fn drop(&mut self) {
        *self.0.file_events.lock().unwrap() = None;
    }
}

/// Returns after the longest time that a stopped process may take, including the lock's timeout.
async fn stop_deadline(process: &Process, run: &Run) {
    process.stop.cancelled().await;
    tokio::time::sleep(run.lock_timeout + MAX_STOP).await;
}
