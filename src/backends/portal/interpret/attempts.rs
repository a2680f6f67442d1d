//! Interprets the list of operations: which one runs, how the others ended, and their order. All
//! numbers and times compared here come from that one list.

use std::cmp::Reverse;

use jiff::Timestamp;

use super::{Interpreter, OperationAnswer, Result};
use crate::backends::portal::model::{StatusReport, Submission};
use crate::backends::portal::stage::{Stage, has_failed, is_moving, standing};
use crate::marketplace::{
    Attempt, ChangedTime, InDoubt, OperationKind, OperationStatus, Release, Run, Version,
};

/// Limit for the unfinished entries that are asked for individually, newest first. Only one
/// operation runs at a time, so this leaves room for a few entries whose status is stuck.
const MAX_UNFINISHED: usize = 5;

/// Limit for the attempts stored with a request.
pub(super) const MAX_ATTEMPTS: usize = 100;

/// Clock skew tolerance: an attempt caused by a request may carry a time this long before it.
const CLOCK_SKEW: std::time::Duration = std::time::Duration::from_mins(15);

impl Interpreter<'_> {
    /// The newest unfinished operation that runs, judged from the list, the operation itself and
    /// the offer's status.
    pub(super) fn unfinished(&self) -> Result<Option<Run>> {
        let stage = self.answers.report.as_ref().map(Stage::of);
        let waits = stage == Some(Stage::SignOff);
        let listed = self.submissions()?;
        let mut unfinished: Vec<_> = listed.iter().filter(|it| self.may_run(it, listed)).collect();
        // A stable sort, so that list order breaks ties.
        unfinished.sort_by_key(|it| Reverse(age(it)));
        for submission in unfinished.into_iter().take(MAX_UNFINISHED) {
            let kind = submission.purpose();
            if let Some(doubt) =
                self.inquiry.in_doubt.as_ref().filter(|it| runs_again(submission, it))
            {
                // A golive may share its publish's entry.
                let (kind, release) = (doubt.kind.clone(), Some(doubt.release.clone()));
                return Ok(Some(listed_run(submission, kind, release)));
            }
            if self.is_of_the_status(submission, stage.as_ref(), listed) {
                continue;
            }
            let mut run = listed_run(submission, kind.clone(), self.release_of(submission));
            match self.operation(&submission.reference())? {
                OperationAnswer::Read(operation) => {
                    let told = self.ended_as(submission);
                    let is_good = told == Some(OperationStatus::Succeeded);
                    // After a golive has succeeded, no sign-off waits. So `succeeded` may be the
                    // publish's status if both share one id; the list says that the golive runs.
                    if told.is_some() && !(is_good && waits && submission.is_golive()) {
                        continue;
                    }
                    let named = self.named();
                    let is_named = named.is_some() && named == operation.publishing_version;
                    let is_still = !operation.steps.iter().any(|step| is_moving(&step.status));
                    if waits
                        && kind == OperationKind::Publish
                        && (is_named || (is_still && is_only_publish(submission, listed)))
                    {
                        continue;
                    }
                    if !is_good {
                        run.steps.clone_from(&operation.steps);
                        run.messages.clone_from(&operation.messages);
                    }
                    return Ok(Some(run));
                }
                // An expired operation has ended. But a golive that has just begun may not be known
                // under its id yet, and while the sign-off waits, a mistake would launch it again.
                OperationAnswer::Expired if !waits || !submission.is_golive() => {}
                OperationAnswer::Unreadable
                    if waits
                        && kind == OperationKind::Publish
                        && is_only_publish(submission, listed) => {}
                OperationAnswer::Expired | OperationAnswer::Unreadable => return Ok(Some(run)),
            }
        }
        Ok(None)
    }

    /// The number of the publication that the status describes.
    fn named(&self) -> Option<Version> {
        self.answers.report.as_ref()?.publishing_version
    }

    /// Whether an entry may run, judged from the list alone.
    fn may_run(&self, submission: &Submission, listed: &[Submission]) -> bool {
        let known_to_have_failed = self.inquiry.failed.as_ref().is_some_and(|failed| {
            let is_later = changed(submission).zip(failed.at).is_some_and(|(it, at)| it > at);
            failed.id.as_ref() == Some(&submission.id) && !is_later
        });
        // An entry listed identically before the request didn't run then: otherwise the request
        // would not have been sent.
        let was_there = self
            .inquiry
            .in_doubt
            .as_ref()
            .and_then(|doubt| doubt.known.as_ref())
            .is_some_and(|known| known.contains(&submission.mark()));
        !submission.state.is_finished()
            && !known_to_have_failed
            && !was_there
            && !listed.iter().any(|later| overtakes(later, submission))
    }

    /// Whether the status itself explains an unfinished entry, so that its operation need not be
    /// read: the publish that waits for the sign-off may be listed as running until then (open),
    /// and so may the operation that brought the live release live.
    fn is_of_the_status(
        &self,
        submission: &Submission,
        stage: Option<&Stage>,
        listed: &[Submission],
    ) -> bool {
        let named = self.named();
        let is_named = named.is_some() && named == submission.publishing_version;
        let is_publish = submission.purpose() == OperationKind::Publish;
        match stage {
            Some(Stage::Live) => is_named,
            // If no other publish can have made the waiting release, this one has.
            Some(Stage::SignOff) => {
                let is_other = |it: &&Submission| it.id != submission.id;
                let mut others = listed.iter().filter(is_other);
                // Nor can anything older than the publish known to have made it still run.
                let is_older = others.any(|it| {
                    it.purpose() == OperationKind::Publish
                        && named.is_some()
                        && it.publishing_version == named
                        && submission.publishing_version.is_some_and(|own| Some(own) < named)
                });
                // If the numbers differ, the entry may be newer and the status may lag.
                let differs = named.is_some() && submission.publishing_version.is_some();
                let is_only = !differs && is_only_publish(submission, listed);
                is_older || (is_publish && (is_named || is_only))
            }
            _ => false,
        }
    }

    /// How an entry ended, by the list or, if it was read, by the operation itself; `None` while it
    /// runs or may run.
    pub(super) fn ended_as(&self, submission: &Submission) -> Option<OperationStatus> {
        if submission.state.is_finished() {
            return Some(submission.state.clone());
        }
        let Some(OperationAnswer::Read(operation)) = self.operation_answer(&submission.id) else {
            return None;
        };
        let kind = submission.purpose();
        let (status, runs) = standing(&kind, &operation.status, &operation.steps);
        match (runs, status.is_finished()) {
            (true, _) => None,
            (false, true) => Some(status),
            (false, false) if operation.steps.iter().any(has_failed) => {
                Some(OperationStatus::Failed)
            }
            (false, false) => Some(OperationStatus::Succeeded),
        }
    }

    /// The release of an entry: its publishing version if the status names one, else its offer
    /// version; each stands in if the other is missing.
    pub(super) fn release_of(&self, submission: &Submission) -> Option<Release> {
        let (publishing, offer) = (submission.publishing_version, submission.offer_version);
        let is_named = self.named().is_some();
        let number = if is_named { publishing.or(offer) } else { offer.or(publishing) };
        number.map(Release::from)
    }

    pub(super) fn is_bad(&self, submission: &Submission) -> bool {
        self.ended_as(submission).as_ref().is_some_and(is_bad)
    }

    /// The listed attempt that a request in doubt has caused.
    pub(super) fn caused_by<'a>(
        &self,
        listed: &'a [Submission],
        doubt: &InDoubt,
    ) -> Option<&'a Submission> {
        let is_meant = |it: &Submission| {
            it.purpose() == doubt.kind && self.ended_as(it).is_some() && is_new(it, doubt)
        };
        newest(listed, |it| is_meant(it) && self.release_of(it).as_ref() == Some(&doubt.release))
            .or_else(|| newest(listed, is_meant))
    }

    /// The publish of the release that waits according to the status, if the list says that it
    /// failed or was canceled. Either the status lags, or the entry is that of a golive that shares
    /// its publish's entry.
    pub(super) fn publish_failed<'a>(
        &self,
        listed: &'a [Submission],
        report: &StatusReport,
    ) -> Option<&'a Submission> {
        let is_publish = |it: &Submission| it.purpose() == OperationKind::Publish;
        let publish = newest(listed, |it| is_publish(it) && is_of(it, report)).or_else(|| {
            // If no entry has the number, a publish that didn't fail may have made the release.
            let is_lost = !listed.iter().any(|it| is_publish(it) && !self.is_bad(it));
            newest(listed, is_publish).filter(|_| is_lost)
        });
        publish.filter(|it| self.is_bad(it))
    }

    /// Converts an entry into an attempt that has ended.
    pub(super) fn attempt(&self, submission: &Submission, status: OperationStatus) -> Attempt {
        let doubt = self.inquiry.in_doubt.as_ref();
        Attempt {
            kind: submission.purpose(),
            id: Some(submission.id.clone()),
            release: self.release_of(submission),
            status,
            is_new: doubt.is_some_and(|doubt| is_new(submission, doubt)),
            steps: Vec::new(),
            messages: Vec::new(),
        }
    }

    /// The same, with details from the operation itself if it failed or was canceled.
    pub(super) fn detailed(&self, submission: &Submission) -> Result<Attempt> {
        let status = self.ended_as(submission).unwrap_or_else(|| submission.state.clone());
        let attempt = self.attempt(submission, status);
        if !is_bad(&attempt.status) {
            return Ok(attempt);
        }
        Ok(match self.operation(&submission.reference())? {
            OperationAnswer::Read(operation) => Attempt {
                steps: operation.steps.clone(),
                messages: operation.messages.clone(),
                ..attempt
            },
            OperationAnswer::Expired | OperationAnswer::Unreadable => attempt,
        })
    }

    /// The last golive of the release that waits or stands in preview now, and how it ended.
    pub(super) fn attempted<'a>(
        &self,
        listed: &'a [Submission],
        report: &StatusReport,
    ) -> Option<(&'a Submission, OperationStatus)> {
        // A failed publish has put nothing into preview.
        let publish =
            newest(listed, |it| it.purpose() == OperationKind::Publish && !self.is_bad(it));
        let golive = newest(listed, Submission::is_golive)?;
        let status = self.ended_as(golive)?;
        is_attempt_at(golive, &status, publish, report).then_some((golive, status))
    }
}

