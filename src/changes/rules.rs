//! The rules that decide about one offer. The first that matches wins; a rule that can't be
//! judged yet returns the question that would settle it.

use super::decision::{Block, Decision, Hold, Origin, Place, Tracked};
use super::facts;
use super::moment::Moment;
use super::observation::{Observation, OperationSeen, Question};
use super::position::Position;
use crate::manifest::{DesiredState, Loaded};
use crate::marketplace::{
    OfferId, OfferStatus, OperationKind, OperationRef, StatusReport, Submission, Version,
};
use crate::status::{Intent, OfferRecord, OperationRecord, place};

/// All that is known of one offer.
pub(super) struct Case<'a> {
    pub(super) desired: &'a Loaded,
    pub(super) recorded: Option<&'a OfferRecord>,
    pub(super) observed: &'a Observation,
    pub(super) waiting_on: &'a [OfferId],
    pub(super) moment: Moment,
    pub(super) retry: bool,
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
        if let Some(failure) = self.failed_before() {
            return Ok(Decision::Failed(failure));
        }
        let position = self.position()?;
        if let Some(place) = self.in_place(&position) {
            return Ok(Decision::InSync(place));
        }
        if let Some(failure) = self.failed(&position)? {
            return Ok(Decision::Failed(failure));
        }
        let decision = self.proceed(position);
        match self.refused_before(&decision) {
            None => Ok(decision),
            // What the marketplace refused may have been done already: the slots tell.
            Some(block) => Ok(match self.in_slots()? {
                Some(live) => Decision::InSync(Place::Live(live)),
                None => Decision::Blocked(block),
            }),
        }
    }

    /// Row 1: an operation runs, ours or not.
    fn running(&self) -> Result<Option<Tracked>, Question> {
        if self.recorded.is_some_and(OfferRecord::has_loose_ends) {
            self.submissions()?;
        }
        let recorded = self.recorded.and_then(OfferRecord::running);
        if let Some(operation) = recorded
            && let Some(tracked) = self.recorded_running(operation)?
        {
            return Ok(Some(tracked));
        }
        let says_running = match self.observed.status() {
            OfferStatus::Running => true,
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
        // A list older than the end of our operation says that it runs.
        if says_running && recorded.is_some() {
            self.report()?;
        }
        // An intent without an operation may have been accepted without showing in the status.
        let in_doubt = self.recorded.is_some_and(|record| record.intent.is_some());
        if says_running || in_doubt {
            self.submissions()?;
        }
        let unfinished = self.observed.submissions.iter().flatten().find(|it| self.is_running(it));
        if let Some(submission) = unfinished {
            return Ok(Some(Tracked {
                kind: submission.kind.clone(),
                id: Some(submission.id.clone()),
                version: submission.version(),
                origin: self
                    .origin_of(&submission.kind, |intent| submission.is_for(intent.version)),
                at: None,
            }));
        }
        // What was sent just now need not show yet; and what runs without a name is likely to be it.
        let hidden = recorded.filter(|it| facts::ended(it, self.observed, self.moment).is_none());
        if let Some(operation) = hidden
            && (!says_running
                || operation.id.is_some()
                || !matches!(operation.kind, OperationKind::Unknown(_)))
        {
            return Ok(Some(Tracked {
                kind: operation.kind.clone(),
                id: operation.id.clone(),
                version: operation.version,
                origin: Origin::Recorded,
                at: operation.place(),
            }));
        }
        if says_running { self.running_by_status().map(Some) } else { Ok(None) }
    }

    /// What runs where nothing shows but the offer's status: the list's word may lag behind.
    fn running_by_status(&self) -> Result<Tracked, Question> {
        let mut kind = self.report()?.running_kind();
        // Of a request that may have been accepted, something that runs without a name is the answer.
        let intent = self.recorded.and_then(|record| record.intent.as_ref());
        if let Some(intent) = intent.filter(|_| kind.as_str().is_empty()) {
            kind = intent.kind.clone();
        }
        let version = self.observed.version;
        let origin =
            self.origin_of(&kind, |it| version.is_none_or(|version| version == it.version));
        Ok(Tracked { kind, id: None, version, origin, at: None })
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
                    origin: Origin::Recorded,
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

    /// An operation of the kind and version that an intent on disk names is that request's.
    fn origin_of(&self, kind: &OperationKind, is_for: impl FnOnce(&Intent) -> bool) -> Origin {
        let intent = self.recorded.and_then(|record| record.intent.as_ref());
        let found = intent.is_some_and(|intent| intent.kind == *kind && is_for(intent));
        if found { Origin::Found } else { Origin::Elsewhere }
    }

    /// Whether a submission runs. A publish that waits for the publisher's sign-off is listed as
    /// running too, but has done what it can.
    fn is_running(&self, submission: &Submission) -> bool {
        let in_preview = matches!(
            self.observed.status(),
            OfferStatus::WaitingForPublisherReview | OfferStatus::Published
        );
        let waits = in_preview && submission.kind != OperationKind::GoLive;
        // The operation itself knows better than a list that lags behind.
        let recorded = self.recorded.and_then(|record| record.operation.as_ref());
        let ended_before = recorded.is_some_and(|operation| {
            operation.status.is_finished() && operation.id.as_ref() == Some(&submission.id)
        });
        let ended_here = match self.observed.operations.get(&submission.id) {
            Some(OperationSeen::Known(known)) => known.standing(&submission.kind).is_finished(),
            Some(OperationSeen::Expired) | None => ended_before,
        };
        let came_before = recorded
            .filter(|operation| !operation.status.is_finished())
            .is_some_and(|operation| facts::comes_before(submission, operation));
        !submission.state.is_finished() && !waits && !ended_here && !came_before
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
                // Which version it is makes no difference to what is to be done: nothing.
                let live = match self.known_live() {
                    Some(live) => Some(live),
                    None => self.newest_is_live()?,
                };
                let live = live.map(Place::AlreadyLive);
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
            OfferStatus::Succeeded | OfferStatus::Published => self.newest_is_live(),
            OfferStatus::Failed | OfferStatus::Canceled
                if self.is_unchanged() && self.recorded_failure().is_some() =>
            {
                Ok(None) // The version that failed to go live is not there.
            }
            OfferStatus::NotStarted
            | OfferStatus::Running
            | OfferStatus::Canceled
            | OfferStatus::Failed => self.slots_are_level(),
        }
    }

    /// Row 4: held on purpose.
    fn held(&self) -> Option<Hold> {
        let manifest = &self.desired.manifest;
        if manifest.suspend {
            return Some(Hold::Suspended);
        }
        if let Some(until) = manifest.not_before.filter(|until| *until > self.moment.now) {
            return Some(Hold::Scheduled(until));
        }
        let waits = !self.waiting_on.is_empty();
        waits.then(|| Hold::WaitingForDependency(self.waiting_on.to_vec()))
    }

    /// Rows 6 to 9.
    fn proceed(&self, position: Position) -> Decision {
        match (position, self.desired.manifest.state) {
            (Position::InPreview(found), DesiredState::Live) => {
                // What is in production is never taken back to an older version.
                let newest = self.known_live().filter(|live| *live >= found).unwrap_or(found);
                match self.desired.manifest.version.filter(|pinned| *pinned != newest) {
                    Some(pinned) => {
                        Decision::Blocked(Block::VersionMismatch { pinned, found: newest })
                    }
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
        }
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
        let refused = self.recorded?.refused.as_ref()?;
        let same = refused.kind == kind
            && refused.version == version
            && refused.manifest_digest == self.desired.digest
            && refused.changed_time == self.observed.changed_time;
        (same && !self.retry).then(|| Block::Refused(refused.message.clone()))
    }

    pub(super) fn report(&self) -> Result<&StatusReport, Question> {
        self.observed.report.as_ref().ok_or(Question::Status)
    }

    pub(super) fn wanted_kind(&self) -> OperationKind {
        match self.desired.manifest.state {
            DesiredState::Live => OperationKind::GoLive,
            DesiredState::Preview => OperationKind::Publish,
        }
    }

    pub(super) fn other_version_pinned(&self, version: Version) -> bool {
        self.desired.manifest.version.is_some_and(|pinned| pinned != version)
            && self.desired.manifest.state == DesiredState::Live
    }

    pub(super) fn submissions(&self) -> Result<&[Submission], Question> {
        self.observed.submissions.as_deref().ok_or(Question::Submissions)
    }

    pub(super) fn known_live(&self) -> Option<Version> {
        facts::known_live(self.observed, self.recorded, self.moment)
    }
}
