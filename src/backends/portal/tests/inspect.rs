//! How many requests it takes to know how an offer stands, and what may fail meanwhile.

use super::*;
use crate::marketplace::{Accepted, Backend as _, Following, Inquiry, OperationRef};
use jiff::Timestamp;

const WAITS: &str = r#"{"status": "running", "publishingVersion": 7, "steps": [
    {"id": "publisher-signoff", "stepName": "publisher-signoff", "status": "waitingForPublisherReview"},
    {"id": "live", "stepName": "live", "status": "notStarted"}]}"#;

const LIVE: &str = r#"{"status": "succeeded", "publishingVersion": 7, "steps": [
    {"id": "publisher-signoff", "status": "complete"}, {"id": "live", "status": "complete"}]}"#;

const TWO: &str = r#"[
    {"id": "p3", "submissionType": "publish", "submissionState": "running"},
    {"id": "p2", "submissionType": "publish", "submissionState": "succeeded"}]"#;

fn launch() -> Inquiry {
    Inquiry { wants_live: true, launches: true, ..Inquiry::default() }
}

fn following() -> Inquiry {
    let operation = Some(OperationRef { id: "g".to_owned(), location: None });
    let following = Some(Following {
        kind: OperationKind::GoLive,
        operation,
        release: Some(Release::from(7)),
        started_at: Timestamp::UNIX_EPOCH,
        latest: None,
    });
    Inquiry { following, wants_live: true, ..Inquiry::default() }
}

/// What was asked, by the last part of its path, each once however often it was repeated.
fn asked(server: &ScriptedServer) -> Vec<String> {
    let path = |seen: ReceivedRequest| seen.target.split('?').next().unwrap_or_default().to_owned();
    let last = |path: String| path.trim_end_matches('/').rsplit('/').next().unwrap().to_owned();
    let mut asked: Vec<_> = server.received().into_iter().map(path).map(last).collect();
    asked.dedup();
    asked
}

fn failing() -> impl Iterator<Item = Response<Body>> {
    (0..5).map(|_| answer(500, ""))
}

#[tokio::test(start_paused = true)]
async fn a_launch_takes_four_requests_and_the_tag_where_there_may_be_one() {
    let accepted = || with(202, "", &[("location", "/api/operations/contoso$vm$2$preview")]);
    let server = ScriptedServer::new([
        answer(200, "[]"),
        answer(200, WAITS),
        accepted(),
        answer(200, r#"{"status": "running"}"#),
    ]);
    let client = server.client();
    let state = client.inspect(&vm(), &launch()).await.unwrap();
    assert!(state.is_launchable && state.fence.is_none(), "{state:?}");
    let launched = client.launch(&vm(), &Launch { fence: None, ..golive() }).await.unwrap();
    let Accepted::Started { operation, .. } = launched else { panic!("{launched:?}") };
    let operation = Following { operation: Some(operation), ..following().following.unwrap() };
    assert!(client.poll(&vm(), &operation).await.unwrap().report.is_some_and(|it| it.runs));
    assert_eq!(asked(&server), ["submissions", "status", "golive", "contoso$vm$2$preview"]);

    let tagged = with(200, r#"{"id": "vm", "version": 3}"#, &[("etag", "\"3\"")]);
    let server = ScriptedServer::new([tagged, answer(404, ""), answer(200, WAITS)]);
    let inquiry = Inquiry { may_be_fenced: true, ..launch() };
    let state = server.client().inspect(&vm(), &inquiry).await.unwrap();
    assert_eq!((state.is_launchable, state.fence), (true, Some(Fence("\"3\"".to_owned()))));
    assert_eq!(asked(&server), ["vm", "submissions", "status"]);
}

#[tokio::test(start_paused = true)]
async fn a_listed_operation_that_can_not_be_read_does_not_hide_the_offer() {
    let before = [answer(200, TWO), answer(200, WAITS)];
    let server = ScriptedServer::new(before.into_iter().chain(failing()));
    let state = server.client().inspect(&vm(), &launch()).await.unwrap();
    assert_eq!(state.running.and_then(|run| run.id).as_deref(), Some("p3"));
    assert_eq!(asked(&server), ["submissions", "status", "p3"]);
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_is_followed_and_can_not_be_read_leaves_the_offer_to_tell() {
    let after = |status: &str| failing().chain([answer(200, "[]"), answer(200, status)]);
    let server = ScriptedServer::new(after(LIVE));
    let state = server.client().inspect(&vm(), &following()).await.unwrap();
    assert_eq!((state.live, state.followed), (Some(Release::from(7)), None));
    assert_eq!(asked(&server), ["g", "submissions", "status"]);
    // That the sign-off waits says nothing of a golive that may just have begun.
    let server = ScriptedServer::new(after(WAITS).chain(failing()));
    let error = server.client().inspect(&vm(), &following()).await.unwrap_err();
    assert_eq!(error.status(), Some(500));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_word_of_an_operation_runs_while_the_offer_does_not_say_otherwise() {
    let running = WAITS.replace("waitingForPublisherReview", "complete");
    for (status, runs) in [(running.as_str(), true), (LIVE, false), (WAITS, false)] {
        let server =
            ScriptedServer::new([answer(200, r#"{"status": "wrappedUp"}"#), answer(200, status)]);
        let following = following().following.unwrap();
        let polled = server.client().poll(&vm(), &following).await.unwrap();
        assert_eq!(polled.report.unwrap().runs, runs, "{status}");
        assert_eq!(asked(&server), ["g", "status"]);
    }
    let moves = r#"{"status": "x", "steps": [{"id": "live", "status": "inProgress"}]}"#;
    let server = ScriptedServer::new([answer(200, moves)]);
    let polled = server.client().poll(&vm(), &following().following.unwrap()).await.unwrap();
    assert!(polled.report.unwrap().runs && server.count() == 1);
}
