//! A status file belongs to one marketplace, which it names.

use std::collections::BTreeMap;

use golive::marketplace::PublisherId;
use golive::status::{MarketplaceRecord, Phase};
use pretty_assertions::assert_eq;
use serde_json::Value;

use crate::service::Service;
use crate::test_env::{STATUS, TestEnv, live};

/// Another marketplace.
fn other_marketplace() -> (TestEnv, String) {
    let other = TestEnv::with_seed("offers: {contoso/a: {}, contoso/vm: {}, fabrikam/b: {}}");
    let endpoint = format!("http://{}", other.address());
    (other, endpoint)
}

fn recorded_marketplaces(env: &TestEnv) -> BTreeMap<String, String> {
    let marketplaces = env.status().marketplace.into_iter();
    marketplaces.map(|(publisher, it)| (publisher.to_string(), it.to_string())).collect()
}

fn portal_name(env: &TestEnv) -> String {
    format!("http://{} (cloud-partner-portal)", env.address())
}

#[test]
fn records_of_one_marketplace_are_not_used_at_another() {
    let env = TestEnv::in_preview(&["vm"]);
    env.golive("apply --wait --poll 10ms").code(0);
    assert_eq!(
        recorded_marketplaces(&env),
        BTreeMap::from([("contoso".to_owned(), portal_name(&env))])
    );

    let (other, endpoint) = other_marketplace();
    let before = env.files();
    for line in ["plan", "apply", "apply --only contoso/vm", "watch"] {
        for to in [format!("--endpoint {endpoint}"), format!("--emulator --status {STATUS}")] {
            let ran = env.golive(&format!("{line} {to}")).code(1).stdout("");
            let there = if to.contains("--emulator") {
                "the emulator (cloud-partner-portal)".to_owned()
            } else {
                portal_name(&other)
            };
            ran.stderr_has("offers of contoso is about http://[SERVER] (cloud-partner-portal)")
                .stderr_has(&format!("this run is about {there}; nothing was sent"))
                .stderr_has("--status or GOLIVE_STATUS")
                .stderr_has("delete this one");
        }
    }
    assert_eq!(other.requests(), Vec::<String>::new());
    let mut after = env.files();
    // The lock file names its last holder.
    after.insert(format!("{STATUS}.lock"), before[&format!("{STATUS}.lock")].clone());
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    assert_eq!(after, before);

    // The error's hint works.
    env.golive(&format!("apply --endpoint {endpoint} --status other.json")).code(0);
    env.remove(STATUS);
    env.golive(&format!("apply --endpoint {endpoint} --wait --poll 10ms")).code(0);
    assert_eq!(
        recorded_marketplaces(&env),
        BTreeMap::from([("contoso".to_owned(), portal_name(&other))])
    );
}

#[test]
fn records_of_the_embedded_marketplace_are_not_used_at_the_real_one() {
    let env = TestEnv::in_preview(&["vm"]);
    env.golive("apply --emulator").code(0);
    let file = "golive.emulator.status.json";
    let before = env.files();
    for line in ["plan", "apply", "watch"] {
        env.golive(&format!("{line} --status {file}")).code(1).stderr_has(
            "is about the emulator (cloud-partner-portal), and this run is about http:",
        );
    }
    assert_eq!(env.requests(), Vec::<String>::new());
    assert_eq!(env.read(file).as_bytes(), before[file]);
}

#[test]
fn an_unmanaged_offer_is_not_queried_at_another_marketplace() {
    let env = TestEnv::with_seed("{stepTime: 1h, offers: {contoso/vm: {}, fabrikam/b: {}}}");
    env.write("vm.yaml", live("contoso/vm", ""));
    env.write("b.yaml", live("fabrikam/b", ""));
    env.golive("apply").code(0);
    env.remove("vm.yaml");
    env.remove("b.yaml");
    env.write("new.yaml", live("northwind/x", ""));
    let (other, endpoint) = other_marketplace();
    for line in ["plan", "apply", "watch"] {
        env.golive(&format!("{line} --endpoint {endpoint}"))
            .code(1)
            .stderr_has("the offers of contoso is about http://[SERVER]");
    }
    assert_eq!(other.requests(), Vec::<String>::new());
}

#[test]
fn two_publishers_may_be_at_two_marketplaces() {
    let env = TestEnv::with_seed("offers: {contoso/a: {}}");
    env.write("contoso/a.yaml", live("contoso/a", ""));
    env.write("fabrikam/b.yaml", live("fabrikam/b", ""));
    let (other, endpoint) = other_marketplace();
    env.golive(&format!("apply contoso --status {STATUS} --wait --poll 10ms")).code(0);
    let fabrikam = format!("fabrikam --status {STATUS} --endpoint {endpoint}");
    env.golive(&format!("apply {fabrikam} --wait --poll 10ms")).code(0);
    let both = BTreeMap::from([
        ("contoso".to_owned(), portal_name(&env)),
        ("fabrikam".to_owned(), portal_name(&other)),
    ]);
    assert_eq!(recorded_marketplaces(&env), both);
    env.golive(&format!("plan {fabrikam}")).code(0);
    // A run covers one marketplace, and so does a service.
    let ran = env.golive(&format!("apply --endpoint {endpoint}")).code(1);
    ran.stderr_has("the offers of contoso is about");
    env.golive("apply").code(1).stderr_has("the offers of fabrikam is about");
    let watch = format!("watch contoso --status {STATUS}");
    env.golive(&watch).code(1).stderr_has("the offers of fabrikam is about");
    // A publisher without records may be at another marketplace, and leaves the map.
    env.remove("fabrikam/b.yaml");
    env.golive("apply").code(1).stderr_has("the offers of fabrikam is about");
    env.write("fabrikam/c.yaml", live("fabrikam/c", ""));
    let _blocked = env.golive(&format!("apply {fabrikam}")).code(1);
    env.remove("fabrikam/c.yaml");
    env.write("fabrikam/none.yaml", live("northwind/x", ""));
    let _blocked = env.golive(&format!("apply {fabrikam}")).code(1);
    assert_eq!(recorded_marketplaces(&env).keys().collect::<Vec<_>>(), ["contoso", "northwind"]);
}

