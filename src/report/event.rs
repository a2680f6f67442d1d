//! What a reconcile tells while it runs.

use std::sync::Arc;
use std::time::Duration;

use crate::changes::ChangeSet;
use crate::marketplace::{OfferId, OperationKind, PublisherId};
use crate::operation::RequestOutcome;
use crate::status::{OfferRecord, Reason};

/// Something happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// The marketplace is being asked about this many offers of this many publishers.
    Observing {
        /// How many publishers.
        publishers: usize,
        /// How many offers.
        offers: usize,
    },
    /// It was decided what is to be done.
    Planned(&'a ChangeSet),
    /// An offer's record changed: its phase, its reason, its progress.
    Changed {
        /// The offer.
        offer: &'a OfferId,
        /// What it was; `None` where the offer was not known.
        before: Option<&'a OfferRecord>,
        /// What it is now.
        record: &'a OfferRecord,
    },
    /// An offer left the status file, because its manifest is gone.
    Forgotten(&'a OfferId),
    /// A request that starts an operation was answered, or was not.
    Answered {
        /// The offer.
        offer: &'a OfferId,
        /// What the request is to start.
        kind: &'a OperationKind,
        /// What the answer means.
        answer: &'a RequestOutcome,
    },
    /// A publisher's offers could not be listed, so that nothing is known of any of them.
    NotListed {
        /// The publisher.
        publisher: &'a PublisherId,
        /// Why, as a stable word.
        reason: Reason,
    },
    /// A running operation was asked for.
    Polled {
        /// The offer.
        offer: &'a OfferId,
        /// Whether there was an answer.
        answered: bool,
    },
    /// A request may or may not have been accepted; the offer is looked at.
    Doubt {
        /// The offer.
        offer: &'a OfferId,
        /// What happened.
        why: &'a str,
    },
    /// Something is waited for.
    Waiting {
        /// The offer.
        offer: &'a OfferId,
        /// For how long.
        pause: Duration,
        /// Why.
        why: &'a str,
    },
    /// The user asked to stop.
    Stopping,
}

/// Somebody who is told what happens. Called from the reconciler's tasks; must not block for
/// long.
pub trait Reporter: Send + Sync {
    /// Takes note of an event.
    fn report(&self, event: &Event<'_>);
}

/// Tells several.
#[derive(Clone)]
pub struct All(pub Vec<Arc<dyn Reporter>>);

impl Reporter for All {
    fn report(&self, event: &Event<'_>) {
        self.0.iter().for_each(|reporter| reporter.report(event));
    }
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn report(&self, _: &Event<'_>) {}
}
