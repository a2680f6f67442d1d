//! The loop. It owns what is known of manifests and of what is to be done; the work itself is done by
//! tasks, one an offer or one a look at several, which the loop starts and hears of when they end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::board::{Board, Ping};
use super::links::Links;
use super::manifests::{Manifests, Refreshed};
use super::queue::{Now, Queue, When, Work};
use super::seen::SeenOffers;
use super::source::{Changed, Source};
use super::tries::Tries;
use crate::changes::Policy;
use crate::clock::{Clock, reached};
use crate::disk::folder_of;
use crate::manifest::Loaded;
use crate::marketplace::{OfferId, PublisherId, clean_line};
use crate::reconcile::{Desired, Guard, Job, Looked, Next, Reconciler, RunError, Wait};
use crate::status::{StatusStore, StoreError};

/// How long what was heard of operations may be in memory alone: polls that come close to each other
/// are one write.
const FLUSH_WITHIN: Duration = Duration::from_secs(1);

/// How long after a failed write the next one is tried.
const FLUSH_AGAIN: Duration = Duration::from_secs(5);

/// How long work may go on once golive is to stop. What is cut short then is on disk as an intent, or
/// is asked again by the next run.
const GRACE: Duration = Duration::from_secs(4);

/// How often the files are read again because a folder turned out to be new, before that is left to
/// the next change.
const MOST_READS: usize = 3;

/// The longest pause after errors; the time between resyncs, where that is shorter.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// What the daemon works with.
pub struct Parts {
    /// What looks, sends and polls.
    pub reconciler: Arc<Reconciler>,
    /// The status file, which the reconciler writes to, too.
    pub store: Arc<StatusStore>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance, for jitter.
    pub random: fastrand::Rng,
    /// What is shown.
    pub board: Arc<Board>,
    /// Questions whether the loop is alive.
    pub pings: mpsc::Receiver<Ping>,
    /// Where manifests come from.
    pub source: Box<dyn Source>,
    /// What is read from there.
    pub manifests: Manifests,
    /// Each asks to reconcile now (SIGHUP).
    pub hangups: mpsc::Receiver<()>,
    /// Canceled when the service is to stop.
    pub stop: CancellationToken,
    /// Told of the manifests before any of them is looked at.
    pub herald: Box<Herald>,
    /// How often a supervisor wants to hear that the loop is alive, and how it does.
    pub heartbeat: Option<Heartbeat>,
    /// How long between two resyncs, jitter aside.
    pub resync: Duration,
}

/// Somebody who is told of manifests.
pub type Herald = dyn Fn(&BTreeMap<OfferId, Loaded>) + Send;

/// A supervisor that wants to hear from the loop.
pub struct Heartbeat {
    /// How often.
    pub every: Duration,
    /// Tells it.
    pub beat: Box<dyn Fn() + Send>,
}

/// The service.
pub struct Daemon {
    parts: Parts,
    desired: Desired,
    links: Links,
    queue: Queue,
    seen: SeenOffers,
    tries: Tries,
    conflicts: BTreeMap<OfferId, u32>,
    tasks: JoinSet<Done>,
    /// Whether manifests were read yet.
    has_read: bool,
    ready: bool,
    resync_at: Instant,
    flush_at: Option<Instant>,
    beat_at: Option<Instant>,
    /// What went wrong last with the service itself, as it was told.
    trouble: Option<String>,
}

/// A task has ended.
enum Done {
    /// A look at these offers.
    Looked { offers: BTreeSet<OfferId>, result: Result<Option<Looked>, RunError> },
    /// What was sent for an offer, or not.
    Executed { offer: OfferId, next: Next, conflicts: u32 },
    /// A poll, or a try to remove an offer whose manifest is gone.
    SeenTo { offer: OfferId, next: Next },
    /// The status file was written, or not.
    Flushed(Result<(), StoreError>),
}

impl Daemon {
    /// A daemon; nothing happens yet. To be made inside a runtime.
    #[must_use]
    pub fn new(mut parts: Parts) -> Self {
        let now = Instant::now();
        let random = parts.random.fork();
        let beat_at = parts.heartbeat.as_ref().map(|heartbeat| now + heartbeat.every);
        Self {
            tries: Tries::new(parts.resync.min(LONGEST_PAUSE), random),
            desired: Arc::default(),
            links: Links::default(),
            queue: Queue::default(),
            seen: SeenOffers::default(),
            conflicts: BTreeMap::new(),
            tasks: JoinSet::new(),
            has_read: false,
            ready: false,
            resync_at: now,
            flush_at: None,
            beat_at,
            trouble: None,
            parts,
        }
    }

