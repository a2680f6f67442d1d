//! The engine: a queue of work by offer with at most one task per offer, tasks that report back,
//! and one place that handles their results. `apply` runs the engine until nothing is left to do;
//! the service runs it forever.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::backoffs::Backoffs;
use super::dependents::Dependents;
use super::queue::{Now, Queue, When, Work};
use super::steps::{Evaluation, Next, Open, Scope};
use super::trigger::{Tried, Triggered};
use super::{Desired, Reconciler, RunError};
use crate::changes::{Change, DependencyGraph, Policy, Retry};
use crate::clock::reached;
use crate::manifest::Loaded;
use crate::marketplace::{OfferId, PublisherId};
use crate::status::{Phase, Reason, StoreError};

/// The longest time that poll results stay in memory only, so that polls close to each other share
/// one write.
const FLUSH_WITHIN: Duration = Duration::from_secs(1);

/// How long after a failed write the next one is tried.
const FLUSH_AGAIN: Duration = Duration::from_secs(5);

/// How long the ends of several operations are collected before one look at all of their offers.
const GATHERING: Duration = Duration::from_secs(5);

/// The launches per publisher for each concurrent request: while some wait for the disk, others
/// have requests to send. The client limits how many requests are sent at once.
const LAUNCHES_PER_REQUEST: usize = 4;

/// How often in a row an offer may change while golive tries to launch it.
const MAX_CONFLICTS: u32 = 3;

/// How many more looks at an offer a run takes without a wait in between, so that a marketplace
/// that contradicts itself can't keep the run busy.
const MAX_HURRIED_LOOKS: u32 = 6;

/// How long a look may take if it begins when the run's time is up.
const GRACE: Duration = Duration::from_secs(10);

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

/// The result of a task that has ended.
#[derive(Debug)]
pub struct Done(Outcome);

#[derive(Debug)]
enum Outcome {
    Evaluation {
        offers: BTreeSet<OfferId>,
        result: Result<Option<Box<Evaluation>>, RunError>,
    },
    Launched {
        offer: OfferId,
        evaluated: Arc<Evaluation>,
        tried: Tried,
    },
    /// The end of a poll, or of the work on an offer without a manifest.
    Asked {
        offer: OfferId,
        next: Next,
    },
    Flushed(Result<(), StoreError>),
}

/// The result of a task, as far as callers of the engine need it.
#[derive(Debug)]
pub enum Taken {
    /// Some offers were evaluated; [`Engine::carry_out`] acts on the decisions.
    Evaluation(Box<Evaluation>),
    /// A look at these offers gave no result. Carries the error, unless the user stopped golive or
    /// the time is up.
    Missed(BTreeSet<OfferId>, Option<RunError>),
    /// A launch has ended.
    Launched {
        /// The launched offer.
        offer: OfferId,
        /// Whether an operation was started or found.
        has_operation: bool,
        /// Whether a request was sent that may have been accepted.
        sent: bool,
    },
    /// An offer's running operation was asked for.
    Asked(OfferId),
    /// The result matters to the engine alone.
    Nothing,
}

