//! Requests: what is let in, found, filtered and refused.

use pretty_assertions::assert_eq;
use serde_json::json;

use super::*;

const VM: &str = "contoso/offers/vm";
const VERSION: &str = "api-version=2017-10-31";

#[tokio::test(start_paused = true)]
async fn a_request_needs_a_version_and_a_token() {
    let emulator = emulator("{token: secret, offers: {contoso/vm: {}}}");
    let uri = "/api/publishers/contoso/offers";
    let bearer = [("authorization", "bearer secret")];
    for (query, headers, status, code) in [
        (format!("?{VERSION}"), &[][..], 401, "Unauthorized"),
        (format!("?{VERSION}"), &[("authorization", "Bearer wrong")], 401, "Unauthorized"),
        (format!("?{VERSION}"), &[("authorization", "Basic secret")], 401, "Unauthorized"),
        (String::new(), &bearer, 400, "InvalidAPIVersion"),
        ("?api-version=2099-01-01".into(), &bearer, 400, "InvalidAPIVersion"),
        (format!("?{VERSION}&$filter=x&what=ever"), &bearer, 200, ""),
    ] {
        let answer = raw(&emulator, "GET", &format!("{uri}{query}"), headers, "").await;
        assert_eq!((answer.status, answer.code()), (status, code), "{query} {headers:?}");
        if code == "InvalidAPIVersion" {
            assert!(answer.json["error"]["message"].as_str().unwrap().contains("2017-10-31"));
        }
    }
    assert!(!format!("{emulator:?}").contains("secret"));
}

#[tokio::test(start_paused = true)]
async fn missing_resources_are_404_and_forbidden_ones_403() {
    let emulator = emulator("{forbidden: [fabrikam], offers: {contoso/vm: {}, fabrikam/x: {}}}");
    for (path, status) in [
        ("nobody/offers", 404),
        ("nobody/offers/vm", 404),
        ("contoso/offers/other", 404),
        ("contoso/offers/other/status", 404),
        ("contoso/offers/vm/versions/9", 404),
        ("contoso/offers/vm/slot/Production", 404),
        ("contoso/offers/vm/slot/Attic", 404),
        ("contoso/offers/vm/operations/none", 404),
        ("contoso/offers/vm/elsewhere", 404),
        ("contoso//offers", 404),
        ("Fabrikam/offers", 403),
        ("fabrikam/offers/x/status", 403),
        ("fabrikam/offers/none", 403),
    ] {
        let answer = get(&emulator, path).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.json["error"]["message"].is_string(), "{path}");
    }
    let publishers = get(&emulator, "").await;
    assert_eq!(publishers.json, json!([{"id": "contoso", "publisherId": "contoso"}]));
}

