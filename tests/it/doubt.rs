//! A request in doubt stays in doubt until the marketplace shows its result.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use golive::emulator::ManualAction;
use golive::marketplace::OperationKind;
use golive::status::{Phase, Reason};
use http::Method;
use pretty_assertions::assert_eq;

use crate::crash::crashed_while_sending;
use crate::harness::{Harness, RunOptions, Spy};
use crate::test_env::{live, manifest};

#[tokio::test(start_paused = true)]
async fn a_refused_inspection_does_not_resolve_a_doubt() {
    for status in [401, 403, 500] {
        let harness = crashed_while_sending("{}", "before").await;
        tokio::time::advance(Duration::from_hours(1)).await;
        // Lists work; inspections are refused.
        harness.faults(&format!(
            "[{{path: '*/submissions', nth: 2, count: 200, action: {{status: {status}}}}}]"
        ));
        harness.once().await;
        assert_eq!(harness.golives("contoso/vm"), (1, 0), "{status}");
        assert!(harness.record("contoso/vm").intent.is_some(), "{status}: dropped without a look");
    }
}

#[tokio::test(start_paused = true)]
async fn an_intent_is_not_reused_for_another_kind_of_operation() {
    let harness = crashed_while_sending("{}", "before").await;
    harness.edit_status(|file| {
        let record = file.offers.values_mut().next().unwrap();
        Arc::make_mut(record).intent.as_mut().unwrap().kind = OperationKind::Publish;
    });
    harness.until_done().await;
    assert_eq!((harness.golives("contoso/vm"), harness.phase("contoso/vm")), ((2, 1), Phase::Live));
    assert_eq!(harness.record("contoso/vm").operation.unwrap().kind, OperationKind::GoLive);
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_retry_is_not_resolved_by_the_old_failure() {
    let harness = Harness::vm("{fail: {times: 1}}");
    harness.until_done().await;
    assert_eq!(harness.phase("contoso/vm"), Phase::Failed);
    harness.delete_status();
    harness.faults("[{method: POST, path: '*/golive', action: {reset: before}}]");
    harness.run(&RunOptions::until_done().with_retry()).await.unwrap();
    assert_eq!((harness.golives("contoso/vm"), harness.phase("contoso/vm")), ((3, 2), Phase::Live));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_kept_through_an_outage() {
    let harness =
        Harness::faulty_vm("{}", "[{method: POST, path: '*/golive', action: {status: 422}}]");
    harness.until_done().await;
    assert_eq!(harness.record("contoso/vm").reason, Reason::Refused);
    harness.faults("[{path: '*/offers', count: 5, action: {status: 500}}]");
    harness.once().await;
    harness.until_done().await;
    assert_eq!(harness.golives("contoso/vm"), (1, 0), "it is not repeated");
    assert_eq!(harness.record("contoso/vm").reason, Reason::Refused);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_kept_while_the_offer_is_blocked_otherwise() {
    for (path, status) in [("*/offers", 403), ("*/offers", 404), ("*/offers/vm/status", 403)] {
        let harness =
            Harness::faulty_vm("{}", "[{method: POST, path: '*/golive', action: {status: 422}}]");
        harness.until_done().await;
        // The list alone doesn't show the offer's state.
        harness.edit_status(|file| {
            let record = Arc::make_mut(file.offers.values_mut().next().unwrap());
            record.observed.as_mut().unwrap().fingerprint = None;
        });
        harness.faults(&format!("[{{path: '{path}', action: {{status: {status}}}}}]"));
        harness.once().await;
        let record = harness.record("contoso/vm");
        assert!(matches!(record.reason, Reason::Forbidden | Reason::NotFound), "{record:?}");
        for _ in 0..2 {
            harness.until_done().await;
            assert_eq!(harness.golives("contoso/vm"), (1, 0), "{path} {status}");
            let record = harness.record("contoso/vm");
            assert_eq!((record.phase, record.reason), (Phase::Blocked, Reason::Refused));
            assert!(record.error.unwrap().message.contains("422"), "the record shows the refusal");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_kept_while_waiting_for_another_offer() {
    let harness =
        Harness::new("offers: {contoso/base: {}, contoso/vm: {golive: {status: 422, times: 1}}}");
    harness.manifest("base.yaml", &live("contoso/base", ""));
    harness.manifest("vm.yaml", &live("contoso/vm", "after: [contoso/base]"));
    harness.until_done().await;
    assert_eq!(harness.record("contoso/vm").reason, Reason::Refused);
    harness.emulator.by_hand("contoso/base", ManualAction::Publish).unwrap();
    harness.once().await;
    assert_eq!(harness.record("contoso/vm").reason, Reason::WaitingForDependency);
    harness.until_done().await;
    assert_eq!(harness.phase("contoso/base"), Phase::Live);
    assert_eq!(harness.record("contoso/vm").reason, Reason::Refused);
    assert_eq!(harness.golives("contoso/vm"), (1, 0), "it is not repeated");
}

#[tokio::test(start_paused = true)]
async fn an_unmanaged_offer_leaves_the_file_when_its_operation_has_expired() {
    let harness = Harness::vm("{stepTime: 10m, expire: {finished: true}}");
    harness.once().await;
    harness.manifest("vm.yaml", &live("contoso/other", ""));
    let gone = BTreeSet::from(["contoso/vm".parse().unwrap()]);
    let options = RunOptions { gone, ..RunOptions::once() };
    harness.run(&options).await.unwrap();
    assert!(harness.status().offers.contains_key(&"contoso/vm".parse().unwrap()), "it runs");
    tokio::time::advance(Duration::from_hours(1)).await;
    harness.run(&options).await.unwrap();
    assert!(!harness.status().offers.contains_key(&"contoso/vm".parse().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn an_unmanaged_offer_leaves_the_file_when_its_intent_has_settled() {
    for (when, expected) in [("before", false), ("after", true)] {
        let harness = crashed_while_sending("{stepTime: 10h}", when).await;
        harness.manifest("vm.yaml", &live("contoso/other", ""));
        tokio::time::advance(Duration::from_hours(1)).await;
        let gone = BTreeSet::from(["contoso/vm".parse().unwrap()]);
        harness.run(&RunOptions { gone, ..RunOptions::once() }).await.unwrap();
        let stays = harness.status().offers.contains_key(&"contoso/vm".parse().unwrap());
        assert_eq!(stays, expected, "{when}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_live_version_is_recognized_when_the_manifest_pins_it() {
    let harness = Harness::new("offers: {contoso/vm: {previewVersion: 2, liveVersion: 1}}");
    harness.manifest("vm.yaml", &manifest("contoso/vm", "preview", ""));
    harness.once().await;
    assert_eq!(harness.phase("contoso/vm"), Phase::Preview);
    harness.manifest("vm.yaml", &live("contoso/vm", "version: 1"));
    harness.once().await;
    let record = harness.record("contoso/vm");
    assert_eq!((record.phase, record.reason), (Phase::Live, Reason::InProduction));
}

/// Two offers: while `b` is inspected, the golive of `a` is answered with a pause for the host.
fn paused_between_question_and_request() -> Harness {
    let harness = Harness::new(
        "{offers: {contoso/a: {}, contoso/b: {}}, faults: [
            {method: POST, path: '*/a/golive', action: {status: 429, retryAfter: 100}},
            {method: GET, path: '*/offers/b', action: {delay: 1s}}]}",
    );
    harness.manifest("a.yaml", &live("contoso/a", ""));
    harness.manifest("b.yaml", &live("contoso/b", ""));
    harness
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_paused_request() {
    let harness = paused_between_question_and_request();
    let began = harness.now();
    let stopper = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        harness.stop.cancel();
    };
    tokio::join!(harness.until_done(), stopper);
    let took = harness.now().duration_since(began).as_secs();
    assert!(took < 10, "it took {took} s");
    for offer in ["contoso/a", "contoso/b"] {
        assert_eq!(harness.record(offer).intent, None, "{offer}: nothing is in doubt");
    }
    assert_eq!((harness.golives("contoso/a"), harness.golives("contoso/b")), ((1, 0), (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_paused_request_is_sent_after_the_pause() {
    let harness = paused_between_question_and_request();
    let began = harness.now();
    let outcome = harness.until_done().await;
    assert_eq!(outcome.problems(), 0);
    assert_eq!((harness.golives("contoso/a"), harness.golives("contoso/b")), ((2, 1), (1, 1)));
    let sent = harness.golive_entries().into_iter().find(|it| it.path.contains("/b/")).unwrap();
    assert_eq!(sent.at.duration_since(began).as_secs(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_pause_to_end() {
    let harness = Harness::vm("{}");
    let stop = harness.stop.clone();
    harness.faults("[{path: '*/offers/vm', action: {status: 503, retryAfter: 100}}]");
    let harness = harness.with_transport(|inner| {
        let look = move |request: &http::Request<bytes::Bytes>| {
            if request.method() == Method::GET && request.uri().path().ends_with("/vm") {
                let stop = stop.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    stop.cancel();
                });
            }
        };
        Arc::new(Spy { inner, look })
    });
    let began = harness.now();
    harness.run(&RunOptions::until_done()).await.unwrap();
    let took = harness.now().duration_since(began).as_secs();
    assert!(took < 5, "it took {took} s");
    assert_eq!(harness.golives("contoso/vm"), (0, 0));
}
