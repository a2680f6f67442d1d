//! `golive plan`

use std::collections::BTreeMap;

use golive::emulator::ManualAction;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use crate::rows::{self, ROWS};
use crate::test_env::{TestEnv, live, manifest};

#[test]
fn every_row_of_the_table_at_once() {
    let env = rows::env();
    let files = env.files();
    let ran = env.golive("plan -o json").code(1).stderr("");
    let document = ran.json();
    let decided: BTreeMap<&str, (&str, &str)> = document["offers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (text(&it["offer"]), (text(&it["action"]), text(&it["reason"]))))
        .collect();
    let expected: BTreeMap<_, _> =
        ROWS.iter().map(|row| (row.offer, (row.action, row.reason))).collect();
    assert_eq!(decided, expected);
    assert_eq!(
        document["summary"],
        json!({"offers": 23, "goLive": 3, "publish": 1, "track": 2, "inSync": 5, "held": 3, "blocked": 6, "failed": 3})
    );
    assert_eq!(env.files(), files, "a plan writes nothing");
    assert!(env.requests().iter().all(|request| request.starts_with("GET ")));
}

#[test]
fn every_row_as_text() {
    let env = rows::env();
    let ran = env.golive("plan");
    insta::assert_snapshot!(ran.transcript());
}

#[test]
fn many_offers_in_sync_are_only_counted() {
    let live_already =
        |number| format!("  contoso/vm-{number}: {{previewVersion: 1, liveVersion: 1}}\n");
    let seed: String = (0..50).map(live_already).collect();
    let env = TestEnv::with_seed(&format!("offers:\n  contoso/new: {{}}\n{seed}"));
    let names = (0..50).map(|number| format!("contoso/vm-{number}"));
    let all: Vec<_> = names.chain(["contoso/new".to_owned()]).collect();
    env.write("all.yaml", all.iter().map(|name| live(name, "")).collect::<Vec<_>>().join("---\n"));
    let shown = env.golive("plan").transcript();
    assert!(shown.contains("contoso/new  go live "), "{shown}");
    assert!(shown.contains("… and 50 offers that are as desired\n"), "{shown}");
    assert!(!shown.contains("contoso/vm-"), "{shown}");
}

/// The status file has the live version. golive doesn't ask the portal for it while a newer one waits
/// for its sign-off, since the decision doesn't depend on it.
fn version_2_live_and_3_in_preview() -> TestEnv {
    let env = TestEnv::with_seed("offers: {contoso/vm: {previewVersion: 2}}");
    env.write("vm.yaml", live("contoso/vm", ""));
    env.golive("apply --wait --poll 10ms").code(0);
    env.emulator().by_hand("contoso/vm", ManualAction::Publish).unwrap();
    env
}

#[test]
fn the_json_document_has_exactly_these_fields() {
    let env = version_2_live_and_3_in_preview();
    let document = env.golive("plan -o json").code(0).stderr("").json();
    let digest = text(&document["digest"]);
    let hex = digest.strip_prefix("sha256:").unwrap();
    assert!(hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()), "{digest}");
    assert_eq!(
        document,
        json!({
            "marketplace": "[SERVER]",
            "digest": digest,
            "summary": {"offers": 1, "goLive": 1, "publish": 0, "track": 0, "inSync": 0, "held": 0, "blocked": 0, "failed": 0},
            "offers": [{
                "offer": "contoso/vm",
                "action": "GoLive",
                "reason": "GoLivePending",
                "message": "version 3 is in preview and will go live",
                "from": {"state": "preview", "previewVersion": "3", "liveVersion": "2"},
                "to": {"state": "live", "previewVersion": "3", "liveVersion": "3"},
            }],
        })
    );
}

#[test]
fn the_text_shows_a_diff_and_the_digest() {
    let env = version_2_live_and_3_in_preview();
    let digest = env.golive("plan -o json").json()["digest"].clone();
    env.golive("plan").code(0).stderr("").stdout(&format!(
        "contoso/vm  go live   preview 3 → live (now 2)
  --- observed
  +++ desired
  @@ -1,5 +1,5 @@
   publisher: contoso
   offer: vm
  -state: preview
  +state: live
   previewVersion: 3
  -liveVersion: 2
  +liveVersion: 3

1 offer: 1 to go live.
digest {}
",
        text(&digest)
    ));
}

#[test]
fn the_live_version_is_not_queried_when_a_newer_one_goes_live() {
    let env = TestEnv::with_seed("offers: {contoso/vm: {previewVersion: 3, liveVersion: 2}}");
    env.write("vm.yaml", live("contoso/vm", ""));
    let ran = env.golive("plan -o json").code(0).stderr("");
    assert_eq!(
        ran.json()["offers"][0]["from"],
        json!({"state": "preview", "previewVersion": "3", "liveVersion": null})
    );
    assert!(!env.requests().iter().any(|request| request.contains("/slot/")));
}

