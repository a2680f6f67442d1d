//! How changes are sent: once.

use super::*;
use crate::marketplace::{Accepted, Refusal};

fn started(wait: Option<u64>) -> Accepted {
    let operation = OperationRef { id: JOB.to_owned(), location: None };
    Accepted::Started { operation, retry_after: wait.map(Duration::from_secs) }
}

fn accepted() -> Response<Body> {
    answer(202, &job("notStarted", "pending", ""))
}

#[tokio::test(start_paused = true)]
async fn a_golive_is_built_byte_by_byte_and_names_its_preview() {
    let server = ScriptedServer::new([accepted(), accepted()]);
    let client = server.client_with_known_product().await;
    assert_eq!(client.launch(&vm(), &golive()).await.unwrap(), started(None));
    let mut launch = publish();
    launch.notify = vec!["a@contoso.com".to_owned()];
    assert_eq!(client.launch(&vm(), &launch).await.unwrap(), started(None));
    let seen = server.received();
    assert_eq!((&seen[0].method, seen.len()), (&Method::POST, 2));
    let url = "/rp/product-ingestion/configure?$version=2022-03-01-preview2";
    assert!(seen.iter().all(|it| it.target.ends_with(url)), "{seen:?}");
    assert_eq!(seen[0].headers["content-type"], "application/json");
    assert_eq!(seen[0].headers["accept"], "application/json");
    assert!(seen[0].headers.get("if-match").is_none());
    let schemas = "https://schema.mp.microsoft.com/schema";
    let golive = format!(
        "{{\"$schema\":\"{schemas}/configure/2022-03-01-preview2\",\"resources\":[\
         {{\"$schema\":\"{schemas}/submission/2022-03-01-preview2\",\
         \"id\":\"submission/{GUID}/1152921504606846977\",\"product\":\"product/{GUID}\",\
         \"target\":{{\"targetType\":\"live\"}}}}]}}"
    );
    assert_eq!(seen[0].body, golive);
    // A publish has no id. Nobody is notified: the API has no field for that.
    let publish = golive
        .replace(&format!("\"id\":\"submission/{GUID}/1152921504606846977\","), "")
        .replace("\"live\"", "\"preview\"");
    assert_eq!(seen[1].body, publish);
}

