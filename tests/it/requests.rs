//! How many requests it takes.

use golive::status::{Phase, Reason};
use pretty_assertions::assert_eq;

use crate::lab::{Ask, Lab};
use crate::place::{live, manifest};

/// Offers of four publishers in several states, all of them where they should be.
fn calm(offers: usize) -> Lab {
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
    let lab = Lab::new(&format!("offers:\n{seed}"));
    lab.manifest("all.yaml", &manifests.join("---\n"));
    lab
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_to_do_one_a_publisher() {
    let lab = calm(100);
    let outcome = lab.to_the_end().await;
    assert_eq!((outcome.problems(), outcome.triggered), (0, 20));
    for _ in 0..3 {
        let before = lab.requests().len();
        lab.to_the_end().await;
        let mut requests = lab.requests().split_off(before);
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
async fn held_offers_cost_no_more_than_their_publisher() {
    let lab = Lab::new("offers: {contoso/a: {}, contoso/b: {}}");
    lab.manifest("a.yaml", &live("contoso/a", "suspend: true"));
    lab.manifest("b.yaml", &live("contoso/b", "after: [contoso/a]"));
    lab.once().await;
    lab.once().await;
    assert_eq!(lab.requests(), ["GET /api/publishers/contoso/offers"; 2]);
}

/// `contoso/vm` as the profile has it, and a manifest that wants it live.
fn vm(profile: &str, behaviour: &str) -> Lab {
    let lab = Lab::new(&format!("{{profile: {profile}, offers: {{contoso/vm: {behaviour}}}}}"));
    lab.manifest("vm.yaml", &live("contoso/vm", ""));
    lab
}

/// The requests, without what is the same in all of them.
fn short(requests: &[String]) -> Vec<String> {
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
    // An offer that was not migrated may have an entity tag, which takes one more.
    for (profile, fence) in [("field", None), ("documented", Some("GET /vm"))] {
        for behaviour in [
            "{}",
            "{previewVersion: 3, liveVersion: 2}",
            "{header: dollar}",
            "{header: relative, casing: pascal, arrayForm: true}",
        ] {
            let lab = vm(profile, behaviour);
            lab.once().await;
            assert_eq!(lab.phase("contoso/vm"), Phase::InProgress);
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
            assert_eq!(short(&lab.requests()), expected, "{profile}, {behaviour}");
            assert_eq!(lab.golives("contoso/vm"), (1, 1));
        }
    }
}

/// What tells the attempts apart, and then golive: how the attempt before ended, and what is in the
/// slots, since no sign-off waits.
const AGAIN: [&str; 6] = [
    "GET /vm/submissions/",
    "GET /vm/status",
    "GET /vm/operation",
    "GET /vm/slot/Production",
    "GET /vm/slot/Preview",
    "POST /vm/golive",
];

/// The requests of a retry.
async fn retried(lab: &Lab) -> Vec<String> {
    lab.to_the_end().await;
    assert_eq!(lab.phase("contoso/vm"), Phase::Failed);
    let before = lab.requests().len();
    lab.run(&Ask::once().with_retry()).await.unwrap();
    short(&lab.requests().split_off(before))
}

#[tokio::test(start_paused = true)]
async fn a_retry_takes_three_more_to_tell_the_attempts_apart() {
    for (behaviour, more) in [
        ("{fail: {times: 1}}", ""),
        ("{previewVersion: 3, liveVersion: 2, fail: {times: 1}}", ""),
        ("{previewVersion: 3, liveVersion: 2, fail: {times: 1}}", "version: 3"),
    ] {
        let lab = vm("documented", behaviour);
        lab.manifest("vm.yaml", &live("contoso/vm", more));
        let requests = retried(&lab).await;
        assert_eq!(requests[..2], ["GET ", "GET /vm"], "{behaviour} {more}");
        assert_eq!(requests[2..8], AGAIN, "{behaviour} {more}");
        assert_eq!(requests[8..], ["GET /vm/operation"], "{behaviour} {more}");
        assert_eq!(lab.golives("contoso/vm"), (2, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_conflicts_is_a_refusal() {
    // Without another publish, no sign-off waits.
    let lab = vm("field", "{fail: {times: 1}}");
    let requests = retried(&lab).await;
    let once: Vec<_> = ["GET "].into_iter().chain(AGAIN).collect();
    assert_eq!(requests[..once.len()], once);
    let record = lab.record("contoso/vm");
    assert_eq!((record.phase, record.reason), (Phase::Failed, Reason::OperationFailed));
    assert!(record.error.unwrap().message.contains("409"), "why the retry came to nothing");
    assert_eq!(lab.golives("contoso/vm"), (2, 1));
    // The next run shows the failure again, and asks no more than the list.
    let before = lab.requests().len();
    lab.once().await;
    assert_eq!(short(&lab.requests().split_off(before)), ["GET "]);
    assert_eq!(lab.phase("contoso/vm"), Phase::Failed);
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_runs_takes_one_poll_a_run() {
    let lab = Lab::vm("{stepTime: 1h}");
    lab.once().await;
    let before = lab.requests().len();
    lab.once().await;
    let requests = lab.requests().split_off(before);
    assert_eq!(requests.len(), 2, "{requests:?}");
    assert!(requests[1].contains("/operations/"), "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn a_changed_manifest_of_a_live_offer_takes_no_request_of_its_own() {
    let lab = Lab::vm("{}");
    lab.to_the_end().await;
    lab.manifest("vm.yaml", &live("contoso/vm", "version: 1\nlabels: {team: compute}"));
    let before = lab.requests().len();
    lab.once().await;
    assert_eq!(lab.requests().split_off(before), ["GET /api/publishers/contoso/offers"]);
}
