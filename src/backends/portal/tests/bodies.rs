//! What is understood of the bodies of answers.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::marketplace::{
    Level, OperationKind, OperationRef, OperationStatus, Step, StepStatus, Version,
};

fn known() -> OperationRef {
    OperationRef { id: "1".to_owned(), location: None }
}

async fn polled(body: &Value) -> Result<PolledOperation, MarketplaceError> {
    let server = ScriptedServer::new([with(200, &body.to_string(), &[("retry-after", "15")])]);
    server.client().operation(&vm(), &known()).await
}

#[tokio::test(start_paused = true)]
async fn both_casings_and_the_array_form() {
    for (status, step) in [("running", "inProgress"), ("Running", "InProgress")] {
        let body = json!({
            "status": status, "publishingVersion": 9_007_199_254_740_993_u64, "offerVersion": "3",
            "cancellationRequestState": null, "messages": null,
            "steps": [{
                "id": "live", "stepName": "Live", "estimatedTimeFrame": "< 5 day",
                "status": step, "progressPercentage": 250,
                "messages": [
                    {"messageHtml": "<b>Bad</b>&#27;[31m", "level": "Error", "timestamp": "t"},
                    {"messageHtml": "<br>"}
                ]
            }, {"status": "resting"}],
            "previewLinks": [
                {"displayText": "<i>Shop</i>", "uri": "https://contoso.com/a b"},
                {"uri": "javascript:alert(1)"}, {"uri": "nowhere"}
            ]
        });
        for body in [body.clone(), json!([body])] {
            let PolledOperation { operation, retry_after } = polled(&body).await.unwrap();
            assert_eq!(retry_after, Some(Duration::from_secs(15)));
            assert_eq!(operation.status, OperationStatus::Running);
            assert_eq!(operation.publishing_version, Some(Version(9_007_199_254_740_993)));
            assert_eq!(operation.offer_version, Some(Version(3)));
            let live = &operation.steps[0];
            assert_eq!((&live.status, live.progress), (&StepStatus::InProgress, Some(100)));
            assert_eq!(live.estimate.as_deref(), Some("< 5 day"));
            assert_eq!((live.messages.len(), live.messages[0].text.as_str()), (1, "Bad"));
            assert_eq!(live.messages[0].level, Level::Error);
            let Step { id, name, status, .. } = &operation.steps[1];
            assert_eq!((id.as_str(), name.as_str()), ("step-2", "step-2"));
            assert_eq!(*status, StepStatus::Unknown("resting".to_owned()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_operation_without_a_status_is_none() {
    for (body, why) in [
        ("[]", "the array that should hold it is empty"),
        ("", "the body is empty"),
        ("\u{feff} ", "the body is empty"),
        ("[{},{}]", "the JSON is not an operation: 2 values"),
        ("{}", "the JSON is not an operation: the status is missing"),
        ("7", "the JSON is not an operation: it is neither an object nor an array"),
        (r#"{"status": "#, "the body is not JSON"),
    ] {
        let server = ScriptedServer::new((0..5).map(|_| answer(200, body)));
        let error = server.client().operation(&vm(), &known()).await.unwrap_err();
        assert!(is_lost(&error) && error.to_string().contains(why), "{body}: {error}");
    }
    assert!(polled(&json!({"status": "Dreaming"})).await.is_ok_and(|polled| {
        polled.operation.status == OperationStatus::Unknown("Dreaming".to_owned())
    }));
}

#[tokio::test(start_paused = true)]
async fn lists_are_bounded() {
    let message = json!({"messageHtml": "x".repeat(5_000)});
    let mut steps = vec![json!({"id": "s", "messages": vec![message; 150]})];
    steps.resize(300, json!({}));
    let operation = polled(&json!({"status": "failed", "steps": steps})).await.unwrap();
    let operation = operation.operation;
    assert_eq!(operation.steps.len(), 200);
    assert_eq!(operation.messages[0].text, "only the first 200 steps are shown");
    let messages = &operation.steps[0].messages;
    assert_eq!((messages.len(), messages[0].text.chars().count()), (101, 2_000));
    assert_eq!(messages[100].text, "only the first 100 messages are shown");
}

#[tokio::test(start_paused = true)]
async fn a_list_of_offers_is_taken_as_it_comes() {
    let array = json!([
        {"id": "vm", "publisherId": "Contoso", "status": "waitingForPublisherReview", "version": 2,
         "changedTime": "2026-11-30T10:00:00.1234567Z", "offerTypeId": "vm-type",
         "definition": {"displayText": "A <b>VM</b>", "plans": []}},
        {"id": "contoso/full", "status": 7},
        {"id": "bare"},
        {"id": "059afc24-07de-4126-b004-4e42a51816fe", "offerId": "named", "publisherId": 7},
        {"id": "../evil"}, {"status": "Running"}, {"id": "x", "publisherId": "fabrikam"},
        "soup", 7, null, [["x"]], {"id": {"a": 1}}
    ]);
    for body in [array.clone(), json!({"value": array}), json!({"Value": array, "nextLink": null})]
    {
        let server = ScriptedServer::new([answer(200, &body.to_string())]);
        let offers = server.client().offers(&contoso()).await.unwrap();
        let ids: Vec<_> = offers.iter().map(|offer| offer.id.to_string()).collect();
        assert_eq!(ids, ["contoso/vm", "contoso/full", "contoso/bare", "contoso/named"]);
        assert_eq!(offers[0].status, OfferStatus::WaitingForPublisherReview);
        assert_eq!(offers[0].version, Some(Version(2)));
        assert_eq!(offers[1].status, OfferStatus::Unknown("7".to_owned()));
        assert_eq!(offers[2].status, OfferStatus::Unknown("(absent)".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn half_a_character_does_not_hide_the_rest() {
    for (text, shown) in [
        (r"cut \ud83d", "cut \u{fffd}"),
        (r"\uDE00 cut", "\u{fffd} cut"),
        (r"\ud83d\ude00 whole", "\u{1f600} whole"),
        (r"\ud83d\ud83d\ude00", "\u{fffd}\u{1f600}"),
        (r"no escape: \\ud83d", r"no escape: \ud83d"),
        (r"\ud83d\\", r"�\"),
    ] {
        let body = format!(
            r#"{{"status": "running", "messages": [{{"messageHtml": "{text}", "level": "error"}}]}}"#
        );
        let server = ScriptedServer::new([answer(200, &body)]);
        let operation = OperationRef { id: "op".to_owned(), location: None };
        let polled = server.client().operation(&vm(), &operation).await.unwrap();
        assert_eq!(polled.operation.messages[0].text, shown, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_without_measure_is_none() {
    let offers = vec![r#"{"id":"vm"}"#; 100_001].join(",");
    let server = ScriptedServer::new([answer(200, &format!("[{offers}]"))]);
    let error = server.client().offers(&contoso()).await.unwrap_err().to_string();
    assert!(
        error.contains("the JSON is not a list of offers: it is too long to be one"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_definition_may_be_anything() {
    for definition in [
        r#"{"plans": [[{"displayText": "no"}]], "displayText": "A VM", "x": {}}"#,
        r#"{"displayText": ["no"]}"#,
        r#""A VM""#,
        "[7]",
        "null",
    ] {
        let body = format!(r#"[{{"id": "vm", "definition": {definition}}}]"#);
        let server = ScriptedServer::new([answer(200, &body)]);
        assert_eq!(server.client().offers(&contoso()).await.unwrap().len(), 1, "{definition}");
    }
}

#[tokio::test(start_paused = true)]
async fn submissions_keep_their_big_numbers() {
    let body = json!([
        {"id": "1-2", "offerId": "VM", "publisherId": "contoso", "submissionType": "GoLive",
         "submissionState": "completed", "slot": "production", "offerVersion": 3,
         "publishingVersion": u64::MAX, "changedTime": "2026-11-30T10:00:00.1234567Z"},
        {"id": "1-3", "offerId": "59160c40-1c6c-4d3a-9d3c-0b7e1f6a2b10", "publisherId": "7"},
        {"id": "1-4", "offerId": "other", "publisherId": "fabrikam"},
        {"id": "a/b"}, {}
    ]);
    let server = ScriptedServer::new([answer(200, &body.to_string())]);
    let submissions = server.client().submissions(&vm()).await.unwrap();
    // All that is listed under the offer is about it, whatever it is called there.
    let ids: Vec<_> = submissions.iter().map(|submission| submission.id.as_str()).collect();
    assert_eq!(ids, ["1-2", "1-3", "1-4"]);
    assert_eq!(submissions[0].kind, OperationKind::GoLive);
    assert_eq!(submissions[0].state, OperationStatus::Succeeded);
    assert_eq!(submissions[0].publishing_version, Some(Version(u64::MAX)));
}

#[tokio::test(start_paused = true)]
async fn refusals_say_what_the_body_says() {
    let page = "<html><title>502</title><body><h1>Bad\u{1b}[1m Gateway</h1><script>1</script>";
    for (body, code, message) in [
        (r#"{"error":{"code":"Bad","message":"No <b>way</b>\n."}}"#, Some("Bad"), Some("No way .")),
        (r#"{"Code":"Bad","Message":"No."}"#, Some("Bad"), Some("No.")),
        (r#"{"error":"no"}"#, None, Some("no")),
        ("{}", None, None),
        ("", None, None),
        (page, None, Some("502 Bad Gateway")),
    ] {
        let headers = [("x-ms-request-id", "req\u{9}1"), ("retry-after", "4")];
        let server = ScriptedServer::new([with(422, body, &headers)]);
        let error = server.client().offer(&vm()).await.unwrap_err();
        let refusal = refusal(&error);
        assert_eq!((refusal.code.as_deref(), refusal.message.as_deref()), (code, message));
        assert_eq!(refusal.request_id.as_deref(), Some("req 1"));
        assert_eq!(refusal.retry_after, Some(Duration::from_secs(4)));
    }
    let target = format!("https://evil.example/{TOKEN}?x");
    let server = ScriptedServer::new([with(307, "", &[("location", &target)])]);
    let error = server.client().offer(&vm()).await.unwrap_err();
    let text = "GET /api/publishers/contoso/offers/vm was answered 307 Temporary Redirect: \
                it redirects to https://evil.example, which golive does not follow";
    assert_eq!(error.to_string(), text);
}

#[tokio::test(start_paused = true)]
async fn an_echoed_token_is_shown_nowhere() {
    let echo = format!("you sent <b>{}</b>{} and {}", &TOKEN[..9], &TOKEN[9..], &TOKEN[4..40]);
    let error = json!({"error": {"code": TOKEN, "message": echo}}).to_string();
    let escaped = error.replace("eyJ0", "\\u0065yJ0");
    let html = format!("<html>{echo}</html>");
    let mut shown = Vec::new();
    for (status, body) in [(403, &error), (403, &escaped), (400, &html), (200, &html)] {
        let headers = [("x-ms-request-id", TOKEN), ("retry-after", "1")];
        let server = ScriptedServer::new((0..5).map(|_| with(status, body, &headers)));
        shown.push(format!("{:?}", server.client().offer(&vm()).await.unwrap_err()));
    }
    let offer = json!({
        "id": TOKEN, "status": TOKEN, "eTag": TOKEN, "changedTime": TOKEN, "offerTypeId": TOKEN,
        "definition": {"displayText": echo}, "messages": [{"messageHtml": echo, "level": TOKEN}],
        "steps": [{"id": TOKEN, "stepName": TOKEN, "status": TOKEN, "estimatedTimeFrame": TOKEN}],
        "liveLinks": [{"displayText": "x", "uri": format!("https://contoso.com/?{TOKEN}")}],
    });
    let mut named = offer.clone();
    named["id"] = json!("VM");
    let list = json!([offer]);
    let server = ScriptedServer::new(
        [&offer, &named, &offer, &offer, &list].map(|it| answer(200, &it.to_string())),
    );
    let client = server.client();
    shown.push(format!("{:?}", client.offer(&vm()).await.unwrap_err()));
    shown.push(format!("{:?}", client.offer(&vm()).await.unwrap()));
    shown.push(format!("{:?}", client.status(&vm()).await.unwrap()));
    shown.push(format!("{:?}", client.operation(&vm(), &known()).await.unwrap()));
    shown.push(format!("{:?} {client:?}", client.offers(&contoso()).await.unwrap()));
    for text in shown {
        let part = TOKEN
            .as_bytes()
            .windows(16)
            .find(|part| text.contains(std::str::from_utf8(part).unwrap()));
        assert_eq!(part, None, "{text}");
    }
}

/// The precondition of a POST hangs on one of these keys.
#[tokio::test(start_paused = true)]
async fn keys_are_found_in_any_case() {
    for key in ["etag", "eTag", "Etag", "ETag", "ETAG"] {
        let body = json!({"Id": "vm", "Version": 2, key: "W/\"7\""}).to_string();
        let offer = ScriptedServer::new([answer(200, &body)]).client().offer(&vm()).await.unwrap();
        assert_eq!(offer.etag, Some(Fence("W/\"7\"".to_owned())), "{key}");
    }
    let list = json!({"Value": [{"ID": "vm", "PublisherId": "contoso", "STATUS": "running"}]});
    let submissions = json!([{"Id": "1", "submissionstate": "failed", "SubmissionType": "golive"}]);
    let server = ScriptedServer::new([
        answer(200, &list.to_string()),
        answer(200, &submissions.to_string()),
    ]);
    let client = server.client();
    assert_eq!(client.offers(&contoso()).await.unwrap()[0].status, OfferStatus::Running);
    let submissions = client.submissions(&vm()).await.unwrap();
    assert_eq!(submissions[0].state, OperationStatus::Failed);
    // Both names of the state in one entry are no contradiction.
    let both = json!([{"id": "1", "status": "running", "submissionState": "failed"}]).to_string();
    let both = ScriptedServer::new([answer(200, &both)]).client().submissions(&vm()).await.unwrap();
    assert_eq!(both[0].state, OperationStatus::Failed);
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_an_offer_is_an_error() {
    for body in [
        "{}",
        r#"{"value": [1]}"#,
        r#"{"id": "other", "version": 2}"#,
        r#"[{"eTag": "x"}]"#,
        r#"{"id": "059afc24-07de-4126-b004"}"#,
    ] {
        let error =
            ScriptedServer::new([answer(200, body)]).client().offer(&vm()).await.unwrap_err();
        assert!(error.to_string().contains("the JSON is not an offer"), "{error}");
    }
    for body in [
        r#"{"id": "contoso/VM"}"#,
        r#"{"id": "/api/publishers/contoso/offers/vm"}"#,
        r#"{"version": 2}"#,
        r#"{"id": "059AFC24-07de-4126-b004-4e42a51816fe"}"#,
        r#"{"id": "059afc2407de4126b0044e42a51816fe"}"#,
        r#"{"id": 1152921504606846976}"#,
    ] {
        ScriptedServer::new([answer(200, body)]).client().offer(&vm()).await.unwrap();
    }
    let server = ScriptedServer::new((0..5).map(|_| answer(202, r#"{"id": "vm", "version": 2}"#)));
    let error = server.client().offer(&vm()).await.unwrap_err();
    assert!(error.to_string().contains("it was answered 202, not 200"), "{error}");
}

/// Any JSON, made of the words that golive knows.
fn soup() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z<>&;\u{1b}]{0,8}".prop_map(Value::from),
        Just(json!("running")),
    ];
    let key = prop::sample::select(vec![
        "id",
        "status",
        "steps",
        "messages",
        "messageHtml",
        "progressPercentage",
        "value",
        "error",
        "version",
        "definition",
        "displayText",
        "previewLinks",
        "uri",
        "submissionType",
        "eTag",
    ]);
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|pairs| pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_json_makes_it_panic(body in soup(), cut in any::<prop::sample::Index>(), whole: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let text = body.to_string();
        let cut = if whole { text.len() } else { cut.index(text.len() + 1) };
        let text = String::from_utf8_lossy(&text.as_bytes()[..cut]).into_owned();
        runtime.block_on(async {
            let mut settings = Settings::default();
            settings.retry.tries = 1;
            for status in [200, 400] {
                let server = ScriptedServer::new((0..5).map(|_| answer(status, &text)));
                let client = server.client_with(settings, Arc::new(AnonymousToken));
                let _ = client.offers(&contoso()).await;
                let _ = client.offer(&vm()).await;
                let _ = client.status(&vm()).await;
                let _ = client.submissions(&vm()).await;
                let _ = client.operation(&vm(), &known()).await;
                assert_eq!(server.count(), 5);
            }
        });
    }
}
