//! Ctrl-C and SIGTERM: no new request, the status is written, operations keep running.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use golive::emulator::ManualAction;
use golive::status::Phase;

use crate::test_env::{TestEnv, live};

/// Whether a process has a SIGTERM handler.
#[cfg(target_os = "linux")]
pub(crate) fn listens(child: &Child) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & (1 << 14) != 0
}

/// Waits for a process to install its signal handlers, if it shows no other progress.
fn until_it_listens(env: &TestEnv, child: &Child) {
    #[cfg(target_os = "linux")]
    env.wait_until("it listens", |_| listens(child));
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (env, child);
        std::thread::sleep(Duration::from_secs(1));
    }
}

#[test]
fn a_signal_ends_a_wait_for_the_lock_at_once() {
    for (line, code) in [("apply", 3), ("apply -q", 3), ("watch", 0)] {
        for (signal, name) in [("-TERM", "SIGTERM"), ("-INT", "SIGINT")] {
            let env = TestEnv::in_preview(&["vm"]);
            let held = env.hold_lock("x");
            let child = env.start(&format!("{line} --lock-timeout 1h"));
            until_it_listens(&env, &child);
            send(&child, signal);
            let ran = env.wait(child).code(code).stdout("");
            ran.stderr_has(&format!("stopped by {name}; nothing was changed"));
            drop(held);
            assert_eq!(env.requests(), Vec::<String>::new());
        }
    }
}

#[test]
fn a_hangup_does_not_end_a_service_that_waits_for_the_lock() {
    let env = TestEnv::in_preview(&["vm"]);
    let held = env.hold_lock("x");
    let child = env.start("watch --lock-timeout 1h");
    until_it_listens(&env, &child);
    env.wait_until("the lock is tried", |env| env.exists("golive.status.json.lock"));
    #[cfg(target_os = "linux")]
    env.wait_until("it listens for hangups", |_| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(caught.trim(), 16).unwrap() & 1 != 0
    });
    send(&child, "-HUP");
    drop(held);
    env.wait_until("it works", |env| env.golives("contoso/vm").1 == 1);
    send(&child, "-TERM");
    env.wait(child).code(0);
}

#[test]
fn a_plan_that_hangs_ends_at_once() {
    let env = TestEnv::with_seed(
        "{offers: {contoso/a: {}}, faults: [{path: '*/offers', action: {delay: 1h}}]}",
    );
    env.write("a.yaml", live("contoso/a", ""));
    let child = env.start("plan --timeout 1h");
    env.wait_until("it is asked", |env| !env.requests().is_empty());
    send(&child, "-INT");
    env.wait(child).code(3).stdout("").stderr_has("stopped by SIGINT; nothing was changed");
}

#[test]
fn a_second_signal_ends_a_run_that_waits_for_an_answer() {
    let env = TestEnv::with_seed(
        "{offers: {contoso/a: {}}, faults: [{method: POST, path: '*/golive', action: {delay: 1h}}]}",
    );
    env.write("a.yaml", live("contoso/a", ""));
    let mut child = env.start("apply --wait --timeout 1h");
    env.wait_until("golive is received", |env| env.golives("contoso/a").0 == 1);
    send(&child, "-INT");
    // The message comes before the answer.
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.any(|line| line.contains("SIGINT: nothing more is sent")));
    send(&child, "-INT");
    assert!(said.any(|line| line.contains("ended by SIGINT")));
    env.wait(child).code(130);
    assert!(env.record("contoso/a").intent.is_some(), "the next run looks");
}

fn send(child: &Child, signal: &str) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long it takes is what is tested")]
fn a_signal_stops_the_wait_and_the_next_run_goes_on() {
    for signal in ["-TERM", "-INT"] {
        let env = TestEnv::with_seed("offers: {contoso/vm: {stepTime: 1h}}");
        env.write("vm.yaml", live("contoso/vm", ""));
        let child = env.start("apply --wait --poll 1h");
        env.wait_until("the operation is polled", |env| {
            env.requests().iter().any(|request| request.contains("/operations/"))
        });
        send(&child, signal);
        let since = Instant::now();
        let ran = env.wait(child).code(3);
        // It waits for an hour otherwise.
        assert!(since.elapsed() < Duration::from_mins(1), "{:?}", since.elapsed());
        ran.stdout_has("Stopped on request. What runs goes on; the next run follows it.\n");
        let record = env.record("contoso/vm");
        assert_eq!(record.phase, Phase::InProgress);
        assert!(record.running().is_some());

        env.emulator().by_hand("contoso/vm", ManualAction::Finish).unwrap();
        env.golive("apply --wait").code(0);
        assert_eq!(env.golives("contoso/vm"), (1, 1));
    }
}

#[test]
fn a_signal_does_not_abort_a_request_under_way() {
    let env = TestEnv::with_seed(
        "{stepTime: 1h, offers: {contoso/a: {}}, faults: [{method: POST, path: '*/golive', action: {delay: 300ms}}]}",
    );
    env.write("a.yaml", live("contoso/a", ""));
    let child = env.start("apply --wait");
    env.wait_until("golive is received", |env| env.golives("contoso/a").0 == 1);
    send(&child, "-TERM");
    env.wait(child).code(3);
    let record = env.record("contoso/a");
    assert!(record.running().is_some_and(|operation| operation.id.is_some()), "its answer counts");
    assert_eq!((env.golives("contoso/a"), record.intent), ((1, 1), None));
}

#[test]
fn a_run_stopped_before_it_did_anything_fails() {
    for path in ["*/offers", "*/offers/a"] {
        let env = TestEnv::with_seed(&format!(
            "{{offers: {{contoso/a: {{}}}}, faults: [{{path: '{path}', action: {{delay: 1h}}}}]}}"
        ));
        env.write("a.yaml", live("contoso/a", ""));
        let child = env.start("apply --wait --timeout 1h");
        env.wait_until("it is asked", |env| {
            env.requests().iter().any(|request| request.ends_with(path.trim_start_matches('*')))
        });
        send(&child, "-TERM");
        env.wait(child).code(3);
        assert_eq!(env.golives("contoso/a"), (0, 0));
    }
}

#[test]
fn a_killed_run_is_continued_by_the_next_one() {
    let env = TestEnv::with_seed(
        "{stepTime: 20ms, offers: {contoso/a: {}}, faults: [{method: POST, path: '*/golive', action: {delay: 500ms, when: after}}]}",
    );
    env.write("a.yaml", live("contoso/a", ""));
    let mut child = env.start("apply --wait");
    env.wait_until("golive is accepted", |env| env.golives("contoso/a").1 == 1);
    child.kill().unwrap();
    drop(env.wait(child));
    assert!(env.record("contoso/a").intent.is_some());
    env.golive("apply --wait --poll 10ms").code(0);
    assert_eq!(env.golives("contoso/a"), (1, 1));
    assert_eq!(env.record("contoso/a").phase, Phase::Live);
}