    /// Runs until it is told to stop; then everything that is known is on disk, or the error says why
    /// not.
    pub async fn run(mut self) -> Result<(), StoreError> {
        loop {
            self.do_what_is_due();
            let wake = self.wake();
            tokio::select! {
                biased;
                () = self.parts.stop.cancelled() => break,
                // Who asked may have given up.
                Some(ping) = self.parts.pings.recv() => drop(ping.send(())),
                Some(()) = self.parts.hangups.recv(), if self.has_read => {
                    tracing::info!("asked to reconcile now");
                    self.resync();
                }
                // Before the tasks, however many of them end: changes come in bunches, and seldom.
                changed = self.parts.source.changed() => self.read(changed),
                Some(ended) = self.tasks.join_next() => self.take_in(unharmed(ended)),
                () = reached(wake) => {}
            }
        }
        self.wind_up().await
    }

    fn do_what_is_due(&mut self) {
        let now = self.now();
        if self.has_read && self.resync_at <= now.instant {
            self.resync();
        }
        if self.flush_at.is_some_and(|at| at <= now.instant) {
            self.flush_at = None;
            let reconciler = Arc::clone(&self.parts.reconciler);
            self.tasks.spawn(async move { Done::Flushed(reconciler.commit().await) });
        }
        if let Some(heartbeat) = &self.parts.heartbeat
            && self.beat_at.is_some_and(|at| at <= now.instant)
        {
            (heartbeat.beat)();
            self.beat_at = Some(now.instant + heartbeat.every);
        }
        let mut looks: BTreeMap<PublisherId, BTreeSet<OfferId>> = BTreeMap::new();
        for (offer, work) in self.queue.take(now) {
            match work {
                Work::Poll => self.poll(offer),
                Work::Look if self.desired.contains_key(&offer) => {
                    let group = self.links.group(offer.publisher()).clone();
                    looks.entry(group).or_default().insert(offer);
                }
                Work::Look => self.see_off(offer, now),
            }
        }
        for offers in looks.into_values() {
            self.look(offers);
        }
    }

    /// When something is due next; `None` where only an event can tell.
    fn wake(&self) -> Option<Instant> {
        let now = self.now();
        let queued = self.queue.idle(now).map(|pause| now.instant + pause);
        let resync = self.has_read.then_some(self.resync_at);
        [queued, resync, self.flush_at, self.beat_at].into_iter().flatten().min()
    }

    fn now(&self) -> Now {
        Now { instant: Instant::now(), date: self.parts.clock.now() }
    }

    fn look(&mut self, offers: BTreeSet<OfferId>) {
        let policy = Policy { scope: Some(offers.clone()), ..Policy::default() };
        let job = Job {
            desired: Arc::clone(&self.desired),
            gone: BTreeSet::new(),
            policy,
            guard: Guard::default(),
            wait: Wait::No,
        };
        let reconciler = Arc::clone(&self.parts.reconciler);
        self.tasks.spawn(async move {
            let result = reconciler.look(job).await;
            Done::Looked { offers, result }
        });
    }

    fn execute(&mut self, looked: &Arc<Looked>, offer: OfferId) {
        let mut conflicts = self.conflicts.remove(&offer).unwrap_or_default();
        let (reconciler, looked) = (Arc::clone(&self.parts.reconciler), Arc::clone(looked));
        self.tasks.spawn(async move {
            let next = reconciler.execute(&looked, &offer, &mut conflicts).await;
            Done::Executed { offer, next, conflicts }
        });
    }

    fn poll(&mut self, offer: OfferId) {
        let reconciler = Arc::clone(&self.parts.reconciler);
        self.tasks.spawn(async move {
            let next = reconciler.poll(&offer).await;
            Done::SeenTo { offer, next }
        });
    }

