//! One pass: look at every offer, decide, send what is to be sent, poll what runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::Instant;

use super::answers::out_of_time;
use super::groups::{Looks, Sight};
use super::record;
use super::trigger::Triggered;
use super::windows::windows;
use super::{Job, Observed, Reconciler, RunError};
use crate::changes::{
    Change, ChangeSet, Decision, Hold, Input, Moment, Origin, Policy, Seen, check,
    with_dependencies,
};
use crate::clock::reached;
use crate::manifest::Loaded;
use crate::marketplace::{Inquiry, OfferId, PublisherId};
use crate::operation::State;
use crate::report::{Event, Outcome};
use crate::status::{Edited, OfferRecord};

/// How long a pass that is due when the time is up may ask.
const GRACE: Duration = Duration::from_secs(10);

/// How many offers of a publisher are worked on for each request that may be under way: while some wait for the
/// disk, others have requests to send. How many are sent at once is the client's to see to.
const TRIGGERS_PER_REQUEST: usize = 4;

/// How often an offer may change under golive's hands in one run.
pub(super) const MAX_CONFLICTS: u32 = 3;

/// What a run has done so far.
#[derive(Debug, Default)]
pub(super) struct Run {
    planned: Option<ChangeSet>,
    triggered: usize,
    /// The changes whose requests may have been accepted.
    sent: usize,
    /// The offers among them of which that is not known yet.
    in_doubt: BTreeSet<OfferId>,
    conflicts: BTreeMap<OfferId, u32>,
    /// The publishers of which it was told that the others don't wait for them.
    late: BTreeSet<PublisherId>,
}

/// What all parts of a pass have in common.
#[derive(Clone, Copy)]
struct Pass<'a> {
    job: &'a Job,
    recorded: &'a BTreeMap<OfferId, Arc<OfferRecord>>,
    moment: Moment,
    deadline: Option<Instant>,
    /// The same, unless this pass is made in any case.
    later: Option<Instant>,
    is_first: bool,
}

impl Run {
    /// Takes in what the first pass found to be done, which may be in parts.
    fn plan(&mut self, found: ChangeSet) {
        let Some(planned) = &mut self.planned else {
            self.planned = Some(found);
            return;
        };
        planned.changes.extend(found.changes);
        planned.changes.sort_by(|one, other| one.offer.cmp(&other.offer));
    }

    /// Counts what was sent for an offer. What is sent again, an answer being lost, is one change.
    fn count(&mut self, offer: &OfferId, sent: bool, in_doubt: bool) {
        let counted = self.in_doubt.remove(offer);
        self.sent += usize::from(sent && !counted);
        if in_doubt && (sent || counted) {
            self.in_doubt.insert(offer.clone());
        }
    }
}

impl Reconciler {
    /// Makes one pass. Tells whether another one is due at once: an offer changed while it was
    /// being decided about, or an operation ended right away.
    ///
    /// What is known of some publishers waits for others only so long; who is late goes on being
    /// looked at meanwhile, and is seen to in the same pass.
    pub(super) async fn pass(
        &self,
        job: &Job,
        policy: &mut Policy,
        run: &mut Run,
        deadline: Option<Instant>,
    ) -> Result<bool, RunError> {
        let recorded = self.store.snapshot().offers;
        // What was found, or found to be over, is in doubt no more.
        run.in_doubt.retain(|offer| recorded.get(offer).is_some_and(|it| it.intent.is_some()));
        let moment = self.moment();
        let mut looks = {
            let wanted = with_dependencies(&job.desired, policy);
            let publishers: BTreeSet<_> = wanted.iter().map(|offer| offer.publisher()).collect();
            let (publishers, offers) = (publishers.len(), wanted.len());
            self.reporter.report(&Event::Observing { publishers, offers });
            self.begin_to_look(job, &recorded, policy, &wanted, moment)
        };
        // One pass is made in any case, however short a time there is to wait; and what has ended at
        // the last moment is looked at.
        let is_first = run.planned.is_none();
        let later = deadline.filter(|_| !is_first);
        let questions_until = later.map(|deadline| deadline.max(Instant::now() + GRACE));
        let pass = Pass { job, recorded: &recorded, moment, deadline, later, is_first };
        let mut again = false;
        loop {
            let is_time_up = tokio::select! {
                biased;
                () = self.stop.cancelled() => {
                    self.reporter.report(&Event::Stopping);
                    return Ok(again);
                }
                () = reached(questions_until) => true,
                () = looks.in_time() => false,
            };
            let Some(sight) = looks.take() else { return Ok(again) };
            if !is_time_up {
                self.tell_who_is_late(run, &looks);
            }
            let mut work = std::pin::pin!(self.go_on_with(&pass, policy, run, sight));
            // It is never given up: it may have a request under way.
            again |= loop {
                tokio::select! {
                    biased;
                    done = &mut work => break done?,
                    Some(()) = looks.go_on() => {}
                }
            };
            if looks.is_over() {
                return Ok(again);
            }
        }
    }

