//! Texts that attack a terminal or a log.

use serde_json::{Value, json};

use super::bodies::ok;
use super::gateway::{BadReply, Rule};
use super::{FEW, Hostile, answer, for_each_in_parallel, json};
use crate::test_env::{RunOutput, STATUS};

/// Harmful characters: controls (C0, DEL, C1), line separators, bidirectional controls, and invisible
/// ones.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{61c}' | '\u{feff}')
}

/// Removes golive's own colors from a text.
fn without_colors(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap_or(part.len());
        match part[end..].strip_prefix('m') {
            Some(rest) if !part.starts_with("5;35") => plain.push_str(rest),
            Some(_) | None => plain.extend(["\u{1b}[", part]),
        }
    }
    plain
}

/// Whether all lines are harmless, apart from golive's own colors.
#[track_caller]
pub(super) fn is_clean(text: &str, what: &str) {
    let plain = without_colors(text);
    if let Some(bad) = plain.chars().find(|c| *c != '\n' && is_harmful(*c)) {
        panic!("{what} has {bad:?}: {text:?}");
    }
    if let Ok(value) = serde_json::from_str(text) {
        has_clean_strings(&value, what);
    }
}

/// JSON escapes hide harmful characters until another program shows the string.
#[track_caller]
fn has_clean_strings(value: &Value, what: &str) {
    match value {
        Value::String(text) => {
            assert!(!text.chars().any(is_harmful), "{what}: {text:?}");
        }
        Value::Array(values) => values.iter().for_each(|value| has_clean_strings(value, what)),
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            assert!(!key.chars().any(is_harmful), "{what}: {key:?}");
            has_clean_strings(value, what);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Checks that both outputs are clean, and that golive began each line of the log.
#[track_caller]
pub(super) fn are_clean(ran: &RunOutput, line: &str) {
    is_clean(&ran.raw_stdout, line);
    is_clean(&ran.stderr, line);
    for text in ran.stderr.lines() {
        if line.contains("--log-format json") && !text.starts_with("error: ") {
            let value: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"));
            has_clean_strings(&value, line);
            continue;
        }
        let plain = without_colors(text);
        let begins = ["[TIME]", "error: ", "  caused by: "];
        assert!(begins.iter().any(|begin| plain.starts_with(begin)), "{line}: {text:?}");
    }
}

/// Tags, colors, an escape that clears the screen, ones that write to the clipboard, make a link
/// and set the title, their one-character forms, changes of direction, and lines that look like
/// golive's own.
const HARM: &str = "<script>alert(1)</script><b>bad</b>\u{1b}[5;35mblink\u{1b}[2J\u{1b}]52;c;ZXZpbA==\u{7}\
    \u{1b}]8;;http://TRAP\u{1b}\\link\u{1b}]0;title\u{9c}\u{9b}31mred\u{90}q\u{9c}\u{9d}0;t\u{7}\u{202e}exe.txt\u{2066}x\u{200b}\
    \r\n2099-01-01T00:00:00.000Z  INFO contoso/vm: forged\n{\"level\":\"forged\"}\u{2028}\u{85}\u{b}\u{c}\u{8}\u{7f}\u{0}end\
    &#27;[5;35m&#x9b;2J&#x202e;&#10;2099-01-01T00:00:00.000Z forged&lt;script&gt;";

/// The part of it that a header can carry.
const HARM_IN_HEADER: &str = "\u{9b}31m\u{202e}<script>\t\u{2066}'\"";

/// All commands with output, with full logging. `always` keeps colors in a pipe.
const SHOWN: [&str; 8] = [
    "apply -vv --color always --wait=300ms --poll 20ms --settle 50ms",
    "apply -vvv --wait=300ms --poll 20ms --settle 50ms",
    "apply -vvv --log-format json -o json --wait=300ms --poll 20ms",
    "apply -o json --color always --retry-failed --wait=300ms --poll 20ms",
    "plan -vv --color always",
    "plan -vvv --log-format json -o json",
    "status --color always",
    "status -o json --color always",
];

fn shown(hostile: &Hostile) -> String {
    SHOWN.iter().map(|line| hostile.golive(line).transcript()).collect()
}

fn in_json(value: &Value) -> BadReply {
    BadReply::Bytes(json(value.to_string()))
}

/// Answers with harmful texts everywhere, and what the output must still show.
fn hostile_answers() -> Vec<(&'static str, Rule, &'static str)> {
    let offer = |id: &str, publisher: &str, status: &str| {
        json!({"id": id, "publisherId": publisher, "status": status, "version": 1,
               "offerTypeId": HARM, "changedTime": HARM, "definition": {"displayText": HARM}})
    };
    let list = json!([
        offer("vm", "contoso", "waitingForPublisherReview"),
        offer(HARM, "contoso", "Running"),
        offer("other", HARM, "Running"),
        offer(&format!("{HARM}/x"), "contoso", HARM),
        {HARM: HARM, "id": [HARM]},
    ]);
    let message = json!({"messageHtml": HARM, "level": HARM, "timestamp": HARM});
    let step = json!({"id": HARM, "stepName": HARM, "description": HARM, "status": "failed",
                      "estimatedTimeFrame": HARM, "messages": [message]});
    let operation = |status: &str| {
        json!({"status": status, "steps": [step], "messages": [message],
               "cancellationRequestState": HARM, "liveLinks": [{"displayText": HARM, "uri": HARM}]})
    };
    let submission = json!([{"id": HARM}, {"id": "a-1", "offerId": HARM, "slot": HARM}, {
        "id": "a-2", "submissionType": HARM, "submissionState": HARM, "changedTime": HARM}]);
    let refusal = json!({"error": {"code": HARM, "message": HARM}}).to_string();
    let headers = format!(
        "x-ms-request-id: {HARM_IN_HEADER}\r\nlocation: {HARM_IN_HEADER}\r\nretry-after: {HARM_IN_HEADER}\r\n\
         etag: {HARM_IN_HEADER}\r\noperation-location: http://x/{HARM_IN_HEADER}\r\n"
    );
    let raw = |status: &str, body: &str| BadReply::Bytes(answer(status, &headers, body));
    let get = |path, reply| Rule::new("GET", path, reply);
    let post = |reply| Rule::new("POST", "/golive", reply);
    vec![
        ("a list", get("/offers", in_json(&list)), "contoso/vm"),
        (
            "an unknown status",
            get("/offers", in_json(&json!([offer("vm", "contoso", HARM)]))),
            "contoso/vm",
        ),
        ("an ETag", get("/offers/vm", in_json(&json!({"id": "vm", "eTag": HARM}))), "contoso/vm"),
        ("a step that runs", get("/operations/*", in_json(&operation("running"))), "InProgress"),
        ("a step that failed", get("/operations/*", in_json(&operation("failed"))), "contoso/vm"),
        ("an unknown operation", get("/operations/*", in_json(&operation(HARM))), "InProgress"),
        ("operations", get("/submissions/", in_json(&submission)), "contoso/vm"),
        (
            "a refused list",
            get("/offers", BadReply::Bytes(answer("403 No", "", &refusal))),
            "Forbidden",
        ),
        ("a refused golive", post(BadReply::Bytes(answer("422 No", "", &refusal))), "Refused"),
        ("a page", get("/offers", ok("", HARM)), "the body is not JSON"),
        ("a page of a gateway", get("/offers", BadReply::Bytes(answer("502 No", "", HARM))), "502"),
        (
            "a field that is unknown",
            get("/operations/*", in_json(&json!({"status": [HARM], HARM: 1}))),
            "is not an operation",
        ),
        ("headers of an error", get("/offers", raw("400 No", "")), "400"),
        ("headers of a golive", post(raw("202 Accepted", "")), "contoso/vm"),
        ("headers of a redirect", get("/offers", raw("307 No", "")), "golive does not follow"),
        (
            "a reason",
            get("/offers", BadReply::Bytes(answer(&format!("418 {HARM_IN_HEADER}"), "", ""))),
            "418",
        ),
    ]
}

#[test]
fn texts_from_the_server_are_harmless_in_all_outputs() {
    for_each_in_parallel(FEW, hostile_answers(), |(name, rule, message)| {
        // Without a URL in the answer, golive looks for the operation in the list.
        let header = if rule.path == "/submissions/" { "none" } else { "both" };
        let hostile = Hostile::new(&format!("{{stepTime: 100ms, header: {header}}}"));
        hostile.gateway.rules(vec![rule]);
        let shown = shown(&hostile);
        assert!(hostile.gateway.hits() > 0, "{name}");
        assert!(shown.contains(message), "{name}: {message:?} is not in {shown}");
        // Identifiers keep their brackets; HTML loses its tags.
        let record = hostile.env.record("contoso/vm");
        let operation = record.operation.iter();
        let steps = operation.clone().flat_map(|operation| &operation.steps);
        let messages = operation.flat_map(|operation| &operation.messages);
        let messages = messages.chain(steps.flat_map(|step| &step.messages));
        for text in messages.map(|message| &message.text) {
            assert!(!text.contains("<script") && !text.contains("<b>"), "{name}: {text}");
        }
    });
}

#[test]
fn texts_in_a_status_file_are_harmless_in_all_outputs() {
    let hostile = Hostile::new("{stepTime: 1h}");
    hostile.golive("apply").code(0);
    let status: Value = serde_json::from_str(&hostile.env.read(STATUS)).unwrap();
    let mut poisoned = status.clone();
    let offer = &mut poisoned["offers"]["contoso/vm"];
    let message = json!({"at": HARM, "level": HARM, "text": HARM});
    offer["message"] = json!(HARM);
    offer["error"] = json!({"at": "2026-11-01T00:00:00Z", "message": HARM});
    offer["observed"]["status"] = json!(HARM);
    offer["observed"]["changedTime"] = json!(HARM);
    offer["observed"]["fingerprint"] = json!(HARM);
    offer["observed"]["preview"] = json!(HARM);
    offer["observed"]["live"] = json!(HARM);
    offer["operation"]["release"] = json!(HARM);
    offer["operation"]["kind"] = json!(HARM);
    offer["operation"]["messages"] = json!([message]);
    offer["operation"]["steps"] = json!([{"id": HARM, "name": HARM, "status": HARM,
        "estimate": HARM, "progress": 7, "messages": [message]}]);
    for phase in ["InProgress", "Failed", "Blocked"] {
        poisoned["offers"]["contoso/vm"]["phase"] = json!(phase);
        // As `\u001b`, and as raw characters where JSON allows them.
        let text = poisoned.to_string();
        for line in SHOWN {
            hostile.env.write(STATUS, &text);
            let ran = hostile.env.golive(line);
            are_clean(&ran, line);
            assert!(ran.transcript().contains("contoso/vm"), "{}", ran.transcript());
        }
        // Everything written later is clean.
        let _ran = hostile.golive("apply");
        is_clean(&hostile.env.read(STATUS), "the status file");
    }
}
