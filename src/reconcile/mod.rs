//! Observe, plan, execute.
//!
//! | module | what it is |
//! |---|---|
//! | `engine` | the owner of all work: a queue by offer, tasks, and one place that takes in what they bring |
//! | `run` | the engine until nothing is left to do: `apply` |
//! | `queue` | what is to be done about which offer, and when; one thing at a time for each |
//! | `backoffs` | how long an offer is left alone that could not be settled |
//! | `dependents` | who was seen live, and who waits for whom |
//! | `steps` | what tasks do: looks, launches, polls |
//! | `observe`, `look` | asking the marketplace, about many offers or one |
//! | `trigger` | the trigger protocol, carried out |
//! | `follow` | polls, and when the next one is due |
//! | `forget` | offers without a manifest |
//! | `record`, `heard` | what is written down |

mod answers;
mod backoffs;
mod dependents;
mod engine;
mod follow;
mod forget;
mod heard;
mod look;
mod observe;
mod paths;
mod queue;
mod record;
mod run;
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

pub use engine::{Done, Engine, Extent, Taken};
pub use observe::{Observed, Observer, observe_and_plan};
pub use paths::StatusRelativePaths;
pub use run::run;
pub use steps::Looked;

/// How the reconciler goes about its work.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many requests may be under way. Of each publisher as many questions and polls are worked on
    /// side by side, and four times as many launches, some of which wait for the disk.
    pub concurrency: usize,
    /// How long to wait between polls.
    pub intervals: Intervals,
    /// How long the marketplace may put a request off, in all, before the offer is left to another
    /// pass, or to the next run.
    pub pause: Duration,
    /// How long a request that left no trace may still show (`--settle`); by default what the
    /// marketplace's API is known to take.
    pub settle: Option<Duration>,
}

/// What must hold before anything is sent.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// The digest of the reviewed change set (`--expect`).
    pub expect: Option<String>,
    /// How many requests may be sent in all (`--max-changes`), those counted that were accepted or
    /// may have been.
    pub max_changes: Option<usize>,
}

/// How long a run lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// One pass.
    No,
    /// Until no operation runs, or this much time has passed.
    Until(Option<Duration>),
}

/// What a run is about.
#[derive(Clone, Debug)]
pub struct Job {
    /// The manifests.
    pub desired: Desired,
    /// The offers whose manifest is gone: they leave the status file.
    pub gone: BTreeSet<OfferId>,
    /// What the user asked for.
    pub policy: Policy,
    /// What must hold before anything is sent.
    pub guard: Guard,
    /// How long the run lasts.
    pub wait: Wait,
}

/// Why a run could not be made, or came to an early end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The change set is not the one that was reviewed. Nothing was sent.
    #[error(
        "the change set is not the reviewed one: expected {expected}, found {found}; nothing was sent, run golive plan and review again"
    )]
    Unexpected {
        /// What `--expect` says.
        expected: String,
        /// What it is.
        found: String,
    },
    /// More would be sent than allowed. Nothing more was sent.
    #[error(
        "--max-changes allows {allowed}, but this would make it {found}; none of these was sent"
    )]
    TooMany {
        /// How many there are.
        found: usize,
        /// How many are allowed.
        allowed: usize,
    },
    /// The change set failed its independent check. That is a bug of golive; nothing of it was sent.
    #[error("the change set failed its check, nothing of it was sent; please report this: {}", list(.0))]
    Unsound(Vec<Violation>),
    /// The status file could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn list(violations: &[Violation]) -> String {
    violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Brings offers where their manifests want them.
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
    /// Until when the marketplace takes no requests of a publisher, where that is longer than this run
    /// waits.
    put_off: Mutex<BTreeMap<PublisherId, Instant>>,
    /// The requests that this process has sent, or told of.
    requests: Mutex<BTreeSet<RequestId>>,
    /// The manifests in force, where they may change while work is under way.
    in_force: Mutex<Option<Desired>>,
}

/// What the manifests want, offer by offer.
pub type Desired = Arc<BTreeMap<OfferId, Arc<Loaded>>>;

/// Where a reconciler's effects go.
pub struct Dependencies {
    /// The marketplace.
    pub marketplace: Arc<dyn Backend>,
    /// The status file, locked by this process.
    pub store: Arc<StatusStore>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance, for request ids.
    pub random: fastrand::Rng,
    /// Who is told.
    pub reporter: Arc<dyn Reporter>,
    /// Canceled when the user asks to stop.
    pub stop: CancellationToken,
}

impl Reconciler {
    /// A reconciler; nothing happens yet.
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

    /// The same, where manifests are in a checkout that golive made, as their paths begin.
    #[must_use]
    pub fn in_checkout(mut self, checkout: PathBuf) -> Self {
        self.paths = self.paths.in_checkout(checkout);
        self
    }

    /// How files are named.
    #[must_use]
    pub fn paths(&self) -> &StatusRelativePaths {
        &self.paths
    }

    /// The marketplace that it works at.
    #[must_use]
    pub fn marketplace(&self) -> Arc<dyn Backend> {
        Arc::clone(&self.observer.backend)
    }

    /// Takes note that these are the manifests in force from now on: what is under way for one that
    /// says something else sends nothing more.
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

    /// Whether a request of an offer may be under way, or may have been accepted unseen.
    fn has_intent(&self, offer: &OfferId) -> bool {
        self.store.get(offer).is_some_and(|record| record.intent.is_some())
    }

    /// Changes an offer's record and reports it, if it shows.
    fn edit(&self, offer: &OfferId, desired: &Loaded, change: impl FnOnce(&mut OfferRecord)) {
        let fresh = || {
            let file = self.paths.name(&desired.file);
            record::fresh(desired, file, self.clock.now())
        };
        self.tell(offer, &self.store.edit(offer, fresh, change));
    }

    /// Reports a change, if there is one.
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
