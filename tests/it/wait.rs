//! How long a run lasts: `--wait`, waves, polls.

use std::time::Duration;

use golive::emulator::ManualAction;
use golive::engine::{Guard, RunError, Wait};
use golive::status::{Phase, Reason};
use jiff::Timestamp;
use pretty_assertions::assert_eq;

use crate::harness::{Harness, RunOptions};
use crate::test_env::{TestEnv, live, manifest};

#[test]
fn exit_codes_while_an_operation_runs() {
    let env = TestEnv::with_seed("offers: {contoso/vm: {stepTime: 1h}}");
    env.write("vm.yaml", live("contoso/vm", ""));
    let table = "\
OFFER       PHASE       REASON         MESSAGE
contoso/vm  InProgress  GoLiveRunning  golive runs: Live, 0 %
";
    env.golive("apply")
        .code(0)
        .stdout(&format!("{table}1 operation started; 1 offer: 1 InProgress.\n"));
    let none = format!("{table}0 operations started; 1 offer: 1 InProgress.\n");
    env.golive("apply").code(0).stdout(&none);
    let runs = "contoso/vm still runs. The next run follows it.\n";
    env.golive("apply --detailed-exitcode").code(3).stdout(&format!("{none}{runs}"));
    let over = format!("{none}The time of --wait is over; {runs}");
    env.golive("apply --wait=100ms --poll 10ms").code(3).stdout(&over);
    assert_eq!(env.golive("apply --wait=50ms --poll 10ms -o json").code(3).json()["exitCode"], 3);
    env.emulator().by_hand("contoso/vm", ManualAction::Finish).unwrap();
    env.golive("apply --wait=10s --poll 10ms --detailed-exitcode").code(0);
    assert_eq!(env.golives("contoso/vm"), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_at_its_time_limit() {
    let harness = Harness::vm("{stepTime: 1h}");
    let began = harness.now();
    let wait = Wait::Until(Some(Duration::from_mins(10)));
    let outcome = harness.run(&RunOptions { wait, ..RunOptions::once() }).await.unwrap();
    assert_eq!((outcome.running(), outcome.problems()), (1, 0));
    assert_eq!(harness.now().duration_since(began).as_secs(), 600);
    let outcome = harness.until_done().await;
    assert_eq!((outcome.running(), harness.phase("contoso/vm")), (0, Phase::Live));
    assert_eq!(harness.golives("contoso/vm"), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_hanging_marketplace_does_not_prolong_a_wait() {
    for hangs in ["*/operations/*", "*/submissions", "*/slot/*", "*/status"] {
        let harness = Harness::vm("{stepTime: 1m}");
        harness.faults(&format!("[{{path: '{hangs}', count: 90, action: {{delay: 50s}}}}]"));
        let began = harness.now();
        let wait = Wait::Until(Some(Duration::from_mins(3)));
        harness.run(&RunOptions { wait, ..RunOptions::once() }).await.unwrap();
        let took = harness.now().duration_since(began).as_secs();
        assert!(took <= 190, "{hangs}: {took} s");
        assert_eq!(harness.golives("contoso/vm"), (1, 1), "{hangs}: one pass is made");
    }
}

/// The times of the polls, in seconds since the first golive.
fn poll_times(harness: &Harness) -> Vec<i64> {
    let journal = harness.emulator.journal();
    let start = harness.golive_entries()[0].at;
    let polled = journal.entries().filter(|entry| entry.path.contains("/operations/"));
    polled.map(|entry| entry.at.duration_since(start).as_secs()).collect()
}

#[tokio::test(start_paused = true)]
async fn poll_intervals_grow() {
    let harness = Harness::vm("{stepTime: 20m}");
    harness.until_done().await;
    assert_eq!(poll_times(&harness)[..8], [0, 30, 75, 142, 243, 395, 623, 923]);
}

#[tokio::test(start_paused = true)]
async fn polls_respect_retry_after() {
    let harness = Harness::vm("{stepTime: 20m, retryAfter: 400}");
    harness.until_done().await;
    // golive's answer had the `Retry-After`.
    assert_eq!(poll_times(&harness)[..3], [400, 800, 1200]);
}

#[tokio::test(start_paused = true)]
async fn waves_follow_each_other_within_one_wait() {
    let harness = Harness::new(
        "{stepTime: 10m, offers: {contoso/a: {}, contoso/b: {}, fabrikam/c: {}, contoso/d: {}}}",
    );
    harness.manifest("a.yaml", &live("contoso/a", ""));
    harness.manifest("b.yaml", &live("contoso/b", "after: [contoso/a]"));
    harness.manifest("c.yaml", &live("fabrikam/c", "after: [contoso/b, contoso/d]"));
    harness.manifest("d.yaml", &live("contoso/d", ""));
    let outcome = harness.until_done().await;
    assert_eq!((outcome.triggered, outcome.problems()), (4, 0));
    let at = |offer: &str| -> Timestamp {
        let path = format!("/{}/golive", offer.replace('/', "/offers/"));
        let sent: Vec<_> = harness
            .golive_entries()
            .into_iter()
            .filter(|entry| entry.path.ends_with(&path))
            .collect();
        assert_eq!(sent.len(), 1, "{offer}");
        sent[0].at
    };
    let step = jiff::SignedDuration::from_mins(10);
    assert!(at("contoso/d").duration_since(at("contoso/a")) < step);
    assert!(at("contoso/b").duration_since(at("contoso/a")) >= step);
    assert!(at("fabrikam/c").duration_since(at("contoso/b")) >= step);
}

#[tokio::test(start_paused = true)]
async fn a_failed_offer_stops_its_wave() {
    let harness = Harness::new("offers: {contoso/a: {fail: {}}, contoso/b: {}}");
    harness.manifest("a.yaml", &live("contoso/a", ""));
    harness.manifest("b.yaml", &live("contoso/b", "after: [contoso/a]"));
    let outcome = harness.until_done().await;
    assert_eq!(outcome.problems(), 1);
    assert_eq!(
        (harness.phase("contoso/a"), harness.phase("contoso/b")),
        (Phase::Failed, Phase::Held)
    );
    assert_eq!(harness.golives("contoso/b"), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_running_publish_is_followed_by_the_golive() {
    let harness = Harness::vm("{status: Running, operation: publish, stepTime: 5m}");
    let outcome = harness.until_done().await;
    assert_eq!(outcome.problems(), 0);
    assert_eq!((harness.golives("contoso/vm"), harness.phase("contoso/vm")), ((1, 1), Phase::Live));
}

#[tokio::test(start_paused = true)]
async fn a_launch_date_holds_the_offer_until_then() {
    let harness = Harness::new("offers: {contoso/vm: {}}");
    harness.manifest("vm.yaml", &live("contoso/vm", "notBefore: 2026-12-01T09:10:00Z"));
    harness.once().await;
    let record = harness.record("contoso/vm");
    assert_eq!((record.phase, record.reason), (Phase::Held, Reason::Scheduled));
    tokio::time::advance(Duration::from_mins(11)).await;
    harness.until_done().await;
    assert_eq!((harness.golives("contoso/vm"), harness.phase("contoso/vm")), ((1, 1), Phase::Live));
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_wait_and_keeps_the_operation() {
    let harness = Harness::vm("{stepTime: 1h}");
    let stop = harness.stop.clone();
    let stopper = async {
        tokio::time::sleep(Duration::from_mins(7)).await;
        stop.cancel();
    };
    let began = harness.now();
    let (outcome, ()) = tokio::join!(harness.until_done(), stopper);
    assert!(outcome.interrupted);
    assert_eq!(harness.now().duration_since(began).as_secs(), 7 * 60);
    let record = harness.record("contoso/vm");
    assert_eq!(record.phase, Phase::InProgress);
    assert!(record.running().is_some_and(|operation| operation.location.is_some()));
}

#[tokio::test(start_paused = true)]
async fn many_operations_run_concurrently() {
    let harness = Harness::many(200, "stepTime: 1h", "");
    let began = harness.now();
    let outcome = harness.until_done().await;
    assert_eq!((outcome.triggered, outcome.problems()), (200, 0));
    assert!(harness.now().duration_since(began).as_secs() < 2 * 3600, "an hour each, all at once");
    assert_eq!(harness.emulator.journal().all_golives().received, 200);
}

#[tokio::test(start_paused = true)]
async fn a_publish_by_another_client_during_the_golive_is_launched_next() {
    let harness =
        Harness::new("offers: {contoso/vm: {stepTime: 10m}, contoso/other: {stepTime: 2h}}");
    harness.manifest("vm.yaml", &live("contoso/vm", ""));
    harness.manifest("other.yaml", &manifest("contoso/other", "live", ""));
    let emulator = harness.emulator.clone();
    let hand = async {
        tokio::time::sleep(Duration::from_hours(1)).await;
        emulator.by_hand("contoso/vm", ManualAction::Publish).unwrap();
    };
    tokio::join!(harness.until_done(), hand);
    // The run had finished with the offer.
    assert_eq!(harness.golives("contoso/vm"), (1, 1));
    harness.until_done().await;
    assert_eq!(harness.golives("contoso/vm"), (2, 2));
    assert_eq!(harness.live_version("contoso/vm"), 2);
}

/// A run that may send two golives, `x` and `a`. The answer to `a` is lost, and inspections fail until
/// `x` has ended. The connection is reset before or after the golive, as `when` says.
async fn run_with_one_in_doubt(when: &str) -> (Harness, Result<golive::report::Outcome, RunError>) {
    let harness = Harness::new(&format!(
        "{{offers: {{contoso/a: {{}}, contoso/b: {{}}, contoso/x: {{stepTime: 10m}}}}, faults: [
            {{method: POST, path: '*/a/golive', action: {{reset: {when}}}}},
            {{method: GET, path: '*/offers/a', nth: 2, count: 12, action: {{status: 403}}}}]}}"
    ));
    harness.manifest("a.yaml", &live("contoso/a", ""));
    harness.manifest("b.yaml", &live("contoso/b", "after: [contoso/a]"));
    harness.manifest("x.yaml", &live("contoso/x", ""));
    let guard = Guard { max_changes: Some(2), expect: None };
    let result = harness.run(&RunOptions { guard, ..RunOptions::until_done() }).await;
    (harness, result)
}

#[tokio::test(start_paused = true)]
async fn a_request_in_doubt_counts_as_sent() {
    let (harness, result) = run_with_one_in_doubt("after").await;
    let Err(RunError::TooMany { found: 3, allowed: 2 }) = result else { panic!("{result:?}") };
    assert_eq!((harness.golives("contoso/a"), harness.golives("contoso/b")), ((1, 1), (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_repeated_request_counts_once() {
    let (harness, result) = run_with_one_in_doubt("before").await;
    let Err(RunError::TooMany { found: 3, allowed: 2 }) = result else { panic!("{result:?}") };
    assert_eq!((harness.golives("contoso/a"), harness.golives("contoso/b")), ((2, 1), (0, 0)));
}
