//! The real program, killed (`SIGKILL`) at any delay. The marketplace keeps running, and the next run
//! has only the status file.

use std::time::{Duration, Instant};

use golive::status::Phase;
use pretty_assertions::assert_eq;

use crate::test_env::{STATUS, TestEnv, live};

const RUN: &str = "apply --wait --poll 10ms --settle 150ms --timeout 2s";

/// How often the program is killed in each scenario below.
const KILLS: u32 = 13;

/// Marketplaces with different answers, each with several offers. Slow golives make it likelier that a
/// kill hits between the intent and the operation.
const SCENARIOS: [(&str, &[&str]); 4] = [
    (
        "offers: {contoso/a: {}, contoso/b: {header: dollar}, contoso/c: {header: none}}",
        &["contoso/a", "contoso/b", "contoso/c"],
    ),
    (
        "{offers: {contoso/a: {header: absolute, previewVersion: 3, liveVersion: 2}, contoso/b: {header: garbage}},
          faults: [{method: POST, path: '*/golive', count: always, action: {delay: 40ms, when: after}}]}",
        &["contoso/a", "contoso/b"],
    ),
    (
        "{offers: {contoso/a: {header: relative}, contoso/b: {header: foreign}},
          faults: [{method: POST, path: '*/golive', count: always, action: {delay: 40ms}}]}",
        &["contoso/a", "contoso/b"],
    ),
    (
        "{offers: {contoso/a: {header: relativeOperationLocation, arrayForm: true}, fabrikam/b: {header: none}},
          faults: [{method: POST, path: '*/golive', count: 2, action: {reset: after}}]}",
        &["contoso/a", "fabrikam/b"],
    ),
];

fn scenario(seed: &str, offers: &[&str]) -> TestEnv {
    let env = TestEnv::with_seed(seed);
    for offer in offers {
        env.write(&format!("{}.yaml", offer.replace('/', "-")), live(offer, ""));
    }
    env
}

/// How many consecutive runs are killed. A run that resolves a doubt takes longer than the kill's
/// delay, so that without a limit no run would end.
const IN_A_ROW: u32 = 6;

/// Kills consecutive runs at different moments, until one ends by itself. Returns how many were killed.
fn kill_runs(env: &TestEnv, length: Duration, rng: &mut fastrand::Rng) -> u32 {
    let mut killed = 0;
    while killed < IN_A_ROW {
        let delay = length.mul_f64(rng.f64());
        let mut child = env.start(RUN);
        std::thread::sleep(delay);
        if child.try_wait().unwrap().is_some() {
            let ran = env.wait(child);
            if ran.code != Some(0) {
                assert!(ran.stdout.contains(TWICE), "{}", ran.transcript());
            }
            break;
        }
        child.kill().unwrap();
        drop(env.wait(child));
        killed += 1;
        if env.exists(STATUS) {
            env.status(); // Panics where it cannot be read.
        }
    }
    killed
}

/// The error for an offer after two killed golives.
const TWICE: &str = "sent 2 times, left no trace";

/// A doubt after two requests that never arrived needs a person, who suspends the offers for one run.
/// Returns whether there was one.
#[expect(clippy::disallowed_methods, reason = "a test's file needs no flush")]
fn resolve_doubts(env: &TestEnv, offers: &[&str], at: &str) -> bool {
    let ran = env.golive(RUN);
    if ran.code == Some(0) {
        return false;
    }
    assert!(ran.stdout.contains(TWICE), "{at}: {}", ran.transcript());
    let mut status: serde_json::Value = serde_json::from_str(&env.read(STATUS)).unwrap();
    let mut doubts = 0;
    for offer in offers {
        let Some(intent) = env.record(offer).intent else { continue };
        assert_eq!((intent.attempt, env.golives(offer).1), (2, 0), "{at}: {offer}");
        // The settle time has passed.
        status["offers"][offer]["intent"]["at"] = "2026-01-01T00:00:00Z".into();
        status["offers"][offer]["intent"]["deadline"] = "2026-01-01T00:03:00Z".into();
        doubts += 1;
    }
    assert!(doubts > 0, "{at}: {}", ran.transcript());
    std::fs::write(env.path(STATUS), status.to_string()).unwrap();
    let hold = |more: &str| {
        for offer in offers {
            env.write(&format!("{}.yaml", offer.replace('/', "-")), live(offer, more));
        }
    };
    hold("suspend: true");
    env.golive(RUN).code(0);
    for offer in offers {
        assert_eq!(env.record(offer).intent, None, "{at}: {offer}");
    }
    hold("");
    true
}

#[track_caller]
fn is_done(env: &TestEnv, offers: &[&str], at: &str) {
    if resolve_doubts(env, offers, at) {
        env.golive(RUN).code(0);
    }
    for offer in offers {
        let record = env.record(offer);
        assert_eq!((record.phase, record.intent), (Phase::Live, None), "{at}: {offer}");
        assert_eq!(env.golives(offer).1, 1, "{at}: {offer} is accepted exactly once");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the moments are drawn from the length of a run")]
fn killed_runs_are_continued_with_one_golive() {
    let torture = |(seed, offers): (&str, &[&str]), number: u64| {
        let env = scenario(seed, offers);
        let begin = Instant::now();
        is_done(&env, offers, "undisturbed");
        let length = begin.elapsed();
        let mut rng = fastrand::Rng::with_seed(number);
        let mut killed = 0;
        for round in 0.. {
            let env = scenario(seed, offers);
            killed += kill_runs(&env, length, &mut rng);
            is_done(&env, offers, &format!("{seed}, round {round}, length {length:?}"));
            if killed >= KILLS {
                return killed;
            }
        }
        killed
    };
    let killed: u32 = std::thread::scope(|scope| {
        let scenarios = SCENARIOS.into_iter().zip(1..);
        let threads: Vec<_> =
            scenarios.map(|(world, number)| scope.spawn(move || torture(world, number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!(killed >= 50, "{killed}");
}
