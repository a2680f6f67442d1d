//! The rules that decide about one offer. The first that matches wins; a rule that can't be
//! judged yet returns the question that would settle it.

use jiff::Timestamp;

use super::change::{Block, Decision, Failure, Hold, Outcome, Place, Standing, Tracked};
use super::observation::{Observation, OperationSeen, Question, SlotSeen};
use crate::manifest::{DesiredState, Loaded};
use crate::marketplace::{
    OfferId, OfferStatus, OperationKind, OperationRef, OperationStatus, Slot, Submission, Version,
};
use crate::status::{Intent, OfferRecord, OperationRecord, place};

/// All that is known of one offer.
pub(super) struct Case<'a> {
    pub(super) desired: &'a Loaded,
    pub(super) recorded: Option<&'a OfferRecord>,
    pub(super) observed: &'a Observation,
    pub(super) waiting_on: &'a [OfferId],
    pub(super) now: Timestamp,
    pub(super) retry: bool,
}

/// What is in preview.
enum Position {
    InPreview(Version),
    NeverInPreview,
    Unclear(String),
}

impl Case<'_> {
    pub(super) fn decide(&self) -> Result<Decision, Question> {
        let unknown_to_list = matches!(self.observed.status(), OfferStatus::Unknown(_));
        if unknown_to_list && self.observed.report.is_none() {
            return Err(Question::Status); // The list has words that *offer status* has not.
        }
        if let Some(tracked) = self.running()? {
            return Ok(Decision::Track(tracked));
        }
        if let Some(place) = self.in_sync()? {
            return Ok(Decision::InSync(place));
        }
        if let Some(hold) = self.held() {
            return Ok(Decision::Held(hold));
        }
        let position = self.position()?;
        if let Some(failure) = self.failed(&position)? {
            return Ok(Decision::Failed(failure));
        }
        Ok(self.proceed(position))
    }

    /// Row 1: an operation runs, ours or not.
    fn running(&self) -> Result<Option<Tracked>, Question> {
        let recorded = self.recorded.and_then(OfferRecord::running);
        if let Some(operation) = recorded
            && let Some(tracked) = self.recorded_running(operation)?
        {
            return Ok(Some(tracked));
        }
        let status = self.observed.status();
        let says_running = match status {
            OfferStatus::Running => {
                // A list older than the end of our operation says so too.
                if recorded.is_some() && self.observed.report.is_none() {
                    return Err(Question::Status);
                }
                true
            }
            OfferStatus::NotStarted => {
                self.submissions()?;
                false
            }
            OfferStatus::NeverPublished
            | OfferStatus::WaitingForPublisherReview
            | OfferStatus::Succeeded
            | OfferStatus::Published
            | OfferStatus::Canceled
            | OfferStatus::Failed
            | OfferStatus::Unknown(_) => false,
        };
        // An intent without an operation may have been accepted without showing in the status.
        let in_doubt = self.recorded.is_some_and(|record| record.intent.is_some());
        if says_running || in_doubt {
            self.submissions()?;
        }
        let unfinished = self.observed.submissions.iter().flatten().find(|it| self.is_running(it));
        Ok(match unfinished {
            Some(submission) => Some(Tracked {
                kind: submission.kind.clone(),
                id: Some(submission.id.clone()),
                version: submission.version(),
                recorded: false,
                at: None,
            }),
            None if says_running => Some(Tracked {
                kind: OperationKind::Unknown(String::new()),
                id: None,
                version: self.observed.version,
                recorded: false,
                at: None,
            }),
            None => None,
        })
    }

    fn recorded_running(&self, operation: &OperationRecord) -> Result<Option<Tracked>, Question> {
        let Some(id) = &operation.id else {
            // It was seen by the offer's status alone, so that is what tells whether it runs.
            self.submissions()?;
            return Ok(None);
        };
        let Some(seen) = self.observed.operations.get(id) else {
            let location = operation.location.clone();
            return Err(Question::Operation(OperationRef { id: id.clone(), location }));
        };
        Ok(match seen {
            OperationSeen::Known(known) if !known.standing(&operation.kind).is_finished() => {
                Some(Tracked {
                    kind: operation.kind.clone(),
                    id: Some(id.clone()),
                    version: operation.version,
                    recorded: true,
                    at: place(&known.steps),
                })
            }
            OperationSeen::Known(_) => None,
            OperationSeen::Expired => {
                self.submissions()?;
                None
            }
        })
    }

    /// Whether a submission runs. A publish that waits for the publisher's sign-off is listed as
    /// running too, but has done what it can.
    fn is_running(&self, submission: &Submission) -> bool {
        let waits = *self.observed.status() == OfferStatus::WaitingForPublisherReview
            && submission.kind != OperationKind::GoLive;
        // The operation itself knows better than a list that lags behind.
        let recorded = self.recorded.and_then(|record| record.operation.as_ref());
        let ended_before = recorded.is_some_and(|operation| {
            operation.status.is_finished() && operation.id.as_ref() == Some(&submission.id)
        });
        let ended_here = match self.observed.operations.get(&submission.id) {
            Some(OperationSeen::Known(known)) => known.standing(&submission.kind).is_finished(),
            Some(OperationSeen::Expired) | None => ended_before,
        };
        !submission.state.is_finished() && !waits && !ended_here
    }

    /// Row 3: the offer is where it should be.
    fn in_sync(&self) -> Result<Option<Place>, Question> {
        match self.desired.manifest.state {
            DesiredState::Preview => self.in_preview_or_live(),
            DesiredState::Live => Ok(self.is_live()?.map(Place::Live)),
        }
    }

    fn in_preview_or_live(&self) -> Result<Option<Place>, Question> {
        match self.observed.status() {
            OfferStatus::WaitingForPublisherReview => {
                Ok(Some(Place::Preview(self.observed.version)))
            }
            OfferStatus::NeverPublished | OfferStatus::Unknown(_) => Ok(None),
            OfferStatus::Succeeded | OfferStatus::Published => {
                let live = self.production()?.map(Place::AlreadyLive);
                Ok(Some(live.unwrap_or(Place::Preview(self.observed.version))))
            }
            OfferStatus::NotStarted
            | OfferStatus::Running
            | OfferStatus::Canceled
            | OfferStatus::Failed => {
                if let Some(version) = self.production()? {
                    return Ok(Some(Place::AlreadyLive(version)));
                }
                Ok(self.preview()?.map(|version| Place::Preview(Some(version))))
            }
        }
    }

    /// The version in production, if it is the one that is desired.
    fn is_live(&self) -> Result<Option<Version>, Question> {
        let newest = self.observed.version;
        let gone_live = self.known_live();
        if let Some(pinned) = self.desired.manifest.version {
            if gone_live == Some(pinned) {
                return Ok(Some(pinned));
            }
            return match self.observed.status() {
                // It is what waits for the sign-off, so that production can't hold it.
                OfferStatus::WaitingForPublisherReview if newest == Some(pinned) => Ok(None),
                OfferStatus::NeverPublished | OfferStatus::Unknown(_) => Ok(None),
                OfferStatus::WaitingForPublisherReview
                | OfferStatus::NotStarted
                | OfferStatus::Running
                | OfferStatus::Succeeded
                | OfferStatus::Published
                | OfferStatus::Canceled
                | OfferStatus::Failed => Ok(self.production()?.filter(|live| *live == pinned)),
            };
        }
        if newest.is_some() && gone_live >= newest {
            return Ok(gone_live);
        }
        match self.observed.status() {
            OfferStatus::NeverPublished
            | OfferStatus::WaitingForPublisherReview
            | OfferStatus::Unknown(_) => Ok(None),
            OfferStatus::Succeeded | OfferStatus::Published if newest.is_some() => {
                Ok(self.production()?.filter(|live| newest <= Some(*live)))
            }
            OfferStatus::Failed | OfferStatus::Canceled if self.recorded_failure().is_some() => {
                Ok(None) // The version that failed to go live is not there.
            }
            OfferStatus::Succeeded
            | OfferStatus::Published
            | OfferStatus::NotStarted
            | OfferStatus::Running
            | OfferStatus::Canceled
            | OfferStatus::Failed => {
                let Some(live) = self.production()? else { return Ok(None) };
                Ok(self.preview()?.is_none_or(|preview| preview <= live).then_some(live))
            }
        }
    }

    /// Row 4: held on purpose.
    fn held(&self) -> Option<Hold> {
        let manifest = &self.desired.manifest;
        if manifest.suspend {
            return Some(Hold::Suspended);
        }
        if let Some(until) = manifest.not_before.filter(|until| *until > self.now) {
            return Some(Hold::Scheduled(until));
        }
        let waits = !self.waiting_on.is_empty();
        waits.then(|| Hold::WaitingForDependency(self.waiting_on.to_vec()))
    }

    /// Row 5: the last attempt to bring this very version here ended badly, and nothing changed.
    fn failed(&self, position: &Position) -> Result<Option<Failure>, Question> {
        let version = match (position, self.desired.manifest.state) {
            (Position::InPreview(version), DesiredState::Live) => *version,
            (Position::NeverInPreview, DesiredState::Preview) => {
                let Some(version) = self.observed.version else { return Ok(None) };
                version
            }
            // Golive was not tried, publish not asked for, or the status not understood.
            (Position::InPreview(_) | Position::Unclear(_), _)
            | (Position::NeverInPreview, DesiredState::Live) => return Ok(None),
        };
        if self.other_version_pinned(version) {
            return Ok(None);
        }
        if let Some(intent) = self.intent_for(version) {
            // Whether a retry was asked for matters no more: this is the retry.
            let newest = self.observed.newest_submission(&intent.kind, version);
            let of_intent = newest.filter(|it| Some(&it.id) != intent.last_submission.as_ref());
            return of_intent.map_or(Ok(None), |it| self.failure_in(it, version));
        }
        if self.retry {
            return Ok(None);
        }
        if let Some(operation) = self.last_recorded(version) {
            let unchanged = operation.manifest_digest == self.desired.digest;
            return Ok(unchanged.then(|| self.failure_of(operation)).flatten());
        }
        match self.observed.status() {
            OfferStatus::WaitingForPublisherReview
            | OfferStatus::Canceled
            | OfferStatus::Failed
            | OfferStatus::NotStarted => self.failed_elsewhere(version),
            // What last ended, ended well; or nothing was ever tried.
            OfferStatus::NeverPublished
            | OfferStatus::Running
            | OfferStatus::Succeeded
            | OfferStatus::Published
            | OfferStatus::Unknown(_) => Ok(None),
        }
    }

    /// The attempt of another hand, as the submissions tell; or, where they say nothing, as the
    /// offer's own status does.
    fn failed_elsewhere(&self, version: Version) -> Result<Option<Failure>, Question> {
        let submissions = self.submissions()?;
        if let Some(last) = self.observed.newest_submission(&self.wanted_kind(), version) {
            let Some(outcome) = Outcome::of(&last.state) else { return Ok(None) };
            let (steps, messages) = match self.observed.operations.get(&last.id) {
                None => return Err(Question::Operation(last.reference())),
                Some(OperationSeen::Known(known)) => (known.steps.clone(), known.messages.clone()),
                Some(OperationSeen::Expired) => (Vec::new(), Vec::new()),
            };
            let (kind, id) = (last.kind.clone(), Some(last.id.clone()));
            return Ok(Some(Failure {
                outcome,
                kind,
                id,
                version: Some(version),
                steps,
                messages,
            }));
        }
        let outcome = match self.observed.status() {
            OfferStatus::Failed => Outcome::Failed,
            OfferStatus::Canceled => Outcome::Canceled,
            OfferStatus::NeverPublished
            | OfferStatus::NotStarted
            | OfferStatus::WaitingForPublisherReview
            | OfferStatus::Running
            | OfferStatus::Succeeded
            | OfferStatus::Published
            | OfferStatus::Unknown(_) => return Ok(None),
        };
        if submissions.iter().any(|submission| Outcome::of(&submission.state) == Some(outcome)) {
            return Ok(None); // Another attempt explains the status.
        }
        let Some(report) = &self.observed.report else { return Err(Question::Status) };
        Ok(Some(Failure {
            outcome,
            kind: OperationKind::Unknown(String::new()),
            id: None,
            version: Some(version),
            steps: report.steps.clone(),
            messages: report.messages.clone(),
        }))
    }

    /// The failure a submission tells of, with what the marketplace said about it.
    fn failure_in(
        &self,
        submission: &Submission,
        version: Version,
    ) -> Result<Option<Failure>, Question> {
        let Some(outcome) = Outcome::of(&submission.state) else { return Ok(None) };
        let (steps, messages) = match self.observed.operations.get(&submission.id) {
            None => return Err(Question::Operation(submission.reference())),
            Some(OperationSeen::Known(known)) => (known.steps.clone(), known.messages.clone()),
            Some(OperationSeen::Expired) => (Vec::new(), Vec::new()),
        };
        let (kind, id) = (submission.kind.clone(), Some(submission.id.clone()));
        Ok(Some(Failure { outcome, kind, id, version: Some(version), steps, messages }))
    }

    /// Rows 6 to 9.
    fn proceed(&self, position: Position) -> Decision {
        let decision = match (position, self.desired.manifest.state) {
            (Position::InPreview(found), DesiredState::Live) => {
                match self.desired.manifest.version.filter(|pinned| *pinned != found) {
                    Some(pinned) => Decision::Blocked(Block::VersionMismatch { pinned, found }),
                    None => Decision::GoLive { version: found },
                }
            }
            (Position::InPreview(version), DesiredState::Preview) => {
                Decision::InSync(Place::Preview(Some(version)))
            }
            (Position::NeverInPreview, DesiredState::Live) => {
                Decision::Blocked(Block::NotInPreview)
            }
            (Position::NeverInPreview, DesiredState::Preview) => {
                let unclear = || {
                    let text = format!("{} without a version", self.observed.status());
                    Decision::Blocked(Block::UnknownStatus(text))
                };
                self.observed.version.map_or_else(unclear, |version| Decision::Publish { version })
            }
            (Position::Unclear(text), _) => Decision::Blocked(Block::UnknownStatus(text)),
        };
        self.refused_before(&decision).map_or(decision, Decision::Blocked)
    }

    /// The same request was refused, and neither manifest nor offer changed since.
    fn refused_before(&self, decision: &Decision) -> Option<Block> {
        let (kind, version) = match decision {
            Decision::GoLive { version } => (OperationKind::GoLive, *version),
            Decision::Publish { version } => (OperationKind::Publish, *version),
            Decision::Track(_)
            | Decision::InSync(_)
            | Decision::Held(_)
            | Decision::Blocked(_)
            | Decision::Failed(_) => return None,
        };
        let error = self.recorded?.error.as_ref()?;
        let refused = error.refused.as_ref()?;
        let same = refused.kind == kind
            && refused.version == version
            && refused.manifest_digest == self.desired.digest
            && refused.changed_time == self.observed.changed_time;
        (same && !self.retry).then(|| Block::Refused(error.message.clone()))
    }

    fn position(&self) -> Result<Position, Question> {
        Ok(match (self.observed.status(), self.observed.version) {
            (OfferStatus::NeverPublished, _) => Position::NeverInPreview,
            (OfferStatus::Unknown(text), _) => Position::Unclear(text.clone()),
            (
                OfferStatus::WaitingForPublisherReview
                | OfferStatus::Succeeded
                | OfferStatus::Published,
                Some(version),
            ) => Position::InPreview(version),
            (
                status @ (OfferStatus::WaitingForPublisherReview
                | OfferStatus::Succeeded
                | OfferStatus::Published),
                None,
            ) => match self.preview()? {
                Some(version) => Position::InPreview(version),
                None => Position::Unclear(format!("{status}, but nothing is in preview")),
            },
            (
                OfferStatus::NotStarted
                | OfferStatus::Running
                | OfferStatus::Canceled
                | OfferStatus::Failed,
                _,
            ) => self.preview()?.map_or(Position::NeverInPreview, Position::InPreview),
        })
    }

    fn wanted_kind(&self) -> OperationKind {
        match self.desired.manifest.state {
            DesiredState::Live => OperationKind::GoLive,
            DesiredState::Preview => OperationKind::Publish,
        }
    }

    fn other_version_pinned(&self, version: Version) -> bool {
        self.desired.manifest.version.is_some_and(|pinned| pinned != version)
            && self.desired.manifest.state == DesiredState::Live
    }

    /// The request for a version that may have been sent.
    fn intent_for(&self, version: Version) -> Option<&Intent> {
        let intent = self.recorded?.intent.as_ref()?;
        (intent.kind == self.wanted_kind() && intent.version == version).then_some(intent)
    }

    /// The recorded attempt at the wanted operation for a version, once it has ended.
    fn last_recorded(&self, version: Version) -> Option<&OperationRecord> {
        let operation = self.recorded?.operation.as_ref()?;
        let about_this = operation.version.is_none_or(|it| it == version);
        let of_this_kind = operation.kind == self.wanted_kind()
            || matches!(operation.kind, OperationKind::Unknown(_));
        let ended_badly =
            self.ended(operation).is_some_and(|status| Outcome::of(&status).is_some());
        (about_this && of_this_kind && ended_badly).then_some(operation)
    }

    fn recorded_failure(&self) -> Option<&OperationRecord> {
        self.last_recorded(self.observed.version?)
    }

    fn failure_of(&self, operation: &OperationRecord) -> Option<Failure> {
        let outcome = Outcome::of(&self.ended(operation)?)?;
        let known = operation.id.as_ref().and_then(|id| self.observed.operations.get(id));
        let (steps, messages) = match known {
            Some(OperationSeen::Known(known)) => (known.steps.clone(), known.messages.clone()),
            Some(OperationSeen::Expired) | None => {
                (operation.steps.clone(), operation.messages.clone())
            }
        };
        let (kind, id) = (operation.kind.clone(), operation.id.clone());
        Some(Failure { outcome, kind, id, version: operation.version, steps, messages })
    }

    /// How a recorded operation ended; `None` while it runs as far as is known.
    fn ended(&self, operation: &OperationRecord) -> Option<OperationStatus> {
        ended(operation, self.observed)
    }

    fn submissions(&self) -> Result<&[Submission], Question> {
        self.observed.submissions.as_deref().ok_or(Question::Submissions)
    }

    fn production(&self) -> Result<Option<Version>, Question> {
        match self.observed.production {
            SlotSeen::Unasked => Err(Question::Slot(Slot::Production)),
            SlotSeen::Empty => Ok(self.known_live()),
            SlotSeen::Holds(version) => Ok(Some(version).max(self.known_live())),
        }
    }

    fn preview(&self) -> Result<Option<Version>, Question> {
        match self.observed.preview {
            SlotSeen::Unasked => Err(Question::Slot(Slot::Preview)),
            SlotSeen::Empty => Ok(None),
            SlotSeen::Holds(version) => Ok(Some(version)),
        }
    }

    /// The version known to be in production without asking: what the marketplace said, or a
    /// golive that golive itself followed to a good end. The latter keeps a marketplace whose
    /// slots lag behind from being sent a second one.
    fn known_live(&self) -> Option<Version> {
        known_live(self.observed, self.recorded)
    }

    /// Where the offer stands.
    pub(super) fn standing(observed: &Observation, recorded: Option<&OfferRecord>) -> Standing {
        let live_version = known_live(observed, recorded);
        let (state, preview_version) = match observed.status() {
            OfferStatus::NeverPublished => (Some("draft"), None),
            OfferStatus::WaitingForPublisherReview => (Some("preview"), observed.version),
            OfferStatus::Succeeded | OfferStatus::Published => {
                let preview = observed.preview.version().or(observed.version);
                (
                    Some(if live_version.is_some() && live_version >= preview {
                        "live"
                    } else {
                        "preview"
                    }),
                    preview,
                )
            }
            OfferStatus::NotStarted
            | OfferStatus::Running
            | OfferStatus::Canceled
            | OfferStatus::Failed
            | OfferStatus::Unknown(_) => {
                let preview = observed.preview.version();
                let state = match (preview, live_version) {
                    (Some(preview), live) if live < Some(preview) => Some("preview"),
                    (_, Some(_)) => Some("live"),
                    (Some(_) | None, None) => None,
                };
                (state, preview)
            }
        };
        Standing { state, preview_version, live_version }
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
}