pub(super) fn is_bad(status: &OperationStatus) -> bool {
    matches!(status, OperationStatus::Failed | OperationStatus::Canceled)
}

pub(super) fn changed(submission: &Submission) -> Option<Timestamp> {
    submission.changed_time.as_ref().and_then(ChangedTime::timestamp)
}

/// Whether an entry has the number of the publication that the status describes.
fn is_of(submission: &Submission, report: &StatusReport) -> bool {
    let number = submission.publishing_version;
    number.is_some() && number == report.publishing_version
}

/// An unfinished entry as a run whose steps aren't known.
fn listed_run(submission: &Submission, kind: OperationKind, release: Option<Release>) -> Run {
    let (steps, messages) = (Vec::new(), Vec::new());
    Run { kind, id: Some(submission.id.clone()), release, steps, messages }
}

/// The sort key for the age of entries.
fn age(submission: &Submission) -> impl Ord + use<> {
    (changed(submission), submission.publishing_version)
}

/// Whether an attempt was listed only after a request, or has changed since.
pub(super) fn is_new(submission: &Submission, doubt: &InDoubt) -> bool {
    let changed = changed(submission);
    let since = doubt.at.checked_sub(CLOCK_SKEW).unwrap_or(doubt.at);
    match &doubt.known {
        Some(known) => {
            // If the stored list was truncated, an old enough time marks an attempt as known.
            let is_old = known.len() >= MAX_ATTEMPTS && changed.is_some_and(|at| at < since);
            !is_old && !known.contains(&submission.mark())
        }
        None => changed.is_none_or(|at| at >= since),
    }
}

