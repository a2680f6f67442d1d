//! `golive apply`: its requests, files and output.

use golive::emulator::ManualAction;
use golive::status::{Phase, Reason};
use pretty_assertions::assert_eq;
use serde_json::json;

use crate::plan::text;
use crate::rows::{self, ROWS, TO_GO_LIVE};
use crate::test_env::{RunOutput, STATUS, TestEnv, live, manifest};

#[test]
fn every_row_of_the_table_at_once() {
    let env = rows::env();
    env.golive("apply --poll 10ms").code(1);
    for row in &ROWS {
        let due = u64::from(TO_GO_LIVE.contains(&row.offer));
        assert_eq!(env.golives(row.offer), (due, due), "{}", row.offer);
    }
    let changes: Vec<_> =
        env.requests().into_iter().filter(|request| !request.starts_with("GET ")).collect();
    assert_eq!(changes.len(), 4, "three golives and a publish: {changes:?}");
    assert!(changes.contains(&"POST /api/publishers/contoso/offers/draft/publish".to_owned()));

    // For decisions that change nothing, the status has the same reason as the plan.
    for row in ROWS.iter().filter(|row| !matches!(row.action, "GoLive" | "Publish" | "Track")) {
        assert_eq!(format!("{:?}", env.record(row.offer).reason), row.reason, "{}", row.offer);
    }
}

#[test]
fn every_row_to_the_end() {
    let env = rows::env();
    env.emulator().by_hand("contoso/golive-runs", ManualAction::Finish).unwrap();
    env.emulator().by_hand("contoso/publish-runs", ManualAction::Cancel).unwrap();
    let ran = env.golive("apply --wait --poll 10ms --quiet").code(1);
    insta::assert_snapshot!(ran.sorted().transcript());
    assert_eq!(env.emulator().journal().all_golives().accepted, 3);
}

#[test]
fn the_first_run_launches_and_the_second_sends_one_request_per_publisher() {
    let env = TestEnv::with_seed(
        "offers: {contoso/a: {}, contoso/b: {previewVersion: 4, liveVersion: 2}, fabrikam/c: {}}",
    );
    env.write("contoso.yaml", [live("contoso/a", ""), live("contoso/b", "")].join("---\n"));
    env.write("fabrikam.yaml", live("fabrikam/c", ""));
    env.golive("apply --wait --poll 10ms").code(0).stdout(
        "\
OFFER       PHASE  REASON        MESSAGE
contoso/a   Live   InProduction  version 1 is live
contoso/b   Live   InProduction  version 4 is live
fabrikam/c  Live   InProduction  version 1 is live
3 operations started; 3 offers: 3 Live.
",
    );
    for offer in ["contoso/a", "contoso/b", "fabrikam/c"] {
        assert_eq!(env.golives(offer), (1, 1), "{offer}");
    }
    let files = env.files();
    for line in ["apply", "apply --wait"] {
        let (ran, mut requests) = env.requests_during(|| env.golive(line));
        ran.code(0).stdout(
            "\
OFFER       PHASE  REASON        MESSAGE
contoso/a   Live   InProduction  version 1 is live
contoso/b   Live   InProduction  version 4 is live
fabrikam/c  Live   InProduction  version 1 is live
Nothing to do: every offer is as desired (3 offers: 3 Live).
",
        );
        requests.sort();
        assert_eq!(
            requests,
            ["GET /api/publishers/contoso/offers", "GET /api/publishers/fabrikam/offers"]
        );
        let mut now = env.files();
        // The lock file names its last holder.
        let lock = format!("{STATUS}.lock");
        now.insert(lock.clone(), files[&lock].clone());
        assert_eq!(now, files, "not a byte changes");
    }
}

#[test]
fn the_log_has_a_line_for_every_change() {
    let env = TestEnv::in_preview(&["vm"]);
    let ran = env.golive("apply --wait --poll 5ms").code(0);
    let lines: Vec<_> =
        ran.stderr.lines().map(|line| line.split(" offer=").next().unwrap()).collect();
    assert_eq!(
        lines[1..3],
        [
            "[TIME]  INFO contoso/vm: version 1 is in preview and will go live",
            "[TIME]  INFO contoso/vm: golive runs",
        ],
        "{lines:?}"
    );
    assert_eq!(lines.last(), Some(&"[TIME]  INFO contoso/vm: version 1 is live"));
    assert!(!ran.stderr.contains('\u{1b}'), "no colors without a terminal");
}

