//! The Product Ingestion API about the same offers as the portal's.

use pretty_assertions::assert_eq;
use serde_json::json;

use super::*;
use crate::emulator::{Count, ManualAction};

const BASE: &str = "/rp/product-ingestion";
const FIRST: u64 = 1_152_921_504_606_846_976;

async fn ask(emulator: &Emulator, path: &str) -> Answer {
    let headers = [("authorization", "Bearer t"), ("host", "localhost:8080")];
    raw(emulator, "GET", &format!("{BASE}/{path}"), &headers, "").await
}

async fn configure(emulator: &Emulator, resource: Value) -> Answer {
    let body = json!({
        "$schema": "https://schema.mp.microsoft.com/schema/configure/2022-03-01-preview2",
        "resources": [resource]
    });
    post_json(emulator, "configure", &body).await
}

async fn post_json(emulator: &Emulator, path: &str, body: &Value) -> Answer {
    let headers = [("authorization", "Bearer t"), ("host", "localhost:8080")];
    raw(emulator, "POST", &format!("{BASE}/{path}"), &headers, &body.to_string()).await
}

fn submission(guid: &str, number: Option<&str>, target: &str) -> Value {
    let mut value = json!({
        "$schema": "https://schema.mp.microsoft.com/schema/submission/2022-03-01-preview2",
        "product": format!("product/{guid}"),
        "target": {"targetType": target}
    });
    if let Some(number) = number {
        value["id"] = format!("submission/{guid}/{number}").into();
    }
    value
}

fn number(version: u64) -> String {
    (FIRST + version).to_string()
}

/// The GUID of `vm`.
async fn guid(emulator: &Emulator) -> String {
    let answer = ask(emulator, "product?externalID=vm").await;
    let id = answer.json["value"][0]["id"].as_str().unwrap_or_else(|| panic!("{answer:?}"));
    id.strip_prefix("product/").unwrap().to_owned()
}

/// The submissions but the draft: number, target, status, result.
async fn submissions(emulator: &Emulator) -> Vec<[String; 3]> {
    let answer = ask(emulator, &format!("submission/{}", guid(emulator).await)).await;
    let list = answer.json["value"].as_array().unwrap_or_else(|| panic!("{answer:?}"));
    let of = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let entry = |own: &Value| {
        let number = of(own, "id").rsplit('/').next().unwrap().to_owned();
        let version = number.parse::<u64>().unwrap().saturating_sub(FIRST).to_string();
        [version, of(&own["target"], "targetType"), of(own, "status") + "/" + &of(own, "result")]
    };
    let all = list.iter().map(entry);
    all.filter(|[_, target, _]| target != "draft").collect()
}

fn entry(version: &str, target: &str, status: &str) -> [String; 3] {
    [version, target, status].map(str::to_owned)
}

