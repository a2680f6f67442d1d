//! The parts of a pass, one by one, for a service that has a loop of its own.
//!
//! Each is about offers that the caller keeps for itself meanwhile: no two steps are to be made
//! about one offer at a time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tokio::time::Instant;

use super::pass::{MAX_CONFLICTS, vet};
use super::trigger::Triggered;
use super::{Job, Observed, Reconciler, RunError};
use crate::changes::{ChangeSet, Input, with_dependencies};
use crate::marketplace::OfferId;
use crate::status::{OfferRecord, Reason, StoreError};

/// What a look at some offers has come to.
#[derive(Debug)]
pub struct Looked {
    /// What is to be done.
    pub changes: ChangeSet,
    observed: Observed,
    job: Job,
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

impl Reconciler {
    /// Looks at the offers in the job's scope, decides, and writes down what was decided. Where
    /// something is to be sent, that is left to [`execute`](Self::execute), and so is the disk. `None`
    /// where the user stops.
    #[tracing::instrument(target = "otlp", name = "look", skip_all)]
    pub async fn look(&self, job: Job) -> Result<Option<Looked>, RunError> {
        let moment = self.moment();
        let wanted = with_dependencies(&job.desired, &job.policy);
        let recorded: BTreeMap<OfferId, OfferRecord> = self.store.with(|file| {
            let known = wanted.iter().filter_map(|offer| file.offers.get_key_value(*offer));
            known.map(|(offer, record)| (offer.clone(), record.clone())).collect()
        });
        let (observed, changes) = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Ok(None),
            seen = self.observe(&job.desired, &recorded, &job.policy, moment) => seen,
        };
        let (desired, policy) = (&job.desired, &job.policy);
        vet(&changes, Input { desired, recorded: &recorded, observed: &observed, moment, policy })?;
        for change in &changes.changes {
            self.write_down(&job, change, observed.get(&change.offer), moment);
        }
        // What is to be sent is on disk before it is, with all the rest.
        if changes.triggers() == 0 {
            self.store.commit().await?;
        }
        Ok(Some(Looked { changes, observed, job }))
    }

    /// Sends what a look found to be sent for an offer, by the protocol. `conflicts` counts how often
    /// in a row the offer changed before that could be done.
    #[tracing::instrument(target = "otlp", name = "launch", skip_all, fields(%offer))]
    pub async fn execute(&self, looked: &Looked, offer: &OfferId, conflicts: &mut u32) -> Next {
        let Looked { changes, observed, job } = looked;
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

    /// Removes an offer whose manifest is gone, unless something of it runs, or may.
    pub async fn remove(&self, offer: &OfferId) -> Next {
        if self.forget_one(offer).await { Next::Rest } else { self.next(offer) }
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
        let Some(record) = self.store.get(offer) else { return Next::Rest };
        match record.next_check_at {
            Some(at) => Next::LookOn(at),
            None if record.intent.is_some() => Next::Retry,
            // What was refused stays refused until something changes; any other error passes.
            None if record.error.is_some() && record.reason != Reason::Refused => Next::Retry,
            None => Next::Rest,
        }
    }
}
