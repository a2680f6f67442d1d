//! What came of a run.

use std::collections::{BTreeMap, BTreeSet};
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

/// What a run's last word says beside its outcome.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// The offers that no manifest declares: to try them again, a manifest comes first.
    pub undeclared: BTreeSet<OfferId>,
    /// Why the run ended although operations run, where its exit code says so.
    pub unfinished: Option<Unfinished>,
}

/// Why a run ends before its operations do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfinished {
    /// The time of `--wait` ran out.
    WaitIsOver,
    /// It was not to wait for them.
    NotWaited,
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
        self.under_way().count()
    }

    /// The offers whose operations still run.
    pub fn under_way(&self) -> impl Iterator<Item = &OfferId> {
        let running = self.records.iter().filter(|(_, it)| it.phase == Phase::InProgress);
        running.map(|(offer, _)| offer)
    }
}

fn is_problem(record: &OfferRecord) -> bool {
    match record.phase {
        Phase::Failed | Phase::Blocked | Phase::Triggering => true,
        Phase::Live | Phase::Preview | Phase::InProgress | Phase::Held => record.error.is_some(),
    }
}
