//! Derives an offer's state from the API's answers. Pure, and lazy: where an answer is missing that
//! the state depends on, it returns the read to do next.
//!
//! | module | what it is |
//! |---|---|
//! | `shape` | how the submissions stand |
//! | `trace` | the result of the operation that golive follows |
//!
//! The rules, and where they come from:
//!
//! - Live: an entry of target live, completed, succeeded (documented). Going live: an entry of
//!   target live, not completed (seen by clients). In preview: the newest preview entry, completed,
//!   succeeded, whose id has no live entry (seen by clients, inferred).
//! - Both shapes of a live product mean the same: one entry for its id, or one for preview and one
//!   for live (documented; seen by clients).
//! - An id that is no longer listed is neither failure nor success: a newer preview replaces an
//!   older one (documented), or someone canceled it in the portal.
//! - A failed golive can be tried again only if a person asks for it. Open: whether the service
//!   takes the same id again.
//! - A golive of a deprecated product would restore it. Open: whether that is wanted; so it blocks.

mod shape;
#[cfg(test)]
mod tests;
mod trace;

use std::cmp::Reverse;

use self::shape::Shape;
use super::model::{DRAFT, Job, Lifecycle, Product, Submission, Target};
use crate::marketplace::{
    Attempt, AttemptMark, Fence, Followed, Following, InDoubt, Inquiry, Level, Message, OfferState,
    OperationKind, OperationStatus, Release, Report, Run,
};

/// A read that is needed to determine the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// *list submissions*
    Submissions,
    /// *job status*
    Job {
        id: String,
        /// Whether there is no other source; otherwise only its errors are of use.
        is_needed: bool,
    },
}

/// What *job status* answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The job.
    Says(Job),
    /// It can't be read any more. Open: how long it can.
    Gone,
    /// It can't be read yet: the request was accepted a moment ago.
    NotYet,
    /// No answer could be read this time.
    Silent,
}

/// The answers so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    pub(super) submissions: Option<Vec<Submission>>,
    pub(super) job: Option<Heard>,
}

/// The state of an offer, or the read that is needed first.
pub(super) fn interpret(
    product: &Product,
    inquiry: &Inquiry,
    answers: &Answers,
) -> Result<OfferState, Question> {
    let list = answers.submissions.as_deref().ok_or(Question::Submissions)?;
    Interpreter { product, inquiry, list, shape: Shape::of(list) }.state(answers.job.as_ref())
}

/// The report on an operation; `None` if the answers don't show it.
pub(super) fn report(
    product: &Product,
    following: &Following,
    answers: &Answers,
) -> Result<Option<Report>, Question> {
    let list = answers.submissions.as_deref().ok_or(Question::Submissions)?;
    let report = trace::report(following, &Shape::of(list), answers.job.as_ref())?;
    Ok(report.map(|report| with_place(product, report)))
}

/// A report on a failure, with the place where the marketplace says why.
fn with_place(product: &Product, mut report: Report) -> Report {
    let place = where_to_look(product);
    if report.status == OperationStatus::Failed && !report.messages.contains(&place) {
        report.messages.push(place);
    }
    report
}

struct Interpreter<'a> {
    product: &'a Product,
    inquiry: &'a Inquiry,
    list: &'a [Submission],
    shape: Shape<'a>,
}

