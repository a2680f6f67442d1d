//! Following operations: polls, one after the other for each operation, all operations side by
//! side.

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;
use tokio::time::Instant;

use super::observe::{describe, is_expired};
use super::{BREATH, Job, Reconciler, heard, record};
use crate::changes::{OperationSeen, Policy, Seen};
use crate::clock::reached;
use crate::marketplace::{
    MarketplaceError, OfferId, OfferStatus, Operation, OperationKind, OperationRef,
    OperationStatus, Polled,
};
use crate::operation::{Follow, FollowCommand, FollowEvent, Intervals};
use crate::report::Event;
use crate::status::{OfferRecord, OperationRecord, Phase, Reason};

/// How long the ends of several operations are gathered before a pass looks at them together.
const GATHERING: Duration = Duration::from_secs(5);

/// An operation under way.
#[derive(Debug)]
pub(super) struct Following {
    /// The operation's id, where it has one.
    id: Option<String>,
    follow: Follow,
    /// When it is to be polled next; `None` once it was given up.
    due: Option<Instant>,
    /// The last answer.
    heard: Option<Operation>,
}

impl Reconciler {
    /// Polls the running operation of an offer once and puts what it says on disk. Tells whether
    /// the offer must be decided about anew; not so where the user stops before an answer comes.
    pub(super) async fn poll_once(&self, offer: &OfferId) -> bool {
        let is_due = self.ask_once(offer).await;
        // Where that fails, it is told there; the next write has it.
        drop(self.store.commit().await);
        is_due
    }

    /// The same, with what it says left in memory.
    pub(super) async fn ask_once(&self, offer: &OfferId) -> bool {
        let Some(record) = self.store.get(offer) else { return false };
        let Some(operation) = record.running() else { return true };
        let answer = tokio::select! {
            biased;
            () = self.stop.cancelled() => return false,
            answer = self.ask_for(offer, operation) => answer,
        };
        self.reporter.report(&Event::Polled { offer, answered: answer.is_ok() });
        let (event, heard) = match answer {
            Ok(None) => (FollowEvent::Expired, Err(None)),
            Ok(Some(polled)) => {
                let status = polled.operation.standing(&operation.kind);
                let event = FollowEvent::Polled { status, retry_after: polled.retry_after };
                (event, Ok(polled.operation))
            }
            Err(error) if is_expired(&error) => (FollowEvent::Expired, Err(None)),
            Err(error) => {
                let retry_after = error.retry_after();
                (FollowEvent::Failed { retry_after }, Err(Some(describe(&error))))
            }
        };
        let now = self.clock.now();
        let edited = self.store.edit(
            offer,
            || (*record).clone(),
            |record| match &heard {
                Ok(operation) => heard::polled(record, operation, now),
                Err(Some(why)) => record::poll_failed(record, why.clone(), now),
                Err(None) => {}
            },
        );
        self.tell(offer, &edited);
        let command = self.advance(offer, operation.id.clone(), &event, heard.ok());
        command == FollowCommand::AskOffer
    }

    /// The same, unless the time to wait is up before there is an answer. The next write has it: it
    /// says nothing that could not be asked for again.
    pub(super) async fn poll_in_time(&self, offer: &OfferId, deadline: Option<Instant>) -> bool {
        tokio::select! {
            biased;
            is_due = self.ask_once(offer) => is_due,
            () = reached(deadline) => false,
        }
    }

    /// Asks for an operation; `None` where the offer shows no more than that it does not run.
    async fn ask_for(
        &self,
        offer: &OfferId,
        operation: &OperationRecord,
    ) -> Result<Option<Polled>, MarketplaceError> {
        let (marketplace, moment) = (&self.observer.marketplace, self.moment());
        if let Some(id) = &operation.id {
            let location = operation.location.clone();
            let reference = OperationRef { id: id.clone(), location };
            return marketplace.operation(offer, &reference).await.map(Some);
        }
        // Without an id, the offer's status is what tells that something runs.
        let report = marketplace.status(offer).await?;
        let status = match report.status {
            OfferStatus::Running | OfferStatus::NotStarted | OfferStatus::Unknown(_) => {
                OperationStatus::Running
            }
            // That alone does not say what succeeded: the `live` step does, or the slots, which are
            // asked for elsewhere.
            OfferStatus::Succeeded | OfferStatus::Published
                if operation.kind != OperationKind::Publish
                    && report.live_is_complete() != Some(true) =>
            {
                return Ok(None);
            }
            OfferStatus::Succeeded | OfferStatus::Published => OperationStatus::Succeeded,
            OfferStatus::Failed if !moment.may_not_show_yet(operation) => OperationStatus::Failed,
            // What a publish can do is done, unless it was sent just now.
            OfferStatus::WaitingForPublisherReview
                if operation.kind == OperationKind::Publish
                    && !moment.may_not_show_yet(operation) =>
            {
                OperationStatus::Succeeded
            }
            OfferStatus::Failed
            | OfferStatus::Canceled
            | OfferStatus::NeverPublished
            | OfferStatus::WaitingForPublisherReview => return Ok(None),
        };
        let (steps, messages) = (report.steps, report.messages);
        let operation = Operation {
            status,
            steps,
            messages,
            offer_version: None,
            publishing_version: None,
            cancellation: None,
        };
        Ok(Some(Polled { operation, retry_after: None }))
    }

