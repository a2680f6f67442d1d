//! Foreign operation URLs, in answers and in the status file. The token goes only to the marketplace,
//! and only to golive's own calls.

use serde_json::{Value, json};

use super::gateway::{BadReply, Rule};
use super::{Case, FEW, Hostile, PATIENT, answer, for_each_in_parallel};
use crate::test_env::STATUS;

const ID: &str = "04e3a99d-b53d-4d6b-b51d-f4099f0876fa";

/// `TRAP` is a foreign address, `OWN` the marketplace's, `PATH` the rest of an honest URL.
const FOREIGN: [&str; 36] = [
    "http://TRAP/PATH",
    "//TRAP/PATH",
    "///TRAP/PATH",
    "http:TRAP/PATH",
    "/\\TRAP/PATH",
    "\\\\TRAP\\PATH",
    "http:\\\\TRAP\\PATH",
    "http://user@TRAP/PATH",
    "http://user:word@OWN/PATH",
    "http://@OWN/PATH",
    "http://OWN@TRAP/PATH",
    "http://OWN:80@TRAP/PATH",
    "http://OWN%40TRAP/PATH",
    "http://OWN\\@TRAP/PATH",
    "http://OWN#@TRAP/PATH",
    "http://OWN?@TRAP/PATH",
    "@TRAP/PATH",
    ":@TRAP/PATH",
    "https://OWN/PATH",
    "https://TRAP/PATH",
    "ws://TRAP/PATH",
    "file:///etc/passwd",
    "file://TRAP/PATH",
    "javascript:fetch('http://TRAP')",
    "data:application/json,{\"status\":\"succeeded\"}",
    "http://TRAP/%2e%2e/PATH",
    "/api/publishers/contoso/offers/vm/operations/../../../../PATH",
    "/api/publishers/contoso/offers/vm/operations/%2e%2e",
    "/api/publishers/contoso/offers/vm/operations/%2e%2e%2f%2e%2e%2fgolive",
    "/api/publishers/contoso/offers/vm/operations/..%5c..%5cgolive",
    "/api/publishers/contoso/offers/vm/golive",
    "/api/publishers/contoso/offers/other/operations/04e3a99d-b53d-4d6b-b51d-f4099f0876fa",
    "/api/publishers/fabrikam/offers/vm/operations/04e3a99d-b53d-4d6b-b51d-f4099f0876fa",
    "/api/operations/fabrikam$vm$2$preview",
    "/api/publishers\t/contoso/offers/vm/operations/04e3a99d-b53d-4d6b-b51d-f4099f0876fa",
    "ht\ttp://TRAP/PATH",
];

fn urls() -> impl Iterator<Item = String> {
    let path = format!("api/publishers/contoso/offers/vm/operations/{ID}?api-version=2017-10-31");
    FOREIGN.into_iter().map(move |url| url.replace("PATH", &path))
}

#[test]
fn a_foreign_operation_url_is_resolved_at_the_marketplace() {
    let cases = urls().zip(["operation-location", "Location"].into_iter().cycle());
    let cases = cases.map(|(url, name)| {
        let accepted = answer("202 Accepted", &format!("{name}: {url}\r\n"), "");
        Case {
            name: format!("{name}: {url}"),
            rule: Rule::new("POST", "/golive", BadReply::Bytes(accepted)),
            line: PATIENT,
            code: 0,
            accepted: true,
            message: "1 operation started; 1 offer: 1 Live.".to_owned(),
        }
    });
    for_each_in_parallel(FEW, cases, |case| case.run());
}

/// A changed status file with a running operation.
#[track_caller]
fn poisoned(change: impl Fn(&mut Value, &Hostile)) {
    let hostile = Hostile::new("{stepTime: 300ms}");
    hostile.golive("apply").code(0);
    let mut status: Value = serde_json::from_str(&hostile.env.read(STATUS)).unwrap();
    change(&mut status["offers"]["contoso/vm"]["operation"], &hostile);
    hostile.env.write(STATUS, status.to_string());
    let asked = hostile.gateway.seen().len();
    let ran = hostile.golive(PATIENT);
    assert_eq!(ran.code, Some(0), "{status}: {}", ran.transcript());
    assert_eq!(hostile.env.golives("contoso/vm"), (1, 1), "{status}");
    assert!(hostile.gateway.seen().len() > asked);
}

#[test]
fn a_url_from_the_status_file_is_checked_like_one_from_an_answer() {
    // Texts that only a file can carry.
    let more = ["http://TRAP/\r\nx: y", "http://TRAP/\u{202e}", "\u{0}", "", " "];
    for_each_in_parallel(FEW, urls().chain(more.map(str::to_owned)), |url| {
        poisoned(|operation, hostile| operation["location"] = json!(hostile.with_addresses(&url)));
    });
}

#[test]
fn an_id_from_the_status_file_can_not_change_the_path() {
    let ids = [
        "../../../../golive",
        "..",
        "%2e%2e",
        "x/../../golive",
        "x?y",
        "x#y",
        "http://TRAP/x",
        "//TRAP/x",
        "@TRAP",
        "x\r\nhost: TRAP",
        "\u{1b}[2J",
        "",
    ];
    for_each_in_parallel(FEW, ids, |id| {
        poisoned(|operation, hostile| {
            operation["id"] = json!(hostile.with_addresses(id));
            operation["location"] = Value::Null;
        });
    });
}
