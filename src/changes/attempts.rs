//! Row 5: attempts that ended badly are shown, not repeated.

use super::decision::{Failure, Outcome};
use super::facts::ended;
use super::observation::{OperationSeen, Question};
use super::position::Position;
use super::rules::Case;
use crate::manifest::DesiredState;
use crate::marketplace::{OfferStatus, OperationKind, Submission, Version};
use crate::status::{Intent, OperationRecord};

impl Case<'_> {
    /// Row 5, where the record alone tells: nothing need be asked about an offer that failed and
    /// did not change.
    pub(super) fn failed_before(&self) -> Option<Failure> {
        let version = self.observed.version?;
        if !self.is_unchanged()
            || self.retry
            || self.intent_for(version).is_some()
            || self.other_version_pinned(version)
        {
            return None;
        }
        let operation = self.last_recorded(version)?;
        (operation.manifest_digest == self.desired.digest).then(|| self.failure_of(operation))?
    }

    /// Row 5: the last attempt to bring this very version here ended badly, and nothing changed.
    pub(super) fn failed(&self, position: &Position) -> Result<Option<Failure>, Question> {
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
            return self
                .observed
                .came_of(intent)
                .map_or(Ok(None), |it| self.failure_in(it, version));
        }
        if self.retry {
            return Ok(None);
        }
        if let Some(operation) = self.last_recorded(version) {
            if operation.manifest_digest == self.desired.digest {
                return Ok(self.failure_of(operation));
            }
            // It was for another manifest; but there may have been an attempt since that is not on
            // record: by another hand, or of a request that arrived late.
            self.submissions()?;
            let newest = self.observed.newest_submission(&self.wanted_kind(), version);
            let is_news = newest.is_some_and(|newest| {
                operation.id.as_ref().is_some_and(|id| !id.contains('$') && *id != newest.id)
            });
            return if is_news { self.failed_elsewhere(version) } else { Ok(None) };
        }
        match self.observed.status() {
            OfferStatus::WaitingForPublisherReview
            | OfferStatus::Published
            | OfferStatus::Canceled
            | OfferStatus::Failed
            | OfferStatus::NotStarted => self.failed_elsewhere(version),
            // What last ended, ended well; or nothing was ever tried.
            OfferStatus::NeverPublished
            | OfferStatus::Running
            | OfferStatus::Succeeded
            | OfferStatus::Unknown(_) => Ok(None),
        }
    }

    /// The attempt of another hand, as the submissions tell; or, where they say nothing, as the
    /// offer's own status does.
    fn failed_elsewhere(&self, version: Version) -> Result<Option<Failure>, Question> {
        let submissions = self.submissions()?;
        if let Some(last) = self.observed.newest_submission(&self.wanted_kind(), version) {
            return self.failure_in(last, version);
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
        let ended_badly = ended(operation, self.observed, self.moment)
            .is_some_and(|status| Outcome::of(&status).is_some());
        (about_this && of_this_kind && ended_badly).then_some(operation)
    }

    /// Whether nothing has happened to the offer since it was recorded, by the list's word.
    pub(super) fn is_unchanged(&self) -> bool {
        let known = self.recorded.and_then(|record| record.observed.as_ref());
        let known = known.and_then(|observed| observed.changed_time.as_ref());
        known.is_some() && known == self.observed.changed_time.as_ref()
    }

    pub(super) fn recorded_failure(&self) -> Option<&OperationRecord> {
        self.last_recorded(self.observed.version?)
    }

    fn failure_of(&self, operation: &OperationRecord) -> Option<Failure> {
        let outcome = Outcome::of(&ended(operation, self.observed, self.moment)?)?;
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
}