#[test]
fn json_is_one_document_and_the_log_json_lines() {
    let env = TestEnv::in_preview(&["vm"]);
    let ran = env.golive("apply --wait --poll 10ms -o json --log-format json -v").code(0);
    let document = ran.json();
    assert_eq!(document["exitCode"], 0);
    assert_eq!(document["triggered"], 1);
    assert_eq!(document["interrupted"], false);
    assert_eq!(document["summary"], json!({"Live": 1}));
    assert_eq!(document["offers"][0]["offer"], "contoso/vm");
    assert_eq!(document["offers"][0]["phase"], "Live");
    assert_eq!(document["offers"][0]["operation"]["kind"], "golive");
    for line in ran.stderr.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["timestamp"].is_string() && line["message"].is_string(), "{line}");
    }
    assert!(env.golive("apply -o json -q").code(0).stderr("").json().is_object());
}

#[test]
fn only_and_selector_narrow_a_run() {
    let env = TestEnv::with_seed("offers: {contoso/a: {}, contoso/b: {}, contoso/c: {}}");
    env.write("a.yaml", live("contoso/a", "labels: {team: red, tier: gold}"));
    env.write("b.yaml", live("contoso/b", "labels: {team: blue}"));
    env.write("c.yaml", live("contoso/c", "labels: {team: red}"));
    env.golive("apply --only contoso/b").code(0);
    assert_eq!((env.golives("contoso/b"), env.golives("contoso/a")), ((1, 1), (0, 0)));
    env.golive("apply --selector team=red --selector tier=gold").code(0);
    assert_eq!((env.golives("contoso/a"), env.golives("contoso/c")), ((1, 1), (0, 0)));
    env.golive("apply --only contoso/aa")
        .code(64)
        .stdout("")
        .stderr("error: no manifest declares contoso/aa; did you mean contoso/a?\n");
    assert_eq!(env.golives("contoso/c"), (0, 0));
}

#[test]
fn expect_applies_the_reviewed_change_set() {
    let env = TestEnv::in_preview(&["a", "b"]);
    let digest = text(&env.golive("plan -o json").json()["digest"]).to_owned();
    let wrong = format!("sha256:{}", "0".repeat(64));
    let files = env.files();
    env.golive(&format!("apply --wait --expect {wrong}")).code(1).stdout("").stderr(&format!(
        "error: the change set is not the reviewed one: expected {wrong}, found {digest}; \
         nothing was sent, run golive plan and review again\n"
    ));
    assert_eq!(env.emulator().journal().all_golives().received, 0);
    assert_eq!(env.files().get(STATUS), files.get(STATUS));
    env.golive(&format!("apply --wait --poll 10ms --expect {digest}")).code(0);
    assert_eq!(env.emulator().journal().all_golives().accepted, 2);
}

#[test]
fn expect_refuses_another_change_set() {
    let env = TestEnv::in_preview(&["a"]);
    let digest = text(&env.golive("plan -o json").json()["digest"]).to_owned();
    env.emulator().by_hand("contoso/a", ManualAction::Publish).unwrap();
    env.golive(&format!("apply --wait --expect {digest}")).code(1).stdout("");
    assert_eq!(env.golives("contoso/a"), (0, 0));
}

#[test]
fn max_changes_refuses_the_whole_run() {
    let env = TestEnv::in_preview(&["a", "b", "c"]);
    env.golive("apply --wait --max-changes 2").code(1).stdout("").stderr(
        "error: --max-changes allows 2, but this would make it 3; none of these was sent\n",
    );
    env.golive("apply --wait --max-changes 0").code(1);
    assert_eq!(env.emulator().journal().all_golives().received, 0);
    env.golive("apply --wait --poll 10ms --max-changes 3").code(0);
    assert_eq!(env.emulator().journal().all_golives().accepted, 3);
    env.golive("apply --max-changes 0").code(0);
}