#[tokio::test(start_paused = true)]
async fn names_compare_without_case_and_slashes_at_the_end_do_not_matter() {
    let emulator = emulator("offers: {Contoso/my.vm_1: {liveVersion: 1}}");
    for path in [
        "contoso/offers",
        "CONTOSO/Offers/",
        "contoso/offers/MY.VM_1",
        "contoso/offers/my%2Evm_1/",
        "contoso/offers/my.vm_1/status/",
        "contoso/offers/my.vm_1/submissions",
        "contoso/offers/my.vm_1/submissions/",
        "contoso/offers/my.vm_1/slot/DRAFT/",
        "contoso/offers/my.vm_1/slot/production",
        "contoso/offers/my.vm_1/versions/1/",
    ] {
        assert_eq!(get(&emulator, path).await.status, 200, "{path}");
    }
    assert_eq!(text(&emulator, "contoso/offers/MY.vm_1", "/id").await, "my.vm_1");
    for (method, path) in [
        ("HEAD", "contoso/offers"),
        ("DELETE", "contoso/offers/my.vm_1"),
        ("GET", "contoso/offers/my.vm_1/golive"),
        ("POST", "contoso/offers/my.vm_1/status"),
    ] {
        let answer = send(&emulator, method, path, &[]).await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert!(answer.header("allow").is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn submissions_are_listed_newest_first_and_filtered_by_state() {
    let emulator =
        emulator("offers: {contoso/vm: {status: Failed, previewVersion: 2, liveVersion: 1}}");
    let list = get(&emulator, &format!("{VM}/submissions")).await.json;
    let shown: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|s| {
            let text = |name: &str| s[name].as_str().unwrap().to_owned();
            (
                text("submissionType"),
                text("submissionState"),
                text("slot"),
                s["offerVersion"].clone(),
            )
        })
        .collect();
    let row = |kind: &str, state: &str, slot: &str, version: u64| {
        (kind.to_owned(), state.to_owned(), slot.to_owned(), json!(version))
    };
    assert_eq!(
        shown,
        [
            row("golive", "failed", "production", 2),
            row("publish", "succeeded", "staging", 2),
            row("golive", "succeeded", "production", 1),
            row("publish", "succeeded", "staging", 1),
        ]
    );
    assert!(list[0]["publishingVersion"].as_u64().unwrap() > 1 << 53);
    assert!(list[0]["changedTime"].as_str().unwrap().ends_with(".1234567Z"));
    for (query, count) in [
        ("status=failed", 1),
        ("submissionState=Succeeded", 3),
        ("status=running", 0),
        ("status=", 4),
    ] {
        let list = get(&emulator, &format!("{VM}/submissions/?{query}")).await.json;
        assert_eq!(list.as_array().unwrap().len(), count, "{query}");
    }
    let report = get(&emulator, &format!("{VM}/status")).await.json;
    assert_eq!(report["steps"][5]["status"], "failed");
}

#[tokio::test(start_paused = true)]
async fn a_stale_etag_is_412_and_strict_wants_one() {
    let emulator = emulator("{strict: true, offers: {contoso/vm: {}}}");
    let (golive, body) =
        (format!("{VM}/golive"), r#"{"offerTypeId": "x", "definition": {"a": 1}}"#);
    assert_eq!(post(&emulator, &golive).await.status, 400);
    assert_eq!(put(&emulator, VM, &[], body).await.status, 400);
    let answer = get(&emulator, VM).await;
    let etag = answer.header("etag").unwrap().to_owned();
    assert_eq!(answer.json["eTag"], etag);
    let put_answer = put(&emulator, VM, &[("if-match", &etag)], body).await;
    assert_eq!(put_answer.status, 200);
    assert_eq!(put_answer.json["definition"], json!({"a": 1}));
    assert_eq!(put_answer.json["offerTypeId"], "x");
    assert_ne!(put_answer.header("etag").unwrap(), etag);
    assert_eq!(put(&emulator, VM, &[("if-match", &etag)], body).await.status, 412);
    assert_eq!(send(&emulator, "POST", &golive, &[("if-match", &etag)]).await.status, 412);
    assert_eq!(put(&emulator, VM, &[("if-match", "*")], body).await.status, 200);
    let etag = text(&emulator, VM, "/eTag").await;
    assert_eq!(send(&emulator, "POST", &golive, &[("if-match", &etag)]).await.status, 202);
    assert_eq!(send(&emulator, "POST", &golive, &[("if-match", "*")]).await.status, 409);
    assert_eq!(send(&emulator, "POST", &golive, &[("if-match", &etag)]).await.status, 412);

    let new = "contoso/offers/new";
    assert_eq!(put(&emulator, new, &[("if-match", "\"x\"")], body).await.status, 412);
    let created = put(&emulator, new, &[("if-match", "*")], body).await;
    assert_eq!((created.status, &created.json["status"]), (201, &json!("NeverPublished")));
    assert_eq!(created.json["version"], 1);
    assert_eq!(put(&emulator, "nobody/offers/x", &[("if-match", "*")], body).await.status, 404);
    assert_eq!(
        put(&emulator, "contoso/offers/a%24b", &[("if-match", "*")], body).await.status,
        400
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_is_nothing_or_a_json_object_of_at_most_a_mebibyte() {
    let long = format!("{{\"x\": \"{}\"}}", "y".repeat(1 << 20));
    for (body, status) in [
        ("", 202),
        (" \r\n", 202),
        ("{}", 202),
        ("null", 202),
        (r#"{"metadata": {}}"#, 202),
        (r#"{"metadata": {"notification-emails": "a@example.com,b@example.com"}}"#, 202),
        ("notification-emails=a", 400),
        ("[]", 400),
        ("{", 400),
        (&long, 413),
    ] {
        let emulator = emulator("offers: {contoso/vm: {}}");
        let uri = format!("/api/publishers/{VM}/golive?{VERSION}");
        let answer = raw(&emulator, "POST", &uri, &[("authorization", "Bearer t")], body).await;
        assert_eq!(answer.status, status, "{}", &body[..body.len().min(40)]);
    }
    let emulator = emulator("offers: {contoso/vm: {}}");
    for body in ["", "[]", "x"] {
        assert_eq!(put(&emulator, VM, &[], body).await.status, 400);
    }
}

#[tokio::test(start_paused = true)]
async fn the_list_has_every_offer_of_one_publisher_only() {
    let emulator = emulator(
        "offers: {contoso/b: {title: Bee}, contoso/a: {listStatus: published}, contoso-x/c: {}, aa/d: {}}",
    );
    let list = get(&emulator, "Contoso/offers").await.json;
    let ids: Vec<_> = list.as_array().unwrap().iter().map(|o| o["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["a", "b"]);
    assert_eq!(list[0]["status"], "published");
    assert_eq!(list[1]["status"], "WaitingForPublisherReview");
    assert_eq!(list[1]["definition"], json!({"displayText": "Bee"}));
    assert_eq!(list[1]["version"], 1);
    assert_eq!(
        get(&emulator, "contoso/offers/a").await.json["status"],
        "WaitingForPublisherReview"
    );
}

#[tokio::test(start_paused = true)]
async fn a_put_creates_its_publisher_and_nothing_else_does() {
    let emulator = field("{forbidden: [fabrikam]}");
    assert_eq!(get(&emulator, "").await.json, json!([]));
    for (method, path) in [
        ("GET", "contoso/offers"),
        ("GET", VM),
        ("GET", "contoso/offers/vm/status"),
        ("POST", "contoso/offers/vm/publish"),
        ("POST", "contoso/offers/vm/golive"),
        ("POST", "contoso/offers/vm/cancel"),
    ] {
        assert_eq!(send(&emulator, method, path, &[]).await.status, 404, "{method} {path}");
    }
    // What is refused creates nothing.
    assert_eq!(put(&emulator, VM, &[], "[]").await.status, 400);
    assert_eq!(put(&emulator, VM, &[("if-match", "\"0x1\"")], "{}").await.status, 412);
    assert_eq!(put(&emulator, "con%20toso/offers/vm", &[], "{}").await.status, 400);
    assert_eq!(put(&emulator, "fabrikam/offers/vm", &[], "{}").await.status, 403);
    assert_eq!(get(&emulator, "contoso/offers").await.status, 404);

    assert_eq!(put(&emulator, "Contoso/offers/vm", &[], "{}").await.status, 200);
    let publishers = get(&emulator, "").await.json;
    assert_eq!(publishers, json!([{"id": "Contoso", "publisherId": "Contoso"}]));
    assert_eq!(text(&emulator, "contoso/offers", "/0/status").await, "neverPublished");
    assert_eq!(post(&emulator, "contoso/offers/vm/publish").await.status, 202);
    pass(4).await;
    assert_eq!(post(&emulator, "contoso/offers/vm/golive").await.status, 202);
    pass(2).await;
    assert_eq!(text(&emulator, "contoso/offers/vm/status", "/status").await, "succeeded");
    // A publisher without offers has an empty list.
    let emulator = field("publishers: [contoso]");
    let list = get(&emulator, "contoso/offers").await;
    assert_eq!((list.status, list.json), (200, json!([])));
}

#[tokio::test(start_paused = true)]
async fn a_put_keeps_what_its_body_does_not_have() {
    for emulator in [emulator("offers: {contoso/vm: {}}"), field("offers: {contoso/vm: {}}")] {
        let before = get(&emulator, VM).await.json;
        for body in ["{}", r#"{"definition": null, "offerTypeId": null}"#, r#"{"id": "x"}"#] {
            let answer = put(&emulator, VM, &[], body).await;
            assert_eq!(answer.status, 200, "{body}");
            for field in ["id", "definition", "offerTypeId", "status", "version"] {
                assert_eq!(answer.json[field], before[field], "{field} after {body}");
            }
        }
        // A definition is taken whole: nothing of the old one is left.
        let answer = put(&emulator, VM, &[], r#"{"definition": {"a": 1}}"#).await;
        assert_eq!(answer.json["definition"], json!({"a": 1}));
        assert_eq!(answer.json["offerTypeId"], before["offerTypeId"]);
    }
}
