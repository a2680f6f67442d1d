//! Derives an offer's state from the portal's answers. Pure, and lazy: where an answer is
//! missing that the state depends on, it returns the read to do next.
//!
//! | module | what it is |
//! |---|---|
//! | `stages` | the state for each stage |
//! | `attempts` | interprets the list of operations |
//! | `slots` | the releases in the slots, and their names |
//!
//! The rules, and where they come from (*field*: clients that ran against the service; *reference*:
//! the documentation):
//!
//! - In preview exactly if the sign-off step waits, whatever the overall status says (field).
//! - Live exactly if the status says `succeeded`, the step `live` is complete, and the publication is
//!   the one that `publishingVersion` names; where it names none, the one in the Production slot
//!   (field; the slots: reference).
//! - Version numbers are compared only within one call: list, document, slot, status
//!   and operations may count differently. A list's number serves as a name where the status names
//!   none. Equal numbers of two calls may save a question.
//! - An operation listed as running against the steps is read itself before that counts, unless
//!   list and status together show that it can't run.

mod attempts;
#[cfg(test)]
mod laws;
mod slots;
mod stages;
#[cfg(test)]
mod tests;

use self::attempts::{MAX_ATTEMPTS, newest_first};
use super::model::{Offer, Operation, Slot, StatusReport, Submission};
use super::stage::{Stage, is_moving, standing};
use crate::marketplace::{
    Followed, Following, Inquiry, OfferState, OperationKind, OperationRef, OperationStatus,
    Release, Report, Run,
};

/// A read that is needed to determine the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// *get offer*, for its entity tag.
    Document,
    /// *offer status*
    Status,
    /// The version that *list offers* shows now.
    Listed,
    /// *list operations*
    Submissions,
    /// What a slot holds.
    Slot(Slot),
    /// *get operation*
    Operation(OperationRef),
}

/// What the answers so far say, or the read that is needed first.
type Result<T = (), E = Question> = std::result::Result<T, E>;

/// What a slot answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SlotAnswer {
    /// Nothing is in it.
    Empty,
    /// A version, or something that names none.
    Release(Option<Release>),
}

/// What *get operation* answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OperationAnswer {
    Read(Operation),
    /// It can no longer be read.
    Expired,
    /// No answer was readable. The list and the offer may suffice.
    Unreadable,
}

/// The version that *list offers* shows, if it shows the offer and a version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ListedVersion(pub(super) Option<Release>);

/// The answers so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Responses {
    pub(super) document: Option<Offer>,
    /// The version in the list when it was read again.
    pub(super) listed_again: Option<ListedVersion>,
    pub(super) report: Option<StatusReport>,
    pub(super) submissions: Option<Vec<Submission>>,
    pub(super) preview: Option<SlotAnswer>,
    pub(super) production: Option<SlotAnswer>,
    /// By id.
    pub(super) operations: Vec<(String, OperationAnswer)>,
}

/// The state of an offer, or the read that is needed first.
pub(super) fn interpret(inquiry: &Inquiry, answers: &Responses) -> Result<OfferState> {
    let again = answers.listed_again.as_ref();
    let listed = again.map_or(inquiry.listed.as_ref(), |it| it.0.as_ref());
    Interpreter { inquiry, listed, answers }.state()
}

/// The report from a *get operation* answer.
pub(super) fn reported(kind: &OperationKind, operation: &Operation) -> Report {
    let (status, runs) = standing(kind, &operation.status, &operation.steps);
    Report {
        status,
        runs,
        steps: operation.steps.clone(),
        messages: operation.messages.clone(),
        release: operation.publishing_version.or(operation.offer_version).map(Release::from),
    }
}

struct Interpreter<'a> {
    inquiry: &'a Inquiry,
    /// The version in the publisher's list, by its newest answer.
    listed: Option<&'a Release>,
    answers: &'a Responses,
}

