//! The two profiles, stage by stage, and what clients of the real API rest on.

use insta::assert_snapshot;
use pretty_assertions::assert_eq;
use serde_json::json;

use super::*;
use crate::emulator::ManualAction;

const VM: &str = "contoso/offers/vm";

fn emulator_of(profile: Profile, seed: &str) -> Emulator {
    Emulator::new(Seed { profile, ..seed_of(seed) }, clock())
}

/// An offer in every answer about it, one line each.
async fn picture(emulator: &Emulator, stage: &str) -> String {
    let status = get(emulator, &format!("{VM}/status")).await.json;
    let list = get(emulator, "contoso/offers").await.json[0].clone();
    let document = get(emulator, VM).await.json;
    let steps: Vec<String> = status["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| format!("{}={}", text_of(&step["stepName"]), text_of(&step["status"])))
        .collect();
    let mut slots = Vec::new();
    for slot in ["Preview", "Production"] {
        let answer = get(emulator, &format!("{VM}/slot/{slot}")).await;
        slots.push(format!("{slot} {}", text_of(&answer.json["version"])));
    }
    let submissions = get(emulator, &format!("{VM}/submissions/")).await.json;
    let submissions: Vec<String> = submissions
        .as_array()
        .unwrap()
        .iter()
        .map(|own| {
            let fields = ["submissionType", "submissionState", "slot", "publishingVersion"];
            fields.map(|name| text_of(&own[name])).join(" ")
        })
        .collect();
    format!(
        "{stage}\n  status   {} of {}\n  steps    {}\n  list     {} {}\n  document {} {} {}\n  \
         slots    {}\n  entries  {}\n",
        text_of(&status["status"]),
        text_of(&status["publishingVersion"]),
        steps.join(", "),
        text_of(&list["status"]),
        text_of(&list["version"]),
        text_of(&document["status"]),
        text_of(&document["version"]),
        text_of(&document["changedTime"]),
        slots.join(", "),
        submissions.join("; "),
    )
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The life of an offer with three steps, in pictures.
async fn life(profile: Profile) -> String {
    let steps = "{stepTime: 10s, offers: {contoso/vm: {status: NeverPublished, \
        steps: [displaycertify, publisher-signoff, live]}}}";
    let emulator = emulator_of(profile, steps);
    let mut pictures = vec![picture(&emulator, "never published").await];
    for release in ["first", "second"] {
        emulator.by_hand("contoso/vm", ManualAction::Edit).unwrap();
        post(&emulator, &format!("{VM}/publish")).await;
        pass(1).await;
        pictures.push(picture(&emulator, &format!("{release} publish runs")).await);
        pass(10).await;
        pictures.push(picture(&emulator, &format!("{release} sign-off")).await);
        post(&emulator, &format!("{VM}/golive")).await;
        pass(1).await;
        pictures.push(picture(&emulator, &format!("{release} golive runs")).await);
        pass(10).await;
        pictures.push(picture(&emulator, &format!("{release} live")).await);
    }
    emulator.by_hand("contoso/vm", ManualAction::StartPublish).unwrap();
    emulator.by_hand("contoso/vm", ManualAction::Fail("no".into())).unwrap();
    pictures.push(picture(&emulator, "third publish failed").await);
    emulator.by_hand("contoso/vm", ManualAction::Publish).unwrap();
    emulator.by_hand("contoso/vm", ManualAction::StartGoLive).unwrap();
    emulator.by_hand("contoso/vm", ManualAction::Fail("no".into())).unwrap();
    pictures.push(picture(&emulator, "third golive failed").await);
    emulator.by_hand("contoso/vm", ManualAction::StartPublish).unwrap();
    emulator.by_hand("contoso/vm", ManualAction::Cancel).unwrap();
    pictures.push(picture(&emulator, "fourth publish canceled").await);
    pictures.concat()
}

#[tokio::test(start_paused = true)]
async fn each_stage_is_answered_as_the_field_knows_it() {
    assert_snapshot!(life(Profile::Field).await);
}

#[tokio::test(start_paused = true)]
async fn each_stage_is_answered_as_the_reference_has_it() {
    assert_snapshot!(life(Profile::Documented).await);
}

#[tokio::test(start_paused = true)]
async fn the_answers_of_the_field_are_these_to_the_letter() {
    let emulator = field("offers: {contoso/vm: {steps: [certify, publisher-signoff, live]}}");
    post(&emulator, &format!("{VM}/golive")).await;
    let mut answers = Vec::new();
    for path in ["contoso/offers", VM, "contoso/offers/vm/status", "contoso/offers/vm/submissions"]
    {
        answers.push(json!({"path": path, "answer": get(&emulator, path).await.json}));
    }
    let id = text(&emulator, &format!("{VM}/submissions"), "/0/id").await;
    answers.push(get(&emulator, &format!("{VM}/operations/{id}")).await.json);
    assert_snapshot!(serde_json::to_string_pretty(&answers).unwrap());
}

#[tokio::test(start_paused = true)]
async fn requests_are_taken_and_refused_as_in_the_field() {
    let emulator = field("offers: {contoso/vm: {status: NeverPublished}}");
    let (publish, golive) = (format!("{VM}/publish"), format!("{VM}/golive"));
    let cancel = format!("{VM}/cancel");
    // No tag on any GET; a PUT has one in its header.
    let document = get(&emulator, VM).await;
    assert_eq!((document.header("etag"), document.json.get("eTag")), (None, None));
    let put_answer = put(&emulator, VM, &[("if-match", "*")], "{}").await;
    assert_eq!((put_answer.status, put_answer.json.get("eTag")), (200, None));
    let tag = put_answer.header("etag").unwrap().to_owned();
    assert!(tag.starts_with("W/\"datetime'2026-01-01T00%3A00%3A00."), "{tag}");
    assert_eq!(put(&emulator, VM, &[("if-match", &tag)], "{}").await.status, 200);
    assert_eq!(put(&emulator, VM, &[("if-match", &tag)], "{}").await.status, 412);
    assert_eq!(put(&emulator, "contoso/offers/new", &[], "{}").await.status, 200);
    assert_eq!(text(&emulator, "contoso/offers/new", "/version").await, "0");
    // A tag that nobody gave is refused; none, or a star, is taken.
    let stale = [("if-match", "\"0x1\"")];
    assert_eq!(send(&emulator, "POST", &publish, &stale).await.status, 412);

    assert_eq!(post(&emulator, &cancel).await.status, 202);
    assert_eq!(post(&emulator, &golive).await.status, 409);
    let answer = post(&emulator, &publish).await;
    assert_eq!((answer.status, answer.header("operation-location")), (202, None));
    let location = answer.header("location").unwrap();
    assert!(location.starts_with("/api/publishers/contoso/offers/vm/operations/"), "{location}");
    assert!(location.ends_with("?api-version=2017-10-31"), "{location}");
    assert_eq!((answer.header("content-type"), &answer.json), (None, &Value::Null));
    let busy = post(&emulator, &publish).await;
    assert_eq!((busy.status, busy.code()), (409, "OperationInProgress"));
    assert_eq!(post(&emulator, &golive).await.status, 409);
    pass(4).await;
    assert_eq!(send(&emulator, "POST", &golive, &[("if-match", "*")]).await.status, 202);
    assert_eq!(post(&emulator, &golive).await.status, 409);
    // A golive can't be canceled: the request is accepted, and it goes on.
    assert_eq!(post(&emulator, &cancel).await.status, 202);
    pass(2).await;
    assert_eq!(text(&emulator, VM, "/status").await, "succeeded");
    assert_eq!(post(&emulator, &golive).await.status, 409);
    assert_eq!(post(&emulator, &cancel).await.status, 202);
}

#[tokio::test(start_paused = true)]
async fn a_publish_can_be_canceled_until_the_sign_off() {
    let emulator = field("offers: {contoso/vm: {status: NeverPublished}}");
    post(&emulator, &format!("{VM}/publish")).await;
    assert_eq!(post(&emulator, &format!("{VM}/cancel")).await.status, 202);
    pass(1).await;
    assert_eq!(text(&emulator, &format!("{VM}/status"), "/status").await, "canceled");
    let state = text(&emulator, &format!("{VM}/submissions"), "/0/submissionState").await;
    assert_eq!(state, "canceled");
    post(&emulator, &format!("{VM}/publish")).await;
    pass(5).await;
    assert_eq!(post(&emulator, &format!("{VM}/cancel")).await.status, 202);
    pass(5).await;
    assert_eq!(text(&emulator, VM, "/status").await, "waitingForPublisherReview");
}

#[tokio::test(start_paused = true)]
async fn errors_come_in_the_forms_of_the_field() {
    let emulator = field(
        "{strict: true, forbidden: [fabrikam], offers: {contoso/vm: {publish: {status: 422, message: no plan}}}}",
    );
    let exception = "Microsoft.Ingestion.Api.Common.Exceptions.Http";
    let missing = get(&emulator, "contoso/offers/none").await;
    assert_eq!(missing.status, 404);
    assert_eq!(missing.json, json!(format!("{exception}404Exception: There is no such offer.")));
    let empty = get(&emulator, &format!("{VM}/slot/production")).await;
    assert_eq!(
        empty.json,
        json!(format!(
            "{exception}404Exception: There is no Production slot deployed for Offer ID 'vm', \
             Publisher ID 'contoso'"
        ))
    );
    let invalid = post(&emulator, &format!("{VM}/publish")).await;
    assert_eq!(invalid.json, json!(format!("{exception}422Exception: no plan")));
    let forbidden = get(&emulator, "fabrikam/offers").await;
    assert_eq!((forbidden.status, forbidden.code()), (403, "Forbidden"));
    // A strict service wants If-Match of a PUT on an offer that is there, and of no POST.
    let put_answer = put(&emulator, VM, &[], "{}").await;
    assert_eq!((put_answer.status, put_answer.code()), (409, "InvalidResourceId"));
    assert_eq!(put(&emulator, "contoso/offers/new", &[], "{}").await.status, 200);
    assert_eq!(post(&emulator, &format!("{VM}/golive")).await.status, 202);
    let uri = "/api/publishers/contoso/offers?api-version=1";
    let answer = raw(&emulator, "GET", uri, &[("authorization", "Bearer t")], "").await;
    assert_eq!((answer.status, answer.code()), (400, "InvalidAPIVersion"));
    let message = answer.json["error"]["message"].as_str().unwrap();
    assert_eq!(message, "Invalid api version. Allowed values are [2017-10-31].");
}

#[tokio::test(start_paused = true)]
async fn numbers_of_the_seed_are_kept_and_new_ones_come_from_the_one_space() {
    let emulator = field(
        "offers: {contoso/vm: {previewVersion: 2, liveVersion: 1}, contoso/b: {}, contoso/c: {liveVersion: 7}}",
    );
    let number = async |offer: &str| {
        let version = text(&emulator, &format!("contoso/offers/{offer}"), "/version").await;
        let status = format!("contoso/offers/{offer}/status");
        assert_eq!(text(&emulator, &status, "/publishingVersion").await, version, "{offer}");
        version.parse::<u64>().unwrap()
    };
    assert_eq!((number("vm").await, number("c").await), (2, 7));
    let invented = number("b").await;
    assert!((1_252_868_275..1 << 31).contains(&invented), "{invented}");
    for offer in ["vm", "c"] {
        emulator.by_hand(&format!("contoso/{offer}"), ManualAction::Edit).unwrap();
        post(&emulator, &format!("contoso/offers/{offer}/publish")).await;
        pass(4).await;
    }
    assert!(invented < number("vm").await);
    assert!(number("vm").await < number("c").await);
}

/// Asks *offer status* every ten minutes until it is as wanted, as pipelines do; gives it.
async fn wait_for(emulator: &Emulator, wanted: impl Fn(&Value, &str, &str) -> bool) -> Value {
    for _ in 0..100 {
        let status = get(emulator, &format!("{VM}/status")).await.json;
        let step = |id: &str| {
            let steps = status["steps"].as_array().unwrap();
            // Clients look for the step by its id or by its name, and compare with case.
            let step = steps.iter().find(|step| step["stepName"] == id && step["id"] == id);
            step.unwrap()["status"].as_str().unwrap().to_owned()
        };
        if wanted(&status, &step("publisher-signoff"), &step("live")) {
            return status;
        }
        pass(600).await;
    }
    panic!("it never came");
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_written_for_the_service_brings_an_offer_live() {
    let emulator = field("{stepTime: 1h, offers: {contoso/vm: {liveVersion: 5}}}");
    let old = get(&emulator, &format!("{VM}/status")).await.json["publishingVersion"].as_u64();
    assert_eq!(put(&emulator, VM, &[("if-match", "*")], r#"{"definition": {}}"#).await.status, 200);
    assert_eq!(post(&emulator, &format!("{VM}/publish")).await.status, 202);
    let waiting =
        wait_for(&emulator, |_, sign_off, _| sign_off == "waitingForPublisherReview").await;
    assert!(waiting["publishingVersion"].as_u64() > old);
    let golive = post(&emulator, &format!("{VM}/golive")).await;
    assert_eq!(golive.status, 202);
    let live = wait_for(&emulator, |status, sign_off, live| {
        status["status"] == "succeeded" && sign_off == "complete" && live == "complete"
    })
    .await;
    assert_eq!(live["publishingVersion"], waiting["publishingVersion"]);
    let operation = golive.header("location").unwrap();
    let operation = raw(&emulator, "GET", operation, &[("authorization", "Bearer t")], "").await;
    assert_eq!((operation.status, &operation.json["status"]), (200, &json!("succeeded")));
}

/// Everything that is answered about an offer, and that offer's truth.
async fn everything(emulator: &Emulator) -> Value {
    let mut answers = Vec::new();
    for path in ["contoso/offers", VM] {
        answers.push(get(emulator, path).await.json);
    }
    for below in ["status", "submissions", "slot/preview", "slot/production"] {
        answers.push(get(emulator, &format!("{VM}/{below}")).await.json);
    }
    answers.push(json!(format!("{:?}", emulator.truth("contoso/vm"))));
    answers.into()
}

#[tokio::test(start_paused = true)]
async fn a_publish_of_an_unchanged_draft_is_accepted_and_changes_nothing() {
    let publish = format!("{VM}/publish");
    for entry in ["{previewVersion: 2, liveVersion: 1}", "{liveVersion: 1}"] {
        let emulator = field(&format!("offers: {{contoso/vm: {entry}}}"));
        let definition = text(&emulator, VM, "/definition").await;
        let before = everything(&emulator).await;
        let answer = post(&emulator, &publish).await;
        assert_eq!((answer.status, &answer.json), (202, &Value::Null), "{entry}");
        // The operation that is named is the publish that brought the draft to preview.
        let location = answer.header("location").unwrap();
        let operation = raw(&emulator, "GET", location, &[("authorization", "Bearer t")], "").await;
        assert_eq!((operation.status, &operation.json["status"]), (200, &json!("succeeded")));
        for _ in 0..3 {
            assert_eq!(everything(&emulator).await, before, "{entry}");
            pass(2).await;
        }
        let waits = before[2]["status"] == "running";
        let golive = post(&emulator, &format!("{VM}/golive")).await;
        assert_eq!(golive.status, if waits { 202 } else { 409 }, "{entry}");
        assert_eq!(post(&emulator, &publish).await.status, if waits { 409 } else { 202 });
        pass(2).await;

        // The same draft, written again, is unchanged; so is one that was changed back.
        let old = text(&emulator, &format!("{VM}/status"), "/publishingVersion").await;
        let same = format!("{{\"definition\": {definition}}}");
        for body in ["{}", r#"{"definition": {"a": 1}}"#, &same] {
            assert_eq!(put(&emulator, VM, &[("if-match", "*")], body).await.status, 200);
        }
        assert_eq!(post(&emulator, &publish).await.status, 202);
        pass(4).await;
        let status = format!("{VM}/status");
        assert_eq!(text(&emulator, &status, "/publishingVersion").await, old, "{entry}");
        for body in [r#"{"definition": {"a": 1}}"#, r#"{"offerTypeId": "other"}"#] {
            let old = text(&emulator, &status, "/publishingVersion").await;
            assert_eq!(put(&emulator, VM, &[("if-match", "*")], body).await.status, 200);
            assert_eq!(post(&emulator, &publish).await.status, 202);
            pass(4).await;
            assert_ne!(text(&emulator, &status, "/publishingVersion").await, old, "{entry}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_draft_that_was_never_in_preview_is_published_changed_or_not() {
    let publish = format!("{VM}/publish");
    for (entry, hands) in [
        ("{status: NeverPublished}", &[][..]),
        ("{status: NotStarted}", &[]),
        ("{status: Failed, operation: publish, previewVersion: 1}", &[]),
        ("{status: Canceled, operation: publish, previewVersion: 1}", &[]),
        ("{status: Failed, operation: golive}", &[]),
        ("{}", &[ManualAction::StartPublish, ManualAction::Fail("no".into())]),
        ("{}", &[ManualAction::StartPublish, ManualAction::Cancel]),
        ("{}", &[ManualAction::StartGoLive, ManualAction::Fail("no".into())]),
    ] {
        let emulator = field(&format!("offers: {{contoso/vm: {entry}}}"));
        for hand in hands {
            emulator.by_hand("contoso/vm", hand.clone()).unwrap();
        }
        let runs = emulator.truth("contoso/vm").unwrap().runs.len();
        assert_eq!(post(&emulator, &publish).await.status, 202, "{entry} {hands:?}");
        let truth = emulator.truth("contoso/vm").unwrap();
        assert_eq!(truth.runs.len(), runs + 1, "{entry} {hands:?}");
    }
    // A change while a publish runs is not part of it: the next publish takes it.
    let emulator = field("offers: {contoso/vm: {status: NeverPublished}}");
    post(&emulator, &publish).await;
    put(&emulator, VM, &[], r#"{"definition": {"a": 1}}"#).await;
    pass(4).await;
    post(&emulator, &publish).await;
    pass(4).await;
    post(&emulator, &publish).await;
    assert_eq!(emulator.truth("contoso/vm").unwrap().runs.len(), 2);
}

/// The images of the first plan of a document, as clients of the field address them.
const IMAGES: &str = "/definition/plans/0/microsoft-azure-corevm.vmImagesPublicAzure";

#[tokio::test(start_paused = true)]
async fn an_offer_of_virtual_machines_has_a_plan_that_takes_another_image() {
    for profile in [Profile::Field, Profile::Documented] {
        let emulator = emulator_of(profile, "offers: {contoso/vm: {title: A VM}}");
        let mut document = get(&emulator, VM).await.json;
        let plan = &document["definition"]["plans"][0];
        assert_eq!((&plan["planId"], &plan["diskGenerations"]), (&json!("base"), &json!([])));
        let images = document.pointer_mut(IMAGES).unwrap().as_object_mut().unwrap();
        let mut image = images["2020.01.06"].clone();
        for field in ["osVhdUrl", "label", "mediaName", "publishedDate", "description"] {
            assert!(image[field].is_string(), "{field}");
        }
        image["mediaName"] = json!("vm-20260101");
        images.insert("2026.01.01".to_owned(), image);
        let body = document.to_string();
        assert_eq!(put(&emulator, VM, &[("if-match", "*")], &body).await.status, 200);
        post(&emulator, &format!("{VM}/publish")).await;
        pass(4).await;
        let preview = get(&emulator, &format!("{VM}/slot/preview")).await.json;
        assert_eq!(preview.pointer(IMAGES).unwrap().as_object().unwrap().len(), 2, "{preview}");
        // The list has the title only.
        let list = get(&emulator, "contoso/offers").await.json;
        assert_eq!(list[0]["definition"], json!({"displayText": "A VM"}));
    }
    for (entry, definition) in [
        ("{type: microsoft-azure-applications}", json!({"displayText": "vm"})),
        ("{definition: {plans: []}}", json!({"plans": []})),
    ] {
        let emulator = field(&format!("offers: {{contoso/vm: {entry}}}"));
        assert_eq!(get(&emulator, VM).await.json["definition"], definition);
    }
}
