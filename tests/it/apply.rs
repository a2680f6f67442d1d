//! `golive apply`: what is sent, what is written, what is told.

use std::time::Duration;

use golive::clock::SystemClock;
use golive::disk::RealDisk;
use golive::emulator::ManualAction;
use golive::status::{Phase, Reason, StatusLock};
use pretty_assertions::assert_eq;
use serde_json::json;

use crate::place::{Place, Ran, STATUS, live, manifest};
use crate::plan::text;
use crate::rows::{self, ROWS, TO_GO_LIVE};

#[test]
fn every_row_of_the_table_at_once() {
    let place = rows::place();
    place.golive("apply --poll 10ms").code(1);
    for row in &ROWS {
        let due = u64::from(TO_GO_LIVE.contains(&row.offer));
        assert_eq!(place.golives(row.offer), (due, due), "{}", row.offer);
    }
    let changes: Vec<_> =
        place.requests().into_iter().filter(|request| !request.starts_with("GET ")).collect();
    assert_eq!(changes.len(), 4, "three golives and a publish: {changes:?}");
    assert!(changes.contains(&"POST /api/publishers/contoso/offers/draft/publish".to_owned()));

    // What was decided and could not be changed stands in the status as in the plan.
    for row in ROWS.iter().filter(|row| !matches!(row.action, "GoLive" | "Publish" | "Track")) {
        assert_eq!(format!("{:?}", place.record(row.offer).reason), row.reason, "{}", row.offer);
    }
}

#[test]
fn every_row_to_the_end() {
    let place = rows::place();
    place.emulator().by_hand("contoso/golive-runs", ManualAction::Finish).unwrap();
    place.emulator().by_hand("contoso/publish-runs", ManualAction::Cancel).unwrap();
    let ran = place.golive("apply --wait --poll 10ms --quiet").code(1);
    insta::assert_snapshot!(ran.sorted().shown());
    assert_eq!(place.emulator().journal().all_golives().accepted, 3);
}

#[test]
fn the_first_run_makes_it_live_and_the_second_asks_once_a_publisher() {
    let place = Place::with_seed(
        "offers: {contoso/a: {}, contoso/b: {previewVersion: 4, liveVersion: 2}, fabrikam/c: {}}",
    );
    place.write("contoso.yaml", [live("contoso/a", ""), live("contoso/b", "")].join("---\n"));
    place.write("fabrikam.yaml", live("fabrikam/c", ""));
    place.golive("apply --wait --poll 10ms").code(0).stdout(
        "\
OFFER       PHASE  REASON        MESSAGE
contoso/a   Live   InProduction  version 1 is live
contoso/b   Live   InProduction  version 4 is live
fabrikam/c  Live   InProduction  version 1 is live
3 operations started; 3 offers: 3 Live.
",
    );
    for offer in ["contoso/a", "contoso/b", "fabrikam/c"] {
        assert_eq!(place.golives(offer), (1, 1), "{offer}");
    }
    let files = place.files();
    for line in ["apply", "apply --wait"] {
        let (ran, mut requests) = place.requests_during(|| place.golive(line));
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
        let mut now = place.files();
        // The lock names its last holder.
        let lock = format!("{STATUS}.lock");
        now.insert(lock.clone(), files[&lock].clone());
        assert_eq!(now, files, "not a byte changes");
    }
}

#[test]
fn the_log_has_a_line_for_every_change() {
    let place = Place::in_preview(&["vm"]);
    let ran = place.golive("apply --wait --poll 5ms").code(0);
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
    let place = Place::in_preview(&["vm"]);
    let ran = place.golive("apply --wait --poll 10ms -o json --log-format json -v").code(0);
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
    assert!(place.golive("apply -o json -q").code(0).stderr("").json().is_object());
}