#[tokio::test(start_paused = true)]
async fn a_golive_without_its_preview_can_not_be_sent() {
    let server = ScriptedServer::default();
    let client = server.client_with_known_product().await;
    let of = |number: &str, fence: Option<&str>| {
        let fence = fence.map(|fence| Fence(fence.to_owned()));
        Launch { release: Release::new(number), fence, ..golive() }
    };
    let cancel = Launch { kind: OperationKind::Cancel, ..golive() };
    for launch in [of("0", None), of("2/../3", None), of("", None), of("2", Some("3")), cancel] {
        let error = client.launch(&vm(), &launch).await.unwrap_err();
        assert!(matches!(error, MarketplaceError::NotSent { .. }), "{error:?}");
    }
    // Nor one whose product was not looked up in this run.
    let strange = "contoso/other".parse().unwrap();
    client.remember(&strange, GUID);
    for offer in [strange, "fabrikam/vm".parse().unwrap()] {
        let error = client.launch(&offer, &golive()).await.unwrap_err();
        assert!(matches!(error, MarketplaceError::NotSent { .. }), "{error:?}");
    }
    assert_eq!(server.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn any_success_with_a_job_is_accepted_and_without_one_in_doubt() {
    for status in [200, 201, 202] {
        let body = job("running", "pending", "");
        let server = ScriptedServer::new([with(status, &body, &[("retry-after", "9")])]);
        let client = server.client_with_known_product().await;
        assert_eq!(client.launch(&vm(), &golive()).await.unwrap(), started(Some(9)));
    }
    let tainted = format!(r#"{{"jobId": "{TOKEN}"}}"#);
    for body in ["", "{}", "<html>", r#"{"jobId": ""}"#, r#"{"jobId": "../../x"}"#, &tainted] {
        let server = ScriptedServer::new([answer(202, body)]);
        let client = server.client_with_known_product().await;
        let accepted = client.launch(&vm(), &golive()).await.unwrap();
        let Accepted::Unlocated { why } = accepted else { panic!("{body}: {accepted:?}") };
        assert!(!why.is_empty() && !why.contains("eyJ0"), "{why}");
        assert_eq!(server.count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_is_never_repeated_whatever_becomes_of_it() {
    for response in [answer(500, ""), answer(502, ""), answer(504, "<html>"), answer(408, "")] {
        let server = ScriptedServer::new([response, accepted()]);
        let client = server.client_with_known_product().await;
        let error = client.launch(&vm(), &golive()).await.unwrap_err();
        let kind = error.kind();
        assert!(matches!(kind, Some(RefusalKind::Failed | RefusalKind::Other)), "{kind:?}");
        assert_eq!(server.count(), 1);
    }
    let server = ScriptedServer::new([dropped(), accepted()]);
    let client = server.client_with_known_product().await;
    assert!(is_lost(&client.launch(&vm(), &golive()).await.unwrap_err()));
    assert_eq!(server.count(), 1);
    // One that hangs is waited for a minute, then it is in doubt.
    let server = ScriptedServer::new([accepted(), accepted()]);
    let client = server.client_with_known_product().await;
    let slow = ScriptedServer { latency: Duration::from_secs(90), ..server.clone() };
    let hung = slow.client();
    hung.products.learn(&vm(), client.products.get(&vm()).unwrap());
    let began = Instant::now();
    assert!(is_lost(&hung.launch(&vm(), &golive()).await.unwrap_err()));
    assert_eq!((began.elapsed().as_secs(), server.count()), (60, 1));
    assert!(hung.longest_request(&contoso()) >= Duration::from_mins(2));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_whether_something_else_is_in_the_way() {
    use RefusalKind::{Conflict, Forbidden, Invalid, NotFound, Throttled, Unavailable};
    let error = |code: &str, message: &str| {
        format!(r#"{{"error": {{"code": "{code}", "message": "{message}"}}}}"#)
    };
    let nested = r#"{"error": {"code": "badRequest", "message": "Bad request.", "details": [
        {"code": "x", "message": "An In Progress submission 5 already exists."}]}}"#;
    for (status, body, kind) in [
        (400, error("badRequest", "Invalid resource"), Invalid),
        (400, error("badRequest", "Expected a submission id that isn't null or 0"), Invalid),
        (400, nested.to_owned(), Conflict),
        (
            400,
            error(
                "conflict",
                "The submission cannot be pushed to live as its not the latest submission.",
            ),
            Conflict,
        ),
        (400, error("productLocked", "Locked."), Conflict),
        (409, error("conflict", "x"), Conflict),
        (423, error("locked", "x"), Conflict),
        (403, String::new(), Forbidden),
        (404, String::new(), NotFound),
        (429, String::new(), Throttled),
        (503, String::new(), Unavailable),
    ] {
        let server = ScriptedServer::new([answer(status, &body)]);
        let client = server.client_with_known_product().await;
        let refused = client.launch(&vm(), &golive()).await.unwrap_err();
        assert_eq!(refused.kind(), Some(kind), "{status} {body}");
        assert_eq!(server.count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_out_of_date_says_so_in_the_service_s_words() {
    for message in [
        "Schema https://product-ingestion.azureedge.net/schema/x could not be accessed",
        "Schema validation failed for schema x",
    ] {
        let body = format!(
            r#"{{"error": {{"code": "badRequest", "message": "Bad.", "details": [
                {{"code": "schemaValidationError", "message": "{message}"}}]}}}}"#
        );
        let server = ScriptedServer::new([answer(400, &body)]);
        let client = server.client_with_known_product().await;
        let error = client.launch(&vm(), &golive()).await.unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        assert!(error.advice().unwrap().contains("a newer golive"), "{error}");
        assert_eq!((error.kind(), server.count()), (Some(RefusalKind::Invalid), 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_ran_out_is_replaced_once_and_goes_nowhere_else() {
    let server = ScriptedServer::new([products(&[("vm", GUID, "")]), answer(401, ""), accepted()]);
    let client = server.client_with(Arc::new(NumberedTokens::default()));
    client.survey(&contoso()).await.unwrap();
    assert_eq!(client.launch(&vm(), &golive()).await.unwrap(), started(None));
    let tokens: Vec<_> =
        server.received().iter().map(|it| it.headers["authorization"].clone()).collect();
    assert_eq!(tokens, ["0", "0", "1"].map(|it| format!("Bearer numbered-token-{it}")));
    let bodies: Vec<_> = server.received().into_iter().map(|it| it.body).collect();
    assert_eq!(bodies[1], bodies[2]);
    let ids = server.received();
    let id = |at: usize| ids[at].headers["x-ms-client-request-id"].clone();
    assert_eq!((id(1), id(2)), (id(1), id(1)));
}

#[tokio::test(start_paused = true)]
async fn a_job_is_canceled_by_its_id_where_the_service_still_does_that() {
    let message = "Cannot cancel job, job has already completed.";
    let refused = format!(r#"{{"error": {{"code": "badRequest", "message": "{message}"}}}}"#);
    let asked = answer(200, &job("completed", "cancelled", ""));
    let server = ScriptedServer::new([asked, answer(400, &refused), answer(500, "")]);
    let client = server.client();
    let operation = |id: &str| OperationRef { id: id.to_owned(), location: None };
    let cancel = |id| {
        let (client, operation) = (&client, operation(id));
        async move { client.cancel(&contoso(), &operation).await }
    };
    assert_eq!(cancel(JOB).await.unwrap(), Cancellation::Asked);
    let Cancellation::Refused(why) = cancel(JOB).await.unwrap() else { panic!() };
    assert!(why.contains(message), "{why}");
    assert_eq!(cancel(JOB).await.unwrap_err().kind(), Some(RefusalKind::Failed));
    assert_eq!(server.requests(), ["POST configure/JOB/cancel"; 3]);
    assert!(server.received().iter().all(|it| it.body.is_empty()));
    // One that was adopted has no job.
    let adopted = cancel("submission/2/live").await.unwrap();
    assert!(matches!(adopted, Cancellation::Refused(_)));
    assert_eq!(server.count(), 3);
}

#[test]
fn a_refusal_has_the_advice_for_this_service() {
    let error = errors::not_found("GET product", "vm");
    let MarketplaceError::Refused(refusal) = &error else { panic!("{error}") };
    let Refusal { kind, advice, .. } = &**refusal;
    assert_eq!(*kind, RefusalKind::NotFound);
    assert!(advice.as_ref().unwrap().contains("isn't visible to this app"));
    assert_eq!(
        error.to_string(),
        "GET product was answered 200 OK: no product has the external id \"vm\""
    );
}