/// The queued and running work, by offer.
pub struct Engine {
    reconciler: Arc<Reconciler>,
    desired: Desired,
    policy: Policy,
    extent: Extent,
    links: DependencyGraph,
    queue: Queue,
    dependents: Dependents,
    backoffs: Backoffs,
    /// How often in a row an offer changed while golive tried to launch it.
    conflicts: BTreeMap<OfferId, u32>,
    /// The offers that wait to be tried again after an error.
    retried: BTreeSet<OfferId>,
    /// How often an offer was looked at since the run last waited for it.
    looks: BTreeMap<OfferId, u32>,
    tasks: JoinSet<Outcome>,
    permits: HashMap<PublisherId, Arc<Semaphore>>,
    /// Until when ends of operations are collected for one look.
    gathering: Option<Instant>,
    flush_at: Option<Instant>,
    /// When the run's time is up.
    deadline: Option<Instant>,
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
        random: fastrand::Rng,
    ) -> Self {
        let first = reconciler.settings.intervals.first;
        Self {
            backoffs: Backoffs::new(first, longest_pause, random),
            reconciler,
            desired: Desired::default(),
            policy,
            extent,
            links: DependencyGraph::default(),
            queue: Queue::default(),
            dependents: Dependents::default(),
            conflicts: BTreeMap::new(),
            retried: BTreeSet::new(),
            looks: BTreeMap::new(),
            tasks: JoinSet::new(),
            permits: HashMap::new(),
            gathering: None,
            flush_at: None,
            deadline: None,
        }
    }

    /// Sets the deadline. After it, the engine starts no new work, except one look at the
    /// operations that have ended by then.
    pub(super) fn until(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Puts these manifests in force.
    pub fn replace(&mut self, desired: Desired) {
        let before = std::mem::replace(&mut self.desired, desired);
        let is_linked_anew = before.len() != self.desired.len()
            || before.iter().any(|(offer, loaded)| {
                let now = self.desired.get(offer);
                now.is_none_or(|now| now.manifest.after != loaded.manifest.after)
            });
        if is_linked_anew {
            self.links = DependencyGraph::of(self.desired.values());
        }
    }

    /// The manifests in force.
    #[must_use]
    pub fn desired(&self) -> &Desired {
        &self.desired
    }

    /// Groups the publishers of these offers: publishers of one group are looked at together.
    pub(super) fn link(&mut self, offers: &BTreeSet<&OfferId>) {
        self.links =
            DependencyGraph::of(offers.iter().filter_map(|offer| self.desired.get(*offer)));
    }

    /// Queues a look at an offer; if a task works on the offer, the look follows it.
    pub fn ask(&mut self, offer: &OfferId) {
        self.queue.ask(offer, Instant::now());
    }

    /// Queues a look at an offer and at the offers that wait for it.
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
            self.tasks.spawn(async move { Outcome::Flushed(reconciler.store.commit().await) });
        }
        // If decisions must be verified, people review everything that would be sent: decide about
        // all offers as one set.
        let as_one = self.policy.verify;
        let is_time_up = self.is_time_up();
        if is_time_up {
            self.queue.leave_the_rest(now);
        }
        let mut looks: BTreeMap<Option<PublisherId>, BTreeSet<OfferId>> = BTreeMap::new();
        for (offer, work) in self.queue.take(now) {
            self.retried.remove(&offer);
            match work {
                Work::Poll if is_time_up => self.turn(&offer, Next::Rest),
                Work::Poll => self.poll(offer),
                Work::Evaluate if self.desired.contains_key(&offer) => {
                    let group = self.links.group(offer.publisher()).clone();
                    looks.entry(Some(group).filter(|_| !as_one)).or_default().insert(offer);
                }
                Work::Evaluate => self.handle_orphan(offer, &is_gone),
            }
        }
        for offers in looks.into_values() {
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
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let in_time = tokio::time::timeout(grace, all).await.is_ok();
        self.tasks.shutdown().await;
        in_time
    }

    /// Handles the result of a task.
    pub fn take_in(&mut self, done: Done) -> Taken {
        match done.0 {
            Outcome::Evaluation { offers, result: Ok(Some(evaluated)) } => {
                // These offers are undecided, so no task works on them either.
                let undecided = offers.iter().filter(|offer| {
                    evaluated.changes.get(offer).is_none()
                        && !evaluated.open.iter().any(|open| open.offers.contains(*offer))
                });
                undecided.for_each(|offer| self.turn(offer, Next::Rest));
                Taken::Evaluation(evaluated)
            }
            Outcome::Evaluation { offers, result } => {
                for offer in &offers {
                    self.turn(offer, Next::Retry);
                }
                Taken::Missed(offers, result.err())
            }
            Outcome::Launched { offer, evaluated, tried } => {
                self.flush_soon();
                let in_doubt = self.reconciler.has_intent(&offer);
                let next = self.after(&offer, &evaluated, &tried, in_doubt);
                self.turn(&offer, next);
                let has_operation = matches!(tried.outcome, Triggered::Running | Triggered::Over);
                Taken::Launched { offer, has_operation, sent: tried.sent }
            }
            Outcome::Asked { offer, next } => {
                self.flush_soon();
                self.turn(&offer, next);
                Taken::Asked(offer)
            }
            Outcome::Flushed(written) => {
                // The store has logged why the write failed.
                if written.is_err() {
                    self.flush_at = Some(Instant::now() + FLUSH_AGAIN);
                }
                Taken::Nothing
            }
        }
    }

    /// Records the decisions and starts the work they ask for: launches that `may_launch` allows,
    /// and questions about the offers that a list was not enough for.
    pub fn carry_out(
        &mut self,
        mut evaluated: Box<Evaluation>,
        may_launch: impl Fn(&Change) -> bool,
    ) {
        let open = std::mem::take(&mut evaluated.open);
        let evaluated: Arc<Evaluation> = Arc::from(evaluated);
        if evaluated.changes.triggers() < evaluated.changes.changes.len() {
            // A launch flushes its intent before it sends, and every other change with it. Changes
            // that send nothing need a flush of their own.
            self.flush_soon();
        }
        for change in &evaluated.changes.changes {
            let offer = &change.offer;
            if !evaluated.is_listed(offer) && self.extent == Extent::Always {
                // If the publisher could not be listed, nothing new is known about its offers, and
                // their records stand.
                if self.is_unknown(change, &evaluated) {
                    self.reconciler.write_down(&evaluated.scope, change, None, evaluated.moment);
                }
                let next = match self.reconciler.next(offer) {
                    Next::Poll(at) => Next::Poll(at),
                    Next::EvaluateOn(_)
                    | Next::EvaluateNow
                    | Next::EvaluateSoon
                    | Next::Retry
                    | Next::Rest => Next::Retry,
                };
                self.turn(offer, next);
                continue;
            }
            let seen = evaluated.observed.get(offer);
            self.reconciler.write_down(&evaluated.scope, change, seen, evaluated.moment);
            for other in self.dependents.note(change) {
                self.evaluate_again(&other);
            }
            if change.decision.tracked().is_some() {
                // `--retry` applies to what had failed when the user asked, not to what runs now.
                self.attempted(offer);
            }
            if change.decision.is_trigger() && may_launch(change) {
                self.attempted(offer);
                self.launch(&evaluated, offer.clone());
            } else {
                self.conflicts.remove(offer);
                self.turn(offer, self.reconciler.next(offer));
            }
        }
        for open in open {
            self.inspect(open);
        }
    }

    /// Whether the record has nothing on an offer, or only that it could not be asked about, for
    /// another reason than now. An error that differs only in its wording does not count as new.
    fn is_unknown(&self, change: &Change, evaluated: &Evaluation) -> bool {
        let Some(record) = self.reconciler.store.get(&change.offer) else { return true };
        let could_not_ask =
            matches!(record.reason, Reason::Unauthorized | Reason::Throttled | Reason::Unreachable);
        let was_seen = !could_not_ask
            || record.phase != Phase::Blocked
            || record.observed.is_some()
            || record.intent.is_some()
            || record.operation.is_some();
        let is_of = |desired: &Arc<Loaded>| record.manifest.digest == desired.digest;
        let is_same = record.reason == change.decision.reason()
            && evaluated.scope.desired.get(&change.offer).is_none_or(is_of);
        !was_seen && !is_same
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

    fn now(&self) -> Now {
        Now { instant: Instant::now(), date: self.reconciler.clock.now() }
    }

    fn is_time_up(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    fn attempted(&mut self, offer: &OfferId) {
        if self.policy.retry != Retry::None {
            self.policy.attempted.insert(offer.clone());
        }
    }

    /// Queues a look at an offer because of a change in another one.
    fn evaluate_again(&mut self, offer: &OfferId) {
        if self.extent == Extent::Always || self.may_look(offer) {
            self.ask(offer);
        }
    }

    fn may_look(&self, offer: &OfferId) -> bool {
        self.policy.covers(offer)
            && self.looks.get(offer).is_none_or(|looks| *looks <= MAX_HURRIED_LOOKS)
    }

    fn evaluate(&mut self, offers: BTreeSet<OfferId>) {
        let mut is_first = false;
        if self.extent != Extent::Always {
            for offer in &offers {
                let looks = self.looks.entry(offer.clone()).or_default();
                is_first |= *looks == 0;
                *looks += 1;
            }
        }
        let scope =
            Scope { desired: Arc::clone(&self.desired), policy: self.policy.about(offers.clone()) };
        let until = self.give_up_at(is_first);
        let (reconciler, as_one) = (Arc::clone(&self.reconciler), self.policy.verify);
        self.tasks.spawn(async move {
            let look = Box::pin(reconciler.evaluate(scope, as_one));
            Outcome::Evaluation { offers, result: in_time(look, until).await }
        });
    }

    /// When a look is given up. The first look at an offer may take as long as it needs, even if
    /// the run waits only briefly.
    fn give_up_at(&self, is_first: bool) -> Option<Instant> {
        let deadline = self.deadline.filter(|_| !is_first)?;
        Some(deadline.max(Instant::now() + GRACE))
    }

    /// Asks the marketplace about the offers that a look could not decide.
    fn inspect(&mut self, open: Open) {
        let reconciler = Arc::clone(&self.reconciler);
        let offers = open.offers.clone();
        let is_first = offers.iter().any(|offer| self.looks.get(offer) == Some(&1));
        let until = self.give_up_at(is_first);
        self.tasks.spawn(async move {
            let settle = Box::pin(reconciler.inspect(open));
            Outcome::Evaluation { offers, result: in_time(settle, until).await }
        });
    }

    fn launch(&mut self, evaluated: &Arc<Evaluation>, offer: OfferId) {
        let (reconciler, evaluated) = (Arc::clone(&self.reconciler), Arc::clone(evaluated));
        let width = self.reconciler.settings.concurrency.max(1) * LAUNCHES_PER_REQUEST;
        let permits = self.permits.entry(offer.publisher().clone());
        let permits = Arc::clone(permits.or_insert_with(|| Arc::new(Semaphore::new(width))));
        let deadline = match self.extent {
            // A run that does not wait for operations does not wait for a doubt to settle either.
            Extent::Once => Instant::now().checked_add(self.reconciler.settings.pause),
            Extent::ToTheEnd | Extent::Always => self.deadline,
        };
        self.tasks.spawn(async move {
            // The semaphore is never closed.
            let _permit = permits.acquire().await;
            // Create the launch's future only after it has a permit, because the future is large.
            let tried = Box::pin(reconciler.launch(&evaluated, &offer, deadline)).await;
            Outcome::Launched { offer, evaluated, tried }
        });
    }

    fn poll(&mut self, offer: OfferId) {
        let (reconciler, deadline) = (Arc::clone(&self.reconciler), self.deadline);
        self.tasks.spawn(async move {
            let next = tokio::select! {
                biased;
                next = reconciler.poll(&offer) => next,
                () = reached(deadline) => Next::Rest,
            };
            Outcome::Asked { offer, next }
        });
    }

    /// Handles an offer without a manifest in force. If the manifest was removed, the offer leaves
    /// the status file. If the manifest can't be read, golive still follows a running operation and
    /// looks for the result of a request in doubt.
    fn handle_orphan(&mut self, offer: OfferId, is_gone: impl Fn(&OfferId) -> bool) {
        let is_gone = is_gone(&offer);
        let (reconciler, deadline) = (Arc::clone(&self.reconciler), self.deadline);
        self.tasks.spawn(async move {
            let work = async {
                if is_gone {
                    reconciler.remove(&offer).await
                } else {
                    reconciler.resolve_orphan_intent(&offer).await
                }
            };
            let next = tokio::select! {
                biased;
                next = work => next,
                () = reached(deadline) => Next::Rest,
            };
            Outcome::Asked { offer, next }
        });
    }

    /// The next step for an offer after a launch.
    fn after(
        &mut self,
        offer: &OfferId,
        evaluated: &Evaluation,
        tried: &Tried,
        in_doubt: bool,
    ) -> Next {
        let is_owed = !evaluated.scope.policy.attempted.contains(offer);
        match &tried.outcome {
            Triggered::Running | Triggered::Revised { ended: false } => self.reconciler.next(offer),
            Triggered::Stopped => {
                if is_owed && !tried.sent && !in_doubt {
                    self.policy.attempted.remove(offer);
                }
                self.reconciler.next(offer)
            }
            Triggered::Over | Triggered::Refused | Triggered::Revised { ended: true } => {
                Next::EvaluateNow
            }
            Triggered::Changed(why) => {
                // Nothing was accepted, so the retry is still owed.
                if is_owed {
                    self.policy.attempted.remove(offer);
                }
                let conflicts = self.conflicts.entry(offer.clone()).or_default();
                *conflicts += 1;
                if *conflicts < MAX_CONFLICTS {
                    return Next::EvaluateNow;
                }
                self.conflicts.remove(offer);
                if let Some(desired) = evaluated.scope.desired.get(offer) {
                    self.reconciler.give_up_on(offer, desired, why.as_deref());
                }
                Next::Retry
            }
        }
    }

    /// Ends the work on an offer and queues its next step.
    fn turn(&mut self, offer: &OfferId, next: Next) {
        let now = self.now();
        let next = if self.goes_on(offer, next, now) { next } else { Next::Rest };
        if next == Next::Retry {
            self.retried.insert(offer.clone());
        } else {
            self.retried.remove(offer);
        }
        let launch =
            self.desired.get(offer).and_then(|loaded: &Arc<Loaded>| loaded.manifest.not_before);
        let next = match next {
            Next::EvaluateSoon => Some((Work::Evaluate, When::At(self.gather(now.instant)))),
            Next::Poll(_) | Next::EvaluateOn(_) | Next::EvaluateNow | Next::Retry | Next::Rest => {
                self.backoffs.follow(offer, next, launch, now)
            }
        };
        if matches!(next, Some((Work::Poll, _) | (Work::Evaluate, When::On(_))))
            && let Some(looks) = self.looks.get_mut(offer)
        {
            *looks = 1;
        }
        self.queue.done(offer, next, now.instant);
    }

    /// Whether the next step belongs to this run.
    fn goes_on(&self, offer: &OfferId, next: Next, now: Now) -> bool {
        match (self.extent, next) {
            (Extent::Always, _) | (_, Next::Rest) => true,
            (_, Next::EvaluateNow | Next::EvaluateSoon) => self.may_look(offer),
            (_, Next::Poll(_) | Next::EvaluateOn(_) | Next::Retry) if self.is_time_up() => false,
            // Retries continue while the run waits for other offers.
            (Extent::ToTheEnd, Next::Retry) => true,
            (Extent::Once, Next::Poll(at)) => at <= now.instant,
            (Extent::Once, Next::EvaluateOn(_) | Next::Retry) => false,
            (Extent::ToTheEnd, Next::Poll(_)) => !self.reconciler.has_given_up(offer),
            (Extent::ToTheEnd, Next::EvaluateOn(date)) => {
                // A date in the past was already waited for once.
                date > now.date && self.reconciler.waits(offer)
            }
        }
    }

    /// When to look at the offers whose operations end about now.
    fn gather(&mut self, now: Instant) -> Instant {
        if self.extent == Extent::Once {
            return now;
        }
        if let Some(until) = self.gathering.filter(|until| *until > now) {
            return until;
        }
        let window = self.reconciler.settings.intervals.first.min(GATHERING);
        let until =
            self.deadline.map_or(now + window, |deadline| deadline.min(now + window)).max(now);
        self.gathering = Some(until);
        until
    }
}

/// The result of a look; `Ok(None)` if its time is up first.
async fn in_time(
    look: impl Future<Output = Result<Option<Evaluation>, RunError>>,
    until: Option<Instant>,
) -> Result<Option<Box<Evaluation>>, RunError> {
    tokio::select! {
        biased;
        evaluated = look => evaluated.map(|evaluated| evaluated.map(Box::new)),
        () = reached(until) => Ok(None),
    }
}

/// The result of a task; `None` if it was aborted. A panic in a task continues in this process:
/// what is on disk is enough for the next one to recover.
fn unharmed(ended: Result<Outcome, JoinError>) -> Option<Done> {
    match ended {
        Ok(done) => Some(Done(done)),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_canceled) => None,
        },
    }
}
