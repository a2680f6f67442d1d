//! A status file is about one marketplace, and says which.

use std::collections::BTreeMap;

use golive::marketplace::PublisherId;
use golive::status::{MarketplaceRecord, Phase};
use pretty_assertions::assert_eq;
use serde_json::Value;

use crate::place::{Place, STATUS, live};
use crate::service::Service;

/// Another marketplace, of another place.
fn other() -> (Place, String) {
    let other = Place::with_seed("offers: {contoso/a: {}, contoso/vm: {}, fabrikam/b: {}}");
    let endpoint = format!("http://{}", other.address());
    (other, endpoint)
}

fn noted(place: &Place) -> BTreeMap<String, String> {
    let marketplaces = place.status().marketplace.into_iter();
    marketplaces.map(|(publisher, it)| (publisher.to_string(), it.to_string())).collect()
}

fn portal(place: &Place) -> String {
    format!("http://{} (cloud-partner-portal)", place.address())
}

#[test]
fn what_is_known_of_one_marketplace_is_not_used_at_another() {
    let place = Place::in_preview(&["vm"]);
    place.golive("apply --wait --poll 10ms").code(0);
    assert_eq!(noted(&place), BTreeMap::from([("contoso".to_owned(), portal(&place))]));

    let (other, endpoint) = other();
    let before = place.files();
    for line in ["plan", "apply", "apply --only contoso/vm", "watch"] {
        for to in [format!("--endpoint {endpoint}"), format!("--emulator --status {STATUS}")] {
            let ran = place.golive(&format!("{line} {to}")).code(1).stdout("");
            let there = if to.contains("--emulator") {
                "the emulator (cloud-partner-portal)".to_owned()
            } else {
                portal(&other)
            };
            ran.stderr_has("offers of contoso is about http://[SERVER] (cloud-partner-portal)")
                .stderr_has(&format!("this run is about {there}; nothing was sent"))
                .stderr_has("--status or GOLIVE_STATUS")
                .stderr_has("delete this one");
        }
    }
    assert_eq!(other.requests(), Vec::<String>::new());
    let mut after = place.files();
    // The lock names who held it last.
    after.insert(format!("{STATUS}.lock"), before[&format!("{STATUS}.lock")].clone());
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    assert_eq!(after, before);

    // What the error says to do helps.
    place.golive(&format!("apply --endpoint {endpoint} --status other.json")).code(0);
    place.remove(STATUS);
    place.golive(&format!("apply --endpoint {endpoint} --wait --poll 10ms")).code(0);
    assert_eq!(noted(&place), BTreeMap::from([("contoso".to_owned(), portal(&other))]));
}

#[test]
fn what_is_known_of_a_rehearsal_is_not_used_at_the_real_marketplace() {
    let place = Place::in_preview(&["vm"]);
    place.golive("apply --emulator").code(0);
    let file = "golive.emulator.status.json";
    let before = place.files();
    for line in ["plan", "apply", "watch"] {
        place.golive(&format!("{line} --status {file}")).code(1).stderr_has(
            "is about the emulator (cloud-partner-portal), and this run is about http:",
        );
    }
    assert_eq!(place.requests(), Vec::<String>::new());
    assert_eq!(place.read(file).as_bytes(), before[file]);
}

#[test]
fn an_offer_whose_manifest_is_gone_is_not_looked_for_elsewhere() {
    let place = Place::with_seed("{stepTime: 1h, offers: {contoso/vm: {}, fabrikam/b: {}}}");
    place.write("vm.yaml", live("contoso/vm", ""));
    place.write("b.yaml", live("fabrikam/b", ""));
    place.golive("apply").code(0);
    place.remove("vm.yaml");
    place.remove("b.yaml");
    place.write("new.yaml", live("northwind/x", ""));
    let (other, endpoint) = other();
    for line in ["plan", "apply", "watch"] {
        place
            .golive(&format!("{line} --endpoint {endpoint}"))
            .code(1)
            .stderr_has("the offers of contoso is about http://[SERVER]");
    }
    assert_eq!(other.requests(), Vec::<String>::new());
}

#[test]
fn two_publishers_may_be_at_two_marketplaces() {
    let place = Place::with_seed("offers: {contoso/a: {}}");
    place.write("contoso/a.yaml", live("contoso/a", ""));
    place.write("fabrikam/b.yaml", live("fabrikam/b", ""));
    let (other, endpoint) = other();
    place.golive(&format!("apply contoso --status {STATUS} --wait --poll 10ms")).code(0);
    let fabrikam = format!("fabrikam --status {STATUS} --endpoint {endpoint}");
    place.golive(&format!("apply {fabrikam} --wait --poll 10ms")).code(0);
    let both = BTreeMap::from([
        ("contoso".to_owned(), portal(&place)),
        ("fabrikam".to_owned(), portal(&other)),
    ]);
    assert_eq!(noted(&place), both);
    place.golive(&format!("plan {fabrikam}")).code(0);
    // A run about both is about one marketplace; and a service follows whatever is in the file.
    let ran = place.golive(&format!("apply --endpoint {endpoint}")).code(1);
    ran.stderr_has("the offers of contoso is about");
    place.golive("apply").code(1).stderr_has("the offers of fabrikam is about");
    let watch = format!("watch contoso --status {STATUS}");
    place.golive(&watch).code(1).stderr_has("the offers of fabrikam is about");
    // Who has left the file may be elsewhere, and is in the map no more.
    place.remove("fabrikam/b.yaml");
    place.golive("apply").code(1).stderr_has("the offers of fabrikam is about");
    place.write("fabrikam/c.yaml", live("fabrikam/c", ""));
    let _blocked = place.golive(&format!("apply {fabrikam}")).code(1);
    place.remove("fabrikam/c.yaml");
    place.write("fabrikam/none.yaml", live("northwind/x", ""));
    let _blocked = place.golive(&format!("apply {fabrikam}")).code(1);
    assert_eq!(noted(&place).keys().collect::<Vec<_>>(), ["contoso", "northwind"]);
}

