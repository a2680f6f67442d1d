//! Failed operations, refused requests, and hostile texts in them.

use golive::emulator::ManualAction;
use golive::status::{Phase, Reason};
use pretty_assertions::assert_eq;

use crate::harness::{Harness, RunOptions};
use crate::test_env::{STATUS, TestEnv, live};

const HOSTILE: &str = r#""<p>Certification <b>failed</b>: see <a href='https://contoso.example'>this</a></p><script>alert(1)</script>\e[31m\e]0;owned\a&lt;i&gt; \u202eevil\u202c \r\n<br>line two\u0000""#;

/// An offer whose golive fails with hostile messages.
fn failing_with_hostile_messages() -> TestEnv {
    let env = TestEnv::with_seed(&format!(
        "offers: {{contoso/vm: {{fail: {{step: live, message: {HOSTILE}}}}}}}"
    ));
    env.write("vm.yaml", live("contoso/vm", ""));
    env
}

#[test]
fn a_failed_step_is_shown_with_its_messages_as_plain_text() {
    let env = failing_with_hostile_messages();
    let ran = env.golive("apply --wait --poll 10ms --quiet").code(1);
    insta::assert_snapshot!(ran.transcript());
    insta::assert_snapshot!("status_of_a_failed_offer", env.golive("status").code(0).transcript());
}

#[test]
fn hostile_messages_are_cleaned_everywhere() {
    let env = failing_with_hostile_messages();
    let mut all = Vec::new();
    for line in [
        "apply --wait --poll 10ms -vv",
        "apply --wait --poll 10ms --color always",
        "apply -o json --log-format json -vv",
        "plan",
        "plan -o json",
        "status",
        "status -o json",
    ] {
        let ran = env.golive(line);
        all.push(format!("{line}\n{}\n{}", ran.stdout, ran.stderr));
    }
    all.push(env.read(STATUS));
    for text in all {
        // The only escapes are golive's own colors: `ESC [ … m`.
        let own = text.replace("\u{1b}[0m", "").replace("\\u001b", "\u{1b}");
        for bad in [
            "<script",
            "alert(1)",
            "<b>",
            "<i>",
            "\u{1b}]",
            "owned\u{7}",
            "\u{202e}",
            "\\u202e",
            "\u{0}",
        ] {
            assert!(!own.contains(bad), "{bad:?} in {text}");
        }
        assert!(text.contains("Certification failed"), "{text}");
    }
    let message = env.record("contoso/vm").message;
    assert!(!message.chars().any(char::is_control), "{message:?}");
}

#[test]
fn a_failed_golive_is_not_repeated_without_retry_and_once_with_it() {
    let env = TestEnv::with_seed("offers: {contoso/vm: {fail: {times: 2}}}");
    env.write("vm.yaml", live("contoso/vm", ""));
    env.golive("apply --wait --poll 10ms").code(1);
    for line in ["apply", "apply --wait"] {
        env.golive(line).code(1).stdout_has("contoso/vm  Failed  OperationFailed");
    }
    assert_eq!(env.golives("contoso/vm"), (1, 1));
    env.golive("apply --wait --poll 10ms --retry contoso/vm").code(1);
    assert_eq!(env.golives("contoso/vm"), (2, 2), "once, although it waited");
    env.golive("apply --retry contoso/other").code(64).stdout("");
    env.golive("apply --wait --poll 10ms --retry-failed").code(0);
    assert_eq!(env.golives("contoso/vm"), (3, 3));
    assert_eq!(env.record("contoso/vm").history.len(), 2);
}

/// `--retry` needs a manifest.
#[test]
fn a_failure_without_a_manifest_is_retried_only_with_one() {
    let env = TestEnv::with_seed("offers: {contoso/vm: {fail: {}, stepTime: 1h}, contoso/a: {}}");
    env.write("vm.yaml", live("contoso/vm", ""));
    env.write("a.yaml", live("contoso/a", "suspend: true"));
    env.golive("apply").code(0);
    env.remove("vm.yaml");
    env.emulator().by_hand("contoso/vm", ManualAction::Fail("no".to_owned())).unwrap();
    let hint = "no manifest declares it any more: to try again, restore the manifest, and add \
                --retry contoso/vm to golive apply\n";
    env.golive("apply --wait --poll 10ms").code(1).stdout_has(hint);
    env.golive("apply --retry contoso/vm").code(64);
    env.write("vm.yaml", live("contoso/vm", ""));
    let other = "  to try again, add --retry contoso/vm to golive apply, or change the manifest\n";
    env.golive("apply").code(1).stdout_has(other);
    env.golive("status").code(0).stdout_has(other);
    env.remove("vm.yaml");
    env.golive("status").code(0).stdout_has(hint);
    env.write("vm.yaml", live("contoso/vm", ""));
    env.golive("apply --retry contoso/vm").code(0);
}

#[tokio::test(start_paused = true)]
async fn a_changed_manifest_or_offer_is_retried() {
    // The sign-off waits again.
    let harness = Harness::vm("{cancel: true, fail: {times: 1}}");
    harness.until_done().await;
    harness.manifest("vm.yaml", &live("contoso/vm", "# A comment is no change.\n"));
    harness.until_done().await;
    assert_eq!(harness.golives("contoso/vm"), (1, 1));
    harness.manifest("vm.yaml", &live("contoso/vm", "labels: {try: again}"));
    harness.until_done().await;
    assert_eq!(harness.golives("contoso/vm"), (2, 2));
    harness.emulator.by_hand("contoso/vm", ManualAction::Publish).unwrap();
    harness.until_done().await;
    assert_eq!((harness.golives("contoso/vm"), harness.phase("contoso/vm")), ((3, 3), Phase::Live));
}

