//! What is read: products, submissions and jobs, in pages, and what is wrong with them.

use super::*;
use crate::marketplace::{Hint, PausedUntil, Settling};

fn page(values: &str, link: &str) -> Response<Body> {
    answer(200, &format!(r#"{{"value": [{values}], "@nextLink": "{link}"}}"#))
}

#[tokio::test(start_paused = true)]
async fn every_request_names_the_version_and_every_page_is_read() {
    let link =
        "https://graph.microsoft.com/rp/product-ingestion/submission/x?continuationToken=a%3D";
    let own = format!("{link}&%24Version=2022-03-01-preview2");
    let last = answer(
        200,
        &format!(r#"{{"value": [{}]}}"#, submission("2", "preview", "completed", "succeeded")),
    );
    let server =
        ScriptedServer::new([page("", link), page(&submission("0", "draft", "", ""), &own), last]);
    let client = server.client_with_known_product().await;
    let state = client.inspect(&vm(), &look()).await.unwrap();
    assert_eq!(state.preview, Some(Release::new("2")));
    let origin = "https://graph.microsoft.com";
    let targets: Vec<_> =
        server.received().iter().map(|it| it.target.replace(origin, "")).collect();
    let version = "$version=2022-03-01-preview2";
    let first = format!("/rp/product-ingestion/submission/{GUID}?{version}");
    let pages = [first, format!("{link}&{version}"), own].map(|it| it.replace(origin, ""));
    assert_eq!(targets, pages);
}

#[tokio::test(start_paused = true)]
async fn a_list_is_read_whole_or_not_at_all() {
    let host = "https://product-ingestion.mp.microsoft.com/submission/x?continuationToken=a";
    let loops = format!(
        "https://graph.microsoft.com/rp/product-ingestion/submission/{GUID}?$version=2022-03-01-preview2"
    );
    let evil = "https://graph.microsoft.com@evil.example/";
    for link in [host, &loops, evil, "http://graph.microsoft.com/rp/"] {
        let waits = submission("2", "preview", "completed", "succeeded");
        let server = ScriptedServer::new([page(&waits, link)]);
        let client = server.client_with_known_product().await;
        let error = client.inspect(&vm(), &look()).await.unwrap_err();
        assert!(is_lost(&error), "{link}: {error}");
        assert_eq!(server.count(), 1);
    }
    // An entry that can't be used may be one that runs.
    let foreign = submission("3", "preview", "running", "pending").replace(GUID, "another");
    for odd in [
        "7",
        "{}",
        r#"{"id": "submission/x/3", "target": "live"}"#,
        r#"{"target": {"targetType": "live"}, "status": "running"}"#,
        &foreign,
        &submission("0", "live", "running", "pending"),
        &submission("1/2", "preview", "running", "pending"),
    ] {
        let waits = submission("2", "preview", "completed", "succeeded");
        let server =
            ScriptedServer::new([answer(200, &format!(r#"{{"value": [{waits}, {odd}]}}"#))]);
        let client = server.client_with_known_product().await;
        let error = client.inspect(&vm(), &look()).await.unwrap_err();
        assert!(is_lost(&error), "{odd}: {error}");
    }
    // One of a target that golive ignores may be as odd as it likes.
    let odd = r#"{"id": "flight-7", "target": {"targetType": "flight"}, "status": "running"}"#;
    let waits = submission("2", "preview", "completed", "succeeded");
    let server = ScriptedServer::new([answer(200, &format!(r#"{{"value": [{waits}, {odd}]}}"#))]);
    let client = server.client_with_known_product().await;
    assert!(client.inspect(&vm(), &look()).await.unwrap().preview.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_survey_finds_products_by_name_and_says_nothing_of_their_state() {
    let server = ScriptedServer::new([products(&[
        ("vm", GUID, ""),
        ("old", "guid-1", r#", "lifecycleState": "Deprecated""#),
        ("twin", "guid-2", ""),
        ("twin", "guid-3", ""),
        ("one", "guid-4", ""),
        ("one", "GUID-4", ""),
        ("again", "guid-5", r#", "lifecycleState": "deleted""#),
        ("again", "guid-6", ""),
        ("a name with spaces", "guid-7", ""),
        ("evil", "../x", ""),
    ])]);
    let client = server.client();
    let listed = client.survey(&contoso()).await.unwrap();
    let told: Vec<_> = listed.iter().map(|it| format!("{} {}", it.id.offer(), it.words)).collect();
    let expected =
        ["again listed", "old deprecated", "one listed", "twin listed more than once", "vm listed"];
    assert_eq!(told, expected);
    for listing in &listed {
        assert_eq!(
            (listing.hint, &listing.release, &listing.fingerprint),
            (Hint::Busy, &None, &None)
        );
        assert!(listing.may_be_fenced && listing.changed_time.is_none());
    }
    assert_eq!(server.requests(), ["GET product"]);
    assert_eq!(client.guid(&vm()).as_deref(), Some(GUID));
    assert_eq!(client.guid(&"contoso/again".parse().unwrap()).as_deref(), Some("guid-6"));
    // Two products for one name: nothing is guessed, and nothing asked.
    let state = client.inspect(&"contoso/twin".parse().unwrap(), &look()).await.unwrap();
    let why = state.unclear.unwrap();
    assert!(why.starts_with("2 products have the external id \"twin\" (guid-2, guid-3)"), "{why}");
    assert!(client.guid(&"contoso/twin".parse().unwrap()).is_none());
    assert_eq!(server.count(), 1);
    assert_eq!(client.settling(&contoso()), Settling::all(Duration::from_mins(10)));
    assert_eq!(client.paused_until(), PausedUntil::default());
}

#[tokio::test(start_paused = true)]
async fn a_product_is_looked_up_by_name_where_it_is_not_known() {
    let waits = || submissions(&["2 preview completed/succeeded"]);
    // A service that doesn't know the parameter gives all products.
    let server = ScriptedServer::new([
        products(&[("other", "guid-1", ""), ("VM", GUID, "")]),
        waits(),
        waits(),
    ]);
    let client = server.client();
    for _ in 0..2 {
        assert!(client.inspect(&vm(), &look()).await.unwrap().is_launchable);
    }
    let asked = ["GET product?externalId=vm", "GET submission/GUID", "GET submission/GUID"];
    assert_eq!(server.requests(), asked);
    let server = ScriptedServer::new([products(&[("other", "guid-1", "")])]);
    let error = server.client().inspect(&vm(), &look()).await.unwrap_err();
    assert_eq!(error.kind(), Some(RefusalKind::NotFound));
}

#[tokio::test(start_paused = true)]
async fn a_remembered_product_saves_the_list_and_is_confirmed_before_a_launch() {
    let waits = || submissions(&["2 preview completed/succeeded"]);
    let live = || submissions(&["2 live completed/succeeded"]);
    let server = ScriptedServer::new([live(), waits(), products(&[("vm", GUID, "")]), waits()]);
    let client = server.client();
    client.remember(&vm(), "../x");
    assert!(client.guid(&vm()).is_none());
    let known = Inquiry { product: Some(GUID.to_owned()), ..look() };
    let state = client.inspect(&vm(), &known).await.unwrap();
    assert_eq!((state.live, state.product.as_deref()), (Some(Release::new("2")), Some(GUID)));
    assert_eq!(server.requests(), ["GET submission/GUID"]);
    client.remember(&vm(), "another");
    assert!(client.inspect(&vm(), &known).await.unwrap().is_launchable);
    assert!(client.inspect(&vm(), &known).await.unwrap().is_launchable);
    let (find, read) = ("GET product?externalId=vm", "GET submission/GUID");
    assert_eq!(server.requests(), [read, read, find, read]);
    // Somebody else's product is not launched.
    let another = submissions(&["2 preview completed/succeeded"]);
    let (parts, body) = another.into_parts();
    let body = axum::body::to_bytes(body, MAX_BODY).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap().replace(GUID, "another");
    let another = Response::from_parts(parts, Body::from(body));
    let server = ScriptedServer::new([another, products(&[("vm", GUID, "")]), live()]);
    let known = Inquiry { product: Some("another".to_owned()), ..look() };
    let state = server.client().inspect(&vm(), &known).await.unwrap();
    assert_eq!((state.live, state.preview), (Some(Release::new("2")), None));
    assert_eq!(server.requests(), ["GET submission/another", find, read]);
    // One that is gone is looked up by its name.
    let server = ScriptedServer::new([answer(404, ""), products(&[("vm", GUID, "")]), waits()]);
    let client = server.client();
    client.remember(&vm(), "gone");
    assert!(client.inspect(&vm(), &look()).await.unwrap().is_launchable);
    let asked = ["GET submission/gone", "GET product?externalId=vm", "GET submission/GUID"];
    assert_eq!(server.requests(), asked);
    // One that the service itself named and doesn't know is not found.
    let server = ScriptedServer::new([answer(404, "")]);
    let client = server.client_with_known_product().await;
    let error = client.inspect(&vm(), &look()).await.unwrap_err();
    assert_eq!((error.kind(), server.count()), (Some(RefusalKind::NotFound), 1));
}

#[tokio::test(start_paused = true)]
async fn a_product_that_the_service_refuses_to_read_blocks_with_its_words() {
    let message = "Type AzureApplication is not supported";
    let body = format!(r#"{{"error": {{"code": "badRequest", "message": "{message}"}}}}"#);
    let server = ScriptedServer::new([answer(400, &body)]);
    let client = server.client_with_known_product().await;
    let state = client.inspect(&vm(), &look()).await.unwrap();
    assert!(state.unclear.unwrap().contains(message));
    assert_eq!(server.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_publishers_with_one_offer_name_are_not_mixed_up() {
    let server = ScriptedServer::new([
        products(&[("vm", "guid-1", "")]),
        products(&[("vm", "guid-2", "")]),
        products(&[("other", "guid-3", "")]),
    ]);
    let client = server.client();
    let fabrikam = PublisherId::new("fabrikam").unwrap();
    client.survey(&contoso()).await.unwrap();
    client.survey(&fabrikam).await.unwrap();
    let guid = |name: &str| client.guid(&name.parse().unwrap());
    assert_eq!(guid("contoso/vm").as_deref(), Some("guid-1"));
    assert_eq!(guid("fabrikam/vm").as_deref(), Some("guid-2"));
    client.survey(&contoso()).await.unwrap();
    assert_eq!((guid("contoso/vm"), guid("fabrikam/vm").as_deref()), (None, Some("guid-2")));
}

#[tokio::test(start_paused = true)]
async fn slow_answers_are_served_and_hung_reads_repeated() {
    let server = ScriptedServer::new([submissions(&["2 live completed/succeeded"])]);
    let client = server.client_with_known_product().await;
    let slow = ScriptedServer { latency: Duration::from_secs(20), ..server.clone() };
    let patient = slow.client();
    patient.products.learn(&vm(), client.products.get(&vm()).unwrap());
    assert!(patient.inspect(&vm(), &look()).await.unwrap().live.is_some());
    assert_eq!(server.count(), 1);
    server.add_answers([answer(502, ""), dropped(), submissions(&["2 live completed/succeeded"])]);
    assert!(client.inspect(&vm(), &look()).await.unwrap().live.is_some());
    assert_eq!(server.count(), 4);
}
