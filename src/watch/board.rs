//! What the daemon shows of itself, beside the status file: to the page and the metrics.

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

/// How many updates a slow listener may be behind before it misses some.
const BACKLOG: usize = 1024;

/// How long the loop may take to answer before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(5);

/// Something that is shown has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// An offer's record, or when it is looked at next.
    Offer(OfferId),
    /// Anything else: manifests, problems, the source, readiness.
    Service,
}

/// What is wrong with the service itself, in a sentence with its causes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The status file can't be written. Nothing is sent without it.
    Unwritable(String),
    /// A change set failed its check, which is a mistake of golive's. Nothing of it was sent.
    Unsound(String),
}

impl Trouble {
    /// The sentence.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Unwritable(text) | Self::Unsound(text) => text,
        }
    }
}

/// What is shown of the service itself. To compare two is cheap: what is shared is equal at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// When it started (UTC).
    pub started_at: Option<Timestamp>,
    /// The manifests in force.
    pub desired: Arc<BTreeMap<OfferId, Arc<Loaded>>>,
    /// What is wrong with manifests now, in the order of files and lines.
    pub problems: Arc<Vec<Diagnostic>>,
    /// How many manifest files there are.
    pub files: usize,
    /// Where the manifests come from, in words: folders, or a repository and its branch.
    pub place: String,
    /// The checkout that golive made of it, as the paths of its manifests begin.
    pub checkout: Option<PathBuf>,
    /// The commit, where there is one.
    pub source: Option<SourceRecord>,
    /// Why the source can't be followed at the moment, or only by looking again and again.
    pub source_problem: Option<String>,
    /// The publishers that the marketplace has asked to leave alone, and until when.
    pub paused: PausedUntil,
    /// The publishers that can't be listed at the moment, and why.
    pub unlisted: Arc<BTreeMap<PublisherId, String>>,
    /// What is wrong with the service itself.
    pub trouble: Option<Trouble>,
    /// When all publishers were last listed with success (UTC).
    pub last_resync: Option<Timestamp>,
    /// Whether each manifest that is in force was looked at once, or could not be for a reason that is
    /// shown. Without any manifest that is so. Once reached, it stays.
    pub ready: bool,
}

/// A question to the loop: is it alive? It answers by sending.
pub type Ping = oneshot::Sender<()>;

/// What the daemon shows; written by the daemon, read by the page.
#[derive(Debug)]
pub struct Board {
    state: Mutex<State>,
    updates: broadcast::Sender<Update>,
    pings: mpsc::Sender<Ping>,
    paused_until: OnceLock<Asked>,
}

/// Tells whom the marketplace has asked to leave alone.
struct Asked(Box<dyn Fn() -> PausedUntil + Send + Sync>);

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asked")
    }
}

#[derive(Debug, Default)]
struct State {
    service: Service,
    /// What was last decided about each offer.
    changes: BTreeMap<OfferId, Change>,
    /// When each offer is looked at or polled next (UTC), resyncs aside.
    next: BTreeMap<OfferId, Timestamp>,
}

impl Board {
    /// An empty board, and the end at which the loop receives the questions whether it is alive.
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

    /// All updates from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Update> {
        self.updates.subscribe()
    }

    /// What is shown of the service now.
    #[must_use]
    pub fn service(&self) -> Service {
        let service = self.state().service.clone();
        Service { paused: self.paused_until(), ..service }
    }

    /// Whom the marketplace has asked to leave alone, and until when. That this changes is not told.
    pub(crate) fn paused_until(&self) -> PausedUntil {
        self.paused_until.get().map(|it| it.0()).unwrap_or_default()
    }

    /// Who knows whom the marketplace has asked to leave alone. The first one counts.
    pub fn asks(&self, paused_until: impl Fn() -> PausedUntil + Send + Sync + 'static) {
        drop(self.paused_until.set(Asked(Box::new(paused_until))));
    }

    /// What was last decided about an offer.
    #[must_use]
    pub fn change(&self, offer: &OfferId) -> Option<Change> {
        self.state().changes.get(offer).cloned()
    }

    /// When an offer is looked at or polled next (UTC); `None` where the next resync is next.
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

    /// Changes what is shown of the service, and tells, if that is new.
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

    /// Keeps what was decided.
    pub fn decided(&self, changes: &ChangeSet) {
        let mut state = self.state();
        for change in &changes.changes {
            state.changes.insert(change.offer.clone(), change.clone());
        }
    }

    /// Keeps when an offer is looked at or polled next, and tells, if that is new.
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
        // Nobody may be listening.
        drop(self.updates.send(update));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reporter for Board {
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
        let (board, _pings) = Board::new();
        let mut updates = board.subscribe();
        let desired = Arc::<BTreeMap<OfferId, Arc<Loaded>>>::default();
        for (ready, told) in [(false, false), (true, true), (true, false), (false, true)] {
            board.update(|service| {
                service.desired = Arc::clone(&desired);
                service.ready = ready;
            });
            assert_eq!(updates.try_recv().ok(), told.then_some(Update::Service), "{ready}");
        }
        let offer: OfferId = "contoso/vm".parse().unwrap();
        board.schedule(&offer, None);
        assert!(updates.is_empty());
        board.schedule(&offer, Some(Timestamp::UNIX_EPOCH));
        board.schedule(&offer, Some(Timestamp::UNIX_EPOCH));
        assert_eq!(updates.try_recv().ok(), Some(Update::Offer(offer)));
        assert!(updates.is_empty());
    }
}
