//! Tokens that are refused.

use futures_util::future::join_all;

use super::*;

const STATUS: &str = r#"{"status":"running"}"#;

fn refused() -> impl Iterator<Item = Response<Body>> {
    (0..99).map(|_| answer(401, r#"{"error":{"message":"it has expired"}}"#))
}

#[tokio::test(start_paused = true)]
async fn a_token_that_nobody_renews_is_refused_once() {
    let server = ScriptedServer::new(refused());
    let client = server.client();
    let first = client.status(&vm()).await.unwrap_err();
    let text = "GET /api/publishers/contoso/offers/vm/status was answered 401 Unauthorized: \
                it has expired";
    assert_eq!((first.to_string().as_str(), first.is_final()), (text, true));
    let posted = client.post(&vm(), &golive()).await.unwrap_err();
    let why = "POST /api/publishers/contoso/offers/vm/golive was not sent: the token was refused, \
               and there is no other: ";
    assert_eq!((posted.to_string(), posted.is_final()), (format!("{why}{text}"), true));
    assert_eq!((posted.status(), posted.advice().is_some()), (Some(401), true));
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(client.status(&vm()).await.unwrap_err().status(), Some(401));
    assert_eq!(server.count(), 1);
}

/// Those that stand in line when the first answer comes are not sent any more.
#[tokio::test(start_paused = true)]
async fn a_queued_request_with_a_refused_token_is_not_sent() {
    let server =
        ScriptedServer { latency: Duration::from_secs(1), ..ScriptedServer::new(refused()) };
    let client = server.client();
    let vm = vm();
    let all = join_all((0..50).map(|_| client.status(&vm))).await;
    assert!(all.iter().all(|end| end.as_ref().is_err_and(MarketplaceError::is_final)), "{all:?}");
    assert_eq!(server.count(), 8);
    // With a source that has another token, those in line use that one at once.
    let answers = refused().take(8).chain((0..50).map(|_| answer(200, STATUS)));
    let server = ScriptedServer { latency: Duration::from_secs(1), ..ScriptedServer::new(answers) };
    let client = server.client_with(Settings::default(), Arc::new(NumberedTokens::default()));
    let all = join_all((0..50).map(|_| client.status(&vm))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(server.count(), 58);
}

#[tokio::test(start_paused = true)]
async fn a_fresh_token_that_is_refused_as_well_is_the_end() {
    let server = ScriptedServer::new(refused().take(2).chain([answer(200, STATUS)]));
    let client = server.client_with(Settings::default(), Arc::new(NumberedTokens::default()));
    assert!(client.status(&vm()).await.unwrap_err().is_final());
    assert_eq!(server.count(), 2);
    // Unless the source has yet another one.
    client.status(&vm()).await.unwrap();
    assert_eq!(server.received()[2].headers["authorization"], "Bearer numbered-token-2");
}

#[tokio::test(start_paused = true)]
async fn a_newer_file_makes_a_refused_token_live_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let write = |text: &[u8]| {
        crate::disk::replace(&crate::disk::RealDisk, &path, text).unwrap();
    };
    write(b"old-token-old-token");
    let server = ScriptedServer::new(refused().take(1).chain([answer(200, STATUS)]));
    let source = Arc::new(FileToken::new(path.clone()));
    let client = server.client_with(Settings::default(), source);
    for _ in 0..3 {
        let error = client.status(&vm()).await.unwrap_err();
        assert!(error.status() == Some(401) && !error.is_final(), "{error}");
    }
    assert_eq!(server.count(), 1);
    write(b"new-token-new-token");
    client.status(&vm()).await.unwrap();
    assert_eq!(server.received()[1].headers["authorization"], "Bearer new-token-new-token");
}
