//! The loop around the engine. It owns the state of manifests and of the service; decisions and
//! actions on offers belong to the [`Engine`].
//!
//! | file | what it is |
//! |---|---|
//! | `read` | reads manifests, and checks every offer periodically |
//! | `ended` | takes in the results of tasks, and shows them |
//! | `pauses` | records why offers can't be evaluated for the first time yet |

mod ended;
mod pauses;
mod read;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::manifests::Manifests;
use super::progress::Progress;
use super::service_state::{Ping, ServiceState, Trouble};
use super::source::Source;
use crate::changes::Policy;
use crate::clock::{Clock, reached};
use crate::engine::{Engine, Extent, Reconciler};
use crate::manifest::Loaded;
use crate::marketplace::{OfferId, PublisherId};
use crate::status::{StatusStore, StoreError};

/// How long running work may continue after a stop request. Work cut short is on disk as an intent,
/// or is repeated by the next run.
const GRACE: Duration = Duration::from_secs(4);

/// Limit for the pause after errors, or the resync interval if that is shorter.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// How often the loop checks for pauses of the marketplace while some offers haven't been checked
/// yet.
const GLANCE: Duration = Duration::from_secs(1);

/// The parts of the daemon.
pub struct Parts {
    /// Inspects, sends and polls.
    pub reconciler: Arc<Reconciler>,
    /// The status file, which the reconciler writes as well.
    pub store: Arc<StatusStore>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The random source, for jitter.
    pub random: fastrand::Rng,
    /// Receives the state to show.
    pub service_state: Arc<ServiceState>,
    /// Liveness probes for the loop.
    pub pings: mpsc::Receiver<Ping>,
    /// The source of the manifests.
    pub source: Box<dyn Source>,
    /// The manifests read from the source.
    pub manifests: Manifests,
    /// Each message asks to reconcile now (SIGHUP).
    pub hangups: mpsc::Receiver<()>,
    /// Canceled when the service is to stop.
    pub stop: CancellationToken,
    /// Called with the manifests before any of them is checked.
    pub on_manifests: Box<OnManifests>,
    /// The supervisor's heartbeat, if there is one.
    pub heartbeat: Option<Heartbeat>,
    /// The time between two resyncs, before jitter.
    pub resync: Duration,
}

/// A callback for the manifests.
pub type OnManifests = dyn Fn(&BTreeMap<OfferId, Arc<Loaded>>) + Send;

/// The heartbeat that a supervisor expects from the loop.
pub struct Heartbeat {
    /// The interval.
    pub every: Duration,
    /// Sends one heartbeat.
    pub beat: Box<dyn Fn() + Send>,
}

/// The service.
pub struct Daemon {
    parts: Parts,
    engine: Engine,
    progress: Progress,
    /// Whether manifests have been read.
    has_read: bool,
    ready: bool,
    resync_at: Instant,
    beat_at: Option<Instant>,
    /// When to check next for pauses of the marketplace.
    glance_at: Instant,
    /// The publishers that can't be listed at the moment, and why.
    unlisted: BTreeMap<PublisherId, String>,
    /// Those of them that were already logged, because their offers' records changed.
    told: BTreeSet<PublisherId>,
    /// The reasons for which change sets failed their check: bugs, each logged once.
    unsound: BTreeSet<String>,
    /// The service's own problem that is shown.
    trouble: Option<Trouble>,
}

impl Daemon {
    /// Creates the daemon; nothing starts yet. Call it inside a runtime.
    #[must_use]
    pub fn new(mut parts: Parts) -> Self {
        let now = Instant::now();
        let marketplace = parts.reconciler.marketplace();
        parts.service_state.set_paused_until(move || marketplace.paused_until());
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

    /// Runs until it is asked to stop. Then the full state is on disk.
    ///
    /// # Errors
    ///
    /// If the state can't be written.
    pub async fn run(mut self) -> Result<(), StoreError> {
        loop {
            self.do_what_is_due();
            let wake = self.wake();
            tokio::select! {
                biased;
                () = self.parts.stop.cancelled() => break,
                // The prober may have given up.
                Some(ping) = self.parts.pings.recv() => drop(ping.send(())),
                Some(()) = self.parts.hangups.recv(), if self.has_read => {
                    tracing::info!("asked to reconcile now");
                    self.resync();
                }
                // Before the tasks, however many of them end; and all of those, however often the
                // source changes.
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
            self.record_pauses();
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

    /// When the next timer is due; `None` if only an event can wake the loop.
    fn wake(&self) -> Option<Instant> {
        let resync = self.has_read.then_some(self.resync_at);
        let glance = self.glances().then_some(self.glance_at);
        [self.engine.wake(), resync, self.beat_at, glance].into_iter().flatten().min()
    }

    /// Whether the loop must poll for pauses: the marketplace's pauses cause no event.
    fn glances(&self) -> bool {
        self.has_read && self.progress.unseen().next().is_some()
    }

    /// Lets running work end, for a short time, and writes the full state to disk.
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
        self.parts.store.flush().await
    }
}
