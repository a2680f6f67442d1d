//! Lost and wrong answers: golive is accepted exactly once, and followed to its end.

use std::sync::Arc;
use std::time::Duration;

use golive::emulator::ManualAction;
use golive::engine::Wait;
use golive::status::{Phase, Reason};
use pretty_assertions::assert_eq;

use crate::harness::{Harness, RunOptions, Spy};
use crate::test_env::live;

/// The fault of the first golive request, and how many golives are received in total.
const FAULTS: [(&str, u64); 30] = [
    ("{reset: before}", 2),
    ("{reset: after}", 1),
    ("{status: 500}", 2),
    ("{status: 500, when: after}", 1),
    ("{status: 502}", 2),
    ("{status: 502, when: after}", 1),
    ("{status: 504, when: after}", 1),
    ("{html: 502}", 2),
    ("{html: 502, when: after}", 1),
    // An HTML page with a success code.
    ("{html: 200}", 2),
    ("{html: 200, when: after}", 1),
    ("{html: 202, when: after}", 1),
    // 202 without an operation URL.
    ("{status: 202}", 2),
    ("{status: 202, when: after}", 1),
    ("{status: 200, when: after, body: '[['}", 1),
    ("{status: 408, when: after}", 1),
    ("{status: 418, when: after}", 1),
    ("{cutBody: 0}", 1),
    ("{cutBody: 3}", 1),
    ("{redirect: 'https://fabrikam.example/api'}", 2),
    ("{redirect: 'https://fabrikam.example/api', when: after}", 1),
    ("{endlessBody: true}", 2),
    ("{endlessBody: true, when: after}", 1),
    // Longer than the request timeout.
    ("{delay: 2m}", 2),
    ("{delay: 2m, when: after}", 1),
    // Refused explicitly.
    ("{status: 503, retryAfter: 5}", 2),
    ("{status: 503}", 2),
    ("{status: 429, retryAfter: 7}", 2),
    ("{status: 409}", 2),
    ("{status: 412}", 2),
];

fn once(action: &str) -> String {
    format!("[{{method: POST, path: '*/golive', action: {action}}}]")
}

