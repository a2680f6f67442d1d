//! The result of the operation that golive follows: the submission tells its state, the job its
//! errors.
//!
//! The submission alone is enough: soon after the request it shows as live and carries the result.
//! Until then only the job shows that the request was accepted (open: how soon; a client allows an
//! hour).

use super::shape::Shape;
use super::{DRAFT, Heard, Question};
use crate::backends::ingestion::model::{Job, JobState, Stage, Submission};
use crate::backends::ingestion::translate::is_id;
use crate::marketplace::{Following, OperationKind, OperationStatus, Release, Report};

/// The report on an operation; `None` if the answers don't show it.
pub(super) fn report(
    following: &Following,
    shape: &Shape<'_>,
    job: Option<&Heard>,
) -> Result<Option<Report>, Question> {
    let Some(entry) = entry(following, shape) else {
        if following.kind == OperationKind::Publish && shape.publishing.is_some() {
            return Ok(Some(running(following.release.clone())));
        }
        // One publish of a product runs at a time: if another one does, the job has ended, and only
        // its errors are of interest.
        let is_needed = shape.running(None).is_none();
        if let Some(heard) = &following.latest {
            return Ok(Some(heard.clone()));
        }
        if job == Some(&Heard::NotYet) {
            return Ok(Some(running(following.release.clone())));
        }
        return Ok(ask(following, job, is_needed)?.and_then(|job| of_job(job, following)));
    };
    let release = Some(Release::new(entry.number.as_str()));
    let Some(status) = entry.stage.ended_as() else {
        return Ok((entry.stage == Stage::Running).then(|| running(release)));
    };
    if status == OperationStatus::Succeeded {
        return Ok(Some(Report { status, runs: false, release, ..running(None) }));
    }
    if let Some(heard) = following.latest.as_ref().filter(|heard| heard.status.is_finished()) {
        let messages = heard.messages.clone();
        return Ok(Some(Report { status, runs: false, release, messages, ..running(None) }));
    }
    // A second try at a failed release doesn't show at once (seen by clients: the list lags by
    // minutes): until it does, the entry is that of the first, and only the job knows better.
    if job == Some(&Heard::NotYet) {
        return Ok(Some(running(release)));
    }
    match ask(following, job, false)? {
        Some(job) if matches!(job.state, JobState::Running | JobState::Succeeded) => {
            Ok(Some(running(release)))
        }
        Some(job) => {
            let messages = job.messages.clone();
            Ok(Some(Report { status, runs: false, release, messages, ..running(None) }))
        }
        None => Ok(Some(Report { status, runs: false, release, ..running(None) })),
    }
}

/// The submission that the operation works on.
fn entry<'a>(following: &Following, shape: &Shape<'a>) -> Option<&'a Submission> {
    let number = following.release.as_ref().map(Release::as_str);
    let launched = number.and_then(|number| shape.live_entry(number));
    match following.kind {
        OperationKind::GoLive => {
            launched.or_else(|| shape.going_live.first().copied().filter(|_| number.is_none()))
        }
        OperationKind::Publish => published(following, shape),
        OperationKind::Cancel | OperationKind::Unknown(_) => None,
    }
}

/// The submission that a publish made. golive publishes only an offer that has nothing in preview, so
/// what is there is new. A publish of others has a number, and another one was there before it.
pub(super) fn published<'a>(following: &Following, shape: &Shape<'a>) -> Option<&'a Submission> {
    let number = following.release.as_ref().map(Release::as_str);
    let own = number.filter(|number| *number != DRAFT);
    shape.preview.filter(|it| own.is_none_or(|own| own == it.number))
}

fn running(release: Option<Release>) -> Report {
    let (steps, messages) = (Vec::new(), Vec::new());
    Report { status: OperationStatus::Running, runs: true, steps, messages, release }
}

/// The job's answer; `None` if there is none. Without another source, an unreadable answer is requested
/// again.
fn ask<'a>(
    following: &Following,
    job: Option<&'a Heard>,
    is_needed: bool,
) -> Result<Option<&'a Job>, Question> {
    let id = following.operation.as_ref().map(|it| &it.id).filter(|id| is_id(id));
    let Some(id) = id else { return Ok(None) };
    match job {
        Some(Heard::Says(job)) => Ok(Some(job)),
        Some(Heard::Gone | Heard::NotYet) => Ok(None),
        Some(Heard::Silent) if !is_needed => Ok(None),
        Some(Heard::Silent) | None => Err(Question::Job { id: id.clone(), is_needed }),
    }
}

/// The operation as the job alone reports it.
fn of_job(job: &Job, following: &Following) -> Option<Report> {
    let status = match job.state {
        JobState::Running => OperationStatus::Running,
        JobState::Succeeded => OperationStatus::Succeeded,
        JobState::Failed => OperationStatus::Failed,
        JobState::Canceled => OperationStatus::Canceled,
        JobState::Refused => OperationStatus::Refused,
        // Its end is known, its result isn't: the offer shows it.
        JobState::Over => return None,
    };
    Some(Report {
        runs: status == OperationStatus::Running,
        status,
        steps: Vec::new(),
        messages: job.messages.clone(),
        release: following.release.clone(),
    })
}