#[test]
fn only_and_selector_narrow_a_run() {
    let place = Place::with_seed("offers: {contoso/a: {}, contoso/b: {}, contoso/c: {}}");
    place.write("a.yaml", live("contoso/a", "labels: {team: red, tier: gold}"));
    place.write("b.yaml", live("contoso/b", "labels: {team: blue}"));
    place.write("c.yaml", live("contoso/c", "labels: {team: red}"));
    place.golive("apply --only contoso/b").code(0);
    assert_eq!((place.golives("contoso/b"), place.golives("contoso/a")), ((1, 1), (0, 0)));
    place.golive("apply --selector team=red --selector tier=gold").code(0);
    assert_eq!((place.golives("contoso/a"), place.golives("contoso/c")), ((1, 1), (0, 0)));
    place
        .golive("apply --only contoso/aa")
        .code(64)
        .stdout("")
        .stderr("error: no manifest names contoso/aa; did you mean contoso/a?\n");
    assert_eq!(place.golives("contoso/c"), (0, 0));
}

#[test]
fn a_reviewed_digest_is_kept_to() {
    let place = Place::in_preview(&["a", "b"]);
    let digest = text(&place.golive("plan -o json").json()["digest"]).to_owned();
    let wrong = format!("sha256:{}", "0".repeat(64));
    let files = place.files();
    place.golive(&format!("apply --wait --expect {wrong}")).code(1).stdout("").stderr(&format!(
        "error: the change set is not the reviewed one: expected {wrong}, found {digest}; \
         nothing was sent, run golive plan and review again\n"
    ));
    assert_eq!(place.emulator().journal().all_golives().received, 0);
    assert_eq!(place.files().get(STATUS), files.get(STATUS));
    place.golive(&format!("apply --wait --poll 10ms --expect {digest}")).code(0);
    assert_eq!(place.emulator().journal().all_golives().accepted, 2);
}

#[test]
fn a_world_that_moved_on_since_the_review_is_refused() {
    let place = Place::in_preview(&["a"]);
    let digest = text(&place.golive("plan -o json").json()["digest"]).to_owned();
    place.emulator().by_hand("contoso/a", ManualAction::Publish).unwrap();
    place.golive(&format!("apply --wait --expect {digest}")).code(1).stdout("");
    assert_eq!(place.golives("contoso/a"), (0, 0));
}

#[test]
fn more_changes_than_allowed_are_none() {
    let place = Place::in_preview(&["a", "b", "c"]);
    place.golive("apply --wait --max-changes 2").code(1).stdout("").stderr(
        "error: --max-changes allows 2, but this would make it 3; none of these was sent\n",
    );
    place.golive("apply --wait --max-changes 0").code(1);
    assert_eq!(place.emulator().journal().all_golives().received, 0);
    place.golive("apply --wait --poll 10ms --max-changes 3").code(0);
    assert_eq!(place.emulator().journal().all_golives().accepted, 3);
    place.golive("apply --max-changes 0").code(0);
}

#[test]
fn held_offers_are_held_and_that_is_no_problem() {
    let place = Place::with_seed("offers: {contoso/a: {}, contoso/b: {}, contoso/c: {}}");
    place.write("a.yaml", live("contoso/a", "suspend: true"));
    place.write("b.yaml", live("contoso/b", "notBefore: 2999-01-31T09:00:00Z"));
    place.write("c.yaml", live("contoso/c", "after: [contoso/a, contoso/b]"));
    place.golive("apply --wait --poll 10ms").code(0).stdout(
        "\
OFFER      PHASE  REASON                MESSAGE
contoso/a  Held   Suspended             the manifest says suspend: true
contoso/b  Held   Scheduled             the manifest says notBefore: [TIME]
contoso/c  Held   WaitingForDependency  waits until contoso/a, contoso/b are live
Nothing to do for now (3 offers: 3 Held).
",
    );
    assert_eq!(place.emulator().journal().all_golives().received, 0);
    // A launch date that has come holds no more.
    place.write("a.yaml", live("contoso/a", "suspend: false"));
    place.write("b.yaml", live("contoso/b", "notBefore: 2020-01-31T09:00:00+01:00"));
    place
        .golive("apply --wait --poll 10ms")
        .code(0)
        .stdout_has("3 operations started; 3 offers: 3 Live.\n");
}

