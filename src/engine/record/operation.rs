//! How an operation enters an offer's record, proceeds and ends.

use jiff::Timestamp;

use crate::changes::{
    Decision, DecisionTime, Failure, FailureStatus, OperationEnd, Origin, Tracked, end_in_history,
    followed, launched_another_release, operation_end,
};
use crate::manifest::Loaded;
use crate::marketplace::{Followed, OfferState, OperationRef, OperationStatus, Report};
use crate::operation::Sent;
use crate::status::{Intent, OfferRecord, OperationRecord};

/// Records how the recorded operations have ended, as far as that is known now.
pub(super) fn end_all(record: &mut OfferRecord, state: &OfferState, time: DecisionTime) {
    let loose_ends = record.history.iter_mut().filter(|it| !it.status.is_finished());
    // Another operation ran before these showed how they ended: the offer's current state is the
    // only evidence left.
    for operation in loose_ends.filter(|_| state.listed.is_some()) {
        end(operation, end_in_history(operation, state, time), time.now);
    }
    let Some(operation) = record.operation.as_mut().filter(|it| !it.status.is_finished()) else {
        return;
    };
    let found = operation_end(operation, state, time);
    if let Some(report) = followed(state) {
        reported(operation, report, time.now);
    }
    end(operation, found, time.now);
}

fn end(operation: &mut OperationRecord, found: Option<OperationEnd>, now: Timestamp) {
    if let Some(OperationEnd { status, presumed }) = found {
        operation.presumed = presumed;
        operation.status = status;
        operation.finished_at = Some(now);
        operation.progress = operation.percent();
    }
}

/// Copies the marketplace's report on an operation. Its end is taken from the offer instead.
pub(super) fn reported(operation: &mut OperationRecord, report: &Report, now: Timestamp) {
    if !report.status.is_finished() {
        operation.status = report.status.clone();
    }
    operation.steps.clone_from(&report.steps);
    operation.messages.clone_from(&report.messages);
    operation.progress = operation.percent();
    operation.polled_at = Some(now);
    if operation.release.is_none() {
        operation.release.clone_from(&report.release);
    }
}

/// Records the operation that an observed state or a decision shows and the record doesn't have
/// yet.
pub(super) fn adopt(
    record: &mut OfferRecord,
    decision: &Decision,
    state: &OfferState,
    manifest: &Loaded,
    at: DecisionTime,
) {
    adopt_outcome(record, decision, state, manifest, at);
    match decision {
        Decision::Track(tracked) if tracked.origin != Origin::Recorded => {
            adopt_running(record, tracked, state, manifest, at.now);
        }
        Decision::Failed(failure) => adopt_failure(record, failure, manifest, at.now),
        Decision::Track(_)
        | Decision::GoLive { .. }
        | Decision::Publish { .. }
        | Decision::InSync(_)
        | Decision::Held(_)
        | Decision::Blocked(_) => {}
    }
}

fn adopt_running(
    record: &mut OfferRecord,
    tracked: &Tracked,
    state: &OfferState,
    manifest: &Loaded,
    now: Timestamp,
) {
    let intent = record.intent.as_deref().filter(|_| tracked.origin == Origin::Found);
    let run = state.running.as_ref();
    let started_at = intent.map_or(now, |intent| intent.at);
    record.begin(OperationRecord {
        adopted: intent.is_none(),
        id: tracked.id.clone(),
        manifest_digest: digest_of(intent, &manifest.digest),
        messages: run.map(|run| run.messages.clone()).unwrap_or_default(),
        release: tracked.release.clone().or_else(|| intent.map(|intent| intent.release.clone())),
        request_id: intent.map(|intent| intent.request_id.clone()),
        steps: run.map(|run| run.steps.clone()).unwrap_or_default(),
        ..OperationRecord::new(tracked.kind.clone(), OperationStatus::Running, started_at)
    });
    // Don't poll an expired URL again; ask for the operation by its id.
    if let Some(operation) = &mut record.operation
        && state.followed == Some(Followed::Expired)
    {
        operation.location = None;
    }
}

