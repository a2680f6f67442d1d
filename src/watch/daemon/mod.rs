//! The loop. It owns what is known of manifests and of what is to be done; the work itself is done by
//! tasks, one an offer or one a look at several, which the loop starts and hears of when they end.
//!
//! | file | what it is |
//! |---|---|
//! | `read` | what the files say is taken in, and every offer looked at now and then |
//! | `ended` | what tasks have come to is taken in, and shown |

mod ended;
mod read;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::board::{Board, Ping, Trouble};
use super::manifests::Manifests;
use super::queue::{Now, Queue, Work};
use super::seen::SeenOffers;
use super::source::Source;
use super::tries::Tries;
use crate::changes::{Links, Policy};
use crate::clock::{Clock, reached};
use crate::manifest::Loaded;
use crate::marketplace::{OfferId, PublisherId};
use crate::reconcile::{Desired, Guard, Job, Looked, Next, Open, Reconciler, RunError, Wait};
use crate::status::{StatusStore, StoreError};

/// How long work may go on once golive is to stop. What is cut short then is on disk as an intent, or
/// is asked again by the next run.
const GRACE: Duration = Duration::from_secs(4);

/// The longest pause after errors; the time between resyncs, where that is shorter.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// How often it is looked whether the marketplace asks to wait, until the service is ready.
const GLANCE: Duration = Duration::from_secs(1);

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
pub type Herald = dyn Fn(&BTreeMap<OfferId, Arc<Loaded>>) + Send;

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
    /// The publishers that can't be listed at the moment, and why.
    unlisted: BTreeMap<PublisherId, String>,
    /// Why change sets failed their check: bugs, each of which is told once.
    unsound: BTreeSet<String>,
    /// What is shown to be wrong with the service itself.
    trouble: Option<Trouble>,
}

/// A task has ended.
enum Done {
    /// A look at these offers.
    Looked {
        offers: BTreeSet<OfferId>,
        result: Result<Option<Box<Looked>>, RunError>,
        is_of_lists: bool,
    },
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
        let marketplace = parts.reconciler.marketplace();
        parts.board.asks(move || marketplace.paused_until());
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
            unlisted: BTreeMap::new(),
            unsound: BTreeSet::new(),
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
                // Before the tasks, however many of them end; and these all, however often it changes.
                changed = self.parts.source.changed() => {
                    while let Some(ended) = self.tasks.try_join_next() {
                        self.take_in(unharmed(ended));
                    }
                    self.read(changed);
                }
                Some(ended) = self.tasks.join_next() => self.take_in(unharmed(ended)),
                () = reached(wake) => self.tell_how_it_stands(),
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
                Work::Look => self.see_off(offer),
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
        // Nobody tells when the marketplace asks to wait.
        let glance = (self.has_read && !self.ready).then(|| now.instant + GLANCE);
        [queued, resync, self.flush_at, self.beat_at, glance].into_iter().flatten().min()
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
            let result = reconciler.look(job).await.map(|looked| looked.map(Box::new));
            Done::Looked { offers, result, is_of_lists: true }
        });
    }

    /// Asks on about offers that a look could not decide about.
    fn settle(&mut self, open: Open) {
        let reconciler = Arc::clone(&self.parts.reconciler);
        let offers = open.offers.clone();
        self.tasks.spawn(async move {
            let result = reconciler.settle(open).await.map(|looked| looked.map(Box::new));
            Done::Looked { offers, result, is_of_lists: false }
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

    /// Lets what is under way end, for a short time, and puts all that is known on disk.
    async fn wind_up(mut self) -> Result<(), StoreError> {
        tracing::info!("stopping: nothing more is sent");
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, all).await.is_err() {
            tracing::warn!("what was under way is left to the next run");
            self.tasks.shutdown().await;
        }
        self.parts.store.with(|file| {
            let open = file.offers.iter().filter_map(|(offer, it)| Some((offer, it.intent.as_ref()?)));
            for (offer, intent) in open {
                let (kind, request) = (&intent.kind, &intent.request_id);
                tracing::warn!(
                    %offer, %request,
                    "{offer}: it is not known whether {kind} was accepted; the next run looks into it"
                );
            }
        });
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
