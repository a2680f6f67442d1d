//! Seeds: what they may say, and what is said of those that are wrong.

use pretty_assertions::assert_eq;

use super::*;
use crate::emulator::schema;

/// Everything a seed can say, as the documentation shows it.
const FULL: &str = r#"
token: secret
strict: true
forbidden: [fabrikam]
publishers: [tailspin]
stepTime: 90s
offers:
  contoso/default: {}
  contoso/also-default:
  contoso/vm: {status: WaitingForPublisherReview, previewVersion: 2, liveVersion: 1}
  contoso/new: {status: NeverPublished, stepTime: 5m}
  contoso/live: {status: Succeeded, liveVersion: 3}
  contoso/odd:
    status: Running
    operation: golive
    previewVersion: 2
    liveVersion: 1
    title: Odd
    type: azure-application
    definition: {displayText: Odd, offer: {}}
    polls: 3
    steps: [validate, publisher-signoff, live]
    messages: [{step: live, message: "<b>soon</b>", level: warning}]
    header: dollar
    casing: pascal
    arrayForm: true
    listStatus: published
    succeededAs: complete
    retryAfter: 5
    fail: {step: live, message: "<b>html</b>", level: error, times: 2}
    block: {step: validate, as: rejected, message: no}
    cancel: true
    cancelAnswer: immediate
    afterCancel: Canceled
    busy: 400
    expire: {finished: true, polls: 9}
    golive: {status: 409, code: Conflict, message: later, retryAfter: 3, times: always}
    publish: {status: 422}
faults:
  - {method: POST, path: "*/golive", nth: 1, count: 1, action: {status: 503, retryAfter: 2}}
  - {action: {delay: 5s, when: after}}
  - {path: "*/status", count: always, action: {reset: before}}
  - {nth: 3, action: {cutBody: 10}}
  - {action: {html: 502}}
  - {action: {redirect: "https://elsewhere.example/"}}
  - {action: {endlessBody: true}}
"#;

