//! What the status file says of golives that have ended, held against the truth.

use golive::emulator::{Ending, GroundTruth, Kind, Run};
use golive::marketplace::{OperationKind, OperationStatus};
use golive::status::{OfferRecord, OperationRecord};

use super::laws::number;

/// How the file says that an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Runs,
    Succeeded,
    Failed,
    Canceled,
}

fn said(status: &OperationStatus) -> Said {
    match status {
        OperationStatus::Succeeded => Said::Succeeded,
        OperationStatus::Failed | OperationStatus::Refused => Said::Failed,
        OperationStatus::Canceled => Said::Canceled,
        OperationStatus::NotStarted | OperationStatus::Running | OperationStatus::Unknown(_) => {
            Said::Runs
        }
    }
}

/// Whether a run is as the record says. Where nothing can be asked any more it may be unknown
/// whether it failed or was canceled.
pub(crate) fn fits(operation: &OperationRecord, run: &Run) -> bool {
    match (said(&operation.status), run.ending) {
        (Said::Runs, ending) => ending.is_none(),
        (Said::Succeeded, ending) => ending == Some(Ending::Succeeded),
        (Said::Failed | Said::Canceled, ending) => {
            matches!(ending, Some(Ending::Failed | Ending::Canceled))
        }
    }
}

/// No golive on record has an ending that is not so.
pub(crate) fn are_true(record: &OfferRecord, truth: &GroundTruth) -> Result<(), String> {
    let operations = record.history.iter().chain(record.operation.as_deref());
    let mut golives = operations.filter(|it| it.kind == OperationKind::GoLive);
    match golives.find(|it| !is_true(it, truth)) {
        Some(OperationRecord { id, release, status, .. }) => Err(format!(
            "golive {id:?} of release {release:?} is called {status:?}, but there is {truth:?}"
        )),
        None => Ok(()),
    }
}

fn is_true(operation: &OperationRecord, truth: &GroundTruth) -> bool {
    let version = operation.release.as_ref().map(number);
    let own_id = operation.id.as_ref().filter(|_| !operation.has_shared_id());
    let mut runs = truth.runs.iter().filter(|run| {
        // By its id, since it may be of a release that was published between the look and the request.
        let is_it = match own_id {
            Some(id) => *id == run.id,
            // Nor is a release that another hand published just before.
            None => version.is_none_or(|version| version <= run.version),
        };
        run.kind == Kind::GoLive && is_it
    });
    let is_there = runs.clone().next().is_some();
    match said(&operation.status) {
        Said::Runs => true,
        Said::Succeeded => {
            let is_live = version.is_some() && truth.production >= version;
            is_live || runs.any(|run| fits(operation, run))
        }
        Said::Failed => runs.any(|run| fits(operation, run)),
        // What left no trace counts as canceled.
        Said::Canceled => runs.any(|run| fits(operation, run)) || (own_id.is_none() && !is_there),
    }
}