async fn job(emulator: &Emulator, answer: &Answer) -> Value {
    let id = answer.json["jobId"].as_str().unwrap_or_else(|| panic!("{answer:?}"));
    let answer = ask(emulator, &format!("configure/{id}/status")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json
}

const DONE: &str = "completed/succeeded";

#[tokio::test(start_paused = true)]
async fn a_release_goes_from_preview_to_live_with_one_id() {
    let emulator = field("offers: {contoso/vm: {previewVersion: 3, liveVersion: 2}}");
    let guid = guid(&emulator).await;
    let before = [entry("3", "preview", DONE), entry("2", "live", DONE)];
    assert_eq!(submissions(&emulator).await, before);

    let answer = configure(&emulator, submission(&guid, Some(&number(3)), "live")).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(answer.json["jobStatus"], "notStarted");
    assert_eq!(answer.json["jobEnd"], "0001-01-01T00:00:00");
    let running = [entry("2", "live", DONE), entry("3", "live", "running/pending")];
    assert_eq!(submissions(&emulator).await, running);
    assert_eq!(job(&emulator, &answer).await["jobStatus"], "running");
    // The other API sees the same.
    assert_eq!(text(&emulator, "contoso/offers/vm/status", "/status").await, "running");
    pass(2).await;
    assert_eq!(submissions(&emulator).await, [entry("3", "live", DONE)]);
    assert_eq!(job(&emulator, &answer).await["jobResult"], "succeeded");
    assert_eq!(emulator.truth("contoso/vm").unwrap().production, Some(3));

    let again = configure(&emulator, submission(&guid, Some(&number(3)), "live")).await;
    assert_eq!(
        (again.status, job(&emulator, &again).await["jobResult"].clone()),
        (202, json!("failed"))
    );
    let journal = emulator.journal();
    assert_eq!(journal.golives("contoso/vm"), Count { received: 2, accepted: 1 });
    assert_eq!(journal.illegitimate().count(), 1);
    assert_eq!(journal.report()["golives"][0]["submission"], number(3));
}

#[tokio::test(start_paused = true)]
async fn the_draft_is_published_with_or_without_its_id_and_by_name() {
    let bodies = [
        |guid: &str| submission(guid, None, "preview"),
        |guid: &str| submission(guid, Some("0"), "preview"),
        |_: &str| {
            let mut own = submission("x", None, "preview");
            own["product"] = json!({"externalId": "vm"});
            own["$schema"] = "https://product-ingestion.azureedge.net/schema/submission/1".into();
            own
        },
    ];
    for body in bodies {
        let emulator = field("offers: {contoso/vm: {status: NeverPublished}}");
        let guid = guid(&emulator).await;
        assert!(submissions(&emulator).await.is_empty());
        let tree = format!("resource-tree/product/{guid}?targetType=preview");
        assert_eq!(ask(&emulator, &tree).await.status, 400);
        let answer = configure(&emulator, body(&guid)).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        assert_eq!(submissions(&emulator).await[0][2], "running/pending");
        pass(4).await;
        assert_eq!(submissions(&emulator).await[0][2], DONE);
        let resources = ask(&emulator, &tree).await.json["resources"].clone();
        let ids = resources.as_array().unwrap().iter().map(|own| own["id"].as_str().unwrap());
        assert_eq!(ids.filter(|id| id.starts_with("submission/")).count(), 1, "{resources}");
        let quoted = format!("resource-tree/product/{guid}?targetType=%22preview%22");
        assert_eq!(ask(&emulator, &quoted).await.status, 400);
    }
}

#[tokio::test(start_paused = true)]
async fn a_publish_that_has_no_effect_is_accepted_and_its_job_fails() {
    let emulator = field("offers: {contoso/vm: {previewVersion: 3}}");
    let guid = guid(&emulator).await;
    let publish = configure(&emulator, submission(&guid, None, "preview")).await;
    assert_eq!(job(&emulator, &publish).await["jobStatus"], "running");
    let newer = emulator.truth("contoso/vm").unwrap().runs.last().unwrap().version;
    for (number_of_it, target) in [(None, "preview"), (Some(number(3)), "live")] {
        let answer = configure(&emulator, submission(&guid, number_of_it.as_deref(), target)).await;
        assert_eq!(answer.status, 202);
        let errors = &job(&emulator, &answer).await["errors"][0];
        assert_eq!(errors["code"], "internalServerError");
        let words = format!("An In Progress submission {} already exists.", number(newer));
        assert_eq!(errors["message"], words);
    }
    pass(4).await;
    let older = configure(&emulator, submission(&guid, Some(&number(3)), "live")).await;
    let errors = &job(&emulator, &older).await["errors"][0];
    let words = "The submission cannot be pushed to live as its not the latest submission.";
    assert_eq!((&errors["code"], &errors["message"]), (&json!("conflict"), &json!(words)));
    assert_eq!(emulator.journal().golives("contoso/vm"), Count { received: 2, accepted: 0 });

    for bad in [None, Some("0"), Some("17")] {
        let answer = configure(&emulator, submission(&guid, bad, "live")).await;
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    assert_eq!(emulator.journal().golives("contoso/vm"), Count { received: 5, accepted: 0 });
}

#[tokio::test(start_paused = true)]
async fn a_failed_certification_is_nested_and_a_canceled_publish_vanishes() {
    let emulator = field("offers: {contoso/vm: {previewVersion: 3, fail: {times: 1}}}");
    let guid = guid(&emulator).await;
    let answer = configure(&emulator, submission(&guid, None, "preview")).await;
    pass(4).await;
    let errors = job(&emulator, &answer).await["errors"].clone();
    assert_eq!(errors[0]["message"], "Operation failed");
    assert_eq!(errors[0]["details"][0]["code"], "invalidState");
    let inner = &errors[0]["details"][0]["details"][0];
    assert_eq!(inner["message"], "Issues found during Certification.");
    assert_eq!(submissions(&emulator).await[0][2], "completed/failed");

    let answer = configure(&emulator, submission(&guid, None, "preview")).await;
    let cancel = format!("configure/{}/cancel", answer.json["jobId"].as_str().unwrap());
    let canceled = post_json(&emulator, &cancel, &json!(null)).await;
    assert_eq!((canceled.status, &canceled.json["jobResult"]), (200, &json!("cancelled")));
    assert_eq!(post_json(&emulator, &cancel, &json!(null)).await.status, 400);
    assert_eq!(submissions(&emulator).await[0][2], "completed/failed");
}

#[tokio::test(start_paused = true)]
async fn a_failed_golive_stays_beside_what_is_live_and_may_be_tried_again() {
    let seed = |again: &str| {
        format!(
            "offers: {{contoso/vm: {{previewVersion: 3, liveVersion: 2, fail: {{times: 1}}, \
                 ingestion: {{failedAgain: {again}}}}}}}"
        )
    };
    for (again, expected) in [("accept", 1), ("conflict", 0)] {
        let emulator = field(&seed(again));
        let guid = guid(&emulator).await;
        configure(&emulator, submission(&guid, Some(&number(3)), "live")).await;
        pass(2).await;
        let failed = [entry("2", "live", DONE), entry("3", "live", "completed/failed")];
        assert_eq!(submissions(&emulator).await, failed);
        configure(&emulator, submission(&guid, Some(&number(3)), "live")).await;
        assert_eq!(emulator.journal().golives("contoso/vm").accepted, 1 + expected);
    }
}

#[tokio::test(start_paused = true)]
async fn the_list_has_the_shape_that_the_seed_asks_for() {
    let both = vec![entry("3", "preview", DONE), entry("3", "live", DONE)];
    let cases = [
        ("one", vec![entry("3", "live", DONE)]),
        ("oldAndNew", vec![entry("2", "live", DONE), entry("3", "live", DONE)]),
        ("previewAndLive", both),
    ];
    for (shape, expected) in cases {
        let emulator = field(&format!(
            "{{ingestion: {{live: {shape}}}, offers: {{contoso/vm: {{previewVersion: 3, liveVersion: 2}}}}}}"
        ));
        emulator.by_hand("contoso/vm", ManualAction::GoLive).unwrap();
        assert_eq!(submissions(&emulator).await, expected, "{shape}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_happens_shows_as_late_as_the_seed_says() {
    let emulator = field(
        "offers: {contoso/vm: {previewVersion: 3, stepTime: 20s, ingestion: {delays: \
         {running: 2s, listed: 5s, ended: 10s, jobEnded: 15s}}}}",
    );
    let guid = guid(&emulator).await;
    let answer = configure(&emulator, submission(&guid, Some(&number(3)), "live")).await;
    let mut seen = Vec::new();
    for _ in 0..40 {
        let job = job(&emulator, &answer).await["jobStatus"].as_str().unwrap().to_owned();
        let now = (job, submissions(&emulator).await[0][1..].join(" "));
        if seen.last().map(|(_, last)| last) != Some(&now) {
            seen.push((emulator.now().as_second() % 86400, now));
        }
        pass(1).await;
    }
    let expected = [
        (0, "notStarted", "preview completed/succeeded"),
        (2, "running", "preview completed/succeeded"),
        (5, "running", "live running/pending"),
        (30, "running", "live completed/succeeded"),
        (35, "completed", "live completed/succeeded"),
    ];
    let expected = expected.map(|(at, job, list)| (at, (job.to_owned(), list.to_owned())));
    assert_eq!(seen, expected);
}

#[tokio::test(start_paused = true)]
async fn lists_come_in_pages_with_absolute_links() {
    let emulator = field(
        "{ingestion: {pageSize: 2}, offers: {a/one: {}, a/two: {}, b/three: {}, b/four: {}, b/five: {}}}",
    );
    let (mut path, mut names) = ("product?$version=x".to_owned(), Vec::new());
    loop {
        let answer = ask(&emulator, &path).await;
        let value = answer.json["value"].as_array().unwrap().clone();
        assert!(value.len() <= 2);
        names.extend(value.iter().map(|own| own["identity"]["externalId"].to_string()));
        let Some(link) = answer.json["@nextLink"].as_str() else { break };
        let rest = link.strip_prefix("http://localhost:8080/rp/product-ingestion/").unwrap();
        assert!(rest.contains("$version=x"), "{rest}");
        path = rest.to_owned();
    }
    assert_eq!(names.len(), 5);
    for (kind, expected) in
        [("elsewhere", "https://elsewhere.example/"), ("endless", "http://localhost:8080/")]
    {
        let emulator =
            field(&format!("{{ingestion: {{nextLink: {kind}}}, offers: {{a/vm: {{}}}}}}"));
        let answer = ask(&emulator, "product").await;
        assert!(answer.json["@nextLink"].as_str().unwrap().starts_with(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_opens_its_publishers_in_both_apis() {
    let emulator = field(
        "{accounts: {contoso: c, fabrikam: f}, forbidden: [closed], offers: \
         {contoso/vm: {}, fabrikam/vm: {}, shared/app: {}, closed/vm: {}}}",
    );
    for (token, expected) in [("c", "Contoso"), ("f", "Fabrikam")] {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        let own = raw(&emulator, "GET", &format!("{BASE}/product"), &headers, "").await;
        assert_eq!(own.json["value"].as_array().unwrap().len(), 2, "{own:?}");
        let found =
            raw(&emulator, "GET", &format!("{BASE}/product?externalId=vm"), &headers, "").await;
        assert_eq!(found.json["value"].as_array().unwrap().len(), 1, "{expected}");
        let uri = "/api/publishers/contoso/offers?api-version=2017-10-31";
        let status = if token == "c" { 200 } else { 403 };
        assert_eq!(raw(&emulator, "GET", uri, &headers, "").await.status, status);
    }
    let headers = [("authorization", "Bearer x")];
    assert_eq!(raw(&emulator, "GET", &format!("{BASE}/product"), &headers, "").await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn twins_types_and_strictness_are_as_the_seed_says() {
    let emulator = field(
        "offers: {contoso/vm: {ingestion: {twin: true, deprecated: true}}, \
         contoso/app: {type: microsoft-azure-applications}, contoso/strict: {ingestion: {strict: true}}}",
    );
    let found = ask(&emulator, "product?EXTERNALID=vm").await.json["value"].clone();
    assert_eq!(found.as_array().unwrap().len(), 2);
    assert_eq!(found[0]["lifecycleState"], "deprecated");
    assert_ne!(found[0]["id"], found[1]["id"]);
    assert_eq!(ask(&emulator, "product?externalId=none").await.json, json!({"value": []}));

    let id = |json: &Value| json["value"][0]["id"].as_str().unwrap()["product/".len()..].to_owned();
    let app = id(&ask(&emulator, "product?externalId=app").await.json);
    let answer = ask(&emulator, &format!("resource-tree/product/{app}")).await;
    assert_eq!(
        (answer.status, answer.json["error"]["message"].clone()),
        (400, json!("Type AzureApplication is not supported"))
    );

    let strict = id(&ask(&emulator, "product?externalId=strict").await.json);
    assert_eq!(ask(&emulator, &format!("submission/{strict}")).await.status, 400);
    let versioned = format!("submission/{strict}?%24version=2022-03-01-preview2");
    assert_eq!(ask(&emulator, &versioned).await.status, 200);
    for schema in [
        "https://product-ingestion.azureedge.net/schema/submission/2022-03-01-preview2",
        "https://schema.mp.microsoft.com/schema/submission/2022-03-01-preview7",
    ] {
        let mut own = submission(&strict, None, "preview");
        own["$schema"] = schema.into();
        let body = json!({
            "$schema": "https://schema.mp.microsoft.com/schema/configure/2022-03-01-preview2",
            "resources": [own]
        });
        let answer = post_json(&emulator, "configure?$version=2022-03-01-preview2", &body).await;
        assert_eq!(answer.status, 400, "{schema}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_outlives_the_process_and_may_expire() {
    let emulator = field("offers: {contoso/vm: {previewVersion: 3}}");
    let guid = guid(&emulator).await;
    let answer = configure(&emulator, submission(&guid, Some(&number(3)), "live")).await;
    let json = serde_json::to_string(&emulator.snapshot()).unwrap();
    let time = Arc::clone(&emulator.shared.clock);
    let seed = seed_of("offers: {contoso/vm: {previewVersion: 3}}");
    let second = Emulator::restore(seed, serde_json::from_str(&json).unwrap(), time);
    pass(2).await;
    assert_eq!(job(&second, &answer).await["jobResult"], "succeeded");
    second.by_hand("contoso/vm", ManualAction::Expire).unwrap();
    let id = answer.json["jobId"].as_str().unwrap();
    assert_eq!(ask(&second, &format!("configure/{id}/status")).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_tree_shows_what_was_written_once_it_is_published() {
    let emulator = field("offers: {contoso/vm: {previewVersion: 3}}");
    let guid = guid(&emulator).await;
    let tree = async |target: &str| {
        let path = format!("resource-tree/product/{guid}?targetType={target}");
        let answer = ask(&emulator, &path).await;
        let resources = answer.json["resources"].as_array().cloned().unwrap_or_default();
        let of_plans =
            |own: &&Value| own["id"].as_str().unwrap().starts_with("virtual-machine-plan");
        resources.iter().find(of_plans).cloned()
    };
    let mut technical = tree("draft").await.unwrap();
    assert_eq!(tree("preview").await.as_ref(), Some(&technical));
    assert_eq!(tree("live").await, None);
    technical["openPorts"] = json!(["22"]);
    let answer = configure(&emulator, technical.clone()).await;
    assert_eq!(job(&emulator, &answer).await["jobResult"], "succeeded");
    assert_eq!(tree("draft").await.as_ref(), Some(&technical));
    assert_ne!(tree("preview").await.as_ref(), Some(&technical));
    configure(&emulator, submission(&guid, None, "preview")).await;
    assert_ne!(tree("preview").await.as_ref(), Some(&technical), "it is not there yet");
    pass(4).await;
    assert_eq!(tree("preview").await.as_ref(), Some(&technical));
}
