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
    let manifest = ManifestRecord {
        digest: "sha256:00".to_owned(),
        file: "offers/vm.yaml".to_owned(),
        state: DesiredState::Live,
    };
    OfferRecord {
        attempts: 1,
        observed: Some(ObservationRecord {
            at: at(),
            changed_time: None,
            fingerprint: None,
            live: Some(Release::from(4)),
            preview: Some(Release::from(5)),
            product: None,
            status: "running".to_owned(),
        }),
        ..OfferRecord::new(manifest, phase, reason, message, at())
    }
}

/// An offer on which a golive runs, at a step.
pub(in crate::serve) fn running(step: &str, percent: Option<u8>) -> OfferRecord {
    let mut record = record(Phase::InProgress, Reason::GoLiveRunning, "golive runs");
    record.operation = Some(Box::new(OperationRecord {
        id: Some("d138eccc".to_owned()),
        manifest_digest: "sha256:00".to_owned(),
        polled_at: Some(at()),
        progress: percent,
        release: Some(Release::from(5)),
        request_id: Some(RequestId::from_random([7; 16])),
        steps: vec![Step {
            estimate: Some("< 5 day".to_owned()),
            id: "certification".to_owned(),
            messages: Vec::new(),
            name: step.to_owned(),
            progress: percent,
            status: StepStatus::InProgress,
        }],
        ..OperationRecord::new(OperationKind::GoLive, OperationStatus::Running, at())
    }));
    record
}
