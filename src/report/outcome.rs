//! The outcome of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::changes::ChangeSet;
use crate::marketplace::OfferId;
use crate::status::{OfferRecord, Phase};

/// The outcome of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The change set of the first pass.
    pub planned: ChangeSet,
    /// Every offer in scope, as it is now.
    pub records: BTreeMap<OfferId, Arc<OfferRecord>>,
    /// How many requests were accepted.
    pub triggered: usize,
    /// Whether the user stopped it.
    pub interrupted: bool,
}

/// What the text about a run says besides its outcome.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ending {
    /// The offers that no manifest declares any more: trying them again takes a manifest first.
    pub(crate) undeclared: BTreeSet<OfferId>,
    /// Why operations still run at the end, if the exit code says so.
    pub(crate) unfinished: Option<Unfinished>,
}

/// Why a run ends before its operations do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfinished {
    /// The time of `--wait` ran out.
    WaitIsOver,
    /// There was no `--wait`.
    NotWaited,
}

impl Outcome {
    /// How many offers need a person: failed, blocked, in doubt, or unreachable. An offer whose
    /// request the user stopped before its outcome was known is not counted.
    #[must_use]
    pub fn problems(&self) -> usize {
        let is_problem = |record: &&Arc<OfferRecord>| match record.phase {
            Phase::Triggering if self.interrupted => record.error.is_some(),
            Phase::Failed | Phase::Blocked | Phase::Triggering => true,
            Phase::Live | Phase::Preview | Phase::InProgress | Phase::Held => {
                record.error.is_some()
            }
        };
        self.records.values().filter(is_problem).count()
    }

    /// How many operations still run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.under_way().count()
    }

    /// The offers whose operations still run.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = &OfferId> {
        let running = self.records.iter().filter(|(_, it)| it.phase == Phase::InProgress);
        running.map(|(offer, _)| offer)
    }
}
