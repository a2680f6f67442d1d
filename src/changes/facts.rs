//! What follows from what was seen and recorded: where an offer stands, what is in production,
//! how an operation ended.

use super::change::Standing;
use super::decision::{Block, Decision, Place};
use super::moment::Moment;
use super::observation::{Observation, OperationSeen};
use crate::manifest::{DesiredState, Loaded};
use crate::marketplace::{OfferStatus, OperationKind, OperationStatus, Submission, Version};
use crate::status::{OfferRecord, OperationRecord};

/// The version known to be in production without asking: what the marketplace said, or a golive
/// that golive itself followed to a good end just now. The latter keeps a marketplace whose slots
/// lag behind from being sent a second one; after a while, the marketplace's word is what counts.
pub(super) fn known_live(
    observed: &Observation,
    recorded: Option<&OfferRecord>,
    moment: Moment,
) -> Option<Version> {
    let followed = recorded.and_then(|record| record.operation.as_ref());
    let followed = followed.filter(|operation| {
        operation.kind == OperationKind::GoLive
            && moment.may_lag_behind(operation)
            && ended(operation, observed, moment) == Some(OperationStatus::Succeeded)
    });
    let followed = followed.and_then(|operation| operation.version);
    observed.known_live().max(followed)
}

/// How a recorded operation ended: by the record, by the answer to a poll, or, where its URL has
/// expired, by what the offer says. `None` while it runs as far as is known.
pub(crate) fn ended(
    operation: &OperationRecord,
    observed: &Observation,
    moment: Moment,
) -> Option<OperationStatus> {
    if operation.status.is_finished() {
        return Some(operation.status.clone());
    }
    let Some(id) = &operation.id else { return ended_unseen(operation, observed, moment) };
    match observed.operations.get(id)? {
        OperationSeen::Known(known) => {
            Some(known.standing(&operation.kind)).filter(OperationStatus::is_finished)
        }
        OperationSeen::Expired => ended_unseen(operation, observed, moment),
    }
}

/// Whether a submission may be about a recorded operation: by its id, or, where one of the two has
/// none, or one that several attempts share, by kind and version.
fn is_about(operation: &OperationRecord, submission: &Submission) -> bool {
    let is_kind = submission.kind == operation.kind;
    let Some(id) = &operation.id else {
        return (is_kind || matches!(operation.kind, OperationKind::Unknown(_)))
            && operation.version.is_none_or(|version| submission.is_for(version));
    };
    let two_names = operation.has_shared_id() != submission.id.contains('$');
    let one_job = is_kind && operation.version.is_some_and(|version| submission.is_for(version));
    *id == submission.id || (two_names && one_job)
}

/// Whether a submission is the publish that brought to preview what an operation takes live. It may
/// be listed as running for as long as that is not signed off.
pub(super) fn comes_before(submission: &Submission, operation: &OperationRecord) -> bool {
    let version = submission.version();
    operation.kind == OperationKind::GoLive
        && submission.kind == OperationKind::Publish
        && version.is_some()
        && version <= operation.version
}

/// How an operation ended that cannot be asked for. One that left no trace counts as canceled, in
/// due time: that is shown to a person and not repeated.
pub(crate) fn ended_unseen(
    operation: &OperationRecord,
    observed: &Observation,
    moment: Moment,
) -> Option<OperationStatus> {
    let id = operation.id.as_ref();
    let mut submissions = observed.submissions.iter().flatten();
    if let Some(submission) = submissions.find(|it| Some(&it.id) == id && it.state.is_finished()) {
        return Some(submission.state.clone());
    }
    // What the list still shows as running has not ended because its URL has expired.
    let mut unfinished = observed
        .submissions
        .iter()
        .flatten()
        .filter(|it| !it.state.is_finished() && !comes_before(it, operation));
    let says_running = *observed.status() == OfferStatus::Running;
    if unfinished.clone().any(|it| is_about(operation, it))
        || (says_running && unfinished.next().is_none())
    {
        return None;
    }
    // One without an id is the newest of its kind, unless that may be the one before it.
    if let (None, Some(version)) = (id, operation.version)
        && !moment.may_not_show_yet(operation)
        && let Some(submission) = observed.newest_submission(&operation.kind, version)
        && submission.state.is_finished()
    {
        return Some(submission.state.clone());
    }
    let in_place = match operation.kind {
        OperationKind::Publish => {
            *observed.status() == OfferStatus::WaitingForPublisherReview
                || observed.preview.version().is_some()
        }
        OperationKind::GoLive | OperationKind::Cancel | OperationKind::Unknown(_) => {
            let live = observed.known_live();
            live.is_some() && live >= operation.version
        }
    };
    if in_place {
        Some(OperationStatus::Succeeded)
    } else if moment.may_not_show_yet(operation) {
        None
    } else if *observed.status() == OfferStatus::Failed {
        Some(OperationStatus::Failed)
    } else {
        Some(OperationStatus::Canceled)
    }
}