#[test]
fn a_pinned_version_is_the_only_one_that_goes_live() {
    let place = Place::with_seed("offers: {contoso/vm: {previewVersion: 4, liveVersion: 2}}");
    place.write("vm.yaml", live("contoso/vm", "version: 5"));
    place.golive("apply --wait").code(1).stdout(
        "\
OFFER       PHASE    REASON           MESSAGE
contoso/vm  Blocked  VersionMismatch  the manifest pins version 5, but version 4 is in preview; publish version 5, or pin 4
0 operations started; 1 offer: 1 Blocked.
",
    );
    assert_eq!(place.golives("contoso/vm"), (0, 0));
    place.emulator().by_hand("contoso/vm", ManualAction::Publish).unwrap();
    place.golive("apply --wait --poll 10ms").code(0);
    assert_eq!(place.golives("contoso/vm"), (1, 1));
    assert_eq!(
        place.record("contoso/vm").observed.unwrap().live.unwrap().as_str().parse::<u64>().unwrap(),
        5
    );
}

#[test]
fn a_manifest_that_is_gone_leaves_the_status_once_nothing_runs() {
    let place = Place::with_seed("offers: {contoso/a: {}, contoso/b: {stepTime: 1h}}");
    place.write("a.yaml", live("contoso/a", ""));
    place.write("b.yaml", live("contoso/b", ""));
    place.golive("apply --only contoso/a --wait --poll 10ms").code(0);
    place.golive("apply").code(0);
    place.remove("b.yaml");
    place.golive("apply").code(0);
    assert_eq!(place.record("contoso/b").phase, Phase::InProgress, "it still runs");
    place.emulator().by_hand("contoso/b", ManualAction::Finish).unwrap();
    place.golive("apply").code(0).stderr_has(
        "the manifest is gone, so that the offer leaves the status file offer=contoso/b\n",
    );
    let offers: Vec<_> = place.status().offers.into_keys().map(|offer| offer.to_string()).collect();
    assert_eq!(offers, ["contoso/a"]);
}

#[test]
fn a_draft_is_published_where_preview_is_desired() {
    let place = Place::with_seed("offers: {contoso/vm: {status: NeverPublished}}");
    place.write(
        "vm.yaml",
        manifest("contoso/vm", "preview", "notify: [a@contoso.com, b@contoso.com]"),
    );
    place.golive("apply --wait --poll 10ms").code(0).stdout(
        "\
OFFER       PHASE    REASON     MESSAGE
contoso/vm  Preview  InPreview  version 1 is in preview
1 operation started; 1 offer: 1 Preview.
",
    );
    assert_eq!(place.golives("contoso/vm"), (0, 0));
    let journal = place.emulator().journal();
    let publish: Vec<_> = journal.entries().filter(|entry| entry.method == "POST").collect();
    assert_eq!(publish.len(), 1);
    assert_eq!(publish[0].notify.as_deref(), Some("a@contoso.com,b@contoso.com"));

    // Somebody commits `live`.
    place.write("vm.yaml", live("contoso/vm", ""));
    place.golive("apply --wait --poll 10ms").code(0);
    assert_eq!(place.golives("contoso/vm"), (1, 1));
    // And takes it back, which nobody can.
    place.write("vm.yaml", manifest("contoso/vm", "preview", ""));
    place.golive("apply --wait").code(0).stdout(
        "\
OFFER       PHASE  REASON       MESSAGE
contoso/vm  Live   AlreadyLive  version 1 is live already; the manifest asks for preview, but a live offer can't be taken back
Nothing to do: every offer is as desired (1 offer: 1 Live).
",
    );
}

