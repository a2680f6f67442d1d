//! The daemon's state that the page and the metrics show beside the status file.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::changes::{Change, ChangeSet};
use crate::manifest::{Diagnostic, Loaded};
use crate::marketplace::{OfferId, PausedUntil, PublisherId};
use crate::report::{Event, Reporter};
use crate::status::SourceRecord;

/// Limit for the updates that a slow listener may lag behind before it misses some.
const BACKLOG: usize = 1024;

/// How long the loop may take to answer a ping before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(5);

/// A change to the state shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// An offer's record changed, or its next check time.
    Offer(OfferId),
    /// Anything else: manifests, problems, the source, readiness.
    Service,
}

/// A problem of the service itself, as a sentence with its causes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The status file can't be written. Without it, golive sends nothing.
    Unwritable(String),
    /// A change set failed its check, which is a bug in golive. Nothing of it was sent.
    Unsound(String),
}

impl Trouble {
    /// The problem as a sentence.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Unwritable(text) | Self::Unsound(text) => text,
        }
    }
}

/// The service's state. Comparing two is cheap: shared parts compare by pointer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// When the service started (UTC).
    pub started_at: Option<Timestamp>,
    /// The manifests in force.
    pub desired: Arc<BTreeMap<OfferId, Arc<Loaded>>>,
    /// The current problems of manifests, in the order of files and lines.
    pub problems: Arc<Vec<Diagnostic>>,
    /// The number of manifest files.
    pub files: usize,
    /// The source of the manifests, in words: folders, or a repository and its branch.
    pub place: String,
    /// golive's checkout of that repository, as the prefix of its manifests' paths.
    pub checkout: Option<PathBuf>,
    /// The commit, if the source has one.
    pub source: Option<SourceRecord>,
    /// Why the source can't be followed at the moment, or only by polling.
    pub source_problem: Option<String>,
    /// The publishers that the marketplace asked golive to pause, and until when.
    pub paused: PausedUntil,
    /// The publishers that can't be listed at the moment, and why.
    pub unlisted: Arc<BTreeMap<PublisherId, String>>,
    /// The problem of the service itself, if there is one.
    pub trouble: Option<Trouble>,
    /// When all publishers were last listed successfully (UTC).
    pub last_resync: Option<Timestamp>,
    /// Whether each manifest in force was checked once, or couldn't be for a reason that is shown.
    /// True without any manifest. Once true, it stays true.
    pub ready: bool,
}

/// A liveness probe to the loop, which answers by sending.
pub type Ping = oneshot::Sender<()>;

/// The state shown; written by the daemon, read by the page.
#[derive(Debug)]
pub struct ServiceState {
    state: Mutex<State>,
    updates: broadcast::Sender<Update>,
    pings: mpsc::Sender<Ping>,
    paused_until: OnceLock<Asked>,
}

/// Returns the current pauses of the marketplace.
struct Asked(Box<dyn Fn() -> PausedUntil + Send + Sync>);

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asked")
    }
}

#[derive(Debug, Default)]
struct State {
    service: Service,
    /// The last decision for each offer.
    changes: BTreeMap<OfferId, Change>,
    /// When each offer is checked or polled next (UTC), apart from resyncs.
    next: BTreeMap<OfferId, Timestamp>,
}

impl ServiceState {
    /// An empty board, and the receiver on which the loop gets liveness probes.
    #[must_use]
    pub fn new() -> (Arc<Self>, mpsc::Receiver<Ping>) {
        let (pings, questions) = mpsc::channel(8);
        let (updates, _) = broadcast::channel(BACKLOG);
        (
            Arc::new(Self {
                state: Mutex::default(),
                updates,
                pings,
                paused_until: OnceLock::new(),
            }),
            questions,
        )
    }

