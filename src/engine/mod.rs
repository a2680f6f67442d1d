//! Observe, plan, execute.
//!
//! | module | what it does |
//! |---|---|
//! | `runner` | owns all work: a queue by offer, tasks, and one place that takes in their results |
//! | `run` | runs the engine until nothing is left to do: `apply` |
//! | `queue` | which work is due for which offer, and when; one piece at a time per offer |
//! | `next` | the next step for an offer, by its record |
//! | `launches` | which launches run, and which wait for their turn |
//! | `polls` | polls operations, and schedules the next poll |
//! | `backoffs` | how long to leave an offer alone after a failure |
//! | `dependents` | which offers are live, and which wait for others |
//! | `tasks` | starts the tasks, and what each reports |
//! | `steps`, `observe` | tasks: evaluate many offers |
//! | `trigger`, `intents`, `check` | tasks: carry out the trigger protocol for one offer |
//! | `orphans` | tasks: offers without a manifest |
//! | `record` | pure: the record after an event |

mod answers;
mod backoffs;
mod check;
mod dependents;
mod intents;
mod launches;
mod next;
mod observe;
mod orphans;
mod paths;
mod polls;
mod queue;
mod record;
mod results;
mod run;
mod runner;
mod steps;
mod tasks;
mod trigger;
mod windows;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::changes::{Change, DecisionTime, Observation, Policy, Violation};
use crate::clock::Clock;
use crate::manifest::Loaded;
use crate::marketplace::{Backend, OfferId, Settling};
use crate::operation::Intervals;
use crate::report::{Event, Reporter};
use crate::status::{Edited, OfferRecord, StatusStore, StoreError};

pub use observe::{Observations, Observer, observe_and_plan};
pub use paths::StatusRelativePaths;
pub use results::Taken;
pub use run::run;
pub use runner::{Engine, Extent};
pub use steps::Evaluation;
pub use tasks::Done;

use record::RecordEvent;

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

/// The work on single offers. It has no state of its own: the engine owns the work, the store the
/// records.
pub struct Reconciler {
    observer: Observer,
    store: Arc<StatusStore>,
    paths: StatusRelativePaths,
    clock: Arc<dyn Clock>,
    reporter: Arc<dyn Reporter>,
    settings: Settings,
    stop: CancellationToken,
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
    /// Receives the events.
    pub reporter: Arc<dyn Reporter>,
    /// Canceled when the user asks golive to stop.
    pub stop: CancellationToken,
}

impl Reconciler {
    /// Creates a reconciler; it does nothing yet.
    #[must_use]
    pub fn new(dependencies: Dependencies, settings: Settings) -> Self {
        let Dependencies { marketplace, store, clock, reporter, stop } = dependencies;
        let settle = settings.settle.map(Settling::all);
        let observer = Observer::new(marketplace, settings.concurrency, settle);
        let paths = StatusRelativePaths::of(store.path());
        Self { observer, store, paths, clock, reporter, settings, stop }
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

    /// The current time, for a decision about one offer.
    fn decision_time(&self, offer: &OfferId) -> DecisionTime {
        self.observer.decision_time(self.clock.now(), [offer.publisher()])
    }

    /// Whether a request for the offer is being sent, or may have been accepted unseen.
    fn has_intent(&self, offer: &OfferId) -> bool {
        self.store.get(offer).is_some_and(|record| record.intent.is_some())
    }

    /// Records an event of an offer, and reports the record if it changed.
    fn note(&self, offer: &OfferId, manifest: &Loaded, event: RecordEvent<'_>) {
        self.note_at(offer, manifest, event, self.decision_time(offer));
    }

    fn note_at(
        &self,
        offer: &OfferId,
        manifest: &Loaded,
        event: RecordEvent<'_>,
        at: DecisionTime,
    ) {
        self.report_edit(offer, &self.record(offer, manifest, event, at));
    }

    /// Records an event of an offer.
    fn record(
        &self,
        offer: &OfferId,
        manifest: &Loaded,
        event: RecordEvent<'_>,
        at: DecisionTime,
    ) -> Edited {
        let fresh = || record::fresh(manifest, self.paths.name(&manifest.file), at.now);
        self.store.edit(offer, fresh, |record| record::after(record, event, at))
    }

    /// Records an event of an offer that has a record.
    fn note_known(&self, offer: &OfferId, event: RecordEvent<'_>, at: DecisionTime) {
        if let Some(known) = self.store.get(offer) {
            let fresh = || (*known).clone();
            let edited = self.store.edit(offer, fresh, |record| record::after(record, event, at));
            self.report_edit(offer, &edited);
        }
    }

    /// Records the decision about an offer. Absences are judged by the time at which the questions
    /// began: the last answer may have come much later.
    fn note_decision(
        &self,
        manifest: &Loaded,
        change: &Change,
        seen: Option<&Observation>,
        at: DecisionTime,
    ) {
        let file = self.paths.name(&manifest.file);
        let event = RecordEvent::Decided { change, seen, manifest, file };
        self.note_at(&change.offer, manifest, event, at);
    }

    /// Puts an earlier record back.
    fn restore(&self, offer: &OfferId, before: &OfferRecord) {
        let edited = self.store.edit(offer, || before.clone(), |_| before.clone());
        self.report_edit(offer, &edited);
    }

    /// Reports a record if it changed.
    fn report_edit(&self, offer: &OfferId, edited: &Edited) {
        let Edited { before, after } = edited;
        if before.as_ref() != Some(after) {
            let event = Event::Changed { offer, before: before.as_deref(), record: after };
            self.reporter.report(&event);
        }
    }
}