#[test]
fn held_offers_do_not_fail_a_run() {
    let env = TestEnv::with_seed("offers: {contoso/a: {}, contoso/b: {}, contoso/c: {}}");
    env.write("a.yaml", live("contoso/a", "suspend: true"));
    env.write("b.yaml", live("contoso/b", "notBefore: 2999-01-31T09:00:00Z"));
    env.write("c.yaml", live("contoso/c", "after: [contoso/a, contoso/b]"));
    env.golive("apply --wait --poll 10ms").code(0).stdout(
        "\
OFFER      PHASE  REASON                MESSAGE
contoso/a  Held   Suspended             the manifest says suspend: true
contoso/b  Held   Scheduled             the manifest says notBefore: [TIME]
contoso/c  Held   WaitingForDependency  waits until contoso/a, contoso/b are live
Nothing to do for now (3 offers: 3 Held).
",
    );
    assert_eq!(env.emulator().journal().all_golives().received, 0);
    // A past launch date holds nothing.
    env.write("a.yaml", live("contoso/a", "suspend: false"));
    env.write("b.yaml", live("contoso/b", "notBefore: 2020-01-31T09:00:00+01:00"));
    env.golive("apply --wait --poll 10ms")
        .code(0)
        .stdout_has("3 operations started; 3 offers: 3 Live.\n");
}

#[test]
fn only_the_pinned_version_goes_live() {
    let env = TestEnv::with_seed("offers: {contoso/vm: {previewVersion: 4, liveVersion: 2}}");
    env.write("vm.yaml", live("contoso/vm", "version: 5"));
    env.golive("apply --wait").code(1).stdout(
        "\
OFFER       PHASE    REASON           MESSAGE
contoso/vm  Blocked  VersionMismatch  the manifest pins version 5, but version 4 is in preview; publish version 5, or pin 4
0 operations started; 1 offer: 1 Blocked.
",
    );
    assert_eq!(env.golives("contoso/vm"), (0, 0));
    env.emulator().by_hand("contoso/vm", ManualAction::Publish).unwrap();
    env.golive("apply --wait --poll 10ms").code(0);
    assert_eq!(env.golives("contoso/vm"), (1, 1));
    assert_eq!(
        env.record("contoso/vm").observed.unwrap().live.unwrap().as_str().parse::<u64>().unwrap(),
        5
    );
}

#[test]
fn a_removed_manifest_leaves_the_status_once_nothing_runs() {
    let env = TestEnv::with_seed("offers: {contoso/a: {}, contoso/b: {stepTime: 1h}}");
    env.write("a.yaml", live("contoso/a", ""));
    env.write("b.yaml", live("contoso/b", ""));
    env.golive("apply --only contoso/a --wait --poll 10ms").code(0);
    env.golive("apply").code(0);
    env.remove("b.yaml");
    env.golive("apply").code(0);
    assert_eq!(env.record("contoso/b").phase, Phase::InProgress, "it still runs");
    env.emulator().by_hand("contoso/b", ManualAction::Finish).unwrap();
    env.golive("apply").code(0).stderr_has(
        "the manifest is gone, so that the offer leaves the status file offer=contoso/b\n",
    );
    let offers: Vec<_> = env.status().offers.into_keys().map(|offer| offer.to_string()).collect();
    assert_eq!(offers, ["contoso/a"]);
}

#[test]
fn a_draft_is_published_where_preview_is_desired() {
    let env = TestEnv::with_seed("offers: {contoso/vm: {status: NeverPublished}}");
    env.write(
        "vm.yaml",
        manifest("contoso/vm", "preview", "notify: [a@contoso.com, b@contoso.com]"),
    );
    env.golive("apply --wait --poll 10ms").code(0).stdout(
        "\
OFFER       PHASE    REASON     MESSAGE
contoso/vm  Preview  InPreview  version 1 is in preview
1 operation started; 1 offer: 1 Preview.
",
    );
    assert_eq!(env.golives("contoso/vm"), (0, 0));
    let journal = env.emulator().journal();
    let publish: Vec<_> = journal.entries().filter(|entry| entry.method == "POST").collect();
    assert_eq!(publish.len(), 1);
    assert_eq!(publish[0].notify.as_deref(), Some("a@contoso.com,b@contoso.com"));

    // A commit sets `live`.
    env.write("vm.yaml", live("contoso/vm", ""));
    env.golive("apply --wait --poll 10ms").code(0);
    assert_eq!(env.golives("contoso/vm"), (1, 1));
    // A commit takes it back, which can't undo a golive.
    env.write("vm.yaml", manifest("contoso/vm", "preview", ""));
    env.golive("apply --wait").code(0).stdout(
        "\
OFFER       PHASE  REASON       MESSAGE
contoso/vm  Live   AlreadyLive  version 1 is live already; the manifest asks for preview, but a live offer can't be taken back
Nothing to do: every offer is as desired (1 offer: 1 Live).
",
    );
}

