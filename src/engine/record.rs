//! What golive records about an offer: computed in one place, from data.

use std::time::Duration;

use jiff::Timestamp;

use super::heard::{adopt, adopt_failure, adopt_outcome, end_operations};
use crate::changes::{
    Block, Change, Decision, DecisionTime, Failure, Hold, Observation, ObservedOffer, Origin,
    Outcome, SyncState,
};
use crate::manifest::{DesiredState, Loaded};
use crate::marketplace::{MAX_RETRY_AFTER, OfferState, OperationKind, OperationStatus};
use crate::operation::StopReason;
use crate::status::{
    ErrorRecord, Intent, ManifestRecord, ObservationRecord, OfferRecord, Phase, Reason,
    RefusedRecord,
};

/// A record without any facts.
pub(super) fn fresh(desired: &Loaded, file: String, now: Timestamp) -> OfferRecord {
    OfferRecord {
        attempts: 0,
        error: None,
        history: Vec::new(),
        intent: None,
        manifest: ManifestRecord {
            digest: desired.digest.clone(),
            file,
            state: desired.manifest.state,
        },
        message: "nothing was decided yet".to_owned(),
        next_check_at: None,
        observed: None,
        operation: None,
        phase: Phase::Blocked,
        reason: Reason::Unreachable,
        refused: None,
        since: now,
    }
}

/// Records what was seen and decided.
pub(super) fn decided(
    record: &mut OfferRecord,
    change: &Change,
    seen: Option<&Observation>,
    desired: &Loaded,
    moment: DecisionTime,
) {
    record.manifest.digest.clone_from(&desired.digest);
    record.manifest.state = desired.manifest.state;
    if let Some(Observation::Offer(seen_offer)) = seen {
        let state = seen_offer.state.clone().or_else(|| seen_offer.remembered(record));
        let state = state.unwrap_or_default();
        end_operations(record, &state, moment);
        adopt_outcome(record, &change.decision, &state, desired, moment);
        match &change.decision {
            Decision::Track(tracked) if tracked.origin != Origin::Recorded => {
                adopt(record, tracked, &state, desired, moment.now);
            }
            Decision::Failed(failure) => adopt_failure(record, failure, desired, moment.now),
            Decision::Track(_)
            | Decision::GoLive { .. }
            | Decision::Publish { .. }
            | Decision::InSync(_)
            | Decision::Held(_)
            | Decision::Blocked(_) => {}
        }
        settle_intent(record, &change.decision, &state, moment);
        settle_refusal(record, &change.decision, seen_offer, desired);
        observe(record, change, seen_offer, moment.now);
    }
    let (could_not_ask, refusal) = match &change.decision {
        Decision::Blocked(
            Block::Unreachable(why) | Block::Unauthorized(why) | Block::Throttled(why),
        ) => (Some(why.clone()), None),
        Decision::Blocked(Block::Refused(why)) => (None, Some(why.clone())),
        // The retry of the failed operation was refused.
        Decision::Failed(_) => (None, record.refused.as_ref().map(|it| it.message.clone())),
        Decision::Blocked(_)
        | Decision::GoLive { .. }
        | Decision::Publish { .. }
        | Decision::Track(_)
        | Decision::InSync(_)
        | Decision::Held(_) => (None, None),
    };
    let known_before = record.observed.is_some();
    let could_ask = could_not_ask.is_none();
    match could_not_ask.or(refusal) {
        Some(why) => set_error(record, why, moment.now),
        None => record.error = None,
    }
    record.next_check_at = match &change.decision {
        Decision::Held(Hold::Scheduled(until)) => Some(*until),
        Decision::Held(_)
        | Decision::GoLive { .. }
        | Decision::Publish { .. }
        | Decision::Track(_)
        | Decision::InSync(_)
        | Decision::Blocked(_)
        | Decision::Failed(_) => None,
    };
    // "Could not ask" says nothing about the offer's state: the known state stands.
    if could_ask || !known_before {
        let decision = &change.decision;
        set_phase(record, decision.phase(), decision.reason(), decision.message(), moment.now);
    }
    if let Some(intent) = &record.intent
        && record.phase != Phase::InProgress
        && !change.decision.achieves(intent)
    {
        record.next_check_at = moment.settles_at(intent);
        set_pending(record, moment.now);
    }
}

