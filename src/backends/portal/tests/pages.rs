//! Lists in pages.

use serde_json::{Value, json};

use super::*;

const OFFERS: &str = "/api/publishers/contoso/offers";

fn page(ids: &[&str], key: &str, next: &Value) -> Response<Body> {
    let offers: Vec<_> = ids.iter().map(|id| json!({"id": id})).collect();
    answer(200, &json!({"value": offers, key: next}).to_string())
}

async fn names(server: &ScriptedServer) -> Result<Vec<String>, String> {
    let offers = server.client().offers(&contoso()).await.map_err(|error| error.to_string())?;
    Ok(offers.iter().map(|offer| offer.id.offer().to_owned()).collect())
}

#[tokio::test(start_paused = true)]
async fn all_pages_are_read_whatever_the_link_is_called() {
    let absolute = format!("HTTPS://CLOUDPARTNER.azure.com:443{OFFERS}?api-version=9&$skip=2#x");
    let third = format!("{OFFERS}?api-version=9&$skip=2");
    for (key, link, target) in [
        ("nextLink", absolute.as_str(), third.as_str()),
        ("@nextLink", &third, &third),
        ("@odata.nextLink", "?$skiptoken=a%2Fb", "?$skiptoken=a%2Fb&api-version=2017-10-31"),
        ("NEXTLINK", "offers?page=3", "?page=3&api-version=2017-10-31"),
    ] {
        let server = ScriptedServer::new([
            page(&["a", "b"], key, &json!("?page=2")),
            // An empty page is no end.
            page(&[], key, &json!(link)),
            page(&["c"], key, &json!("")),
        ]);
        assert_eq!(names(&server).await.unwrap(), ["a", "b", "c"], "{key}");
        let targets: Vec<_> = server.received().into_iter().map(|seen| seen.target).collect();
        assert_eq!(targets[1], format!("{OFFERS}?page=2&api-version=2017-10-31"));
        assert!(targets[2].ends_with(target), "{targets:?}");
        assert_eq!(targets[2].matches(OFFERS).count(), 1, "{targets:?}");
    }
    let entry = |id: &str| json!({"id": id, "submissionType": "golive"});
    let first = json!({"value": [entry("1")], "nextLink": "?page=2"}).to_string();
    let server =
        ScriptedServer::new([answer(200, &first), answer(200, &json!([entry("2")]).to_string())]);
    let operations = server.client().submissions(&vm()).await.unwrap();
    assert_eq!(operations.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    let target = format!("{OFFERS}/vm/submissions/?page=2&api-version=2017-10-31");
    assert_eq!(server.received()[1].target, target);
}

/// What is short would say that offers don't exist.
#[tokio::test(start_paused = true)]
async fn a_list_that_cannot_be_read_whole_is_an_error() {
    for (link, why) in [
        (json!("https://evil.example/api/publishers/contoso/offers"), "leads away from"),
        (json!("//evil.example/"), "leads away from"),
        (json!("http://cloudpartner.azure.com/"), "leads away from"),
        (json!("https://cloudpartner.azure.com:8443/"), "leads away from"),
        (json!("https://cloudpartner.azure.com.evil.example/"), "leads away from"),
        (json!("https://user@cloudpartner.azure.com/"), "has a user name"),
        (json!("/\\evil.example"), "has a character that no URL has"),
        (json!("https://["), "is not a URL"),
        (json!(format!("?{}", "x".repeat(20_000))), "is longer than"),
        (json!(format!("?t={TOKEN}")), "has the token in it"),
        (json!(OFFERS), "was read before"),
        (json!({"href": "?page=2"}), "an object instead of a text"),
    ] {
        let server = ScriptedServer::new((0..9).map(|_| page(&["a"], "nextLink", &link)));
        let error = names(&server).await.unwrap_err();
        assert!(error.contains(why) && !error.contains("eyJ0"), "{link}: {error}");
        assert_eq!(server.count(), 1, "{link}");
    }
    let both = json!({"value": [], "nextLink": "?page=2", "@nextLink": "?page=3"}).to_string();
    let error = names(&ScriptedServer::new([answer(200, &both)])).await.unwrap_err();
    assert!(error.contains("two different next pages"), "{error}");
    let server =
        ScriptedServer::new([page(&["a"], "nextLink", &json!("?page=2")), answer(403, "")]);
    assert!(names(&server).await.unwrap_err().contains("403 Forbidden"));
    // A circle of two.
    let link = |number: usize| json!(format!("?page={}", number % 2));
    let server = ScriptedServer::new((0..9).map(|number| page(&["a"], "nextLink", &link(number))));
    assert!(names(&server).await.unwrap_err().contains("was read before"));
    assert_eq!(server.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn pages_and_elements_are_bounded() {
    let link = |number: usize| json!(format!("?page={number}"));
    let server =
        ScriptedServer::new((0..1_100).map(|number| page(&["a"], "nextLink", &link(number))));
    assert!(names(&server).await.unwrap_err().contains("more than 1000 pages"));
    assert_eq!(server.count(), 1_000);
    let many = vec!["a"; 60_000];
    let server = ScriptedServer::new((0..3).map(|number| page(&many, "nextLink", &link(number))));
    assert!(names(&server).await.unwrap_err().contains("more than 100000 elements"));
    assert_eq!(server.count(), 2);
}

/// Each page is repeated as any other read is.
#[tokio::test(start_paused = true)]
async fn a_page_that_fails_for_a_while_is_asked_for_again() {
    let server = ScriptedServer::new([
        page(&["a"], "nextLink", &json!("?page=2")),
        answer(502, ""),
        page(&["b"], "nextLink", &Value::Null),
    ]);
    assert_eq!(names(&server).await.unwrap(), ["a", "b"]);
    assert_eq!(server.received()[1].target, server.received()[2].target);
}
