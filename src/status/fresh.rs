//! Records that have only what every record has.

use jiff::Timestamp;

use super::phase::{Phase, Reason};
use super::{ManifestRecord, OfferRecord, OperationRecord};
use crate::marketplace::{OperationKind, OperationStatus};

impl OfferRecord {
    /// An offer that was never observed, and for which nothing was attempted.
    #[must_use]
    pub fn new(
        manifest: ManifestRecord,
        phase: Phase,
        reason: Reason,
        message: &str,
        since: Timestamp,
    ) -> Self {
        Self {
            attempts: 0,
            error: None,
            history: Vec::new(),
            intent: None,
            manifest,
            message: message.to_owned(),
            next_check_at: None,
            observed: None,
            operation: None,
            phase,
            reason,
            refused: None,
            since,
        }
    }
}

impl OperationRecord {
    /// An operation that golive started, of which only that is known.
    #[must_use]
    pub fn new(kind: OperationKind, status: OperationStatus, started_at: Timestamp) -> Self {
        Self {
            adopted: false,
            finished_at: None,
            id: None,
            kind,
            location: None,
            manifest_digest: String::new(),
            messages: Vec::new(),
            polled_at: None,
            presumed: false,
            progress: None,
            release: None,
            request_id: None,
            started_at,
            status,
            steps: Vec::new(),
        }
    }
}
