//! The life of an offer: every state and every action, time, polls, cancels, other hands.

use pretty_assertions::assert_eq;

use super::*;
use crate::emulator::{Count, ManualAction, ManualActionError};

const VM: &str = "contoso/offers/vm";

#[tokio::test(start_paused = true)]
async fn every_state_answers_every_action() {
    // The entry, then the codes of publish, golive, cancel, and the status each leaves behind.
    let (running, conflict) = ("Running", (409, "Running"));
    let all = [
        (
            "{status: NeverPublished}",
            (202, running),
            (400, "NeverPublished"),
            (400, "NeverPublished"),
        ),
        ("{status: NotStarted}", (202, running), (400, "NotStarted"), (400, "NotStarted")),
        ("{}", (202, running), (202, running), (400, "WaitingForPublisherReview")),
        ("{status: Running, operation: publish}", conflict, conflict, (202, running)),
        ("{status: Running, operation: golive}", conflict, conflict, (202, running)),
        ("{liveVersion: 2}", (202, running), (400, "Succeeded"), (400, "Succeeded")),
        (
            "{status: Succeeded, previewVersion: 2, liveVersion: 1}",
            (202, running),
            (202, running),
            (400, "Succeeded"),
        ),
        ("{status: Failed}", (202, running), (400, "Failed"), (400, "Failed")),
        (
            "{status: Failed, operation: publish, previewVersion: 1}",
            (202, running),
            (400, "Failed"),
            (400, "Failed"),
        ),
        ("{status: Failed, previewVersion: 1}", (202, running), (202, running), (400, "Failed")),
        ("{status: Canceled}", (202, running), (400, "Canceled"), (400, "Canceled")),
        (
            "{status: Canceled, operation: golive}",
            (202, running),
            (202, running),
            (400, "Canceled"),
        ),
    ];
    for (entry, publish, golive, cancel) in all {
        for (action, (code, status)) in
            [("publish", publish), ("golive", golive), ("cancel", cancel)]
        {
            let emulator = emulator(&format!("offers: {{contoso/vm: {entry}}}"));
            let before = get(&emulator, VM).await.json;
            let answer = post(&emulator, &format!("{VM}/{action}")).await;
            assert_eq!(answer.status, code, "{entry} {action}: {answer:?}");
            assert_eq!(answer.json["error"]["message"].is_string(), code >= 400);
            let after = get(&emulator, VM).await.json;
            assert_eq!(after["status"], status, "{entry} {action}");
            // Asking to cancel is not yet a change; a start is.
            let starts = code == 202 && action != "cancel";
            assert_eq!(before["eTag"] != after["eTag"], starts, "{entry} {action}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_offer_goes_from_draft_to_live_step_by_step() {
    let emulator = emulator("publishers: [contoso]");
    assert_eq!(
        put(&emulator, VM, &[], r#"{"definition": {"displayText": "A"}}"#).await.status,
        201
    );
    assert_eq!(get(&emulator, &format!("{VM}/slot/Preview")).await.status, 404);
    let first = text(&emulator, VM, "/eTag").await;

    assert_eq!(post(&emulator, &format!("{VM}/publish")).await.status, 202);
    pass(1).await;
    let status = format!("{VM}/status");
    let progress =
        ["complete", "inProgress", "notStarted", "notStarted", "notStarted", "notStarted"];
    assert_eq!(steps(&emulator, &status).await, progress);
    // What is published is the draft as it was.
    assert_eq!(
        put(&emulator, VM, &[], r#"{"definition": {"displayText": "B"}}"#).await.status,
        200
    );
    pass(3).await;
    assert_eq!(text(&emulator, VM, "/status").await, "WaitingForPublisherReview");
    assert_eq!(
        text(&emulator, &format!("{VM}/slot/preview"), "/definition/displayText").await,
        "A"
    );
    assert_eq!(text(&emulator, VM, "/definition/displayText").await, "B");
    assert_eq!(steps(&emulator, &status).await[3..5], ["complete", "waitingForPublisherReview"]);
    assert_ne!(text(&emulator, VM, "/eTag").await, first);

    assert_eq!(post(&emulator, &format!("{VM}/golive")).await.status, 202);
    assert_eq!(get(&emulator, &format!("{VM}/slot/production")).await.status, 404);
    tokio::time::advance(Duration::from_millis(420)).await;
    let operation = get(&emulator, &status).await.json["steps"][5].clone();
    assert_eq!(
        (&operation["status"], &operation["progressPercentage"]),
        (&"inProgress".into(), &42.into())
    );
    pass(60).await;
    assert_eq!(text(&emulator, VM, "/status").await, "Succeeded");
    // It ended when it was due, whenever somebody asks.
    assert_eq!(text(&emulator, VM, "/changedTime").await, "2026-01-01T00:00:05.0000000Z");
    assert_eq!(text(&emulator, &format!("{VM}/slot/Production"), "/version").await, "1");
    assert_eq!(steps(&emulator, &status).await, ["complete"; 6]);

    assert_eq!(post(&emulator, &format!("{VM}/publish")).await.status, 202);
    pass(4).await;
    assert_eq!(text(&emulator, &format!("{VM}/slot/Preview"), "/version").await, "2");
    assert_eq!(text(&emulator, &format!("{VM}/slot/Production"), "/version").await, "1");
    assert_eq!(text(&emulator, VM, "/version").await, "2");
    assert_eq!(text(&emulator, &format!("{VM}/versions/1"), "/definition/displayText").await, "A");
    assert_eq!(get(&emulator, &format!("{VM}/versions/3")).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn with_polls_as_the_pace_the_nth_ends_it() {
    let emulator = emulator("{polls: 3, offers: {contoso/vm: {}}}");
    let answer = post(&emulator, &format!("{VM}/golive")).await;
    let path = answer.header("location").unwrap().strip_prefix("/api/publishers/").unwrap();
    let path = path.split('?').next().unwrap().to_owned();
    pass(10_000).await;
    for expected in ["running", "running", "succeeded", "succeeded"] {
        assert_eq!(text(&emulator, &path, "/status").await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn failures_end_and_a_retry_succeeds() {
    let emulator = emulator(
        r#"offers: {contoso/vm: {fail: {step: live, message: "<b>no</b> \e[31m", times: 1}}}"#,
    );
    let golive = format!("{VM}/golive");
    let answer = post(&emulator, &golive).await;
    assert_eq!(answer.status, 202);
    pass(1).await;
    let report = get(&emulator, &format!("{VM}/status")).await.json;
    assert_eq!(
        (&report["status"], &report["steps"][5]["status"]),
        (&"Failed".into(), &"failed".into())
    );
    let message = &report["steps"][5]["messages"][0];
    assert_eq!(message["messageHtml"], "<b>no</b> \u{1b}[31m");
    assert_eq!(message["level"], "error");
    assert_eq!(get(&emulator, &format!("{VM}/slot/production")).await.status, 404);
    assert_eq!(post(&emulator, &golive).await.status, 202);
    pass(1).await;
    assert_eq!(text(&emulator, VM, "/status").await, "Succeeded");
}

#[tokio::test(start_paused = true)]
async fn a_blocked_step_stays_until_somebody_finishes_it() {
    let emulator = emulator(
        "offers: {contoso/vm: {block: {step: displaycertify, as: waitingForApproval, message: wait}}}",
    );
    post(&emulator, &format!("{VM}/publish")).await;
    pass(100).await;
    let report = get(&emulator, &format!("{VM}/status")).await.json;
    assert_eq!(report["status"], "Running");
    assert_eq!(report["steps"][0]["status"], "complete");
    assert_eq!(report["steps"][1]["status"], "waitingForApproval");
    assert_eq!(report["steps"][1]["messages"][0]["messageHtml"], "wait");
    assert_eq!(report["steps"][2]["status"], "notStarted");
    emulator.by_hand("contoso/vm", ManualAction::Finish).unwrap();
    assert_eq!(text(&emulator, &format!("{VM}/slot/preview"), "/version").await, "2");
}

#[tokio::test(start_paused = true)]
async fn a_cancel_ends_what_runs() {
    for (entry, kind, after) in [
        ("{}", "golive", "WaitingForPublisherReview"),
        ("{afterCancel: Canceled}", "golive", "Canceled"),
        ("{}", "publish", "Canceled"),
    ] {
        let emulator = emulator(&format!("offers: {{contoso/vm: {entry}}}"));
        let started = post(&emulator, &format!("{VM}/{kind}")).await;
        let answer = post(&emulator, &format!("{VM}/cancel")).await;
        assert_eq!(answer.status, 202);
        assert_eq!(answer.header("location"), started.header("location"));
        let submissions = format!("{VM}/submissions");
        assert_eq!(text(&emulator, &submissions, "/0/submissionState").await, "running");
        pass(1).await;
        assert_eq!(text(&emulator, VM, "/status").await, after);
        assert_eq!(text(&emulator, &submissions, "/0/submissionState").await, "canceled");
        assert_eq!(text(&emulator, &submissions, "/0/submissionType").await, kind);
    }
    let emulator = emulator("offers: {contoso/vm: {cancelAnswer: immediate}}");
    post(&emulator, &format!("{VM}/golive")).await;
    let answer = post(&emulator, &format!("{VM}/cancel")).await;
    assert_eq!((answer.status, answer.header("location")), (200, None));
    assert_eq!(text(&emulator, VM, "/status").await, "WaitingForPublisherReview");
}

#[tokio::test(start_paused = true)]
async fn the_seed_can_have_the_next_operation_canceled() {
    let emulator = emulator("offers: {contoso/vm: {cancel: true, afterCancel: Canceled}}");
    post(&emulator, &format!("{VM}/golive")).await;
    pass(1).await;
    assert_eq!(text(&emulator, VM, "/status").await, "Canceled");
    post(&emulator, &format!("{VM}/golive")).await;
    pass(1).await;
    assert_eq!(text(&emulator, VM, "/status").await, "Succeeded");
}

#[tokio::test(start_paused = true)]
async fn manual_actions_do_what_the_portal_can() {
    let emulator = emulator("offers: {contoso/vm: {liveVersion: 1}}");
    let hand = |hand| emulator.by_hand("Contoso/VM", hand);
    assert_eq!(
        hand(ManualAction::GoLive),
        Err(ManualActionError::Refused(
            "the version in preview is already live: there is nothing to sign off".into()
        ))
    );
    hand(ManualAction::Publish).unwrap();
    assert_eq!(text(&emulator, VM, "/status").await, "WaitingForPublisherReview");
    hand(ManualAction::StartGoLive).unwrap();
    assert!(hand(ManualAction::StartPublish).is_err());
    hand(ManualAction::Fail("<p>no</p>".into())).unwrap();
    let report = get(&emulator, &format!("{VM}/status")).await.json;
    assert_eq!(report["steps"][5]["messages"][0]["messageHtml"], "<p>no</p>");
    hand(ManualAction::GoLive).unwrap();
    assert_eq!(text(&emulator, &format!("{VM}/slot/production"), "/version").await, "2");
    let etag = text(&emulator, VM, "/eTag").await;
    hand(ManualAction::Edit).unwrap();
    assert_ne!(text(&emulator, VM, "/eTag").await, etag);
    hand(ManualAction::ShowStatus(Some("Hovering".into()))).unwrap();
    assert_eq!(text(&emulator, VM, "/status").await, "Hovering");
    let id = text(&emulator, &format!("{VM}/submissions"), "/0/id").await;
    hand(ManualAction::Expire).unwrap();
    assert_eq!(get(&emulator, &format!("{VM}/operations/{id}")).await.status, 404);
    hand(ManualAction::Delete).unwrap();
    assert_eq!(get(&emulator, VM).await.status, 404);
    assert_eq!(hand(ManualAction::Edit), Err(ManualActionError::NoOffer("Contoso/VM".into())));
}

#[tokio::test(start_paused = true)]
async fn the_journal_counts_golives() {
    let emulator = emulator("offers: {contoso/vm: {}, contoso/b: {}}");
    let golive = format!("{VM}/golive");
    let headers = [("if-match", "\"stale\""), ("x-ms-client-request-id", "r1")];
    assert_eq!(send(&emulator, "POST", &golive, &headers).await.status, 412);
    let answer = raw(
        &emulator,
        "POST",
        "/api/publishers/Contoso/offers/VM/golive/?api-version=2017-10-31",
        &[("authorization", "Bearer t")],
        r#"{"metadata": {"notification-emails": "a@example.com"}}"#,
    )
    .await;
    assert_eq!(answer.status, 202);
    assert_eq!(
        raw(&emulator, "POST", "/api/publishers/contoso/offers/vm/golive", &[], "").await.status,
        401
    );
    let journal = emulator.journal();
    assert_eq!(journal.golives("CONTOSO/vm"), Count { received: 3, accepted: 1 });
    assert_eq!(journal.golives("contoso/b"), Count::default());
    assert_eq!(journal.all_golives(), Count { received: 3, accepted: 1 });
    let entries: Vec<_> = journal.entries().collect();
    assert_eq!(entries[0].request_id.as_deref(), Some("r1"));
    assert_eq!(entries[0].if_match.as_deref(), Some("\"stale\""));
    assert_eq!((entries[0].status, entries[0].accepted), (Some(412), false));
    assert_eq!((entries[1].status, entries[1].accepted), (Some(202), true));
    assert_eq!(entries[1].notify.as_deref(), Some("a@example.com"));
    assert_eq!((entries[2].method.as_str(), entries[2].query.as_str()), ("POST", ""));
}