impl Interpreter<'_> {
    fn state(&self, job: Option<&Heard>) -> Result<OfferState, Question> {
        let mut state = OfferState {
            is_inspected: true,
            product: Some(self.product.guid.clone()),
            listed: Some(self.ended()),
            attempts: self.shape.entries.iter().filter_map(|it| mark(it)).collect(),
            live: self.shape.live.map(release),
            ..OfferState::default()
        };
        let mut report = None;
        if let Some(following) = &self.inquiry.following {
            report = trace::report(following, &self.shape, job)?
                .map(|report| with_place(self.product, report));
            state.followed = match &report {
                Some(report) => Some(Followed::Known(Box::new(report.clone()))),
                None => following.operation.is_some().then_some(Followed::Expired),
            };
        }
        self.obstacles(&mut state);
        state.running = self.running(report.as_ref());
        if state.running.is_none() && state.unclear.is_none() {
            self.at_rest(report.as_ref(), &mut state);
        }
        Ok(state)
    }

    /// Why the state isn't clear, if it isn't.
    fn obstacles(&self, state: &mut OfferState) {
        let mut unclear = self.shape.unclear.clone();
        let is_deprecated = self.product.lifecycle == Lifecycle::Deprecated
            || self.shape.live.is_some_and(|live| live.is_deprecated);
        if is_deprecated {
            // It isn't on the marketplace, whatever the entry says.
            state.live = None;
            unclear.push(
                "the product is deprecated: a golive would bring it back to the marketplace; \
                 restore it in Partner Center if that is wanted"
                    .to_owned(),
            );
        }
        if self.product.lifecycle == Lifecycle::Deleted {
            state.live = None;
            unclear.push("the product is deleted".to_owned());
        }
        if !self.inquiry.wants_live && self.list.is_empty() {
            unclear.push("no submission is listed, not even a draft to publish".to_owned());
        }
        state.unclear = (!unclear.is_empty()).then(|| unclear.join("; "));
    }

    /// What runs: by the list, else by the followed operation's job.
    fn running(&self, report: Option<&Report>) -> Option<Run> {
        let following = self.inquiry.following.as_ref();
        let meant = following.and_then(|it| it.release.as_ref());
        let meant = meant.or(self.inquiry.in_doubt.as_ref().map(|it| &it.release));
        let (kind, number) = match (self.shape.running(meant), following) {
            (Some(run), _) => (run.kind, run.number.map(Release::new)),
            (None, Some(following)) if report.is_some_and(|it| it.runs) => {
                (following.kind.clone(), following.release.clone())
            }
            (None, _) => return None,
        };
        Some(Run {
            id: self.id(&kind, number.as_ref().map_or(DRAFT, Release::as_str), false),
            kind,
            release: number,
            steps: Vec::new(),
            messages: Vec::new(),
        })
    }

    /// The releases if nothing runs, and the failed or canceled attempt.
    fn at_rest(&self, report: Option<&Report>, state: &mut OfferState) {
        let shape = &self.shape;
        if let Some(waiting) = shape.waiting() {
            state.preview = Some(release(waiting));
        } else if let Some(failed) = shape.failed_live {
            state.stale_preview = Some(release(failed));
            state.last = self.failure(OperationKind::GoLive, failed, report);
        } else if let Some(failed) = shape.failed_preview() {
            state.last = self.failure(OperationKind::Publish, failed, report);
        }
        let at_hand = state.preview.as_ref().or(state.stale_preview.as_ref());
        // The id of the preview is all that guards a golive: there is no entity tag (no source has
        // one).
        state.fence = at_hand.map(|release| Fence(release.as_str().to_owned()));
        let is_unpublished = at_hand.is_none() && state.live.is_none();
        state.draft = (is_unpublished && shape.has_draft).then(|| Release::new(DRAFT));
        let has_target = at_hand.is_some() || state.draft.is_some();
        state.is_launchable = has_target && self.product.is_confirmed;
    }

    fn failure(
        &self,
        kind: OperationKind,
        entry: &Submission,
        report: Option<&Report>,
    ) -> Option<Attempt> {
        let mut attempt = self.attempt(kind, entry)?;
        let is_followed = self.is_followed(&attempt.kind, &entry.number);
        let place = where_to_look(self.product);
        if let Some(report) = report.filter(|_| is_followed) {
            attempt.messages.clone_from(&report.messages);
        }
        if !attempt.messages.contains(&place) {
            attempt.messages.push(place);
        }
        Some(attempt)
    }

    /// Every attempt that the list shows as ended, newest first.
    fn ended(&self) -> Vec<Attempt> {
        let mut list = self.shape.entries.clone();
        list.sort_by_key(|it| {
            let is_live = it.target == Target::Live;
            Reverse((it.created, it.number.len(), it.number.clone(), is_live))
        });
        let attempts = list.into_iter().filter_map(|it| self.attempt(kind(it)?, it));
        attempts.collect()
    }

    fn attempt(&self, kind: OperationKind, entry: &Submission) -> Option<Attempt> {
        let status = entry.stage.ended_as()?;
        let has_failed = status != OperationStatus::Succeeded;
        Some(Attempt {
            id: self.id(&kind, &entry.number, has_failed),
            release: Some(release(entry)),
            status,
            is_new: self.inquiry.in_doubt.as_ref().is_some_and(|it| is_new(&kind, entry, it)),
            kind,
            steps: Vec::new(),
            messages: Vec::new(),
        })
    }

    /// The id of an operation on a submission: the one that golive has on record for it, else one
    /// made of the submission's number and target, which isn't a job's id. A draft that is published
    /// has no number yet. The record of a failure is about an attempt that has failed, not about a
    /// later one that runs or succeeds.
    fn id(&self, kind: &OperationKind, number: &str, has_failed: bool) -> Option<String> {
        if self.is_followed(kind, number) {
            let operation = self.inquiry.following.as_ref()?.operation.as_ref();
            return operation.map(|it| it.id.clone());
        }
        let failed = self.inquiry.failed.as_ref().filter(|it| {
            if !has_failed {
                return false;
            }
            let release = it.release.as_ref().map(Release::as_str);
            release == Some(number) || (release == Some(DRAFT) && *kind == OperationKind::Publish)
        });
        let recorded = failed.and_then(|it| it.id.clone());
        let target = if *kind == OperationKind::GoLive { "live" } else { "preview" };
        let made_up = || (number != DRAFT).then(|| format!("submission/{number}/{target}"));
        recorded.or_else(made_up)
    }

    /// Whether golive follows the operation of this kind on this submission. A publish learns its
    /// submission's number only when that is listed.
    fn is_followed(&self, kind: &OperationKind, number: &str) -> bool {
        self.inquiry.following.as_ref().is_some_and(|following| {
            let release = following.release.as_ref().map(Release::as_str);
            let published = trace::published(following, &self.shape);
            let is_it = match kind {
                OperationKind::Publish => {
                    number == DRAFT || published.is_some_and(|it| it.number == number)
                }
                OperationKind::GoLive | OperationKind::Cancel | OperationKind::Unknown(_) => {
                    release.is_none_or(|it| it == number)
                }
            };
            following.kind == *kind && is_it
        })
    }
}

