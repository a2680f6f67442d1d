//! The parts of a pass, one by one, for a service that has a loop of its own.
//!
//! Each is about offers that the caller keeps for itself meanwhile: no two steps are to be made
//! about one offer at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

use super::pass::{MAX_CONFLICTS, vet};
use super::trigger::Triggered;
use super::{Desired, Job, Observed, Reconciler, RunError};
use crate::changes::{Change, ChangeSet, Input, Moment, Seen, undecided, with_dependencies};
use crate::marketplace::{OfferId, PublisherId};
use crate::report::Event;
use crate::status::{OfferRecord, Reason, StoreError};

/// What a look at some offers has come to.
#[derive(Debug)]
pub struct Looked {
    /// What is to be done.
    pub changes: ChangeSet,
    /// The offers that could not be decided about so far: those together that wait for each other.
    pub open: Vec<Open>,
    /// The publishers that were listed just now; none where a list of before was gone by.
    pub listed: BTreeSet<PublisherId>,
    /// The publishers that could not be listed, and why.
    pub unlisted: BTreeMap<PublisherId, String>,
    observed: Observed,
    job: Job,
}

impl Looked {
    /// Whether an offer's publisher could be listed.
    #[must_use]
    pub fn is_listed(&self, offer: &OfferId) -> bool {
        !self.unlisted.contains_key(offer.publisher())
    }
}

/// Offers about which the marketplace must be asked one by one. Those that a list is enough for don't
/// wait for them: one answer may take minutes.
#[derive(Debug)]
pub struct Open {
    /// The offers.
    pub offers: BTreeSet<OfferId>,
    unlisted: BTreeMap<PublisherId, String>,
    recorded: BTreeMap<OfferId, Arc<OfferRecord>>,
    observed: Observed,
    job: Job,
    moment: Moment,
}

/// When an offer is to be seen to next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Its operation is to be polled.
    Poll(Instant),
    /// It is to be looked at: a launch date has come, a pause is over, a request in doubt has
    /// settled (UTC).
    LookOn(Timestamp),
    /// It is to be looked at once more, right away.
    LookNow,
    /// It could not be asked about, or its request could not be sent: after a pause of the caller's.
    Retry,
    /// When something changes.
    Rest,
}

impl Open {
    /// What is known so far about some of the offers.
    fn part(&self, offers: BTreeSet<OfferId>) -> Self {
        let job = self.job.about(offers.clone());
        let wanted = with_dependencies(&job.desired, &job.policy);
        let copy = |offer: &&OfferId| Some(((*offer).clone(), self.observed.get(*offer)?.clone()));
        let observed = wanted.iter().filter_map(copy).collect();
        let copy = |offer: &&OfferId| Some(((*offer).clone(), self.recorded.get(*offer)?.clone()));
        let recorded = wanted.iter().filter_map(copy).collect();
        let (unlisted, moment) = (self.unlisted.clone(), self.moment);
        Self { offers, unlisted, recorded, observed, job, moment }
    }
}