    /// Tells of the publishers that the others don't wait for, once in a run.
    fn tell_who_is_late(&self, run: &mut Run, looks: &Looks<'_>) {
        for publisher in looks.late() {
            if run.late.insert(publisher.clone()) {
                self.reporter.report(&Event::Late { publisher });
            }
        }
    }

    /// Writes down what was decided, sends what is to be sent, and polls what was found to run.
    async fn go_on_with(
        &self,
        pass: &Pass<'_>,
        policy: &mut Policy,
        run: &mut Run,
        sight: Sight,
    ) -> Result<bool, RunError> {
        let Pass { job, recorded, moment, deadline, later, is_first } = *pass;
        let Sight { observed, changes } = sight;
        let desired = &job.desired;
        // Also where some are late: no offer waits for one of theirs.
        vet(&changes, Input { desired, recorded, observed: &observed, moment, policy })?;
        guard(job, run, &changes)?;
        self.reporter.report(&Event::Planned(&changes));
        for change in &changes.changes {
            self.write_down(job, change, observed.get(&change.offer), moment);
        }
        self.store.commit().await?;
        let mut triggers: Vec<&Change> = allowed(job, run, &changes).collect();
        if later.is_some_and(|deadline| deadline <= Instant::now()) {
            triggers.drain(..).for_each(|change| self.come_too_late(job, change));
        }
        // Who asked for a retry asked for it of what had failed by then, not of what runs now.
        let running = changes.changes.iter().filter(|it| it.decision.tracked().is_some());
        policy.attempted.extend(running.map(|change| change.offer.clone()));
        let mut again = self.trigger_all(job, policy, run, &triggers, &observed, deadline).await;
        again |= self.poll_adopted(&changes, deadline).await;
        drop(triggers);
        if is_first {
            run.plan(changes);
        }
        self.store.commit().await?;
        Ok(again)
    }

    /// Lists the publishers of the offers in scope, asks what their decisions need, and decides.
    pub(super) async fn observe(
        &self,
        desired: &BTreeMap<OfferId, Arc<Loaded>>,
        recorded: &BTreeMap<OfferId, Arc<OfferRecord>>,
        policy: &Policy,
        moment: Moment,
    ) -> (Observed, ChangeSet) {
        let observed = self.observer.list(desired, policy).await;
        self.settle_fresh(observed, desired, recorded, policy, moment).await
    }

    /// Decides about what was listed, without polling out of turn: an operation that answered a
    /// moment ago is not asked again.
    pub(super) async fn settle_fresh(
        &self,
        observed: Observed,
        desired: &BTreeMap<OfferId, Arc<Loaded>>,
        recorded: &BTreeMap<OfferId, Arc<OfferRecord>>,
        policy: &Policy,
        moment: Moment,
    ) -> (Observed, ChangeSet) {
        let heard = |offer: &OfferId, inquiry: &mut Inquiry| self.add_heard(offer, inquiry);
        self.observer.settle_with(observed, desired, recorded, policy, moment, heard).await
    }

