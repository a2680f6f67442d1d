//! One run: the engine with fixed manifests, until nothing is left to do.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;

use super::results::Taken;
use super::runner::{Engine, Extent};
use super::steps::Evaluation;
use super::{Job, Reconciler, RunError, Wait};
use crate::changes::{Change, ChangeSet, Decision, Hold, Policy, with_dependencies};
use crate::clock::reached;
use crate::marketplace::OfferId;
use crate::report::{Event, Outcome};

/// The progress of a run.
struct Run<'a> {
    reconciler: &'a Arc<Reconciler>,
    job: &'a Job,
    engine: Engine,
    /// The decisions of the first evaluation of each offer.
    planned: ChangeSet,
    /// The offers that have not been evaluated yet.
    unplanned: BTreeSet<OfferId>,
    /// How many launches led to an operation.
    launched: usize,
    /// The changes whose requests may have been accepted.
    sent: usize,
    /// The counted offers whose request is still in doubt.
    in_doubt: BTreeSet<OfferId>,
    deadline: Option<Instant>,
    /// Why the run starts no more work.
    failure: Option<RunError>,
}

/// Brings the offers of a job to the state that their manifests declare, as far as one run can.
/// Returns what was done even if the run ends early.
#[tracing::instrument(target = "otlp", name = "reconcile", skip_all)]
pub async fn run(
    reconciler: &Arc<Reconciler>,
    job: &Job,
    random: fastrand::Rng,
) -> (Outcome, Result<(), RunError>) {
    let mut run = Run::new(reconciler, job, random);
    let orphans = run.orphans();
    // Nothing runs on these orphans, so there is nothing to report.
    reconciler.forget_idle(&orphans);
    run.work().await;
    let outcome = run.outcome();
    // Report what has ended since.
    reconciler.forget_idle(&orphans);
    // Save what is known even after an error; the first error is the one returned.
    let committed = reconciler.store.flush().await.map_err(RunError::from);
    (outcome, run.failure.map_or(committed, Err))
}

impl<'a> Run<'a> {
    fn new(reconciler: &'a Arc<Reconciler>, job: &'a Job, random: fastrand::Rng) -> Self {
        let mut policy = job.policy.clone();
        // The guards count and compare requests, so the decisions must be verified.
        policy.verify |= job.guard.expect.is_some() || job.guard.max_changes.is_some();
        let (extent, deadline) = match job.wait {
            Wait::No => (Extent::Once, None),
            Wait::Until(None) => (Extent::ToTheEnd, None),
            Wait::Until(Some(wait)) => (Extent::ToTheEnd, Instant::now().checked_add(wait)),
        };
        let longest_pause = reconciler.settings.intervals.longest;
        let mut engine = Engine::new(Arc::clone(reconciler), policy, extent, longest_pause, random);
        engine.replace(Arc::clone(&job.desired));
        engine.until(deadline);
        Self {
            reconciler,
            job,
            engine,
            planned: ChangeSet::default(),
            unplanned: BTreeSet::new(),
            launched: 0,
            sent: 0,
            in_doubt: BTreeSet::new(),
            deadline,
            failure: None,
        }
    }

    async fn work(&mut self) {
        let wanted = with_dependencies(&self.job.desired, &self.job.policy);
        let publishers: BTreeSet<_> = wanted.iter().map(|offer| offer.publisher()).collect();
        let (publishers, offers) = (publishers.len(), wanted.len());
        self.reconciler.reporter.report(&Event::Observing { publishers, offers });
        self.engine.link(&wanted);
        let covered = wanted.into_iter().filter(|offer| self.job.policy.covers(offer));
        self.unplanned = covered.filter(|it| self.job.desired.contains_key(*it)).cloned().collect();
        let orphans = self.orphans();
        self.unplanned.iter().chain(&orphans).for_each(|offer| self.engine.ask(offer));
        if self.unplanned.is_empty() {
            // The reviewed change set may not have been empty.
            self.failure = self.guard(&ChangeSet::default()).err();
            self.planned();
        }
        let stop = self.reconciler.stop.clone();
        let mut is_stopped = false;
        loop {
            let goes_on = !is_stopped && self.failure.is_none();
            if goes_on {
                self.engine.begin(|_| false);
            }
            // Once the run starts no more work, it doesn't wait for queued work either.
            if self.engine.is_idle() || !goes_on && !self.engine.is_working() {
                return;
            }
            let wake = self.engine.wake().filter(|_| goes_on);
            tokio::select! {
                biased;
                () = stop.cancelled(), if !is_stopped => {
                    is_stopped = true;
                    self.reconciler.reporter.report(&Event::Stopping);
                }
                Some(done) = self.engine.ended() => {
                    let taken = self.engine.take_in(done);
                    self.take_in(taken);
                }
                () = reached(wake) => {}
            }
        }
    }

    fn take_in(&mut self, taken: Taken) {
        match taken {
            Taken::Evaluation(evaluated) => {
                if let Err(error) = self.evaluated(evaluated) {
                    self.failure.get_or_insert(error);
                }
            }
            Taken::Missed(_, error) => self.failure = self.failure.take().or(error),
            Taken::Launched { offer, has_operation, sent } => {
                self.launched += usize::from(has_operation);
                self.count(&offer, sent);
            }
            Taken::Asked(_) | Taken::Nothing => {}
        }
    }

