//! Observe, plan, execute.
//!
//! A *pass* looks at every offer in scope once, decides, sends what is to be sent, and polls each
//! running operation once. [`Reconciler::run`] makes one pass, or follows the operations to their
//! end with a pass whenever one has ended, so that offers that waited for it are released. A service
//! has a loop of its own, and takes the parts of a pass one by one: [`Reconciler::look`],
//! [`Reconciler::execute`], [`Reconciler::poll`].

mod answers;
mod follow;
mod forget;
mod groups;
mod heard;
mod look;
mod observe;
mod pass;
mod record;
mod steps;
mod trigger;
mod viewpoint;
mod windows;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::changes::{Policy, Violation};
use crate::clock::Clock;
use crate::manifest::Loaded;
use crate::marketplace::{Backend, OfferId, RequestId, Settling};
use crate::operation::Intervals;
use crate::report::{Outcome, Reporter};
use crate::status::{StatusStore, StoreError};

pub use observe::{Observed, Observer, observe_and_plan};
pub use steps::{Looked, Next, Open};
pub use viewpoint::Viewpoint;

/// How many passes may follow each other without an operation to wait for.
const MAX_HURRIED_PASSES: u32 = 6;

/// The unit of the pauses between them.
const BREATH: Duration = Duration::from_secs(2);

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

impl Job {
    /// The same, about these offers alone.
    fn about(&self, offers: BTreeSet<OfferId>) -> Self {
        let policy = Policy { scope: Some(offers), ..self.policy.clone() };
        Self { policy, ..self.clone() }
    }
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
    viewpoint: Viewpoint,
    clock: Arc<dyn Clock>,
    random: Mutex<fastrand::Rng>,
    reporter: Arc<dyn Reporter>,
    settings: Settings,
    stop: CancellationToken,
    following: Mutex<BTreeMap<OfferId, follow::Following>>,
    /// Until when the marketplace takes no requests, where that is longer than this run waits.
    put_off: Mutex<Option<Instant>>,
    /// The requests that this process has sent, or told of.
    requests: Mutex<BTreeSet<RequestId>>,
    /// The manifests in force, where they may change while work is under way.
    in_force: Mutex<Option<Desired>>,
}

/// What the manifests want, offer by offer.
pub type Desired = Arc<BTreeMap<OfferId, Arc<Loaded>>>;

/// Where a reconciler's effects go.
pub struct Surroundings {
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
    pub fn new(surroundings: Surroundings, settings: Settings) -> Self {
        let Surroundings { marketplace, store, clock, random, reporter, stop } = surroundings;
        let settle = settings.settle.map(Settling::all);
        let observer = Observer::new(marketplace, settings.concurrency, settle);
        let (random, following, put_off) = (Mutex::new(random), Mutex::default(), Mutex::default());
        let (in_force, requests) = (Mutex::default(), Mutex::default());
        let viewpoint = Viewpoint::of(store.path());
        Self {
            observer,
            store,
            viewpoint,
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
        self.viewpoint = self.viewpoint.in_checkout(checkout);
        self
    }

    /// How files are named.
    #[must_use]
    pub fn viewpoint(&self) -> &Viewpoint {
        &self.viewpoint
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

    /// Makes one pass, or follows all operations to their end. What was done until then is told
    /// also where the run comes to an early end.
    #[tracing::instrument(target = "otlp", name = "reconcile", skip_all)]
    pub async fn run(&self, job: &Job) -> (Outcome, Result<(), RunError>) {
        let mut run = pass::Run::default();
        // Nothing of these runs, so that there is nothing to report.
        let orphans = Self::orphans(job);
        self.forget_idle(&orphans);
        let result = self.run_to_end(job, &mut run).await;
        let outcome = self.outcome(job, run);
        // What has ended meanwhile is reported now.
        self.forget_idle(&orphans);
        // What is known goes to the disk even so; the first error is the one that is returned.
        let committed = self.store.commit().await.map_err(RunError::from);
        (outcome, result.and(committed))
    }

    async fn run_to_end(&self, job: &Job, run: &mut pass::Run) -> Result<(), RunError> {
        let deadline = match job.wait {
            Wait::No | Wait::Until(None) => None,
            Wait::Until(Some(duration)) => Instant::now().checked_add(duration),
        };
        let mut policy = job.policy.clone();
        if job.guard.expect.is_some() || job.guard.max_changes.is_some() {
            // What is counted and compared is what would be sent.
            policy.verify = true;
        }
        let orphans = Self::orphans(job);
        let mut hurried = 0;
        loop {
            let pass = self.pass(job, &mut policy, run, deadline);
            let (again, ()) = tokio::join!(pass, self.handle_orphans(&orphans, deadline));
            let again = again?;
            if self.stop.is_cancelled() {
                return Ok(());
            }
            // A marketplace that contradicts itself must not keep golive busy without a pause.
            hurried = if again { hurried + 1 } else { 0 };
            if again && hurried <= MAX_HURRIED_PASSES {
                if !self.breathe(hurried, deadline).await {
                    return Ok(());
                }
                continue;
            }
            let more = match job.wait {
                Wait::No => false,
                Wait::Until(_) => self.follow_until_something_is_due(job, &policy, deadline).await,
            };
            if !more {
                return Ok(());
            }
        }
    }

    /// Pauses before another pass, longer each time, but not before the first: an operation that
    /// ended at once is no contradiction. False where time is up or the user stops.
    async fn breathe(&self, hurried: u32, deadline: Option<Instant>) -> bool {
        if hurried <= 1 {
            return true;
        }
        let pause = self.settings.intervals.first.min(BREATH) * hurried;
        let until = Instant::now() + pause;
        let in_time = deadline.is_none_or(|deadline| until < deadline);
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep_until(deadline.map_or(until, |it| it.min(until))) => in_time,
        }
    }

    fn request_id(&self) -> RequestId {
        let mut bytes = [0; 16];
        self.random.lock().unwrap_or_else(PoisonError::into_inner).fill(&mut bytes);
        RequestId::from_random(bytes)
    }
}
