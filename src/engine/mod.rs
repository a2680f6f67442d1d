//! Observe, plan, execute.
//!
//! | module | what it does |
//! |---|---|
//! | `engine` | owns all work: a queue by offer, tasks, and one place that handles their results |
//! | `run` | runs the engine until nothing is left to do: `apply` |
//! | `queue` | which work is due for which offer, and when; one piece at a time per offer |
//! | `backoffs` | how long to leave an offer alone that could not be settled |
//! | `dependents` | which offers were seen live, and which wait for others |
//! | `steps` | the work of tasks: looks, launches, polls |
//! | `observe`, `look` | asks the marketplace about many offers, or about one |
//! | `trigger` | carries out the trigger protocol |
//! | `follow` | polls operations, and schedules the next poll |
//! | `forget` | handles offers without a manifest |
//! | `record`, `heard` | compute what the status file records |

mod answers;
mod backoffs;
mod check;
mod dependents;
mod follow;
mod forget;
mod heard;
mod observe;
mod paths;
mod queue;
mod record;
mod run;
mod runner;
mod steps;
mod trigger;
mod windows;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::changes::{DecisionTime, Policy, Violation};
use crate::clock::Clock;
use crate::manifest::Loaded;
use crate::marketplace::{Backend, OfferId, PublisherId, RequestId, Settling};
use crate::operation::Intervals;
use crate::report::{Event, Reporter};
use crate::status::{Edited, OfferRecord, StatusStore, StoreError};

pub use observe::{Observations, Observer, observe_and_plan};
pub use paths::StatusRelativePaths;
pub use run::run;
pub use runner::{Done, Engine, Extent, Taken};
pub use steps::Evaluation;

/// The reconciler's limits and intervals.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many requests may be sent at once. Per publisher, the same number of questions and polls
    /// run in parallel, and four times as many launches, since some wait for the disk.
    pub concurrency: usize,
    /// The wait between polls.
    pub intervals: Intervals,
    /// How long the marketplace may put a request off, in total, before the offer is left to
    /// another pass or to the next run.
    pub pause: Duration,
    /// How long a request that left no trace may still show (`--settle`). The default is the time
    /// that the marketplace's API is known to take.
    pub settle: Option<Duration>,
}

/// The conditions for sending requests.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// The digest of the reviewed change set (`--expect`).
    pub expect: Option<String>,
    /// The maximum number of requests in a run (`--max-changes`). Counts the requests that were
    /// accepted or may have been.
    pub max_changes: Option<usize>,
}

/// How long a run lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// One pass.
    No,
    /// Until no operation runs, or until this much time has passed.
    Until(Option<Duration>),
}

/// The input of a run.
#[derive(Clone, Debug)]
pub struct Job {
    /// The manifests.
    pub desired: Desired,
    /// The offers whose manifest is gone: they leave the status file.
    pub gone: BTreeSet<OfferId>,
    /// The user's choices.
    pub policy: Policy,
    /// The conditions for sending requests.
    pub guard: Guard,
    /// How long the run lasts.
    pub wait: Wait,
}

/// Why a run did not start or ended early.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The change set is not the reviewed one. Nothing was sent.
    #[error(
        "the change set is not the reviewed one: expected {expected}, found {found}; nothing was sent, run golive plan and review again"
    )]
    Unexpected {
        /// The digest given with `--expect`.
        expected: String,
        /// The digest of the current change set.
        found: String,
    },
    /// The change set would send more requests than allowed. Nothing more was sent.
    #[error(
        "--max-changes allows {allowed}, but this would make it {found}; none of these was sent"
    )]
    TooMany {
        /// How many requests there would be.
        found: usize,
        /// How many are allowed.
        allowed: usize,
    },
    /// The change set failed its independent check. That is a bug in golive; nothing of the set was
    /// sent.
    #[error("the change set failed its check, nothing of it was sent; please report this: {}", list(.0))]
    Unsound(Vec<Violation>),
    /// The status file could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn list(violations: &[Violation]) -> String {
    violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Brings offers to the state that their manifests declare.
