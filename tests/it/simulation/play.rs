//! Plays one scenario: its rounds with everything that goes wrong, then calm, and then the world
//! must be as the manifests want it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use golive::backends::http::Settings as PortalSettings;
use golive::backends::portal::PortalClient;
use golive::changes::{ChangeSet, Policy, Retry};
use golive::disk::Disk;
use golive::engine::{
    Dependencies, Desired, Guard, Job, Observer, Reconciler, Settings, Wait, observe_and_plan,
};
use golive::manifest::{FileManifests, Found, assemble};
use golive::marketplace::{Backend, OfferId, Settling};
use golive::operation::Intervals;
use golive::report::Reporters;
use golive::status::{OfferRecord, SourceRecord, StatusFile, StatusLock, StatusStore};
use golive::watch::{Daemon, Manifests, Parts, ServiceState, Source as Files};
use tokio::sync::mpsc;

use super::dice::Dice;
use super::files::SimDisk;
use super::laws::{Law, Violation};
use super::mutants::{Armed, Mutant};
use super::network::{ORIGIN, SimTokens, Wire};
use super::rest;
use super::scenario::{Bounds, Run, Scenario, Waiting, name};
use super::schedule::{Fault, Point, Record, Schedule, Source};
use super::sim::{Process, Sim};

/// How many undisturbed runs it may take until nothing is left to do.
const MOST_PASSES: u32 = 5;

/// No run lasts longer: every operation here ends within hours.
const LONGEST_RUN: Duration = Duration::from_hours(24 * 20);

/// What a process may still do once it was asked to stop: a request's time and a little.
const LONGEST_STOP: Duration = Duration::from_mins(3);

/// How long a marketplace may put an offer off in a run.
const MAX_PAUSE: Duration = Duration::from_mins(2);

/// How long a service has to bring everything to rest.
const LONG_WATCH: Duration = Duration::from_hours(6);

/// What came of a play.
pub(crate) struct Played {
    pub(crate) violation: Option<Violation>,
    pub(crate) fired: BTreeMap<Point, Fault>,
    pub(crate) effects: u64,
    pub(crate) points: Vec<Point>,
    pub(crate) trace: Vec<String>,
    /// What the status file says in the end.
    pub(crate) status: Option<Arc<StatusFile>>,
}

/// Plays a scenario in virtual time, in a world of its own.
pub(crate) fn play(
    scenario: &Scenario,
    source: Source,
    mutant: Option<Mutant>,
    record: Record,
) -> Played {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let dice = Dice::new(scenario.seed);
        let schedule = Schedule::new(dice, scenario.weather.clone(), source, record);
        let sim = Arc::new(Sim::new(scenario.clone(), schedule));
        let player = Player { sim: Arc::clone(&sim), mutant };
        tokio::select! {
            biased;
            () = sim.broken.notified() => {}
            () = player.whole() => {}
        }
        let (violation, status) = {
            let laws = sim.laws();
            (laws.violation.clone(), laws.status.clone())
        };
        let mut schedule = sim.schedule();
        Played {
            violation,
            fired: std::mem::take(&mut schedule.fired),
            effects: schedule.effects,
            points: schedule.points.take().unwrap_or_default(),
            trace: schedule.trace.take().unwrap_or_default(),
            status,
        }
    })
}

struct Player {
    sim: Arc<Sim>,
    mutant: Option<Mutant>,
}