    fn evaluated(&mut self, evaluated: Box<Evaluation>) -> Result<(), RunError> {
        // A request that was found, or found to be over, is no longer in doubt.
        let reconciler = self.reconciler;
        self.in_doubt.retain(|offer| reconciler.has_intent(offer));
        self.guard(&evaluated.changes)?;
        let is_late = self.deadline.is_some_and(|deadline| deadline <= Instant::now());
        let allowed = self.allowed(&evaluated.changes).map(|change| change.offer.clone());
        let (late, allowed): (BTreeSet<OfferId>, BTreeSet<OfferId>) =
            allowed.partition(|offer| is_late && !self.unplanned.contains(offer));
        let desired = Arc::clone(&evaluated.known.desired);
        let new = evaluated.changes.changes.iter().filter(|it| self.unplanned.remove(&it.offer));
        let before = self.planned.changes.len();
        self.planned.changes.extend(new.cloned());
        if self.planned.changes.len() > before {
            self.planned();
        }
        self.engine.carry_out(evaluated, |change| allowed.contains(&change.offer));
        for offer in &late {
            if let Some(manifest) = desired.get(offer) {
                self.reconciler.deadline_passed(offer, manifest);
            }
        }
        Ok(())
    }

    /// Reports the change set once every offer has a decision.
    fn planned(&mut self) {
        if self.unplanned.is_empty() {
            self.planned.changes.sort_by(|one, other| one.offer.cmp(&other.offer));
            self.reconciler.reporter.report(&Event::Planned(&self.planned));
        }
    }

    /// Counts the requests sent for an offer. A request sent again because its answer was lost
    /// counts as the same change.
    fn count(&mut self, offer: &OfferId, sent: bool) {
        let was_counted = self.in_doubt.remove(offer);
        self.sent += usize::from(sent && !was_counted);
        if self.reconciler.has_intent(offer) && (sent || was_counted) {
            self.in_doubt.insert(offer.clone());
        }
    }

    /// Refuses a change set that was not reviewed or that is too large.
    fn guard(&self, changes: &ChangeSet) -> Result<(), RunError> {
        let is_first = self.planned.changes.is_empty();
        if let Some(expected) = self.job.guard.expect.as_ref().filter(|_| is_first) {
            let found = changes.digest();
            if *expected != found {
                return Err(RunError::Unexpected { expected: expected.clone(), found });
            }
        }
        let new = self.allowed(changes).filter(|change| !self.in_doubt.contains(&change.offer));
        let found = self.sent + new.count();
        match self.job.guard.max_changes {
            Some(allowed) if found > allowed => Err(RunError::TooMany { found, allowed }),
            Some(_) | None => Ok(()),
        }
    }

    /// The launches that may be sent. With `--expect`, later evaluations send only what the reviewed
    /// change set foresaw: its own launches, and those of offers that waited for one of them.
    fn allowed<'b>(&'b self, changes: &'b ChangeSet) -> impl Iterator<Item = &'b Change> {
        let is_first = self.planned.changes.is_empty();
        let reviewed = self.job.guard.expect.as_ref().map(|_| &self.planned);
        let reviewed = reviewed.filter(|_| !is_first);
        let foreseen = move |change: &&Change| {
            let Some(reviewed) = reviewed else { return true };
            reviewed.get(&change.offer).is_some_and(|known| match &known.decision {
                Decision::GoLive { .. } | Decision::Publish { .. } => {
                    known.decision == change.decision
                }
                Decision::Held(Hold::WaitingForDependency(_)) => known.to == change.to,
                Decision::Held(_)
                | Decision::Track(_)
                | Decision::InSync(_)
                | Decision::Blocked(_)
                | Decision::Failed(_) => false,
            })
        };
        changes.changes.iter().filter(|change| change.decision.is_trigger()).filter(foreseen)
    }

    /// The offers whose manifest is gone. A narrowed run changes nothing outside its scope.
    fn orphans(&self) -> BTreeSet<OfferId> {
        let Policy { scope, .. } = &self.job.policy;
        if scope.is_some() { BTreeSet::new() } else { self.job.gone.clone() }
    }

    fn outcome(&mut self) -> Outcome {
        let orphans = self.orphans();
        let in_scope = |offer: &OfferId| {
            self.job.desired.contains_key(offer) && self.job.policy.covers(offer)
                || orphans.contains(offer)
        };
        let records = self.reconciler.store.with(|file| {
            let records = file.offers.iter().filter(|(offer, _)| in_scope(offer));
            records.map(|(offer, record)| (offer.clone(), record.clone())).collect()
        });
        self.planned.changes.sort_by(|one, other| one.offer.cmp(&other.offer));
        Outcome {
            planned: std::mem::take(&mut self.planned),
            records,
            triggered: self.launched,
            interrupted: self.reconciler.stop.is_cancelled(),
        }
    }
}