pub struct Reconciler {
    observer: Observer,
    store: Arc<StatusStore>,
    paths: StatusRelativePaths,
    clock: Arc<dyn Clock>,
    random: Mutex<fastrand::Rng>,
    reporter: Arc<dyn Reporter>,
    settings: Settings,
    stop: CancellationToken,
    following: Mutex<BTreeMap<OfferId, follow::Following>>,
    /// Until when the marketplace accepts no requests of a publisher, if that is longer than this
    /// run waits.
    put_off: Mutex<BTreeMap<PublisherId, Instant>>,
    /// The requests that this process has sent, or has reported as left open by an earlier run.
    requests: Mutex<BTreeSet<RequestId>>,
    /// The manifests in force, if they may change while tasks run.
    in_force: Mutex<Option<Desired>>,
}

/// The manifests, by offer.
pub type Desired = Arc<BTreeMap<OfferId, Arc<Loaded>>>;

/// What a reconciler depends on, and where its effects go.
pub struct Dependencies {
    /// The marketplace.
    pub marketplace: Arc<dyn Backend>,
    /// The status file, locked by this process.
    pub store: Arc<StatusStore>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// The source of randomness for request ids.
    pub random: fastrand::Rng,
    /// Receives the events.
    pub reporter: Arc<dyn Reporter>,
    /// Canceled when the user asks golive to stop.
    pub stop: CancellationToken,
}

impl Reconciler {
    /// Creates a reconciler; it does nothing yet.
    #[must_use]
    pub fn new(surroundings: Dependencies, settings: Settings) -> Self {
        let Dependencies { marketplace, store, clock, random, reporter, stop } = surroundings;
        let settle = settings.settle.map(Settling::all);
        let observer = Observer::new(marketplace, settings.concurrency, settle);
        let (random, following, put_off) = (Mutex::new(random), Mutex::default(), Mutex::default());
        let (in_force, requests) = (Mutex::default(), Mutex::default());
        let paths = StatusRelativePaths::of(store.path());
        Self {
            observer,
            store,
            paths,
            clock,
            random,
            reporter,
            settings,
            stop,
            following,
            put_off,
            requests,
            in_force,
        }
    }

    /// The same, with manifests in a checkout that golive made; `checkout` is the prefix of their
    /// paths.
    #[must_use]
    pub fn in_checkout(mut self, checkout: PathBuf) -> Self {
        self.paths = self.paths.in_checkout(checkout);
        self
    }

    /// How manifest files are named in the status file and in messages.
    #[must_use]
    pub fn paths(&self) -> &StatusRelativePaths {
        &self.paths
    }

    /// The marketplace's backend.
    #[must_use]
    pub fn marketplace(&self) -> Arc<dyn Backend> {
        Arc::clone(&self.observer.backend)
    }

    /// Puts these manifests in force. A running task whose offer's manifest has changed sends
    /// nothing more.
    pub fn supersede(&self, desired: Desired) {
        *self.in_force.lock().unwrap_or_else(PoisonError::into_inner) = Some(desired);
    }

    /// Whether a manifest is no longer the one in force.
    fn is_outdated(&self, loaded: &Loaded) -> bool {
        let in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        in_force.as_ref().is_some_and(|desired| {
            desired.get(&loaded.id).is_none_or(|now| now.digest != loaded.digest)
        })
    }

    fn moment(&self) -> DecisionTime {
        self.observer.moment(self.clock.now())
    }

    /// Whether a request for the offer is being sent, or may have been accepted unseen.
    fn has_intent(&self, offer: &OfferId) -> bool {
        self.store.get(offer).is_some_and(|record| record.intent.is_some())
    }

    /// Changes an offer's record and reports the change, if there is one.
    fn edit(&self, offer: &OfferId, desired: &Loaded, change: impl FnOnce(&mut OfferRecord)) {
        let fresh = || {
            let file = self.paths.name(&desired.file);
            record::fresh(desired, file, self.clock.now())
        };
        self.tell(offer, &self.store.edit(offer, fresh, change));
    }

    /// Reports a record if it changed.
    fn tell(&self, offer: &OfferId, edited: &Edited) {
        let Edited { before, after } = edited;
        if before.as_ref() != Some(after) {
            let event = Event::Changed { offer, before: before.as_deref(), record: after };
            self.reporter.report(&event);
        }
    }

    fn fork_random(&self) -> fastrand::Rng {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).fork()
    }

    fn request_id(&self) -> RequestId {
        let mut bytes = [0; 16];
        self.random.lock().unwrap_or_else(PoisonError::into_inner).fill(&mut bytes);
        RequestId::from_random(bytes)
    }
}
