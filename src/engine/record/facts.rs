//! What was observed of an offer, and which intent or refusal an observation settles.

use jiff::Timestamp;

use crate::changes::{Change, Decision, DecisionTime, ObservedOffer, Origin};
use crate::manifest::Loaded;
use crate::marketplace::OfferState;
use crate::status::{ObservationRecord, OfferRecord};

/// Records the observation, with a new date only if it differs: an evaluation that finds nothing new
/// leaves the file unchanged.
pub(super) fn observe(
    record: &mut OfferRecord,
    change: &Change,
    seen: &ObservedOffer,
    now: Timestamp,
) {
    let known = record.observed.take();
    let listing = &seen.listing;
    let is_same = known.as_ref().is_some_and(|known| {
        known.fingerprint.is_some() && known.fingerprint == listing.fingerprint
    });
    let fingerprint = if seen.state.is_some() {
        let is_in_sync = matches!(change.decision, Decision::InSync(_));
        let is_certain = seen.is_certain(record, is_in_sync, now);
        listing.fingerprint.clone().filter(|_| is_certain)
    } else {
        listing.fingerprint.clone().filter(|_| is_same)
    };
    let before = known.as_ref();
    // A recorded failure is decided without reading the preview.
    let preview_before = before
        .filter(|_| is_same || matches!(change.decision, Decision::Failed(_)))
        .and_then(|known| known.preview.clone());
    let preview = change.from.preview_version.clone().or(preview_before);
    let product = seen.state.as_ref().and_then(|state| state.product.clone());
    let new = ObservationRecord {
        at: before.map_or(now, |known| known.at),
        changed_time: listing.changed_time.clone(),
        fingerprint,
        live: change.from.live_version.clone().or_else(|| before?.live.clone()),
        preview,
        product: product.or_else(|| before?.product.clone()),
        status: listing.words.clone(),
    };
    // Keep the fingerprint only if the remembered state would lead to the same decision.
    let is_told = seen.state.as_ref().is_none_or(|state| {
        state.preview.is_some() || state.stale_preview.is_some() || state.live == new.live
    });
    let new = ObservationRecord { fingerprint: new.fingerprint.filter(|_| is_told), ..new };
    if before.is_some_and(|known| known.preview != new.preview) {
        record.attempts = 0;
    }
    let at = if before == Some(&new) { new.at } else { now };
    record.observed = Some(ObservationRecord { at, ..new });
}

/// Drops an intent once the observation settles it.
pub(super) fn settle_intent(
    record: &mut OfferRecord,
    decision: &Decision,
    state: &OfferState,
    time: DecisionTime,
) {
    let Some(intent) = &record.intent else { return };
    let found = match decision {
        Decision::Track(tracked) => {
            tracked.kind == intent.kind && tracked.origin != Origin::Recorded
        }
        Decision::Failed(failure) => failure.is_of(intent),
        // The trigger protocol settles it.
        Decision::GoLive { .. } | Decision::Publish { .. } => return,
        // Its operation may still show in the list of operations, and then it belongs in the
        // record.
        Decision::InSync(_) | Decision::Held(_) | Decision::Blocked(_) => false,
    };
    let is_clear = state.is_inspected && state.unclear.is_none();
    if found || (is_clear && time.has_settled(intent)) {
        record.intent = None;
    }
}

/// Removes a refusal once the offer is in sync or an operation runs, or once the manifest or the
/// offer has changed.
pub(super) fn settle_refusal(
    record: &mut OfferRecord,
    decision: &Decision,
    seen: &ObservedOffer,
    manifest: &Loaded,
) {
    let Some(refused) = &record.refused else { return };
    let changed = refused.manifest_digest != manifest.digest
        || refused.fingerprint != seen.listing.fingerprint;
    let overcome = match decision {
        Decision::InSync(_) | Decision::Track(_) => true,
        Decision::GoLive { .. }
        | Decision::Publish { .. }
        | Decision::Held(_)
        | Decision::Blocked(_)
        | Decision::Failed(_) => false,
    };
    if changed || overcome {
        record.refused = None;
    }
}