#[tokio::test(start_paused = true)]
async fn golive_is_accepted_exactly_once_whatever_the_answer() {
    for (action, received) in FAULTS {
        let harness = Harness::faulty_vm("{previewVersion: 3, liveVersion: 2}", &once(action));
        let outcome = harness.until_done().await;
        assert_eq!(outcome.problems(), 0, "{action}: {:?}", outcome.records);
        assert_eq!(harness.golives("contoso/vm"), (received, 1), "{action}");
        let record = harness.record("contoso/vm");
        assert_eq!(
            (record.phase, record.intent, record.error),
            (Phase::Live, None, None),
            "{action}"
        );
        assert_eq!(
            record.observed.unwrap().live.unwrap().as_str().parse::<u64>().unwrap(),
            3,
            "{action}"
        );
        let ids: std::collections::BTreeSet<_> =
            harness.golive_entries().into_iter().map(|entry| entry.request_id.unwrap()).collect();
        assert_eq!(ids.len() as u64, received, "{action}: every attempt has an id of its own");

        let before = harness.requests().len();
        harness.once().await;
        assert_eq!(
            harness.requests()[before..],
            ["GET /api/publishers/contoso/offers"],
            "{action}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn golive_is_accepted_exactly_once_over_several_runs_without_wait() {
    for (action, received) in FAULTS {
        let harness = Harness::faulty_vm("{stepTime: 1m}", &once(action));
        for _ in 0..6 {
            harness.once().await;
            tokio::time::advance(Duration::from_secs(50)).await;
        }
        assert_eq!(harness.golives("contoso/vm"), (received, 1), "{action}");
        assert_eq!(harness.phase("contoso/vm"), Phase::Live, "{action}");
    }
}

#[tokio::test(start_paused = true)]
async fn publish_is_accepted_exactly_once_whatever_the_answer() {
    for (action, _) in FAULTS {
        let harness = Harness::new("offers: {contoso/vm: {status: NeverPublished}}");
        harness.manifest("vm.yaml", &crate::test_env::manifest("contoso/vm", "preview", ""));
        harness.faults(&format!("[{{method: POST, path: '*/publish', action: {action}}}]"));
        harness.until_done().await;
        let accepted = harness.emulator.journal().entries().filter(|entry| entry.accepted).count();
        assert_eq!((accepted, harness.phase("contoso/vm")), (1, Phase::Preview), "{action}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_is_not_repeated_before_the_settle_time() {
    for settle in [1, 30, 90] {
        let mut harness = Harness::faulty_vm("{}", &once("{reset: before}"));
        harness.settle = Duration::from_secs(settle);
        harness.until_done().await;
        let entries = harness.golive_entries();
        let [first, second] = entries.as_slice() else { panic!("{entries:?}") };
        let apart = second.at.duration_since(first.at);
        assert!(apart.as_secs() >= settle.cast_signed(), "{settle}: {apart:?}");
        assert_ne!(first.request_id, second.request_id);
        assert_eq!(first.if_match, second.if_match, "the offer did not change");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_is_respected() {
    for (action, seconds) in [
        ("{status: 503, retryAfter: 40}", 40),
        ("{status: 429, retryAfter: 100}", 100),
        ("{status: 429, retryAfter: 'Tue, 01 Dec 2026 09:01:30 GMT'}", 90),
    ] {
        let harness = Harness::faulty_vm("{}", &once(action));
        harness.until_done().await;
        let entries = harness.golive_entries();
        let apart = entries[1].at.duration_since(entries[0].at);
        assert_eq!(apart.as_secs(), seconds, "{action}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_retry_after_is_left_to_the_next_run() {
    let harness = Harness::faulty_vm("{}", &once("{status: 503, retryAfter: 3600}"));
    let outcome = harness.once().await;
    assert_eq!(outcome.problems(), 1);
    let record = harness.record("contoso/vm");
    assert_eq!((record.phase, record.reason), (Phase::Blocked, Reason::Throttled));
    assert_eq!(record.intent, None);
    assert!(record.message.contains("to wait for 1h before"), "{}", record.message);
    assert!(record.next_check_at.unwrap() > harness.now());
    assert_eq!(harness.golives("contoso/vm"), (1, 0));
    harness.until_done().await;
    assert_eq!((harness.golives("contoso/vm"), harness.phase("contoso/vm")), ((2, 1), Phase::Live));
}

/// Offers, and a marketplace that throttles a number of golives, for a minute each.
fn throttled(offers: usize, times: u32) -> Harness {
    let harness = Harness::many(offers, "", "");
    harness.faults(&format!(
        "[{{method: POST, path: '*/golive', count: {times}, action: {{status: 429, retryAfter: 60}}}}]"
    ));
    harness
}

#[tokio::test(start_paused = true)]
async fn a_waiting_run_is_throttled_any_number_of_times() {
    let harness = throttled(20, 100);
    let outcome = harness.until_done().await;
    assert_eq!(outcome.problems(), 0);
    assert!(harness.status().offers.values().all(|record| record.phase == Phase::Live));
    assert_eq!(harness.golive_entries().len(), 120);
}

#[tokio::test(start_paused = true)]
async fn a_run_with_a_time_limit_is_throttled_up_to_it_and_follows_other_offers() {
    let harness = Harness::new("offers: {contoso/a: {}, contoso/b: {stepTime: 5m}}");
    for name in ["a", "b"] {
        harness.manifest(&format!("{name}.yaml"), &live(&format!("contoso/{name}"), ""));
    }
    harness.faults(
        "[{method: POST, path: '*/a/golive', count: 99, action: {status: 429, retryAfter: 60}},
          {path: '*/offers/a', count: 99, action: {delay: 1s}}]",
    );
    let began = harness.now();
    let wait = Wait::Until(Some(Duration::from_hours(1)));
    let outcome = harness.run(&RunOptions { wait, ..RunOptions::once() }).await.unwrap();
    assert_eq!(outcome.problems(), 1, "{outcome:#?}");
    assert_eq!(harness.record("contoso/a").reason, Reason::Throttled);
    let b = harness.record("contoso/b");
    assert_eq!(b.phase, Phase::Live);
    let ended = b.operation.unwrap().finished_at.unwrap().duration_since(began);
    assert!(ended.as_mins() < 15, "it is reported in time: {ended:?}");
    let took = harness.now().duration_since(began).as_mins();
    assert!((58..=60).contains(&took), "{took} min");
    let tries = harness.golives("contoso/a").0;
    assert!((30..=62).contains(&tries), "{tries} tries");
}

#[tokio::test(start_paused = true)]
async fn a_run_without_wait_is_not_delayed_by_each_offer_in_turn() {
    let harness = throttled(100, 10_000);
    let began = harness.now();
    let outcome = harness.once().await;
    assert_eq!(outcome.problems(), 100);
    let took = harness.now().duration_since(began).as_secs();
    assert!((60..240).contains(&took), "it took {took} s");
    for record in harness.status().offers.values() {
        assert_eq!((record.phase, record.reason), (Phase::Blocked, Reason::Throttled));
        assert_eq!(record.intent, None);
    }
}

#[tokio::test(start_paused = true)]
async fn an_endless_outage_leaves_a_doubt_and_no_third_request() {
    let harness = Harness::vm("{}");
    harness.faults("[{method: POST, path: '*/golive', count: 2, action: {reset: before}}]");
    for _ in 0..3 {
        let outcome = harness.until_done().await;
        assert_eq!(outcome.problems(), 1);
        let record = harness.record("contoso/vm");
        assert!(record.intent.is_some(), "the result is unknown, so the intent must stay");
        assert_eq!((harness.golives("contoso/vm"), record.phase), ((2, 0), Phase::Triggering));
        tokio::time::advance(Duration::from_hours(1)).await;
    }
    // A person suspends the offer for one run, which ends the doubt.
    harness.manifest("vm.yaml", &live("contoso/vm", "suspend: true"));
    harness.until_done().await;
    let record = harness.record("contoso/vm");
    assert_eq!((record.phase, record.intent), (Phase::Held, None));
    harness.manifest("vm.yaml", &live("contoso/vm", ""));
    harness.until_done().await;
    assert_eq!((harness.golives("contoso/vm"), harness.phase("contoso/vm")), ((3, 1), Phase::Live));
}

/// Has another client act at the moment the first golive passes.
fn meanwhile(behaviour: &str, hand: ManualAction) -> Harness {
    let harness = Harness::vm(behaviour);
    let (emulator, hand) = (harness.emulator.clone(), std::sync::Mutex::new(Some(hand)));
    harness.with_transport(|inner| {
        let look = move |request: &http::Request<bytes::Bytes>| {
            if request.method() == http::Method::POST
                && let Some(hand) = hand.lock().unwrap().take()
            {
                emulator.by_hand("contoso/vm", hand).unwrap();
            }
        };
        Arc::new(Spy { inner, look })
    })
}

#[tokio::test(start_paused = true)]
async fn a_faster_client_s_golive_is_followed() {
    for busy in [400, 409] {
        let harness = meanwhile(&format!("{{busy: {busy}}}"), ManualAction::StartGoLive);
        harness.until_done().await;
        assert_eq!(harness.golives("contoso/vm"), (1, 0), "{busy}");
        let record = harness.record("contoso/vm");
        assert_eq!((record.phase, record.intent), (Phase::Live, None), "{busy}");
        assert!(record.operation.unwrap().adopted, "{busy}");
    }
    let harness = meanwhile("{}", ManualAction::GoLive);
    harness.until_done().await;
    assert_eq!((harness.golives("contoso/vm"), harness.phase("contoso/vm")), ((1, 0), Phase::Live));
}

#[tokio::test(start_paused = true)]
async fn an_offer_that_changes_during_the_request_is_inspected_again() {
    let harness = meanwhile("{}", ManualAction::Edit);
    harness.until_done().await;
    assert_eq!((harness.golives("contoso/vm"), harness.phase("contoso/vm")), ((2, 1), Phase::Live));
    let entries = harness.golive_entries();
    assert_ne!(entries[0].if_match, entries[1].if_match);

    let harness = meanwhile("{}", ManualAction::Publish);
    harness.until_done().await;
    assert_eq!((harness.golives("contoso/vm"), harness.phase("contoso/vm")), ((2, 1), Phase::Live));
    assert_eq!(harness.live_version("contoso/vm"), 2);
}

#[tokio::test(start_paused = true)]
async fn an_endless_conflict_blocks_the_offer() {
    let harness = Harness::vm("{}");
    harness.faults("[{method: POST, path: '*/golive', count: always, action: {status: 409}}]");
    let outcome = harness.until_done().await;
    assert_eq!(outcome.problems(), 1);
    let record = harness.record("contoso/vm");
    assert_eq!((record.phase, record.reason), (Phase::Blocked, Reason::Conflict));
    assert_eq!(harness.golives("contoso/vm"), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn failed_reads_are_retried() {
    for (path, action) in [
        ("*/offers", "{status: 503, retryAfter: 1}"),
        ("*/offers", "{reset: before}"),
        ("*/offers", "{html: 502}"),
        ("*/offers", "{cutBody: 9}"),
        ("*/offers/vm", "{status: 500}"),
        ("*/submissions", "{status: 429}"),
        ("*/operations/*", "{status: 504}"),
        ("*/operations/*", "{status: 200, body: '{'}"),
        ("*/slot/*", "{reset: after}"),
    ] {
        let harness = Harness::vm("{previewVersion: 2, liveVersion: 1}");
        harness.faults(&format!("[{{method: GET, path: '{path}', count: 2, action: {action}}}]"));
        harness.until_done().await;
        assert_eq!(harness.golives("contoso/vm"), (1, 1), "{path} {action}");
        assert_eq!(harness.phase("contoso/vm"), Phase::Live, "{path} {action}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_poll_does_not_change_the_state() {
    let harness = Harness::vm("{stepTime: 1h}");
    harness.faults("[{path: '*/operations/*', nth: 2, count: 30, action: {status: 500}}]");
    let outcome = harness.run(&RunOptions::until_done()).await.unwrap();
    assert_eq!((outcome.problems(), harness.golives("contoso/vm")), (0, (1, 1)));
    assert_eq!(harness.phase("contoso/vm"), Phase::Live);
}

#[tokio::test(start_paused = true)]
async fn one_publisher_s_pause_does_not_delay_another_s_retry() {
    let harness = Harness::new(
        "{offers: {contoso/vm: {}, fabrikam/vm: {}}, faults: [
            {method: POST, path: '*/publishers/contoso/*/golive', count: always,
             action: {status: 429, retryAfter: 3600}},
            {method: POST, path: '*/publishers/fabrikam/*/golive', count: 2, action: {status: 412}}]}",
    );
    harness.manifest("contoso.yaml", &live("contoso/vm", ""));
    harness.manifest("fabrikam.yaml", &live("fabrikam/vm", ""));
    let wait = Wait::Until(Some(Duration::from_mins(30)));
    harness.run(&RunOptions { wait, ..RunOptions::once() }).await.unwrap();
    assert_eq!(
        (harness.golives("fabrikam/vm"), harness.phase("fabrikam/vm")),
        ((3, 1), Phase::Live)
    );
    let record = harness.record("contoso/vm");
    assert_eq!((record.phase, record.reason), (Phase::Blocked, Reason::Throttled));
}

#[tokio::test(start_paused = true)]
async fn a_run_without_wait_leaves_a_doubt_with_its_deadline() {
    let harness = Harness::vm("{profile: field}");
    harness.faults("[{method: POST, path: '*/golive', action: {reset: before}}]");
    let began = harness.now();
    harness.once().await;
    let record = harness.record("contoso/vm");
    assert!(harness.now().duration_since(began).as_secs() <= 120, "it does not wait for long");
    let intent = record.intent.unwrap();
    let settles = record.next_check_at.unwrap();
    assert!(settles > intent.deadline);
    let error = record.error.unwrap().message;
    assert!(error.contains("reset") && error.contains(&format!("{settles:.0}")), "{error}");
    tokio::time::advance(Duration::from_hours(1)).await;
    harness.until_done().await;
    assert_eq!((harness.golives("contoso/vm"), harness.phase("contoso/vm")), ((2, 1), Phase::Live));
}