#[test]
fn a_denied_offer_is_blocked_with_a_hint() {
    let mut env = TestEnv::with_seed("{token: another, offers: {contoso/vm: {}}}");
    env.write("vm.yaml", live("contoso/vm", ""));
    let cases = [
        (
            "{token: another, offers: {contoso/vm: {}}}",
            Reason::Unauthorized,
            "az account get-access-token",
        ),
        ("{forbidden: [contoso], offers: {contoso/vm: {}}}", Reason::Forbidden, "object id"),
        ("{publishers: [contoso]}", Reason::NotFound, "correct the manifest"),
        ("{}", Reason::NotFound, "compare the ids"),
    ];
    for (seed, reason, advice) in cases {
        env.serve(seed);
        env.golive("apply --wait").code(1).stdout_has(advice).stdout_has("contoso/vm  Blocked");
        let record = env.record("contoso/vm");
        assert_eq!((record.reason, record.intent), (reason, None), "{seed}");
        assert_eq!(env.golives("contoso/vm"), (0, 0));
    }
    // After the fix, the next run continues.
    env.serve("offers: {contoso/vm: {}}");
    env.golive("apply --wait --poll 10ms").code(0);
    assert_eq!(env.record("contoso/vm").phase, Phase::Live);
}

#[test]
fn one_unreachable_publisher_does_not_stop_the_others() {
    let env =
        TestEnv::with_seed("{forbidden: [fabrikam], offers: {contoso/a: {}, fabrikam/b: {}}}");
    env.write("a.yaml", live("contoso/a", ""));
    env.write("b.yaml", live("fabrikam/b", ""));
    env.golive("apply --wait --poll 10ms").code(1);
    assert_eq!(env.record("contoso/a").phase, Phase::Live);
    assert_eq!(env.record("fabrikam/b").phase, Phase::Blocked);
}

#[test]
fn every_response_variant_leads_to_one_golive() {
    const HEADERS: [&str; 8] = [
        "both",
        "absolute",
        "relative",
        "relativeOperationLocation",
        "dollar",
        "none",
        "garbage",
        "foreign",
    ];
    let (mut seed, mut manifests) = (String::new(), Vec::new());
    for header in HEADERS {
        for casing in ["mixed", "pascal", "camel"] {
            for array in [false, true] {
                let offer = format!("contoso/{header}-{casing}-{array}").to_lowercase();
                seed.extend([format!(
                    "  {offer}: {{header: {header}, casing: {casing}, arrayForm: {array}, succeededAs: complete}}\n"
                )]);
                manifests.push(live(&offer, ""));
            }
        }
    }
    // With If-Match on every call, else 400.
    let env = TestEnv::with_seed(&format!("strict: true\noffers:\n{seed}"));
    env.write("all.yaml", manifests.join("---\n"));
    env.golive("apply --wait --poll 10ms --concurrency 16").code(0).stdout_has(": 48 Live.\n");
    let journal = env.emulator().journal();
    for offer in env.status().offers.keys() {
        let count = journal.golives(&offer.to_string());
        assert_eq!((count.received, count.accepted), (1, 1), "{offer}");
    }
    assert!(journal.entries().all(|entry| entry.query.contains("api-version=2017-10-31")));
    let (ran, requests) = env.requests_during(|| env.golive("apply"));
    ran.code(0);
    assert_eq!(requests, ["GET /api/publishers/contoso/offers"]);
}

#[test]
fn answers_lost_on_a_socket_cause_no_second_golive() {
    for (action, received) in [
        ("{reset: before}", 2),
        ("{reset: after}", 1),
        ("{status: 502, when: after}", 1),
        ("{cutBody: 5}", 1),
        ("{redirect: 'http://127.0.0.1:9/', when: after}", 1),
        ("{html: 504, when: after}", 1),
    ] {
        let env = TestEnv::with_seed(&format!(
            "{{offers: {{contoso/vm: {{}}}}, faults: [{{method: POST, path: '*/golive', action: {action}}}]}}"
        ));
        env.write("vm.yaml", live("contoso/vm", ""));
        env.golive("apply --wait --poll 10ms --settle 100ms --timeout 2s").code(0);
        assert_eq!(env.golives("contoso/vm"), (received, 1), "{action}");
    }
}

