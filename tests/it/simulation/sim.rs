//! One play's world: the marketplace, the files, the schedule, the laws; and its processes.

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
use golive::marketplace::OfferId;
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::dice::Dice;
use super::files::Files;
use super::laws::{Law, Laws, Violation};
use super::scenario::{Bounds, Event, Manifest, Scenario, name};
use super::schedule::{Crash, Effect, Fault, Point, Schedule};
use crate::place::STATUS;

/// No play has so many effects, unless golive goes round in circles.
const MOST_EFFECTS: u64 = 20_000;

/// How long the publisher's list may show what was before a change.
const OLDEST_LIST: Duration = Duration::from_mins(10);

/// When every play begins.
pub(crate) fn start() -> Timestamp {
    "2026-12-01T09:00:00Z".parse().unwrap()
}

/// One run of golive, as the world sees it.
pub(crate) struct Process {
    pub(crate) number: u32,
    pub(crate) desired: Mutex<Arc<BTreeMap<OfferId, Arc<Loaded>>>>,
    pub(crate) policy: Policy,
    dead: AtomicBool,
    /// Canceled when the user asks to stop.
    pub(crate) stop: CancellationToken,
    /// The ids of the requests that were sent.
    posted: Mutex<BTreeSet<String>>,
    /// How many golives may be accepted from it.
    pub(crate) most: Option<usize>,
    /// The offers that may be launched, where that was reviewed.
    reviewed: Mutex<Option<BTreeSet<OfferId>>>,
    /// How many were.
    pub(crate) accepted: AtomicUsize,
    /// Rings when it dies.
    pub(crate) bell: Notify,
    /// Where it hears of files, if it is a service.
    pub(crate) words: Mutex<Option<mpsc::Sender<()>>>,
}

impl Process {
    pub(crate) fn new(number: u32, policy: Policy, bounds: Bounds) -> Self {
        let most = match bounds {
            Bounds::None | Bounds::Reviewed => None,
            Bounds::Most(most) => Some(most),
            Bounds::OtherReviewed => Some(0),
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
            bell: Notify::new(),
            words: Mutex::default(),
        }
    }

    /// Whether a request that starts something may leave at all.
    pub(crate) fn may_post(&self, request_id: &str) -> Result<(), String> {
        // One that was under way is sent once more where the token was refused.
        let is_new = self.posted.lock().unwrap().insert(request_id.to_owned());
        if is_new && self.stop.is_cancelled() {
            return Err("although the user asked to stop".to_owned());
        }
        match self.most {
            Some(0) => Err("although nothing may be changed".to_owned()),
            Some(_) | None => Ok(()),
        }
    }

    /// A change set was reviewed: nothing else may be sent.
    pub(crate) fn review(&self, changes: &ChangeSet) {
        let foreseen = changes.changes.iter().filter(|change| {
            let waits = matches!(change.decision, Decision::Held(Hold::WaitingForDependency(_)));
            change.decision.is_trigger() || waits
        });
        let offers = foreseen.map(|change| change.offer.clone()).collect();
        *self.reviewed.lock().unwrap() = Some(offers);
    }

    /// Whether an offer's launch was foreseen, where that matters.
    pub(crate) fn is_foreseen(&self, offer: &OfferId) -> bool {
        self.reviewed.lock().unwrap().as_ref().is_none_or(|offers| offers.contains(offer))
    }