#[test]
fn an_unknown_status_does_not_hide_a_waiting_sign_off() {
    let env = TestEnv::in_preview(&["vm"]);
    let odd = ManualAction::ShowStatus(Some("Levitating".to_owned()));
    env.emulator().by_hand("contoso/vm", odd).unwrap();
    env.golive("plan").code(0).stdout_has("contoso/vm  go live   preview 1 → live\n");
}

#[test]
fn the_exit_code_shows_changes_only_with_the_flag() {
    let env = TestEnv::in_preview(&["vm"]);
    env.golive("plan").code(0);
    env.golive("plan --detailed-exitcode").code(2);
    env.golive("plan --detailed-exitcode -o json").code(2);
    env.golive("apply --wait --poll 10ms").code(0);
    env.golive("plan --detailed-exitcode").code(0).stdout_has("Nothing to do.");
    // The exit code of a problem takes precedence over that of changes.
    env.write("draft.yaml", live("contoso/nothing", ""));
    env.write("vm.yaml", live("contoso/vm", "version: 7"));
    env.golive("plan --detailed-exitcode").code(1);
}

#[test]
fn the_digest_does_not_depend_on_time_order_or_layout() {
    let env = TestEnv::with_seed("offers: {contoso/a: {}, contoso/b: {}, fabrikam/c: {}}");
    env.write("one.yaml", [live("contoso/a", ""), live("contoso/b", "")].join("---\n"));
    env.write("two.yaml", live("fabrikam/c", ""));
    let digest = |line: &str| env.golive(line).json()["digest"].clone();
    let first = digest("plan -o json");
    assert_eq!(digest("plan -o json"), first);
    assert_eq!(digest("plan two.yaml one.yaml -o json"), first);
    env.remove("one.yaml");
    env.remove("two.yaml");
    env.write("x/2.yml", format!("# moved\n{}", live("contoso/b", "labels: {team: x}")));
    env.write("x/1.yml", [live("fabrikam/c", ""), live("contoso/a", "")].join("---\n"));
    assert_eq!(digest("plan -o json"), first);
    // Another change has another digest.
    env.write("x/2.yml", manifest("contoso/b", "preview", ""));
    assert_ne!(digest("plan -o json"), first);
}

#[test]
fn a_plan_writes_nothing_also_with_the_embedded_marketplace() {
    let mut env = TestEnv::new();
    env.remove_env("GOLIVE_TOKEN");
    env.write("vm.yaml", live("contoso/vm", ""));
    let files = env.files();
    // The embedded marketplace numbers versions as the real service does.
    let planned = env.golive("plan --emulator -o json").code(0).json();
    assert_eq!(planned["summary"]["goLive"], 1);
    let release = text(&planned["offers"][0]["from"]["previewVersion"]).to_owned();
    let shown = format!("contoso/vm  go live   preview {release} → live\n");
    env.golive("plan --emulator").code(0).stdout_has(&shown);
    assert_eq!(env.files(), files);
    env.golive("apply --emulator --wait --poll 10ms").code(0);
    let files = env.files();
    env.golive("plan --emulator").code(0).stdout_has("1 offer: 1 in sync. Nothing to do.\n");
    assert_eq!(env.files(), files);
}

#[test]
fn a_plan_can_be_restricted() {
    let env = TestEnv::with_seed("offers: {contoso/a: {}, contoso/b: {}}");
    env.write("a.yaml", live("contoso/a", "labels: {team: red}"));
    env.write("b.yaml", live("contoso/b", "labels: {team: blue}"));
    let offers = |line: &str| -> Vec<String> {
        let document = env.golive(line).code(0).json();
        let offers = document["offers"].as_array().unwrap();
        offers.iter().map(|it| text(&it["offer"]).to_owned()).collect()
    };
    assert_eq!(offers("plan -o json --only contoso/b"), ["contoso/b"]);
    assert_eq!(offers("plan -o json --only Contoso/B"), ["contoso/b"]);
    assert_eq!(offers("plan -o json --selector team=red"), ["contoso/a"]);
    assert_eq!(
        offers("plan -o json --only contoso/a --only contoso/b"),
        ["contoso/a", "contoso/b"]
    );
    env.golive("plan --only contoso/c")
        .code(64)
        .stdout("")
        .stderr_has("no manifest declares contoso/c");
    env.golive("plan --selector team=green --selector tier=gold")
        .code(1)
        .stdout("")
        .stderr("error: no manifest has the labels team=green and tier=gold; nothing was sent\n");
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