    /// Records what was decided about an offer, and tells. What did not show is judged by the moment
    /// at which the questions began: the last answer may have come much later.
    pub(super) fn write_down(
        &self,
        job: &Job,
        change: &Change,
        seen: Option<&Seen>,
        moment: Moment,
    ) {
        let Some(desired) = job.desired.get(&change.offer) else { return };
        let file = self.viewpoint.name(&desired.file);
        self.edit(&change.offer, desired, |record| {
            record.manifest.file = file;
            record::decided(record, change, seen, desired, moment);
        });
        let runs = self.store.with(|file| {
            file.offers.get(&change.offer).is_some_and(|record| record.running().is_some())
        });
        if !runs {
            self.stop_following(&change.offer);
        }
    }

    /// Records that a request is not sent any more in this run.
    fn come_too_late(&self, job: &Job, change: &Change) {
        let Some(desired) = job.desired.get(&change.offer) else { return };
        let (end, now) = (out_of_time(&State::Checking), self.clock.now());
        self.edit(&change.offer, desired, |record| {
            // What may have been sent stays in doubt.
            if record.intent.is_none() {
                record::stopped(record, &end, None, desired, now);
            }
        });
    }

    pub(super) fn moment(&self) -> Moment {
        self.observer.moment(self.clock.now())
    }

    /// Changes an offer's record and tells, if it shows.
    pub(super) fn edit(
        &self,
        offer: &OfferId,
        desired: &Loaded,
        change: impl FnOnce(&mut OfferRecord),
    ) {
        let fresh = || {
            let file = self.viewpoint.name(&desired.file);
            record::fresh(desired, file, self.clock.now())
        };
        self.tell(offer, &self.store.edit(offer, fresh, change));
    }

    /// Tells of a change, if there is one.
    pub(super) fn tell(&self, offer: &OfferId, edited: &Edited) {
        let Edited { before, after } = edited;
        if before.as_ref() != Some(after) {
            let event = Event::Changed { offer, before: before.as_deref(), record: after };
            self.reporter.report(&event);
        }
    }

