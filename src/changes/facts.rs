//! What follows from a state and a record: how an operation ended, where an offer stands and should.

use super::change::OfferPosition;
use super::decision::{Block, Decision, Place};
use super::moment::DecisionTime;
use crate::manifest::{DesiredState, Loaded};
use crate::marketplace::{
    Attempt, Followed, OfferState, OperationKind, OperationStatus, Release, Report,
};
use crate::status::{Intent, OfferRecord, OperationRecord};

/// How a recorded operation ended, as far as that is known by now; `None` while it runs, or may.
///
/// What it says itself of a bad end is believed; a good end only where the offer shows it, since a
/// golive may have the id of the publish before it.
pub(crate) fn ended(
    operation: &OperationRecord,
    state: &OfferState,
    moment: DecisionTime,
) -> Option<OperationStatus> {
    ending(operation, state, moment).map(Ending::status)
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It says so itself, or the list or the offer shows it.
    Told(OperationStatus),
    /// It left no trace: it is taken for canceled, until something else shows.
    Presumed,
}

impl Ending {
    /// The status that stands for it.
    pub(crate) fn status(self) -> OperationStatus {
        match self {
            Self::Told(status) => status,
            Self::Presumed => OperationStatus::Canceled,
        }
    }
}

/// The same as [`ended`], with what it rests on.
pub(crate) fn ending(
    operation: &OperationRecord,
    state: &OfferState,
    moment: DecisionTime,
) -> Option<Ending> {
    if operation.status.is_finished() {
        return Some(Ending::Told(operation.status.clone()));
    }
    let report = followed(state);
    if let Some(report) = report
        && matches!(report.status, OperationStatus::Failed | OperationStatus::Canceled)
    {
        return Some(Ending::Told(report.status.clone()));
    }
    if is_in_place(operation, state) || is_what_it_says(operation, report, state) {
        return Some(Ending::Told(OperationStatus::Succeeded));
    }
    if state.running.is_some() || !state.is_inspected {
        return None;
    }
    let has_succeeded = report.is_some_and(|it| it.status == OperationStatus::Succeeded);
    let listed = listed_end(operation, state, moment);
    // Another release waits by now, so that this one's golive is over.
    if operation.release.is_some()
        && state.preview.is_some()
        && state.preview != operation.release
        && operation.kind == OperationKind::GoLive
        && !moment.may_not_show_yet(operation)
    {
        let both = has_succeeded && listed == Some(OperationStatus::Succeeded);
        let said = listed.filter(|it| both || *it != OperationStatus::Succeeded);
        // What says itself that it has succeeded is not taken for canceled.
        return match said {
            Some(status) => Some(Ending::Told(status)),
            None => (!has_succeeded).then_some(Ending::Presumed),
        };
    }
    if let Some(status) = listed {
        // A list that says so while the offer does not is not believed.
        return Some(status).filter(|it| *it != OperationStatus::Succeeded).map(Ending::Told);
    }
    if moment.may_not_show_yet(operation) || has_succeeded || state.unclear.is_some() {
        return None;
    }
    // It left no trace: that is shown to a person and not repeated.
    let word = state.last.as_ref().filter(|last| last.id.is_none()).map(|last| &last.status);
    Some(word.cloned().map_or(Ending::Presumed, Ending::Told))
}

/// What the marketplace says of the operation that is followed.
pub(crate) fn followed(state: &OfferState) -> Option<&Report> {
    match &state.followed {
        Some(Followed::Known(report)) => Some(report),
        Some(Followed::Expired) | None => None,
    }
}

