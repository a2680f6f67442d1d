//! What is true of an offer, whatever the API shows. For tests, which judge a client by its effects.

use super::operation::{Ending, State};
use super::{Behaviour, Offer, Operation};
use crate::emulator::seed::Kind;

/// An offer's slots, and everything that was ever started on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroundTruth {
    /// The version in preview.
    pub preview: Option<u64>,
    /// The version in production.
    pub production: Option<u64>,
    /// Whether *golive* would be taken now: a newer version is in preview, signed off or to be
    /// tried again, and nothing runs.
    pub ready: bool,
    /// The preview that waits for the publisher's sign-off, if one does and nothing runs.
    pub waiting: Option<u64>,
    /// Publishes and golives, the oldest first, those of the seed included.
    pub runs: Vec<Run>,
}

/// A publish or a golive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The operation's id.
    pub id: String,
    /// What it does.
    pub kind: Kind,
    /// The version of the offer it brings to its slot.
    pub version: u64,
    /// How it ended; `None` while it runs.
    pub ending: Option<Ending>,
}

impl GroundTruth {
    pub(crate) fn of(offer: &Offer, behaviour: &Behaviour) -> Self {
        Self {
            preview: offer.preview,
            production: offer.production,
            waiting: offer.waits_for_sign_off(),
            ready: offer.may_go_live(behaviour).is_ok(),
            runs: offer.operations.iter().map(Run::of).collect(),
        }
    }

    /// What runs now, or ran last.
    #[must_use]
    pub fn last_run(&self) -> Option<&Run> {
        self.runs.last()
    }

    /// The last golive of a version, whoever started it.
    #[must_use]
    pub fn last_golive(&self, version: u64) -> Option<&Run> {
        self.runs.iter().rev().find(|run| run.kind == Kind::GoLive && run.version == version)
    }
}

impl Run {
    fn of(operation: &Operation) -> Self {
        let ending = match operation.state {
            State::Running | State::Canceling { .. } => None,
            State::Ended { ending, .. } => Some(ending),
        };
        let (id, kind, version) = (operation.id.clone(), operation.kind, operation.version);
        Self { id, kind, version, ending }
    }
}
