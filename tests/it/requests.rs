//! How many requests it takes.

use golive::status::Phase;
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

#[tokio::test(start_paused = true)]
async fn a_triggered_offer_takes_at_most_four_besides_the_list() {
    for behaviour in [
        "{}",
        "{previewVersion: 3, liveVersion: 2}",
        "{header: dollar}",
        "{header: relative, casing: pascal, arrayForm: true}",
    ] {
        let lab = Lab::vm(behaviour);
        lab.once().await;
        assert_eq!(lab.phase("contoso/vm"), Phase::InProgress);
        let requests = lab.requests();
        assert_eq!(requests[0], "GET /api/publishers/contoso/offers");
        assert!(requests.len() <= 5, "{behaviour}: {requests:?}");
        assert_eq!(lab.golives("contoso/vm"), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_takes_one_more_to_tell_the_attempts_apart() {
    // Besides the list; where a version is pinned, production is asked for too.
    for (behaviour, more, most) in [
        ("{fail: {times: 1}}", "", 5),
        ("{previewVersion: 3, liveVersion: 2, fail: {times: 1}}", "", 5),
        ("{previewVersion: 3, liveVersion: 2, fail: {times: 1}}", "version: 3", 6),
    ] {
        let lab = Lab::vm(behaviour);
        lab.manifest("vm.yaml", &live("contoso/vm", more));
        lab.to_the_end().await;
        assert_eq!(lab.phase("contoso/vm"), Phase::Failed);
        let before = lab.requests().len();
        lab.run(&Ask::once().with_retry()).await.unwrap();
        let requests = lab.requests().split_off(before);
        assert_eq!(requests.len(), most + 1, "{behaviour} {more}: {requests:#?}");
        assert_eq!(lab.golives("contoso/vm"), (2, 2));
    }
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