impl Reconciler {
    /// Looks at the offers in the job's scope, decides about those for which the publishers' lists
    /// are enough, and writes down what was decided; the others are left to [`settle`](Self::settle).
    /// Where something is to be sent, that is left to [`execute`](Self::execute), and the disk to
    /// [`commit`](Self::commit). `None` where the user stops.
    #[tracing::instrument(target = "otlp", name = "look", skip_all)]
    pub async fn look(&self, job: Job) -> Result<Option<Looked>, RunError> {
        let moment = self.moment();
        let recorded = self.recorded(&job);
        let observed = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Ok(None),
            listed = self.observer.list(&job.desired, &job.policy) => listed,
        };
        let unlisted = self.unlisted(&observed);
        let asked = observed.keys().map(OfferId::publisher);
        let listed = asked.filter(|it| !unlisted.contains_key(*it)).cloned().collect();
        let (desired, policy) = (&job.desired, &job.policy);
        let input = Input { desired, recorded: &recorded, observed: &observed, moment, policy };
        let undecided = undecided(input);
        let decided = policy.scope.iter().flatten().filter(|offer| !undecided.contains(*offer));
        let decided: BTreeSet<OfferId> = decided.cloned().collect();
        let all = Open { offers: decided, unlisted, recorded, observed, job, moment };
        let open = linked(&all.job.desired, &undecided);
        let open = open.into_iter().map(|offers| all.part(offers)).collect();
        let looked = self.settle(Open { job: all.job.about(all.offers.clone()), ..all }).await?;
        Ok(looked.map(|looked| Looked { open, listed, ..looked }))
    }

    /// Asks what the decisions about open offers need, and goes on as [`look`](Self::look) does.
    #[tracing::instrument(target = "otlp", name = "settle", skip_all)]
    pub async fn settle(&self, open: Open) -> Result<Option<Looked>, RunError> {
        let Open { offers: _, unlisted, recorded, observed, job, moment } = open;
        let (desired, policy) = (&job.desired, &job.policy);
        let (observed, changes) = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Ok(None),
            settled = self.settle_fresh(observed, desired, &recorded, policy, moment) => settled,
        };
        vet(&changes, Input { desired, recorded: &recorded, observed: &observed, moment, policy })?;
        // Of offers that are not listed nothing is known, and all that was known of them stands.
        let is_listed = |change: &&Change| !unlisted.contains_key(change.offer.publisher());
        for change in changes.changes.iter().filter(is_listed) {
            self.write_down(&job, change, observed.get(&change.offer), moment);
        }
        let (open, listed) = (Vec::new(), BTreeSet::new());
        Ok(Some(Looked { changes, open, listed, unlisted, observed, job }))
    }

    /// The publishers that could not be listed, and why: that is what their offers have instead.
    fn unlisted(&self, listed: &Observed) -> BTreeMap<PublisherId, String> {
        let mut unlisted = BTreeMap::new();
        for (offer, seen) in listed {
            let (reason, why) = match seen {
                Seen::Unauthorized(why) => (Reason::Unauthorized, why),
                Seen::Throttled(why) => (Reason::Throttled, why),
                Seen::Unreachable(why) => (Reason::Unreachable, why),
                // That is an answer, though not a welcome one.
                Seen::Offer(_) | Seen::Forbidden(_) | Seen::NotFound(_) => continue,
            };
            let publisher = offer.publisher();
            if unlisted.insert(publisher.clone(), why.clone()).is_none() {
                self.reporter.report(&Event::NotListed { publisher, reason });
            }
        }
        unlisted
    }

    /// What is on record about the offers in a job's scope, and those they wait for.
    fn recorded(&self, job: &Job) -> BTreeMap<OfferId, Arc<OfferRecord>> {
        let wanted = with_dependencies(&job.desired, &job.policy);
        self.store.with(|file| {
            let known = wanted.iter().filter_map(|offer| file.offers.get_key_value(*offer));
            known.map(|(offer, record)| (offer.clone(), record.clone())).collect()
        })
    }

    /// Sends what a look found to be sent for an offer, by the protocol. `conflicts` counts how often
    /// in a row the offer changed before that could be done.
    #[tracing::instrument(target = "otlp", name = "launch", skip_all, fields(%offer))]
    pub async fn execute(&self, looked: &Looked, offer: &OfferId, conflicts: &mut u32) -> Next {
        let Looked { changes, observed, job, open: _, listed: _, unlisted: _ } = looked;
        let Some(change) = changes.get(offer) else { return Next::Rest };
        let tried = self.trigger(job, &job.policy, change, observed, None).await;
        match tried.outcome {
            Triggered::Running | Triggered::Stopped | Triggered::Revised { ended: false } => {
                self.next(offer)
            }
            Triggered::Over | Triggered::Refused | Triggered::Revised { ended: true } => {
                Next::LookNow
            }
            Triggered::Changed(why) => {
                *conflicts += 1;
                if *conflicts < MAX_CONFLICTS {
                    return Next::LookNow;
                }
                *conflicts = 0;
                if let Some(desired) = job.desired.get(offer) {
                    self.give_up_on(offer, desired, why.as_deref());
                }
                Next::Retry
            }
        }
    }

    /// Polls the running operation of an offer; the disk is left to [`commit`](Self::commit).
    #[tracing::instrument(target = "otlp", name = "poll", skip_all, fields(%offer))]
    pub async fn poll(&self, offer: &OfferId) -> Next {
        if self.ask_once(offer).await { Next::LookNow } else { self.next(offer) }
    }

    /// Removes an offer whose manifest is gone, once nothing runs there, or may.
    pub async fn remove(&self, offer: &OfferId) -> Next {
        self.handle_orphan(offer).await;
        if self.forget_if_idle(offer) { Next::Rest } else { self.next(offer) }
    }

    /// Asks what runs, or what came of a request in doubt, for an offer that no manifest in force
    /// declares: its manifest can't be read at the moment. Nothing is sent.
    pub async fn tend(&self, offer: &OfferId) -> Next {
        self.handle_orphan(offer).await;
        let settled = self.store.get(offer).is_none_or(|record| record.intent.is_none());
        match self.next(offer) {
            Next::Poll(due) => Next::Poll(due),
            _ if settled => Next::Rest,
            Next::LookOn(_) | Next::LookNow | Next::Retry | Next::Rest => Next::Retry,
        }
    }

    /// Puts everything that is known on disk.
    pub async fn commit(&self) -> Result<(), StoreError> {
        self.store.commit().await
    }

    /// When an offer is to be seen to next, by its record.
    #[must_use]
    pub fn next(&self, offer: &OfferId) -> Next {
        if let Some(due) = self.next_poll(offer) {
            return Next::Poll(due);
        }
        let found = self.store.with(|file| {
            let record = file.offers.get(offer)?;
            // What was refused stays refused until something changes; any other error passes.
            let refused = record.refused.as_ref().map(|refused| &refused.message);
            let passes = record.error.as_ref().is_some_and(|it| Some(&it.message) != refused);
            Some((record.next_check_at, record.intent.is_some() || passes))
        });
        match found {
            Some((Some(at), _)) => Next::LookOn(at),
            Some((None, true)) => Next::Retry,
            Some((None, false)) | None => Next::Rest,
        }
    }
}

/// Splits offers into those that wait for each other, and those that have nothing to do with others.
fn linked(desired: &Desired, offers: &BTreeSet<OfferId>) -> Vec<BTreeSet<OfferId>> {
    let mut waiting: BTreeMap<&OfferId, Vec<&OfferId>> = BTreeMap::new();
    for offer in offers {
        for before in desired.get(offer).iter().flat_map(|loaded| &loaded.manifest.after) {
            if offers.contains(before) {
                waiting.entry(offer).or_default().push(before);
                waiting.entry(before).or_default().push(offer);
            }
        }
    }
    let mut groups = Vec::new();
    let mut seen: BTreeSet<&OfferId> = BTreeSet::new();
    for first in offers {
        let mut group = BTreeSet::new();
        let mut next = vec![first];
        while let Some(offer) = next.pop() {
            if seen.insert(offer) {
                group.insert(offer.clone());
                next.extend(waiting.get(offer).into_iter().flatten().copied());
            }
        }
        if !group.is_empty() {
            groups.push(group);
        }
    }
    groups
}
