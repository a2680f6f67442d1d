//! JSON of another shape: other types, and huge numbers.

use super::gateway::{BadReply, Rule};
use super::{BRIEF, Case, FEW, PATIENT, for_each_in_parallel, json};

/// A list with the offer in this version.
fn listed(version: &str) -> BadReply {
    BadReply::Bytes(json(format!(
        r#"[{{"id": "vm", "publisherId": "contoso", "status": "waitingForPublisherReview",
             "version": {version}, "changedTime": "2026-11-01T00:00:00.0000000Z"}}]"#
    )))
}

/// Versions of the offer in a list, and the results. golive inspects the offer before it sends anything,
/// so that a list can only prevent a golive.
const VERSIONS: [(&str, bool, &str); 15] = [
    ("18446744073709551616", true, "version 3 is live"),
    // The document and the preview slot have another version.
    ("18446744073709551615", true, "version 3 is live"),
    ("9007199254740993", true, "version 3 is live"),
    ("0", true, "version 3 is live"),
    ("-1", true, "version 3 is live"),
    ("1e300", true, "version 3 is live"),
    ("1.5", true, "version 3 is live"),
    ("null", true, "version 3 is live"),
    ("true", true, "version 3 is live"),
    ("\"3\"", true, "version 3 is live"),
    ("\"three\"", true, "version 3 is live"),
    ("[3]", true, "version 3 is live"),
    ("{\"a\": 3}", true, "version 3 is live"),
    ("1e400", false, "none of its elements can be read"),
    ("NaN", false, "the body is not JSON"),
];

#[test]
fn an_invalid_version_launches_no_other_version() {
    let cases = VERSIONS.into_iter().map(|(version, goes_well, message)| Case {
        name: format!("version: {version}"),
        rule: Rule::new("GET", "/offers", listed(version)),
        line: PATIENT,
        code: i32::from(!goes_well),
        accepted: goes_well,
        message: message.to_owned(),
    });
    for_each_in_parallel(FEW, cases, |case| case.run());
}

/// Requests, answers, and expected errors.
const SHAPES: [(&str, &str, &str); 15] = [
    ("/offers", "{}", "the JSON is not a list of offers"),
    ("/offers", r#"{"value": {}}"#, "the JSON is not a list of offers"),
    ("/offers", r#"{"value": null}"#, "the JSON is not a list of offers"),
    ("/offers", "[null]", "none of its elements can be read"),
    ("/offers", "[[[]]]", "none of its elements can be read"),
    ("/offers", r#"[{"id": {}}]"#, "none of its elements can be read"),
    ("/offers", r#"[{"id": "vm"}, {"id": "vm"#, "the body is not JSON"),
    ("/offers", "[]", "the publisher contoso has no offer \"vm\""),
    ("/operations/*", "{}", "the status is missing"),
    ("/operations/*", r#"{"status": null}"#, "the status is missing"),
    ("/operations/*", r#"{"status": ["running"]}"#, "an array instead of a text"),
    ("/operations/*", r#"{"status": "running", "steps": {}}"#, "expected a list"),
    (
        "/operations/*",
        r#"{"status": "running", "steps": ["live"]}"#,
        "the JSON is not an operation",
    ),
    ("/operations/*", r#"{"status": "running", "messages": 7}"#, "expected a list"),
    ("/operations/*", "[[]]", "the JSON is not an operation"),
];

/// Unreadable documents, and expected messages. golive needs only the entity tag.
const DOCUMENTS: [(&str, &str); 4] = [
    ("[]", "the array that should hold it is empty"),
    ("[{}, {}]", "the JSON is not an offer: 2 values"),
    ("null", "it is neither an object nor an array"),
    (r#"{"id": "vm", "version": 3, "status": {}}"#, "an object instead of a text"),
];

#[test]
fn an_unreadable_document_is_reported_and_does_not_prevent_a_golive() {
    let cases = DOCUMENTS.into_iter().map(|(body, message)| Case {
        name: format!("document: {body}"),
        rule: Rule::new("GET", "/offers/vm", BadReply::Bytes(json(body))),
        line: PATIENT,
        code: 0,
        accepted: true,
        message: message.to_owned(),
    });
    for_each_in_parallel(FEW, cases, |case| case.run());
}

#[test]
fn json_of_another_shape_is_reported() {
    let cases = SHAPES.into_iter().map(|(path, body, message)| Case {
        name: format!("{path}: {body}"),
        rule: Rule::new("GET", path, BadReply::Bytes(json(body))),
        line: BRIEF,
        code: 1,
        accepted: path == "/operations/*",
        message: message.to_owned(),
    });
    for_each_in_parallel(FEW, cases, |case| case.run());
}

#[test]
fn huge_numbers_do_not_end_an_operation() {
    let numbers = ["18446744073709551616", "-1", "1e300", "1e400", "\"x\"", "[[1]]", "{\"a\": 1}"];
    let cases = numbers.into_iter().map(|number| {
        let body = format!(
            r#"{{"status": "running", "offerVersion": {number}, "publishingVersion": {number},
                 "steps": [{{"id": "live", "status": "inProgress", "progressPercentage": {number}}}]}}"#
        );
        let reply = BadReply::Bytes(json(body));
        Case {
            name: format!("number: {number}"),
            rule: Rule { times: 1, ..Rule::new("GET", "/operations/*", reply) },
            line: PATIENT,
            code: 0,
            accepted: true,
            message: "version 3 is live".to_owned(),
        }
    });
    for_each_in_parallel(FEW, cases, |case| case.run());
}