    /// Notes what came of a poll, and when the next one is due.
    fn advance(
        &self,
        offer: &OfferId,
        id: Option<String>,
        event: &FollowEvent,
        heard: Option<Operation>,
    ) -> FollowCommand {
        let mut following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        let known = following.get(offer).filter(|known| known.id == id);
        let follow = known.map(|known| known.follow).unwrap_or_default();
        let (follow, command) = follow.step(event, self.settings.intervals);
        let due = match command {
            FollowCommand::PollAfter(pause) => Some(Instant::now() + pause),
            FollowCommand::GiveUp => None,
            // The offer may say that it still runs: then it is not asked for again at once, and
            // again, for as long as it does.
            FollowCommand::AskOffer if *event == FollowEvent::Expired => {
                let pause = self.settings.intervals.after(follow.polls);
                let due = Some(Instant::now() + pause);
                following.insert(offer.clone(), Following { id, follow, due, heard: None });
                return command;
            }
            FollowCommand::AskOffer => {
                following.remove(offer);
                return command;
            }
        };
        following.insert(offer.clone(), Following { id, follow, due, heard });
        command
    }

    /// When the running operation of an offer is to be polled next; `None` where nothing runs.
    pub(super) fn next_poll(&self, offer: &OfferId) -> Option<Instant> {
        let (id, polled_at) = self.store.with(|file| {
            let operation = file.offers.get(offer)?.running()?;
            Some((operation.id.clone(), operation.polled_at))
        })?;
        let following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        let known = following.get(offer).filter(|known| known.id == id);
        let Intervals { first, longest } = self.settings.intervals;
        let pause = match known {
            Some(Following { due: Some(due), .. }) => return Some(*due),
            Some(Following { due: None, .. }) => longest,
            // A look may have asked for it, and so may a process before this one.
            None => polled_at.map_or(Duration::ZERO, |at| {
                let age = Duration::try_from(self.clock.now().duration_since(at));
                first.saturating_sub(age.unwrap_or_default())
            }),
        };
        Some(Instant::now() + pause)
    }

    /// Forgets how far the following of an offer's operation is.
    pub(super) fn stop_following(&self, offer: &OfferId) {
        self.following.lock().unwrap_or_else(PoisonError::into_inner).remove(offer);
    }

    /// Whether an operation was asked for a while ago, and is not to be asked for again yet.
    pub(super) fn is_waiting(&self, offer: &OfferId, id: Option<&str>) -> bool {
        let following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        let known = following.get(offer).filter(|known| known.id.as_deref() == id);
        known.is_some_and(|known| known.due.is_none_or(|due| due > Instant::now()))
    }

    /// Gives the answers of polls that are not due again to an observation, so that a pass does
    /// not poll out of turn.
    pub(super) fn add_fresh_answers(&self, observed: &mut BTreeMap<OfferId, Seen>) {
        let now = Instant::now();
        let following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        for (offer, seen) in observed.iter_mut() {
            let Some(known) = following.get(offer) else { continue };
            let (Seen::Offer(observation), Some(id), Some(heard), Some(due)) =
                (seen, &known.id, &known.heard, known.due)
            else {
                continue;
            };
            if due > now {
                let seen = OperationSeen::Known(Box::new(heard.clone()));
                observation.operations.insert(id.clone(), seen);
            }
        }
    }

    /// Polls all running operations, each in its own time, until one has ended, and then for a little
    /// longer, as others may end too; or until an offer is to be looked at again that the
    /// marketplace has put off, or whose request is in doubt. False when there is nothing to wait
    /// for, time is up, or the user stops.
    pub(super) async fn follow_until_something_is_due(
        &self,
        job: &Job,
        policy: &Policy,
        deadline: Option<Instant>,
    ) -> bool {
        let mut followers: FuturesUnordered<_> =
            self.running(job, policy).into_iter().map(|offer| self.follow(offer)).collect();
        let next_check = self.next_check(job, policy);
        let mut gathering: Option<Instant> = None;
        let window = self.settings.intervals.first.min(GATHERING);
        loop {
            let due = [next_check, gathering].into_iter().flatten().min();
            if followers.is_empty() && due.is_none() {
                return false;
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => {
                    self.reporter.report(&Event::Stopping);
                    return false;
                }
                Some(ended) = followers.next() => {
                    if ended {
                        gathering.get_or_insert_with(|| Instant::now() + window);
                    }
                }
                () = reached(deadline) => return gathering.is_some(),
                () = reached(due) => return true,
            }
        }
    }

    /// When the first of the offers is to be looked at again that are put off or in doubt.
    fn next_check(&self, job: &Job, policy: &Policy) -> Option<Instant> {
        let now = self.clock.now();
        let waits = |record: &OfferRecord| {
            record.reason == Reason::Throttled || record.phase == Phase::Triggering
        };
        let next = self.store.with(|file| {
            let records = file.offers.iter().filter(|(offer, record)| {
                job.desired.contains_key(*offer) && policy.covers(offer) && waits(record)
            });
            // What is past already was waited for once.
            records.filter_map(|(_, record)| record.next_check_at).filter(|next| *next > now).min()
        })?;
        let pause = Duration::try_from(next.duration_since(now)).unwrap_or_default();
        Instant::now().checked_add(pause.max(BREATH))
    }

    /// Polls one operation until it ends (true) or is given up (false).
    async fn follow(&self, offer: OfferId) -> bool {
        loop {
            let due = {
                let following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
                following.get(&offer).map_or_else(|| Some(Instant::now()), |known| known.due)
            };
            let Some(due) = due else { return false };
            tokio::time::sleep_until(due).await;
            if self.poll_once(&offer).await {
                return true;
            }
        }
    }

    fn running(&self, job: &Job, policy: &Policy) -> Vec<OfferId> {
        let in_scope = |offer: &OfferId| job.desired.contains_key(offer) && policy.covers(offer);
        self.store.with(|file| {
            let running = file.offers.iter().filter(|(_, record)| record.running().is_some());
            running.map(|(offer, _)| offer.clone()).filter(in_scope).collect()
        })
    }
}