#[test]
fn what_the_marketplace_denies_is_blocked_and_says_what_to_do() {
    let mut place = Place::with_seed("{token: another, offers: {contoso/vm: {}}}");
    place.write("vm.yaml", live("contoso/vm", ""));
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
        place.serve(seed);
        place.golive("apply --wait").code(1).stdout_has(advice).stdout_has("contoso/vm  Blocked");
        let record = place.record("contoso/vm");
        assert_eq!((record.reason, record.intent), (reason, None), "{seed}");
        assert_eq!(place.golives("contoso/vm"), (0, 0));
    }
    // Once it is mended, the next run goes on.
    place.serve("offers: {contoso/vm: {}}");
    place.golive("apply --wait --poll 10ms").code(0);
    assert_eq!(place.record("contoso/vm").phase, Phase::Live);
}

#[test]
fn one_publisher_that_cannot_be_asked_does_not_stop_the_others() {
    let place =
        Place::with_seed("{forbidden: [fabrikam], offers: {contoso/a: {}, fabrikam/b: {}}}");
    place.write("a.yaml", live("contoso/a", ""));
    place.write("b.yaml", live("fabrikam/b", ""));
    place.golive("apply --wait --poll 10ms").code(1);
    assert_eq!(place.record("contoso/a").phase, Phase::Live);
    assert_eq!(place.record("fabrikam/b").phase, Phase::Blocked);
}

#[test]
fn every_header_shape_casing_and_form_ends_live_with_one_golive() {
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
    let place = Place::with_seed(&format!("strict: true\noffers:\n{seed}"));
    place.write("all.yaml", manifests.join("---\n"));
    place.golive("apply --wait --poll 10ms --concurrency 16").code(0).stdout_has(": 48 Live.\n");
    let journal = place.emulator().journal();
    for offer in place.status().offers.keys() {
        let count = journal.golives(&offer.to_string());
        assert_eq!((count.received, count.accepted), (1, 1), "{offer}");
    }
    assert!(journal.entries().all(|entry| entry.query.contains("api-version=2017-10-31")));
    let (ran, requests) = place.requests_during(|| place.golive("apply"));
    ran.code(0);
    assert_eq!(requests, ["GET /api/publishers/contoso/offers"]);
}

#[test]
fn lost_answers_on_a_socket() {
    for (action, received) in [
        ("{reset: before}", 2),
        ("{reset: after}", 1),
        ("{status: 502, when: after}", 1),
        ("{cutBody: 5}", 1),
        ("{redirect: 'http://127.0.0.1:9/', when: after}", 1),
        ("{html: 504, when: after}", 1),
    ] {
        let place = Place::with_seed(&format!(
            "{{offers: {{contoso/vm: {{}}}}, faults: [{{method: POST, path: '*/golive', action: {action}}}]}}"
        ));
        place.write("vm.yaml", live("contoso/vm", ""));
        place.golive("apply --wait --poll 10ms --settle 100ms --timeout 2s").code(0);
        assert_eq!(place.golives("contoso/vm"), (received, 1), "{action}");
    }
}

#[test]
fn the_embedded_marketplace_remembers() {
    let mut place = Place::new();
    place.no_env("GOLIVE_TOKEN");
    place.write("offers/vm.yaml", live("contoso/vm", ""));
    place.write("seed.yml", "{stepTime: 10ms, offers: {contoso/vm: {previewVersion: 7}}}");
    let line = "apply offers --emulator --seed seed.yml --wait --poll 10ms";
    place.golive(line).code(0).stdout_has("1 operation started; 1 offer: 1 Live.\n");
    assert!(place.exists("offers/golive.emulator.status.emulator.json"));
    place
        .golive(line)
        .code(0)
        .stdout_has("Nothing to do: every offer is as desired (1 offer: 1 Live).\n");
    // Without either file all begins anew.
    place.remove("offers/golive.emulator.status.emulator.json");
    place.remove("offers/golive.emulator.status.json");
    place.golive(line).code(0).stdout_has("1 operation started; 1 offer: 1 Live.\n");
}

