//! What came of a run.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::changes::ChangeSet;
use crate::marketplace::OfferId;
use crate::status::{OfferRecord, Phase};

/// What came of a run.
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

impl Outcome {
    /// How many offers need a person: failed, blocked, in doubt, or not to be asked about. What the
    /// user has stopped before it was sent, or its answer was understood, is not among them.
    #[must_use]
    pub fn problems(&self) -> usize {
        let stopped = |it: &OfferRecord| {
            self.interrupted && it.phase == Phase::Triggering && it.error.is_none()
        };
        let records = self.records.values().filter(|record| !stopped(record));
        records.filter(|record| is_problem(record)).count()
    }

    /// How many operations still run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.records.values().filter(|record| record.phase == Phase::InProgress).count()
    }
}

fn is_problem(record: &OfferRecord) -> bool {
    match record.phase {
        Phase::Failed | Phase::Blocked | Phase::Triggering => true,
        Phase::Live | Phase::Preview | Phase::InProgress | Phase::Held => record.error.is_some(),
    }
}
