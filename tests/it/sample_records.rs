//! Sample records in every phase.

use golive::manifest::DesiredState;
use golive::marketplace::{
    ChangedTime, Fence, Level, Message, OfferId, OperationKind, OperationStatus, Release,
    RequestId, Step, StepStatus,
};
use golive::status::{
    ErrorRecord, Intent, ManifestRecord, ObservationRecord, OfferRecord, OperationRecord, Phase,
    Reason,
};
use jiff::{SignedDuration, Timestamp};

/// A sample's name, phase, reason and message.
type Kind = (&'static str, Phase, Reason, &'static str);

const KINDS: [Kind; 10] = [
    ("contoso/virtual-machine", Phase::Live, Reason::InProduction, "version 5 is live"),
    ("contoso/backup-vault", Phase::InProgress, Reason::GoLiveRunning, "golive runs: Live, 42 %"),
    ("fabrikam/edge-firewall", Phase::Preview, Reason::InPreview, "version 5 is in preview"),
    (
        "contoso/data-gateway",
        Phase::Blocked,
        Reason::VersionMismatch,
        "the manifest pins version 4, but version 5 is in preview; publish version 4, or pin 5",
    ),
    ("fabrikam/log-analytics", Phase::Live, Reason::InProduction, "version 5 is live"),
    (
        "contoso/sql-accelerator",
        Phase::Failed,
        Reason::OperationFailed,
        "golive of version 5 failed at step \"Certification\": the image has a default password",
    ),
    (
        "fabrikam/identity-bridge",
        Phase::Held,
        Reason::WaitingForDependency,
        "waits until contoso/backup-vault is live",
    ),
    ("contoso/message-relay", Phase::InProgress, Reason::PublishRunning, "publish runs"),
    ("fabrikam/cost-advisor", Phase::Live, Reason::InProduction, "version 5 is live"),
    (
        "contoso/render-farm",
        Phase::Triggering,
        Reason::GoLivePending,
        "version 5 is in preview and is to go live",
    ),
];

/// `count` sample offers, cycling through the kinds.
pub(crate) fn offers(count: usize, now: Timestamp) -> Vec<(OfferId, OfferRecord)> {
    let offer = |number: usize| {
        let (name, phase, reason, message) = KINDS[number % KINDS.len()];
        let round = number / KINDS.len();
        let name = if round == 0 { name.to_owned() } else { format!("{name}-{round:03}") };
        (name.parse().unwrap(), record(phase, reason, message, now))
    };
    (0..count).map(offer).collect()
}

/// A record in a phase, with the operation, intent or error that the phase has.
pub(crate) fn record(phase: Phase, reason: Reason, message: &str, now: Timestamp) -> OfferRecord {
    let ago = |minutes| now - SignedDuration::from_mins(minutes);
    let live = if phase == Phase::Live { 5 } else { 4 };
    let digest = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
    let manifest = ManifestRecord {
        digest: digest.to_owned(),
        file: "offers/compute/offer.yaml".to_owned(),
        state: DesiredState::Live,
    };
    let mut record = OfferRecord {
        attempts: 1,
        history: vec![ended(OperationKind::Publish, ago(40 * 24 * 60), ago(39 * 24 * 60))],
        observed: Some(ObservationRecord {
            at: ago(3),
            changed_time: Some(ChangedTime("2026-10-31T07:14:03.1234567Z".to_owned())),
            fingerprint: Some("running 5 2026-10-31T07:14:03.1234567Z".to_owned()),
            live: Some(Release::from(live)),
            preview: Some(Release::from(5)),
            product: None,
            status: "running".to_owned(),
        }),
        ..OfferRecord::new(manifest, phase, reason, message, ago(185))
    };
    match phase {
        Phase::InProgress => record.operation = Some(running(reason, ago(185)).into()),
        Phase::Failed => record.operation = Some(failed(ago(600), ago(185)).into()),
        Phase::Triggering => record.intent = Some(intent(ago(1)).into()),
        Phase::Blocked => {
            let error = "no answer within 60 s when the offer was asked for; it is asked again";
            record.error = Some(ErrorRecord::new(ago(12), error.to_owned()));
        }
        Phase::Live | Phase::Preview | Phase::Held => {}
    }
    record
}

fn intent(at: Timestamp) -> Intent {
    Intent {
        at,
        attempt: 1,
        deadline: at + SignedDuration::from_mins(3),
        fence: Some(Fence("\"0800f1c2\"".to_owned())),
        kind: OperationKind::GoLive,
        known: None,
        manifest_digest: String::new(),
        release: Release::from(5),
        request_id: RequestId::from_random([9; 16]),
    }
}

fn running(reason: Reason, since: Timestamp) -> OperationRecord {
    if reason == Reason::PublishRunning {
        let certification = step("Certification", StepStatus::InProgress, Some(80), &[]);
        let steps = vec![
            step("Validation", StepStatus::Complete, None, &[]),
            Step { estimate: Some("1-2 days".to_owned()), ..certification },
            step("Publisher sign-off", StepStatus::NotStarted, None, &[]),
        ];
        return operation(OperationKind::Publish, OperationStatus::Running, since, None, steps);
    }
    let steps = vec![
        step("Validation", StepStatus::Complete, None, &[]),
        step("Certification", StepStatus::Complete, None, &[]),
        step("Publisher sign-off", StepStatus::Complete, None, &[]),
        Step {
            estimate: Some("< 5 day".to_owned()),
            ..step("Live", StepStatus::InProgress, Some(42), &["replicating to 31 of 54 regions"])
        },
        step("Reporting", StepStatus::NotStarted, None, &[]),
    ];
    operation(OperationKind::GoLive, OperationStatus::Running, since, None, steps)
}

fn failed(since: Timestamp, end: Timestamp) -> OperationRecord {
    let mut certification = step(
        "Certification",
        StepStatus::Failed,
        Some(80),
        &["The image has a default password.", "Port 22 is open to everybody: close it."],
    );
    for message in &mut certification.messages {
        message.level = Level::Error;
    }
    let steps = vec![
        step("Validation", StepStatus::Complete, None, &[]),
        certification,
        step("Live", StepStatus::NotStarted, None, &[]),
    ];
    operation(OperationKind::GoLive, OperationStatus::Failed, since, Some(end), steps)
}

fn ended(kind: OperationKind, since: Timestamp, end: Timestamp) -> OperationRecord {
    operation(kind, OperationStatus::Succeeded, since, Some(end), Vec::new())
}

pub(crate) fn operation(
    kind: OperationKind,
    status: OperationStatus,
    started_at: Timestamp,
    finished_at: Option<Timestamp>,
    steps: Vec<Step>,
) -> OperationRecord {
    OperationRecord {
        finished_at,
        id: Some("d138eccc-59a0-4ae5-a7a5-5b3b1a1e7c02".to_owned()),
        polled_at: finished_at,
        release: Some(Release::from(5)),
        request_id: Some(RequestId::from_random([7; 16])),
        steps,
        ..OperationRecord::new(kind, status, started_at)
    }
}

pub(crate) fn step(
    name: &str,
    status: StepStatus,
    progress: Option<u8>,
    messages: &[&str],
) -> Step {
    let message =
        |text: &&str| Message { at: None, level: Level::Information, text: (*text).to_owned() };
    Step {
        estimate: None,
        id: name.to_ascii_lowercase(),
        messages: messages.iter().map(message).collect(),
        name: name.to_owned(),
        progress,
        status,
    }
}
