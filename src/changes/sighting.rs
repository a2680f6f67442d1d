//! What was seen of an offer so far: in its publisher's list, and when it was asked about itself.

use jiff::{SignedDuration, Timestamp};

use crate::marketplace::{
    ChangedTime, Failed, Following, Hint, Inquiry, Listing, OfferState, OperationRef, Release,
};
use crate::status::{Intent, OfferRecord, OperationRecord};

/// How long after a change a status may still be the one of before (field: just after a publish it
/// is that of the publication before). What is seen until then is looked at again.
const LAG: SignedDuration = SignedDuration::from_hours(1);

/// What came of looking for an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The offer is there.
    Offer(Box<Sighting>),
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

/// What was seen of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// What the publisher's list says.
    pub listing: Listing,
    /// How it stands, once it was asked about.
    pub state: Option<OfferState>,
    /// When that was (UTC).
    pub asked_at: Option<Timestamp>,
}

impl Sighting {
    /// An offer that was listed and not asked about.
    #[must_use]
    pub fn listed(listing: Listing) -> Self {
        Self { listing, state: None, asked_at: None }
    }

    /// The same offer, asked about at a time.
    #[must_use]
    pub fn with(&self, state: OfferState, asked_at: Timestamp) -> Self {
        let listing = self.listing.clone();
        Self { listing, state: Some(state), asked_at: Some(asked_at) }
    }

    /// What to ask about the offer. `heard` is what its running operation answered a moment ago.
    #[must_use]
    pub fn inquiry(
        &self,
        wants_live: bool,
        pin: Option<Release>,
        record: Option<&OfferRecord>,
    ) -> Inquiry {
        let operation = record.and_then(|record| record.operation.as_deref());
        let intent = record.and_then(|record| record.intent.as_deref());
        Inquiry {
            wants_live,
            pin,
            following: operation.filter(|it| !it.status.is_finished()).map(following),
            failed: operation.filter(|it| it.has_failed() && !it.presumed).map(|it| Failed {
                id: it.id.clone(),
                release: it.release.clone(),
                at: it.finished_at,
            }),
            in_doubt: intent.map(Intent::in_doubt),
            launches: false,
            may_be_fenced: self.listing.may_be_fenced,
            seems_busy: self.listing.hint != Hint::AtRest,
            listed: self.listing.release.clone(),
            loose_ends: record.is_some_and(OfferRecord::has_loose_ends),
        }
    }

    /// Whether what was seen is certain enough to be gone by while the list says the same.
    /// Where the offer is as desired, it makes no difference that a list doesn't tell of a preview.
    #[must_use]
    pub fn is_certain(&self, record: &OfferRecord, is_in_sync: bool, now: Timestamp) -> bool {
        let Some(state) = self.state.as_ref().filter(|state| state.is_inspected) else {
            return false;
        };
        let agrees = match self.listing.hint {
            Hint::AtRest => state.preview.is_none() || is_in_sync,
            Hint::InPreview => state.preview.is_some(),
            // The time of its last change speaks for a list whose word never changes.
            Hint::Busy => is_in_sync && self.listing.changed_time.is_some(),
        };
        let changed = self.listing.changed_time.as_ref().and_then(ChangedTime::timestamp);
        let may_lag = changed.is_some_and(|at| now.duration_since(at).abs() < LAG);
        // What golive itself brought to its end explains the change.
        let is_own = record.operation.as_deref().is_some_and(|operation| {
            operation.status.is_finished()
                && operation.request_id.is_some()
                && (operation.has_failed() || operation.release == state.live)
        });
        agrees && state.running.is_none() && state.unclear.is_none() && (!may_lag || is_own)
    }

    /// How the offer stands by the record, while the list says what it said then. That is good enough
    /// to do nothing, and not to send a request: a status file may have been tampered with.
    #[must_use]
    pub fn remembered(&self, record: &OfferRecord) -> Option<OfferState> {
        let known = record.observed.as_ref()?;
        let is_same = known.fingerprint.is_some() && known.fingerprint == self.listing.fingerprint;
        let is_settled =
            record.running().is_none() && record.intent.is_none() && !record.has_loose_ends();
        if !is_same || !is_settled {
            return None;
        }
        let waits = self.listing.hint == Hint::InPreview;
        Some(OfferState {
            preview: known.preview.clone().filter(|_| waits),
            stale_preview: known
                .preview
                .clone()
                .filter(|it| !waits && known.live.as_ref() != Some(it)),
            live: known.live.clone(),
            ..OfferState::default()
        })
    }

    /// How the offer stands if the list is right: a preview waits. Whether it does is asked before a
    /// request is sent.
    #[must_use]
    pub fn suggested(&self) -> Option<OfferState> {
        let preview =
            self.listing.release.clone().filter(|_| self.listing.hint == Hint::InPreview)?;
        Some(OfferState { preview: Some(preview), ..OfferState::default() })
    }
}

/// What to follow of a recorded operation.
#[must_use]
pub fn following(operation: &OperationRecord) -> Following {
    let reference = operation
        .id
        .as_ref()
        .map(|id| OperationRef { id: id.clone(), location: operation.location.clone() });
    Following {
        kind: operation.kind.clone(),
        operation: reference,
        release: operation.release.clone(),
        heard: None,
    }
}