#[test]
fn a_rehearsal_does_not_touch_what_is_known_of_the_real_marketplace() {
    let place = Place::with_seed("offers: {contoso/vm: {stepTime: 1h}}");
    place.write("vm.yaml", live("contoso/vm", ""));
    place.golive("apply").code(0);
    let ours = |name: &String| name.starts_with("golive.status.");
    let before: Vec<_> = place.files().into_iter().filter(|(name, _)| ours(name)).collect();
    place.golive("apply --emulator --wait --poll 10ms").code(0).stdout_has("1 Live");
    let after: Vec<_> = place.files().into_iter().filter(|(name, _)| ours(name)).collect();
    assert_eq!(after, before);
    assert!(place.exists("golive.emulator.status.json"));
    assert!(place.exists("golive.emulator.status.json.lock"));
    place.golive("status --emulator").code(0).stdout_has("1 Live");
    place.golive("status").code(0).stdout_has("1 InProgress");
    place.remove(STATUS);
    place.golive("status").code(1).stderr_has("--emulator shows that of the embedded marketplace");
}

/// What an `apply` of the label `team=compute` ends with that waits for the lock while something
/// happens.
fn apply_waiting_for_the_lock(place: &Place, meanwhile: impl FnOnce()) -> Ran {
    let path = place.path(STATUS);
    let held = StatusLock::acquire(&RealDisk, &path, Duration::ZERO, "golive watch", &SystemClock);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let held = runtime.block_on(held).unwrap();
    let waiting = place.start("apply --selector team=compute --lock-timeout 1m");
    // It is past its beginning once it listens for signals, which is before the lock.
    #[cfg(target_os = "linux")]
    place.until("it waits", |_| crate::signals::listens(&waiting));
    meanwhile();
    drop(held);
    place.ran(waiting)
}

#[test]
fn manifests_and_selection_are_read_under_the_lock_only() {
    let place = Place::in_preview(&["vm", "other"]);
    place.write("vm.yaml", live("contoso/vm", "labels: {team: compute}"));
    apply_waiting_for_the_lock(&place, || {
        place.write("vm.yaml", live("contoso/vm", "labels: {team: storage}"));
        place.write("other.yaml", live("contoso/other", "labels: {team: compute}"));
    })
    .code(0);
    assert_eq!((place.golives("contoso/vm"), place.golives("contoso/other")), ((0, 0), (1, 1)));
}

/// The command line was right when the run began to wait.
#[test]
fn labels_that_are_gone_once_the_lock_is_free_are_no_wrong_command_line() {
    let place = Place::in_preview(&["vm"]);
    place.write("vm.yaml", live("contoso/vm", "labels: {team: compute}"));
    apply_waiting_for_the_lock(&place, || {
        place.write("vm.yaml", live("contoso/vm", ""));
    })
    .code(1)
    .stdout("")
    .stderr_has("error: no manifest has the label team=compute; nothing was sent\n");
}

#[test]
fn a_path_that_is_not_there_is_told_as_such() {
    let place = Place::new();
    for line in ["apply no/such", "plan no/such"] {
        place.golive(line).code(1).stdout("").stderr_has("no/such").stderr_has("1 error");
    }
}

#[test]
fn a_seed_that_is_none_is_told_with_its_place() {
    let place = Place::new();
    place.write("vm.yaml", live("contoso/vm", ""));
    place.write("seed.yml", "offers:\n  contoso/vm: {sattus: NeverPublished}\n");
    place
        .golive("apply vm.yaml --emulator --seed seed.yml")
        .code(1)
        .stdout("")
        .stderr_has("line 2 column 16");
    place.golive("apply vm.yaml --seed seed.yml --endpoint http://localhost:1").code(64).stdout("");
}
