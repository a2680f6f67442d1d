//! What golive has seen of an offer so far: its entry in the publisher's list, and its inspected
//! state.

use jiff::{SignedDuration, Timestamp};

use crate::marketplace::{
    ChangedTime, Failed, Following, Hint, Inquiry, Listing, OfferState, OperationRef, Release,
};
use crate::status::{Intent, OfferRecord, OperationRecord, Reason};

/// How long after a change a status may still be the previous one (field: just after a publish, the
/// status is that of the previous publication). A state seen within that time is looked at again.
const LAG: SignedDuration = SignedDuration::from_hours(1);

/// The result of looking for an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// The offer exists.
    Offer(Box<ObservedOffer>),
    /// golive could not see the offer, with the message for people.
    Unavailable(Unavailable, String),
}

/// Why golive could not see an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// 401: there is no token, or it was not accepted.
    Unauthorized,
    /// 403 for the publisher or the offer.
    Forbidden,
    /// 404 for the publisher or the offer, or the offer is not in the publisher's list.
    NotFound,
    /// The marketplace asked golive to stop sending requests for a while.
    Throttled,
    /// The marketplace could not be reached.
    Unreachable,
}

impl Unavailable {
    /// The stable reason code.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::Unauthorized => Reason::Unauthorized,
            Self::Forbidden => Reason::Forbidden,
            Self::NotFound => Reason::NotFound,
            Self::Throttled => Reason::Throttled,
            Self::Unreachable => Reason::Unreachable,
        }
    }

    /// Whether this is the marketplace's answer about the offer. The others say nothing about its
    /// state.
    #[must_use]
    pub fn is_answer(self) -> bool {
        matches!(self, Self::Forbidden | Self::NotFound)
    }
}

/// What golive has seen of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedOffer {
    /// The offer's entry in the publisher's list.
    pub listing: Listing,
    /// The offer's state, once golive has asked for it.
    pub state: Option<OfferState>,
    /// When golive asked for the state (UTC).
    pub asked_at: Option<Timestamp>,
}

impl ObservedOffer {
    /// A listed offer whose state golive has not asked for.
    #[must_use]
    pub fn listed(listing: Listing) -> Self {
        Self { listing, state: None, asked_at: None }
    }

    /// The same offer with a state, and the time at which golive asked for it.
    #[must_use]
    pub fn with(&self, state: OfferState, asked_at: Timestamp) -> Self {
        let listing = self.listing.clone();
        Self { listing, state: Some(state), asked_at: Some(asked_at) }
    }

    /// What to ask about the offer, given the manifest's wishes and the record.
    #[must_use]
    pub fn inquiry(
        &self,
        wants_live: bool,
        pin: Option<Release>,
        record: Option<&OfferRecord>,
    ) -> Inquiry {
        let operation = record.and_then(|record| record.operation.as_deref());
        let intent = record.and_then(|record| record.intent.as_deref());
        let known = record.and_then(|record| record.observed.as_ref());
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
            product: known.and_then(|known| known.product.clone()),
        }
    }

    /// Whether the state is certain enough to be reused while the list entry stays the same. If the
    /// offer is in sync, it does not matter that a list doesn't show a preview.
    #[must_use]
    pub fn is_certain(&self, record: &OfferRecord, is_in_sync: bool, now: Timestamp) -> bool {
        let Some(state) = self.state.as_ref().filter(|state| state.is_inspected) else {
            return false;
        };
        let agrees = match self.listing.hint {
            Hint::AtRest => state.preview.is_none() || is_in_sync,
            Hint::InPreview => state.preview.is_some(),
            // If the list always says "busy", the time of its last change stands in for the hint.
            Hint::Busy => is_in_sync && self.listing.changed_time.is_some(),
        };
        let changed = self.listing.changed_time.as_ref().and_then(ChangedTime::timestamp);
        let may_lag = changed.is_some_and(|at| now.duration_since(at).abs() < LAG);
        // An operation that golive itself followed to its end explains the recent change.
        let is_own = record.operation.as_deref().is_some_and(|operation| {
            operation.status.is_finished()
                && operation.request_id.is_some()
                && (operation.has_failed() || operation.release == state.live)
        });
        agrees && state.running.is_none() && state.unclear.is_none() && (!may_lag || is_own)
    }

    /// The offer's state according to the record, valid while the list entry is unchanged. It is
    /// enough to do nothing, but not to send a request: someone may have tampered with the status
    /// file.
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

    /// The offer's state if the list is right that a preview waits. golive checks this before it
    /// sends a request.
    #[must_use]
    pub fn suggested(&self) -> Option<OfferState> {
        let preview =
            self.listing.release.clone().filter(|_| self.listing.hint == Hint::InPreview)?;
        Some(OfferState { preview: Some(preview), ..OfferState::default() })
    }
}

/// What to follow for a recorded operation.
pub(crate) fn following(operation: &OperationRecord) -> Following {
    let reference = operation
        .id
        .as_ref()
        .map(|id| OperationRef { id: id.clone(), location: operation.location.clone() });
    Following {
        kind: operation.kind.clone(),
        operation: reference,
        release: operation.release.clone(),
        started_at: operation.started_at,
        latest: None,
    }
}
