//! How an operation is followed, and what the field complained of in other clients.

use super::*;
use crate::marketplace::{Accepted, AttemptMark, Followed, OperationStatus, Polled};

const CERTIFICATION: &str = r#"{"resourceId": "submission/x/2", "code": "internalServerError",
    "message": "Operation failed", "details": [{"code": "invalidState", "message": "Certification",
    "details": [{"code": "invalidState",
        "message": "<b>Issues found</b> during Certification.\u001b[31m", "details": "none"}]}]}"#;

const IN_PROGRESS: &str = r#"{"code": "internalServerError",
    "message": "An In Progress submission 1152921504606846999 already exists."}"#;

const NOT_THE_LATEST: &str = r#"{"code": "conflict",
    "message": "The submission cannot be pushed to live as its not the latest submission."}"#;

const WAITS: &str = "2 preview completed/succeeded";
const GOES: &str = "2 live running/pending";

fn answers(lists: &[&str], jobs: &[String]) -> Vec<Response<Body>> {
    let jobs = jobs.iter().map(|body| answer(200, body));
    lists.iter().map(|list| submissions(&[list])).chain(jobs).collect()
}

fn status(polled: &Polled) -> Option<&OperationStatus> {
    polled.report.as_ref().map(|it| &it.status)
}

#[tokio::test(start_paused = true)]
async fn a_launch_takes_four_requests_and_a_poll_one() {
    let server = ScriptedServer::new([
        submissions(&[WAITS]),
        answer(202, &job("notStarted", "pending", "")),
    ]);
    let client = server.client_with_known_product().await;
    let state = client.inspect(&vm(), &look()).await.unwrap();
    assert!(state.is_launchable);
    let launch = Launch { release: state.preview.unwrap(), fence: state.fence, ..golive() };
    let Accepted::Started { operation, .. } = client.launch(&vm(), &launch).await.unwrap() else {
        panic!()
    };
    let operation = Following { operation: Some(operation), ..following() };
    // The list lags behind: only the job tells.
    server.add_answers(answers(&[WAITS], &[job("running", "pending", "")]));
    let polled = client.poll(&vm(), &operation).await.unwrap();
    assert_eq!(status(&polled), Some(&OperationStatus::Running));
    assert_eq!(server.count(), 4);
    server.add_answers([submissions(&[GOES])]);
    let polled = client.poll(&vm(), &operation).await.unwrap();
    assert!(polled.report.unwrap().runs);
    server.add_answers([submissions(&["2 live completed/succeeded"])]);
    let polled = client.poll(&vm(), &operation).await.unwrap();
    assert_eq!(status(&polled), Some(&OperationStatus::Succeeded));
    assert_eq!(server.count(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_failed_certification_is_told_once_with_all_that_is_nested_in_it() {
    let failed = job("Completed", "Failed", CERTIFICATION);
    let server = ScriptedServer::new(answers(&["2 live completed/failed"], &[failed]));
    let client = server.client_with_known_product().await;
    let report = client.poll(&vm(), &following()).await.unwrap().report.unwrap();
    assert_eq!((report.status.clone(), report.runs), (OperationStatus::Failed, false));
    let texts: Vec<_> = report.messages.iter().map(|it| it.text.clone()).collect();
    assert_eq!(
        texts,
        [
            "internalServerError: Operation failed • invalidState: Certification • invalidState: \
             Issues found during Certification. • none",
            "Partner Center has the report: https://partner.microsoft.com/dashboard/\
             commercial-marketplace/offers/5d3a7f2e-0b1c-4c6e-9a52-1f2e3d4c5b6a/overview"
        ]
    );
    // The look after the poll need not ask for the job again.
    server.add_answers([submissions(&["2 live completed/failed"])]);
    let heard = Following { latest: Some(report), ..following() };
    let inquiry = Inquiry { following: Some(heard), ..look() };
    let state = client.inspect(&vm(), &inquiry).await.unwrap();
    let last = state.last.unwrap();
    assert_eq!((last.id.as_deref(), last.status), (Some(JOB), OperationStatus::Failed));
    assert_eq!(last.messages[0].text, texts[0]);
    assert!(last.messages[1].text.contains(&format!("/offers/{GUID}/overview")));
    assert_eq!(state.stale_preview, Some(Release::new("2")));
    assert_eq!(server.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_lost_against_another_publish_says_nothing_of_the_release() {
    let nested = |inner: &str| {
        format!(r#"{{"code": "internalServerError", "message": "Failed", "details": [{inner}]}}"#)
    };
    let locked = r#"{"code": "badRequest", "details": [{"code": "productLocked"}]}"#;
    for errors in [
        IN_PROGRESS.to_owned(),
        NOT_THE_LATEST.to_owned(),
        nested(IN_PROGRESS),
        nested(&nested(NOT_THE_LATEST)),
        locked.to_owned(),
    ] {
        let failed = job("completed", "failed", &errors);
        let server = ScriptedServer::new(answers(&[WAITS], &[failed]));
        let client = server.client_with_known_product().await;
        let inquiry = Inquiry { following: Some(following()), ..look() };
        let state = client.inspect(&vm(), &inquiry).await.unwrap();
        let Some(Followed::Known(report)) = &state.followed else { panic!("{state:?}") };
        assert_eq!((&report.status, report.runs), (&OperationStatus::Refused, false), "{errors}");
        assert!(state.last.is_none() && state.preview.is_some() && state.running.is_none());
    }
    // A release that another client took live counts as live.
    let server = ScriptedServer::new([submissions(&["2 live completed/succeeded"])]);
    let client = server.client_with_known_product().await;
    let inquiry = Inquiry { following: Some(following()), ..look() };
    let state = client.inspect(&vm(), &inquiry).await.unwrap();
    assert_eq!((state.live, server.count()), (Some(Release::new("2")), 1));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_vanishes_leaves_it_to_the_submission() {
    for gone in [404, 400] {
        let server = ScriptedServer::new([submissions(&[WAITS]), answer(gone, "")]);
        let client = server.client_with_known_product().await;
        // It may not be there yet.
        let polled = client.poll(&vm(), &just_started()).await.unwrap();
        assert_eq!(status(&polled), Some(&OperationStatus::Running), "{gone}");
        server.add_answers([submissions(&[WAITS]), answer(gone, "")]);
        let polled = client.poll(&vm(), &following()).await.unwrap();
        assert_eq!(polled, Polled { report: None, retry_after: None }, "{gone}");
        server.add_answers([submissions(&[GOES])]);
        let polled = client.poll(&vm(), &following()).await.unwrap();
        assert_eq!(status(&polled), Some(&OperationStatus::Running));
    }
    // A job that can't be read just now is a failed poll, unless the submission tells.
    let failing = || (0..5).map(|_| answer(500, ""));
    let server = ScriptedServer::new(std::iter::once(submissions(&[WAITS])).chain(failing()));
    let client = server.client_with_known_product().await;
    let error = client.poll(&vm(), &just_started()).await.unwrap_err();
    assert_eq!(error.kind(), Some(RefusalKind::Failed));
    // After an hour the submission decides alone.
    server.add_answers(std::iter::once(submissions(&[WAITS])).chain(failing()));
    let polled = client.poll(&vm(), &following()).await.unwrap();
    assert_eq!(polled, Polled { report: None, retry_after: None });
    server.add_answers(std::iter::once(submissions(&["2 live completed/failed"])).chain(failing()));
    let polled = client.poll(&vm(), &following()).await.unwrap();
    assert_eq!(status(&polled), Some(&OperationStatus::Failed));
}

#[tokio::test(start_paused = true)]
async fn the_words_of_a_job_decide_and_not_its_dates_or_the_case() {
    for (words, expected) in [
        (("notStarted", "pending"), Some(OperationStatus::Running)),
        (("Running", "Pending"), Some(OperationStatus::Running)),
        (("running", "failed"), Some(OperationStatus::Running)),
        (("levitating", "pending"), Some(OperationStatus::Running)),
        (("COMPLETED", "Succeeded"), Some(OperationStatus::Succeeded)),
        (("completed", "cancelled"), Some(OperationStatus::Canceled)),
        (("completed", "failed"), Some(OperationStatus::Failed)),
        (("completed", "levitated"), None),
    ] {
        let body = job(words.0, words.1, "").replace("0001-01-01T00:00:00", "2026-11-30T11:00:00Z");
        let server = ScriptedServer::new(answers(&[WAITS], &[body]));
        let client = server.client_with_known_product().await;
        let polled = client.poll(&vm(), &following()).await.unwrap();
        assert_eq!(status(&polled), expected.as_ref(), "{words:?}");
        // `resourceUri` leads to another host: it is never followed.
        assert_eq!(server.requests(), ["GET submission/GUID", "GET configure/JOB/status"]);
    }
    let other = job("running", "pending", "").replace(JOB, "another");
    let server = ScriptedServer::new(answers(&[WAITS], &[other]));
    let client = server.client_with_known_product().await;
    assert!(is_lost(&client.poll(&vm(), &just_started()).await.unwrap_err()));
    // Errors of any shape.
    let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    for errors in ["7", "null", r#""text""#, "{}", &deep] {
        let body = job("completed", "failed", errors);
        let server = ScriptedServer::new(answers(&[WAITS], &[body]));
        let client = server.client_with_known_product().await;
        let polled = client.poll(&vm(), &following()).await.unwrap();
        assert_eq!(status(&polled), Some(&OperationStatus::Failed), "{errors}");
    }
    let absent = job("completed", "failed", "").replace("\"errors\": []", "\"errors\": null");
    let server = ScriptedServer::new(answers(&[WAITS], &[absent]));
    let client = server.client_with_known_product().await;
    let polled = client.poll(&vm(), &following()).await.unwrap();
    // Only where the report is.
    assert_eq!(polled.report.unwrap().messages.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_acceptance_is_found_in_the_list_and_nothing_is_sent() {
    let doubt = crate::marketplace::InDoubt {
        kind: OperationKind::GoLive,
        release: Release::new("2"),
        at: "2026-12-01T08:59:00Z".parse().unwrap(),
        known: Some(vec![AttemptMark::stateless("2/publish")]),
    };
    let inquiry = Inquiry { in_doubt: Some(doubt), launches: true, ..look() };
    let server = ScriptedServer::new([
        submissions(&[WAITS]),
        submissions(&[GOES]),
        submissions(&["2 live completed/failed"]),
    ]);
    let client = server.client_with_known_product().await;
    // It doesn't show yet.
    let state = client.inspect(&vm(), &inquiry).await.unwrap();
    assert_eq!(state.fence, Some(Fence("2".to_owned())));
    assert!(state.new_attempt(&OperationKind::GoLive, &Release::new("2")).is_none());
    let state = client.inspect(&vm(), &inquiry).await.unwrap();
    let run = state.running.unwrap();
    assert_eq!((run.kind, run.id.as_deref()), (OperationKind::GoLive, Some("submission/2/live")));
    // The job's id is lost for good: the submission alone is followed.
    let operation = OperationRef { id: "submission/2/live".to_owned(), location: None };
    let adopted = Following { operation: Some(operation), ..following() };
    let polled = client.poll(&vm(), &adopted).await.unwrap();
    assert_eq!(status(&polled), Some(&OperationStatus::Failed));
    assert_eq!(server.requests(), ["GET submission/GUID"; 3]);
}

#[tokio::test(start_paused = true)]
async fn another_publish_that_runs_is_waited_for_and_a_replaced_preview_read_anew() {
    let runs = ["2 preview completed/succeeded", "33 preview running/pending"];
    let done = ["33 preview completed/succeeded"];
    let server = ScriptedServer::new([submissions(&runs), submissions(&done)]);
    let client = server.client_with_known_product().await;
    let inquiry = Inquiry { pin: Some(Release::new("2")), launches: true, ..look() };
    let state = client.inspect(&vm(), &inquiry).await.unwrap();
    assert_eq!(state.running.unwrap().kind, OperationKind::Publish);
    assert!(state.preview.is_none() && !state.is_launchable);
    let state = client.inspect(&vm(), &inquiry).await.unwrap();
    assert_eq!((state.preview, state.pinned), (Some(Release::new("33")), None));
}
