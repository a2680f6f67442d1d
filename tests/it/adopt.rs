//! Operations that golive did not start, has no record of, or can't find again.

use std::time::Duration;

use golive::emulator::ManualAction;
use golive::marketplace::{OperationKind, OperationStatus};
use golive::status::{Phase, Reason};
use pretty_assertions::assert_eq;

use crate::harness::Harness;
use crate::test_env::{STATUS, TestEnv, live, manifest};

#[test]
fn a_deleted_status_file_causes_no_second_golive() {
    let env = TestEnv::with_seed("offers: {contoso/vm: {stepTime: 1h}}");
    env.write("vm.yaml", live("contoso/vm", ""));
    env.golive("apply").code(0);
    env.remove(STATUS);
    env.golive("apply").code(0).stdout(
        "\
OFFER       PHASE       REASON         MESSAGE
contoso/vm  InProgress  GoLiveRunning  golive runs: Live, 0 %
0 operations started; 1 offer: 1 InProgress.
",
    );
    assert!(env.record("contoso/vm").operation.unwrap().adopted);
    env.remove(STATUS);
    env.emulator().by_hand("contoso/vm", ManualAction::Finish).unwrap();
    env.golive("apply --wait").code(0).stdout_has("contoso/vm  Live   InProduction");
    assert_eq!(env.golives("contoso/vm"), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_list_ends_an_operation_that_cannot_be_polled() {
    let harness = Harness::vm("{}");
    harness.faults("[{path: '*/operations/*', count: 900, action: {status: 500}}]");
    harness.once().await;
    assert_eq!(harness.phase("contoso/vm"), Phase::InProgress, "no list says that it has ended");
    tokio::time::advance(Duration::from_hours(1)).await;
    harness.once().await;
    let record = harness.record("contoso/vm");
    assert_eq!((record.phase, record.running()), (Phase::Live, None));
    assert_eq!(harness.golives("contoso/vm"), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn deleting_the_status_file_before_every_run_is_safe() {
    let harness = Harness::vm("{previewVersion: 2, liveVersion: 1, stepTime: 10m}");
    for _ in 0..20 {
        harness.once().await;
        harness.delete_status();
        tokio::time::advance(Duration::from_secs(45)).await;
    }
    harness.once().await;
    assert_eq!((harness.golives("contoso/vm"), harness.phase("contoso/vm")), ((1, 1), Phase::Live));
}

#[tokio::test(start_paused = true)]
async fn an_expired_operation_is_resolved_by_the_offer() {
    for expire in ["{polls: 2}", "{finished: true}", "{finished: true, polls: 1}"] {
        let harness = Harness::vm(&format!("{{stepTime: 10m, expire: {expire}}}"));
        let outcome = harness.until_done().await;
        assert_eq!(outcome.problems(), 0, "{expire}");
        let requests = harness.requests();
        assert!(requests.len() < 60, "{expire}: {} requests in ten minutes", requests.len());
        assert_eq!(
            (harness.golives("contoso/vm"), harness.phase("contoso/vm")),
            ((1, 1), Phase::Live),
            "{expire}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_golive_canceled_by_another_client_is_not_repeated() {
    for after in ["WaitingForPublisherReview", "Canceled"] {
        let harness = Harness::vm(&format!("{{stepTime: 10m, afterCancel: {after}}}"));
        harness.once().await;
        harness.emulator.by_hand("contoso/vm", ManualAction::Cancel).unwrap();
        for _ in 0..3 {
            let outcome = harness.until_done().await;
            assert_eq!(outcome.problems(), 1, "{after}");
            let record = harness.record("contoso/vm");
            assert_eq!((record.phase, record.reason), (Phase::Failed, Reason::OperationCanceled));
        }
        // Not even without a record of it.
        harness.delete_status();
        harness.until_done().await;
        assert_eq!(harness.record("contoso/vm").reason, Reason::OperationCanceled, "{after}");
        assert_eq!(harness.golives("contoso/vm"), (1, 1), "{after}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_blocked_step_is_still_running() {
    for halt in ["blocked", "waitingForApproval", "rejected"] {
        let harness =
            Harness::vm(&format!("{{block: {{step: live, as: {halt}, message: Call us}}}}"));
        harness.once().await;
        tokio::time::advance(Duration::from_hours(24)).await;
        let outcome = harness.once().await;
        assert_eq!((outcome.running(), harness.golives("contoso/vm")), (1, (1, 1)), "{halt}");
        harness.emulator.by_hand("contoso/vm", ManualAction::Finish).unwrap();
        harness.until_done().await;
        assert_eq!(harness.phase("contoso/vm"), Phase::Live, "{halt}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_newer_preview_beside_a_live_version_is_launched() {
    let harness = Harness::vm("{}");
    harness.until_done().await;
    harness.emulator.by_hand("contoso/vm", ManualAction::Edit).unwrap();
    harness.until_done().await;
    assert_eq!(harness.golives("contoso/vm"), (1, 1), "a draft isn't a preview");
    for version in 2..5 {
        harness.emulator.by_hand("contoso/vm", ManualAction::Publish).unwrap();
        harness.until_done().await;
        harness.until_done().await;
        assert_eq!(harness.golives("contoso/vm"), (version, version));
        let live = harness.live_version("contoso/vm");
        assert_eq!((live, harness.phase("contoso/vm")), (version, Phase::Live));
    }
    assert_eq!(harness.record("contoso/vm").history.len(), 3);
}

/// A marketplace that lists no operations: only the offer's status shows what runs.
fn unlisted(behaviour: &str) -> Harness {
    let faults = "[{path: '*/submissions', count: always, action: {status: 200, body: '[]'}}]";
    Harness::faulty_vm(behaviour, faults)
}

#[tokio::test(start_paused = true)]
async fn an_unlisted_publish_is_followed_by_the_golive() {
    for versions in ["previewVersion: 1", "previewVersion: 2, liveVersion: 1"] {
        let harness =
            unlisted(&format!("{{{versions}, status: Running, operation: publish, stepTime: 5m}}"));
        let outcome = harness.until_done().await;
        assert_eq!(outcome.problems(), 0, "{versions}: {:?}", outcome.records);
        assert_eq!(
            (harness.golives("contoso/vm"), harness.phase("contoso/vm")),
            ((1, 1), Phase::Live)
        );
        let publish = &harness.record("contoso/vm").history[0];
        assert_eq!(publish.kind, OperationKind::Publish);
        assert_eq!(publish.status, OperationStatus::Succeeded);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unlisted_own_publish_is_not_recorded_as_canceled() {
    let harness = unlisted("{status: NeverPublished, header: none, stepTime: 5m}");
    harness.manifest("vm.yaml", &manifest("contoso/vm", "preview", ""));
    let outcome = harness.until_done().await;
    assert_eq!((outcome.problems(), harness.phase("contoso/vm")), (0, Phase::Preview));
    let publish = harness.record("contoso/vm").operation.unwrap();
    assert_eq!(
        (publish.kind, publish.status),
        (OperationKind::Publish, OperationStatus::Succeeded)
    );
    assert!(!publish.adopted && publish.request_id.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_unlisted_golive_canceled_by_another_client_is_not_repeated() {
    let harness = unlisted("{status: Running, operation: golive, stepTime: 10m}");
    harness.once().await;
    harness.emulator.by_hand("contoso/vm", ManualAction::Cancel).unwrap();
    for _ in 0..3 {
        harness.until_done().await;
        assert_eq!(harness.record("contoso/vm").reason, Reason::OperationCanceled);
    }
    assert_eq!(harness.golives("contoso/vm"), (0, 0));
}
