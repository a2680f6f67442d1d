//! Facts derived from a state and a record: how an operation ended, where an offer is and should
//! be.

use super::change::OfferPosition;
use super::decision::{Block, Decision, SyncState};
use super::decision_time::DecisionTime;
use crate::manifest::{DesiredState, Loaded};
use crate::marketplace::{
    Attempt, Followed, OfferState, OperationKind, OperationStatus, Release, Report,
};
use crate::status::{Intent, OfferRecord, OperationRecord};

/// How a recorded operation ended, as far as golive knows; `None` while it runs or may run.
///
/// If the operation itself reports a failure or cancellation, that is believed. Success is believed
/// only if the offer shows it, since a golive may have the id of the publish before it.
pub(crate) fn ended(
    operation: &OperationRecord,
    state: &OfferState,
    time: DecisionTime,
) -> Option<OperationStatus> {
    operation_end(operation, state, time).map(|end| end.status)
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OperationEnd {
    pub(crate) status: OperationStatus,
    /// The operation left no trace: it is assumed canceled until other evidence shows.
    pub(crate) presumed: bool,
}

impl OperationEnd {
    /// The operation reports it, or the list or the offer shows it.
    fn shown(status: OperationStatus) -> Self {
        Self { status, presumed: false }
    }

    fn presumed() -> Self {
        Self { status: OperationStatus::Canceled, presumed: true }
    }
}

/// Like [`ended`], with the evidence.
pub(crate) fn operation_end(
    operation: &OperationRecord,
    state: &OfferState,
    time: DecisionTime,
) -> Option<OperationEnd> {
    if operation.status.is_finished() {
        return Some(OperationEnd::shown(operation.status.clone()));
    }
    let report = followed(state);
    let reported = report.map(|report| &report.status);
    if let Some(status @ (OperationStatus::Failed | OperationStatus::Canceled)) = reported {
        Some(OperationEnd::shown(status.clone()))
    } else if has_taken_effect(operation, state) || reports_live_release(operation, report, state) {
        Some(OperationEnd::shown(OperationStatus::Succeeded))
    } else if reported == Some(&OperationStatus::Refused) {
        is_refused_for_good(operation, state, time)
            .then(|| OperationEnd::shown(OperationStatus::Refused))
    } else if state.running.is_some() || !state.is_inspected {
        None
    } else {
        end_without_effect(operation, state, time, reported == Some(&OperationStatus::Succeeded))
    }
}

/// How an operation ended that neither runs nor has taken effect; `None` if its effect may show later.
fn end_without_effect(
    operation: &OperationRecord,
    state: &OfferState,
    time: DecisionTime,
    reports_success: bool,
) -> Option<OperationEnd> {
    let listed = listed_end(operation, state, time);
    let listed_failure = listed.clone().filter(|it| *it != OperationStatus::Succeeded);
    let may_show_later = time.may_not_show_yet(operation);
    let is_replaced = operation.kind == OperationKind::GoLive
        && operation.release.is_some()
        && state.preview.is_some()
        && state.preview != operation.release;
    if is_replaced && !may_show_later {
        // Another release waits now, so the golive of this release is over. A success is believed
        // if operation and list agree on it; an operation that reports success isn't presumed
        // canceled.
        let shown = if reports_success { listed } else { listed_failure };
        let presumed = (!reports_success).then(OperationEnd::presumed);
        return shown.map(OperationEnd::shown).or(presumed);
    }
    if listed.is_some() {
        // A success that only the list shows isn't believed: the offer must show it.
        return listed_failure.map(OperationEnd::shown);
    }
    if may_show_later || reports_success || state.unclear.is_some() {
        return None;
    }
    // The operation left no trace: report that to a person, don't repeat it.
    let last = state.last.as_ref().filter(|last| last.id.is_none());
    Some(last.map_or_else(OperationEnd::presumed, |it| OperationEnd::shown(it.status.clone())))
}

/// The marketplace's report on the followed operation; `None` if it was not asked for or its URL
/// expired.
pub(crate) fn followed(state: &OfferState) -> Option<&Report> {
    match &state.followed {
        Some(Followed::Known(report)) => Some(report),
        Some(Followed::Expired) | None => None,
    }
}

/// Whether a refused operation has ended for good. It changed nothing itself, but it may have been
/// refused because of an earlier request by golive, whose effect doesn't show yet. Waits for that
/// effect, unless the offer shows something else.
fn is_refused_for_good(
    operation: &OperationRecord,
    state: &OfferState,
    time: DecisionTime,
) -> bool {
    let is_overtaken =
        state.running.is_some() || (state.preview.is_some() && state.preview != operation.release);
    state.is_inspected && (is_overtaken || !time.may_not_show_yet(operation))
}

/// How often golive sends a request that the marketplace takes and then refuses, until a person asks
/// for another try.
const MAX_REFUSALS: usize = 3;

/// Why the request is not sent again: the last operations were all taken for it, then refused.
pub(super) fn refused_in_a_row(
    record: &OfferRecord,
    kind: &OperationKind,
    release: &Release,
    digest: &str,
) -> Option<String> {
    let last = record.operation.as_deref()?;
    let all = std::iter::once(last).chain(record.history.iter().rev()).take(MAX_REFUSALS);
    let refused = all.filter(|it| {
        it.status == OperationStatus::Refused
            && it.kind == *kind
            && it.release.as_ref() == Some(release)
            && it.manifest_digest == digest
    });
    let said = last.messages.first().map_or("no reason was given", |it| &it.text);
    (refused.count() == MAX_REFUSALS).then(|| {
        format!("the marketplace took it {MAX_REFUSALS} times, and refused it afterwards: {said}")
    })
}

/// Whether a golive reports that it brought the live release to production. This can be another
/// release than intended, if someone published right before the request.
fn reports_live_release(
    operation: &OperationRecord,
    report: Option<&Report>,
    state: &OfferState,
) -> bool {
    operation.kind == OperationKind::GoLive
        && report.is_some_and(|report| {
            report.status == OperationStatus::Succeeded
                && report.release.is_some()
                && report.release == state.live
        })
}

/// Whether the offer is where the operation should have brought it.
fn has_taken_effect(operation: &OperationRecord, state: &OfferState) -> bool {
    match operation.kind {
        // Someone may have taken the published release live.
        OperationKind::Publish => {
            let has_succeeded =
                followed(state).is_some_and(|it| it.status == OperationStatus::Succeeded);
            state.is_inspected
                && (state.preview.is_some() || (has_succeeded && state.live.is_some()))
        }
        OperationKind::GoLive => match &operation.release {
            Some(release) => state.live.as_ref() == Some(release),
            None => state.live.is_some() && state.preview.is_none(),
        },
        OperationKind::Cancel | OperationKind::Unknown(_) => {
            let waits = state.preview.is_some();
            let live = state.live.is_some() && operation.release == state.live;
            state.is_inspected && (waits || live)
        }
    }
}

/// How an operation ended, according to the list of operations.
fn listed_end(
    operation: &OperationRecord,
    state: &OfferState,
    time: DecisionTime,
) -> Option<OperationStatus> {
    let listed = state.listed.as_ref()?;
    if let Some(id) = &operation.id {
        return listed.iter().find(|it| it.id.as_ref() == Some(id)).map(|it| it.status.clone());
    }
    // An operation without an id is taken to be the newest of its kind, unless the newest may be
    // the one before it.
    let is_about = |release: &Option<Release>| {
        operation.release.is_none() || release.is_none() || *release == operation.release
    };
    if time.may_not_show_yet(operation) {
        return None;
    }
    let newest = state.last.iter().chain(listed).find(|it| it.kind == operation.kind)?;
    is_about(&newest.release).then(|| newest.status.clone())
}

/// How an operation in the history ended, according to the list of operations.
pub(crate) fn end_in_history(
    operation: &OperationRecord,
    state: &OfferState,
    time: DecisionTime,
) -> Option<OperationEnd> {
    state.listed.as_ref()?;
    if has_taken_effect(operation, state) {
        return Some(OperationEnd::shown(OperationStatus::Succeeded));
    }
    let listed = listed_end(operation, state, time).map(OperationEnd::shown);
    let is_lost = !time.may_not_show_yet(operation) && state.running.is_none();
    listed.or_else(|| is_lost.then(OperationEnd::presumed))
}

/// The offer's current position, as far as known after the decision.
pub(super) fn current_position(
    state: &OfferState,
    recorded: Option<&OfferRecord>,
    decision: &Decision,
) -> OfferPosition {
    let known = recorded.and_then(|record| record.observed.as_ref());
    let live = state.live.clone();
    let preview = any_preview(state).cloned();
    match decision {
        Decision::InSync(SyncState::Live(release) | SyncState::AlreadyLive(release)) => {
            OfferPosition {
                state: Some("live"),
                preview_version: preview.or_else(|| Some(release.clone())),
                live_version: Some(release.clone()),
            }
        }
        Decision::InSync(SyncState::Preview(release)) => OfferPosition {
            state: Some("preview"),
            preview_version: preview.or_else(|| release.clone()),
            live_version: live.or_else(|| known?.live.clone()),
        },
        Decision::GoLive { release }
        | Decision::Blocked(Block::VersionMismatch { found: release, .. }) => OfferPosition {
            state: Some("preview"),
            preview_version: Some(release.clone()),
            live_version: live.or_else(|| known?.live.clone()),
        },
        Decision::Publish { .. } => {
            OfferPosition { state: Some("draft"), preview_version: None, live_version: live }
        }
        Decision::Track(_) | Decision::Held(_) | Decision::Blocked(_) | Decision::Failed(_) => {
            let state = match (&preview, &live) {
                (Some(_), _) => Some("preview"),
                (None, Some(_)) => Some("live"),
                (None, None) => {
                    let is_draft = matches!(decision, Decision::Blocked(Block::NotInPreview));
                    is_draft.then_some("draft")
                }
            };
            OfferPosition { state, preview_version: preview, live_version: live }
        }
    }
}

/// The offer's target position.
pub(super) fn target_position(
    decision: &Decision,
    from: &OfferPosition,
    desired: &Loaded,
) -> OfferPosition {
    match decision {
        Decision::GoLive { release } => OfferPosition {
            state: Some("live"),
            preview_version: Some(release.clone()),
            live_version: Some(release.clone()),
        },
        Decision::Publish { release } => OfferPosition {
            state: Some("preview"),
            preview_version: Some(release.clone()),
            live_version: from.live_version.clone(),
        },
        Decision::InSync(_) => from.clone(),
        Decision::Track(_) | Decision::Held(_) | Decision::Blocked(_) | Decision::Failed(_) => {
            let manifest = &desired.manifest;
            let wants_live = manifest.state == DesiredState::Live;
            let pinned = manifest.version.map(Release::from).filter(|_| wants_live);
            let preview_version = pinned.or_else(|| from.preview_version.clone());
            let goes_live = preview_version.clone().filter(|_| wants_live);
            OfferPosition {
                state: Some(manifest.state.as_str()),
                live_version: goes_live.or_else(|| from.live_version.clone()),
                preview_version,
            }
        }
    }
}

/// The release in the preview slot, whether or not it waits for sign-off.
pub(super) fn any_preview(state: &OfferState) -> Option<&Release> {
    state.preview.as_ref().or(state.stale_preview.as_ref())
}

/// Whether the list has a golive later than this attempt that brought the live release to
/// production.
pub(super) fn is_superseded(attempt: &Attempt, state: &OfferState) -> bool {
    let all = state.listed.iter().flatten();
    let mut later = all.take_while(|it| it.id != attempt.id || it.kind != attempt.kind);
    later.any(|it| {
        it.kind == OperationKind::GoLive
            && it.status == OperationStatus::Succeeded
            && it.release.is_some()
            && it.release == state.live
            && it.release != attempt.release
    })
}

/// Whether the marketplace lists the end of the request in doubt: a new attempt for exactly its
/// release.
#[must_use]
pub(crate) fn ended_for_its_release(intent: &Intent, state: &OfferState) -> bool {
    let new = state.new_attempt(&intent.kind, &intent.release);
    new.is_some_and(|it| it.release.as_ref() == Some(&intent.release))
}

/// The golive that the request in doubt started and that took another release live than intended.
/// This can happen without a fence: someone published right before the request.
#[must_use]
pub(crate) fn launched_another_release<'a>(
    intent: &Intent,
    state: &'a OfferState,
) -> Option<&'a Attempt> {
    let live = state.live.as_ref().filter(|live| **live != intent.release)?;
    state.new_attempt(&intent.kind, &intent.release).filter(|it| {
        it.kind == OperationKind::GoLive
            && it.status == OperationStatus::Succeeded
            && it.release.as_ref() == Some(live)
    })
}
