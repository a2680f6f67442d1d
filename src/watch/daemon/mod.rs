//! The loop around the engine. It owns what is known of manifests and of the service itself; what is to be
//! done about offers is the [`Engine`]'s.
//!
//! | file | what it is |
//! |---|---|
//! | `read` | what the files say is taken in, and every offer looked at now and then |
//! | `ended` | what tasks have come to is taken in, and shown |
//! | `put_off` | what is on record of offers that can't be looked at for the first time yet |

mod ended;
mod put_off;
mod read;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::board::{Board, Ping, Trouble};
use super::manifests::Manifests;
use super::progress::Progress;
use super::source::Source;
use crate::changes::Policy;
use crate::clock::{Clock, reached};
use crate::manifest::Loaded;
use crate::marketplace::{OfferId, PublisherId};
use crate::reconcile::{Engine, Extent, Reconciler};
use crate::status::{StatusStore, StoreError};

/// How long work may go on once golive is to stop. What is cut short then is on disk as an intent, or
/// is asked again by the next run.
const GRACE: Duration = Duration::from_secs(4);

/// The longest pause after errors; the time between resyncs, where that is shorter.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// How often it is looked whether the marketplace asks to wait, while there are offers that were not
/// looked at so far.
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
    engine: Engine,
    progress: Progress,
    /// Whether manifests were read yet.
    has_read: bool,
    ready: bool,
    resync_at: Instant,
    beat_at: Option<Instant>,
    /// When to look again whether the marketplace asks to wait.
    glance_at: Instant,
    /// The publishers that can't be listed at the moment, and why.
    unlisted: BTreeMap<PublisherId, String>,
    /// Those of them of which the log has heard as their offers' records changed.
    told: BTreeSet<PublisherId>,
    /// Why change sets failed their check: bugs, each of which is told once.
    unsound: BTreeSet<String>,
    /// What is shown to be wrong with the service itself.
    trouble: Option<Trouble>,
}

impl Daemon {
    /// A daemon; nothing happens yet. To be made inside a runtime.
    #[must_use]
    pub fn new(mut parts: Parts) -> Self {
        let now = Instant::now();
        let marketplace = parts.reconciler.marketplace();
        parts.board.asks(move || marketplace.paused_until());
        let beat_at = parts.heartbeat.as_ref().map(|heartbeat| now + heartbeat.every);
        let (policy, random) = (Policy::default(), parts.random.fork());
        let longest_pause = parts.resync.min(LONGEST_PAUSE);
        let reconciler = Arc::clone(&parts.reconciler);
        Self {
            engine: Engine::new(reconciler, policy, Extent::Always, longest_pause, random),
            progress: Progress::default(),
            has_read: false,
            ready: false,
            resync_at: now,
            beat_at,
            glance_at: now,
            unlisted: BTreeMap::new(),
            told: BTreeSet::new(),
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
                    while let Some(done) = self.engine.try_ended() {
                        self.take_in(done);
                    }
                    self.read(changed);
                }
                Some(done) = self.engine.ended() => self.take_in(done),
                () = reached(wake) => {}
            }
        }
        self.wind_up().await
    }

    fn do_what_is_due(&mut self) {
        let now = Instant::now();
        if self.has_read && self.resync_at <= now {
            self.resync();
        }
        if let Some(heartbeat) = &self.parts.heartbeat
            && self.beat_at.is_some_and(|at| at <= now)
        {
            (heartbeat.beat)();
            self.beat_at = Some(now + heartbeat.every);
        }
        if self.glances() && self.glance_at <= now {
            self.glance_at = now + GLANCE;
            self.put_off();
            self.tell_how_it_stands();
        }
        let Parts { store, reconciler, manifests, .. } = &self.parts;
        self.engine.begin(|offer| {
            store.with(|file| {
                let Some(record) = file.offers.get(offer) else { return false };
                let path = reconciler.paths().find(&record.manifest.file);
                manifests.is_gone(offer, &path)
            })
        });
    }

    /// When something is due next; `None` where only an event can tell.
    fn wake(&self) -> Option<Instant> {
        let resync = self.has_read.then_some(self.resync_at);
        let glance = self.glances().then_some(self.glance_at);
        [self.engine.wake(), resync, self.beat_at, glance].into_iter().flatten().min()
    }

    /// Whether it matters who is paused: nobody tells when the marketplace asks to wait.
    fn glances(&self) -> bool {
        self.has_read && self.progress.unseen().next().is_some()
    }

    /// Lets what is under way end, for a short time, and puts all that is known on disk.
    async fn wind_up(mut self) -> Result<(), StoreError> {
        tracing::info!("stopping: nothing more is sent");
        if !self.engine.wind_up(GRACE).await {
            tracing::warn!("what was under way is left to the next run");
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
        self.parts.store.commit().await
    }
}
