//! What is written down about an operation: heard of, adopted, accepted, ended.

use jiff::Timestamp;

use super::record::set_running;
use crate::changes::{
    Decision, Failure, Moment, Observation, OperationSeen, Origin, Outcome, Tracked, ended,
    ended_unseen,
};
use crate::manifest::Loaded;
use crate::marketplace::{Operation, OperationStatus};
use crate::operation::Sent;
use crate::status::{Intent, OfferRecord, OperationRecord};

/// Writes the last word on the recorded operations that have none, if it was heard.
pub(super) fn end_operations(record: &mut OfferRecord, seen: &Observation, moment: Moment) {
    let loose_ends = record.history.iter_mut().filter(|it| !it.status.is_finished());
    // Something else ran before it showed how they ended: what the offer shows by now is the rest.
    for operation in loose_ends.filter(|_| seen.submissions.is_some()) {
        end(operation, ended_unseen(operation, seen, moment), moment.now);
    }
    let Some(operation) = record.operation.as_mut().filter(|it| !it.status.is_finished()) else {
        return;
    };
    let status = ended(operation, seen, moment);
    let known = operation.id.as_ref().and_then(|id| seen.operations.get(id));
    if let Some(OperationSeen::Known(known)) = known {
        hear(operation, known, moment.now);
    }
    end(operation, status, moment.now);
}

fn end(operation: &mut OperationRecord, status: Option<OperationStatus>, now: Timestamp) {
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

pub(super) fn adopt(
    record: &mut OfferRecord,
    tracked: &Tracked,
    seen: &Observation,
    desired: &Loaded,
    now: Timestamp,
) {
    let intent = record.intent.as_deref().filter(|_| tracked.origin == Origin::Found);
    let report = seen.report.as_ref();
    record.begin(OperationRecord {
        adopted: intent.is_none(),
        finished_at: None,
        id: tracked.id.clone(),
        kind: tracked.kind.clone(),
        location: None,
        manifest_digest: digest_of(intent, &desired.digest),
        messages: report.map(|report| report.messages.clone()).unwrap_or_default(),
        polled_at: None,
        progress: None,
        request_id: intent.map(|intent| intent.request_id.clone()),
        started_at: intent.map_or(now, |intent| intent.at),
        status: OperationStatus::Running,
        steps: report.map(|report| report.steps.clone()).unwrap_or_default(),
        version: tracked.version.or(intent.map(|intent| intent.version)),
    });
    // A URL that has expired is not asked again; its operation is asked for by its id.
    if let Some(operation) = &mut record.operation {
        let seen = operation.id.as_ref().and_then(|id| seen.operations.get(id));
        if matches!(seen, Some(OperationSeen::Expired)) {
            operation.location = None;
        }
    }
}

/// Writes down an attempt that ended badly and that the record did not know.
pub(super) fn adopt_failure(
    record: &mut OfferRecord,
    failure: &Failure,
    desired: &Loaded,
    now: Timestamp,
) {
    let known = record.operation.as_ref().is_some_and(|operation| {
        operation.id == failure.id
            && operation.status.is_finished()
            && operation.version == failure.version
    });
    if known {
        return;
    }
    let intent = record.intent.as_deref().filter(|intent| failure.is_of(intent));
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
        manifest_digest: digest_of(intent, &desired.digest),
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

/// Writes down what became of the request of an intent before anybody looked, in the place of the
/// intent.
pub(super) fn adopt_outcome(
    record: &mut OfferRecord,
    decision: &Decision,
    seen: &Observation,
    desired: &Loaded,
    moment: Moment,
) {
    let Some(intent) = record.intent.clone().filter(|_| record.running().is_none()) else { return };
    // A failure that is decided about is known in detail.
    if matches!(decision, Decision::Failed(failure) if failure.is_of(&intent)) {
        return;
    }
    let (operation, status) = match seen.came_of(&intent).filter(|it| it.state.is_finished()) {
        Some(submission) => (Some(submission.reference()), submission.state.clone()),
        // It is where the request was to bring it, and nothing shows that did: so did the request.
        None if moment.has_settled(&intent) && decision.achieves(&intent) => {
            (None, OperationStatus::Succeeded)
        }
        None => return,
    };
    record.intent = None;
    let sent = Sent { intent: *intent, operation, status: Some(status) };
    record.begin(started(&sent, &desired.digest, moment.now));
}

/// The digest of the manifest that an operation was started for: the present one, where golive did
/// not start it.
fn digest_of(intent: Option<&Intent>, digest: &str) -> String {
    let known = intent.map(|intent| &intent.manifest_digest).filter(|digest| !digest.is_empty());
    known.map_or(digest, String::as_str).to_owned()
}

/// An operation came of the request.
pub(super) fn accepted(record: &mut OfferRecord, sent: &Sent, digest: &str, now: Timestamp) {
    record.intent = None;
    record.error = None;
    record.next_check_at = None;
    record.begin(started(sent, digest, now));
    set_running(record, now);
}

/// The record of an operation that a request of golive's has started.
fn started(sent: &Sent, digest: &str, now: Timestamp) -> OperationRecord {
    let operation = sent.operation.as_ref();
    let status = sent.status.clone().unwrap_or(OperationStatus::Running);
    let mut started = OperationRecord {
        adopted: false,
        finished_at: status.is_finished().then_some(now),
        id: operation.map(|operation| operation.id.clone()),
        kind: sent.intent.kind.clone(),
        location: operation.and_then(|operation| operation.location.clone()),
        manifest_digest: digest_of(Some(&sent.intent), digest),
        messages: Vec::new(),
        polled_at: None,
        progress: None,
        request_id: Some(sent.intent.request_id.clone()),
        started_at: sent.intent.at,
        status,
        steps: Vec::new(),
        version: Some(sent.intent.version),
    };
    // To ask for an id that a former attempt has as well may be to hear of that one.
    if started.has_shared_id() && sent.intent.last_submission.is_some() {
        started.forget_id();
    }
    started
}