/// Whether an entry that had ended before a request runs now.
fn runs_again(submission: &Submission, doubt: &InDoubt) -> bool {
    let mut known = doubt.known.iter().flatten();
    known.any(|mark| mark.id() == submission.id && mark.is_finished())
}

/// The newest operation for which `is_meant` holds: by change time; on equal or missing times, by
/// publishing version; then the first, since lists have the newest first (field).
pub(super) fn newest(
    listed: &[Submission],
    is_meant: impl Fn(&Submission) -> bool,
) -> Option<&Submission> {
    listed.iter().rev().filter(|it| is_meant(it)).max_by_key(|it| age(it))
}

/// All operations, in the order of [`newest`].
pub(super) fn newest_first(listed: &[Submission]) -> Vec<&Submission> {
    let mut all: Vec<_> = listed.iter().collect();
    all.sort_by_key(|it| Reverse(age(it)));
    all
}

/// The release of a publish that succeeded after the publication that the status describes: just
/// after a publish, the status still describes the publication before (field). Both are in one
/// list.
pub(super) fn newer_publish(listed: &[Submission], report: &StatusReport) -> Option<Release> {
    let published = |it: &&Submission| {
        it.purpose() == OperationKind::Publish && it.state == OperationStatus::Succeeded
    };
    let own = report.publishing_version?;
    let numbers = listed.iter().filter(published).filter_map(|it| it.publishing_version);
    let is_listed = numbers.clone().any(|number| number == own);
    numbers.max().filter(|newest| is_listed && *newest > own).map(Release::from)
}