impl Player {
    async fn whole(&self) {
        let mut number = 0;
        for round in &self.sim.scenario.rounds {
            tokio::time::sleep(round.pause).await;
            for (after, event) in &round.events {
                let (sim, after, event) = (Arc::clone(&self.sim), *after, event.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    if !sim.schedule().calm {
                        sim.happen(&event);
                    }
                });
            }
            let runs = round.runs.iter().map(|run| {
                number += 1;
                self.after(run, number)
            });
            futures_util::future::join_all(runs).await;
        }
        self.sim.say(|| "-- from here on all is calm".to_owned());
        self.sim.schedule().calm = true;
        // What is still under way arrives, what still hides is shown.
        tokio::time::sleep(Duration::from_mins(20)).await;
        if self.sim.scenario.has_a_service() {
            number += 1;
            self.service_brings_to_rest(number).await;
        }
        self.comes_to_rest(number + 1).await;
    }

    /// An undisturbed service leaves nothing to be done to the runs after it.
    async fn service_brings_to_rest(&self, number: u32) {
        let run = Run { wait: Waiting::Watch(LONG_WATCH), ..calm() };
        if !self.process(number, &run).await {
            return self
                .sim
                .violation(Law::Rest, format!("the undisturbed service {number} fails"));
        }
        if let Err(what) = rest::is_at_rest(&self.sim) {
            self.sim.violation(Law::NeverLost, format!("after hours of service, {what}"));
        }
    }

    async fn after(&self, run: &Run, number: u32) {
        tokio::time::sleep(run.after).await;
        self.process(number, run).await;
    }

    /// Undisturbed runs, until one changes nothing.
    async fn comes_to_rest(&self, first: u32) {
        let calm = calm();
        let mut before: Option<Option<_>> = None;
        for number in first..first + MOST_PASSES {
            if !self.process(number, &calm).await {
                self.sim.violation(Law::Rest, format!("the undisturbed run {number} fails"));
                return;
            }
            let now = self.sim.laws().status.as_deref().map(rest::outline);
            if before.as_ref() == Some(&now) {
                if let Err(what) = rest::is_at_rest(&self.sim) {
                    self.sim.violation(Law::NeverLost, format!("at rest, {what}"));
                    return;
                }
                // What changed a short while ago is looked at again; then the lists are enough.
                tokio::time::sleep(Duration::from_mins(70)).await;
                self.process(number + 1, &calm).await;
                return self.changes_nothing(number + 2, &calm).await;
            }
            before = Some(now);
            tokio::time::sleep(Duration::from_mins(6)).await;
        }
        self.sim.violation(Law::Rest, format!("not at rest after {MOST_PASSES} undisturbed runs"));
    }

    /// One more run, when all is done: it asks for little, and writes nothing new.
    async fn changes_nothing(&self, number: u32, calm: &Run) {
        let sim = &self.sim;
        // What is managed no longer and runs is still being followed.
        let record_of = |number| {
            sim.manifest(number)?;
            let id = name(number).parse().unwrap();
            let record = sim.laws().status.as_ref()?.offers.get(&id).cloned();
            // A doubt that is left to people is looked at in each run.
            record.filter(|it| it.intent.as_ref().is_none_or(|intent| intent.attempt < 2))
        };
        let records = || (0..sim.scenario.offers.len()).map(record_of).collect::<Vec<_>>();
        let (before, began) = (records(), sim.now());
        let kept = sim.schedule().points.replace(Vec::new());
        if !self.process(number, calm).await {
            return sim.violation(Law::Rest, format!("the run {number} fails, at rest"));
        }
        let points = std::mem::replace(&mut sim.schedule().points, kept).unwrap_or_default();
        if rest::a_launch_date_has_come(sim, began) {
            return; // There was something to do.
        }
        let now = records();
        if let Err(what) = rest::asks_for_little(sim, &points) {
            sim.violation(Law::FewRequests, format!("a run that has nothing to do {what}"));
        } else if let Some((before, now)) = before.iter().zip(&now).find(|(one, two)| one != two) {
            let what = format!("a run that has nothing to do makes {before:?} to {now:?}");
            sim.violation(Law::Rest, what);
        }
    }

    /// One run of golive, as the command does it. Tells whether it came to its own end.
    async fn process(&self, number: u32, run: &Run) -> bool {
        let sim = &self.sim;
        let scope = run.only.map(|only| BTreeSet::from([name(only).parse().unwrap()]));
        let retry = if run.retry { Retry::All } else { Retry::None };
        let policy = Policy { retry, scope, ..Policy::default() };
        let process = Arc::new(Process::new(number, policy, run.bounds));
        sim.say(|| format!("-- process {number}: {run:?}"));
        sim.spawned(&process);
        let ended = tokio::select! {
            biased;
            () = process.bell.notified() => Err("it was killed".to_owned()),
            () = stops_late(&process, run) => {
                sim.violation(Law::Bounds, format!("process {number} does not stop"));
                Err("it does not stop".to_owned())
            }
            ended = tokio::time::timeout(LONGEST_RUN, self.golive(&process, run)) => {
                ended.unwrap_or_else(|_| {
                    sim.violation(Law::Rest, format!("process {number} does not end"));
                    Err("it does not end".to_owned())
                })
            }
        };
        sim.say(|| format!("-- process {number} ends: {ended:?}"));
        ended.is_ok()
    }

    async fn golive(&self, process: &Arc<Process>, run: &Run) -> Result<(), String> {
        let sim = &self.sim;
        let disk = SimDisk { sim: Arc::clone(sim), process: Arc::clone(process) };
        let disk: Arc<dyn Disk> = Arc::new(disk);
        let armed = self.mutant.map(|mutant| Armed::new(mutant, Arc::clone(&disk)));
        let disk = armed.as_ref().map_or(disk, Armed::disk);
        let clock = Arc::clone(&sim.clock) as Arc<dyn golive::clock::Clock>;
        let path = Sim::status_path();
        let words = if run.watches().is_some() { "golive watch" } else { "golive apply" };
        let lock = StatusLock::acquire(&*disk, &path, run.lock_timeout, words, &*clock);
        let _lock = lock.await.map_err(|error| error.to_string())?;
        let max_wait = match run.wait {
            Waiting::Once => Duration::from_mins(2),
            Waiting::For(duration) => duration,
            Waiting::ToTheEnd | Waiting::Watch(_) => Duration::from_hours(1),
        };
        let marketplace = self.client(process, max_wait);
        let marketplace = match &armed {
            Some(armed) => armed.marketplace(marketplace),
            None => marketplace,
        };
        let now = sim.schedule().effects;
        sim.laws().begins(process, now, (0..sim.scenario.offers.len()).map(name));
        let open = || {
            let store = StatusStore::open(path, Arc::clone(&disk), Arc::clone(&clock));
            store.map_err(|error| error.to_string())
        };
        match run.wait {
            Waiting::Watch(duration) => {
                let _silence = Silence(Arc::clone(process));
                let store = Arc::new(open()?);
                self.watch(process, store, marketplace, duration).await
            }
            Waiting::Once | Waiting::For(_) | Waiting::ToTheEnd => {
                let open = || open().map(Arc::new);
                self.apply(process, run, open, marketplace).await
            }
        }
    }

    /// A service, until it is asked to stop.
    async fn watch(
        &self,
        process: &Arc<Process>,
        store: Arc<StatusStore>,
        marketplace: Arc<dyn Backend>,
        duration: Duration,
    ) -> Result<(), String> {
        let sim = &self.sim;
        let (word, words) = mpsc::channel(8);
        *process.words.lock().unwrap() = Some(word);
        let (service_state, pings) = ServiceState::new();
        let (_hangup, hangups) = mpsc::channel(1);
        let (told, told_sim) = (Arc::clone(process), Arc::clone(sim));
        let patience = Duration::ZERO;
        let reconciler = self.reconciler(process, Arc::clone(&store), marketplace, patience);
        let daemon = Daemon::new(Parts {
            reconciler: Arc::new(reconciler),
            store,
            clock: Arc::clone(&sim.clock) as Arc<dyn golive::clock::Clock>,
            random: sim.dice.of(("daemon", process.number)).0,
            service_state,
            pings,
            source: Box::new(Words { words, is_due: true }),
            manifests: Manifests::new(vec![sim.folder()]),
            hangups,
            stop: process.stop.clone(),
            on_manifests: Box::new(move |desired| told_sim.takes_over(&told, desired)),
            heartbeat: None,
            resync: Duration::from_mins(30),
        });
        let (sim, stop) = (Arc::clone(sim), process.stop.clone());
        let stopper = async move {
            tokio::time::sleep(duration).await;
            sim.say(|| "-- the service is to stop".to_owned());
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
                // What golive manages no longer, it may forget.
                sim.forgets(offer);
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
        let wait = match run.wait {
            Waiting::Once => Wait::No,
            Waiting::For(duration) => Wait::Until(Some(duration)),
            Waiting::ToTheEnd | Waiting::Watch(_) => Wait::Until(None),
        };
        let guard = self.guard(process, run.bounds, &marketplace, &desired, &recorded).await;
        let reconciler = self.reconciler(process, store, marketplace, MAX_PAUSE);
        let policy = process.policy.clone();
        let job = Job { desired, gone, policy, guard, wait };
        let random = sim.dice.of(("golive", process.number)).0;
        let (_, result) = golive::engine::run(&Arc::new(reconciler), &job, random).await;
        if run.bounds == Bounds::OtherReviewed && result.is_ok() && !process.stop.is_cancelled() {
            sim.violation(Law::Bounds, format!("{process:?} takes what was not reviewed"));
        }
        result.map_err(|error| error.to_string())
    }

    /// What must hold before anything is sent; for that, a change set is reviewed as it is now.
    async fn guard(
        &self,
        process: &Process,
        bounds: Bounds,
        marketplace: &Arc<dyn Backend>,
        desired: &Desired,
        recorded: &BTreeMap<OfferId, Arc<OfferRecord>>,
    ) -> Guard {
        let expected = |digest| Guard { expect: Some(digest), max_changes: None };
        match bounds {
            Bounds::None => Guard::default(),
            Bounds::Most(most) => Guard { expect: None, max_changes: Some(most) },
            Bounds::OtherReviewed => expected("sha256:another".to_owned()),
            Bounds::Reviewed => {
                let settle = self.settle().map(Settling::all);
                let observer = Observer::new(Arc::clone(marketplace), 4, settle);
                let moment =
                    observer.moment(self.sim.now(), desired.keys().map(OfferId::publisher));
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
        let portal = PortalSettings { max_wait, ..PortalSettings::default() };
        Arc::new(PortalClient::new(
            ORIGIN.parse().unwrap(),
            Arc::new(Wire { sim: Arc::clone(sim), process: Arc::clone(process) }),
            Arc::new(SimTokens::new(Arc::clone(sim))),
            Arc::clone(&sim.clock) as Arc<dyn golive::clock::Clock>,
            portal,
            sim.dice.of(("golive", process.number)).0,
        ))
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

    /// How long a request that left no trace may still show; by default what golive counts on.
    fn settle(&self) -> Option<Duration> {
        (self.mutant == Some(Mutant::NoSettling)).then_some(Duration::ZERO)
    }
}

/// A run that nothing disturbs.
fn calm() -> Run {
    Run {
        after: Duration::ZERO,
        retry: false,
        only: None,
        wait: Waiting::ToTheEnd,
        lock_timeout: Duration::from_secs(1),
        bounds: Bounds::None,
    }
}

/// Files whose changes are told of by words, and looked at with each resync.
struct Words {
    words: mpsc::Receiver<()>,
    is_due: bool,
}

#[async_trait]
impl Files for Words {
    async fn changed(&mut self) -> Option<SourceRecord> {
        if !std::mem::take(&mut self.is_due) && self.words.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        None
    }

    fn check_now(&mut self) {
        self.is_due = true;
    }

    fn watch(&mut self, _: &BTreeSet<PathBuf>) -> bool {
        false
    }
}

/// A service that has ended hears of nothing any more.
struct Silence(Arc<Process>);

impl Drop for Silence {
    fn drop(&mut self) {
        *self.0.words.lock().unwrap() = None;
    }
}

/// Returns once a process that was asked to stop should have: what was sent is waited for, and so
/// is the lock.
async fn stops_late(process: &Process, run: &Run) {
    process.stop.cancelled().await;
    tokio::time::sleep(run.lock_timeout + LONGEST_STOP).await;
}
