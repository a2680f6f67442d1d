//! From the portal's answers about one offer to its state. Pure, and lazy: where an answer is
//! missing that the state depends on, it returns the question instead.
//!
//! The rules, and where they come from (*field*: clients that ran against the service; *reference*:
//! the documentation):
//!
//! - In preview exactly if the sign-off step waits, whatever word stands above it (field).
//! - Live exactly if the status says `succeeded`, the step `live` is complete, and the publication is
//!   the one that `publishingVersion` names; where it names none, the one in the Production slot
//!   (field; the slots: reference).
//! - Version numbers are compared only within one call: nobody shows that list, document, slot, status
//!   and operations count in one space. A number of the list serves as a name where the status names
//!   none.
//! - What a list shows as running is asked for itself before it is believed against a step.

use super::model::{Operation, Slot, StatusReport, Submission};
use super::stage::{Stage, standing};
use crate::marketplace::{
    Attempt, ChangedTime, Fence, Followed, Following, InDoubt, Inquiry, OfferState, OperationKind,
    OperationRef, OperationStatus, Release, Report, Run,
};

/// How many unfinished entries of a list are asked for.
const MAX_UNFINISHED: usize = 5;

/// How many attempts are remembered beside a request.
const MAX_ATTEMPTS: usize = 100;

/// How long before a request an attempt may seem to have changed that came of it: clocks differ.
const CLOCK_SKEW: std::time::Duration = std::time::Duration::from_mins(15);

/// One request that would bring the state nearer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// *get offer*, for its entity tag.
    Document,
    /// *offer status*
    Status,
    /// *list operations*
    Submissions,
    /// The version that *list offers* shows now.
    Listed,
    /// What a slot holds.
    Slot(Slot),
    /// *get operation*
    Operation(OperationRef),
}

/// What a slot answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// Nothing is in it.
    Empty,
    /// A version, or something that names none.
    Holds(Option<Release>),
}

/// The answers so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    /// The entity tag and the version of the document, once that was asked for.
    pub(super) document: Option<(Option<Fence>, Option<Release>)>,
    /// The version that the list showed when it was asked anew.
    pub(super) relisted: Option<Option<Release>>,
    pub(super) report: Option<StatusReport>,
    pub(super) submissions: Option<Vec<Submission>>,
    pub(super) preview: Option<Held>,
    pub(super) production: Option<Held>,
    /// By id; `None` where one has expired.
    pub(super) operations: Vec<(String, Option<Operation>)>,
}

/// The state of an offer, or what must be asked first.
pub(super) fn interpret(inquiry: &Inquiry, answers: &Answers) -> Result<OfferState, Question> {
    Interpreter { inquiry, listed: inquiry.listed.as_ref(), answers }.state()
}

/// What *get operation* says of one.
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
    listed: Option<&'a Release>,
    answers: &'a Answers,
}