    async fn trigger_all<'a>(
        &self,
        job: &Job,
        policy: &mut Policy,
        run: &mut Run,
        triggers: &[&'a Change],
        observed: &BTreeMap<OfferId, Seen>,
        deadline: Option<Instant>,
    ) -> bool {
        let before = policy.clone();
        policy.attempted.extend(triggers.iter().map(|change| change.offer.clone()));
        let send = |change: &'a Change| async {
            (&change.offer, self.trigger(job, &before, change, observed, deadline).await)
        };
        let width = self.settings.concurrency.max(1) * TRIGGERS_PER_REQUEST;
        let results = windows(triggers.iter().copied(), |change| &change.offer, width, send);
        let results: Vec<_> = results.collect().await;
        let mut again = false;
        for (offer, tried) in results {
            let in_doubt = self.store.get(offer).is_some_and(|record| record.intent.is_some());
            run.count(offer, tried.sent, in_doubt);
            match tried.outcome {
                Triggered::Running => run.triggered += 1,
                Triggered::Over => {
                    run.triggered += 1;
                    again = true;
                }
                Triggered::Refused => again = true,
                Triggered::Revised { ended } => again |= ended,
                Triggered::Changed(why) => {
                    // Nothing was accepted, so that a retry is still owed.
                    if !before.attempted.contains(offer) {
                        policy.attempted.remove(offer);
                    }
                    again |= self.may_look_again(job, run, offer, why.as_deref());
                }
                Triggered::Stopped if !tried.sent && !in_doubt => {
                    if !before.attempted.contains(offer) {
                        policy.attempted.remove(offer);
                    }
                }
                Triggered::Stopped => {}
            }
        }
        again
    }

    fn may_look_again(&self, job: &Job, run: &mut Run, offer: &OfferId, why: Option<&str>) -> bool {
        let conflicts = run.conflicts.entry(offer.clone()).or_default();
        *conflicts += 1;
        if *conflicts < MAX_CONFLICTS {
            return true;
        }
        if let Some(desired) = job.desired.get(offer) {
            self.give_up_on(offer, desired, why);
        }
        false
    }

    /// Records that an offer changed under every try.
    pub(super) fn give_up_on(&self, offer: &OfferId, desired: &Loaded, why: Option<&str>) {
        let why = why.unwrap_or("the offer is not what the list says");
        let now = self.clock.now();
        self.edit(offer, desired, |record| record::conflicted(record, why, now));
    }

    /// Polls the operations that were adopted just now, once.
    async fn poll_adopted<'a>(&self, changes: &'a ChangeSet, deadline: Option<Instant>) -> bool {
        let adopted = changes.changes.iter().filter(|change| {
            change.decision.tracked().is_some_and(|tracked| {
                tracked.origin != Origin::Recorded
                    && !self.is_waiting(&change.offer, tracked.id.as_deref())
            })
        });
        let poll = |change: &'a Change| self.poll_in_time(&change.offer, deadline);
        let polls = windows(adopted, |change| &change.offer, self.settings.concurrency, poll);
        // All of them, also after one has ended.
        polls.fold(false, |any, ended| async move { any | ended }).await
    }

    pub(super) fn outcome(&self, job: &Job, run: Run) -> Outcome {
        let orphans = Self::orphans(job);
        let in_scope = |offer: &OfferId| {
            job.desired.contains_key(offer) && job.policy.covers(offer) || orphans.contains(offer)
        };
        let records = self.store.with(|file| {
            let records = file.offers.iter().filter(|(offer, _)| in_scope(offer));
            records.map(|(offer, record)| (offer.clone(), record.clone())).collect()
        });
        Outcome {
            planned: run.planned.unwrap_or_default(),
            records,
            triggered: run.triggered,
            interrupted: self.stop.is_cancelled(),
        }
    }
}

/// Refuses a change set that must not be carried out.
pub(super) fn vet(changes: &ChangeSet, input: Input<'_>) -> Result<(), RunError> {
    let violations = check(changes, input);
    if violations.is_empty() { Ok(()) } else { Err(RunError::Unsound(violations)) }
}

/// Refuses to go on with a change set that was not reviewed, or that is too large.
fn guard(job: &Job, run: &Run, changes: &ChangeSet) -> Result<(), RunError> {
    if let Some(expected) = job.guard.expect.as_ref().filter(|_| run.planned.is_none()) {
        let found = changes.digest();
        if *expected != found {
            return Err(RunError::Unexpected { expected: expected.clone(), found });
        }
    }
    let new = allowed(job, run, changes).filter(|change| !run.in_doubt.contains(&change.offer));
    let found = run.sent + new.count();
    match job.guard.max_changes {
        Some(allowed) if found > allowed => Err(RunError::TooMany { found, allowed }),
        Some(_) | None => Ok(()),
    }
}

/// The triggers that may be sent. Where a reviewed digest was given, later passes send only what
/// it foresaw: its own triggers, and offers that waited for one of them.
fn allowed<'a>(job: &Job, run: &Run, changes: &'a ChangeSet) -> impl Iterator<Item = &'a Change> {
    let reviewed = job.guard.expect.as_ref().and(run.planned.as_ref());
    let foreseen = move |change: &&Change| {
        let Some(reviewed) = reviewed else { return true };
        reviewed.get(&change.offer).is_some_and(|known| match &known.decision {
            Decision::GoLive { .. } | Decision::Publish { .. } => known.decision == change.decision,
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