fn set_phase(
    record: &mut OfferRecord,
    phase: Phase,
    reason: Reason,
    message: String,
    now: Timestamp,
) {
    if (record.phase, record.reason) != (phase, reason) {
        record.since = now;
    }
    record.phase = phase;
    record.reason = reason;
    record.message = message;
}

fn set_error(record: &mut OfferRecord, message: String, now: Timestamp) {
    if record.error.as_ref().is_none_or(|error| error.message != message) {
        record.error = Some(ErrorRecord::new(now, message));
    }
}

/// Sets the phase of an offer whose request will be sent or may have been sent.
fn set_pending(record: &mut OfferRecord, now: Timestamp) {
    let Some(intent) = &record.intent else { return };
    let reason = match intent.kind {
        OperationKind::Publish => Reason::PublishPending,
        OperationKind::GoLive | OperationKind::Cancel | OperationKind::Unknown(_) => {
            Reason::GoLivePending
        }
    };
    let message = format!(
        "{} of version {} is being sent, or may have been (request {})",
        intent.kind, intent.release, intent.request_id
    );
    set_phase(record, Phase::Triggering, reason, message, now);
}

/// Sets the phase of an offer with a running operation.
pub(super) fn set_running(record: &mut OfferRecord, now: Timestamp) {
    let Some(operation) = &record.operation else { return };
    let tracked = crate::changes::Tracked {
        kind: operation.kind.clone(),
        id: operation.id.clone(),
        release: operation.release.clone(),
        origin: Origin::Recorded,
        at: operation.place(),
    };
    let decision = Decision::Track(tracked);
    set_phase(record, decision.phase(), decision.reason(), decision.message(), now);
}

/// Sets the phase of an offer whose operation has ended and about which nobody decides.
pub(super) fn concluded(record: &mut OfferRecord, now: Timestamp) {
    let Some(operation) = record.operation.as_ref().filter(|_| record.phase == Phase::InProgress)
    else {
        return;
    };
    let wants_live = record.manifest.state == DesiredState::Live;
    let decision = match (&operation.status, &operation.kind, operation.release.clone()) {
        (OperationStatus::Succeeded, OperationKind::Publish, release) if !wants_live => {
            Decision::InSync(SyncState::Preview(release))
        }
        (OperationStatus::Succeeded, OperationKind::GoLive, Some(release)) if wants_live => {
            Decision::InSync(SyncState::Live(release))
        }
        (status, _, release) => match Outcome::of(status) {
            Some(outcome) => Decision::Failed(Failure {
                outcome,
                kind: operation.kind.clone(),
                id: operation.id.clone(),
                release,
                steps: operation.steps.clone(),
                messages: operation.messages.clone(),
            }),
            None => return,
        },
    };
    set_phase(record, decision.phase(), decision.reason(), decision.message(), now);
}

