//! The number of requests for each situation.

use golive::status::{Phase, Reason};
use pretty_assertions::assert_eq;

use crate::harness::{Harness, RunOptions};
use crate::test_env::{live, manifest};

/// Offers of four publishers in several states, all as desired.
fn offers_in_sync(offers: usize) -> Harness {
    const PUBLISHERS: [&str; 4] = ["contoso", "fabrikam", "contoso-labs", "fabrikam-labs"];
    let (mut seed, mut manifests) = (String::new(), Vec::new());
    for number in 0..offers {
        let name = format!("{}/vm-{number}", PUBLISHERS[number % 4]);
        let (behaviour, text) = match number % 5 {
            0 => ("{previewVersion: 3, liveVersion: 3}", live(&name, "")),
            1 => ("{}", manifest(&name, "preview", "")),
            2 => ("{previewVersion: 3, liveVersion: 2}", live(&name, "version: 2")),
            3 => ("{previewVersion: 3, liveVersion: 3}", manifest(&name, "preview", "")),
            _ => ("{previewVersion: 1}", live(&name, "")),
        };
        seed.extend([format!("  {name}: {behaviour}\n")]);
        manifests.push(text);
    }
    let harness = Harness::new(&format!("offers:\n{seed}"));
    harness.manifest("all.yaml", &manifests.join("---\n"));
    harness
}

#[tokio::test(start_paused = true)]
async fn a_run_with_nothing_to_do_takes_one_request_per_publisher() {
    let harness = offers_in_sync(100);
    let outcome = harness.until_done().await;
    assert_eq!((outcome.problems(), outcome.triggered), (0, 20));
    for _ in 0..3 {
        let before = harness.requests().len();
        harness.until_done().await;
        let mut requests = harness.requests().split_off(before);
        requests.sort();
        assert_eq!(
            requests,
            [
                "GET /api/publishers/contoso-labs/offers",
                "GET /api/publishers/contoso/offers",
                "GET /api/publishers/fabrikam-labs/offers",
                "GET /api/publishers/fabrikam/offers",
            ]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn held_offers_take_no_request_of_their_own() {
    let harness = Harness::new("offers: {contoso/a: {}, contoso/b: {}}");
    harness.manifest("a.yaml", &live("contoso/a", "suspend: true"));
    harness.manifest("b.yaml", &live("contoso/b", "after: [contoso/a]"));
    harness.once().await;
    harness.once().await;
    assert_eq!(harness.requests(), ["GET /api/publishers/contoso/offers"; 2]);
}

/// `contoso/vm` in this profile, and a manifest that wants it live.
fn vm_with_profile(profile: &str, behaviour: &str) -> Harness {
    let harness =
        Harness::new(&format!("{{profile: {profile}, offers: {{contoso/vm: {behaviour}}}}}"));
    harness.manifest("vm.yaml", &live("contoso/vm", ""));
    harness
}

/// The requests, without their common prefix.
fn shortened(requests: &[String]) -> Vec<String> {
    let short = |request: &String| {
        let (method, path) = request.split_once(' ').unwrap();
        let path = path.strip_prefix("/api/publishers/contoso/offers").unwrap_or(path);
        let path = if path.contains("/operations/") { "/vm/operation" } else { path };
        format!("{method} {path}")
    };
    requests.iter().map(short).collect()
}

#[tokio::test(start_paused = true)]
async fn a_triggered_offer_takes_four_besides_the_list() {
    // An offer that was not migrated may have an entity tag, which costs one request.
    for (profile, fence) in [("field", None), ("documented", Some("GET /vm"))] {
        for behaviour in [
            "{}",
            "{previewVersion: 3, liveVersion: 2}",
            "{header: dollar}",
            "{header: relative, casing: pascal, arrayForm: true}",
        ] {
            let harness = vm_with_profile(profile, behaviour);
            harness.once().await;
            assert_eq!(harness.phase("contoso/vm"), Phase::InProgress);
            let expected: Vec<_> = ["GET "]
                .into_iter()
                .chain(fence)
                .chain([
                    "GET /vm/submissions/",
                    "GET /vm/status",
                    "POST /vm/golive",
                    "GET /vm/operation",
                ])
                .collect();
            assert_eq!(shortened(&harness.requests()), expected, "{profile}, {behaviour}");
            assert_eq!(harness.golives("contoso/vm"), (1, 1));
        }
    }
}

/// A retry reads the previous attempt's result and the slots, since no sign-off waits; then it sends
/// golive.
const AGAIN: [&str; 6] = [
    "GET /vm/submissions/",
    "GET /vm/status",
    "GET /vm/operation",
    "GET /vm/slot/Production",
    "GET /vm/slot/Preview",
    "POST /vm/golive",
];

/// The requests of a retry.
async fn retried(harness: &Harness) -> Vec<String> {
    harness.until_done().await;
    assert_eq!(harness.phase("contoso/vm"), Phase::Failed);
    let before = harness.requests().len();
    harness.run(&RunOptions::once().with_retry()).await.unwrap();
    shortened(&harness.requests().split_off(before))
}

#[tokio::test(start_paused = true)]
async fn a_retry_takes_three_more_to_distinguish_the_attempts() {
    for (behaviour, more) in [
        ("{fail: {times: 1}}", ""),
        ("{previewVersion: 3, liveVersion: 2, fail: {times: 1}}", ""),
        ("{previewVersion: 3, liveVersion: 2, fail: {times: 1}}", "version: 3"),
    ] {
        let harness = vm_with_profile("documented", behaviour);
        harness.manifest("vm.yaml", &live("contoso/vm", more));
        let requests = retried(&harness).await;
        assert_eq!(requests[..2], ["GET ", "GET /vm"], "{behaviour} {more}");
        assert_eq!(requests[2..8], AGAIN, "{behaviour} {more}");
        assert_eq!(requests[8..], ["GET /vm/operation"], "{behaviour} {more}");
        assert_eq!(harness.golives("contoso/vm"), (2, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_conflicts_is_a_refusal() {
    // Without another publish, no sign-off waits.
    let harness = vm_with_profile("field", "{fail: {times: 1}}");
    let requests = retried(&harness).await;
    let once: Vec<_> = ["GET "].into_iter().chain(AGAIN).collect();
    assert_eq!(requests[..once.len()], once);
    let record = harness.record("contoso/vm");
    assert_eq!((record.phase, record.reason), (Phase::Failed, Reason::OperationFailed));
    assert!(record.error.unwrap().message.contains("409"), "why the retry came to nothing");
    assert_eq!(harness.golives("contoso/vm"), (2, 1));
    // The next run shows the failure again, and sends only the list request.
    let before = harness.requests().len();
    harness.once().await;
    assert_eq!(shortened(&harness.requests().split_off(before)), ["GET "]);
    assert_eq!(harness.phase("contoso/vm"), Phase::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_running_operation_takes_one_poll_per_run() {
    let harness = Harness::vm("{stepTime: 1h}");
    harness.once().await;
    let before = harness.requests().len();
    harness.once().await;
    let requests = harness.requests().split_off(before);
    assert_eq!(requests.len(), 2, "{requests:?}");
    assert!(requests[1].contains("/operations/"), "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn a_changed_manifest_of_a_live_offer_takes_no_request_of_its_own() {
    let harness = Harness::vm("{}");
    harness.until_done().await;
    harness.manifest("vm.yaml", &live("contoso/vm", "version: 1\nlabels: {team: compute}"));
    let before = harness.requests().len();
    harness.once().await;
    assert_eq!(harness.requests().split_off(before), ["GET /api/publishers/contoso/offers"]);
}