/// Where a person learns why an attempt failed: the API doesn't say; the report goes by e-mail and
/// to Partner Center (documented).
fn where_to_look(product: &Product) -> Message {
    let text = format!(
        "Partner Center has the report: \
         https://partner.microsoft.com/dashboard/commercial-marketplace/offers/{}/overview",
        product.guid
    );
    Message { level: Level::Information, text, at: None }
}

fn release(entry: &Submission) -> Release {
    Release::new(entry.number.as_str())
}

/// The kind of operation that an entry shows.
fn kind(entry: &Submission) -> Option<OperationKind> {
    match entry.target {
        Target::Preview => Some(OperationKind::Publish),
        Target::Live => Some(OperationKind::GoLive),
        Target::Draft | Target::Other => None,
    }
}

/// What stands for an attempt in a record: its submission and its kind, which don't change.
fn mark(entry: &Submission) -> Option<AttemptMark> {
    Some(AttemptMark::stateless(&format!("{}/{}", entry.number, kind(entry)?)))
}

/// Whether the request in doubt may have made this attempt. A golive names its submission, so no
/// other one came of it.
fn is_new(kind: &OperationKind, entry: &Submission, doubt: &InDoubt) -> bool {
    let is_its_own = doubt.release.as_str() == entry.number;
    if *kind != doubt.kind || (*kind == OperationKind::GoLive && !is_its_own) {
        return false;
    }
    let mark = mark(entry);
    doubt
        .known
        .as_ref()
        .map_or(is_its_own, |known| known.iter().all(|it| Some(it) != mark.as_ref()))
}
