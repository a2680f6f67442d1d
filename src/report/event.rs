//! Events of a reconcile.

use std::sync::Arc;
use std::time::Duration;

use crate::changes::ChangeSet;
use crate::marketplace::{OfferId, OperationKind, PublisherId};
use crate::operation::RequestOutcome;
use crate::status::{OfferRecord, Reason};

/// An event of a reconcile.
#[derive(Debug)]
pub enum Event<'a> {
    /// The marketplace is being asked about this many offers of this many publishers.
    Observing {
        /// How many publishers.
        publishers: usize,
        /// How many offers.
        offers: usize,
    },
    /// The change set was computed.
    Planned(&'a ChangeSet),
    /// An offer's record changed: its phase, its reason, its progress.
    Changed {
        /// The offer.
        offer: &'a OfferId,
        /// The record before; `None` for a new offer.
        before: Option<&'a OfferRecord>,
        /// The record now.
        record: &'a OfferRecord,
    },
    /// An offer left the status file, because its manifest is gone.
    Forgotten(&'a OfferId),
    /// A request that starts an operation has an outcome.
    Answered {
        /// The offer.
        offer: &'a OfferId,
        /// The operation that the request starts.
        kind: &'a OperationKind,
        /// The outcome.
        answer: &'a RequestOutcome,
    },
    /// A publisher's offers could not be listed.
    NotListed {
        /// The publisher.
        publisher: &'a PublisherId,
        /// Why.
        reason: Reason,
    },
    /// A running operation was polled.
    Polled {
        /// The offer.
        offer: &'a OfferId,
        /// Whether there was an answer.
        answered: bool,
    },
    /// A request may or may not have been accepted; the offer is checked next.
    Doubt {
        /// The offer.
        offer: &'a OfferId,
        /// What happened.
        why: &'a str,
    },
    /// An offer waits.
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

/// Receives events. Called from the reconciler's tasks; must not block for long.
pub trait Reporter: Send + Sync {
    /// Takes note of an event.
    fn report(&self, event: &Event<'_>);
}

/// Passes each event on to several reporters, or to none.
#[derive(Clone, Default)]
pub struct Reporters(pub Vec<Arc<dyn Reporter>>);

impl Reporter for Reporters {
    fn report(&self, event: &Event<'_>) {
        self.0.iter().for_each(|reporter| reporter.report(event));
    }
}