    /// One more golive was accepted from it.
    pub(crate) fn has_started(&self) -> Result<(), String> {
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
        self.bell.notify_one();
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

/// The marketplace as it was before a change.
pub(crate) struct Yesterday {
    pub(crate) emulator: Emulator,
    changed_at: Timestamp,
}

impl Yesterday {
    fn age(&self, now: Timestamp) -> Duration {
        Duration::try_from(now.duration_since(self.changed_at)).unwrap_or_default()
    }
}

pub(crate) struct Sim {
    pub(crate) dice: Dice,
    pub(crate) scenario: Scenario,
    pub(crate) clock: Arc<SimClock>,
    pub(crate) emulator: Emulator,
    seed: Seed,
    schedule: Mutex<Schedule>,
    files: Mutex<Files>,
    laws: Mutex<Laws>,
    manifests: Mutex<Vec<Option<Manifest>>>,
    /// Where services find the manifests.
    folder: Option<TempDir>,
    /// Before the last change.
    yesterday: Mutex<Option<Arc<Yesterday>>>,
    /// Before the last golive that was accepted for an offer.
    queue: Mutex<BTreeMap<String, Arc<Yesterday>>>,
    /// The token that is good now: its number.
    pub(crate) token: Mutex<u32>,
    processes: Mutex<Vec<Arc<Process>>>,
    /// Rings when a law is broken.
    pub(crate) broken: Notify,
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sim")
    }
}

/// The runtime's time, and what blocking calls took beside it.
#[derive(Debug)]
pub(crate) struct SimClock {
    inner: RuntimeClock,
    /// In milliseconds.
    slept: AtomicU64,
}

impl SimClock {
    /// A call blocks for so long.
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
        let seed = crate::place::parse(&scenario.marketplace());
        let emulator = Emulator::new(seed.clone(), Arc::clone(&clock) as _);
        let manifests: Vec<_> = scenario.offers.iter().map(|it| it.manifest.clone()).collect();
        let folder = scenario.has_a_service().then(|| tempfile::tempdir().unwrap());
        let sim = Self {
            dice: Dice::new(scenario.seed),
            scenario,
            clock,
            emulator,
            seed,
            schedule: Mutex::new(schedule),
            files: Mutex::default(),
            laws: Mutex::default(),
            manifests: Mutex::new(manifests),
            folder,
            yesterday: Mutex::default(),
            queue: Mutex::default(),
            token: Mutex::new(1),
            processes: Mutex::default(),
            broken: Notify::new(),
        };
        sim.laws().status_names_nothing = sim.scenario.answers.contains("documented");
        for offer in 0..sim.scenario.offers.len() {
            sim.note_started(offer);
        }
        sim.write_manifests();
        sim
    }

