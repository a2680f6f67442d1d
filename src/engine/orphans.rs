//! Offers that no manifest in force declares (orphans). Their operations are followed to the end
//! and reported like any other launch; then the offer leaves the status file.

use std::collections::BTreeSet;

use super::Reconciler;
use super::observe::describe;
use super::polls::Polling;
use super::record::RecordEvent;
use crate::manifest::DesiredState;
use crate::marketplace::{Inquiry, OfferId, OfferState, RefusalKind};
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
        self.reporter.report(&Event::Forgotten(offer));
        true
    }

    /// Asks about an orphan's running operation or request in doubt. Sends no request.
    pub(super) async fn handle_orphan(&self, offer: &OfferId, polling: &mut Polling) {
        let Some(record) = self.store.get(offer) else { return };
        let runs = record.running().is_some();
        let asks = if runs {
            polling.take_question() || self.poll(offer, polling).await
        } else {
            record.intent.is_some()
        };
        if asks {
            polling.take_question();
            self.inspect_orphan(offer).await;
        }
    }

    async fn inspect_orphan(&self, offer: &OfferId) {
        let Some(record) = self.store.get(offer) else { return };
        let at = self.decision_time(offer);
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
            Err(error) => {
                return self.note_known(offer, RecordEvent::NotAsked(describe(&error)), at);
            }
        };
        self.note_known(offer, RecordEvent::OrphanObserved(&state), at);
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
