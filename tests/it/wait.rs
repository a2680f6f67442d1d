//! How long a run lasts: `--wait`, waves, polls.

use std::time::Duration;

use golive::emulator::ManualAction;
use golive::engine::{Guard, RunError, Wait};
use golive::status::{Phase, Reason};
use jiff::Timestamp;
use pretty_assertions::assert_eq;

use crate::lab::{Ask, Lab};
use crate::place::{Place, live, manifest};

#[test]
fn exit_codes_while_an_operation_runs() {
    let place = Place::with_seed("offers: {contoso/vm: {stepTime: 1h}}");
    place.write("vm.yaml", live("contoso/vm", ""));
    let table = "\
OFFER       PHASE       REASON         MESSAGE
contoso/vm  InProgress  GoLiveRunning  golive runs: Live, 0 %
";
    place
        .golive("apply")
        .code(0)
        .stdout(&format!("{table}1 operation started; 1 offer: 1 InProgress.\n"));
    let none = format!("{table}0 operations started; 1 offer: 1 InProgress.\n");
    place.golive("apply").code(0).stdout(&none);
    let runs = "contoso/vm still runs. The next run follows it.\n";
    place.golive("apply --detailed-exitcode").code(3).stdout(&format!("{none}{runs}"));
    let over = format!("{none}The time of --wait is over; {runs}");
    place.golive("apply --wait=100ms --poll 10ms").code(3).stdout(&over);
    assert_eq!(place.golive("apply --wait=50ms --poll 10ms -o json").code(3).json()["exitCode"], 3);
    place.emulator().by_hand("contoso/vm", ManualAction::Finish).unwrap();
    place.golive("apply --wait=10s --poll 10ms --detailed-exitcode").code(0);
    assert_eq!(place.golives("contoso/vm"), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_when_its_time_is_up() {
    let lab = Lab::vm("{stepTime: 1h}");
    let began = lab.now();
    let wait = Wait::Until(Some(Duration::from_mins(10)));
    let outcome = lab.run(&Ask { wait, ..Ask::once() }).await.unwrap();
    assert_eq!((outcome.running(), outcome.problems()), (1, 0));
    assert_eq!(lab.now().duration_since(began).as_secs(), 600);
    let outcome = lab.to_the_end().await;
    assert_eq!((outcome.running(), lab.phase("contoso/vm")), (0, Phase::Live));
    assert_eq!(lab.golives("contoso/vm"), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_marketplace_that_hangs_does_not_make_a_wait_longer() {
    for hangs in ["*/operations/*", "*/submissions", "*/slot/*", "*/status"] {
        let lab = Lab::vm("{stepTime: 1m}");
        lab.faults(&format!("[{{path: '{hangs}', count: 90, action: {{delay: 50s}}}}]"));
        let began = lab.now();
        let wait = Wait::Until(Some(Duration::from_mins(3)));
        lab.run(&Ask { wait, ..Ask::once() }).await.unwrap();
        let took = lab.now().duration_since(began).as_secs();
        assert!(took <= 190, "{hangs}: {took} s");
        assert_eq!(lab.golives("contoso/vm"), (1, 1), "{hangs}: one pass is made");
    }
}

/// When an operation of the offer was polled, in seconds since the first golive.
fn polls(lab: &Lab) -> Vec<i64> {
    let journal = lab.emulator.journal();
    let start = lab.golive_entries()[0].at;
    let polled = journal.entries().filter(|entry| entry.path.contains("/operations/"));
    polled.map(|entry| entry.at.duration_since(start).as_secs()).collect()
}

#[tokio::test(start_paused = true)]
async fn polls_grow_apart() {
    let lab = Lab::vm("{stepTime: 20m}");
    lab.to_the_end().await;
    assert_eq!(polls(&lab)[..8], [0, 30, 75, 142, 243, 395, 623, 923]);
}

#[tokio::test(start_paused = true)]
async fn polls_wait_as_the_marketplace_asks() {
    let lab = Lab::vm("{stepTime: 20m, retryAfter: 400}");
    lab.to_the_end().await;
    // The answer to the golive has asked for it already.
    assert_eq!(polls(&lab)[..3], [400, 800, 1200]);
}

#[tokio::test(start_paused = true)]
async fn waves_follow_each_other_within_one_wait() {
    let lab = Lab::new(
        "{stepTime: 10m, offers: {contoso/a: {}, contoso/b: {}, fabrikam/c: {}, contoso/d: {}}}",
    );
    lab.manifest("a.yaml", &live("contoso/a", ""));
    lab.manifest("b.yaml", &live("contoso/b", "after: [contoso/a]"));
    lab.manifest("c.yaml", &live("fabrikam/c", "after: [contoso/b, contoso/d]"));
    lab.manifest("d.yaml", &live("contoso/d", ""));
    let outcome = lab.to_the_end().await;
    assert_eq!((outcome.triggered, outcome.problems()), (4, 0));
    let at = |offer: &str| -> Timestamp {
        let path = format!("/{}/golive", offer.replace('/', "/offers/"));
        let sent: Vec<_> =
            lab.golive_entries().into_iter().filter(|entry| entry.path.ends_with(&path)).collect();
        assert_eq!(sent.len(), 1, "{offer}");
        sent[0].at
    };
    let step = jiff::SignedDuration::from_mins(10);
    assert!(at("contoso/d").duration_since(at("contoso/a")) < step);
    assert!(at("contoso/b").duration_since(at("contoso/a")) >= step);
    assert!(at("fabrikam/c").duration_since(at("contoso/b")) >= step);
}

#[tokio::test(start_paused = true)]
async fn a_wave_whose_first_offer_fails_goes_no_further() {
    let lab = Lab::new("offers: {contoso/a: {fail: {}}, contoso/b: {}}");
    lab.manifest("a.yaml", &live("contoso/a", ""));
    lab.manifest("b.yaml", &live("contoso/b", "after: [contoso/a]"));
    let outcome = lab.to_the_end().await;
    assert_eq!(outcome.problems(), 1);
    assert_eq!((lab.phase("contoso/a"), lab.phase("contoso/b")), (Phase::Failed, Phase::Held));
    assert_eq!(lab.golives("contoso/b"), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_publish_that_runs_is_followed_by_the_golive() {
    let lab = Lab::vm("{status: Running, operation: publish, stepTime: 5m}");
    let outcome = lab.to_the_end().await;
    assert_eq!(outcome.problems(), 0);
    assert_eq!((lab.golives("contoso/vm"), lab.phase("contoso/vm")), ((1, 1), Phase::Live));
}

#[tokio::test(start_paused = true)]
async fn a_launch_date_holds_until_it_has_come() {
    let lab = Lab::new("offers: {contoso/vm: {}}");
    lab.manifest("vm.yaml", &live("contoso/vm", "notBefore: 2026-12-01T09:10:00Z"));
    lab.once().await;
    let record = lab.record("contoso/vm");
    assert_eq!((record.phase, record.reason), (Phase::Held, Reason::Scheduled));
    tokio::time::advance(Duration::from_mins(11)).await;
    lab.to_the_end().await;
    assert_eq!((lab.golives("contoso/vm"), lab.phase("contoso/vm")), ((1, 1), Phase::Live));
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_wait_and_keeps_the_operation() {
    let lab = Lab::vm("{stepTime: 1h}");
    let stop = lab.stop.clone();
    let stopper = async {
        tokio::time::sleep(Duration::from_mins(7)).await;
        stop.cancel();
    };
    let began = lab.now();
    let (outcome, ()) = tokio::join!(lab.to_the_end(), stopper);
    assert!(outcome.interrupted);
    assert_eq!(lab.now().duration_since(began).as_secs(), 7 * 60);
    let record = lab.record("contoso/vm");
    assert_eq!(record.phase, Phase::InProgress);
    assert!(record.running().is_some_and(|operation| operation.location.is_some()));
}

#[tokio::test(start_paused = true)]
async fn many_operations_run_side_by_side() {
    let names: Vec<_> = (0..200).map(|number| format!("contoso/vm-{number}")).collect();
    let seeds: Vec<_> = names.iter().map(|name| format!("{name}: {{}}")).collect();
    let lab = Lab::new(&format!("{{stepTime: 1h, offers: {{{}}}}}", seeds.join(", ")));
    let manifests: Vec<_> = names.iter().map(|name| live(name, "")).collect();
    lab.manifest("all.yaml", &manifests.join("---\n"));
    let began = lab.now();
    let outcome = lab.to_the_end().await;
    assert_eq!((outcome.triggered, outcome.problems()), (200, 0));
    assert!(lab.now().duration_since(began).as_secs() < 2 * 3600, "an hour each, all at once");
    assert_eq!(lab.emulator.journal().all_golives().received, 200);
}

#[tokio::test(start_paused = true)]
async fn a_publish_by_another_hand_during_the_golive_is_a_newer_version_to_bring_live() {
    let lab = Lab::new("offers: {contoso/vm: {stepTime: 10m}, contoso/other: {stepTime: 2h}}");
    lab.manifest("vm.yaml", &live("contoso/vm", ""));
    lab.manifest("other.yaml", &manifest("contoso/other", "live", ""));
    let emulator = lab.emulator.clone();
    let hand = async {
        tokio::time::sleep(Duration::from_hours(1)).await;
        emulator.by_hand("contoso/vm", ManualAction::Publish).unwrap();
    };
    tokio::join!(lab.to_the_end(), hand);
    // That run was done with the offer.
    assert_eq!(lab.golives("contoso/vm"), (1, 1));
    lab.to_the_end().await;
    assert_eq!(lab.golives("contoso/vm"), (2, 2));
    assert_eq!(
        lab.record("contoso/vm").observed.unwrap().live.unwrap().as_str().parse::<u64>().unwrap(),
        2
    );
}

/// A run that may send two golives, `x` and `a`. The answer to `a` is lost, and nobody can look at
/// it until `x` has ended. The connection is reset `when` the marketplace has done it, or before.
async fn with_one_in_doubt(when: &str) -> (Lab, Result<golive::report::Outcome, RunError>) {
    let lab = Lab::new(&format!(
        "{{offers: {{contoso/a: {{}}, contoso/b: {{}}, contoso/x: {{stepTime: 10m}}}}, faults: [
            {{method: POST, path: '*/a/golive', action: {{reset: {when}}}}},
            {{method: GET, path: '*/offers/a', nth: 2, count: 12, action: {{status: 403}}}}]}}"
    ));
    lab.manifest("a.yaml", &live("contoso/a", ""));
    lab.manifest("b.yaml", &live("contoso/b", "after: [contoso/a]"));
    lab.manifest("x.yaml", &live("contoso/x", ""));
    let guard = Guard { max_changes: Some(2), expect: None };
    let result = lab.run(&Ask { guard, ..Ask::to_the_end() }).await;
    (lab, result)
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_accepted_counts_as_sent() {
    let (lab, result) = with_one_in_doubt("after").await;
    let Err(RunError::TooMany { found: 3, allowed: 2 }) = result else { panic!("{result:?}") };
    assert_eq!((lab.golives("contoso/a"), lab.golives("contoso/b")), ((1, 1), (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_request_in_doubt_that_is_sent_again_counts_once() {
    let (lab, result) = with_one_in_doubt("before").await;
    let Err(RunError::TooMany { found: 3, allowed: 2 }) = result else { panic!("{result:?}") };
    assert_eq!((lab.golives("contoso/a"), lab.golives("contoso/b")), ((2, 1), (0, 0)));
}
