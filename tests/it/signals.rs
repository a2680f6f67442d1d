//! Ctrl-C and SIGTERM: no new request, the status written, what runs goes on.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use golive::emulator::Hand;
use golive::status::Phase;

use crate::place::{Place, live};

fn send(child: &Child, signal: &str) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long it takes is what is tested")]
fn a_signal_stops_the_wait_and_the_next_run_goes_on() {
    for signal in ["-TERM", "-INT"] {
        let place = Place::with_seed("offers: {contoso/vm: {stepTime: 1h}}");
        place.write("vm.yaml", live("contoso/vm", ""));
        let child = place.start("apply --wait --poll 1h");
        place.until("the operation is polled", |place| {
            place.requests().iter().any(|request| request.contains("/operations/"))
        });
        send(&child, signal);
        let since = Instant::now();
        let ran = place.ran(child).code(3);
        // It waits for an hour otherwise.
        assert!(since.elapsed() < Duration::from_mins(1), "{:?}", since.elapsed());
        ran.stdout_has("Stopped on request. What runs goes on; the next run follows it.\n");
        let record = place.record("contoso/vm");
        assert_eq!(record.phase, Phase::InProgress);
        assert!(record.running().is_some());

        place.emulator().by_hand("contoso/vm", Hand::Finish).unwrap();
        place.golive("apply --wait").code(0);
        assert_eq!(place.golives("contoso/vm"), (1, 1));
    }
}

#[test]
fn a_request_under_way_is_not_given_up() {
    let place = Place::with_seed(
        "{stepTime: 1h, offers: {contoso/a: {}}, faults: [{method: POST, path: '*/golive', action: {delay: 300ms}}]}",
    );
    place.write("a.yaml", live("contoso/a", ""));
    let child = place.start("apply --wait");
    place.until("golive is received", |place| place.golives("contoso/a").0 == 1);
    send(&child, "-TERM");
    place.ran(child).code(3);
    let record = place.record("contoso/a");
    assert!(record.running().is_some_and(|operation| operation.id.is_some()), "its answer counts");
    assert_eq!((place.golives("contoso/a"), record.intent), ((1, 1), None));
}

#[test]
fn a_run_that_was_stopped_before_it_did_anything_does_not_succeed() {
    for path in ["*/offers", "*/offers/a"] {
        let place = Place::with_seed(&format!(
            "{{offers: {{contoso/a: {{}}}}, faults: [{{path: '{path}', action: {{delay: 1h}}}}]}}"
        ));
        place.write("a.yaml", live("contoso/a", ""));
        let child = place.start("apply --wait --timeout 1h");
        place.until("it is asked", |place| {
            place.requests().iter().any(|request| request.ends_with(path.trim_start_matches('*')))
        });
        send(&child, "-TERM");
        place.ran(child).code(3);
        assert_eq!(place.golives("contoso/a"), (0, 0));
    }
}

#[test]
fn a_killed_run_is_taken_up_by_the_next_one() {
    let place = Place::with_seed(
        "{stepTime: 20ms, offers: {contoso/a: {}}, faults: [{method: POST, path: '*/golive', action: {delay: 500ms, when: after}}]}",
    );
    place.write("a.yaml", live("contoso/a", ""));
    let mut child = place.start("apply --wait");
    place.until("golive is accepted", |place| place.golives("contoso/a").1 == 1);
    child.kill().unwrap();
    drop(place.ran(child));
    assert!(place.record("contoso/a").intent.is_some());
    place.golive("apply --wait --poll 10ms").code(0);
    assert_eq!(place.golives("contoso/a"), (1, 1));
    assert_eq!(place.record("contoso/a").phase, Phase::Live);
}
