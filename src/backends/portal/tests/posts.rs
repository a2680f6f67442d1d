//! How changes are sent: once.

use bytes::Bytes;

use super::*;
use crate::marketplace::{Accepted, OperationRef};

const GUID: &str = "0c1f7ee2-4a6b-4b3e-9d53-0a1c1f2e3d4c";

fn started(location: &str, id: &str, wait: Option<u64>) -> Accepted {
    let operation = OperationRef { id: id.to_owned(), location: Some(location.to_owned()) };
    Accepted::Started { operation, retry_after: wait.map(Duration::from_secs) }
}

async fn posted(response: Response<Body>) -> Accepted {
    let server = ScriptedServer::new([response]);
    let accepted = server.client().post(&vm(), &golive()).await.unwrap();
    assert_eq!(server.count(), 1);
    accepted
}

#[tokio::test(start_paused = true)]
async fn a_post_says_what_it_expects() {
    let server = ScriptedServer::new([answer(202, ""), answer(202, "")]);
    let client = server.client();
    let mut post = golive();
    client.post(&vm(), &post).await.unwrap();
    post.fence = None;
    post.notify = vec!["a@contoso.com".to_owned(), "b@contoso.com".to_owned()];
    client.post(&vm(), &post).await.unwrap();
    let seen = server.received();
    assert_eq!(seen[0].method, Method::POST);
    assert_eq!(seen[0].target, "/api/publishers/contoso/offers/vm/golive?api-version=2017-10-31");
    assert_eq!(seen[0].headers["if-match"], "\"7\"");
    assert_eq!(seen[0].headers["content-type"], "application/json");
    assert_eq!(seen[0].headers["x-ms-client-request-id"], post.request_id.as_str());
    assert_eq!(seen[0].body, r#"{"metadata":{}}"#);
    assert_eq!(seen[1].headers["if-match"], "*");
    let body = r#"{"metadata":{"notification-emails":"a@contoso.com,b@contoso.com"}}"#;
    assert_eq!(seen[1].body, body);
}

#[tokio::test(start_paused = true)]
async fn the_operation_is_found_in_all_four_shapes() {
    let path = format!("/api/publishers/contoso/offers/vm/operations/{GUID}");
    let absolute = format!("https://cloudpartner.azure.com{path}");
    let stored = format!("{path}?api-version=2017-10-31");
    let ours = started(&stored, GUID, None);
    let golive = |status, headers: &[(&str, &str)]| posted(with(status, "", headers));
    assert_eq!(golive(202, &[("operation-location", &absolute)]).await, ours);
    assert_eq!(golive(202, &[("operation-location", &stored)]).await, ours);
    assert_eq!(golive(202, &[("location", &stored)]).await, ours);
    let old = "/api/operations/contoso$vm$2$preview?api-version=2017-10-31";
    let unmigrated = started(old, "contoso$vm$2$preview", None);
    assert_eq!(golive(202, &[("location", old)]).await, unmigrated);
    let both = [("location", old), ("operation-location", &absolute)];
    assert_eq!(golive(202, &both).await, ours);
    let one_bad = [("operation-location", "//evil.example/"), ("location", old)];
    assert_eq!(golive(202, &one_bad).await, unmigrated);
    for status in [200, 201, 204] {
        let answered = golive(status, &[("location", &stored), ("retry-after", "9")]).await;
        assert_eq!(answered, started(&stored, GUID, Some(9)));
    }
    let date = [("location", stored.as_str()), ("retry-after", "Tue, 01 Dec 2026 09:02:00 GMT")];
    assert_eq!(golive(202, &date).await, started(&stored, GUID, Some(120)));
    let Accepted::Unlocated { why } = golive(202, &[]).await else { panic!() };
    assert_eq!(why, "the answer names no operation");
    for bad in ["none", "https://evil.example/api/operations/contoso$vm$2$preview"] {
        let Accepted::Unlocated { why } = golive(202, &[("location", bad)]).await else { panic!() };
        assert!(why.starts_with("ForeignOperationUrl: "), "{why}");
    }
    let tainted = format!("{stored}&t={TOKEN}");
    let Accepted::Unlocated { why } = golive(202, &[("location", &tainted)]).await else {
        panic!()
    };
    assert!(!why.contains("eyJ0"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_cut_hides_nothing_that_the_head_says() {
    let old = "/api/operations/contoso$vm$2$preview?api-version=2017-10-31";
    let cut = |status, headers: &[(&str, &str)]| {
        let broken = futures_util::stream::iter([
            Ok(Bytes::from_static(b"{")),
            Err(std::io::Error::other("cut")),
        ]);
        with(status, "", headers).map(|_| Body::from_stream(broken))
    };
    let accepted = posted(cut(202, &[("location", old)])).await;
    assert_eq!(accepted, started(old, "contoso$vm$2$preview", None));
    assert!(matches!(posted(cut(202, &[])).await, Accepted::Unlocated { .. }));
    let server = ScriptedServer::new([cut(422, &[])]);
    let error = server.client().post(&vm(), &golive()).await.unwrap_err();
    assert_eq!(error.status(), Some(422));
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_starts_nothing_is_not_sent() {
    for kind in [OperationKind::Cancel, OperationKind::Unknown("publish".to_owned())] {
        let server = ScriptedServer::default();
        let error = server.client().post(&vm(), &Launch { kind, ..golive() }).await.unwrap_err();
        assert!(matches!(error, MarketplaceError::NotSent { .. }), "{error}");
        assert_eq!(server.count(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_is_never_repeated() {
    for status in [302, 307, 400, 403, 408, 409, 412, 422, 429, 500, 502, 503, 504] {
        let server = ScriptedServer::new([with(status, "", &[("location", "/elsewhere")])]);
        let error = server.client().post(&vm(), &golive()).await.unwrap_err();
        assert_eq!((error.status(), server.count()), (Some(status), 1));
    }
    let server = ScriptedServer::new([dropped()]);
    let error = server.client().post(&vm(), &golive()).await.unwrap_err();
    assert!(is_lost(&error) && server.count() == 1, "{error}");
    let server = ScriptedServer { latency: Duration::from_mins(2), ..ScriptedServer::default() };
    let error = server.client().post(&vm(), &golive()).await.unwrap_err();
    assert!(is_lost(&error) && server.count() == 1, "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_post_is_not_kept_waiting_by_a_pause() {
    let server = ScriptedServer::new([with(503, "", &[("retry-after", "60")]), answer(202, "")]);
    let client = server.client();
    client.post(&vm(), &golive()).await.unwrap_err();
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs(20)).await;
    let error = client.post(&vm(), &golive()).await.unwrap_err();
    assert_eq!((began.elapsed().as_secs(), server.count()), (20, 1), "{error}");
    assert_eq!(
        (error.status().unwrap(), error.retry_after()),
        (503, Some(Duration::from_secs(40)))
    );
    assert!(error.to_string().contains("was not sent: the marketplace asked"), "{error}");
    assert!(!error.is_final());
    tokio::time::sleep(Duration::from_secs(40)).await;
    client.post(&vm(), &golive()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn after_a_401_a_post_is_sent_once_more() {
    let server = ScriptedServer::new([answer(401, ""), answer(202, ""), answer(202, "")]);
    let client = server.client_with(Settings::default(), Arc::new(NumberedTokens::default()));
    client.post(&vm(), &golive()).await.unwrap();
    let ids: Vec<_> = server
        .received()
        .iter()
        .map(|seen| seen.headers["x-ms-client-request-id"].to_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids, [golive().request_id.as_str(); 2]);
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_no_header_carries_is_not_sent() {
    let server = ScriptedServer::default();
    let mut post = golive();
    post.fence = Some(Fence("x\r\nX-Evil: 1".to_owned()));
    let error = server.client().post(&vm(), &post).await.unwrap_err();
    assert!(matches!(error, MarketplaceError::NotSent { .. }), "{error}");
    assert_eq!(server.count(), 0);
}
