//! What is written down about an offer: computed in one place, from data.

use std::time::Duration;

use jiff::Timestamp;

use super::heard::{adopt, adopt_failure, adopt_outcome, end_operations};
use crate::changes::{
    Block, Change, Decision, Failure, Hold, Moment, Observation, Origin, Outcome, Place, Seen,
};
use crate::manifest::{DesiredState, Loaded};
use crate::marketplace::{MAX_RETRY_AFTER, OperationKind, OperationStatus};
use crate::operation::Standstill;
use crate::status::{
    ErrorRecord, Intent, ManifestRecord, ObservedRecord, OfferRecord, Phase, Reason, RefusedRecord,
};

/// A record about which nothing is known yet.
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

/// Writes down what was seen and decided.
pub(super) fn decided(
    record: &mut OfferRecord,
    change: &Change,
    seen: Option<&Seen>,
    desired: &Loaded,
    moment: Moment,
) {
    record.manifest.digest.clone_from(&desired.digest);
    record.manifest.state = desired.manifest.state;
    if let Some(Seen::Offer(observation)) = seen {
        observe(record, change, observation, moment.now);
        end_operations(record, observation, moment);
        adopt_outcome(record, &change.decision, observation, desired, moment);
        match &change.decision {
            Decision::Track(tracked) if tracked.origin != Origin::Recorded => {
                adopt(record, tracked, observation, desired, moment.now);
            }
            Decision::Failed(failure) => adopt_failure(record, failure, desired, moment.now),
            Decision::Track(_)
            | Decision::GoLive { .. }
            | Decision::Publish { .. }
            | Decision::InSync(_)
            | Decision::Held(_)
            | Decision::Blocked(_) => {}
        }
        settle_intent(record, &change.decision, moment);
        settle_refusal(record, &change.decision, observation, desired);
    }
    let (could_not_ask, refusal) = match &change.decision {
        Decision::Blocked(
            Block::Unreachable(why) | Block::Unauthorized(why) | Block::Throttled(why),
        ) => (Some(why), None),
        Decision::Blocked(Block::Refused(why)) => (None, Some(why)),
        Decision::Blocked(_)
        | Decision::GoLive { .. }
        | Decision::Publish { .. }
        | Decision::Track(_)
        | Decision::InSync(_)
        | Decision::Held(_)
        | Decision::Failed(_) => (None, None),
    };
    let known_before = record.observed.is_some();
    match could_not_ask.or(refusal) {
        Some(why) => set_error(record, why.clone(), moment.now),
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
    // "Could not ask" is no state of the offer: what was known of it stands.
    if could_not_ask.is_none() || !known_before {
        let decision = &change.decision;
        set_phase(record, decision.phase(), decision.reason(), decision.message(), moment.now);
    }
    if let Some(intent) = &record.intent
        && !matches!(record.phase, Phase::InProgress | Phase::Live)
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

/// The phase of an offer whose request is about to be sent, or may have been.
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
        intent.kind, intent.version, intent.request_id
    );
    set_phase(record, Phase::Triggering, reason, message, now);
}

/// The phase of an offer whose operation was heard of.
pub(super) fn set_running(record: &mut OfferRecord, now: Timestamp) {
    let Some(operation) = &record.operation else { return };
    let tracked = crate::changes::Tracked {
        kind: operation.kind.clone(),
        id: operation.id.clone(),
        version: operation.version,
        origin: Origin::Recorded,
        at: operation.place(),
    };
    let decision = Decision::Track(tracked);
    set_phase(record, decision.phase(), decision.reason(), decision.message(), now);
}

/// The phase of an offer whose operation has ended while nobody decides about the offer.
pub(super) fn concluded(record: &mut OfferRecord, now: Timestamp) {
    let Some(operation) = record.operation.as_ref().filter(|_| record.phase == Phase::InProgress)
    else {
        return;
    };
    let wants_live = record.manifest.state == DesiredState::Live;
    let decision = match (&operation.status, &operation.kind, operation.version) {
        (OperationStatus::Succeeded, OperationKind::Publish, version) if !wants_live => {
            Decision::InSync(Place::Preview(version))
        }
        (OperationStatus::Succeeded, OperationKind::GoLive, Some(version)) if wants_live => {
            Decision::InSync(Place::Live(version))
        }
        (status, _, version) => match Outcome::of(status) {
            Some(outcome) => Decision::Failed(Failure {
                outcome,
                kind: operation.kind.clone(),
                id: operation.id.clone(),
                version,
                steps: operation.steps.clone(),
                messages: operation.messages.clone(),
            }),
            None => return,
        },
    };
    set_phase(record, decision.phase(), decision.reason(), decision.message(), now);
}