impl Interpreter<'_> {
    fn state(&self) -> Result<OfferState> {
        let inquiry = self.inquiry;
        let mut state = OfferState { is_inspected: true, ..OfferState::default() };
        if let Some(following) = &inquiry.following {
            state.followed = self.followed(following)?;
            if let Some(Followed::Known(report)) = &state.followed
                && runs_by_itself(report)
            {
                state.running = Some(run_of(following, report));
                if inquiry.loose_ends {
                    self.submissions()?;
                }
                self.with_attempts(&mut state)?;
                return Ok(state);
            }
        }
        if inquiry.launches && inquiry.may_be_fenced {
            let document = self.answers.document.as_ref().ok_or(Question::Document)?;
            state.fence.clone_from(&document.etag);
        }
        // If both are needed, the status is read last: the launch decision rests on it.
        if inquiry.launches
            || inquiry.in_doubt.is_some()
            || inquiry.loose_ends
            || inquiry.seems_busy
        {
            self.submissions()?;
        }
        let report = self.answers.report.as_ref().ok_or(Question::Status)?;
        self.is_list_current(report)?;
        self.in_stage(report, &mut state)?;
        self.with_attempts(&mut state)?;
        Ok(state)
    }

    /// If the status names no publication, the list does. A listed version that the document
    /// doesn't confirm may predate a publish, so the list is read again. (They may also count in
    /// different spaces; then the list says the same again, and the content of the preview slot
    /// decides.)
    fn is_list_current(&self, report: &StatusReport) -> Result {
        let document = self.answers.document.as_ref().map(|it| it.version.as_ref());
        let contradicted = document.is_some_and(|version| version != self.listed);
        // Nor does golive launch a release under an unconfirmed, possibly stale name.
        let waits = Stage::of(report) == Stage::SignOff;
        let unconfirmed = document.is_none() && self.inquiry.launches && waits;
        if report.publishing_version.is_none() && (contradicted || unconfirmed) {
            if self.answers.listed_again.is_none() {
                return Err(Question::Listed);
            }
            if contradicted {
                self.slot(Slot::Preview)?;
            }
        }
        Ok(())
    }

    /// The version that document and preview slot agree on, if the list lags behind them.
    fn ahead_of_list(&self) -> Option<&Release> {
        let version = self.answers.document.as_ref()?.version.as_ref()?;
        let is_held =
            matches!(&self.answers.preview, Some(SlotAnswer::Release(Some(it))) if it == version);
        Some(version).filter(|_| is_held)
    }

    /// Adds the facts from the list of operations, if that was read.
    fn with_attempts(&self, state: &mut OfferState) -> Result {
        let Some(listed) = &self.answers.submissions else { return Ok(()) };
        let ended = newest_first(listed).into_iter();
        let ended = ended.filter_map(|it| Some(self.attempt(it, self.ended_as(it)?)));
        state.listed = Some(ended.collect());
        let marks = listed.iter().take(MAX_ATTEMPTS).map(Submission::mark);
        state.attempts = marks.collect();
        if state.last.is_none()
            && let Some(doubt) = &self.inquiry.in_doubt
            && let Some(new) = self.caused_by(listed, doubt)
        {
            state.last = Some(self.detailed(new)?);
        }
        Ok(())
    }

    /// The state of the operation that golive follows. `None` if nothing could be read: then the
    /// offer tells, or the operation is read once more ([`Self::retry_followed`]).
    fn followed(&self, following: &Following) -> Result<Option<Followed>> {
        if let Some(latest) = &following.latest {
            return Ok(Some(Followed::Known(Box::new(latest.clone()))));
        }
        let Some(reference) = &following.operation else { return Ok(None) };
        Ok(match self.operation(reference)? {
            OperationAnswer::Read(operation) => {
                Some(Followed::Known(Box::new(reported(&following.kind, operation))))
            }
            OperationAnswer::Expired => Some(Followed::Expired),
            OperationAnswer::Unreadable => None,
        })
    }

    /// Asks again for a followed operation that could not be read: no state may be derived from its
    /// silence.
    fn retry_followed(&self) -> Result {
        let following = self.inquiry.following.as_ref().filter(|it| it.latest.is_none());
        match following.and_then(|it| it.operation.as_ref()) {
            Some(reference)
                if self.operation_answer(&reference.id) == Some(&OperationAnswer::Unreadable) =>
            {
                Err(Question::Operation(reference.clone()))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn operation_answer(&self, id: &str) -> Option<&OperationAnswer> {
        self.answers.operations.iter().find(|(known, _)| known == id).map(|(_, answer)| answer)
    }

    fn operation(&self, reference: &OperationRef) -> Result<&OperationAnswer> {
        self.operation_answer(&reference.id).ok_or_else(|| Question::Operation(reference.clone()))
    }

    fn submissions(&self) -> Result<&[Submission]> {
        self.answers.submissions.as_deref().ok_or(Question::Submissions)
    }

    fn slot(&self, slot: Slot) -> Result<&SlotAnswer> {
        let held = match slot {
            Slot::Preview => &self.answers.preview,
            Slot::Production => &self.answers.production,
        };
        held.as_ref().ok_or(Question::Slot(slot))
    }
}

/// Whether an operation's own answer suffices to say that it runs. An unknown status may mean that
/// it has ended: unless a step moves, golive inspects the offer.
pub(super) fn runs_by_itself(report: &Report) -> bool {
    let is_known = !matches!(report.status, OperationStatus::Unknown(_));
    report.runs && (is_known || report.steps.iter().any(|step| is_moving(&step.status)))
}

fn run_of(following: &Following, report: &Report) -> Run {
    Run {
        kind: following.kind.clone(),
        id: following.operation.as_ref().map(|operation| operation.id.clone()),
        release: following.release.clone().or_else(|| report.release.clone()),
        steps: report.steps.clone(),
        messages: report.messages.clone(),
    }
}
