//! The shapes answers come in: headers, casings, the array form, expiry, fixed refusals.

use pretty_assertions::assert_eq;

use super::*;

const VM: &str = "contoso/offers/vm";

#[tokio::test(start_paused = true)]
async fn the_operation_url_comes_in_every_form() {
    let id = "5ad1a9f4";
    let path = "/api/publishers/contoso/offers/vm/operations/";
    let version = "?api-version=2017-10-31";
    for (header, operation_location, location) in [
        (
            "both",
            Some(format!("http://localhost:8080{path}{id}")),
            Some(format!("{path}{id}{version}")),
        ),
        ("absolute", Some(format!("http://localhost:8080{path}{id}")), None),
        ("relative", None, Some(format!("{path}{id}{version}"))),
        ("relativeOperationLocation", Some(format!("{path}{id}{version}")), None),
        ("dollar", None, Some(format!("/api/operations/contoso$vm$1$production{version}"))),
        ("none", None, None),
        ("garbage", Some("http://[not a url".to_owned()), None),
        ("foreign", Some(format!("https://elsewhere.example{path}{id}")), None),
    ] {
        let emulator = emulator(&format!("offers: {{contoso/vm: {{header: {header}}}}}"));
        let answer = post(&emulator, &format!("{VM}/golive")).await;
        assert_eq!(answer.status, 202);
        let list = get(&emulator, &format!("{VM}/submissions")).await.json;
        let true_id = list[0]["id"].as_str().unwrap();
        let shown = |name| answer.header(name).map(|text| text.replace(true_id, id));
        assert_eq!(
            (shown("operation-location"), shown("location")),
            (operation_location, location)
        );
        // Where the header leads, the operation is.
        let leads = answer.header("operation-location").or(answer.header("location"));
        if let Some(leads) = leads.filter(|_| !["garbage", "foreign"].contains(&header)) {
            let leads = leads.trim_start_matches("http://localhost:8080");
            let join = if leads.contains('?') { "" } else { version };
            let uri = format!("{leads}{join}").replace('$', "%24");
            let polled = raw(&emulator, "GET", &uri, &[("authorization", "Bearer t")], "").await;
            assert_eq!((polled.status, &polled.json["status"]), (200, &"running".into()));
            assert_eq!(polled.json["offerVersion"], 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_absolute_location_is_of_the_host_the_client_used() {
    let emulator =
        emulator("offers: {contoso/vm: {header: absolute}, contoso/b: {header: absolute}}");
    let uri =
        "https://portal.example/api/publishers/contoso/offers/vm/golive?api-version=2017-10-31";
    let answer = raw(&emulator, "POST", uri, &[("authorization", "Bearer t")], "").await;
    let location = answer.header("operation-location").unwrap();
    assert!(location.starts_with("https://portal.example/api/publishers/contoso"), "{location}");
    let uri = "/api/publishers/contoso/offers/b/golive?api-version=2017-10-31";
    let answer = raw(&emulator, "POST", uri, &[("authorization", "Bearer t")], "").await;
    let location = answer.header("operation-location").unwrap();
    assert!(location.starts_with("/api/publishers/contoso/offers/b/"), "{location}");
}

#[tokio::test(start_paused = true)]
async fn statuses_come_in_either_casing() {
    for (casing, offer, operation, step) in [
        ("mixed", "Running", "running", "inProgress"),
        ("pascal", "Running", "Running", "InProgress"),
        ("camel", "running", "running", "inProgress"),
    ] {
        let emulator = emulator(&format!("offers: {{contoso/vm: {{casing: {casing}}}}}"));
        post(&emulator, &format!("{VM}/golive")).await;
        assert_eq!(text(&emulator, VM, "/status").await, offer);
        assert_eq!(text(&emulator, "contoso/offers", "/0/status").await, offer);
        assert_eq!(text(&emulator, &format!("{VM}/status"), "/steps/5/status").await, step);
        let state = text(&emulator, &format!("{VM}/submissions"), "/0/submissionState").await;
        assert_eq!(state, operation);
    }
}

#[tokio::test(start_paused = true)]
async fn an_operation_comes_bare_or_in_an_array_and_with_a_seeded_word() {
    for (entry, at) in [("{}", ""), ("{arrayForm: true, succeededAs: complete}", "/0")] {
        let emulator = emulator(&format!("offers: {{contoso/vm: {entry}}}"));
        post(&emulator, &format!("{VM}/golive")).await;
        pass(1).await;
        let id = text(&emulator, &format!("{VM}/submissions"), "/0/id").await;
        let operation = format!("{VM}/operations/{}", id.to_ascii_uppercase());
        let word = if at.is_empty() { "succeeded" } else { "complete" };
        assert_eq!(text(&emulator, &operation, &format!("{at}/status")).await, word);
        assert_eq!(text(&emulator, &operation, &format!("{at}/steps/5/stepName")).await, "Live");
        let links = get(&emulator, &operation).await.json;
        assert!(links.pointer(&format!("{at}/liveLinks/0/uri")).unwrap().is_string());
    }
}

#[tokio::test(start_paused = true)]
async fn operations_expire_by_the_seed() {
    let emulator = emulator(
        "offers: {contoso/vm: {expire: {finished: true}}, contoso/b: {expire: {polls: 2}}}",
    );
    for (offer, expected) in [("vm", [200, 200, 404]), ("b", [200, 200, 404])] {
        post(&emulator, &format!("contoso/offers/{offer}/golive")).await;
        let id = text(&emulator, &format!("contoso/offers/{offer}/submissions"), "/0/id").await;
        for status in expected {
            if status == 404 {
                pass(1).await;
            }
            let answer = get(&emulator, &format!("contoso/offers/{offer}/operations/{id}")).await;
            assert_eq!(answer.status, status, "{offer}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_can_have_a_fixed_refusal() {
    let emulator = emulator(
        "offers:
           contoso/vm:
             golive: {status: 422, code: Invalid, message: no plan, times: 1}
             publish: {status: 429, retryAfter: 7}
             busy: 400
             retryAfter: 'Wed, 21 Oct 2026 07:28:00 GMT'",
    );
    let golive = format!("{VM}/golive");
    let answer = post(&emulator, &golive).await;
    assert_eq!((answer.status, answer.code()), (422, "Invalid"));
    let answer = post(&emulator, &format!("{VM}/publish")).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("7")));
    let answer = post(&emulator, &golive).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.header("retry-after"), Some("Wed, 21 Oct 2026 07:28:00 GMT"));
    assert_eq!(post(&emulator, &golive).await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn other_kinds_of_offers_have_other_steps() {
    let emulator = emulator(
        "offers: {contoso/app: {status: NeverPublished, type: azure-application,
           steps: [validate, displaycertify, publisher-signoff, sync, live],
           messages: [{step: validate, message: '<i>ok</i>'}]}}",
    );
    post(&emulator, "contoso/offers/app/publish").await;
    let report = get(&emulator, "contoso/offers/app/status").await.json;
    assert_eq!(report["steps"][1]["stepName"], "Certification");
    assert_eq!(report["steps"][0]["messages"][0]["messageHtml"], "<i>ok</i>");
    pass(2).await;
    assert_eq!(text(&emulator, "contoso/offers/app", "/status").await, "WaitingForPublisherReview");
    post(&emulator, "contoso/offers/app/golive").await;
    pass(1).await;
    let waits = ["complete", "complete", "complete", "complete", "inProgress"];
    assert_eq!(steps(&emulator, "contoso/offers/app/status").await, waits);
}
