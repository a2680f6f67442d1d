//! Polling running operations. An operation's polling state belongs to the engine, and travels with
//! the one task that polls the operation.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::observe::describe;
use super::queue::Now;
use super::record::RecordEvent;
use super::{Desired, Reconciler};
use crate::changes::{Policy, following, with_dependencies};
use crate::marketplace::{Inquiry, MarketplaceError, OfferId, Polled, Report};
use crate::operation::{Follow, FollowCommand, FollowEvent, Intervals};
use crate::report::Event;
use crate::status::OperationRecord;

/// The polling state of a running operation.
#[derive(Debug, Default)]
pub(super) struct Polling {
    /// The operation's id, if it has one.
    id: Option<String>,
    follow: Follow,
    /// When to poll next; `None` once golive has given up.
    due: Option<Instant>,
    report: Option<Report>,
    /// Whether the last answer left the rest to the offer, which golive has not asked since.
    asks_offer: bool,
    /// Whether a poll was made or scheduled. Until then the state says nothing.
    is_begun: bool,
}

/// The last reports on running operations whose next poll is not due yet, with the operation's id.
pub(super) type Reports = Arc<BTreeMap<OfferId, (Option<String>, Report)>>;

/// The polling states, by offer.
#[derive(Debug, Default)]
pub(super) struct Polls(BTreeMap<OfferId, Polling>);

impl Polls {
    /// Hands the state out to the task that polls the operation.
    pub(super) fn take(&mut self, offer: &OfferId) -> Polling {
        self.0.remove(offer).unwrap_or_default()
    }

    /// Takes the state back. One without a poll must not pass for a poll that was given up.
    pub(super) fn put(&mut self, offer: &OfferId, polling: Polling) {
        if polling.is_begun {
            self.0.insert(offer.clone(), polling);
        }
    }

    pub(super) fn forget(&mut self, offer: &OfferId) {
        self.0.remove(offer);
    }

    /// Schedules the first poll of an operation after this long.
    pub(super) fn begin(&mut self, offer: &OfferId, operation: &OperationRecord, pause: Duration) {
        let due = Some(Instant::now() + pause);
        self.put(
            offer,
            Polling { id: operation.id.clone(), due, is_begun: true, ..Polling::default() },
        );
    }

    /// Whether golive has given up polling the offer's running operation.
    pub(super) fn has_given_up(&self, offer: &OfferId) -> bool {
        self.0.get(offer).is_some_and(|known| known.due.is_none())
    }

    /// When to poll a running operation next.
    pub(super) fn due(
        &self,
        offer: &OfferId,
        operation: &OperationRecord,
        now: Now,
        intervals: Intervals,
    ) -> Instant {
        let known = self.0.get(offer).filter(|known| known.id == operation.id);
        match known {
            Some(Polling { due: Some(due), .. }) => *due,
            Some(Polling { due: None, .. }) => now.instant + intervals.longest,
            // An earlier process may have polled it.
            None => {
                let age = operation.polled_at.map(|at| now.date.duration_since(at));
                let age = age.map_or(intervals.first, |age| age.try_into().unwrap_or_default());
                now.instant + intervals.first.saturating_sub(age)
            }
        }
    }

    /// The current reports on the offers in scope and on those that they wait for.
    pub(super) fn reports(&self, desired: &Desired, policy: &Policy) -> Reports {
        if self.0.is_empty() {
            return Reports::default();
        }
        let now = Instant::now();
        let current = |offer: &OfferId| {
            let known = self.0.get(offer).filter(|it| it.due.is_some_and(|due| due > now))?;
            Some((offer.clone(), (known.id.clone(), known.report.clone()?)))
        };
        let wanted = with_dependencies(desired, policy);
        Arc::new(wanted.into_iter().filter_map(current).collect())
    }
}

/// Adds a running operation to an inquiry about its offer.
pub(super) fn add_report(reports: &Reports, offer: &OfferId, inquiry: &mut Inquiry) {
    let Some(following) = &mut inquiry.following else { return };
    let id = following.operation.as_ref().map(|operation| &operation.id);
    if let Some((known, report)) = reports.get(offer)
        && known.as_ref() == id
    {
        following.latest = Some(report.clone());
    }
}

impl Polling {
    /// Whether the last answer left the rest to the offer; the caller asks the offer now.
    pub(super) fn take_question(&mut self) -> bool {
        std::mem::take(&mut self.asks_offer)
    }

    /// Takes in the answer to a poll of this operation. True if the offer must be asked now.
    fn advance(
        &mut self,
        id: Option<String>,
        event: &FollowEvent,
        report: Option<Report>,
        intervals: Intervals,
    ) -> bool {
        let follow = if self.id == id { self.follow } else { Follow::default() };
        let (follow, command) = follow.step(event, intervals);
        let pause = match command {
            FollowCommand::PollAfter(pause) => Some(pause),
            FollowCommand::GiveUp => None,
            // The offer may report that the operation still runs. Wait an interval, so that the two
            // don't send golive back and forth without a pause.
            FollowCommand::AskOffer => Some(intervals.after(follow.polls)),
        };
        let due = pause.map(|pause| Instant::now() + pause);
        let asks_offer = command == FollowCommand::AskOffer;
        *self = Self { id, follow, due, report, asks_offer, is_begun: true };
        asks_offer
    }
}

impl Reconciler {
    /// Polls the running operation of an offer once and records the answer in memory. True if the
    /// offer must be decided about again; false if the user stops golive before an answer arrives.
    pub(super) async fn poll(&self, offer: &OfferId, polling: &mut Polling) -> bool {
        let Some(record) = self.store.get(offer) else { return false };
        let Some(operation) = record.running() else { return true };
        let followed = following(operation);
        let answer = tokio::select! {
            biased;
            () = self.stop.cancelled() => return false,
            answer = self.observer.backend.poll(offer, &followed) => answer,
        };
        self.reporter.report(&Event::Polled { offer, answered: answer.is_ok() });
        let event = follow_event(&answer);
        let report = match answer {
            Ok(polled) => polled.report,
            Err(error) => {
                let at = self.decision_time(offer);
                self.note_known(offer, RecordEvent::NotAsked(describe(&error)), at);
                None
            }
        };
        if let Some(report) = &report {
            self.note_known(offer, RecordEvent::Polled(report), self.decision_time(offer));
        }
        polling.advance(operation.id.clone(), &event, report, self.settings.intervals)
    }
}

fn follow_event(answer: &Result<Polled, MarketplaceError>) -> FollowEvent {
    match answer {
        Ok(polled) => match &polled.report {
            Some(report) => {
                FollowEvent::Polled { runs: report.runs, retry_after: polled.retry_after }
            }
            None => FollowEvent::Expired,
        },
        Err(error) if error.is_final() => FollowEvent::Hopeless,
        Err(error) => FollowEvent::Failed { retry_after: error.retry_after() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_that_was_not_polled_is_not_given_up() {
        let offer: OfferId = "contoso/vm".parse().unwrap();
        let mut polls = Polls::default();
        let polling = polls.take(&offer);
        polls.put(&offer, polling);
        assert!(!polls.has_given_up(&offer));
    }
}
