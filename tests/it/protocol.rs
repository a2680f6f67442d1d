//! The trigger protocol, step by step, in requests and on disk.

use std::sync::{Arc, Mutex};

use golive::status::{OfferRecord, Phase, StatusFile};
use pretty_assertions::assert_eq;

use crate::harness::{Harness, Spy};
use crate::test_env::{STATUS, TOKEN, live, manifest};

/// A request, and the status file at that moment.
struct Snapshot {
    line: String,
    headers: http::HeaderMap,
    body: String,
    status: Option<StatusFile>,
}

fn recorded_requests(harness: Harness) -> (Harness, Arc<Mutex<Vec<Snapshot>>>) {
    let snapshots = Arc::new(Mutex::new(Vec::new()));
    let (seen, path) = (Arc::clone(&snapshots), harness.path(STATUS));
    let harness = harness.with_transport(|inner| {
        let look = move |request: &http::Request<bytes::Bytes>| {
            let bytes = std::fs::read(&path).ok();
            seen.lock().unwrap().push(Snapshot {
                line: format!("{} {}", request.method(), request.uri().path()),
                headers: request.headers().clone(),
                body: String::from_utf8(request.body().to_vec()).unwrap(),
                status: bytes.map(|bytes| golive::status::parse(&path, &bytes).unwrap()),
            });
        };
        Arc::new(Spy { inner, look })
    });
    (harness, snapshots)
}

#[tokio::test(start_paused = true)]
async fn the_intent_is_on_disk_before_the_request_and_the_operation_before_the_poll() {
    let harness = Harness::new("offers: {contoso/vm: {previewVersion: 3, stepTime: 1h}}");
    harness.manifest("vm.yaml", &live("contoso/vm", "notify: [a@contoso.com, b@contoso.com]"));
    let (harness, snapshots) = recorded_requests(harness);
    harness.once().await;
    let snapshots = snapshots.lock().unwrap();
    let lines: Vec<_> = snapshots.iter().map(|snapshot| snapshot.line.as_str()).collect();
    let offer = "/api/publishers/contoso/offers/vm";
    assert_eq!(lines[0], "GET /api/publishers/contoso/offers");
    let post = lines.iter().position(|line| line.starts_with("POST ")).unwrap();
    assert_eq!(lines[post], format!("POST {offer}/golive"));
    assert!(lines[1..post].contains(&format!("GET {offer}").as_str()), "{lines:?}");

    let record = |index: usize| {
        let file: &StatusFile = snapshots[index].status.as_ref().unwrap();
        OfferRecord::clone(file.offers.values().next().unwrap())
    };
    let before = snapshots[post - 1].status.as_ref();
    let before = before.and_then(|file| file.offers.values().next());
    assert!(before.is_none_or(|it| it.intent.is_none() && it.operation.is_none()));
    let during = record(post);
    let intent = during.intent.unwrap();
    let header =
        |name: &str| snapshots[post].headers.get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(header("x-ms-client-request-id"), intent.request_id.as_str());
    assert_eq!(header("if-match"), intent.fence.unwrap().0);
    assert_eq!(header("authorization"), format!("Bearer {TOKEN}"));
    assert_eq!((intent.kind.as_str(), intent.release.as_str()), ("golive", "3"));
    assert_eq!((during.phase, during.operation), (Phase::Triggering, None));
    let body: serde_json::Value = serde_json::from_str(&snapshots[post].body).unwrap();
    assert_eq!(
        body,
        serde_json::json!({"metadata": {"notification-emails": "a@contoso.com,b@contoso.com"}})
    );

    let after = record(post + 1);
    assert!(snapshots[post + 1].line.starts_with(&format!("GET {offer}/operations/")));
    let operation = after.operation.unwrap();
    assert_eq!((after.phase, after.intent), (Phase::InProgress, None));
    assert_eq!(operation.request_id.unwrap(), intent.request_id);
    assert!(operation.location.unwrap().starts_with(offer));
}

#[tokio::test(start_paused = true)]
async fn publish_uses_the_same_protocol() {
    let harness = Harness::new("{strict: true, offers: {contoso/vm: {status: NeverPublished}}}");
    harness.manifest("vm.yaml", &manifest("contoso/vm", "preview", ""));
    let (harness, snapshots) = recorded_requests(harness);
    harness.until_done().await;
    let snapshots = snapshots.lock().unwrap();
    let posts: Vec<_> = snapshots.iter().filter(|it| it.line.starts_with("POST ")).collect();
    let [post] = posts.as_slice() else { panic!("{} requests", posts.len()) };
    let file = post.status.as_ref().unwrap();
    let intent = file.offers.values().next().unwrap().intent.clone().unwrap();
    assert_eq!(intent.kind.as_str(), "publish");
    assert_eq!(post.headers["x-ms-client-request-id"], intent.request_id.as_str());
    assert_eq!(harness.phase("contoso/vm"), Phase::Preview);
}

#[tokio::test(start_paused = true)]
async fn every_request_has_a_version_a_token_and_a_unique_id() {
    let (harness, snapshots) =
        recorded_requests(Harness::vm("{previewVersion: 2, liveVersion: 1}"));
    harness.until_done().await;
    let snapshots = snapshots.lock().unwrap();
    let ids: std::collections::BTreeSet<_> = snapshots
        .iter()
        .map(|snapshot| snapshot.headers["x-ms-client-request-id"].to_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), snapshots.len());
    let journal = harness.emulator.journal();
    assert!(journal.entries().all(|entry| entry.query == "api-version=2017-10-31"));
}

#[tokio::test(start_paused = true)]
async fn a_status_that_cannot_be_written_sends_nothing() {
    let harness = Harness::vm("{}");
    // A folder blocks the temporary file's path.
    std::fs::create_dir(harness.path(&format!(".{STATUS}.new"))).unwrap();
    let error = harness.run(&crate::harness::RunOptions::until_done()).await.unwrap_err();
    assert!(error.to_string().contains("cannot write the status file"), "{error}");
    assert_eq!(harness.golives("contoso/vm"), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_manipulated_location_gets_no_token() {
    let (harness, snapshots) = recorded_requests(Harness::vm("{stepTime: 1h}"));
    harness.once().await;
    for location in [
        "https://fabrikam.example/api/x",
        "//fabrikam.example/x",
        "/api/../../x",
        "@fabrikam.example",
    ] {
        harness.edit_status(|file| {
            let record = file.offers.values_mut().next().unwrap();
            Arc::make_mut(record).operation.as_mut().unwrap().location = Some(location.to_owned());
        });
        harness.once().await;
        assert_eq!(harness.phase("contoso/vm"), Phase::InProgress, "{location}");
    }
    let snapshots = snapshots.lock().unwrap();
    let hosts: Vec<_> =
        snapshots.iter().filter(|it| !it.line.contains(" /api/publishers/contoso/")).collect();
    assert!(hosts.is_empty(), "{}", hosts[0].line);
    assert_eq!(harness.golives("contoso/vm"), (1, 1));
}
