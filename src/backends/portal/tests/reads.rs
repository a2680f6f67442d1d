//! How reads are sent, and repeated.

use futures_util::future::join_all;
use std::num::NonZeroUsize;

use super::*;
use crate::marketplace::OperationRef;

const OFFER: &str = r#"{"id":"vm","version":3,"status":"Running","eTag":"\"body\""}"#;

#[tokio::test(start_paused = true)]
async fn a_read_has_its_headers_and_path() {
    let server =
        ScriptedServer::new([with(200, OFFER, &[("etag", "\"header\"")]), answer(200, OFFER)]);
    let client = server.client();
    let offer = client.offer(&vm()).await.unwrap();
    assert_eq!(offer.etag, Some(Fence("\"header\"".to_owned())));
    assert_eq!(client.offer(&vm()).await.unwrap().etag, Some(Fence("\"body\"".to_owned())));
    let seen = server.received();
    assert_eq!(seen[0].method, Method::GET);
    assert_eq!(seen[0].target, "/api/publishers/contoso/offers/vm?api-version=2017-10-31");
    assert_eq!(seen[0].headers["authorization"], format!("Bearer {TOKEN}"));
    assert_eq!(seen[0].headers["accept"], "application/json");
    assert_eq!(seen[0].headers["host"], "cloudpartner.azure.com");
    let id = |at: usize| seen[at].headers["x-ms-client-request-id"].clone();
    assert_eq!(id(0).len(), 36);
    assert_ne!(id(0), id(1));
}

