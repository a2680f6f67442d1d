//! An independent check of a change set before it is executed, by code that did not make it.

use std::collections::BTreeSet;

use super::change::ChangeSet;
use super::decision::Decision;
use super::observation::Observation;
use super::planner::Input;
use crate::manifest::DesiredState;
use crate::marketplace::{OfferId, OperationKind, Release};

/// A reason not to execute a change set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Two changes for one offer, or changes out of order.
    #[error("{0} stands twice, or out of order, in the change set")]
    Twice(OfferId),
    /// A change for an offer that no manifest declares or that is out of scope.
    #[error("{0} would be changed, but is not in the run's scope")]
    NotAskedFor(OfferId),
    /// A trigger on an offer that its manifest holds.
    #[error("{0} would be launched, but its manifest holds it")]
    Held(OfferId),
    /// A trigger for an offer that waits for one that is not live.
    #[error("{0} would be launched before {1} is live")]
    BeforeDependency(OfferId, OfferId),
    /// A trigger that contradicts the manifest's state or version.
    #[error("{0} would be launched against its manifest")]
    AgainstManifest(OfferId),
    /// A trigger without a version, or for a version that was not seen.
    #[error("{0} would be launched without an observed version")]
    WithoutVersion(OfferId),
    /// A trigger on an offer that was not seen or has a running operation.
    #[error("{0} would be launched, but its state does not allow it")]
    NotReady(OfferId),
}

/// Finds every violation in a change set.
#[must_use]
pub fn check(set: &ChangeSet, input: Input<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut seen = BTreeSet::new();
    let mut last: Option<&OfferId> = None;
    for change in &set.changes {
        let offer = &change.offer;
        if !seen.insert(offer) || last.is_some_and(|last| last >= offer) {
            violations.push(Violation::Twice(offer.clone()));
        }
        last = Some(offer);
        if !input.desired.contains_key(offer) || !input.policy.covers(offer) {
            violations.push(Violation::NotAskedFor(offer.clone()));
        }
        violations.extend(check_trigger(offer, &change.decision, set, &input));
    }
    violations
}

fn check_trigger(
    offer: &OfferId,
    decision: &Decision,
    set: &ChangeSet,
    input: &Input<'_>,
) -> Vec<Violation> {
    let Some((kind, release)) = decision.launch() else { return Vec::new() };
    let is_golive = kind == OperationKind::GoLive;
    let wanted = if is_golive { DesiredState::Live } else { DesiredState::Preview };
    let mut violations = Vec::new();
    let Some(desired) = input.desired.get(offer) else { return violations };
    let manifest = &desired.manifest;
    if manifest.suspend || manifest.not_before.is_some_and(|until| until > input.time.now) {
        violations.push(Violation::Held(offer.clone()));
    }
    for dependency in &manifest.after {
        let change = set.get(dependency);
        let live = change.map(|change| change.decision.is_live());
        // A change set narrowed to a scope doesn't include offers outside of it.
        if !live.unwrap_or(input.policy.scope.is_some()) {
            violations.push(Violation::BeforeDependency(offer.clone(), dependency.clone()));
        }
    }
    let Some(Observation::Offer(seen)) = input.observed.get(offer) else {
        violations.push(Violation::NotReady(offer.clone()));
        return violations;
    };
    let state = seen.state.as_ref();
    let pin = manifest.version.map(Release::from);
    let pinned = pin.as_ref() == Some(release)
        || state.is_some_and(|state| state.pinned.as_ref() == Some(release));
    let pinned_other = pin.is_some() && !pinned;
    if manifest.state != wanted || (pinned_other && wanted == DesiredState::Live) {
        violations.push(Violation::AgainstManifest(offer.clone()));
    }
    // A list alone is enough only for the golive of a release that it shows in preview.
    let is_ready = match state {
        Some(state) => state.is_inspected && state.running.is_none() && state.unclear.is_none(),
        None => wanted == DesiredState::Live,
    };
    if !is_ready {
        violations.push(Violation::NotReady(offer.clone()));
    }
    let was_seen = match state {
        Some(state) if wanted == DesiredState::Live => {
            [&state.preview, &state.stale_preview].contains(&&Some(release.clone()))
        }
        // The offer was never published, or its publish failed.
        Some(state) => {
            let failed = state.last.as_ref().is_some_and(|it| it.kind == OperationKind::Publish);
            state.preview.is_none() && state.live.is_none() && (state.draft.is_some() || failed)
        }
        None => true,
    };
    if !was_seen {
        violations.push(Violation::WithoutVersion(offer.clone()));
    }
    violations
}