#[tokio::test(start_paused = true)]
async fn a_full_seed_is_read_and_fits_its_schema() {
    let seed = seed_of(FULL);
    assert_eq!(seed.faults.len(), 7);
    let schema = serde_json::to_value(schema()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let yaml: Value = serde_yaml::from_str(FULL).unwrap();
    let errors: Vec<String> = validator.iter_errors(&yaml).map(|e| e.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
    for wrong in ["{tokens: x}", "{offers: {contoso: {}}}", "{offers: {a/b: {status: Odd}}}"] {
        let yaml: Value = serde_yaml::from_str(wrong).unwrap();
        assert!(!validator.is_valid(&yaml), "{wrong}");
    }
    for empty in ["", "{}", "# nothing\n", "offers:"] {
        assert_eq!(seed_of(empty), Seed::default(), "{empty:?}");
    }
}

#[test]
fn errors_name_their_line_and_column() {
    for (yaml, expected) in [
        ("tokens: x", "unknown field `tokens`, expected one of `token`, `accounts`, `strict`"),
        ("offers: {contoso: {}}", "`contoso` is no offer, expected publisher/offer"),
        ("offers: {a/b/c: {}}", "expected publisher/offer"),
        ("offers:\n  a/b: {}\n  A/B: {}", "A/B is there twice"),
        ("offers:\n  a/b: {liveVersion: 0}", "versions start at 1"),
        ("offers:\n  a/b:\n    state: x", "unknown field `state`, expected one of `status`"),
        (
            "offers:\n  a/b: {status: Odd}",
            "unknown variant `Odd`, expected one of `NeverPublished`",
        ),
        ("offers: {a/b: {previewVersion: 1, liveVersion: 2}}", "older than liveVersion 2"),
        ("offers: {a/b: {status: NeverPublished, liveVersion: 2}}", "NeverPublished, yet"),
        (
            "offers: {a/b: {status: Failed, operation: golive, previewVersion: 2, liveVersion: 2}}",
            "a golive needs a previewVersion newer than liveVersion",
        ),
        ("offers: {a/b: {operation: golive}}", "operation goes with the status Running"),
        ("offers: {a/b: {steps: [live]}}", "there must be one before publisher-signoff"),
        ("offers: {a/b: {fail: {step: lift}}}", "unknown step `lift`, expected one of `display"),
        ("offers: {a/b: {busy: 500}}", "busy: expected 400 or 409"),
        ("offers: {a/b: {golive: {status: 200}}}", "expected 400 to 599"),
        ("stepTime: 5", "expected a duration such as 90s, 5m or 2h"),
        ("stepTime: -5s", "expected a duration such as 90s, 5m or 2h"),
        ("stepTime: soon", "expected a duration such as 90s, 5m or 2h"),
        ("faults: [{action: {}}]", "an action is exactly one of"),
        ("faults: [{nth: 0, action: {html: 500}}]", "expected a nonzero u32"),
        ("faults: [{count: often, action: {html: 500}}]", "a number of times, or the word always"),
        ("faults: [{action: {status: 503, retryAfter: soon}}]", "seconds, or an HTTP date"),
    ] {
        let error = parse(yaml).unwrap_err();
        let text = problem(&error);
        assert!(text.contains(expected), "{yaml}: {text}");
        assert!(error.location().is_some(), "{yaml}: {text}");
    }
    let error = parse("strict: true\noffers:\n  a/b:\n    state: x").unwrap_err();
    assert_eq!(error.location(), Some((4, 5)));
}

#[tokio::test(start_paused = true)]
async fn slots_have_defaults() {
    // Entry; status; draft, preview and live version; number of submissions.
    for (entry, status, versions, submissions) in [
        ("{}", "WaitingForPublisherReview", [1, 1, 0], 1),
        ("{previewVersion: 7}", "WaitingForPublisherReview", [7, 7, 0], 1),
        ("{previewVersion: 7, liveVersion: 5}", "WaitingForPublisherReview", [7, 7, 5], 3),
        ("{liveVersion: 5}", "Succeeded", [5, 5, 5], 2),
        ("{status: Succeeded}", "Succeeded", [1, 1, 1], 2),
        ("{status: Succeeded, previewVersion: 2}", "Succeeded", [2, 2, 0], 1),
        (
            "{status: WaitingForPublisherReview, liveVersion: 5}",
            "WaitingForPublisherReview",
            [6, 6, 5],
            3,
        ),
        ("{status: NeverPublished}", "NeverPublished", [1, 0, 0], 0),
        ("{status: Running}", "Running", [1, 0, 0], 1),
        ("{status: Running, previewVersion: 2}", "Running", [2, 2, 0], 2),
        ("{status: Running, operation: publish, previewVersion: 2}", "Running", [2, 2, 0], 2),
        ("{status: Failed, liveVersion: 1}", "Failed", [1, 1, 1], 3),
        ("{status: Canceled, operation: golive, liveVersion: 1}", "Canceled", [2, 2, 1], 4),
    ] {
        let emulator = emulator(&format!("offers: {{contoso/vm: {entry}}}"));
        let vm = "contoso/offers/vm";
        assert_eq!(text(&emulator, vm, "/status").await, status, "{entry}");
        for (slot, version) in ["draft", "preview", "production"].into_iter().zip(versions) {
            let answer = get(&emulator, &format!("{vm}/slot/{slot}")).await;
            let shown = answer.json["version"].as_u64().unwrap_or_default();
            assert_eq!(
                (answer.status, shown),
                (if version == 0 { 404 } else { 200 }, version),
                "{entry} {slot}"
            );
        }
        let list = get(&emulator, &format!("{vm}/submissions")).await.json;
        assert_eq!(list.as_array().unwrap().len(), submissions, "{entry}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_requests_get_the_same_answers() {
    let run = async || {
        let emulator = emulator("offers: {contoso/vm: {}, contoso/b: {liveVersion: 2}}");
        post(&emulator, "contoso/offers/vm/golive").await;
        let submissions = get(&emulator, "contoso/offers/vm/submissions").await;
        let request_id = submissions.header("x-ms-request-id").unwrap().to_owned();
        (submissions.json, request_id, get(&emulator, "contoso/offers/b").await.json)
    };
    assert_eq!(run().await, run().await);
}
