//! Offers whose manifest is gone.

use std::collections::BTreeSet;

use super::Reconciler;
use crate::marketplace::{OfferId, OfferStatus};
use crate::report::Event;

impl Reconciler {
    /// Removes the offers whose manifest is gone, once nothing of theirs runs.
    pub(super) async fn forget(&self, gone: &BTreeSet<OfferId>) {
        for offer in gone {
            self.forget_one(offer).await;
        }
    }

    /// Removes an offer whose manifest is gone, once nothing of its runs. Tells whether it did.
    pub(super) async fn forget_one(&self, offer: &OfferId) -> bool {
        let busy = self.may_be_busy(offer).await;
        if !busy {
            self.store.remove(offer);
            self.stop_following(offer);
            self.reporter.report(&Event::Forgotten(offer));
        }
        !busy
    }

    /// Whether an operation runs on an offer, or one may yet show.
    async fn may_be_busy(&self, offer: &OfferId) -> bool {
        let running = || self.store.get(offer)?.running().cloned();
        if running().is_some() && !self.poll_once(offer).await {
            return true;
        }
        let running = running();
        if running.as_ref().is_some_and(|operation| self.moment().may_not_show_yet(operation)) {
            return true;
        }
        let intent = self.store.get(offer).and_then(|record| record.intent.clone());
        if intent.as_ref().is_some_and(|intent| !self.moment().has_settled(intent)) {
            return true;
        }
        // An operation that can't be asked for any more, or a request that may have been sent: the
        // offer tells.
        (running.is_some() || intent.is_some()) && self.says_running(offer).await
    }

    /// Whether the offer says that something runs. Where it can't be asked, it may.
    async fn says_running(&self, offer: &OfferId) -> bool {
        let answer = tokio::select! {
            biased;
            () = self.stop.cancelled() => return true,
            answer = self.observer.marketplace.status(offer) => answer,
        };
        match answer.map(|report| report.status) {
            Ok(OfferStatus::Running | OfferStatus::NotStarted | OfferStatus::Unknown(_)) => true,
            Ok(
                OfferStatus::NeverPublished
                | OfferStatus::WaitingForPublisherReview
                | OfferStatus::Succeeded
                | OfferStatus::Published
                | OfferStatus::Canceled
                | OfferStatus::Failed,
            ) => false,
            Err(error) => error.status() != Some(404),
        }
    }
}