/// Where the offer stands, as far as it is known once it was decided about.
pub(super) fn standing(
    observed: &Observation,
    recorded: Option<&OfferRecord>,
    desired: &Loaded,
    decision: &Decision,
    moment: Moment,
) -> Standing {
    let live_version = known_live(observed, recorded, moment);
    let preview = observed.preview.version();
    match decision {
        Decision::InSync(place @ (Place::Live(live) | Place::AlreadyLive(live))) => {
            // Of a pinned version, or of one that is live already, it was not asked whether a newer
            // one is in preview.
            let is_newest = matches!(place, Place::Live(_)) && desired.manifest.version.is_none();
            let is_newest = is_newest || observed.version == Some(*live);
            let newer = preview.or_else(|| newer_preview(observed, *live));
            Standing {
                state: Some("live"),
                preview_version: newer.or(Some(*live).filter(|_| is_newest)),
                live_version: Some(*live),
            }
        }
        Decision::InSync(Place::Preview(version)) => {
            Standing { state: Some("preview"), preview_version: preview.or(*version), live_version }
        }
        Decision::GoLive { version }
        | Decision::Blocked(Block::VersionMismatch { found: version, .. }) => {
            Standing { state: Some("preview"), preview_version: Some(*version), live_version }
        }
        Decision::Publish { .. } | Decision::Blocked(Block::NotInPreview) => {
            Standing { state: Some("draft"), preview_version: None, live_version }
        }
        Decision::Track(_) | Decision::Held(_) | Decision::Blocked(_) | Decision::Failed(_) => {
            let waiting = *observed.status() == OfferStatus::WaitingForPublisherReview;
            let preview_version = preview.or(observed.version.filter(|_| waiting));
            let state = match (preview_version, live_version) {
                (Some(preview), live) if live < Some(preview) => Some("preview"),
                (_, Some(_)) => Some("live"),
                (Some(_) | None, None) => None,
            };
            Standing { state, preview_version, live_version }
        }
    }
}

/// The version that waits in preview beside an older one in production.
fn newer_preview(observed: &Observation, live: Version) -> Option<Version> {
    let waiting = *observed.status() == OfferStatus::WaitingForPublisherReview;
    observed.version.filter(|version| waiting && *version > live)
}

/// Where the offer should stand.
pub(super) fn target(decision: &Decision, from: &Standing, desired: &Loaded) -> Standing {
    let pinned = desired.manifest.version;
    match decision {
        Decision::GoLive { version } => Standing {
            state: Some("live"),
            preview_version: Some(*version),
            live_version: Some(*version),
        },
        Decision::Publish { version } => Standing {
            state: Some("preview"),
            preview_version: Some(*version),
            live_version: from.live_version,
        },
        Decision::InSync(_) => from.clone(),
        Decision::Track(_) | Decision::Held(_) | Decision::Blocked(_) | Decision::Failed(_) => {
            let live = desired.manifest.state == DesiredState::Live;
            let live_version = pinned.or(from.preview_version).filter(|_| live);
            Standing {
                state: Some(desired.manifest.state.as_str()),
                preview_version: pinned.filter(|_| live).or(from.preview_version),
                live_version: live_version.or(from.live_version),
            }
        }
    }
}