#[tokio::test(start_paused = true)]
async fn a_failure_without_a_waiting_sign_off_is_relaunched_with_retry() {
    let harness = Harness::vm("{fail: {times: 2}}");
    harness.until_done().await;
    harness.manifest("vm.yaml", &live("contoso/vm", "labels: {try: again}"));
    for _ in 0..2 {
        let outcome = harness.until_done().await;
        assert_eq!((outcome.problems(), harness.golives("contoso/vm")), (1, (1, 1)));
        let record = harness.record("contoso/vm");
        assert_eq!((record.phase, record.reason), (Phase::Blocked, Reason::NotInPreview));
    }
    harness.run(&RunOptions::until_done().with_retry()).await.unwrap();
    assert_eq!(
        (harness.golives("contoso/vm"), harness.phase("contoso/vm")),
        ((2, 2), Phase::Failed)
    );
    harness.emulator.by_hand("contoso/vm", ManualAction::Publish).unwrap();
    harness.until_done().await;
    assert_eq!((harness.golives("contoso/vm"), harness.phase("contoso/vm")), ((3, 3), Phase::Live));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_recognized_without_the_status_file() {
    let harness = Harness::vm("{fail: {message: Bad image}}");
    harness.until_done().await;
    harness.delete_status();
    harness.until_done().await;
    let record = harness.record("contoso/vm");
    assert_eq!((record.phase, record.reason), (Phase::Failed, Reason::OperationFailed));
    assert!(record.message.contains("failed at Live: Bad image"), "{}", record.message);
    assert_eq!(harness.golives("contoso/vm"), (1, 1));
    harness.run(&RunOptions::until_done().with_retry()).await.unwrap();
    assert_eq!(harness.golives("contoso/vm"), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_permanent_refusal_is_not_repeated() {
    for status in [400, 422] {
        let refuse = format!(
            "{{golive: {{status: {status}, code: Bad, message: 'Not <b>this</b> one', times: 1}}}}"
        );
        let harness = Harness::vm(&refuse);
        for _ in 0..3 {
            let outcome = harness.until_done().await;
            assert_eq!(outcome.problems(), 1);
            let record = harness.record("contoso/vm");
            assert_eq!(
                (record.phase, record.reason, record.intent),
                (Phase::Blocked, Reason::Refused, None)
            );
            assert!(record.message.contains("Not this one"), "{}", record.message);
            assert_eq!(harness.golives("contoso/vm"), (1, 0), "{status}");
        }
        harness.run(&RunOptions::until_done().with_retry()).await.unwrap();
        assert_eq!(
            (harness.golives("contoso/vm"), harness.phase("contoso/vm")),
            ((2, 1), Phase::Live)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_unrelated_to_the_offer_is_retried_by_the_next_run() {
    for (status, reason) in
        [(401, Reason::Unauthorized), (403, Reason::Forbidden), (404, Reason::NotFound)]
    {
        let harness = Harness::vm(&format!("{{golive: {{status: {status}, times: 1}}}}"));
        let outcome = harness.until_done().await;
        assert_eq!(outcome.problems(), 1, "{status}");
        let record = harness.record("contoso/vm");
        assert_eq!((record.phase, record.reason, record.intent), (Phase::Blocked, reason, None));
        assert_eq!(harness.golives("contoso/vm"), (1, 0), "{status}");
        harness.until_done().await;
        assert_eq!(
            (harness.golives("contoso/vm"), harness.phase("contoso/vm")),
            ((2, 1), Phase::Live)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_offer_does_not_stop_the_others() {
    let harness = Harness::new(
        "offers: {contoso/a: {fail: {}}, contoso/b: {}, contoso/c: {golive: {status: 422}}}",
    );
    for offer in ["a", "b", "c"] {
        harness.manifest(&format!("{offer}.yaml"), &live(&format!("contoso/{offer}"), ""));
    }
    let outcome = harness.until_done().await;
    assert_eq!(outcome.problems(), 2);
    let phases = ["a", "b", "c"].map(|offer| harness.phase(&format!("contoso/{offer}")));
    assert_eq!(phases, [Phase::Failed, Phase::Live, Phase::Blocked]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_covers_only_earlier_failures() {
    let harness = Harness::vm("{stepTime: 1h, fail: {message: no}}");
    harness.once().await;
    harness.run(&RunOptions::until_done().with_retry()).await.unwrap();
    assert_eq!(
        (harness.golives("contoso/vm"), harness.phase("contoso/vm")),
        ((1, 1), Phase::Failed)
    );
    harness.run(&RunOptions::until_done().with_retry()).await.unwrap();
    assert_eq!(
        (harness.golives("contoso/vm"), harness.phase("contoso/vm")),
        ((2, 2), Phase::Failed)
    );
}

#[tokio::test(start_paused = true)]
async fn a_launch_by_another_client_after_a_failure_is_not_repeated() {
    let harness = Harness::vm("{previewVersion: 2, liveVersion: 1, fail: {message: no, times: 1}}");
    harness.until_done().await;
    harness.emulator.by_hand("contoso/vm", ManualAction::GoLive).unwrap();
    harness.emulator.by_hand("contoso/vm", ManualAction::StartPublish).unwrap();
    harness.emulator.by_hand("contoso/vm", ManualAction::Fail("no".to_owned())).unwrap();
    harness.manifest("vm.yaml", &live("contoso/vm", "labels: {team: compute}"));
    harness.until_done().await;
    assert_eq!((harness.golives("contoso/vm"), harness.phase("contoso/vm")), ((1, 1), Phase::Live));
}