/// Whether a golive says of itself that it brought live what is live: another release than it was
/// sent for, where somebody published between the look and the request.
fn is_what_it_says(
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

/// Whether the offer stands where the operation was to bring it.
fn is_in_place(operation: &OperationRecord, state: &OfferState) -> bool {
    match operation.kind {
        // Somebody may have taken live what it published.
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

/// How the list of operations says that an operation has ended.
fn listed_end(
    operation: &OperationRecord,
    state: &OfferState,
    moment: DecisionTime,
) -> Option<OperationStatus> {
    let listed = state.listed.as_ref()?;
    if let Some(id) = &operation.id {
        return listed.iter().find(|it| it.id.as_ref() == Some(id)).map(|it| it.status.clone());
    }
    // One without an id is the newest of its kind, unless that may be the one before it.
    let is_about = |release: &Option<Release>| {
        operation.release.is_none() || release.is_none() || *release == operation.release
    };
    if moment.may_not_show_yet(operation) {
        return None;
    }
    let newest = state.last.iter().chain(listed).find(|it| it.kind == operation.kind)?;
    is_about(&newest.release).then(|| newest.status.clone())
}

/// How an operation of the history ended, by the list of operations.
pub(crate) fn ended_unseen(
    operation: &OperationRecord,
    state: &OfferState,
    moment: DecisionTime,
) -> Option<Ending> {
    state.listed.as_ref()?;
    if is_in_place(operation, state) {
        return Some(Ending::Told(OperationStatus::Succeeded));
    }
    let listed = listed_end(operation, state, moment).map(Ending::Told);
    let is_lost = !moment.may_not_show_yet(operation) && state.running.is_none();
    listed.or_else(|| is_lost.then_some(Ending::Presumed))
}

/// Where the offer stands, as far as it is known once it was decided about.
pub(super) fn standing(
    state: &OfferState,
    recorded: Option<&OfferRecord>,
    decision: &Decision,
) -> OfferPosition {
    let known = recorded.and_then(|record| record.observed.as_ref());
    let live = state.live.clone();
    let preview = state.preview.clone().or_else(|| state.stale_preview.clone());
    match decision {
        Decision::InSync(Place::Live(release) | Place::AlreadyLive(release)) => OfferPosition {
            state: Some("live"),
            preview_version: preview.or_else(|| Some(release.clone())),
            live_version: Some(release.clone()),
        },
        Decision::InSync(Place::Preview(release)) => OfferPosition {
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

/// Where the offer should stand.
pub(super) fn target(decision: &Decision, from: &OfferPosition, desired: &Loaded) -> OfferPosition {
    let pinned = desired.manifest.version.map(Release::from);
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
            let live = desired.manifest.state == DesiredState::Live;
            let pinned = pinned.filter(|_| live);
            let live_version =
                pinned.clone().or_else(|| from.preview_version.clone().filter(|_| live));
            OfferPosition {
                state: Some(desired.manifest.state.as_str()),
                preview_version: pinned.or_else(|| from.preview_version.clone()),
                live_version: live_version.or_else(|| from.live_version.clone()),
            }
        }
    }
}

/// Whether a later golive than this attempt is listed as the one that took live what is live now.
pub(super) fn is_outdone(attempt: &Attempt, state: &OfferState) -> bool {
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

/// Whether the marketplace lists how the request in doubt ended: a new attempt, for its very release.
#[must_use]
pub(crate) fn ended_for_its_release(intent: &Intent, state: &OfferState) -> bool {
    let new = state.new_attempt(&intent.kind, &intent.release);
    new.is_some_and(|it| it.release.as_ref() == Some(&intent.release))
}

/// The golive that came of a request in doubt and took another release live than was meant: where
/// nothing guards a request, somebody may have published right before it.
#[must_use]
pub(crate) fn took_another_live<'a>(intent: &Intent, state: &'a OfferState) -> Option<&'a Attempt> {
    let live = state.live.as_ref().filter(|live| **live != intent.release)?;
    state.new_attempt(&intent.kind, &intent.release).filter(|it| {
        it.kind == OperationKind::GoLive
            && it.status == OperationStatus::Succeeded
            && it.release.as_ref() == Some(live)
    })
}