#[test]
fn the_embedded_marketplace_persists() {
    let mut env = TestEnv::new();
    env.remove_env("GOLIVE_TOKEN");
    env.write("offers/vm.yaml", live("contoso/vm", ""));
    env.write("seed.yml", "{stepTime: 10ms, offers: {contoso/vm: {previewVersion: 7}}}");
    let line = "apply offers --emulator --seed seed.yml --wait --poll 10ms";
    env.golive(line).code(0).stdout_has("1 operation started; 1 offer: 1 Live.\n");
    assert!(env.exists("offers/golive.emulator.status.emulator.json"));
    env.golive(line)
        .code(0)
        .stdout_has("Nothing to do: every offer is as desired (1 offer: 1 Live).\n");
    // Without either file everything starts from the seed.
    env.remove("offers/golive.emulator.status.emulator.json");
    env.remove("offers/golive.emulator.status.json");
    env.golive(line).code(0).stdout_has("1 operation started; 1 offer: 1 Live.\n");
}

#[test]
fn the_embedded_marketplace_has_its_own_status_file() {
    let env = TestEnv::with_seed("offers: {contoso/vm: {stepTime: 1h}}");
    env.write("vm.yaml", live("contoso/vm", ""));
    env.golive("apply").code(0);
    let ours = |name: &String| name.starts_with("golive.status.");
    let before: Vec<_> = env.files().into_iter().filter(|(name, _)| ours(name)).collect();
    env.golive("apply --emulator --wait --poll 10ms").code(0).stdout_has("1 Live");
    let after: Vec<_> = env.files().into_iter().filter(|(name, _)| ours(name)).collect();
    assert_eq!(after, before);
    assert!(env.exists("golive.emulator.status.json"));
    assert!(env.exists("golive.emulator.status.json.lock"));
    env.golive("status --emulator").code(0).stdout_has("1 Live");
    env.golive("status").code(0).stdout_has("1 InProgress");
    env.remove(STATUS);
    env.golive("status").code(1).stderr_has("--emulator shows that of the embedded marketplace");
}

/// Runs `apply` with the label `team=compute`, which waits for the lock while `meanwhile` happens.
fn apply_waiting_for_the_lock(env: &TestEnv, meanwhile: impl FnOnce()) -> RunOutput {
    let held = env.hold_lock("golive watch");
    let waiting = env.start("apply --selector team=compute --lock-timeout 1m");
    // It listens for signals before it takes the lock.
    #[cfg(target_os = "linux")]
    env.wait_until("it waits", |_| crate::signals::listens(&waiting));
    meanwhile();
    drop(held);
    env.wait(waiting)
}

#[test]
fn manifests_and_selection_are_read_under_the_lock_only() {
    let env = TestEnv::in_preview(&["vm", "other"]);
    env.write("vm.yaml", live("contoso/vm", "labels: {team: compute}"));
    apply_waiting_for_the_lock(&env, || {
        env.write("vm.yaml", live("contoso/vm", "labels: {team: storage}"));
        env.write("other.yaml", live("contoso/other", "labels: {team: compute}"));
    })
    .code(0);
    assert_eq!((env.golives("contoso/vm"), env.golives("contoso/other")), ((0, 0), (1, 1)));
}

/// The labels existed when the run began to wait.
#[test]
fn labels_that_disappear_while_waiting_for_the_lock_are_no_usage_error() {
    let env = TestEnv::in_preview(&["vm"]);
    env.write("vm.yaml", live("contoso/vm", "labels: {team: compute}"));
    apply_waiting_for_the_lock(&env, || {
        env.write("vm.yaml", live("contoso/vm", ""));
    })
    .code(1)
    .stdout("")
    .stderr_has("error: no manifest has the label team=compute; nothing was sent\n");
}

#[test]
fn a_missing_path_is_reported() {
    let env = TestEnv::new();
    for line in ["apply no/such", "plan no/such"] {
        env.golive(line).code(1).stdout("").stderr_has("no/such").stderr_has("1 error");
    }
}

#[test]
fn an_invalid_seed_is_reported_with_its_position() {
    let env = TestEnv::new();
    env.write("vm.yaml", live("contoso/vm", ""));
    env.write("seed.yml", "offers:\n  contoso/vm: {sattus: NeverPublished}\n");
    env.golive("apply vm.yaml --emulator --seed seed.yml")
        .code(1)
        .stdout("")
        .stderr_has("line 2 column 16");
    env.golive("apply vm.yaml --seed seed.yml --endpoint http://localhost:1").code(64).stdout("");
}
