//! Intents on disk, and the deadlines of the requests that they announce.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::Reconciler;
use super::record::RecordEvent;
use super::trigger::{Progress, Target};
use crate::operation::TriggerEvent;
use crate::status::Intent;

impl Reconciler {
    /// Writes an intent to disk. If that fails, nothing is sent and the previous record stays in
    /// force, including any doubt.
    pub(super) async fn write_intent(
        &self,
        target: &Target<'_>,
        intent: Intent,
        progress: &mut Progress,
    ) -> TriggerEvent {
        let offer = &target.change.offer;
        let before = self.store.get(offer);
        self.note(offer, target.desired, RecordEvent::Intended(&intent));
        let begun = Instant::now();
        let written = self.flush().await;
        progress.write_took = progress.write_took.max(begun.elapsed());
        if let (TriggerEvent::NotWritten, Some(before)) = (&written, &before) {
            self.restore(offer, before);
        }
        progress.before = before.and_then(|record| record.intent.as_deref().cloned());
        written
    }

    pub(super) async fn drop_intent(
        &self,
        target: &Target<'_>,
        before: Option<Intent>,
    ) -> TriggerEvent {
        let (offer, decision) = (&target.change.offer, &target.change.decision);
        self.note(offer, target.desired, RecordEvent::NotAccepted { before, decision });
        self.flush().await
    }

    pub(super) async fn flush(&self) -> TriggerEvent {
        // The store logs why the write failed, once for all offers.
        match self.store.flush().await {
            Ok(()) => TriggerEvent::Written,
            Err(_) => TriggerEvent::NotWritten,
        }
    }

    /// The deadline of a request that must be written to disk first and then sent. The write gets
    /// half the longest request time, or twice the longest write so far if that is more.
    pub(super) fn deadline(
        &self,
        target: &Target<'_>,
        at: Timestamp,
        write_took: Duration,
    ) -> Timestamp {
        let request = self.longest_request(target);
        let time = request.saturating_add((request / 2).max(write_took.saturating_mul(2)));
        at.checked_add(time).unwrap_or(Timestamp::MAX)
    }

    pub(super) fn longest_request(&self, target: &Target<'_>) -> Duration {
        self.observer.backend.longest_request(target.change.offer.publisher())
    }

    pub(super) fn can_not_be_over_by(&self, target: &Target<'_>, deadline: Timestamp) -> bool {
        let end = self.clock.now().checked_add(self.longest_request(target));
        end.is_ok_and(|end| end > deadline)
    }
}