    /// Subscribes to all updates from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Update> {
        self.updates.subscribe()
    }

    /// The service's current state.
    #[must_use]
    pub fn service(&self) -> Service {
        let service = self.state().service.clone();
        Service { paused: self.paused_until(), ..service }
    }

    /// The pauses that the marketplace asked for. A change of them sends no update.
    pub(crate) fn paused_until(&self) -> PausedUntil {
        self.paused_until.get().map(|it| it.0()).unwrap_or_default()
    }

    /// Sets the source of the pauses. Only the first call counts.
    pub fn set_paused_until(&self, paused_until: impl Fn() -> PausedUntil + Send + Sync + 'static) {
        drop(self.paused_until.set(Asked(Box::new(paused_until))));
    }

    /// The last decision for an offer.
    #[must_use]
    pub fn change(&self, offer: &OfferId) -> Option<Change> {
        self.state().changes.get(offer).cloned()
    }

    /// When an offer is checked or polled next (UTC); `None` if the next resync is first.
    #[must_use]
    pub fn next(&self, offer: &OfferId) -> Option<Timestamp> {
        self.state().next.get(offer).copied()
    }

    /// Whether the loop answers within some seconds.
    pub async fn is_alive(&self) -> bool {
        let (ping, answer) = oneshot::channel();
        let asked = async {
            self.pings.send(ping).await.ok()?;
            answer.await.ok()
        };
        matches!(tokio::time::timeout(PATIENCE, asked).await, Ok(Some(())))
    }

    /// Changes the service's state, and sends an update if it differs.
    pub fn update(&self, change: impl FnOnce(&mut Service)) {
        let mut state = self.state();
        let before = state.service.clone();
        change(&mut state.service);
        let is_new = state.service != before;
        drop(state);
        if is_new {
            self.tell(Update::Service);
        }
    }

    /// Stores the decisions.
    pub fn decided(&self, changes: &ChangeSet) {
        let mut state = self.state();
        for change in &changes.changes {
            state.changes.insert(change.offer.clone(), change.clone());
        }
    }

    /// Stores when an offer is checked or polled next, and sends an update if it differs.
    pub fn schedule(&self, offer: &OfferId, next: Option<Timestamp>) {
        let before = match next {
            Some(at) => self.state().next.insert(offer.clone(), at),
            None => self.state().next.remove(offer),
        };
        if before != next {
            self.tell(Update::Offer(offer.clone()));
        }
    }

    fn tell(&self, update: Update) {
        // Without a listener, sending fails, which is fine.
        drop(self.updates.send(update));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reporter for ServiceState {
    fn report(&self, event: &Event<'_>) {
        match event {
            Event::Changed { offer, before, record } => {
                if *before != Some(*record) {
                    self.tell(Update::Offer((*offer).clone()));
                }
            }
            Event::Forgotten(offer) => {
                let mut state = self.state();
                state.changes.remove(offer);
                state.next.remove(offer);
                drop(state);
                self.tell(Update::Offer((*offer).clone()));
            }
            Event::Planned(_)
            | Event::Observing { .. }
            | Event::Answered { .. }
            | Event::Polled { .. }
            | Event::NotListed { .. }
            | Event::Doubt { .. }
            | Event::Waiting { .. }
            | Event::Stopping => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_the_same_is_not_told() {
        let (service_state, _pings) = ServiceState::new();
        let mut updates = service_state.subscribe();
        let desired = Arc::<BTreeMap<OfferId, Arc<Loaded>>>::default();
        for (ready, told) in [(false, false), (true, true), (true, false), (false, true)] {
            service_state.update(|service| {
                service.desired = Arc::clone(&desired);
                service.ready = ready;
            });
            assert_eq!(updates.try_recv().ok(), told.then_some(Update::Service), "{ready}");
        }
        let offer: OfferId = "contoso/vm".parse().unwrap();
        service_state.schedule(&offer, None);
        assert!(updates.is_empty());
        service_state.schedule(&offer, Some(Timestamp::UNIX_EPOCH));
        service_state.schedule(&offer, Some(Timestamp::UNIX_EPOCH));
        assert_eq!(updates.try_recv().ok(), Some(Update::Offer(offer)));
        assert!(updates.is_empty());
    }
}
