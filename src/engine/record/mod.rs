//! The only place that writes an offer's record: a pure function from record and event to record.
//!
//! | module | what it is |
//! |---|---|
//! | `summary` | phase, reason, message, error and next check: what people see, after each event |
//! | `operation` | how an operation enters the record, proceeds and ends |
//! | `facts` | what was observed, and which intent or refusal an observation settles |

mod facts;
mod operation;
mod summary;
#[cfg(test)]
mod tests;

use jiff::Timestamp;

use super::check::shown;
use crate::changes::{Change, Decision, DecisionTime, Observation, operation_end};
use crate::manifest::Loaded;
use crate::marketplace::{OfferState, OperationStatus, Report};
use crate::operation::{DoubtCheck, Sent, StopReason};
use crate::status::{Intent, ManifestRecord, OfferRecord, Phase, Reason, RefusedRecord};

pub(super) use summary::spell;
use summary::{Summary, Update};

/// Something that golive did or learned about an offer. The manifest is the one that it acted for.
#[derive(Debug)]
pub(super) enum RecordEvent<'a> {
    /// golive observed the offer, or could not, and decided.
    Decided {
        change: &'a Change,
        seen: Option<&'a Observation>,
        manifest: &'a Loaded,
        file: String,
    },
    /// The intent is about to be written to disk.
    Intended(&'a Intent),
    /// The intent's request was certainly not accepted. `before` is an earlier attempt's intent,
    /// which is in doubt again.
    NotAccepted { before: Option<Intent>, decision: &'a Decision },
    /// The request started an operation.
    Accepted { sent: &'a Sent, manifest: &'a Loaded },
    /// The marketplace reported on the running operation.
    Polled(&'a Report),
    /// The marketplace is unreachable. This says nothing about the offer's state.
    NotAsked(String),
    /// The trigger protocol ended without an operation.
    Stopped { end: &'a StopReason, attempt: Option<Attempt<'a>>, manifest: &'a Loaded },
    /// The run's time was up before the trigger began.
    OutOfTime { end: &'a StopReason, manifest: &'a Loaded },
    /// The user stopped golive before the request was sent.
    Interrupted,
    /// The offer changed at every attempt.
    KeptChanging { why: &'a str },
    /// The marketplace was asked about an offer without a manifest in force, to follow what runs
    /// there or to settle a request in doubt.
    OrphanObserved(&'a OfferState),
    /// The marketplace asked to leave the publisher alone until then, before the offer was ever
    /// observed.
    PublisherPaused { until: Timestamp, why: &'a str, manifest: &'a Loaded, file: String },
}

/// The request that a trigger sent last.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    pub(super) intent: &'a Intent,
    /// The fingerprint of the offer's entry in the list.
    pub(super) fingerprint: Option<String>,
}

/// The record of an offer of which nothing is known.
pub(super) fn fresh(manifest: &Loaded, file: String, now: Timestamp) -> OfferRecord {
    let (digest, state) = (manifest.digest.clone(), manifest.manifest.state);
    let manifest = ManifestRecord { digest, file, state };
    let message = "nothing was decided yet";
    OfferRecord::new(manifest, Phase::Blocked, Reason::Unreachable, message, now)
}

/// The record after an event at this time.
pub(super) fn after(
    mut record: OfferRecord,
    event: RecordEvent<'_>,
    at: DecisionTime,
) -> OfferRecord {
    let summary = match event {
        RecordEvent::Decided { change, seen, manifest, file } => {
            record.manifest.file = file;
            decided(&mut record, change, seen, manifest, at)
        }
        RecordEvent::Intended(intent) => {
            record.intent = Some(Box::new(intent.clone()));
            record.attempts = record.attempts.saturating_add(1);
            record.refused = None;
            Summary { error: Update::To(None), next_check: Update::To(None), ..pending(&record) }
        }
        RecordEvent::NotAccepted { before, decision } => {
            record.intent = before.map(Box::new);
            let headline =
                if record.intent.is_some() { pending(&record) } else { Summary::of(decision) };
            Summary { next_check: Update::To(None), ..headline }
        }
        RecordEvent::Accepted { sent, manifest } => {
            record.intent = None;
            record.begin(operation::started(sent, &manifest.digest, at.now));
            let running = Summary::running(record.operation.as_deref());
            Summary { error: Update::To(None), next_check: Update::To(None), ..running }
        }
        RecordEvent::Polled(report) => {
            if let Some(operation) = &mut record.operation {
                operation::reported(operation, report, at.now);
            }
            let running = Summary::running(record.operation.as_deref());
            Summary { error: Update::To(None), ..running }
        }
        RecordEvent::NotAsked(why) => Summary::error(why),
        RecordEvent::Stopped { end, attempt, manifest } => {
            stopped(&mut record, end, attempt, manifest, at)
        }
        // A request that may have been sent stays in doubt.
        RecordEvent::OutOfTime { .. } if record.intent.is_some() => Summary::default(),
        RecordEvent::OutOfTime { end, manifest } => stopped(&mut record, end, None, manifest, at),
        RecordEvent::Interrupted => {
            let is_unsent = record.intent.is_none() && record.phase == Phase::Triggering;
            let message = "nothing was sent: golive was stopped before".to_owned();
            let headline = (record.phase, record.reason, message);
            Summary { headline: Update::to_if(is_unsent, headline), ..Summary::default() }
        }
        RecordEvent::KeptChanging { why } => {
            let why = format!("the offer kept changing while golive tried to send: {why}");
            Summary::blocked(Reason::Conflict, why)
        }
        RecordEvent::OrphanObserved(state) => orphan_observed(&mut record, state, at),
        RecordEvent::PublisherPaused { until, why, manifest, file } => {
            let why = format!("the marketplace asked golive to wait until {until:.0}: {why}");
            record.manifest = fresh(manifest, file, at.now).manifest;
            Summary {
                next_check: Update::To(Some(until)),
                ..Summary::blocked(Reason::Throttled, why)
            }
        }
    };
    summary.write(&mut record, at.now);
    record
}

/// Whether the record has nothing but a failed attempt to ask about the offer.
pub(super) fn is_unobserved(record: &OfferRecord) -> bool {
    record.phase == Phase::Blocked
        && matches!(record.reason, Reason::Unauthorized | Reason::Throttled | Reason::Unreachable)
        && record.observed.is_none()
        && record.intent.is_none()
        && record.operation.is_none()
        && record.history.is_empty()
}

/// The summary of an offer whose request will be sent or may have been sent.
fn pending(record: &OfferRecord) -> Summary {
    record.intent.as_deref().map(Summary::pending).unwrap_or_default()
}

fn decided(
    record: &mut OfferRecord,
    change: &Change,
    seen: Option<&Observation>,
    manifest: &Loaded,
    at: DecisionTime,
) -> Summary {
    record.manifest.digest.clone_from(&manifest.digest);
    record.manifest.state = manifest.manifest.state;
    let was_observed = record.observed.is_some();
    let decision = &change.decision;
    if let Some(Observation::Offer(seen)) = seen {
        let state = seen.state.clone().or_else(|| seen.remembered(record)).unwrap_or_default();
        operation::end_all(record, &state, at);
        operation::adopt(record, decision, &state, manifest, at);
        facts::settle_intent(record, decision, &state, at);
        facts::settle_refusal(record, decision, seen, manifest);
        facts::observe(record, change, seen, at.now);
    }
    let mut summary = Summary::of_change(record, decision, was_observed);
    let phase = summary.phase().unwrap_or(record.phase);
    if let Some(intent) = &record.intent
        && phase != Phase::InProgress
        && !decision.achieves(intent)
    {
        summary.next_check = Update::To(at.settles_at(intent));
        summary.headline = Summary::pending(intent).headline;
    }
    summary
}

fn stopped(
    record: &mut OfferRecord,
    end: &StopReason,
    attempt: Option<Attempt<'_>>,
    manifest: &Loaded,
    at: DecisionTime,
) -> Summary {
    let mut next_check = Update::To(None);
    let mut summary = match end {
        StopReason::ObserveAgain(_) => return Summary { next_check, ..Summary::default() },
        StopReason::Unwritten => {
            let why = "the status file could not be written, so that nothing was sent";
            return Summary { next_check, ..Summary::error(why.to_owned()) };
        }
        StopReason::InDoubt(why) => return Summary::in_doubt(record, why.as_deref(), at),
        StopReason::Refused(why) => Summary::blocked(Reason::Refused, why.clone()),
        StopReason::Unsent(obstacle) => Summary::blocked(obstacle.reason, obstacle.why.clone()),
        StopReason::Throttled(pause) => {
            next_check = Update::To(at.now.checked_add(*pause).ok());
            let wait = spell(*pause);
            let why = format!("the marketplace asks to wait for {wait} before anything is sent");
            Summary::blocked(Reason::Throttled, why)
        }
    };
    summary.next_check = next_check;
    if record.intent.is_some() {
        // The result of the previous attempt is still unknown.
        summary.headline = pending(record).headline;
    } else if let (StopReason::Refused(why), Some(Attempt { intent, fingerprint })) = (end, attempt)
    {
        record.refused = Some(Box::new(RefusedRecord {
            fingerprint,
            kind: intent.kind.clone(),
            manifest_digest: manifest.digest.clone(),
            message: why.clone(),
            release: intent.release.clone(),
        }));
    }
    summary
}

fn orphan_observed(record: &mut OfferRecord, state: &OfferState, at: DecisionTime) -> Summary {
    if let Some(running) = record.running() {
        let concludes =
            operation_end(running, state, at).is_some() && record.phase == Phase::InProgress;
        operation::end_all(record, state, at);
        return if concludes { Summary::concluded(record) } else { Summary::default() };
    }
    let Some(intent) = record.intent.as_deref().cloned() else {
        operation::end_all(record, state, at);
        return Summary::default();
    };
    let (operation, status) = match shown(&intent, state) {
        DoubtCheck::Operation { operation, status } => (operation, status),
        DoubtCheck::Live => (None, OperationStatus::Succeeded),
        DoubtCheck::Failed(_) => return Summary::default(),
        // Without a manifest, the request is not sent again.
        DoubtCheck::Gone | DoubtCheck::StillWaiting { .. } | DoubtCheck::Elsewhere => {
            if at.has_settled(&intent) {
                record.intent = None;
            }
            return Summary::default();
        }
    };
    record.intent = None;
    let sent = Sent { intent, operation, status: Some(status) };
    let digest = record.manifest.digest.clone();
    record.begin(operation::started(&sent, &digest, at.now));
    let running = Summary::running(record.operation.as_deref());
    let headline = match Summary::concluded(record).headline {
        Update::Keep => running.headline,
        concluded @ Update::To(_) => concluded,
    };
    Summary { headline, error: Update::To(None), next_check: Update::To(None) }
}