/// The observation, dated anew only where it says something new: a pass that finds nothing new
/// leaves the file as it is.
fn observe(record: &mut OfferRecord, change: &Change, seen: &Observation, now: Timestamp) {
    let known = record.observed.take();
    if known.as_ref().is_some_and(|known| known.version != seen.version) {
        record.attempts = 0;
    }
    let unchanged = known
        .as_ref()
        .filter(|known| known.changed_time == seen.changed_time && known.version == seen.version);
    // A failure that is on record is shown without a look at the slots.
    let preview_before = unchanged
        .filter(|_| matches!(change.decision, Decision::Failed(_)))
        .and_then(|known| known.preview_version);
    let new = ObservedRecord {
        at: known.as_ref().map_or(now, |known| known.at),
        changed_time: seen.changed_time.clone(),
        etag: seen.etag.clone().or_else(|| unchanged?.etag.clone()),
        live_version: change.from.live_version.or(known.as_ref().and_then(|it| it.live_version)),
        preview_version: change.from.preview_version.or(preview_before),
        status: seen.listed_status.clone(),
        version: seen.version,
    };
    let at = if known.as_ref() == Some(&new) { new.at } else { now };
    record.observed = Some(ObservedRecord { at, ..new });
}

/// A poll was not answered. That is no state of the operation.
pub(super) fn poll_failed(record: &mut OfferRecord, why: String, now: Timestamp) {
    set_error(record, why, now);
}

/// Forgets a refusal once what was refused is done, something else was done, or manifest or offer
/// have changed.
fn settle_refusal(
    record: &mut OfferRecord,
    decision: &Decision,
    seen: &Observation,
    desired: &Loaded,
) {
    let Some(refused) = &record.refused else { return };
    let changed =
        refused.manifest_digest != desired.digest || refused.changed_time != seen.changed_time;
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

/// Drops an intent once what was seen settles it.
fn settle_intent(record: &mut OfferRecord, decision: &Decision, moment: Moment) {
    let Some(intent) = &record.intent else { return };
    let found = match decision {
        Decision::Track(tracked) => {
            tracked.kind == intent.kind
                && tracked.version.is_none_or(|version| version == intent.version)
        }
        Decision::Failed(failure) => failure.is_of(intent),
        // The trigger protocol itself settles it.
        Decision::GoLive { .. } | Decision::Publish { .. } => return,
        // Its operation may yet show in the list of operations, and belongs on record.
        Decision::InSync(_) | Decision::Held(_) | Decision::Blocked(_) => false,
    };
    if found || moment.has_settled(intent) {
        record.intent = None;
    }
}

/// The intent is about to be written.
pub(super) fn intended(record: &mut OfferRecord, intent: &Intent) {
    record.intent = Some(Box::new(intent.clone()));
    record.attempts = record.attempts.saturating_add(1);
    record.error = None;
    record.refused = None;
    record.next_check_at = None;
    if let (Some(observed), Some(etag)) = (&mut record.observed, &intent.etag) {
        observed.etag = Some(etag.clone());
    }
    set_pending(record, intent.at);
}

/// The request was not accepted: what was decided stands, and nothing was done about it.
pub(super) fn dropped(record: &mut OfferRecord, decision: &Decision, now: Timestamp) {
    (record.intent, record.next_check_at) = (None, None);
    set_phase(record, decision.phase(), decision.reason(), decision.message(), now);
}

/// The protocol came to an end without an operation.
pub(super) fn stopped(
    record: &mut OfferRecord,
    end: &Standstill,
    attempt: Option<&Intent>,
    desired: &Loaded,
    now: Timestamp,
) {
    record.next_check_at = None;
    let (phase, reason, why) = match end {
        Standstill::ObserveAgain(_) => return,
        Standstill::Unwritten => {
            let why = "the status file could not be written, so that nothing was sent";
            set_error(record, why.to_owned(), now);
            return;
        }
        Standstill::Refused(why) => (Phase::Blocked, Reason::Refused, why.clone()),
        Standstill::Unsent(obstacle) => (Phase::Blocked, obstacle.reason, obstacle.why.clone()),
        Standstill::Throttled(pause) => {
            record.next_check_at = now.checked_add(*pause).ok();
            let why = format!(
                "the marketplace asks to wait for {} before anything is sent",
                spell(*pause)
            );
            (Phase::Blocked, Reason::Throttled, why)
        }
        Standstill::InDoubt(why) => {
            let why = format!(
                "it is not known whether the request was accepted: {why}; it is looked at again"
            );
            set_error(record, why, now);
            return;
        }
    };
    if let (Standstill::Refused(_), Some(intent)) = (end, attempt) {
        record.refused = Some(Box::new(RefusedRecord {
            changed_time: record.observed.as_ref().and_then(|it| it.changed_time.clone()),
            kind: intent.kind.clone(),
            manifest_digest: desired.digest.clone(),
            message: why.clone(),
            version: intent.version,
        }));
    }
    set_error(record, why.clone(), now);
    set_phase(record, phase, reason, why, now);
}

/// The pause that the marketplace asks for, as people write it, to the second. The longest stands
/// for all that are longer.
pub(super) fn spell(pause: Duration) -> String {
    let seconds = i64::try_from(pause.as_secs()).unwrap_or(i64::MAX);
    let at_least = if pause >= MAX_RETRY_AFTER { "at least " } else { "" };
    format!("{at_least}{:#}", jiff::SignedDuration::from_secs(seconds))
}

/// The offer changed under every try.
pub(super) fn conflicted(record: &mut OfferRecord, why: &str, now: Timestamp) {
    let why = format!("the offer changed whenever the request was to be sent: {why}");
    set_error(record, why.clone(), now);
    set_phase(record, Phase::Blocked, Reason::Conflict, why, now);
}