#[test]
fn a_publisher_without_offers_on_record_may_change_its_marketplace() {
    let place = Place::in_preview(&["vm"]);
    place.golive("apply --wait --poll 10ms").code(0);
    let mut file = place.status();
    let there = MarketplaceRecord {
        api: "cloud-partner-portal".to_owned(),
        origin: "https://golive.example".to_owned(),
    };
    file.marketplace.insert(PublisherId::new("contoso").unwrap(), there);
    file.offers.clear();
    place.write(STATUS, golive::status::to_bytes(&file).unwrap());
    place.golive("apply").code(0);
    assert_eq!(noted(&place), BTreeMap::from([("contoso".to_owned(), portal(&place))]));
}

#[test]
fn a_file_that_does_not_say_which_marketplace_it_is_about_is_taken_as_it_is() {
    let place = Place::in_preview(&["vm"]);
    place.golive("apply --wait --poll 10ms").code(0);
    let mut file: Value = serde_json::from_str(&place.read(STATUS)).unwrap();
    file.as_object_mut().unwrap().remove("marketplace");
    place.write(STATUS, format!("{file:#}\n"));
    let before = place.read(STATUS);
    place.golive("plan").code(0);
    place.golive("apply").code(0).stdout_has("Nothing to do");
    assert_eq!(place.read(STATUS), before, "to note it alone is no reason to write");
    assert_eq!(place.record("contoso/vm").phase, Phase::Live);
    place.write("vm.yaml", live("contoso/vm", "notBefore: 2020-01-01T00:00:00Z\n"));
    place.golive("apply").code(0);
    assert_eq!(noted(&place), BTreeMap::from([("contoso".to_owned(), portal(&place))]));

    let schema_1 = r#"{"schema": 1, "updatedAt": "2026-11-01T00:00:00Z", "offers": {}}"#;
    place.write(STATUS, schema_1);
    place.golive("apply").code(0);
    assert_eq!(noted(&place), BTreeMap::from([("contoso".to_owned(), portal(&place))]));
}

#[test]
fn a_publisher_that_stands_there_twice_is_told() {
    let place = Place::in_preview(&["vm"]);
    place.golive("apply").code(0);
    let twice = place.read(STATUS).replacen(
        "\"contoso\": {",
        "\"Contoso\": {\"api\": \"x\", \"origin\": \"https://golive.example\"}, \"contoso\": {",
        1,
    );
    place.write(STATUS, twice);
    place.golive("apply").code(1).stderr_has("contoso stands there twice");
}

#[test]
fn a_service_notes_the_publishers_that_are_committed_later() {
    let place = Place::with_seed("offers: {contoso/a: {}, fabrikam/b: {}}");
    place.write("a.yaml", live("contoso/a", ""));
    let service = Service::ready(&place, "--poll 10ms");
    place.write("b.yaml", live("fabrikam/b", ""));
    service.until_said("fabrikam/b: version 1 is live");
    place.remove("a.yaml");
    place.until("contoso leaves the file", |place| {
        noted(place) == BTreeMap::from([("fabrikam".to_owned(), portal(place))])
    });
    service.stop();
    assert!(place.status().offers.keys().all(|offer| offer.publisher().as_str() == "fabrikam"));
}

#[test]
fn a_rehearsal_says_so_and_nothing_else_does() {
    const LINE: &str = "EMULATOR: nothing here touches the real marketplace\n";
    let place = Place::in_preview(&["vm"]);
    for line in ["plan --emulator -v", "apply --emulator"] {
        let ran = place.golive(line).code(0);
        assert!(ran.stdout.starts_with(LINE), "{}", ran.shown());
        let first = ran.stderr.lines().next().unwrap_or_default();
        assert!(first.ends_with(LINE.trim_end()), "{}", ran.shown());
        assert_eq!(ran.stderr.matches("EMULATOR").count(), 1, "{}", ran.shown());
    }
    // It is the file that says so.
    for line in ["status --emulator", "status golive.emulator.status.json"] {
        let ran = place.golive(line).code(0);
        assert!(ran.stdout.starts_with(LINE), "{}", ran.shown());
    }
    for line in ["plan -v", "apply", "status"] {
        let ran = place.golive(line).code(0);
        assert!(!ran.shown().contains("EMULATOR"), "{}", ran.shown());
    }
    let _document: Value = place.golive("plan --emulator -o json").code(0).json();
    let service = Service::ready(&place, "--emulator");
    service.until_said(LINE.trim_end());
    service.stop();
}