#[test]
fn a_publisher_without_offers_on_record_may_change_its_marketplace() {
    let env = TestEnv::in_preview(&["vm"]);
    env.golive("apply --wait --poll 10ms").code(0);
    let mut file = env.status();
    let there = MarketplaceRecord {
        api: "cloud-partner-portal".to_owned(),
        origin: "https://golive.example".to_owned(),
    };
    file.marketplace.insert(PublisherId::new("contoso").unwrap(), there);
    file.offers.clear();
    env.write(STATUS, golive::status::to_bytes(&file).unwrap());
    env.golive("apply").code(0);
    assert_eq!(
        recorded_marketplaces(&env),
        BTreeMap::from([("contoso".to_owned(), portal_name(&env))])
    );
}

#[test]
fn a_file_without_a_marketplace_is_accepted() {
    let env = TestEnv::in_preview(&["vm"]);
    env.golive("apply --wait --poll 10ms").code(0);
    let mut file: Value = serde_json::from_str(&env.read(STATUS)).unwrap();
    file.as_object_mut().unwrap().remove("marketplace");
    env.write(STATUS, format!("{file:#}\n"));
    let before = env.read(STATUS);
    env.golive("plan").code(0);
    env.golive("apply").code(0).stdout_has("Nothing to do");
    assert_eq!(env.read(STATUS), before, "the marketplace alone isn't a reason to write");
    assert_eq!(env.record("contoso/vm").phase, Phase::Live);
    env.write("vm.yaml", live("contoso/vm", "notBefore: 2020-01-01T00:00:00Z\n"));
    env.golive("apply").code(0);
    assert_eq!(
        recorded_marketplaces(&env),
        BTreeMap::from([("contoso".to_owned(), portal_name(&env))])
    );

    let schema_1 = r#"{"schema": 1, "updatedAt": "2026-11-01T00:00:00Z", "offers": {}}"#;
    env.write(STATUS, schema_1);
    env.golive("apply").code(0);
    assert_eq!(
        recorded_marketplaces(&env),
        BTreeMap::from([("contoso".to_owned(), portal_name(&env))])
    );
}

#[test]
fn a_duplicate_publisher_is_an_error() {
    let env = TestEnv::in_preview(&["vm"]);
    env.golive("apply").code(0);
    let twice = env.read(STATUS).replacen(
        "\"contoso\": {",
        "\"Contoso\": {\"api\": \"x\", \"origin\": \"https://golive.example\"}, \"contoso\": {",
        1,
    );
    env.write(STATUS, twice);
    env.golive("apply").code(1).stderr_has("duplicate entry contoso");
}

#[test]
fn a_service_records_the_marketplace_of_new_publishers() {
    let env = TestEnv::with_seed("offers: {contoso/a: {}, fabrikam/b: {}}");
    env.write("a.yaml", live("contoso/a", ""));
    let service = Service::ready(&env, "--poll 10ms");
    env.write("b.yaml", live("fabrikam/b", ""));
    service.wait_for_log("fabrikam/b: version 1 is live");
    env.remove("a.yaml");
    env.wait_until("contoso leaves the file", |env| {
        recorded_marketplaces(env) == BTreeMap::from([("fabrikam".to_owned(), portal_name(env))])
    });
    service.stop();
    assert!(env.status().offers.keys().all(|offer| offer.publisher().as_str() == "fabrikam"));
}

#[test]
fn only_the_embedded_marketplace_is_marked_as_such() {
    const LINE: &str = "EMULATOR: nothing here touches the real marketplace\n";
    let env = TestEnv::in_preview(&["vm"]);
    for line in ["plan --emulator -v", "apply --emulator"] {
        let ran = env.golive(line).code(0);
        assert!(ran.stdout.starts_with(LINE), "{}", ran.transcript());
        let first = ran.stderr.lines().next().unwrap_or_default();
        assert!(first.ends_with(LINE.trim_end()), "{}", ran.transcript());
        assert_eq!(ran.stderr.matches("EMULATOR").count(), 1, "{}", ran.transcript());
    }
    // The status file says so.
    for line in ["status --emulator", "status golive.emulator.status.json"] {
        let ran = env.golive(line).code(0);
        assert!(ran.stdout.starts_with(LINE), "{}", ran.transcript());
    }
    for line in ["plan -v", "apply", "status"] {
        let ran = env.golive(line).code(0);
        assert!(!ran.transcript().contains("EMULATOR"), "{}", ran.transcript());
    }
    let _document: Value = env.golive("plan --emulator -o json").code(0).json();
    let service = Service::ready(&env, "--emulator");
    service.wait_for_log(LINE.trim_end());
    service.stop();
}