    /// Sees to an offer for which no manifest is in force. Where the manifest is gone, the offer
    /// leaves the status file; where it can't be read, what runs is followed all the same.
    fn see_off(&mut self, offer: OfferId, now: Now) {
        let store = &self.parts.store;
        let file = store.with(|file| Some(file.offers.get(&offer)?.manifest.file.clone()));
        let path = file.map(|file| folder_of(store.path()).join(file));
        let is_gone = path.is_some_and(|path: PathBuf| self.parts.manifests.is_gone(&offer, &path));
        if is_gone {
            let reconciler = Arc::clone(&self.parts.reconciler);
            self.tasks.spawn(async move {
                let next = reconciler.remove(&offer).await;
                Done::SeenTo { offer, next }
            });
            return;
        }
        let next = match self.parts.reconciler.next(&offer) {
            Next::Poll(at) => Next::Poll(at),
            Next::LookOn(_) | Next::LookNow | Next::Retry | Next::Rest => Next::Rest,
        };
        self.turn(&offer, next, now);
    }

    /// Has every offer looked at, and the source asked whether there is something new.
    fn resync(&mut self) {
        let now = Instant::now();
        self.resync_at = now + self.parts.resync.mul_f64(0.9 + self.parts.random.f64() * 0.2);
        self.parts.source.look_now();
        let known = self.desired.keys();
        let idle = known.filter(|offer| !self.queue.is_busy(offer)).cloned().collect::<Vec<_>>();
        let left_over: Vec<OfferId> = self.parts.store.with(|file| {
            let unnamed = file.offers.keys().filter(|offer| !self.desired.contains_key(offer));
            unnamed.cloned().collect()
        });
        tracing::debug!(offers = idle.len(), "resync");
        idle.iter().chain(&left_over).for_each(|offer| self.queue.ask_idle(offer, now));
        self.seen.begin_resync(idle.into_iter());
        self.tell_how_it_stands();
    }

    /// Takes in what the files now say.
    fn read(&mut self, changed: Changed) {
        let Changed { suspects, mut is_all, source } = changed;
        let (manifests, mut offers) = (&mut self.parts.manifests, BTreeSet::new());
        for _ in 0..MOST_READS {
            let refreshed = if is_all {
                manifests.refresh_only(&suspects)
            } else {
                manifests.refresh(&suspects)
            };
            is_all = false;
            offers.extend(refreshed.changed.iter().cloned());
            tell_of_manifests(&refreshed);
            if !self.parts.source.follow(&refreshed.folders) {
                break;
            }
        }
        if source.is_some() || !self.has_read {
            self.parts.store.set_source(source.clone());
            self.flush_soon();
        }
        let is_first = !std::mem::replace(&mut self.has_read, true);
        self.desired = self.parts.manifests.desired();
        if !offers.is_empty() || is_first {
            self.links = Links::of(&self.desired);
            self.parts.reconciler.supersede(Arc::clone(&self.desired));
            (self.parts.herald)(&self.desired);
        }
        let now = Instant::now();
        for offer in &offers {
            if !self.desired.contains_key(offer) {
                self.seen.forget(offer);
                self.tries.forget(offer);
            } else if is_first {
                self.seen.expect(offer);
            }
            self.queue.ask(offer, now);
            self.links.dependents(offer).iter().for_each(|offer| self.queue.ask(offer, now));
        }
        let (desired, problems) = (Arc::clone(&self.desired), self.parts.manifests.problems());
        let files = self.parts.manifests.files();
        self.parts.board.update(|service| {
            (service.desired, service.problems, service.files) = (desired, problems, files);
            if source.is_some() {
                service.source = source;
            }
        });
        if is_first {
            self.resync();
        }
    }

    /// Takes in what a task has come to.
    fn take_in(&mut self, done: Option<Done>) {
        let now = self.now();
        match done {
            Some(Done::Looked { offers, result: Ok(Some(looked)) }) => {
                self.looked(&offers, looked, now);
            }
            Some(Done::Looked { offers, result: Err(error) }) => {
                self.trouble(&error);
                self.seen.missed(offers.iter());
                for offer in &offers {
                    self.turn(offer, Next::Retry, now);
                }
            }
            Some(Done::Executed { offer, next, conflicts }) => {
                if conflicts > 0 {
                    self.conflicts.insert(offer.clone(), conflicts);
                }
                self.turn(&offer, next, now);
            }
            Some(Done::SeenTo { offer, next }) => {
                self.flush_soon();
                self.turn(&offer, next, now);
            }
            Some(Done::Flushed(Ok(()))) => self.well(),
            Some(Done::Flushed(Err(error))) => {
                self.trouble(&error);
                self.flush_at = Some(now.instant + FLUSH_AGAIN);
            }
            // The service stops.
            Some(Done::Looked { result: Ok(None), .. }) | None => {}
        }
        self.tell_how_it_stands();
    }