#[tokio::test(start_paused = true)]
async fn every_call_has_its_path() {
    let server = ScriptedServer::default();
    let client = server.client();
    let _ = client.offers(&contoso()).await;
    assert_eq!(client.slot(&vm(), Slot::Preview).await.unwrap(), None);
    let _ = client.status(&vm()).await;
    let _ = client.submissions(&vm()).await;
    let known = |id: &str, location: Option<&str>| OperationRef {
        id: id.to_owned(),
        location: location.map(str::to_owned),
    };
    let _ = client.operation(&vm(), &known("1-2", None)).await;
    let _ =
        client.operation(&vm(), &known("x", Some("/api/operations/contoso$vm$2$preview"))).await;
    let offers = "/api/publishers/contoso/offers";
    let paths: Vec<_> = server.received().into_iter().map(|seen| seen.target).collect();
    let version = "?api-version=2017-10-31";
    assert_eq!(
        paths,
        [
            format!("{offers}{version}"),
            format!("{offers}/vm/slot/Preview{version}"),
            format!("{offers}/vm/status{version}"),
            format!("{offers}/vm/submissions/{version}"),
            format!("{offers}/vm/operations/1-2{version}"),
            format!("/api/operations/contoso$vm$2$preview{version}"),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_stored_location_is_checked_before_the_token_goes_there() {
    let server = ScriptedServer::default();
    let client = server.client();
    for location in ["//evil.example/api/operations/contoso$vm$2$preview", "/api/operations/x"] {
        let known = OperationRef { id: "x".to_owned(), location: Some(location.to_owned()) };
        let error = client.operation(&vm(), &known).await.unwrap_err();
        assert!(matches!(error, MarketplaceError::ForeignOperationUrl(_)), "{error}");
    }
    let known = OperationRef { id: "../x".to_owned(), location: None };
    let error = client.operation(&vm(), &known).await.unwrap_err();
    assert!(matches!(error, MarketplaceError::ForeignOperationUrl(_)), "{error}");
    assert_eq!(server.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn transient_failures_are_retried() {
    for trouble in [408, 429, 500, 502, 503, 504] {
        let server = ScriptedServer::new([answer(trouble, ""), dropped(), answer(200, OFFER)]);
        let offer = server.client().offer(&vm()).await.unwrap();
        assert_eq!(offer.version, Some(Release::from(3)));
        assert_eq!(server.count(), 3, "{trouble}");
    }
    for refused in [301, 307, 400, 403, 404, 409, 412, 422, 501] {
        let server = ScriptedServer::new([answer(refused, ""), answer(200, OFFER)]);
        let error = server.client().offer(&vm()).await.unwrap_err();
        assert_eq!(error.status(), Some(refused));
        assert_eq!(server.count(), 1, "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn tries_are_counted() {
    let server = ScriptedServer::new((0..9).map(|_| answer(502, "")));
    assert_eq!(server.client().offer(&vm()).await.unwrap_err().status(), Some(502));
    assert_eq!(server.count(), 5);
    // A page instead of JSON is less likely to go away.
    let server = ScriptedServer::new((0..9).map(|_| answer(200, "<html>Hello</html>")));
    let error = server.client().offer(&vm()).await.unwrap_err();
    assert!(is_lost(&error) && error.to_string().contains("not JSON"), "{error}");
    assert!(error.to_string().ends_with("it reads \"Hello\""), "{error}");
    assert_eq!(server.count(), 3);
    let server = ScriptedServer::new([answer(200, r#"{"status": [1]}"#)]);
    let error = server.client().status(&vm()).await.unwrap_err();
    let text = "the answer to GET /api/publishers/contoso/offers/vm/status was lost: \
                the JSON is not an offer's status: an array instead of a text";
    assert!(error.to_string().starts_with(text), "{error}");
    assert_eq!(server.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_budget_bounds_the_whole() {
    let mut settings = Settings::default();
    settings.retry.budget = Duration::from_secs(70);
    let server = ScriptedServer { latency: Duration::from_hours(9), ..ScriptedServer::default() };
    let client = server.client_with(settings, Arc::new(AnonymousToken));
    let began = Instant::now();
    let error = client.status(&vm()).await.unwrap_err();
    assert!(error.to_string().ends_with("no answer within 60 s"), "{error}");
    assert_eq!(server.count(), 2);
    assert!(began.elapsed() < Duration::from_secs(122), "{:?}", began.elapsed());
}

/// It is known to take minutes; nothing else is.
#[tokio::test(start_paused = true)]
async fn get_offer_has_five_minutes() {
    for (timeout, offer, status) in [(60, 300, 60), (1, 300, 1), (600, 600, 600)] {
        let retry = RetryPolicy { tries: 1, ..RetryPolicy::default() };
        let request_timeout = Duration::from_secs(timeout);
        let settings = Settings { request_timeout, retry, ..Settings::default() };
        let server =
            ScriptedServer { latency: Duration::from_hours(1), ..ScriptedServer::default() };
        let client = server.client_with(settings, Arc::new(AnonymousToken));
        let began = Instant::now();
        let error = client.offer(&vm()).await.unwrap_err();
        assert!(error.to_string().ends_with(&format!("no answer within {offer} s")), "{error}");
        assert_eq!(began.elapsed().as_secs(), offer);
        let began = Instant::now();
        client.status(&vm()).await.unwrap_err();
        assert_eq!(began.elapsed().as_secs(), status);
        assert_eq!(client.longest_request(&contoso()), Duration::from_secs(2 * timeout));
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_obeyed_in_both_forms() {
    for (status, value, seconds) in
        [(503, "7", 7), (429, "Tue, 01 Dec 2026 09:00:42 GMT", 42), (500, "3", 3)]
    {
        let server =
            ScriptedServer::new([with(status, "", &[("retry-after", value)]), answer(200, OFFER)]);
        server.client().offer(&vm()).await.unwrap();
        let seen = server.received();
        let waited = seen[1].at - seen[0].at;
        let expected = Duration::from_secs(seconds);
        assert!(waited >= expected && waited < expected + Duration::from_millis(5), "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_pause_holds_all_reads() {
    let server = ScriptedServer::new([
        with(429, "", &[("retry-after", "20")]),
        answer(200, OFFER),
        answer(200, OFFER),
        answer(200, OFFER),
    ]);
    let client = server.client();
    let began = Instant::now();
    let vm = vm();
    let others = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (one, two) = tokio::join!(client.offer(&vm), client.offer(&vm));
        one.unwrap();
        two.unwrap();
    };
    let (first, ()) = tokio::join!(client.offer(&vm), others);
    first.unwrap();
    let after: Vec<_> = server.received().iter().map(|seen| (seen.at - began).as_secs()).collect();
    assert_eq!(after, [0, 20, 20, 20]);
}

#[tokio::test(start_paused = true)]
async fn too_long_a_pause_fails_at_once() {
    let server = ScriptedServer::new([with(503, "", &[("retry-after", "600")])]);
    let client = server.client();
    let began = Instant::now();
    let error = client.offer(&vm()).await.unwrap_err();
    assert_eq!(refusal(&error).retry_after, Some(Duration::from_mins(10)));
    let other = client.post(&vm(), &golive()).await.unwrap_err();
    assert_eq!(other.status().unwrap(), 503);
    let text = "POST /api/publishers/contoso/offers/vm/golive was not sent: the marketplace asked \
                golive to wait until 2026-12-01T09:10:00Z: GET /api/publishers/contoso/offers/vm \
                was answered 503 Service Unavailable";
    assert_eq!(other.to_string(), text);
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(server.count(), 1);
    // Later, when little is left of it, it is waited for.
    tokio::time::sleep(Duration::from_secs(500)).await;
    assert_eq!(client.offer(&vm()).await.unwrap_err().status(), Some(404));
    assert_eq!(began.elapsed().as_secs(), 600);
}

#[tokio::test(start_paused = true)]
async fn requests_in_flight_are_bounded() {
    let server =
        ScriptedServer { latency: Duration::from_millis(100), ..ScriptedServer::default() };
    let settings = Settings { concurrency: NonZeroUsize::new(4).unwrap(), ..Settings::default() };
    let client = server.client_with(settings, Arc::new(AnonymousToken));
    let began = Instant::now();
    let offer = vm();
    join_all((0..40).map(|_| client.slot(&offer, Slot::Preview))).await;
    assert_eq!(server.busy.lock().unwrap().1, 4);
    assert_eq!(began.elapsed().as_millis() / 100, 10);
}

#[tokio::test(start_paused = true)]
async fn one_fresh_token_and_one_repeat() {
    let server = ScriptedServer::new([answer(401, ""), answer(200, OFFER)]);
    let client = server.client_with(Settings::default(), Arc::new(NumberedTokens::default()));
    client.offer(&vm()).await.unwrap();
    let tokens: Vec<_> =
        server.received().iter().map(|seen| seen.headers["authorization"].clone()).collect();
    assert_eq!(tokens, ["Bearer numbered-token-0", "Bearer numbered-token-1"]);

    let server = ScriptedServer::new((0..9).map(|_| answer(401, "")));
    let client = server.client_with(Settings::default(), Arc::new(NumberedTokens::default()));
    let error = client.offer(&vm()).await.unwrap_err();
    assert_eq!((error.status(), server.count()), (Some(401), 2));
    assert!(error.advice().unwrap().contains("az account get-access-token"));

    // A source with one token only: nothing would change.
    let server = ScriptedServer::new((0..9).map(|_| answer(401, "")));
    assert_eq!(server.client().offer(&vm()).await.unwrap_err().status(), Some(401));
    assert_eq!(server.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_token_nothing_is_sent() {
    let server = ScriptedServer::default();
    let tokens = Arc::new(EnvToken::new(None).unwrap());
    let error = server.client_with(Settings::default(), tokens).offer(&vm()).await.unwrap_err();
    assert!(error.to_string().contains("GOLIVE_TOKEN"), "{error}");
    assert_eq!(server.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_waits_to_be_repeated_holds_no_permit() {
    let server = ScriptedServer::new([
        with(500, "", &[("retry-after", "30")]),
        answer(200, OFFER),
        answer(200, OFFER),
    ]);
    let settings = Settings { concurrency: NonZeroUsize::MIN, ..Settings::default() };
    let client = server.client_with(settings, Arc::new(AnonymousToken));
    let (began, vm) = (Instant::now(), vm());
    let (one, two) = tokio::join!(client.offer(&vm), client.offer(&vm));
    assert!(one.is_ok() && two.is_ok());
    let at: Vec<_> = server.received().iter().map(|seen| (seen.at - began).as_secs()).collect();
    assert_eq!(at, [0, 0, 30]);
}

#[tokio::test(start_paused = true)]
async fn time_in_the_queue_does_not_count_as_a_requested_wait() {
    let server = ScriptedServer { latency: Duration::from_secs(50), ..ScriptedServer::default() };
    *server.answers.lock().unwrap() = (0..9)
        .map(|at| if at == 2 { with(503, "", &[("retry-after", "9")]) } else { answer(200, OFFER) })
        .collect();
    let settings = Settings { concurrency: NonZeroUsize::MIN, ..Settings::default() };
    let client = server.client_with(settings, Arc::new(AnonymousToken));
    let vm = vm();
    let all = join_all((0..4).map(|_| client.offer(&vm))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
}

#[tokio::test(start_paused = true)]
async fn no_time_to_wait_is_a_backoff() {
    let server = ScriptedServer::new((0..5).map(|_| with(503, "", &[("retry-after", "0")])));
    let began = Instant::now();
    assert_eq!(server.client().offer(&vm()).await.unwrap_err().status(), Some(503));
    assert!(server.count() == 5 && began.elapsed() > Duration::from_millis(500));
}
