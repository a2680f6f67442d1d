//! What is in preview and in production, and what must be asked to know it.

use super::decision::{Outcome, Place};
use super::observation::{Question, SlotSeen};
use super::rules::Case;
use crate::manifest::DesiredState;
use crate::marketplace::{OfferStatus, OperationKind, Slot, Submission, Version};

/// What is in preview.
pub(super) enum Position {
    InPreview(Version),
    NeverInPreview,
    Unclear(String),
}

/// What the list of operations says of a version's publish.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Published {
    /// It came to preview.
    Reached,
    /// Other versions were published, or this one in vain.
    Other,
    /// There is no word of any publish.
    Untold,
}

impl Case<'_> {
    /// The version in production, if nothing newer is in preview, of an offer whose last operation
    /// succeeded. The `live` step of *offer status* tells that in one request; where there is no
    /// such step, the slots do.
    pub(super) fn newest_is_live(&self) -> Result<Option<Version>, Question> {
        let slots = [self.observed.preview, self.observed.production];
        if !slots.contains(&SlotSeen::Unasked) {
            return self.slots_are_level();
        }
        // `published` says no more than that; the list of operations tells what else was done.
        if *self.observed.status() == OfferStatus::Published
            && self.publish_of(self.observed.version)? == Published::Reached
        {
            return Ok(None); // Had it gone live, the list of operations would have told.
        }
        match self.report()?.live_is_complete() {
            Some(true) => match self.known_live().or(self.observed.version) {
                Some(version) => Ok(Some(version)),
                None => self.production(),
            },
            Some(false) => Ok(None),
            None => self.slots_are_level(),
        }
    }

    /// The same, for an offer whose manifest pins no version.
    pub(super) fn in_slots(&self) -> Result<Option<Version>, Question> {
        let manifest = &self.desired.manifest;
        if manifest.state == DesiredState::Live && manifest.version.is_none() {
            self.slots_are_level()
        } else {
            Ok(None)
        }
    }

    pub(super) fn slots_are_level(&self) -> Result<Option<Version>, Question> {
        let Some(live) = self.production()? else { return Ok(None) };
        Ok(self.preview()?.is_none_or(|preview| preview <= live).then_some(live))
    }

    pub(super) fn position(&self) -> Result<Position, Question> {
        Ok(match self.observed.status() {
            OfferStatus::NeverPublished => Position::NeverInPreview,
            OfferStatus::Unknown(text) => Position::Unclear(text.clone()),
            status @ (OfferStatus::WaitingForPublisherReview
            | OfferStatus::Succeeded
            | OfferStatus::Published) => match self.previewed(status)? {
                Some(version) => Position::InPreview(version),
                None => Position::Unclear(format!("{status}, but nothing is in preview")),
            },
            OfferStatus::NotStarted
            | OfferStatus::Running
            | OfferStatus::Canceled
            | OfferStatus::Failed => {
                self.preview()?.map_or(Position::NeverInPreview, Position::InPreview)
            }
        })
    }

    /// The version in preview, of an offer that has one. The list's version is that of the last
    /// publish, which may have failed or been canceled on its way: it counts only where nothing
    /// speaks against it, and never where a version is pinned.
    fn previewed(&self, status: &OfferStatus) -> Result<Option<Version>, Question> {
        if self.observed.preview != SlotSeen::Unasked {
            return self.preview();
        }
        let listed = self.observed.version;
        // For an offer in preview, the list of operations is asked for anyway.
        if matches!(status, OfferStatus::WaitingForPublisherReview | OfferStatus::Published) {
            match self.publish_of(listed)? {
                Published::Reached => return Ok(listed),
                Published::Other => return self.preview(),
                Published::Untold => {}
            }
        }
        match listed {
            Some(version) if self.desired.manifest.version.is_none() => Ok(Some(version)),
            Some(_) | None => self.preview(),
        }
    }

    /// What the list of operations says of how a version came to preview.
    fn publish_of(&self, version: Option<Version>) -> Result<Published, Question> {
        let mut publishes = self.submissions()?.iter().filter(|submission| {
            submission.kind == OperationKind::Publish && submission.version().is_some()
        });
        let reached = |submission: &Submission| {
            submission.version() == version && Outcome::of(&submission.state).is_none()
        };
        Ok(if publishes.clone().any(reached) {
            Published::Reached
        } else if publishes.next().is_some() {
            Published::Other
        } else {
            Published::Untold
        })
    }

    /// Row 3, seen from what is in preview: production holds just that.
    pub(super) fn in_place(&self, position: &Position) -> Option<Place> {
        let live = self.known_live()?;
        match (position, self.desired.manifest.state, self.desired.manifest.version) {
            (Position::InPreview(preview), DesiredState::Live, None) if *preview <= live => {
                Some(Place::Live(live))
            }
            (Position::InPreview(_) | Position::NeverInPreview | Position::Unclear(_), _, _) => {
                None
            }
        }
    }

    pub(super) fn production(&self) -> Result<Option<Version>, Question> {
        match self.observed.production {
            SlotSeen::Unasked => Err(Question::Slot(Slot::Production)),
            SlotSeen::Empty => Ok(self.known_live()),
            SlotSeen::Holds(version) | SlotSeen::Remembered(version) => {
                Ok(Some(version).max(self.known_live()))
            }
        }
    }

    pub(super) fn preview(&self) -> Result<Option<Version>, Question> {
        match self.observed.preview {
            SlotSeen::Unasked => Err(Question::Slot(Slot::Preview)),
            SlotSeen::Empty => Ok(None),
            SlotSeen::Holds(version) | SlotSeen::Remembered(version) => Ok(Some(version)),
        }
    }
}
