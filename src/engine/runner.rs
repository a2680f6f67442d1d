//! The engine: a queue of work by offer with at most one task per offer, tasks that report back,
//! and one place that takes in their results (`results`). `apply` runs the engine until nothing is
//! left to do; the service runs it forever.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::backoffs::Backoffs;
use super::dependents::Dependents;
use super::launches::Launches;
use super::next::NextWork;
use super::polls::Polls;
use super::queue::{Now, Queue, When, Work};
use super::tasks::{Done, TaskResult, unharmed};
use super::{Desired, Reconciler};
use crate::changes::{DependencyGraph, Policy};
use crate::manifest::Loaded;
use crate::marketplace::{OfferId, PublisherId};

/// The longest time that poll results stay in memory only, so that polls close to each other share
/// one write.
const FLUSH_WITHIN: Duration = Duration::from_secs(1);

/// How long an evaluation may take if it begins when the run's time is up.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// How long the engine keeps starting new work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Until the work that is due at once is done.
    Once,
    /// Until nothing runs, and no pause or doubt is left to wait for.
    ToTheEnd,
    /// Forever: a service.
    Always,
}

/// The queued and running work, by offer, and all state that it needs.
pub struct Engine {
    pub(super) reconciler: Arc<Reconciler>,
    pub(super) desired: Desired,
    pub(super) policy: Policy,
    pub(super) extent: Extent,
    links: DependencyGraph,
    pub(super) queue: Queue,
    pub(super) dependents: Dependents,
    pub(super) backoffs: Backoffs,
    pub(super) launches: Launches,
    pub(super) polls: Polls,
    /// How often in a row an offer changed while golive tried to launch it.
    pub(super) conflicts: BTreeMap<OfferId, u32>,
    /// The offers that wait to be tried again after an error.
    pub(super) retried: BTreeSet<OfferId>,
    /// How often an offer was evaluated since the run last waited for it.
    pub(super) evaluations: BTreeMap<OfferId, u32>,
    /// The offers that this process has launched.
    pub(super) launched: BTreeSet<OfferId>,
    pub(super) tasks: JoinSet<TaskResult>,
    /// Until when ends of operations are collected for one evaluation.
    pub(super) gathering: Option<Instant>,
    pub(super) flush_at: Option<Instant>,
    /// When the run's time is up.
    pub(super) deadline: Option<Instant>,
    pub(super) random: fastrand::Rng,
}

impl Engine {
    /// An engine without work. Pauses after errors grow up to `longest_pause`. Must be called
    /// inside a Tokio runtime.
    #[must_use]
    pub fn new(
        reconciler: Arc<Reconciler>,
        policy: Policy,
        extent: Extent,
        longest_pause: Duration,
        mut random: fastrand::Rng,
    ) -> Self {
        let first = reconciler.settings.intervals.first;
        Self {
            backoffs: Backoffs::new(first, longest_pause, random.fork()),
            launches: Launches::new(reconciler.settings.concurrency),
            reconciler,
            desired: Desired::default(),
            policy,
            extent,
            links: DependencyGraph::default(),
            queue: Queue::default(),
            dependents: Dependents::default(),
            polls: Polls::default(),
            conflicts: BTreeMap::new(),
            retried: BTreeSet::new(),
            evaluations: BTreeMap::new(),
            launched: BTreeSet::new(),
            tasks: JoinSet::new(),
            gathering: None,
            flush_at: None,
            deadline: None,
            random,
        }
    }