/// Records a failed or canceled attempt that the record doesn't have yet.
fn adopt_failure(record: &mut OfferRecord, failure: &Failure, manifest: &Loaded, now: Timestamp) {
    let known = record.operation.as_ref().is_some_and(|operation| {
        operation.id == failure.id
            && operation.status.is_finished()
            && operation.release == failure.release
    });
    if known {
        return;
    }
    let intent = record.intent.as_deref().filter(|intent| failure.is_of(intent)).cloned();
    let intent = intent.as_ref();
    let intent_is_over = intent.is_some();
    let status = match failure.status {
        FailureStatus::Failed => OperationStatus::Failed,
        FailureStatus::Canceled => OperationStatus::Canceled,
    };
    record.begin(OperationRecord {
        adopted: intent.is_none(),
        finished_at: Some(now),
        id: failure.id.clone(),
        kind: failure.kind.clone(),
        location: None,
        manifest_digest: digest_of(intent, &manifest.digest),
        messages: failure.messages.clone(),
        polled_at: Some(now),
        // A failure without id, steps and messages was not reported by the marketplace.
        presumed: failure.id.is_none() && failure.steps.is_empty() && failure.messages.is_empty(),
        progress: None,
        release: failure.release.clone(),
        request_id: intent.map(|intent| intent.request_id.clone()),
        started_at: intent.map_or(now, |intent| intent.at),
        status,
        steps: failure.steps.clone(),
    });
    if intent_is_over {
        record.intent = None;
    }
}

/// Replaces an intent with the operation its request started, if that ended before golive looked.
fn adopt_outcome(
    record: &mut OfferRecord,
    decision: &Decision,
    state: &OfferState,
    manifest: &Loaded,
    time: DecisionTime,
) {
    let Some(intent) = record.intent.clone().filter(|_| record.running().is_none()) else { return };
    // A failure that the decision is about is recorded in detail by `adopt_failure`.
    if matches!(decision, Decision::Failed(failure) if failure.is_of(&intent)) {
        return;
    }
    let new = state.new_attempt(&intent.kind, &intent.release);
    let bad = new.filter(|it| it.status != OperationStatus::Succeeded);
    let succeeded = new.filter(|it| it.status == OperationStatus::Succeeded);
    // What followed the operation shows that it is over, so a success in the list is believed.
    let other = launched_another_release(&intent, state);
    let is_over = other.is_some()
        || state.running.as_ref().is_some_and(|run| run.kind != intent.kind)
        || state.preview.as_ref().is_some_and(|preview| *preview != intent.release);
    let (found, status) = if decision.achieves(&intent) || (is_over && succeeded.is_some()) {
        (succeeded, OperationStatus::Succeeded)
    } else if let Some(bad) = bad.filter(|_| state.is_inspected) {
        (Some(bad), bad.status.clone())
    } else {
        return;
    };
    let id = found.and_then(|it| it.id.clone());
    let operation = id.map(|id| OperationRef { id, location: None });
    record.intent = None;
    let release = other.and_then(|it| it.release.clone()).unwrap_or(intent.release.clone());
    let intent = Intent { release, ..*intent };
    let sent = Sent { intent, operation, status: Some(status) };
    record.begin(started(&sent, &manifest.digest, time.now));
}

/// The digest of the manifest that an operation was started for; the current manifest's if golive
/// did not start the operation.
fn digest_of(intent: Option<&Intent>, digest: &str) -> String {
    let known = intent.map(|intent| &intent.manifest_digest).filter(|digest| !digest.is_empty());
    known.map_or(digest, String::as_str).to_owned()
}

/// The record of an operation that golive's request started.
pub(super) fn started(sent: &Sent, digest: &str, now: Timestamp) -> OperationRecord {
    let operation = sent.operation.as_ref();
    let status = sent.status.clone().unwrap_or(OperationStatus::Running);
    let mut started = OperationRecord {
        finished_at: status.is_finished().then_some(now),
        id: operation.map(|operation| operation.id.clone()),
        location: operation.and_then(|operation| operation.location.clone()),
        manifest_digest: digest_of(Some(&sent.intent), digest),
        presumed: operation.is_none() && status == OperationStatus::Canceled,
        release: Some(sent.intent.release.clone()),
        request_id: Some(sent.intent.request_id.clone()),
        ..OperationRecord::new(sent.intent.kind.clone(), status, sent.intent.at)
    };
    // If an earlier attempt has the same id, asking for the id may return that attempt.
    let is_known = |id: &String| sent.intent.known.iter().flatten().any(|mark| mark.id() == id);
    if started.has_shared_id() && started.id.as_ref().is_some_and(is_known) {
        started.forget_id();
    }
    started
}
