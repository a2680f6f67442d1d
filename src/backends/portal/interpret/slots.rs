//! The contents of the slots, and which release is live. Slots need not answer for migrated offers
//! (open): then the status, the list and the operations must suffice.

use super::attempts::newest;
use super::{Interpreter, Result, SlotAnswer};
use crate::backends::portal::model::{OfferStatus, Slot, StatusReport, Submission};
use crate::backends::portal::stage::{sign_off, step};
use crate::marketplace::{
    Followed, OfferState, OperationKind, OperationStatus, Release, StepStatus,
};

impl Interpreter<'_> {
    /// The release of the publication that a status describes.
    pub(super) fn publication(&self, report: &StatusReport) -> Option<Release> {
        let told = report.publishing_version.map(Release::from);
        let shown = self.ahead_of_list().or(self.listed);
        told.or_else(|| shown.cloned()).or(report.offer_version.map(Release::from))
    }

    /// The release that waits for the sign-off. If status and list name none, the slot and the
    /// publish do.
    pub(super) fn waiting(&self, report: &StatusReport) -> Result<Option<Release>> {
        if let Some(release) = self.publication(report) {
            return Ok(Some(release));
        }
        if let SlotAnswer::Release(Some(version)) = self.slot(Slot::Preview)? {
            return Ok(Some(version.clone()));
        }
        let publish = |it: &Submission| it.purpose() == OperationKind::Publish && !self.is_bad(it);
        Ok(newest(self.submissions()?, publish).and_then(|it| self.release_of(it)))
    }

    /// Whether a pin names the publication that a status describes.
    pub(super) fn names(report: &StatusReport, pin: &Release) -> bool {
        let number = report.publishing_version.or(report.offer_version);
        number.map(Release::from).as_ref() == Some(pin)
    }

    /// Whether the pin names the release in preview, or the one in production.
    pub(super) fn pin_in_preview(
        &self,
        report: &StatusReport,
        release: &Release,
        state: &mut OfferState,
    ) -> Result {
        let Some(pin) = &self.inquiry.pin else { return Ok(()) };
        if Self::names(report, pin) {
            state.pinned = Some(release.clone());
            return Ok(());
        }
        // Users may know the slots' number. The list's may be that of a failed publish, so it
        // counts only if the slots name none.
        let is_named = match self.slot(Slot::Preview)? {
            SlotAnswer::Release(Some(version)) => version == pin,
            SlotAnswer::Release(None) | SlotAnswer::Empty => {
                report.publishing_version.is_none() && self.listed == Some(pin)
            }
        };
        if is_named {
            state.pinned = Some(release.clone());
        } else if let SlotAnswer::Release(Some(version)) = self.slot(Slot::Production)? {
            state.live = Some(version.clone());
        }
        Ok(())
    }

    /// The release that the status calls live; `None` if the slots contradict it.
    pub(super) fn live_release(&self, report: &StatusReport) -> Result<Option<Release>> {
        if let Some(version) = report.publishing_version {
            return Ok(Some(version.into()));
        }
        let following = self.inquiry.following.as_ref();
        let expected = following.filter(|it| it.kind == OperationKind::GoLive);
        let expected = expected.and_then(|it| it.release.clone());
        let doubt = self.inquiry.in_doubt.as_ref().filter(|it| it.kind == OperationKind::GoLive);
        Ok(match self.slot(Slot::Production)? {
            SlotAnswer::Release(version) => {
                let version = version.clone();
                // The slots may count differently than the list that named the release: then equal
                // slots show that the release from preview is live, if its golive is known to have
                // succeeded.
                if expected.is_some()
                    && version != expected
                    && self.has_succeeded()
                    && matches!(self.slot(Slot::Preview)?, SlotAnswer::Release(it) if *it == version)
                {
                    return Ok(expected);
                }
                version.or_else(|| self.listed.cloned())
            }
            SlotAnswer::Empty => match self.slot(Slot::Preview)? {
                SlotAnswer::Release(_) => None,
                // Neither slot answers. The status may have fallen back to the release before a
                // failed golive, so the golive must be known to have succeeded.
                SlotAnswer::Empty if expected.is_some() && !self.has_succeeded() => {
                    let golive = newest(self.submissions()?, Submission::is_golive);
                    let status = golive.and_then(|it| self.ended_as(it));
                    expected.filter(|_| status == Some(OperationStatus::Succeeded))
                }
                // The same for a golive that may or may not have been accepted.
                SlotAnswer::Empty if expected.is_none() && doubt.is_some() => {
                    let listed = self.submissions()?;
                    let new = doubt.and_then(|doubt| self.caused_by(listed, doubt));
                    let has_succeeded =
                        new.and_then(|it| self.ended_as(it)) == Some(OperationStatus::Succeeded);
                    doubt.map(|it| it.release.clone()).filter(|_| has_succeeded)
                }
                SlotAnswer::Empty => expected
                    .or_else(|| self.listed.cloned())
                    .or(report.offer_version.map(Release::from)),
            },
        })
    }

    /// Whether the followed operation itself says that it succeeded.
    fn has_succeeded(&self) -> bool {
        let following = self.inquiry.following.as_ref();
        let followed = following.and_then(|it| self.followed(it).ok().flatten());
        matches!(followed, Some(Followed::Known(it)) if it.status == OperationStatus::Succeeded)
    }

    /// The state from the slots, for an offer whose status says too little. `kind` is the last
    /// operation that ended, if any.
    pub(super) fn in_slots(
        &self,
        report: &StatusReport,
        kind: Option<&OperationKind>,
        state: &mut OfferState,
    ) -> Result {
        let production = self.slot(Slot::Production)?.clone();
        let preview = self.slot(Slot::Preview)?.clone();
        match (production, preview) {
            (SlotAnswer::Release(live), SlotAnswer::Release(preview)) if live == preview => {
                state.live = live;
            }
            (SlotAnswer::Release(live), SlotAnswer::Release(preview)) => {
                let number = |it: &Option<Release>| it.as_ref()?.as_str().parse::<u64>().ok();
                let is_newer = number(&preview) > number(&live);
                state.live = live;
                state.stale_preview = preview.filter(|_| is_newer);
            }
            (SlotAnswer::Release(live), SlotAnswer::Empty) => state.live = live,
            (SlotAnswer::Empty, SlotAnswer::Release(preview)) => state.stale_preview = preview,
            (SlotAnswer::Empty, SlotAnswer::Empty) => self.beside_slots(report, kind, state),
        }
        let standing = [&state.live, &state.stale_preview];
        let pin = self.inquiry.pin.as_ref();
        state.pinned = pin.filter(|pin| standing.contains(&&Some((*pin).clone()))).cloned();
        // After a failed golive, the release keeps the name that it had while it waited. After a
        // failed publish, status and list name the failed release, not the one in preview.
        if kind != Some(&OperationKind::Publish)
            && state.stale_preview.is_some()
            && let Some(release) = self.publication(report)
        {
            if state.pinned == state.stale_preview {
                state.pinned = Some(release.clone());
            }
            state.stale_preview = Some(release);
        }
        Ok(())
    }

    /// The same if no slot answers.
    fn beside_slots(
        &self,
        report: &StatusReport,
        kind: Option<&OperationKind>,
        state: &mut OfferState,
    ) {
        match kind {
            // After a failed golive, its release is in preview.
            Some(OperationKind::GoLive) => state.stale_preview = self.publication(report),
            Some(OperationKind::Publish | OperationKind::Cancel | OperationKind::Unknown(_)) => {}
            // Not every type of offer has the step `live` (open). Without it, an offer is live once
            // the sign-off and all other steps are complete.
            None => {
                let is_over = report.status == OfferStatus::Succeeded
                    && step(&report.steps, "live").is_none()
                    && sign_off(&report.steps).is_some()
                    && report.steps.iter().all(|it| it.status == StepStatus::Complete);
                state.live = self.publication(report).filter(|_| is_over);
            }
        }
    }
}