    fn looked(&mut self, offers: &BTreeSet<OfferId>, looked: Looked, now: Now) {
        if looked.changes.triggers() == 0 {
            self.well();
        }
        self.parts.board.decided(&looked.changes);
        let looked = Arc::new(looked);
        for offer in offers {
            let Some(change) = looked.changes.get(offer) else {
                self.turn(offer, Next::Rest, now);
                continue;
            };
            let noted = self.seen.note(change);
            noted.released.iter().for_each(|offer| self.queue.ask(offer, now.instant));
            if change.decision.is_trigger() {
                self.execute(&looked, offer.clone());
            } else if noted.outdated {
                self.turn(offer, Next::LookNow, now);
            } else {
                self.turn(offer, self.parts.reconciler.next(offer), now);
            }
        }
    }

    /// What was being done about an offer is done, and this is next.
    fn turn(&mut self, offer: &OfferId, next: Next, now: Now) {
        let next = self.tries.follow(offer, next, now);
        let when = self.queue.done(offer, next, now.instant);
        let date = when.and_then(|when| match when {
            When::On(date) => Some(date),
            When::At(at) => {
                let pause = SignedDuration::try_from(at.saturating_duration_since(now.instant));
                now.date.checked_add(pause.ok()?).ok()
            }
        });
        self.parts.board.schedule(offer, date);
    }

    fn flush_soon(&mut self) {
        self.flush_at.get_or_insert_with(|| Instant::now() + FLUSH_WITHIN);
    }

    /// Shows whether all offers were seen, and when a resync ends.
    fn tell_how_it_stands(&mut self) {
        if self.has_read && !self.ready && self.seen.is_ready() {
            self.ready = true;
            self.parts.board.update(|service| service.ready = true);
            tracing::info!(
                offers = self.desired.len(),
                "every offer was seen; the service is ready"
            );
        }
        if let Some(true) = self.seen.end_resync() {
            let now = self.parts.clock.now();
            self.parts.board.update(|service| service.last_resync = Some(now));
        }
    }

    /// Something is wrong with the service itself. It is told once, and goes on.
    fn trouble(&mut self, error: &dyn std::error::Error) {
        let causes = std::iter::successors(error.source(), |cause| cause.source());
        let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
        if self.trouble.as_ref() != Some(&text) {
            tracing::error!("{text}");
            self.trouble = Some(text.clone());
            self.parts.board.update(|service| service.trouble = Some(text));
        }
    }

    fn well(&mut self) {
        if self.trouble.take().is_some() {
            tracing::info!("the status file is written again");
            self.parts.board.update(|service| service.trouble = None);
        }
    }

    /// Lets what is under way end, for a short time, and puts all that is known on disk.
    async fn wind_up(mut self) -> Result<(), StoreError> {
        tracing::info!("stopping: nothing more is sent");
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, all).await.is_err() {
            tracing::warn!("what was under way is left to the next run");
            self.tasks.shutdown().await;
        }
        self.parts.reconciler.commit().await
    }
}

/// What a task has come to; a panic in it is one of the service. A supervisor starts it anew, and
/// what is on disk is enough to go on.
fn unharmed(ended: Result<Done, tokio::task::JoinError>) -> Option<Done> {
    match ended {
        Ok(done) => Some(done),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_canceled) => None,
        },
    }
}

fn tell_of_manifests(refreshed: &Refreshed) {
    for problem in &refreshed.news {
        let (line, column, what) = (problem.line, problem.column, &problem.what);
        let file = clean_line(&problem.file.to_string_lossy());
        let hint = problem.hint.as_deref();
        tracing::error!(file, line, column, hint, "{file}:{line}:{column}: {what}");
    }
    for file in &refreshed.mended {
        let file = clean_line(&file.to_string_lossy());
        tracing::info!(file, "{file}: the manifest is mended");
    }
}
