//! Compares how the status file says golives ended with how they did.

use golive::emulator::{Ending, GroundTruth, Kind, Run};
use golive::marketplace::{OperationKind, OperationStatus};
use golive::status::{OfferRecord, OperationRecord};

use super::checker::number;

/// How an operation ended, by its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RecordedEnd {
    Runs,
    Succeeded,
    Failed,
    Canceled,
}

fn recorded_end(status: &OperationStatus) -> RecordedEnd {
    match status {
        OperationStatus::Succeeded => RecordedEnd::Succeeded,
        OperationStatus::Failed | OperationStatus::Refused => RecordedEnd::Failed,
        OperationStatus::Canceled => RecordedEnd::Canceled,
        OperationStatus::NotStarted | OperationStatus::Running | OperationStatus::Unknown(_) => {
            RecordedEnd::Runs
        }
    }
}

/// Whether a run ended as recorded. `Failed` and `Canceled` count as equal, since an expired operation
/// no longer tells which it was.
pub(crate) fn fits(operation: &OperationRecord, run: &Run) -> bool {
    match (recorded_end(&operation.status), run.ending) {
        (RecordedEnd::Runs, ending) => ending.is_none(),
        (RecordedEnd::Succeeded, ending) => ending == Some(Ending::Succeeded),
        (RecordedEnd::Failed | RecordedEnd::Canceled, ending) => {
            matches!(ending, Some(Ending::Failed | Ending::Canceled))
        }
    }
}

/// Fails if a recorded golive ended otherwise.
pub(crate) fn match_truth(record: &OfferRecord, truth: &GroundTruth) -> Result<(), String> {
    let operations = record.history.iter().chain(record.operation.as_deref());
    let mut golives = operations.filter(|it| it.kind == OperationKind::GoLive);
    match golives.find(|it| !matches_truth(it, truth)) {
        Some(OperationRecord { id, release, status, .. }) => Err(format!(
            "golive {id:?} of release {release:?} is called {status:?}, but there is {truth:?}"
        )),
        None => Ok(()),
    }
}

fn matches_truth(operation: &OperationRecord, truth: &GroundTruth) -> bool {
    let version = operation.release.as_ref().map(number);
    let own_id = operation.id.as_ref().filter(|_| !operation.has_shared_id());
    let mut runs = truth.runs.iter().filter(|run| {
        // By id, since its release may have been published between the inspection and the request.
        let is_it = match own_id {
            Some(id) => *id == run.id,
            // Another client may have published a newer version just before.
            None => version.is_none_or(|version| version <= run.version),
        };
        run.kind == Kind::GoLive && is_it
    });
    let is_there = runs.clone().next().is_some();
    match recorded_end(&operation.status) {
        RecordedEnd::Runs => true,
        RecordedEnd::Succeeded => {
            let is_live = version.is_some() && truth.production >= version;
            is_live || runs.any(|run| fits(operation, run))
        }
        RecordedEnd::Failed => runs.any(|run| fits(operation, run)),
        // An operation without a trace is recorded as canceled.
        RecordedEnd::Canceled => {
            runs.any(|run| fits(operation, run)) || (own_id.is_none() && !is_there)
        }
    }
}
