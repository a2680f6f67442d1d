//! The simulated world of one play: marketplace, files, schedule, checker and processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use golive::changes::{ChangeSet, Decision, Hold, Policy};
use golive::clock::{Clock, RuntimeClock};
use golive::emulator::{Emulator, ManualAction, Seed};
use golive::manifest::Loaded;
use golive::marketplace::{Api, OfferId};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::api::Known;
use super::checker::{Checker, Invariant, Violation};
use super::files::Files;
use super::random::RandomSource;
use super::scenario::{Event, Limits, Manifest, Scenario, name};
use super::schedule::{Crash, Effect, Fault, FaultPoint, Schedule};
use crate::test_env::STATUS;

/// More effects than this mean an endless loop.
const MAX_EFFECTS: u64 = 20_000;

/// How long the publisher's list may show the state before a change.
const MAX_LIST_AGE: Duration = Duration::from_mins(10);

/// The start time of every play.
pub(crate) fn start() -> Timestamp {
    "2026-12-01T09:00:00Z".parse().unwrap()
}

/// One run of golive.
pub(crate) struct Process {
    pub(crate) number: u32,
    pub(crate) desired: Mutex<Arc<BTreeMap<OfferId, Arc<Loaded>>>>,
    pub(crate) policy: Policy,
    dead: AtomicBool,
    /// Canceled when the user asks to stop.
    pub(crate) stop: CancellationToken,
    /// The ids of sent requests.
    posted: Mutex<BTreeSet<String>>,
    /// The limit on accepted golives.
    pub(crate) most: Option<usize>,
    /// The offers in the reviewed change set, with `--expect`.
    reviewed: Mutex<Option<BTreeSet<OfferId>>>,
    pub(crate) accepted: AtomicUsize,
    /// Notified when the process is killed.
    pub(crate) killed: Notify,
    /// The channel of file events, for a service.
    pub(crate) file_events: Mutex<Option<mpsc::Sender<()>>>,
}

impl Process {
    pub(crate) fn new(number: u32, policy: Policy, limits: Limits) -> Self {
        let most = match limits {
            Limits::None | Limits::ExpectCurrent => None,
            Limits::MaxChanges(most) => Some(most),
            Limits::ExpectOther => Some(0),
        };
        Self {
            number,
            desired: Mutex::default(),
            policy,
            dead: AtomicBool::new(false),
            stop: CancellationToken::new(),
            posted: Mutex::default(),
            most,
            reviewed: Mutex::default(),
            accepted: AtomicUsize::new(0),
            killed: Notify::new(),
            file_events: Mutex::default(),
        }
    }

    /// Fails if the limits or a stop forbid a POST.
    pub(crate) fn check_post(&self, request_id: &str) -> Result<(), String> {
        // The executor may repeat a request under way after a refused token.
        let is_new = self.posted.lock().unwrap().insert(request_id.to_owned());
        if is_new && self.stop.is_cancelled() {
            return Err("although the user asked to stop".to_owned());
        }
        match self.most {
            Some(0) => Err("although nothing may be changed".to_owned()),
            Some(_) | None => Ok(()),
        }
    }

    /// Records the reviewed change set: no other offer may be launched.
    pub(crate) fn review(&self, changes: &ChangeSet) {
        let foreseen = changes.changes.iter().filter(|change| {
            let waits = matches!(change.decision, Decision::Held(Hold::WaitingForDependency(_)));
            change.decision.is_trigger() || waits
        });
        let offers = foreseen.map(|change| change.offer.clone()).collect();
        *self.reviewed.lock().unwrap() = Some(offers);
    }

    /// Whether the reviewed change set, if any, has the offer.
    pub(crate) fn was_reviewed(&self, offer: &OfferId) -> bool {
        self.reviewed.lock().unwrap().as_ref().is_none_or(|offers| offers.contains(offer))
    }

