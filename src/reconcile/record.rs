//! What is written down about an offer: computed in one place, from data.

use jiff::Timestamp;

use crate::changes::{
    Block, Change, Decision, Failure, Hold, Observation, OperationSeen, Origin, Outcome, Seen,
    ended,
};
use crate::manifest::Loaded;
use crate::marketplace::{Operation, OperationKind, OperationStatus};
use crate::operation::{Sent, Standstill};
use crate::status::{
    ErrorRecord, Intent, ManifestRecord, ObservedRecord, OfferRecord, OperationRecord, Phase,
    Reason, RefusedRecord,
};

/// What the records of one moment have in common.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    /// The time.
    pub(super) now: Timestamp,
    /// How long an intent that left no trace is kept.
    pub(super) settle: std::time::Duration,
}

impl Moment {
    /// Whether what came of an intent's request would show by now.
    pub(super) fn has_settled(&self, intent: &Intent) -> bool {
        let age = self.now.duration_since(intent.at);
        std::time::Duration::try_from(age).is_ok_and(|age| age >= self.settle)
    }
}

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
        end_operation(record, observation, moment.now);
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
    }
    let could_not_ask = match &change.decision {
        Decision::Blocked(
            Block::Unreachable(why) | Block::Unauthorized(why) | Block::Throttled(why),
        ) => Some(why),
        Decision::Blocked(_)
        | Decision::GoLive { .. }
        | Decision::Publish { .. }
        | Decision::Track(_)
        | Decision::InSync(_)
        | Decision::Held(_)
        | Decision::Failed(_) => None,
    };
    let known_before = record.observed.is_some();
    if let Some(why) = could_not_ask {
        // What the marketplace refused stays refused while it can't be asked.
        if record.error.as_ref().is_none_or(|error| error.refused.is_none()) {
            set_error(record, why.clone(), None, moment.now);
        }
    } else if !matches!(change.decision, Decision::Blocked(Block::Refused(_))) {
        record.error = None;
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
    if record.intent.is_some() && record.phase != Phase::InProgress {
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

fn set_error(
    record: &mut OfferRecord,
    message: String,
    refused: Option<RefusedRecord>,
    now: Timestamp,
) {
    let same =
        record.error.as_ref().is_some_and(|it| it.message == message && it.refused == refused);
    if !same {
        record.error = Some(ErrorRecord { at: now, message, refused });
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
fn set_running(record: &mut OfferRecord, now: Timestamp) {
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

/// The observation, dated anew only where it says something new: a pass that finds nothing new
/// leaves the file as it is.
fn observe(record: &mut OfferRecord, change: &Change, seen: &Observation, now: Timestamp) {
    let known = record.observed.take();
    if known.as_ref().is_some_and(|known| known.version != seen.version) {
        record.attempts = 0;
    }
    let new = ObservedRecord {
        at: known.as_ref().map_or(now, |known| known.at),
        changed_time: seen.changed_time.clone(),
        etag: seen.etag.clone().or_else(|| {
            known.as_ref().filter(|it| it.changed_time == seen.changed_time)?.etag.clone()
        }),
        live_version: change.from.live_version.or(known.as_ref().and_then(|it| it.live_version)),
        preview_version: change.from.preview_version,
        status: seen.listed_status.clone(),
        version: seen.version,
    };
    let at = if known.as_ref() == Some(&new) { new.at } else { now };
    record.observed = Some(ObservedRecord { at, ..new });
}

/// Writes the last word on the recorded operation, if it was heard.
fn end_operation(record: &mut OfferRecord, seen: &Observation, now: Timestamp) {
    let Some(operation) = &mut record.operation else { return };
    if operation.status.is_finished() {
        return;
    }
    let status = ended(operation, seen);
    let known = operation.id.as_ref().and_then(|id| seen.operations.get(id));
    if let Some(OperationSeen::Known(known)) = known {
        hear(operation, known, now);
    }
    if let Some(status) = status {
        operation.status = status;
        operation.finished_at = Some(now);
    }
}

/// Takes over what the marketplace says of an operation.
fn hear(operation: &mut OperationRecord, known: &Operation, now: Timestamp) {
    operation.status = known.standing(&operation.kind);
    operation.steps.clone_from(&known.steps);
    operation.messages.clone_from(&known.messages);
    operation.progress = operation.percent();
    operation.polled_at = Some(now);
    operation.version = operation.version.or(known.offer_version);
    if operation.status.is_finished() {
        operation.finished_at = Some(now);
    }
}

/// A poll was answered.
pub(super) fn polled(record: &mut OfferRecord, known: &Operation, now: Timestamp) {
    if let Some(operation) = &mut record.operation {
        hear(operation, known, now);
    }
    record.error = None;
    set_running(record, now);
}

/// A poll was not answered. That is no state of the operation.
pub(super) fn poll_failed(record: &mut OfferRecord, why: String, now: Timestamp) {
    set_error(record, why, None, now);
}

fn adopt(
    record: &mut OfferRecord,
    tracked: &crate::changes::Tracked,
    seen: &Observation,
    desired: &Loaded,
    now: Timestamp,
) {
    let intent = record.intent.as_ref().filter(|_| tracked.origin == Origin::Found);
    let report = seen.report.as_ref();
    record.begin(OperationRecord {
        adopted: intent.is_none(),
        finished_at: None,
        id: tracked.id.clone(),
        kind: tracked.kind.clone(),
        location: None,
        manifest_digest: desired.digest.clone(),
        messages: report.map(|report| report.messages.clone()).unwrap_or_default(),
        polled_at: None,
        progress: None,
        request_id: intent.map(|intent| intent.request_id.clone()),
        started_at: intent.map_or(now, |intent| intent.at),
        status: OperationStatus::Running,
        steps: report.map(|report| report.steps.clone()).unwrap_or_default(),
        version: tracked.version.or(intent.map(|intent| intent.version)),
    });
}

/// Writes down an attempt that ended badly and that the record did not know.
fn adopt_failure(record: &mut OfferRecord, failure: &Failure, desired: &Loaded, now: Timestamp) {
    let known = record.operation.as_ref().is_some_and(|operation| {
        operation.id == failure.id
            && operation.status.is_finished()
            && operation.version == failure.version
    });
    if known {
        return;
    }
    let intent = record
        .intent
        .as_ref()
        .filter(|intent| intent.kind == failure.kind && Some(intent.version) == failure.version);
    let status = match failure.outcome {
        Outcome::Failed => OperationStatus::Failed,
        Outcome::Canceled => OperationStatus::Canceled,
    };
    record.begin(OperationRecord {
        adopted: intent.is_none(),
        finished_at: Some(now),
        id: failure.id.clone(),
        kind: failure.kind.clone(),
        location: None,
        manifest_digest: desired.digest.clone(),
        messages: failure.messages.clone(),
        polled_at: Some(now),
        progress: None,
        request_id: intent.map(|intent| intent.request_id.clone()),
        started_at: intent.map_or(now, |intent| intent.at),
        status,
        steps: failure.steps.clone(),
        version: failure.version,
    });
}

/// Drops an intent once what was seen settles it.
fn settle_intent(record: &mut OfferRecord, decision: &Decision, moment: Moment) {
    let Some(intent) = &record.intent else { return };
    let found = match decision {
        Decision::Track(tracked) => tracked.kind == intent.kind,
        Decision::InSync(_) | Decision::Failed(_) => true,
        // The trigger protocol itself settles it.
        Decision::GoLive { .. } | Decision::Publish { .. } => return,
        Decision::Held(_) | Decision::Blocked(_) => false,
    };
    if found || moment.has_settled(intent) {
        record.intent = None;
    }
}

/// The intent is about to be written.
pub(super) fn intended(record: &mut OfferRecord, intent: &Intent) {
    record.intent = Some(intent.clone());
    record.attempts = record.attempts.saturating_add(1);
    record.error = None;
    if let (Some(observed), Some(etag)) = (&mut record.observed, &intent.etag) {
        observed.etag = Some(etag.clone());
    }
    set_pending(record, intent.at);
}

/// The request was not accepted: what was decided stands, and nothing was done about it.
pub(super) fn dropped(record: &mut OfferRecord, decision: &Decision, now: Timestamp) {
    record.intent = None;
    set_phase(record, decision.phase(), decision.reason(), decision.message(), now);
}

/// An operation came of the request.
pub(super) fn accepted(record: &mut OfferRecord, sent: &Sent, desired: &Loaded, now: Timestamp) {
    let operation = sent.operation.as_ref();
    let status = sent.status.clone().unwrap_or(OperationStatus::Running);
    record.intent = None;
    record.error = None;
    record.begin(OperationRecord {
        adopted: false,
        finished_at: status.is_finished().then_some(now),
        id: operation.map(|operation| operation.id.clone()),
        kind: sent.intent.kind.clone(),
        location: operation.and_then(|operation| operation.location.clone()),
        manifest_digest: desired.digest.clone(),
        messages: Vec::new(),
        polled_at: None,
        progress: None,
        request_id: Some(sent.intent.request_id.clone()),
        started_at: sent.intent.at,
        status,
        steps: Vec::new(),
        version: Some(sent.intent.version),
    });
    set_running(record, now);
}

/// The protocol came to an end without an operation.
pub(super) fn stopped(
    record: &mut OfferRecord,
    end: &Standstill,
    attempt: Option<&Intent>,
    desired: &Loaded,
    now: Timestamp,
) {
    let (phase, reason, why) = match end {
        Standstill::ObserveAgain(_) | Standstill::Live | Standstill::Unwritten => return,
        Standstill::Refused(why) => (Phase::Blocked, Reason::Refused, why.clone()),
        Standstill::Unsent(obstacle) => (Phase::Blocked, obstacle.reason, obstacle.why.clone()),
        Standstill::Throttled(pause) => {
            record.next_check_at = now.checked_add(*pause).ok();
            let why = format!(
                "the marketplace asks to wait for {}; run golive again then",
                spell(*pause)
            );
            (Phase::Blocked, Reason::Throttled, why)
        }
        Standstill::InDoubt(why) => {
            let why = format!(
                "it is not known whether the request was accepted: {why}; the next run looks again"
            );
            set_error(record, why, None, now);
            return;
        }
    };
    let refused =
        attempt.filter(|_| matches!(end, Standstill::Refused(_))).map(|intent| RefusedRecord {
            changed_time: record.observed.as_ref().and_then(|it| it.changed_time.clone()),
            kind: intent.kind.clone(),
            manifest_digest: desired.digest.clone(),
            version: intent.version,
        });
    set_error(record, why.clone(), refused, now);
    set_phase(record, phase, reason, why, now);
}

/// A duration as people write it, to the second.
pub(super) fn spell(duration: std::time::Duration) -> String {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    format!("{:#}", jiff::SignedDuration::from_secs(seconds))
}

/// The offer changed under every try.
pub(super) fn conflicted(record: &mut OfferRecord, why: &str, now: Timestamp) {
    let why = format!("the offer changed whenever the request was to be sent: {why}");
    set_error(record, why.clone(), None, now);
    set_phase(record, Phase::Blocked, Reason::Conflict, why, now);
}