    /// The folder with the manifests, where a service is to find them.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.as_ref().map(|folder| folder.path().to_owned()).unwrap_or_default()
    }

    /// Writes the manifests as they are committed now.
    #[expect(clippy::disallowed_methods, reason = "these files are no process's")]
    fn write_manifests(&self) {
        if self.folder.is_some() {
            std::fs::write(self.folder().join("all.yaml"), self.manifests()).unwrap();
        }
    }

    /// The services hear that a file has changed: at once, late, or not at all.
    fn spread_the_word(&self) {
        let processes = self.processes.lock().unwrap().clone();
        for process in processes {
            let Some(words) = process.words.lock().unwrap().clone() else { continue };
            let late = match self.effect(&process, "a word of files", Effect::Word) {
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
                let _ = words.send(()).await;
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

    pub(crate) fn laws(&self) -> MutexGuard<'_, Laws> {
        self.laws.lock().unwrap()
    }

    pub(crate) fn status_path() -> PathBuf {
        Path::new("/offers").join(STATUS)
    }

    pub(crate) fn say(&self, line: impl FnOnce() -> String) {
        let elapsed = || self.now().duration_since(start());
        self.schedule().say(|| format!("{:>10}ms  {}", elapsed().as_millis(), line()));
    }

    /// A law is broken: everything stops.
    pub(crate) fn violation(&self, law: Law, what: String) {
        self.say(|| format!("BROKEN: {law:?}: {what}"));
        self.laws().violation.get_or_insert(Violation { law, what });
        for process in &*self.processes.lock().unwrap() {
            process.die();
        }
        self.broken.notify_one();
    }

    /// Announces an effect; `None` where the process is no more.
    pub(crate) fn effect(
        &self,
        process: &Process,
        what: &str,
        effect: Effect,
    ) -> Option<(Point, Option<Fault>)> {
        if process.is_dead() {
            return None;
        }
        let (point, mut fault) = self.schedule().next(process.number, what, effect);
        if fault == Some(Fault::Old) && self.old_list().is_none() {
            // Nothing has changed of late, so that there is nothing old to show.
            self.schedule().fired.remove(&point);
            fault = None;
        }
        if fault == Some(Fault::Stop) {
            process.stop.cancel();
        }
        self.say(|| match fault {
            Some(fault) => format!("{point}: {fault:?}"),
            None => point.to_string(),
        });
        if self.schedule().effects > MOST_EFFECTS {
            let what = format!("more than {MOST_EFFECTS} effects");
            self.violation(Law::Rest, what);
            return None;
        }
        Some((point, fault))
    }

    pub(crate) fn spawned(&self, process: &Arc<Process>) {
        self.processes.lock().unwrap().push(Arc::clone(process));
    }

    pub(crate) fn crash(&self, process: &Process, crash: Crash) {
        match crash {
            Crash::Kill => process.die(),
            Crash::PowerLoss => {
                let mut throws = self.dice.of(("power", process.number));
                self.files().lose_power(&mut throws);
                for process in &*self.processes.lock().unwrap() {
                    process.die();
                }
                self.look_at_files();
            }
        }
    }

    /// Holds what is on the disk, and what would be left of it, to the laws.
    pub(crate) fn look_at_files(&self) {
        let path = Self::status_path();
        let (seen, futures) = {
            let files = self.files();
            (files.read(&path), files.futures(&path))
        };
        let checked =
            self.laws().files(seen.as_ref(), &futures, |offer| self.emulator.truth(offer));
        if let Err(what) = checked {
            self.violation(Law::TrueStatus, what);
        }
    }

    /// The manifests as they are committed now, in one file.
    pub(crate) fn manifests(&self) -> String {
        let manifests = self.manifests.lock().unwrap();
        let texts = manifests.iter().enumerate().filter_map(|(offer, manifest)| {
            // What waits for an offer without a manifest would be an error.
            let orphan = offer > 0 && manifests[offer - 1].is_none();
            let mut manifest = manifest.clone()?;
            manifest.waits &= !orphan;
            Some(manifest.text(offer, start()))
        });
        // A file of comments alone declares no offer, an empty one would be an error.
        format!("# all offers\n{}", texts.collect::<Vec<_>>().join("---\n"))
    }

    pub(crate) fn manifest(&self, offer: usize) -> Option<Manifest> {
        self.manifests.lock().unwrap()[offer].clone()
    }

    /// Something happens that is not golive's doing.
    pub(crate) fn happen(&self, event: &Event) {
        self.say(|| format!("-- {event:?}"));
        match event {
            Event::ManualAction(offer, hand) => {
                self.changed(self.today(), None);
                // What the marketplace does not allow now does not happen.
                drop(self.emulator.by_hand(&name(*offer), hand.clone()));
                if matches!(hand, ManualAction::StartGoLive | ManualAction::GoLive) {
                    self.note_started(*offer);
                }
                // Whoever ends it has seen it.
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
                self.spread_the_word();
                let effects = self.schedule().effects;
                // What waits for it waits for nothing while it has no manifest.
                for changed in [*offer, offer + 1] {
                    self.laws().edited(name(changed), effects);
                }
            }
            Event::RotateToken => *self.token.lock().unwrap() += 1,
            Event::ForgetStatus => {
                let mut files = self.files();
                files.remove(&Self::status_path());
                drop(files);
                (0..self.scenario.offers.len()).for_each(|offer| self.forgets(offer));
                self.look_at_files();
            }
        }
    }

    /// A service goes by these manifests from now on.
    pub(crate) fn takes_over(&self, process: &Process, desired: &BTreeMap<OfferId, Arc<Loaded>>) {
        *process.desired.lock().unwrap() = Arc::new(desired.clone());
        for offer in 0..self.scenario.offers.len() {
            if !desired.contains_key(&name(offer).parse().unwrap()) {
                // What golive manages no longer, it may forget.
                self.forgets(offer);
            }
        }
    }

    /// What golive knows of an offer is deleted, or may be from now on.
    pub(crate) fn forgets(&self, offer: usize) {
        let effects = self.schedule().effects;
        self.laws().forgets(&name(offer), effects, self.now());
    }

    /// Takes note of golives that others have started.
    fn note_started(&self, offer: usize) {
        let Some(truth) = self.emulator.truth(&name(offer)) else { return };
        let at = self.schedule().effects;
        self.laws().started_by_others(&truth, at);
    }

    /// The marketplace as it is now, to be shown once it has changed.
    pub(crate) fn today(&self) -> Yesterday {
        let memory = self.emulator.snapshot();
        let emulator = Emulator::restore(self.seed.clone(), memory, Arc::clone(&self.clock) as _);
        Yesterday { emulator, changed_at: self.now() }
    }

    /// The marketplace has changed: by a golive for an offer, or otherwise.
    pub(crate) fn changed(&self, yesterday: Yesterday, golive_of: Option<&str>) {
        let yesterday = Arc::new(yesterday);
        if let Some(offer) = golive_of {
            self.queue.lock().unwrap().insert(offer.to_owned(), Arc::clone(&yesterday));
        }
        *self.yesterday.lock().unwrap() = Some(yesterday);
    }

    /// The marketplace before a golive for an offer, or for any, that need not show yet.
    pub(crate) fn in_the_queue(&self, offer: Option<&str>) -> Option<Arc<Yesterday>> {
        let lag = self.scenario.lag?;
        let queue = self.queue.lock().unwrap();
        let mut queued = queue.iter().filter(|(name, _)| offer.is_none_or(|it| it == *name));
        queued.find(|(_, it)| it.age(self.now()) < lag).map(|(_, it)| Arc::clone(it))
    }

    /// The marketplace as an old list shows it.
    pub(crate) fn old_list(&self) -> Option<Arc<Yesterday>> {
        let kept = self.yesterday.lock().unwrap().clone();
        kept.filter(|kept| kept.age(self.now()) < OLDEST_LIST)
    }
}