    /// Sets the deadline. After it, the engine starts no new work, except one evaluation of the
    /// operations that have ended by then.
    pub(super) fn until(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Puts these manifests in force. A running launch whose manifest has changed sends nothing more.
    pub fn replace(&mut self, desired: Desired) {
        let before = std::mem::replace(&mut self.desired, desired);
        // Both are sorted, and manifests that didn't change are shared.
        let is_same_link = |(before, now): (&Arc<Loaded>, &Arc<Loaded>)| {
            Arc::ptr_eq(before, now)
                || (before.id == now.id && before.manifest.after == now.manifest.after)
        };
        let is_linked_anew = before.len() != self.desired.len()
            || !before.values().zip(self.desired.values()).all(is_same_link);
        if is_linked_anew {
            self.links = DependencyGraph::of(self.desired.values());
        }
        self.launches.stop_outdated(&self.desired);
    }

    /// The manifests in force.
    #[must_use]
    pub fn desired(&self) -> &Desired {
        &self.desired
    }

    /// Groups the publishers of these offers: publishers of one group are evaluated together.
    pub(super) fn link(&mut self, offers: &BTreeSet<&OfferId>) {
        self.links =
            DependencyGraph::of(offers.iter().filter_map(|offer| self.desired.get(*offer)));
    }

    /// Queues the evaluation of an offer; if a task works on the offer, the evaluation follows it.
    pub fn ask(&mut self, offer: &OfferId) {
        self.queue.ask(offer, Instant::now());
    }

    /// Queues the evaluation of an offer and of the offers that wait for it.
    pub fn ask_with_dependents(&mut self, offer: &OfferId) {
        self.ask(offer);
        for offer in self.links.dependents(offer) {
            self.queue.ask(offer, Instant::now());
        }
    }

    /// Whether a task works on an offer.
    #[must_use]
    pub fn is_busy(&self, offer: &OfferId) -> bool {
        self.queue.is_busy(offer)
    }

    /// Whether any task is running.
    #[must_use]
    pub fn is_working(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// Whether no task runs and the queue holds only retries after errors.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.tasks.is_empty() && self.queue.waiting().all(|offer| self.retried.contains(offer))
    }

    /// Forgets an offer that no manifest declares any more.
    pub fn forget(&mut self, offer: &OfferId) {
        self.dependents.forget(offer);
        self.backoffs.forget(offer);
        self.conflicts.remove(offer);
    }

    /// Starts all work that is due. `is_gone` says whether the manifest of an offer without a
    /// manifest in force was removed (true) or can't be read at the moment (false).
    pub fn begin(&mut self, is_gone: impl Fn(&OfferId) -> bool) {
        let now = self.now();
        if self.flush_at.is_some_and(|at| at <= now.instant) {
            self.flush_at = None;
            let reconciler = Arc::clone(&self.reconciler);
            self.tasks.spawn(async move { TaskResult::Flushed(reconciler.store.flush().await) });
        }
        // If decisions must be verified, people review everything that would be sent: decide about
        // all offers as one set.
        let as_one = self.policy.verify;
        let is_time_up = self.is_time_up();
        if is_time_up {
            self.queue.leave_the_rest(now);
        }
        let mut evaluations: BTreeMap<Option<PublisherId>, BTreeSet<OfferId>> = BTreeMap::new();
        for (offer, work) in self.queue.take(now) {
            self.retried.remove(&offer);
            match work {
                Work::Poll if is_time_up => self.turn(&offer, NextWork::Rest),
                Work::Poll => self.poll(offer),
                Work::Evaluate if self.desired.contains_key(&offer) => {
                    let group = self.links.group(offer.publisher()).clone();
                    evaluations.entry(Some(group).filter(|_| !as_one)).or_default().insert(offer);
                }
                Work::Evaluate => self.handle_orphan(offer, &is_gone),
            }
        }
        for offers in evaluations.into_values() {
            self.evaluate(offers);
        }
    }

    /// When work is due next; `None` if only the end of a task can lead to more.
    #[must_use]
    pub fn wake(&self) -> Option<Instant> {
        let now = self.now();
        let queued = self.queue.idle(now).map(|pause| now.instant + pause);
        let deadline = self.deadline.filter(|deadline| *deadline > now.instant);
        [queued, self.flush_at, deadline].into_iter().flatten().min()
    }

    /// Waits for a task to end; `None` if none is running. Cancel-safe.
    pub async fn ended(&mut self) -> Option<Done> {
        loop {
            if let Some(done) = unharmed(self.tasks.join_next().await?) {
                return Some(done);
            }
        }
    }

    /// The result of a task that has already ended, if any.
    pub fn try_ended(&mut self) -> Option<Done> {
        loop {
            if let Some(done) = unharmed(self.tasks.try_join_next()?) {
                return Some(done);
            }
        }
    }

    /// Waits at most `grace` for the running tasks to end, then aborts the rest. True if all ended
    /// in time.
    pub async fn wind_up(&mut self, grace: Duration) -> bool {
        let all = async {
            while let Some(done) = self.ended().await {
                self.take_in(done);
            }
        };
        let in_time = tokio::time::timeout(grace, all).await.is_ok();
        self.tasks.shutdown().await;
        in_time
    }

    /// When an offer's next work is due (UTC); `None` if none is queued.
    #[must_use]
    pub fn due(&self, offer: &OfferId) -> Option<Timestamp> {
        let now = self.now();
        match self.queue.when(offer)? {
            When::On(date) => Some(date),
            When::At(at) => {
                let pause = SignedDuration::try_from(at.saturating_duration_since(now.instant));
                now.date.checked_add(pause.ok()?).ok()
            }
        }
    }

    /// Schedules a write of all changes within a second.
    pub fn flush_soon(&mut self) {
        self.flush_at.get_or_insert_with(|| Instant::now() + FLUSH_WITHIN);
    }

    pub(super) fn now(&self) -> Now {
        Now { instant: Instant::now(), date: self.reconciler.clock.now() }
    }

    pub(super) fn is_time_up(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }
}