/// Records the observation, with a new date only if it differs: a pass that finds nothing new
/// leaves the file unchanged.
fn observe(record: &mut OfferRecord, change: &Change, seen: &ObservedOffer, now: Timestamp) {
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
    // A recorded failure is decided without a look at the preview.
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

/// Records that a poll failed. This says nothing about the operation's state.
pub(super) fn poll_failed(record: &mut OfferRecord, why: String, now: Timestamp) {
    set_error(record, why, now);
}

/// Removes a refusal once the offer is in sync or an operation runs, or once the manifest or the
/// offer has changed.
fn settle_refusal(
    record: &mut OfferRecord,
    decision: &Decision,
    seen: &ObservedOffer,
    desired: &Loaded,
) {
    let Some(refused) = &record.refused else { return };
    let changed = refused.manifest_digest != desired.digest
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

/// Drops an intent once the observation settles it.
fn settle_intent(
    record: &mut OfferRecord,
    decision: &Decision,
    state: &OfferState,
    moment: DecisionTime,
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
    if found || (is_clear && moment.has_settled(intent)) {
        record.intent = None;
    }
}

/// Records an intent that is about to be written.
pub(super) fn intended(record: &mut OfferRecord, intent: &Intent) {
    record.intent = Some(Box::new(intent.clone()));
    record.attempts = record.attempts.saturating_add(1);
    record.error = None;
    record.refused = None;
    record.next_check_at = None;
    set_pending(record, intent.at);
}

/// Records that the request was not accepted: the decision stands and was not carried out. A
/// previous attempt is in doubt again.
pub(super) fn dropped(
    record: &mut OfferRecord,
    before: Option<Intent>,
    decision: &Decision,
    now: Timestamp,
) {
    (record.intent, record.next_check_at) = (before.map(Box::new), None);
    if record.intent.is_some() {
        return set_pending(record, now);
    }
    set_phase(record, decision.phase(), decision.reason(), decision.message(), now);
}

/// Records that the protocol ended without an operation.
pub(super) fn stopped(
    record: &mut OfferRecord,
    end: &StopReason,
    attempt: Option<(&Intent, Option<String>)>,
    desired: &Loaded,
    moment: DecisionTime,
) {
    let now = moment.now;
    record.next_check_at = None;
    let (phase, reason, why) = match end {
        StopReason::ObserveAgain(_) => return,
        StopReason::Unwritten => {
            let why = "the status file could not be written, so that nothing was sent";
            set_error(record, why.to_owned(), now);
            return;
        }
        StopReason::Refused(why) => (Phase::Blocked, Reason::Refused, why.clone()),
        StopReason::Unsent(obstacle) => (Phase::Blocked, obstacle.reason, obstacle.why.clone()),
        StopReason::Throttled(pause) => {
            record.next_check_at = now.checked_add(*pause).ok();
            let why = format!(
                "the marketplace asks to wait for {} before anything is sent",
                spell(*pause)
            );
            (Phase::Blocked, Reason::Throttled, why)
        }
        StopReason::InDoubt(why) => return doubted(record, why.as_deref(), moment),
    };
    if record.intent.is_some() {
        // The result of the previous attempt is still unknown.
        set_error(record, why, now);
        return set_pending(record, now);
    }
    if let (StopReason::Refused(_), Some((intent, fingerprint))) = (end, attempt) {
        record.refused = Some(Box::new(RefusedRecord {
            fingerprint,
            kind: intent.kind.clone(),
            manifest_digest: desired.digest.clone(),
            message: why.clone(),
            release: intent.release.clone(),
        }));
    }
    set_error(record, why.clone(), now);
    set_phase(record, phase, reason, why, now);
}

/// Records that golive was stopped before a request was sent.
pub(super) fn unsent(record: &mut OfferRecord, now: Timestamp) {
    if record.intent.is_none() && record.phase == Phase::Triggering {
        let message = "nothing was sent: golive was stopped before".to_owned();
        set_phase(record, Phase::Triggering, record.reason, message, now);
    }
}

/// Records that a request stays in doubt. A known reason is not replaced by a less specific one.
fn doubted(record: &mut OfferRecord, why: Option<&str>, moment: DecisionTime) {
    let Some(intent) = record.intent.as_deref() else { return };
    let again = moment.settles_at(intent).filter(|at| *at > moment.now);
    if why.is_some() || record.error.is_none() {
        let why = why.unwrap_or("golive was stopped while it was under way");
        let until = match again.filter(|_| intent.attempt == 1) {
            Some(at) => format!("; if nothing shows until {at:.0}, it is sent once more"),
            None => String::new(),
        };
        let text = format!("it is not known whether the request was accepted: {why}{until}");
        set_error(record, text, moment.now);
    }
    record.next_check_at = again;
}

/// The pause that the marketplace asks for, as text, to the second. [`MAX_RETRY_AFTER`] stands for
/// every longer pause.
pub(super) fn spell(pause: Duration) -> String {
    let seconds = i64::try_from(pause.as_secs()).unwrap_or(i64::MAX);
    let at_least = if pause > MAX_RETRY_AFTER { "at least " } else { "" };
    format!("{at_least}{:#}", jiff::SignedDuration::from_secs(seconds))
}

/// Records that the offer changed at every attempt.
pub(super) fn conflicted(record: &mut OfferRecord, why: &str, now: Timestamp) {
    let why = format!("the offer kept changing while golive tried to send: {why}");
    set_error(record, why.clone(), now);
    set_phase(record, Phase::Blocked, Reason::Conflict, why, now);
}
