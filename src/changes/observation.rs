//! What the marketplace said of an offer so far, and what can still be asked.

use std::collections::BTreeMap;

use crate::marketplace::{
    ChangedTime, ETag, OfferStatus, OfferSummary, Operation, OperationKind, OperationRef,
    OperationStatus, Slot, StatusReport, StepStatus, Submission, Version,
};
use crate::status::Intent;

/// What came of looking for an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The offer is there.
    Offer(Box<Observation>),
    /// 401: there is no token, or it is not accepted. That is no state of the offer.
    Unauthorized(String),
    /// 403 for the publisher or the offer, and what the marketplace said.
    Forbidden(String),
    /// 404 for the publisher or the offer, or it is not in the publisher's list.
    NotFound(String),
    /// The marketplace asks not to be asked for a while. That is no state of the offer.
    Throttled(String),
    /// The marketplace could not be asked. That is no state of the offer.
    Unreachable(String),
}

/// What the marketplace said of one offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The status in the publisher's list.
    pub listed_status: OfferStatus,
    /// The version: of the last publish.
    pub version: Option<Version>,
    /// When the offer last changed.
    pub changed_time: Option<ChangedTime>,
    /// The entity tag, where the offer itself was asked for.
    pub etag: Option<ETag>,
    /// The answer to *offer status*, which is newer than the list.
    pub report: Option<StatusReport>,
    /// The preview slot.
    pub preview: SlotSeen,
    /// The production slot.
    pub production: SlotSeen,
    /// The operations the marketplace remembers.
    pub submissions: Option<Vec<Submission>>,
    /// The operations that were asked for, by id.
    pub operations: BTreeMap<String, OperationSeen>,
}

/// What is known of a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlotSeen {
    /// Nothing yet.
    #[default]
    Unasked,
    /// Nothing is in it.
    Empty,
    /// This version is in it.
    Holds(Version),
    /// This version was in it by the record, and nothing changed since. That is good enough to do
    /// nothing, and not to send a request: a status file may have been tampered with.
    Remembered(Version),
}

impl SlotSeen {
    /// The version, where the slot is known to hold one.
    #[must_use]
    pub fn version(self) -> Option<Version> {
        match self {
            Self::Holds(version) | Self::Remembered(version) => Some(version),
            Self::Unasked | Self::Empty => None,
        }
    }

    /// What the marketplace itself said.
    #[must_use]
    pub fn asked(self) -> Self {
        match self {
            Self::Remembered(_) | Self::Unasked => Self::Unasked,
            Self::Empty | Self::Holds(_) => self,
        }
    }
}

/// What came of asking for an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperationSeen {
    /// It is known.
    Known(Box<Operation>),
    /// Its URL answers 404, leads elsewhere, or gives nothing that can be read of an operation that
    /// is listed as over: the offer must be asked instead.
    Expired,
}

/// One request that would bring a decision nearer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// *offer status*
    Status,
    /// *list operations*
    Submissions,
    /// What a slot holds.
    Slot(Slot),
    /// *get operation*
    Operation(OperationRef),
}

impl Observation {
    /// Nothing but a status.
    #[must_use]
    pub fn of(status: OfferStatus) -> Self {
        Self {
            listed_status: status,
            version: None,
            changed_time: None,
            etag: None,
            report: None,
            preview: SlotSeen::Unasked,
            production: SlotSeen::Unasked,
            submissions: None,
            operations: BTreeMap::new(),
        }
    }

    /// What a publisher's list says.
    #[must_use]
    pub fn listed(summary: &OfferSummary) -> Self {
        Self {
            version: summary.version,
            changed_time: summary.changed_time.clone(),
            ..Self::of(summary.status.clone())
        }
    }

    /// The newest word on the offer's status.
    #[must_use]
    pub fn status(&self) -> &OfferStatus {
        self.report.as_ref().map_or(&self.listed_status, |report| &report.status)
    }

    /// The newest operation of a kind for a version among those the marketplace listed.
    #[must_use]
    pub fn newest_submission(&self, kind: &OperationKind, version: Version) -> Option<&Submission> {
        newest(self.submissions.as_deref().unwrap_or_default(), kind, version)
    }

    /// The operation that came of a request, among those the marketplace listed.
    #[must_use]
    pub fn came_of(&self, intent: &Intent) -> Option<&Submission> {
        came_of(self.submissions.as_deref().unwrap_or_default(), intent)
    }

    /// The version in production, as far as it shows without asking: from its slot, or from the
    /// golives that succeeded.
    #[must_use]
    pub fn known_live(&self) -> Option<Version> {
        let gone_live = self.submissions.iter().flatten().filter(|submission| {
            submission.kind == OperationKind::GoLive
                && submission.state == OperationStatus::Succeeded
        });
        self.production.version().max(gone_live.filter_map(Submission::version).max())
    }
}

/// The newest operation of a kind for a version, by the time it changed; where times are missing
/// or equal, the one listed later.
#[must_use]
pub fn newest<'a>(
    submissions: &'a [Submission],
    kind: &OperationKind,
    version: Version,
) -> Option<&'a Submission> {
    let of_kind = submissions.iter().filter(|it| it.kind == *kind && it.is_for(version));
    of_kind.max_by_key(|it| it.changed_time.as_ref().and_then(ChangedTime::timestamp))
}

/// The operation that came of a request that may have been accepted: the newest of its kind for its
/// version, unless that was there before.
#[must_use]
pub fn came_of<'a>(submissions: &'a [Submission], intent: &Intent) -> Option<&'a Submission> {
    let newest = newest(submissions, &intent.kind, intent.version);
    newest.filter(|newest| intent.is_older_than(newest))
}

impl Submission {
    /// The version it works on, by the offer's count where the marketplace gives that.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.offer_version.or(self.publishing_version)
    }

    /// Whether it may be about a version of the offer: one that names no version may be.
    #[must_use]
    pub fn is_for(&self, version: Version) -> bool {
        let numbers = [self.offer_version, self.publishing_version];
        numbers.contains(&Some(version)) || numbers == [None, None]
    }

    /// Where to ask for it.
    #[must_use]
    pub fn reference(&self) -> OperationRef {
        OperationRef { id: self.id.clone(), location: None }
    }
}

impl Operation {
    /// How the operation of a kind stands. A publish that waits for the publisher's sign-off has
    /// done what it can: the offer is in preview.
    #[must_use]
    pub fn standing(&self, kind: &OperationKind) -> OperationStatus {
        let signed_off_next =
            self.steps.iter().any(|step| step.status == StepStatus::WaitingForPublisherReview);
        if *kind == OperationKind::Publish && signed_off_next && !self.status.is_finished() {
            OperationStatus::Succeeded
        } else {
            self.status.clone()
        }
    }
}
