//! A service with manifests that contradict each other, and with ignored manifests.

use golive::emulator::ManualAction;
use golive::status::Phase;
use pretty_assertions::assert_eq;

use crate::service::Service;
use crate::test_env::{STATUS, TestEnv, live};

const FLAGS: &str = "--poll 10ms --poll-max 50ms";
const TOLD: &str = "has more than one manifest";

/// Has a service inspect all offers.
fn reconcile_now(env: &TestEnv, service: &Service) {
    let before = env.requests().len();
    service.signal("-HUP");
    env.wait_until("it looks around", |env| env.requests().len() > before);
}

#[test]
fn contradicting_manifests_start_nothing_before_or_after_a_restart() {
    let env = TestEnv::with_seed("offers: {contoso/vm: {}, contoso/other: {status: Succeeded}}");
    env.write("other.yaml", live("contoso/other", ""));
    env.write("vm.yaml", live("contoso/vm", "suspend: true"));
    // A copy that sorts first, in another case.
    env.write("Copy of vm.yaml", live("Contoso/VM", ""));
    env.golive("apply").code(1).stderr_has(TOLD);
    for _ in 0..2 {
        let service = Service::ready(&env, FLAGS);
        service.wait_for_log(TOLD);
        reconcile_now(&env, &service);
        service.stop();
        assert_eq!(env.golives("contoso/vm"), (0, 0));
    }
    env.remove("Copy of vm.yaml");
    let service = Service::ready(&env, FLAGS);
    env.wait_until("it is held", |env| {
        env.status().offers.values().any(|record| record.phase == Phase::Held)
    });
    env.write("copy.yaml", live("contoso/vm", ""));
    service.wait_for_log(TOLD);
    reconcile_now(&env, &service);
    assert_eq!(env.golives("contoso/vm"), (0, 0));
    // A single manifest is valid again.
    env.remove("vm.yaml");
    env.wait_until("it is launched", |env| env.record("contoso/vm").phase == Phase::Live);
    assert_eq!(env.golives("contoso/vm"), (1, 1));
    service.stop();
}

#[test]
fn contradicting_manifests_still_follow_running_operations() {
    let env = TestEnv::with_seed(
        "offers: {contoso/vm: {stepTime: 300ms}, contoso/other: {status: Succeeded}}",
    );
    env.write("other.yaml", live("contoso/other", ""));
    env.write("vm.yaml", live("contoso/vm", ""));
    env.golive("apply").code(0);
    assert_eq!(env.golives("contoso/vm"), (1, 1));
    env.write("again.yaml", live("contoso/vm", "version: 7"));
    let service = Service::ready(&env, FLAGS);
    service.wait_for_log(TOLD);
    env.wait_until("it is followed to its end", |env| {
        env.record("contoso/vm").phase == Phase::Live
    });
    env.emulator().by_hand("contoso/vm", ManualAction::Publish).unwrap();
    reconcile_now(&env, &service);
    service.stop();
    assert_eq!(env.golives("contoso/vm"), (1, 1));
    assert!(env.record("contoso/vm").running().is_none());
}

#[test]
fn a_goliveignore_applies_immediately() {
    let env = TestEnv::with_seed("offers: {contoso/a: {}, contoso/b: {}}");
    env.write("a.yaml", live("contoso/a", ""));
    env.write("drafts/b.yaml", live("contoso/b", "suspend: true"));
    let service = Service::ready(&env, FLAGS);
    let knows = |env: &TestEnv| env.status().offers.contains_key(&"contoso/b".parse().unwrap());
    env.wait_until("both are known", |env| env.exists(STATUS) && env.status().offers.len() == 2);
    env.write(".goliveignore", "/drafts/\n");
    env.wait_until("one is left out", |env| !knows(env));
    env.write("drafts/b.yaml", live("contoso/b", ""));
    reconcile_now(&env, &service);
    assert_eq!(env.golives("contoso/b"), (0, 0));
    env.remove(".goliveignore");
    env.wait_until("it counts again", |env| env.golives("contoso/b") == (1, 1));
    service.stop();
}
