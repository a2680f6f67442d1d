//! Offers that no manifest in force declares (orphans). Their operations are followed to the end
//! and reported like any other launch; then the offer leaves the status file.

use std::collections::BTreeSet;

use super::check::shown;
use super::{Reconciler, heard, record};
use crate::changes::ended;
use crate::manifest::DesiredState;
use crate::marketplace::{
    Inquiry, MarketplaceError, OfferId, OfferState, OperationStatus, RefusalKind,
};
use crate::operation::{DoubtCheck, Sent};
use crate::report::Event;
use crate::status::{Intent, OfferRecord};

impl Reconciler {
    /// Removes the orphans that have no running operation and no request in doubt.
    pub(super) fn forget_idle(&self, orphans: &BTreeSet<OfferId>) {
        for offer in orphans {
            self.forget_if_idle(offer);
        }
    }

    /// Removes an offer unless an operation runs there or a request is in doubt. True if it was
    /// removed or has no record.
    pub(super) fn forget_if_idle(&self, offer: &OfferId) -> bool {
        let Some(record) = self.store.get(offer) else { return true };
        if record.running().is_some() || record.intent.is_some() {
            return false;
        }
        self.store.remove(offer);
        self.stop_following(offer);
        self.reporter.report(&Event::Forgotten(offer));
        true
    }

    /// Asks about an orphan's running operation or request in doubt. Sends no request.
    pub(super) async fn handle_orphan(&self, offer: &OfferId) {
        let Some(record) = self.store.get(offer) else { return };
        if record.running().is_some() {
            if self.takes_question(offer) || self.ask_once(offer).await {
                self.inspect_orphan(offer).await;
            }
        } else if record.intent.is_some() {
            self.inspect_orphan(offer).await;
        }
    }

    async fn inspect_orphan(&self, offer: &OfferId) {
        let Some(record) = self.store.get(offer) else { return };
        let moment = self.moment();
        let inquiry = inquiry(&record);
        let state = tokio::select! {
            biased;
            () = self.stop.cancelled() => return,
            state = self.observer.backend.inspect(offer, &inquiry) => state,
        };
        let state = match state {
            Ok(state) => state,
            // The offer no longer exists, so nothing runs on it.
            Err(error) if error.kind() == Some(RefusalKind::NotFound) => {
                OfferState { is_inspected: true, ..OfferState::default() }
            }
            Err(error) => return self.orphan_not_asked(offer, &error),
        };
        let intent = record.intent.as_deref().filter(|_| record.running().is_none());
        let look = intent.map(|intent| (intent, shown(intent, &state)));
        self.edit_known(offer, |record| match look {
            Some((intent, DoubtCheck::Operation { operation, status })) => {
                let sent = Sent { intent: intent.clone(), operation, status: Some(status) };
                let digest = record.manifest.digest.clone();
                heard::accepted(record, &sent, &digest, moment.now);
                record::concluded(record, moment.now);
            }
            Some((intent, DoubtCheck::Live)) => {
                let status = Some(OperationStatus::Succeeded);
                let sent = Sent { intent: intent.clone(), operation: None, status };
                let digest = record.manifest.digest.clone();
                heard::accepted(record, &sent, &digest, moment.now);
                record::concluded(record, moment.now);
            }
            // The request is not sent again.
            Some((
                intent,
                DoubtCheck::Gone | DoubtCheck::StillWaiting { .. } | DoubtCheck::Elsewhere,
            )) => {
                if moment.has_settled(intent) {
                    record.intent = None;
                }
            }
            Some((_, DoubtCheck::Failed(_))) => {}
            None => {
                let running = record.running();
                let is_over = running.is_some_and(|it| ended(it, &state, moment).is_some());
                heard::end_operations(record, &state, moment);
                if is_over {
                    record::concluded(record, moment.now);
                }
            }
        });
    }

    fn orphan_not_asked(&self, offer: &OfferId, error: &MarketplaceError) {
        let (why, now) = (super::observe::describe(error), self.clock.now());
        self.edit_known(offer, |record| record::poll_failed(record, why, now));
    }

    /// Changes an offer's record, if there is one, and reports the change.
    pub(super) fn edit_known(&self, offer: &OfferId, change: impl FnOnce(&mut OfferRecord)) {
        if let Some(record) = self.store.get(offer) {
            self.tell(offer, &self.store.edit(offer, || (*record).clone(), change));
        }
    }
}

/// What to ask about an orphan, without a publisher's list.
fn inquiry(record: &OfferRecord) -> Inquiry {
    let operation = record.running();
    let intent = record.intent.as_deref();
    let release = operation.and_then(|it| it.release.clone());
    Inquiry {
        wants_live: record.manifest.state == DesiredState::Live,
        following: operation.map(crate::changes::following),
        in_doubt: intent.map(Intent::in_doubt),
        listed: release.or_else(|| intent.map(|intent| intent.release.clone())),
        product: record.observed.as_ref().and_then(|known| known.product.clone()),
        seems_busy: true,
        ..Inquiry::default()
    }
}
