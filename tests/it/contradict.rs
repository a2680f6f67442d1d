//! What a service makes of manifests that contradict each other, whenever it was started, and of those
//! that are left out.

use golive::emulator::ManualAction;
use golive::status::Phase;
use pretty_assertions::assert_eq;

use crate::place::{Place, STATUS, live};
use crate::service::Service;

const FLAGS: &str = "--poll 10ms --poll-max 50ms";
const TOLD: &str = "has more than one manifest";

/// Has a service look at all offers.
fn looks_around(place: &Place, service: &Service) {
    let before = place.requests().len();
    service.signal("-HUP");
    place.until("it looks around", |place| place.requests().len() > before);
}

#[test]
fn nothing_is_started_at_a_start_nor_after_a_restart_nor_when_the_copy_comes() {
    let place = Place::with_seed("offers: {contoso/vm: {}, contoso/other: {status: Succeeded}}");
    place.write("other.yaml", live("contoso/other", ""));
    place.write("vm.yaml", live("contoso/vm", "suspend: true"));
    // First by its name, and in another case.
    place.write("Copy of vm.yaml", live("Contoso/VM", ""));
    place.golive("apply").code(1).stderr_has(TOLD);
    for _ in 0..2 {
        let service = Service::ready(&place, FLAGS);
        service.until_said(TOLD);
        looks_around(&place, &service);
        service.stop();
        assert_eq!(place.golives("contoso/vm"), (0, 0));
    }
    place.remove("Copy of vm.yaml");
    let service = Service::ready(&place, FLAGS);
    place.until("it is held", |place| {
        place.status().offers.values().any(|record| record.phase == Phase::Held)
    });
    place.write("copy.yaml", live("contoso/vm", ""));
    service.until_said(TOLD);
    looks_around(&place, &service);
    assert_eq!(place.golives("contoso/vm"), (0, 0));
    // Once there is one again, it counts.
    place.remove("vm.yaml");
    place.until("it is launched", |place| place.record("contoso/vm").phase == Phase::Live);
    assert_eq!(place.golives("contoso/vm"), (1, 1));
    service.stop();
}

#[test]
fn what_runs_is_followed_and_nothing_else_begins() {
    let place = Place::with_seed(
        "offers: {contoso/vm: {stepTime: 300ms}, contoso/other: {status: Succeeded}}",
    );
    place.write("other.yaml", live("contoso/other", ""));
    place.write("vm.yaml", live("contoso/vm", ""));
    place.golive("apply").code(0);
    assert_eq!(place.golives("contoso/vm"), (1, 1));
    place.write("again.yaml", live("contoso/vm", "version: 7"));
    let service = Service::ready(&place, FLAGS);
    service.until_said(TOLD);
    place.until("it is followed to its end", |place| {
        place.record("contoso/vm").phase == Phase::Live
    });
    place.emulator().by_hand("contoso/vm", ManualAction::Publish).unwrap();
    looks_around(&place, &service);
    service.stop();
    assert_eq!(place.golives("contoso/vm"), (1, 1));
    assert!(place.record("contoso/vm").running().is_none());
}

#[test]
fn a_goliveignore_counts_as_soon_as_it_is_written() {
    let place = Place::with_seed("offers: {contoso/a: {}, contoso/b: {}}");
    place.write("a.yaml", live("contoso/a", ""));
    place.write("drafts/b.yaml", live("contoso/b", "suspend: true"));
    let service = Service::ready(&place, FLAGS);
    let knows = |place: &Place| place.status().offers.contains_key(&"contoso/b".parse().unwrap());
    place.until("both are known", |place| place.exists(STATUS) && place.status().offers.len() == 2);
    place.write(".goliveignore", "/drafts/\n");
    place.until("one is left out", |place| !knows(place));
    place.write("drafts/b.yaml", live("contoso/b", ""));
    looks_around(&place, &service);
    assert_eq!(place.golives("contoso/b"), (0, 0));
    place.remove(".goliveignore");
    place.until("it counts again", |place| place.golives("contoso/b") == (1, 1));
    service.stop();
}
