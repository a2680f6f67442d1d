//! The state for each stage of an offer's life.

use super::attempts::{changed, is_bad, newer_publish, newest};
use super::{Interpreter, Result, SlotAnswer};
use crate::backends::portal::model::{OfferStatus, Slot, StatusReport, Submission};
use crate::backends::portal::stage::{Stage, step};
use crate::marketplace::{
    Attempt, Followed, OfferState, OperationKind, OperationStatus, Release, Run, StepStatus,
};

impl Interpreter<'_> {
    pub(super) fn in_stage(&self, report: &StatusReport, state: &mut OfferState) -> Result {
        match Stage::of(report) {
            Stage::NeverPublished => self.never_published(report, state),
            Stage::SignOff => self.sign_off(report, state),
            Stage::Running(kind) => self.running(report, &kind, state),
            Stage::Live => self.live(report, state),
            Stage::AtRest => self.at_rest(report, state),
            Stage::Ended(kind, status) => self.ended(report, kind, status, state),
            Stage::Unclear(words) => self.unclear(report, words, state),
        }
    }

    fn never_published(&self, report: &StatusReport, state: &mut OfferState) -> Result {
        self.retry_followed()?;
        if !self.inquiry.wants_live {
            let is_good = |it: &Submission| self.ended_as(it) == Some(OperationStatus::Succeeded);
            if let Some(good) = newest(self.submissions()?, is_good) {
                let (word, kind) = (report.status.as_str(), good.purpose());
                state.unclear = Some(format!(
                    "the status says {word}, but the list of operations says that a {kind} has \
                     succeeded"
                ));
                return Ok(());
            }
        }
        state.draft = Some(self.listed.cloned().unwrap_or_else(|| Release::from(0)));
        if !self.inquiry.wants_live || self.answers.submissions.is_some() {
            state.running = self.unfinished()?;
        }
        if !self.inquiry.wants_live {
            // The status may fall back to this stage after a failed first publish.
            let newest = newest(self.submissions()?, |it| it.kind == OperationKind::Publish);
            state.last =
                newest.filter(|it| self.is_bad(it)).map(|it| self.detailed(it)).transpose()?;
        }
        Ok(())
    }

    fn sign_off(&self, report: &StatusReport, state: &mut OfferState) -> Result {
        self.retry_followed()?;
        let Some(release) = self.waiting(report)? else {
            state.unclear = Some("a preview waits, but nothing names its version".to_owned());
            return Ok(());
        };
        if self.inquiry.wants_live || self.answers.submissions.is_some() {
            let submissions = self.submissions()?;
            if let Some(run) = self.unfinished()? {
                // A golive works on the waiting release, so that release's name counts, not a
                // number of the list.
                let own = Some(release).filter(|_| run.kind == OperationKind::GoLive);
                state.running = Some(Run { release: own.or(run.release), ..run });
                return Ok(());
            }
            if let Some(failed) = self.publish_failed(submissions, report) {
                let kind = OperationKind::Unknown(String::new());
                let last = self.detailed(failed)?;
                state.last = Some(Attempt { kind, release: Some(release.clone()), ..last });
            }
            if let Some(newer) = newer_publish(submissions, report) {
                state.unclear = Some(format!(
                    "the status says that release {release} waits for the sign-off, but the list of \
                     operations says that release {newer} was published since"
                ));
                return Ok(());
            }
            match self.attempted(submissions, report) {
                Some((golive, status)) if is_bad(&status) => {
                    let last = self.detailed(golive)?;
                    state.last = Some(Attempt { release: Some(release.clone()), ..last });
                }
                Some((golive, _)) => {
                    let numbers = golive.publishing_version.zip(report.publishing_version);
                    let what = match numbers.filter(|(golive, report)| golive != report) {
                        Some((golive, _)) => {
                            format!("only a golive of {golive} since the last publish")
                        }
                        None => "that a golive of it has succeeded".to_owned(),
                    };
                    state.unclear = Some(format!(
                        "the status says that release {release} waits for the sign-off, but the list \
                         of operations shows {what}"
                    ));
                }
                None => {}
            }
        }
        if state.last.is_none() {
            state.last = self.attempt_in_status(report, &release);
        }
        self.pin_in_preview(report, &release, state)?;
        // A newer preview has replaced the launched one: the production slot shows how its launch
        // ended.
        if let Some(following) = &self.inquiry.following
            && following.kind == OperationKind::GoLive
            && following.release.as_ref() != Some(&release)
            && let SlotAnswer::Release(Some(version)) = self.slot(Slot::Production)?
        {
            state.live = Some(version.clone());
        }
        state.preview = Some(release);
        state.is_launchable = self.answers.submissions.is_some()
            && (!self.inquiry.may_be_fenced || self.answers.document.is_some());
        Ok(())
    }

    /// The attempt that only the step `live`, or the overall status above a waiting sign-off,
    /// shows.
    fn attempt_in_status(&self, report: &StatusReport, release: &Release) -> Option<Attempt> {
        let live = step(&report.steps, "live").map(|step| &step.status);
        let (kind, status) = match (live, &report.status) {
            (Some(StepStatus::Failed | StepStatus::Rejected), _) => {
                (OperationKind::GoLive, OperationStatus::Failed)
            }
            (Some(StepStatus::Canceled), _) => (OperationKind::GoLive, OperationStatus::Canceled),
            (_, OfferStatus::Failed) => {
                (OperationKind::Unknown(String::new()), OperationStatus::Failed)
            }
            (_, OfferStatus::Canceled) => {
                (OperationKind::Unknown(String::new()), OperationStatus::Canceled)
            }
            _ => return None,
        };
        // A publish over the waiting release may explain the status, if nothing came after it.
        let last = newest(self.answers.submissions.as_deref().unwrap_or_default(), |it| {
            it.kind != OperationKind::Cancel
        });
        let is_explained = last.is_some_and(|it| {
            it.purpose() == OperationKind::Publish && self.ended_as(it).as_ref() == Some(&status)
        });
        if is_explained && kind != OperationKind::GoLive {
            return None;
        }
        Some(status_attempt(report, kind, status, Some(release.clone())))
    }

    fn running(
        &self,
        report: &StatusReport,
        kind: &OperationKind,
        state: &mut OfferState,
    ) -> Result {
        let following = self.inquiry.following.as_ref();
        let is_open = kind.as_str().is_empty();
        let followed_id = following.and_then(|it| it.operation.as_ref()).map(|it| it.id.as_str());
        // The list's own status, since it no longer lags behind the offer's.
        let found = newest(self.submissions()?, |it| {
            let purpose = it.purpose();
            let fits = is_open || purpose == *kind || matches!(purpose, OperationKind::Unknown(_));
            !it.state.is_finished() && fits
        });
        let ended = self.followed_to_a_bad_end();
        if let Some(ended) =
            ended.filter(|_| found.is_none_or(|it| Some(it.id.as_str()) == followed_id))
        {
            state.unclear = Some(format!(
                "the status says {}, but the operation that golive followed says {ended}",
                report.status
            ));
            return Ok(());
        }
        // A golive may have the id of its publish, which has ended: then the status decides.
        let followed = following.filter(|it| is_open || it.kind == *kind);
        let (id, found_kind, release) = match (found, followed) {
            (Some(found), _) => (Some(found.id.clone()), found.purpose(), self.release_of(found)),
            (None, Some(followed)) => {
                let id = followed.operation.as_ref().map(|operation| operation.id.clone());
                (id, followed.kind.clone(), followed.release.clone())
            }
            (None, None) => (None, kind.clone(), None),
        };
        let kind = if is_open { found_kind } else { kind.clone() };
        // By the name that it will have once live.
        let named = report.publishing_version.map(Release::from);
        let release = named.or(release).or_else(|| self.publication(report));
        let (steps, messages) = (report.steps.clone(), report.messages.clone());
        state.running = Some(Run { kind, id, release, steps, messages });
        Ok(())
    }

    fn live(&self, report: &StatusReport, state: &mut OfferState) -> Result {
        // Just after a publish, the status still describes the publication before (field, BOSH).
        if self.answers.submissions.is_some()
            && let Some(run) = self.unfinished()?
        {
            state.running = Some(run);
            return Ok(());
        }
        let Some(release) = self.live_release(report)? else {
            self.retry_followed()?;
            state.unclear = Some(
                "the status says that it is live, but neither the Production slot nor a golive \
                 that has succeeded shows it"
                    .to_owned(),
            );
            return Ok(());
        };
        if let Some(pin) = &self.inquiry.pin {
            let named = release == *pin
                || Self::names(report, pin)
                || matches!(self.slot(Slot::Production)?, SlotAnswer::Release(Some(it)) if it == pin);
            state.pinned = named.then(|| release.clone());
        }
        let following = self.inquiry.following.as_ref();
        if following.is_some_and(|it| it.release.as_ref() != Some(&release)) {
            self.retry_followed()?;
            // An operation that can no longer be read is in the list.
            if let Some(Followed::Expired) = &state.followed {
                self.submissions()?;
            }
        }
        if self.is_known_to_have_failed(&release)? && !self.is_in_production(report, &release)? {
            state.unclear = Some(format!(
                "the status says that release {release} is live, but its golive failed"
            ));
            return Ok(());
        }
        // golive follows its own operations to their end.
        let is_ours = following.is_some() || self.inquiry.in_doubt.is_some();
        if self.inquiry.wants_live && self.inquiry.pin.is_none() && !is_ours {
            self.failed_since(&release, state)?;
        }
        state.live = Some(release);
        Ok(())
    }

    /// A golive of another release that failed after this one went live: the status has fallen
    /// back, and the failed release is in preview.
    fn failed_since(&self, live: &Release, state: &mut OfferState) -> Result {
        let newest = newest(self.submissions()?, |it| it.kind != OperationKind::Cancel);
        let Some(golive) = newest.filter(|it| it.is_golive() && self.is_bad(it)) else {
            return Ok(());
        };
        let release = self.release_of(golive).filter(|release| release != live);
        if release.is_some() {
            state.last = Some(Attempt { release: release.clone(), ..self.detailed(golive)? });
            state.stale_preview = release;
        }
        Ok(())
    }

    /// Whether both the status and the Production slot name the release: two sources against its
    /// golive's report.
    fn is_in_production(&self, report: &StatusReport, release: &Release) -> Result<bool> {
        let is_named = report.publishing_version.map(Release::from).as_ref() == Some(release);
        let held = self.slot(Slot::Production)?;
        Ok(is_named && matches!(held, SlotAnswer::Release(Some(held)) if held == release))
    }

    /// The bad end of the followed operation, if the operation itself reports one.
    fn followed_to_a_bad_end(&self) -> Option<OperationStatus> {
        let following = self.inquiry.following.as_ref()?;
        match self.followed(following).ok().flatten()? {
            Followed::Known(report) => Some(report.status).filter(is_bad),
            Followed::Expired => None,
        }
    }

    /// Whether a golive of a release is known to have failed, with no later one: then a status that
    /// says live doesn't count.
    fn is_known_to_have_failed(&self, release: &Release) -> Result<bool> {
        let following = self.inquiry.following.as_ref();
        let is_of_it = following.is_some_and(|it| {
            it.kind == OperationKind::GoLive && it.release.as_ref() == Some(release)
        });
        if is_of_it && self.followed_to_a_bad_end().is_some() {
            return Ok(true);
        }
        if let Some(doubt) = &self.inquiry.in_doubt
            && doubt.kind == OperationKind::GoLive
            && doubt.release == *release
            && self.caused_by(self.submissions()?, doubt).is_some_and(|it| self.is_bad(it))
        {
            return Ok(true);
        }
        let failed = self.inquiry.failed.as_ref();
        let Some(failed) = failed.filter(|it| it.release.as_ref() == Some(release)) else {
            return Ok(false);
        };
        let golive = newest(self.submissions()?, Submission::is_golive);
        let is_later = golive.is_some_and(|it| {
            let is_other = failed.id.as_ref() != Some(&it.id) || changed(it) > failed.at;
            is_other && self.ended_as(it) == Some(OperationStatus::Succeeded)
        });
        Ok(!is_later)
    }

    fn at_rest(&self, report: &StatusReport, state: &mut OfferState) -> Result {
        self.retry_followed()?;
        if let Some(run) = self.unfinished()? {
            state.running = Some(run);
            return Ok(());
        }
        self.in_slots(report, None, state)?;
        if let Some(preview) = state.stale_preview.take() {
            state.unclear = Some(format!(
                "{}, and release {preview} is in preview, but no sign-off waits for it",
                report.status
            ));
        } else if state.live.is_none() {
            state.unclear = Some(format!(
                "{}, but neither a step nor a slot shows what is in preview or in production",
                report.status
            ));
        }
        Ok(())
    }

    fn ended(
        &self,
        report: &StatusReport,
        kind: OperationKind,
        status: OperationStatus,
        state: &mut OfferState,
    ) -> Result {
        if let Some(run) = self.unfinished()? {
            state.running = Some(run);
            return Ok(());
        }
        let submissions = self.submissions()?;
        let is_it = |it: &Submission| self.ended_as(it).as_ref() == Some(&status);
        // Not every operation has its own entry, and the entry of an earlier release says nothing
        // about this one.
        let listed = match kind {
            OperationKind::GoLive => self.attempted(submissions, report).map(|(golive, _)| golive),
            OperationKind::Publish => newest(submissions, |it| it.purpose() == kind),
            OperationKind::Cancel | OperationKind::Unknown(_) => {
                newest(submissions, |it| it.kind != OperationKind::Cancel)
            }
        };
        let last = match listed.filter(|it| is_it(it)) {
            Some(listed) => self.detailed(listed)?,
            None => status_attempt(report, kind, status, None),
        };
        let release = last.release.clone();
        let named = self.publication(report);
        let own = named.clone().filter(|_| last.kind == OperationKind::GoLive);
        state.last = Some(Attempt { release: own.or(release).or(named), ..last });
        let kind = state.last.as_ref().map(|last| last.kind.clone());
        self.in_slots(report, kind.as_ref(), state)
    }

    fn unclear(&self, report: &StatusReport, words: String, state: &mut OfferState) -> Result {
        self.retry_followed()?;
        if let Some(run) = self.unfinished()? {
            state.running = Some(run);
            return Ok(());
        }
        let submissions = self.submissions()?;
        let wanted = if self.inquiry.wants_live {
            newest(submissions, Submission::is_golive)
        } else {
            newest(submissions, |it| it.purpose() == OperationKind::Publish)
        };
        if let Some(wanted) = wanted.filter(|it| self.is_bad(it)) {
            state.last = Some(self.detailed(wanted)?);
        }
        state.stale_preview = self.publication(report).filter(|_| state.last.is_some());
        state.unclear = Some(words);
        Ok(())
    }
}

/// An attempt that only the offer's status shows.
fn status_attempt(
    report: &StatusReport,
    kind: OperationKind,
    status: OperationStatus,
    release: Option<Release>,
) -> Attempt {
    Attempt {
        kind,
        id: None,
        release,
        status,
        is_new: false,
        steps: report.steps.clone(),
        messages: report.messages.clone(),
    }
}