    /// Counts an accepted golive; fails over the limit.
    pub(crate) fn count_accepted(&self) -> Result<(), String> {
        let accepted = self.accepted.fetch_add(1, Ordering::SeqCst) + 1;
        match self.most {
            Some(most) if accepted > most => Err(format!("{accepted} are accepted, not {most}")),
            Some(_) | None => Ok(()),
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    fn die(&self) {
        self.dead.store(true, Ordering::SeqCst);
        self.killed.notify_one();
    }

    pub(crate) fn desired(&self) -> Arc<BTreeMap<OfferId, Arc<Loaded>>> {
        Arc::clone(&self.desired.lock().unwrap())
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.number)
    }
}

/// The marketplace before a change.
pub(crate) struct PastState {
    pub(crate) emulator: Emulator,
    changed_at: Timestamp,
}

impl PastState {
    fn age(&self, now: Timestamp) -> Duration {
        Duration::try_from(now.duration_since(self.changed_at)).unwrap_or_default()
    }
}

pub(crate) struct Sim {
    pub(crate) random: RandomSource,
    pub(crate) scenario: Scenario,
    pub(crate) clock: Arc<SimClock>,
    pub(crate) emulator: Emulator,
    seed: Seed,
    schedule: Mutex<Schedule>,
    files: Mutex<Files>,
    checker: Mutex<Checker>,
    known: Arc<Mutex<Known>>,
    manifests: Mutex<Vec<Option<Manifest>>>,
    /// Where services find the manifests.
    folder: Option<TempDir>,
    /// Before the last change.
    past_state: Mutex<Option<Arc<PastState>>>,
    /// Before the last accepted golive, by offer.
    queue: Mutex<BTreeMap<String, Arc<PastState>>>,
    /// The number of the valid token.
    pub(crate) token: Mutex<u32>,
    processes: Mutex<Vec<Arc<Process>>>,
    /// Notified when an invariant is broken.
    pub(crate) broken: Notify,
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sim")
    }
}

/// The runtime's time plus the time of blocking calls.
#[derive(Debug)]
pub(crate) struct SimClock {
    inner: RuntimeClock,
    /// In milliseconds.
    slept: AtomicU64,
}

impl SimClock {
    /// Blocks for a duration.
    pub(crate) fn sleep(&self, duration: Duration) {
        let slept = u64::try_from(duration.as_millis()).unwrap();
        self.slept.fetch_add(slept, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.inner.now() + Duration::from_millis(self.slept.load(Ordering::Relaxed))
    }
}

impl Sim {
    /// To be made inside a paused runtime.
    pub(crate) fn new(scenario: Scenario, schedule: Schedule) -> Self {
        let inner = RuntimeClock::starting_at(start());
        let clock = Arc::new(SimClock { inner, slept: AtomicU64::new(0) });
        let seed = crate::test_env::parse(&scenario.marketplace());
        let emulator = Emulator::new(seed.clone(), Arc::clone(&clock) as _);
        let manifests: Vec<_> = scenario.offers.iter().map(|it| it.manifest.clone()).collect();
        let folder = scenario.has_a_service().then(|| tempfile::tempdir().unwrap());
        let known = Arc::new(Mutex::new(Known::default()));
        let checker = Checker::new(scenario.api, Arc::clone(&known));
        let sim = Self {
            random: RandomSource::new(scenario.seed),
            scenario,
            clock,
            emulator,
            seed,
            schedule: Mutex::new(schedule),
            files: Mutex::default(),
            checker: Mutex::new(checker),
            known,
            manifests: Mutex::new(manifests),
            folder,
            past_state: Mutex::default(),
            queue: Mutex::default(),
            token: Mutex::new(1),
            processes: Mutex::default(),
            broken: Notify::new(),
        };
        sim.checker().status_names_nothing = sim.scenario.answers.contains("documented");
        for offer in 0..sim.scenario.offers.len() {
            sim.note_started(offer);
        }
        sim.write_manifests();
        sim
    }

    /// The folder with the manifests, for services.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.as_ref().map(|folder| folder.path().to_owned()).unwrap_or_default()
    }

    /// Writes the current manifests.
    #[expect(clippy::disallowed_methods, reason = "these files are no process's")]
    fn write_manifests(&self) {
        if self.folder.is_some() {
            std::fs::write(self.folder().join("all.yaml"), self.manifests()).unwrap();
        }
    }

    /// Tells the services that a file has changed: at once, late, or not at all.
    fn notify_services(&self) {
        let processes = self.processes.lock().unwrap().clone();
        for process in processes {
            let Some(events) = process.file_events.lock().unwrap().clone() else { continue };
            let late = match self.effect(&process, "a word of files", Effect::FileEvent) {
                None | Some((_, Some(Fault::Fails))) => continue,
                Some((_, Some(Fault::Late(late)))) => late,
                Some((_, Some(Fault::Crash(crash, _)))) => {
                    self.crash(&process, crash);
                    continue;
                }
                Some(_) => Duration::from_millis(100),
            };
            tokio::spawn(async move {
                tokio::time::sleep(late).await;
                // It may have ended meanwhile.
                let _ = events.send(()).await;
            });
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap()
    }

    pub(crate) fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap()
    }

