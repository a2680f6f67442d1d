//! Following operations: at most one poll at a time per operation, different operations in
//! parallel.

use std::sync::PoisonError;
use std::time::Duration;
use tokio::time::Instant;

use super::observe::describe;
use super::{Reconciler, heard, record};
use crate::changes::following;
use crate::clock::reached;
use crate::marketplace::{Inquiry, OfferId, Report};
use crate::operation::{Follow, FollowCommand, FollowEvent, Intervals};
use crate::report::Event;
use crate::status::{Phase, Reason};

/// A running operation that golive polls.
#[derive(Debug)]
pub(super) struct Following {
    /// The operation's id, if it has one.
    id: Option<String>,
    follow: Follow,
    /// When to poll next; `None` once golive has given up.
    due: Option<Instant>,
    /// The last answer.
    heard: Option<Report>,
    /// Whether the last answer left the rest to the offer, which golive has not asked since.
    asks_offer: bool,
}

impl Reconciler {
    /// Polls the running operation of an offer once and keeps the answer in memory. True if the
    /// offer must be decided about again; false if the user stops golive before an answer arrives.
    pub(super) async fn ask_once(&self, offer: &OfferId) -> bool {
        let Some(record) = self.store.get(offer) else { return false };
        let Some(operation) = record.running() else { return true };
        let followed = following(operation);
        let answer = tokio::select! {
            biased;
            () = self.stop.cancelled() => return false,
            answer = self.observer.backend.poll(offer, &followed) => answer,
        };
        self.reporter.report(&Event::Polled { offer, answered: answer.is_ok() });
        let (event, heard) = match answer {
            Ok(polled) => match polled.report {
                Some(report) => {
                    let (runs, retry_after) = (report.runs, polled.retry_after);
                    (FollowEvent::Polled { runs, retry_after }, Ok(report))
                }
                None => (FollowEvent::Expired, Err(None)),
            },
            Err(error) if error.is_final() => (FollowEvent::Hopeless, Err(Some(describe(&error)))),
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
                Ok(report) => heard::polled(record, report, now),
                Err(Some(why)) => record::poll_failed(record, why.clone(), now),
                Err(None) => {}
            },
        );
        self.tell(offer, &edited);
        let command = self.advance(offer, operation.id.clone(), &event, heard.ok());
        command == FollowCommand::AskOffer
    }

    /// Polls as [`Self::ask_once`] does, unless the deadline passes before there is an answer. The
    /// next write saves the answer; losing it costs only another poll.
    pub(super) async fn poll_in_time(&self, offer: &OfferId, deadline: Option<Instant>) -> bool {
        tokio::select! {
            biased;
            is_due = self.ask_once(offer) => is_due,
            () = reached(deadline) => false,
        }
    }

    /// Records the result of a poll, and when the next one is due.
    fn advance(
        &self,
        offer: &OfferId,
        id: Option<String>,
        event: &FollowEvent,
        heard: Option<Report>,
    ) -> FollowCommand {
        let mut following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        let known = following.get(offer).filter(|known| known.id == id);
        let follow = known.map(|known| known.follow).unwrap_or_default();
        let (follow, command) = follow.step(event, self.settings.intervals);
        let due = match command {
            FollowCommand::PollAfter(pause) => Some(Instant::now() + pause),
            FollowCommand::GiveUp => None,
            // The offer may report that the operation still runs. Wait an interval, so that the two
            // don't send golive back and forth without a pause.
            FollowCommand::AskOffer => {
                let pause = self.settings.intervals.after(follow.polls);
                let due = Some(Instant::now() + pause);
                let asks_offer = true;
                following.insert(offer.clone(), Following { id, follow, due, heard, asks_offer });
                return command;
            }
        };
        let asks_offer = false;
        following.insert(offer.clone(), Following { id, follow, due, heard, asks_offer });
        command
    }

    /// When to poll the running operation of an offer next; `None` if none runs.
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
            // A look, or an earlier process, may already have polled it.
            None => polled_at.map_or(Duration::ZERO, |at| {
                let age = Duration::try_from(self.clock.now().duration_since(at));
                first.saturating_sub(age.unwrap_or_default())
            }),
        };
        Some(Instant::now() + pause)
    }

    /// Forgets the polling state of an offer's operation.
    pub(super) fn stop_following(&self, offer: &OfferId) {
        self.following.lock().unwrap_or_else(PoisonError::into_inner).remove(offer);
    }

    /// Whether a poll left the rest to the offer; the caller asks the offer now.
    pub(super) fn takes_question(&self, offer: &OfferId) -> bool {
        let mut following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        following.get_mut(offer).is_some_and(|known| std::mem::take(&mut known.asks_offer))
    }

    /// Adds the last answer of a running operation to an inquiry if its next poll is not due yet.
    pub(super) fn add_heard(&self, offer: &OfferId, inquiry: &mut Inquiry) {
        let Some(asked) = &mut inquiry.following else { return };
        let id = asked.operation.as_ref().map(|operation| &operation.id);
        let following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        let known = following.get(offer).filter(|known| known.id.as_ref() == id);
        if let Some(known) = known.filter(|it| it.due.is_some_and(|due| due > Instant::now())) {
            asked.latest.clone_from(&known.heard);
        }
    }

    /// Schedules the first poll of an operation after this long.
    pub(super) fn follow_after(&self, offer: &OfferId, pause: Duration) {
        let Some(record) = self.store.get(offer) else { return };
        let Some(operation) = record.running() else { return };
        let id = operation.id.clone();
        let (follow, due) = (Follow::default(), Some(Instant::now() + pause));
        let mut following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        let known = Following { id, follow, due, heard: None, asks_offer: false };
        following.insert(offer.clone(), known);
    }

    /// Whether this process has given up polling the offer's running operation.
    pub(super) fn has_given_up(&self, offer: &OfferId) -> bool {
        let following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        following.get(offer).is_some_and(|known| known.due.is_none())
    }

    /// Whether an offer waits for a pause to end or a doubt to settle.
    pub(super) fn waits(&self, offer: &OfferId) -> bool {
        self.store.get(offer).is_some_and(|record| {
            record.reason == Reason::Throttled || record.phase == Phase::Triggering
        })
    }
}