fn known_live(observed: &Observation, recorded: Option<&OfferRecord>) -> Option<Version> {
    let followed = recorded.and_then(|record| record.operation.as_ref()).filter(|operation| {
        operation.kind == OperationKind::GoLive
            && ended(operation, observed) == Some(OperationStatus::Succeeded)
    });
    let followed = followed.and_then(|operation| operation.version);
    observed.known_live().max(followed)
}

/// How a recorded operation ended: by the record, by the answer to a poll, or, where its URL has
/// expired, by what the offer says. `None` while it runs as far as is known.
pub(crate) fn ended(
    operation: &OperationRecord,
    observed: &Observation,
) -> Option<OperationStatus> {
    if operation.status.is_finished() {
        return Some(operation.status.clone());
    }
    let seen = operation.id.as_ref().and_then(|id| observed.operations.get(id));
    match (seen, operation.id.as_ref()) {
        (Some(OperationSeen::Known(known)), _) => {
            Some(known.standing(&operation.kind)).filter(OperationStatus::is_finished)
        }
        (Some(OperationSeen::Expired), Some(id)) => {
            Some(ended_unseen(operation, observed, Some(id)))
        }
        (None, Some(_)) => None,
        (Some(OperationSeen::Expired) | None, None) => {
            let runs = *observed.status() == OfferStatus::Running;
            (!runs).then(|| ended_unseen(operation, observed, None))
        }
    }
}

/// How an operation ended that can no longer be asked for. One that left no trace counts as
/// canceled: that is shown to a person and not repeated.
fn ended_unseen(
    operation: &OperationRecord,
    observed: &Observation,
    id: Option<&String>,
) -> OperationStatus {
    let mut submissions = observed.submissions.iter().flatten();
    if let Some(submission) = submissions.find(|it| Some(&it.id) == id && it.state.is_finished()) {
        return submission.state.clone();
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
        OperationStatus::Succeeded
    } else if *observed.status() == OfferStatus::Failed {
        OperationStatus::Failed
    } else {
        OperationStatus::Canceled
    }
}