    pub(crate) fn checker(&self) -> MutexGuard<'_, Checker> {
        self.checker.lock().unwrap()
    }

    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap()
    }

    pub(crate) fn status_path() -> PathBuf {
        Path::new("/offers").join(STATUS)
    }

    pub(crate) fn log(&self, line: impl FnOnce() -> String) {
        let elapsed = || self.now().duration_since(start());
        self.schedule().log(|| format!("{:>10}ms  {}", elapsed().as_millis(), line()));
    }

    /// A invariant is broken: everything stops.
    pub(crate) fn violation(&self, invariant: Invariant, what: String) {
        self.log(|| format!("BROKEN: {invariant:?}: {what}"));
        self.checker().violation.get_or_insert(Violation { invariant, what });
        for process in &*self.processes.lock().unwrap() {
            process.die();
        }
        self.broken.notify_one();
    }

    /// Draws the fault for an effect; `None` if the process is dead.
    pub(crate) fn effect(
        &self,
        process: &Process,
        what: &str,
        effect: Effect,
    ) -> Option<(FaultPoint, Option<Fault>)> {
        if process.is_dead() {
            return None;
        }
        let (point, mut fault) = self.schedule().next(process.number, what, effect);
        if fault == Some(Fault::StaleList) && self.before_last_change().is_none() {
            // Without a recent change there is no stale list to show.
            self.schedule().fired.remove(&point);
            fault = None;
        }
        if fault == Some(Fault::Stop) {
            process.stop.cancel();
        }
        self.log(|| match fault {
            Some(fault) => format!("{point}: {fault:?}"),
            None => point.to_string(),
        });
        if self.schedule().effects > MAX_EFFECTS {
            let what = format!("more than {MAX_EFFECTS} effects");
            self.violation(Invariant::Converges, what);
            return None;
        }
        Some((point, fault))
    }

    pub(crate) fn add_process(&self, process: &Arc<Process>) {
        self.processes.lock().unwrap().push(Arc::clone(process));
    }

    pub(crate) fn crash(&self, process: &Process, crash: Crash) {
        match crash {
            Crash::Kill => process.die(),
            Crash::PowerLoss => {
                let mut rng = self.random.of(("power", process.number));
                self.files().lose_power(&mut rng);
                for process in &*self.processes.lock().unwrap() {
                    process.die();
                }
                self.check_files();
            }
        }
    }

    /// Checks the status file as it is, and as a power loss would leave it.
    pub(crate) fn check_files(&self) {
        let path = Self::status_path();
        let (seen, after_power_loss) = {
            let files = self.files();
            (files.read(&path), files.after_power_loss(&path))
        };
        let checked =
            self.checker().check_status_files(seen.as_ref(), &after_power_loss, |offer| {
                self.emulator.truth(offer)
            });
        if let Err(what) = checked {
            self.violation(Invariant::TrueStatus, what);
        }
    }

    /// The current manifests, as one file.
    pub(crate) fn manifests(&self) -> String {
        let manifests = self.manifests.lock().unwrap();
        let texts = manifests.iter().enumerate().filter_map(|(offer, manifest)| {
            // Waiting for an offer without a manifest would be an error.
            let orphan = offer > 0 && manifests[offer - 1].is_none();
            let mut manifest = manifest.clone()?;
            manifest.waits &= !orphan;
            Some(manifest.text(self.scenario.api, offer, start()))
        });
        // A file of comments alone declares no offer, an empty one would be an error.
        format!("# all offers\n{}", texts.collect::<Vec<_>>().join("---\n"))
    }

    pub(crate) fn manifest(&self, offer: usize) -> Option<Manifest> {
        self.manifests.lock().unwrap()[offer].clone()
    }

    /// Applies an event.
    pub(crate) fn apply_event(&self, event: &Event) {
        self.log(|| format!("-- {event:?}"));
        match event {
            Event::ManualAction(offer, hand) => {
                self.changed(self.take_past_state(), None);
                if self.is_golive_of_live(*offer, hand) {
                    return;
                }
                // The marketplace may refuse it.
                drop(self.emulator.by_hand(&name(*offer), hand.clone()));
                if matches!(hand, ManualAction::StartGoLive | ManualAction::GoLive) {
                    self.note_started(*offer);
                }
                // A client that ends an operation has seen it, so it isn't queued any more.
                if matches!(
                    hand,
                    ManualAction::Cancel | ManualAction::Finish | ManualAction::Fail(_)
                ) {
                    self.queue.lock().unwrap().remove(&name(*offer));
                }
            }
            Event::Edit(offer, manifest) => {
                self.manifests.lock().unwrap()[*offer].clone_from(manifest);
                self.write_manifests();
                self.notify_services();
                let effects = self.schedule().effects;
                // The next offer's `after` depends on whether this one has a manifest.
                for changed in [*offer, offer + 1] {
                    self.checker().manifest_edited(name(changed), effects);
                }
            }
            Event::RotateToken => *self.token.lock().unwrap() += 1,
            Event::ForgetStatus => {
                let mut files = self.files();
                files.remove(&Self::status_path());
                drop(files);
                (0..self.scenario.offers.len()).for_each(|offer| self.record_deleted(offer));
                self.check_files();
            }
        }
    }

    /// Whether the action sends a release to live that is there already. One submission can't show
    /// both, and no source says what the Product Ingestion API does.
    fn is_golive_of_live(&self, offer: usize, action: &ManualAction) -> bool {
        let is_golive = matches!(action, ManualAction::StartGoLive | ManualAction::GoLive);
        let truth = self.emulator.truth(&name(offer));
        self.scenario.api == Api::ProductIngestion
            && is_golive
            && truth.is_some_and(|truth| truth.production == truth.preview)
    }

    /// Records the manifests that a service uses from now on.
    pub(crate) fn manifests_changed(
        &self,
        process: &Process,
        desired: &BTreeMap<OfferId, Arc<Loaded>>,
    ) {
        *process.desired.lock().unwrap() = Arc::new(desired.clone());
        for offer in 0..self.scenario.offers.len() {
            if !desired.contains_key(&name(offer).parse().unwrap()) {
                // golive may drop the records of offers without a manifest.
                self.record_deleted(offer);
            }
        }
    }

    /// The record of an offer was deleted, or may be from now on.
    pub(crate) fn record_deleted(&self, offer: usize) {
        let effects = self.schedule().effects;
        self.checker().record_deleted(&name(offer), effects, self.now());
    }

    /// Records the golives that other clients have started.
    fn note_started(&self, offer: usize) {
        let Some(truth) = self.emulator.truth(&name(offer)) else { return };
        let at = self.schedule().effects;
        self.checker().record_foreign_golives(&truth, at);
    }

    /// Copies the marketplace's current state.
    pub(crate) fn take_past_state(&self) -> PastState {
        let memory = self.emulator.snapshot();
        let emulator = Emulator::restore(self.seed.clone(), memory, Arc::clone(&self.clock) as _);
        PastState { emulator, changed_at: self.now() }
    }

    /// Keeps the state before a change; `golive_of` is the offer if a golive made the change.
    pub(crate) fn changed(&self, past_state: PastState, golive_of: Option<&str>) {
        let past_state = Arc::new(past_state);
        if let Some(offer) = golive_of {
            self.queue.lock().unwrap().insert(offer.to_owned(), Arc::clone(&past_state));
        }
        *self.past_state.lock().unwrap() = Some(past_state);
    }

    /// The state before a queued golive of an offer (`None`: of any) that need not show yet.
    pub(crate) fn before_queued_golive(&self, offer: Option<&str>) -> Option<Arc<PastState>> {
        let lag = self.scenario.lag?;
        let queue = self.queue.lock().unwrap();
        let mut queued = queue.iter().filter(|(name, _)| offer.is_none_or(|it| it == *name));
        queued.find(|(_, it)| it.age(self.now()) < lag).map(|(_, it)| Arc::clone(it))
    }

    /// The state that a stale list shows.
    pub(crate) fn before_last_change(&self) -> Option<Arc<PastState>> {
        let kept = self.past_state.lock().unwrap().clone();
        kept.filter(|kept| kept.age(self.now()) < MAX_LIST_AGE)
    }
}