impl Interpreter<'_> {
    fn state(&self) -> Result<OfferState, Question> {
        let inquiry = self.inquiry;
        let mut state = OfferState { is_inspected: true, ..OfferState::default() };
        if let Some(following) = &inquiry.following {
            state.followed = self.followed(following)?;
            if let Some(Followed::Known(report)) = &state.followed
                && report.runs
                && !inquiry.loose_ends
            {
                state.running = Some(run_of(following, report));
                return Ok(state);
            }
        }
        if inquiry.launches && inquiry.may_be_fenced {
            state.fence = self.document()?.0.clone();
        }
        // Where both are needed, the status comes last: it is what a launch rests on.
        if inquiry.launches || inquiry.in_doubt.is_some() || inquiry.loose_ends || inquiry.seems_busy
        {
            self.submissions()?;
        }
        let report = self.answers.report.as_ref().ok_or(Question::Status)?;
        self.is_list_current(report)?;
        match Stage::of(report) {
            Stage::NeverPublished => self.never_published(&mut state)?,
            Stage::SignOff => self.sign_off(report, &mut state)?,
            Stage::Running(kind) => self.running(report, &kind, &mut state)?,
            Stage::Live => self.live(report, &mut state)?,
            Stage::AtRest => self.at_rest(report, &mut state)?,
            Stage::Ended(kind, status) => self.ended(report, kind, status, &mut state)?,
            Stage::Unclear(words) => self.unclear(report, words, &mut state)?,
        }
        if let Some(listed) = &self.answers.submissions {
            let ended = listed.iter().filter(|it| it.state.is_finished());
            state.listed = Some(ended.map(|it| self.attempt(it)).collect());
            let marks = listed.iter().take(MAX_ATTEMPTS).map(Submission::mark);
            state.attempts = marks.collect();
            if state.last.is_none()
                && let Some(new) = self.came_of(listed)
            {
                state.last = Some(self.told(new)?);
            }
        }
        Ok(state)
    }

    fn document(&self) -> Result<&(Option<Fence>, Option<Release>), Question> {
        self.answers.document.as_ref().ok_or(Question::Document)
    }

    /// Where the status names no publication, the list does. One that the document contradicts may be
    /// of before a publish: it is asked anew. (They may also count in different spaces; then it says
    /// the same again.)
    fn is_list_current(&self, report: &StatusReport) -> Result<(), Question> {
        let document = self.answers.document.as_ref().and_then(|it| it.1.as_ref());
        let contradicted = document.is_some() && document != self.listed;
        if contradicted && report.publishing_version.is_none() && self.answers.relisted.is_none() {
            return Err(Question::Listed);
        }
        Ok(())
    }

    /// The version that the list shows, by its newest answer.
    fn listed(&self) -> Option<&Release> {
        self.answers.relisted.as_ref().map_or(self.listed, Option::as_ref)
    }

    fn never_published(&self, state: &mut OfferState) -> Result<(), Question> {
        state.draft = Some(self.listed().cloned().unwrap_or_else(|| Release::from(0)));
        if !self.inquiry.wants_live {
            // A first publish that failed may fall back to this.
            let newest = newest(self.submissions()?, |it| it.kind == OperationKind::Publish);
            state.running = self.unfinished(true)?;
            state.last = newest.filter(|it| is_bad(&it.state)).map(|it| self.told(it)).transpose()?;
        }
        Ok(())
    }

    fn sign_off(&self, report: &StatusReport, state: &mut OfferState) -> Result<(), Question> {
        let release = self.publication(report);
        let Some(release) = release else {
            state.unclear = Some("a preview waits, but nothing names its version".to_owned());
            return Ok(());
        };
        if self.inquiry.wants_live || self.answers.submissions.is_some() {
            let submissions = self.submissions()?;
            if let Some(run) = self.unfinished(false)? {
                state.running = Some(run);
                return Ok(());
            }
            let publish = newest(submissions, |it| it.purpose() == OperationKind::Publish);
            let golive = newest(submissions, Submission::is_golive);
            if let Some(golive) = golive.filter(|it| it.state.is_finished())
                && is_attempt_at(golive, publish, report)
            {
                if is_bad(&golive.state) {
                    state.last = Some(self.told(golive)?);
                } else if publish.is_some_and(|it| it.publishing_version == golive.publishing_version)
                    && golive.publishing_version.is_some()
                {
                    state.unclear = Some(format!(
                        "release {release} waits for the sign-off, but the list of operations says \
                         that a golive of it has succeeded"
                    ));
                }
            }
        }
        if state.last.is_none() {
            state.last = self.told_by_word(report);
        }
        self.pin_in_preview(report, &release, state)?;
        // A newer preview replaced the one that was launched: what became of that, production tells.
        if let Some(following) = &self.inquiry.following
            && following.kind == OperationKind::GoLive
            && following.release.as_ref() != Some(&release)
            && let Held::Holds(Some(version)) = self.slot(Slot::Production)?
        {
            state.live = Some(version.clone());
        }
        state.preview = Some(release);
        state.is_launchable = self.answers.submissions.is_some()
            && (!self.inquiry.may_be_fenced || self.answers.document.is_some());
        Ok(())
    }

    /// Whether the pin names what is in preview, or what is in production.
    fn pin_in_preview(
        &self,
        report: &StatusReport,
        release: &Release,
        state: &mut OfferState,
    ) -> Result<(), Question> {
        let Some(pin) = &self.inquiry.pin else { return Ok(()) };
        if self.names(report, pin) {
            state.pinned = Some(release.clone());
            return Ok(());
        }
        // The number that people know may be the one in the slots.
        let named = match self.slot(Slot::Preview)? {
            Held::Holds(Some(version)) => version == pin,
            // Slots need not answer for offers that were migrated (open): the list is what is left.
            Held::Holds(None) | Held::Empty => {
                report.publishing_version.is_none() && self.listed() == Some(pin)
            }
        };
        if named {
            state.pinned = Some(release.clone());
        } else if let Held::Holds(Some(version)) = self.slot(Slot::Production)? {
            state.live = Some(version.clone());
        }
        Ok(())
    }

    fn running(
        &self,
        report: &StatusReport,
        kind: &OperationKind,
        state: &mut OfferState,
    ) -> Result<(), Question> {
        let following = self.inquiry.following.as_ref();
        let listed: Vec<_> =
            self.submissions()?.iter().filter(|it| !it.state.is_finished()).collect();
        let is_kind = |it: &&&Submission| kind.as_str().is_empty() || it.purpose() == *kind;
        let found = listed.iter().find(is_kind).or(listed.first());
        // A golive may have the id of its publish, which has ended: then the status is what tells.
        let followed = following.filter(|it| kind.as_str().is_empty() || it.kind == *kind);
        let (id, kind, release) = match (found, followed) {
            (Some(found), _) => {
                (Some(found.id.clone()), found.purpose(), self.release_of(found))
            }
            (None, Some(followed)) => {
                let id = followed.operation.as_ref().map(|operation| operation.id.clone());
                (id, followed.kind.clone(), followed.release.clone())
            }
            (None, None) => (None, kind.clone(), None),
        };
        let (steps, messages) = (report.steps.clone(), report.messages.clone());
        let release = release.or_else(|| self.publication(report));
        state.running = Some(Run { kind, id, release, steps, messages });
        Ok(())
    }

    fn live(&self, report: &StatusReport, state: &mut OfferState) -> Result<(), Question> {
        // Just after a publish, the status is still that of the publication before (field, BOSH).
        if self.answers.submissions.is_some()
            && let Some(run) = self.unfinished(true)?
        {
            state.running = Some(run);
            return Ok(());
        }
        let Some(release) = self.live_release(report)? else {
            state.unclear = Some(
                "the status says that it is live, but the Production slot is empty".to_owned(),
            );
            return Ok(());
        };
        if let Some(pin) = &self.inquiry.pin {
            let named = release == *pin
                || self.names(report, pin)
                || matches!(self.slot(Slot::Production)?, Held::Holds(Some(it)) if it == pin);
            state.pinned = named.then(|| release.clone());
        }
        // What was followed to a bad end is not live because the status says so.
        if let Some(failed) = &self.inquiry.failed
            && failed.release.as_ref() == Some(&release)
        {
            let golive = newest(self.submissions()?, Submission::is_golive);
            let is_later = golive.is_some_and(|it| {
                it.state == OperationStatus::Succeeded
                    && (failed.id.as_ref() != Some(&it.id)
                        || it.changed_time.as_ref().and_then(ChangedTime::timestamp) > failed.at)
            });
            if !is_later {
                state.unclear = Some(format!(
                    "the status says that release {release} is live, but its golive failed"
                ));
                return Ok(());
            }
        }
        state.live = Some(release);
        Ok(())
    }

    /// The release that the status calls live; `None` where the slots contradict it.
    fn live_release(&self, report: &StatusReport) -> Result<Option<Release>, Question> {
        if let Some(version) = report.publishing_version {
            return Ok(Some(version.into()));
        }
        let following = self.inquiry.following.as_ref();
        Ok(match self.slot(Slot::Production)? {
            Held::Holds(version) => {
                let version = version.clone();
                let expected = following.and_then(|it| it.release.clone());
                // The slots may count otherwise than the list that named the release: then equal
                // slots show that what was in preview is live, if its golive is known to have ended
                // well.
                if expected.is_some()
                    && version != expected
                    && self.has_succeeded()
                    && matches!(self.slot(Slot::Preview)?, Held::Holds(it) if *it == version)
                {
                    return Ok(expected);
                }
                version.or_else(|| self.listed().cloned())
            }
            Held::Empty => match self.slot(Slot::Preview)? {
                Held::Holds(_) => None,
                // Neither slot answers, as for offers that were migrated, perhaps (open).
                Held::Empty => following
                    .filter(|_| self.has_succeeded())
                    .and_then(|it| it.release.clone())
                    .or_else(|| self.listed().cloned()),
            },
        })
    }

    /// Whether the operation that golive follows says itself that it ended well.
    fn has_succeeded(&self) -> bool {
        let following = self.inquiry.following.as_ref();
        let followed = following.and_then(|it| self.followed(it).ok().flatten());
        matches!(followed, Some(Followed::Known(it)) if it.status == OperationStatus::Succeeded)
    }

    fn at_rest(&self, report: &StatusReport, state: &mut OfferState) -> Result<(), Question> {
        if let Some(run) = self.unfinished(true)? {
            state.running = Some(run);
            return Ok(());
        }
        self.in_slots(report, state)?;
        if let Some(preview) = state.stale_preview.take() {
            state.unclear = Some(format!(
                "{}, and release {preview} is in preview, but no sign-off waits for it",
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
    ) -> Result<(), Question> {
        if let Some(run) = self.unfinished(true)? {
            state.running = Some(run);
            return Ok(());
        }
        let is_kind = |it: &&Submission| kind.as_str().is_empty() || it.purpose() == kind;
        let submissions = self.submissions()?;
        let listed = newest(submissions, |it| is_kind(&it) && it.state == status);
        state.last = Some(match listed {
            Some(listed) => self.told(listed)?,
            None => Attempt {
                kind,
                id: None,
                release: self.publication(report),
                status,
                is_new: false,
                steps: report.steps.clone(),
                messages: report.messages.clone(),
            },
        });
        self.in_slots(report, state)
    }

    /// What the slots hold, for an offer that the status says too little of.
    fn in_slots(&self, report: &StatusReport, state: &mut OfferState) -> Result<(), Question> {
        let production = self.slot(Slot::Production)?.clone();
        let preview = self.slot(Slot::Preview)?.clone();
        let pin = self.inquiry.pin.as_ref();
        match (production, preview) {
            (Held::Holds(live), Held::Holds(preview)) if live == preview => state.live = live,
            (Held::Holds(live), Held::Holds(preview)) => {
                let number = |it: &Option<Release>| it.as_ref()?.as_str().parse::<u64>().ok();
                let is_newer = number(&preview) > number(&live);
                state.live = live;
                state.stale_preview = preview.filter(|_| is_newer);
            }
            (Held::Holds(live), Held::Empty) => state.live = live,
            (Held::Empty, Held::Holds(preview)) => state.stale_preview = preview,
            (Held::Empty, Held::Empty) => {}
        }
        let standing = [&state.live, &state.stale_preview];
        state.pinned = pin.filter(|pin| standing.contains(&&Some((*pin).clone()))).cloned();
        // The name that it has while it waits.
        if state.stale_preview.is_some()
            && let Some(release) = self.publication(report)
        {
            if state.pinned == state.stale_preview {
                state.pinned = Some(release.clone());
            }
            state.stale_preview = Some(release);
        }
        Ok(())
    }

    fn unclear(
        &self,
        report: &StatusReport,
        words: String,
        state: &mut OfferState,
    ) -> Result<(), Question> {
        if let Some(run) = self.unfinished(true)? {
            state.running = Some(run);
            return Ok(());
        }
        let submissions = self.submissions()?;
        let wanted = if self.inquiry.wants_live {
            newest(submissions, Submission::is_golive)
        } else {
            newest(submissions, |it| it.purpose() == OperationKind::Publish)
        };
        if let Some(wanted) = wanted.filter(|it| is_bad(&it.state)) {
            state.last = Some(self.told(wanted)?);
        }
        state.stale_preview = self.publication(report).filter(|_| state.last.is_some());
        state.unclear = Some(words);
        Ok(())
    }

    /// The first unfinished operation of the list that says itself that it runs. `if_expired` tells
    /// whether one that can't be asked for counts as ended.
    fn unfinished(&self, if_expired: bool) -> Result<Option<Run>, Question> {
        let ended_here = |it: &&Submission| {
            let failed = self.inquiry.failed.as_ref().and_then(|failed| failed.id.as_ref());
            it.state.is_finished() || failed == Some(&it.id)
        };
        let report = self.answers.report.as_ref();
        let unfinished = self.submissions()?.iter().filter(|it| !ended_here(it));
        for submission in unfinished.take(MAX_UNFINISHED) {
            let kind = submission.purpose();
            // The publish of what waits may be listed as running until it is signed off (open).
            let own = report.and_then(|it| it.publishing_version);
            if kind == OperationKind::Publish
                && own.is_some()
                && own == submission.publishing_version
                && report.is_some_and(|it| Stage::of(it) == Stage::SignOff)
            {
                continue;
            }
            match self.operation(&submission.reference())? {
                Some(operation) => {
                    let said = reported(&kind, operation);
                    if said.runs {
                        return Ok(Some(Run {
                            kind,
                            id: Some(submission.id.clone()),
                            release: self.release_of(submission),
                            steps: said.steps,
                            messages: said.messages,
                        }));
                    }
                }
                None if if_expired || kind == OperationKind::Publish => {}
                None => {
                    return Ok(Some(Run {
                        kind,
                        id: Some(submission.id.clone()),
                        release: self.release_of(submission),
                        steps: Vec::new(),
                        messages: Vec::new(),
                    }));
                }
            }
        }
        Ok(None)
    }

    /// The attempt that came of the request in doubt, among those listed.
    fn came_of<'a>(&self, listed: &'a [Submission]) -> Option<&'a Submission> {
        let doubt = self.inquiry.in_doubt.as_ref()?;
        let is_new = |it: &Submission| {
            it.purpose() == doubt.kind && it.state.is_finished() && is_new(it, doubt)
        };
        newest(listed, is_new)
    }

    fn attempt(&self, submission: &Submission) -> Attempt {
        let doubt = self.inquiry.in_doubt.as_ref();
        Attempt {
            kind: submission.purpose(),
            id: Some(submission.id.clone()),
            release: self.release_of(submission),
            status: submission.state.clone(),
            is_new: doubt.is_some_and(|doubt| is_new(submission, doubt)),
            steps: Vec::new(),
            messages: Vec::new(),
        }
    }

    /// The same, with what the operation itself says about its end.
    fn told(&self, submission: &Submission) -> Result<Attempt, Question> {
        let attempt = self.attempt(submission);
        if !is_bad(&submission.state) {
            return Ok(attempt);
        }
        Ok(match self.operation(&submission.reference())? {
            Some(operation) => Attempt {
                steps: operation.steps.clone(),
                messages: operation.messages.clone(),
                ..attempt
            },
            None => attempt,
        })
    }

    /// The attempt that only the word above a waiting sign-off tells of.
    fn told_by_word(&self, report: &StatusReport) -> Option<Attempt> {
        use super::model::OfferStatus;
        let status = match report.status {
            OfferStatus::Failed => OperationStatus::Failed,
            OfferStatus::Canceled => OperationStatus::Canceled,
            OfferStatus::NeverPublished
            | OfferStatus::NotStarted
            | OfferStatus::WaitingForPublisherReview
            | OfferStatus::Running
            | OfferStatus::Succeeded
            | OfferStatus::Published
            | OfferStatus::Unknown(_) => return None,
        };
        // Another attempt may explain it.
        let explains = |it: &Submission| it.state == status;
        if self.answers.submissions.iter().flatten().any(explains) {
            return None;
        }
        Some(Attempt {
            kind: OperationKind::Unknown(String::new()),
            id: None,
            release: self.publication(report),
            status,
            is_new: false,
            steps: report.steps.clone(),
            messages: report.messages.clone(),
        })
    }

    /// The name of the publication that a status is about.
    fn publication(&self, report: &StatusReport) -> Option<Release> {
        let told = report.publishing_version.map(Release::from);
        told.or_else(|| self.listed().cloned()).or(report.offer_version.map(Release::from))
    }

    /// The name of the release that an operation of the list is about: by the number that the status
    /// goes by, too, or else by the offer's own count.
    fn release_of(&self, submission: &Submission) -> Option<Release> {
        let (publishing, offer) = (submission.publishing_version, submission.offer_version);
        let report = self.answers.report.as_ref();
        let has_number = report.is_some_and(|it| it.publishing_version.is_some());
        let number = if has_number { publishing.or(offer) } else { offer.or(publishing) };
        number.map(Release::from)
    }

    /// Whether a pin names the publication that a status is about.
    fn names(&self, report: &StatusReport, pin: &Release) -> bool {
        [report.publishing_version, report.offer_version]
            .into_iter()
            .flatten()
            .any(|version| Release::from(version) == *pin)
    }

    fn followed(&self, following: &Following) -> Result<Option<Followed>, Question> {
        if let Some(heard) = &following.heard {
            return Ok(Some(Followed::Known(Box::new(heard.clone()))));
        }
        let Some(reference) = &following.operation else { return Ok(None) };
        Ok(Some(match self.operation(reference)? {
            Some(operation) => Followed::Known(Box::new(reported(&following.kind, operation))),
            None => Followed::Expired,
        }))
    }

    fn operation(&self, reference: &OperationRef) -> Result<Option<&Operation>, Question> {
        let known = self.answers.operations.iter().find(|(id, _)| *id == reference.id);
        let known = known.ok_or_else(|| Question::Operation(reference.clone()))?;
        Ok(known.1.as_ref())
    }

    fn submissions(&self) -> Result<&[Submission], Question> {
        self.answers.submissions.as_deref().ok_or(Question::Submissions)
    }

    fn slot(&self, slot: Slot) -> Result<&Held, Question> {
        let held = match slot {
            Slot::Preview => &self.answers.preview,
            Slot::Production => &self.answers.production,
        };
        held.as_ref().ok_or(Question::Slot(slot))
    }
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

fn is_bad(status: &OperationStatus) -> bool {
    matches!(status, OperationStatus::Failed | OperationStatus::Canceled)
}

/// Whether an attempt was not listed before a request, or has changed since.
fn is_new(submission: &Submission, doubt: &InDoubt) -> bool {
    let changed = submission.changed_time.as_ref().and_then(ChangedTime::timestamp);
    let since = doubt.at.checked_sub(CLOCK_SKEW).unwrap_or(doubt.at);
    match &doubt.known {
        Some(known) => {
            // A list that is longer than what is remembered of it: what is old by its time is old.
            let is_old = known.len() >= MAX_ATTEMPTS && changed.is_some_and(|at| at < since);
            !is_old && !known.contains(&submission.mark())
        }
        None => changed.is_none_or(|at| at >= since),
    }
}

/// The newest operation that `is_meant`: by the time it changed; where times are equal or missing, by
/// the number of its publishing; then the first, since lists have the newest first (field).
fn newest<'a>(
    listed: &'a [Submission],
    is_meant: impl Fn(&Submission) -> bool,
) -> Option<&'a Submission> {
    let key = |it: &Submission| {
        (it.changed_time.as_ref().and_then(ChangedTime::timestamp), it.publishing_version)
    };
    listed.iter().rev().filter(|it| is_meant(it)).max_by_key(|it| key(it))
}

/// Whether a golive that has ended was an attempt at what waits now: whether it came after the
/// publish that brought that to preview. Both stand in one list.
fn is_attempt_at(golive: &Submission, publish: Option<&Submission>, report: &StatusReport) -> bool {
    let Some(publish) = publish else {
        // A list without a publish tells too little: what failed is shown rather than repeated.
        let numbers = golive.publishing_version.zip(report.publishing_version);
        return is_bad(&golive.state) && numbers.is_none_or(|(one, two)| one == two);
    };
    let time = |it: &Submission| it.changed_time.as_ref().and_then(ChangedTime::timestamp);
    let numbers = golive.publishing_version.zip(publish.publishing_version);
    if is_bad(&golive.state) && numbers.is_some_and(|(one, two)| one == two && Some(one) == report.publishing_version) {
        return true;
    }
    match (time(golive), time(publish)) {
        (Some(golive), Some(publish)) if golive != publish => golive > publish,
        _ => match numbers {
            Some((golive, publish)) => golive >= publish,
            None => is_bad(&golive.state),
        },
    }
}