/// Whether an entry listed as running can't run: a later release was published since, and the
/// marketplace refuses a publish while an operation runs (field). Numbers alone suffice, as they
/// grow with each publish, unless the times contradict them.
fn overtakes(later: &Submission, submission: &Submission) -> bool {
    let numbers = later.publishing_version.zip(submission.publishing_version);
    let times = changed(later).zip(changed(submission));
    later.purpose() == OperationKind::Publish
        && later.state == OperationStatus::Succeeded
        && numbers.is_some_and(|(later, it)| later > it)
        && times.is_none_or(|(later, it)| later >= it)
}

/// Whether no other publish in the list can have made the waiting release.
fn is_only_publish(submission: &Submission, listed: &[Submission]) -> bool {
    !listed.iter().any(|it| it.id != submission.id && may_wait(it, listed))
}

/// Whether a publish may have made the waiting release: it has not failed, and no golive has taken
/// its release live.
fn may_wait(publish: &Submission, listed: &[Submission]) -> bool {
    let took = |golive: &Submission| {
        let times = changed(golive).zip(changed(publish));
        let numbers = golive.publishing_version.zip(publish.publishing_version);
        golive.is_golive()
            && golive.state == OperationStatus::Succeeded
            && (times.is_some_and(|(golive, publish)| golive > publish)
                || numbers.is_some_and(|(golive, publish)| golive == publish))
    };
    publish.purpose() == OperationKind::Publish
        && !is_bad(&publish.state)
        && !listed.iter().any(took)
}

/// Whether an ended golive was an attempt at the release that waits now: whether it came after the
/// publish that brought that release to preview. Both are in one list.
///
/// In doubt, a failed golive counts as such an attempt, so that golive reports it rather than
/// repeats it; a succeeded one does not, since the sign-off step says so.
fn is_attempt_at(
    golive: &Submission,
    status: &OperationStatus,
    publish: Option<&Submission>,
    report: &StatusReport,
) -> bool {
    let Some(publish) = publish else {
        // A list without a publish isn't enough evidence.
        let numbers = golive.publishing_version.zip(report.publishing_version);
        return is_of(golive, report) || (is_bad(status) && numbers.is_none());
    };
    if is_of(publish, report) && golive.publishing_version.is_some() {
        return is_of(golive, report);
    }
    match (changed(golive), changed(publish)) {
        (Some(golive), Some(publish)) if golive != publish => golive > publish,
        _ => match golive.publishing_version.zip(publish.publishing_version) {
            Some((golive, publish)) => golive >= publish,
            None => is_bad(status),
        },
    }
}
