//! Records that nobody has.

use jiff::Timestamp;

use crate::manifest::DesiredState;
use crate::marketplace::{
    OperationKind, OperationStatus, Pause, PausedUntil, PublisherId, Release, RequestId, Step,
    StepStatus,
};
use crate::status::{
    ManifestRecord, ObservationRecord, OfferRecord, OperationRecord, Phase, Reason,
};

/// When everything happened.
pub(in crate::serve) fn at() -> Timestamp {
    "2026-11-01T09:00:00Z".parse().unwrap()
}

/// These publishers are paused, and perhaps all.
pub(in crate::serve) fn paused(
    publishers: &[(&str, Timestamp)],
    all: Option<Timestamp>,
) -> PausedUntil {
    let pause = |until| Pause { until, why: "GET / was answered 429 <i>".to_owned() };
    let publishers =
        publishers.iter().map(|(id, until)| (PublisherId::new(id).unwrap(), pause(*until)));
    PausedUntil { publishers: publishers.collect(), all: all.map(pause) }
}

/// An offer in a phase.
pub(in crate::serve) fn record(phase: Phase, reason: Reason, message: &str) -> OfferRecord {
    OfferRecord {
        attempts: 1,
        error: None,
        history: Vec::new(),
        intent: None,
        manifest: ManifestRecord {
            digest: "sha256:00".to_owned(),
            file: "offers/vm.yaml".to_owned(),
            state: DesiredState::Live,
        },
        message: message.to_owned(),
        next_check_at: None,
        observed: Some(ObservationRecord {
            at: at(),
            changed_time: None,
            fingerprint: None,
            live: Some(Release::from(4)),
            preview: Some(Release::from(5)),
            product: None,
            status: "running".to_owned(),
        }),
        operation: None,
        phase,
        reason,
        refused: None,
        since: at(),
    }
}

/// An offer on which a golive runs, at a step.
pub(in crate::serve) fn running(step: &str, percent: Option<u8>) -> OfferRecord {
    let mut record = record(Phase::InProgress, Reason::GoLiveRunning, "golive runs");
    record.operation = Some(Box::new(OperationRecord {
        adopted: false,
        finished_at: None,
        id: Some("d138eccc".to_owned()),
        kind: OperationKind::GoLive,
        location: None,
        manifest_digest: "sha256:00".to_owned(),
        messages: Vec::new(),
        polled_at: Some(at()),
        presumed: false,
        progress: percent,
        release: Some(Release::from(5)),
        request_id: Some(RequestId::from_random([7; 16])),
        started_at: at(),
        status: OperationStatus::Running,
        steps: vec![Step {
            estimate: Some("< 5 day".to_owned()),
            id: "certification".to_owned(),
            messages: Vec::new(),
            name: step.to_owned(),
            progress: percent,
            status: StepStatus::InProgress,
        }],
    }));
    record
}
