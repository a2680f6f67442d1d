//! The rules that decide about one offer from its own state. The first matching rule wins.
//!
//! What each source is trusted for: an inspected state, for everything; a state from the record,
//! for doing nothing; a list, for assuming that a preview waits, which golive checks before it
//! sends a request.

use super::decision::{Block, Decision, Failure, FailureStatus, Hold, Origin, SyncState, Tracked};
use super::decision_time::DecisionTime;
use super::facts;
use super::observation::ObservedOffer;
use crate::manifest::{DesiredState, Loaded};
use crate::marketplace::{OfferId, OfferState, OperationKind, OperationStatus, Release};
use crate::status::{Intent, OfferRecord, OperationRecord, Phase, place};

/// Everything known about one offer.
pub(super) struct Case<'a> {
    pub(super) desired: &'a Loaded,
    pub(super) recorded: Option<&'a OfferRecord>,
    pub(super) seen: &'a ObservedOffer,
    pub(super) waiting_on: &'a [OfferId],
    pub(super) time: DecisionTime,
    pub(super) retry: bool,
    /// Whether a list alone is not enough to assume that a preview waits.
    pub(super) verify: bool,
}

/// The decision needs an inspected state.
pub(super) struct NeedsInspection;

impl Case<'_> {
    /// The decision, and the state on which it is based.
    pub(super) fn decide(&self) -> Result<(Decision, OfferState), NeedsInspection> {
        if let Some(state) = &self.seen.state {
            return Ok((self.decide_on(state), state.clone()));
        }
        let remembered = self.recorded.and_then(|record| self.seen.remembered(record));
        if let Some(state) = remembered {
            let decision = self.decide_on(&state);
            let suffices = match &decision {
                Decision::GoLive { .. } => !self.verify,
                // The pin may be another name of the live or preview release.
                Decision::Publish { .. }
                | Decision::Track(_)
                | Decision::Blocked(Block::VersionMismatch { .. } | Block::UnknownStatus(_)) => {
                    false
                }
                // The release in the preview slot may wait for sign-off: not every list shows that.
                Decision::Blocked(Block::NotInPreview) => state.stale_preview.is_none(),
                Decision::InSync(_)
                | Decision::Held(_)
                | Decision::Failed(_)
                | Decision::Blocked(_) => true,
            };
            return if suffices { Ok((decision, state)) } else { Err(NeedsInspection) };
        }
        let is_open = self.recorded.is_none_or(|record| {
            let operation = record.operation.as_deref();
            operation.is_none_or(|it| it.status == OperationStatus::Succeeded)
                && record.intent.is_none()
                && !record.has_loose_ends()
        });
        let suggested = self
            .seen
            .suggested()
            .filter(|_| is_open && !self.retry && self.desired.manifest.version.is_none());
        let state = suggested.ok_or(NeedsInspection)?;
        match self.decide_on(&state) {
            decision @ Decision::GoLive { .. } if !self.verify => Ok((decision, state)),
            // A held offer sends nothing, so it needs no inspection.
            decision @ Decision::Held(_) => Ok((decision, state)),
            Decision::GoLive { .. }
            | Decision::Track(_)
            | Decision::InSync(_)
            | Decision::Publish { .. }
            | Decision::Blocked(_)
            | Decision::Failed(_) => Err(NeedsInspection),
        }
    }

    fn decide_on(&self, state: &OfferState) -> Decision {
        if let Some(tracked) = self.running(state) {
            return Decision::Track(tracked);
        }
        let failed = self.failed(state);
        if let Some(in_sync) = self.in_sync(state)
            && !failed.as_ref().is_some_and(|failure| outweighs(failure, state))
            && !self.has_golive_in_doubt(state)
            && !(self.wants_live() && self.contradiction(state).is_some())
        {
            return Decision::InSync(in_sync);
        }
        if let Some(hold) = self.held() {
            return Decision::Held(hold);
        }
        if let Some(failure) = failed {
            return Decision::Failed(failure);
        }
        if let Some(decision) = self.lost_request(state) {
            return decision;
        }
        if let Some(why) = &state.unclear {
            return Decision::Blocked(Block::UnknownStatus(why.clone()));
        }
        if let Some(why) = self.contradiction(state) {
            return Decision::Blocked(Block::UnknownStatus(why));
        }
        let decision = self.proceed(state);
        match self.refused_before(&decision) {
            Some(block) => Decision::Blocked(block),
            None => decision,
        }
    }

    /// Row 1: an operation runs, started by golive or by someone else.
    fn running(&self, state: &OfferState) -> Option<Tracked> {
        let recorded = self.recorded.and_then(OfferRecord::running);
        if let Some(run) = &state.running {
            let is_of_kind =
                |kind: &OperationKind| run.kind == *kind || run.kind.as_str().is_empty();
            let recorded = recorded.filter(|it| match (&it.id, &run.id) {
                (Some(recorded), Some(running)) => recorded == running,
                (None, Some(_)) => it.kind == run.kind,
                (_, None) => is_of_kind(&it.kind),
            });
            let intent = self.intent().filter(|it| is_of_kind(&it.kind));
            let (origin, release) = match (recorded, intent) {
                (Some(it), _) => (Origin::Recorded, it.release.clone()),
                (None, Some(intent)) => (Origin::Found, Some(intent.release.clone())),
                (None, None) => (Origin::Elsewhere, run.release.clone()),
            };
            let kind = intent.map(|it| &it.kind).or(recorded.map(|it| &it.kind));
            let id = run.id.as_ref().or(recorded.and_then(|it| it.id.as_ref()));
            return Some(Tracked {
                kind: kind.unwrap_or(&run.kind).clone(),
                id: id.cloned(),
                release,
                origin,
                at: place(&run.steps),
            });
        }
        // An operation that was started recently may not show yet.
        let hidden = recorded.filter(|it| {
            facts::ended(it, state, self.time).is_none() && self.contradicted(it, state).is_none()
        })?;
        Some(Tracked {
            kind: hidden.kind.clone(),
            id: hidden.id.clone(),
            release: hidden.release.clone(),
            origin: Origin::Recorded,
            at: hidden.place(),
        })
    }

    /// Row 3: the offer is in the desired state.
    fn in_sync(&self, state: &OfferState) -> Option<SyncState> {
        let preview = facts::any_preview(state);
        match (self.desired.manifest.state, preview, &state.live) {
            (DesiredState::Preview, Some(preview), _) => {
                Some(SyncState::Preview(Some(preview.clone())))
            }
            (DesiredState::Preview, None, live) => live.clone().map(SyncState::AlreadyLive),
            (DesiredState::Live, _, None) => None,
            (DesiredState::Live, preview, Some(live)) => {
                let is_wanted = match self.desired.manifest.version {
                    Some(_) => self.is_pinned(live, state),
                    None => preview.is_none() && state.unclear.is_none(),
                };
                is_wanted.then(|| SyncState::Live(live.clone()))
            }
        }
    }

    fn is_pinned(&self, release: &Release, state: &OfferState) -> bool {
        let pin = self.desired.manifest.version.map(Release::from);
        pin.as_ref() == Some(release) || state.pinned.as_ref() == Some(release)
    }

    /// Row 4: the manifest holds the offer.
    fn held(&self) -> Option<Hold> {
        let manifest = &self.desired.manifest;
        if manifest.suspend {
            return Some(Hold::Suspended);
        }
        if let Some(until) = manifest.not_before.filter(|until| *until > self.time.now) {
            return Some(Hold::Scheduled(until));
        }
        let waits = !self.waiting_on.is_empty();
        waits.then(|| Hold::WaitingForDependency(self.waiting_on.to_vec()))
    }

    /// Row 5: the last attempt for this very release failed or was canceled, and nothing has
    /// changed.
    fn failed(&self, state: &OfferState) -> Option<Failure> {
        let wanted = self.wanted_kind();
        let intent = self.intent();
        let last = state.last.as_ref().filter(|last| {
            FailureStatus::of(&last.status).is_some()
                && (last.kind == wanted || last.kind.as_str().is_empty())
        });
        if let Some(intent) = intent {
            // `--retry` no longer matters here: this intent is the retry.
            let last = last.filter(|last| last.is_new && intent.kind == wanted)?;
            // The waiting release may be a newer one, which has not failed.
            let is_overtaken = self.wants_live()
                && state.preview.as_ref().is_some_and(|waits| {
                    *waits != intent.release && last.release.as_ref().is_some_and(|it| it != waits)
                });
            if is_overtaken || facts::is_superseded(last, state) {
                return None;
            }
            let release = Some(intent.release.clone());
            return Some(Failure { release, ..Failure::of(last)? });
        }
        if self.retry {
            return None;
        }
        // A failure of another release says nothing about the pinned release.
        let has_pin = self.desired.manifest.version.is_some() && self.wants_live();
        if has_pin && facts::any_preview(state).is_some_and(|it| !self.is_pinned(it, state)) {
            return None;
        }
        let recorded = self.recorded.and_then(|record| record.operation.as_deref());
        let recorded = recorded.filter(|it| it.kind == wanted || it.kind.as_str().is_empty());
        let recorded = recorded.filter(|it| self.is_about(it, state));
        let ended_badly = recorded.and_then(|it| {
            FailureStatus::of(&facts::ended(it, state, self.time)?).map(|status| (it, status))
        });
        // Another attempt counts only if its release is still there to be tried again.
        let is_there = match &state.preview {
            Some(_) => self.wants_live(),
            None => !self.wants_live() || state.stale_preview.is_some(),
        };
        let last = last.filter(|_| is_there || state.unclear.is_some());
        if let Some((operation, status)) = ended_badly {
            let is_same_attempt = last.is_none_or(|last| operation.may_have_id(last.id.as_ref()));
            let is_same_manifest = operation.manifest_digest == self.desired.digest;
            if is_same_attempt {
                return is_same_manifest.then(|| Self::failure_of(operation, status, state));
            }
        }
        // Someone else started it, or its request is not on record.
        last.and_then(Failure::of)
    }

    /// Whether a recorded attempt concerns the current release: no newer release is in preview, and
    /// production holds neither the attempt's own release nor another one than when it failed.
    fn is_about(&self, operation: &OperationRecord, state: &OfferState) -> bool {
        if !self.wants_live() {
            return true;
        }
        let newer = facts::any_preview(state);
        let is_newer =
            newer.is_some() && operation.release.is_some() && newer != operation.release.as_ref();
        let is_live = operation.release.is_some() && state.live == operation.release;
        // The live release seen when the failure was recorded.
        let before = self.recorded.filter(|record| record.phase == Phase::Failed);
        let before = before.and_then(|record| record.observed.as_ref()?.live.as_ref());
        let is_overtaken = newer.is_none()
            && before.is_some()
            && state.live.is_some()
            && before != state.live.as_ref();
        !is_newer && !is_live && !is_overtaken
    }

    fn failure_of(
        operation: &OperationRecord,
        status: FailureStatus,
        state: &OfferState,
    ) -> Failure {
        let mut failure = Failure::of_operation(operation, status);
        let report = facts::followed(state).filter(|_| !operation.status.is_finished());
        if let Some(report) = report {
            failure.steps.clone_from(&report.steps);
            failure.messages.clone_from(&report.messages);
        } else if operation.steps.is_empty()
            && operation.messages.is_empty()
            && let Some(last) = &state.last
        {
            failure.steps.clone_from(&last.steps);
            failure.messages.clone_from(&last.messages);
        }
        failure
    }

    /// A golive in doubt whose release is no longer in preview or live, nor being taken live: it
    /// may have been accepted and have failed, with the offer back at the previous release.
    fn lost_request(&self, state: &OfferState) -> Option<Decision> {
        let intent = self.intent().filter(|_| self.has_golive_in_doubt(state))?;
        if !self.time.has_settled(intent) {
            let why = format!("{} of release {} is in doubt", intent.kind, intent.release);
            return Some(Decision::Blocked(Block::UnknownStatus(why)));
        }
        Some(Decision::Failed(Failure {
            status: FailureStatus::Canceled,
            kind: intent.kind.clone(),
            id: None,
            release: Some(intent.release.clone()),
            steps: Vec::new(),
            messages: Vec::new(),
        }))
    }

    fn has_golive_in_doubt(&self, state: &OfferState) -> bool {
        self.intent().is_some_and(|intent| {
            intent.kind == OperationKind::GoLive
                && self.wants_live()
                && facts::any_preview(state).is_none()
                && state.live.as_ref() != Some(&intent.release)
                && state.is_inspected
                && !facts::ended_for_its_release(intent, state)
                && facts::launched_another_release(intent, state).is_none()
        })
    }

    /// The evidence against a success that a recorded operation reported, once the time for it to
    /// show is over.
    fn contradicted(&self, operation: &OperationRecord, state: &OfferState) -> Option<String> {
        let reports_success = facts::followed(state)
            .is_some_and(|report| report.status == OperationStatus::Succeeded);
        let is_late = !self.time.may_not_show_yet(operation) && state.is_inspected;
        let has_ended = facts::ended(operation, state, self.time).is_some();
        if !reports_success || !is_late || has_ended {
            return None;
        }
        let release = operation.release.as_ref().map_or("?", Release::as_str);
        let shown = match (&state.preview, &state.live) {
            (Some(preview), _) => format!("release {preview} waits for the sign-off"),
            (None, Some(live)) => format!("release {live} is live"),
            (None, None) => "neither preview nor production holds it".to_owned(),
        };
        let kind = &operation.kind;
        Some(format!("{kind} of release {release} is reported as succeeded, but {shown}"))
    }

    fn contradiction(&self, state: &OfferState) -> Option<String> {
        let recorded = self.recorded.and_then(OfferRecord::running)?;
        self.contradicted(recorded, state)
    }

    /// Rows 6 to 8: publish, go live, or report why neither is possible.
    fn proceed(&self, state: &OfferState) -> Decision {
        let retried = state.stale_preview.as_ref().filter(|_| self.retry);
        if !self.wants_live() {
            // Publish only an offer that was never published or whose publish failed.
            let failed = state.last.as_ref().filter(|it| it.kind == OperationKind::Publish);
            let failed = failed.map(|it| it.release.clone().unwrap_or_else(|| Release::from(0)));
            return match state.draft.clone().or(failed) {
                Some(release) => Decision::Publish { release },
                None => Decision::Blocked(Block::UnknownStatus(self.seen.listing.words.clone())),
            };
        }
        let pin = self.desired.manifest.version;
        let mismatch = |found: &Release| {
            pin.filter(|_| !self.is_pinned(found, state)).map(|pinned| {
                let (pinned, found) = (Release::from(pinned), found.clone());
                Decision::Blocked(Block::VersionMismatch { pinned, found })
            })
        };
        if let Some(found) = state.preview.as_ref().or(retried) {
            let go_live = || Decision::GoLive { release: found.clone() };
            return mismatch(found).unwrap_or_else(go_live);
        }
        let live_mismatch = state.live.as_ref().and_then(mismatch);
        live_mismatch.unwrap_or(Decision::Blocked(Block::NotInPreview))
    }

    /// The block if the same request was refused and neither manifest nor offer has changed since.
    fn refused_before(&self, decision: &Decision) -> Option<Block> {
        let (kind, release) = decision.launch()?;
        let record = self.recorded?;
        let after_all = facts::refused_in_a_row(record, &kind, release, &self.desired.digest);
        if let Some(why) = after_all.filter(|_| !self.retry) {
            return Some(Block::Refused(why));
        }
        let refused = record.refused.as_ref()?;
        let same = refused.kind == kind
            && refused.release == *release
            && refused.manifest_digest == self.desired.digest
            && refused.fingerprint == self.seen.listing.fingerprint;
        (same && !self.retry).then(|| Block::Refused(refused.message.clone()))
    }

    fn intent(&self) -> Option<&Intent> {
        self.recorded?.intent.as_deref()
    }

    fn wants_live(&self) -> bool {
        self.desired.manifest.state == DesiredState::Live
    }

    fn wanted_kind(&self) -> OperationKind {
        if self.wants_live() { OperationKind::GoLive } else { OperationKind::Publish }
    }
}

/// Whether a failure outweighs the finding that an offer is live: the status may have fallen back
/// to the release before the one that failed.
fn outweighs(failure: &Failure, state: &OfferState) -> bool {
    failure.kind == OperationKind::GoLive && failure.release != state.live
}
