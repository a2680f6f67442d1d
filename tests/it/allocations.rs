//! Allocations per offer: counted, so that the result doesn't depend on the machine.
//!
//! Each is measured for some offers and for twice as many; the difference is the cost of the second
//! half.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use allocation_counter::measure;
use golive::changes::{DecisionTime, Input, Policy, check, plan};
use golive::engine::{Desired, Observations};
use golive::manifest::{FileManifests, Found, assemble};
use golive::status::{StatusFile, parse, to_bytes};

use crate::harness::Harness;
use crate::test_env::live;

const SOME: usize = 200;

/// The planner's input.
struct Scene {
    desired: Desired,
    status: StatusFile,
    observed: Observations,
    time: DecisionTime,
}

fn texts(offers: usize) -> Vec<(PathBuf, String)> {
    let text = |number: usize| {
        let more = "labels: {team: compute, ring: broad}\nnotify: [release@example.com]";
        live(&format!("contoso/vm-{number:04}"), more)
    };
    (0..offers).map(|number| (PathBuf::from(format!("{number:04}.yaml")), text(number))).collect()
}

fn read(texts: &[(PathBuf, String)]) -> Vec<FileManifests> {
    texts.iter().map(|(path, text)| FileManifests::from_bytes(path, text.as_bytes())).collect()
}

fn found(texts: &[(PathBuf, String)]) -> Found {
    let files = texts.iter().map(|(path, _)| path.clone()).collect();
    Found { files, ..Found::default() }
}

/// Offers that are live and recorded as live.
async fn in_sync(offers: usize) -> Scene {
    let mut seed = "offers:\n".to_owned();
    for number in 0..offers {
        writeln!(seed, "  contoso/vm-{number:04}: {{previewVersion: 1, liveVersion: 1}}").unwrap();
    }
    let harness = Harness::new(&seed);
    for (path, text) in texts(offers) {
        harness.manifest(path.to_str().unwrap(), &text);
    }
    harness.once().await;
    let (desired, status, time) = (harness.desired(), harness.status(), harness.decision_time());
    let observed = harness.observed().await;
    Scene { desired, status, observed, time }
}

/// Allocations per offer of the second half.
fn of_one(some: impl FnOnce(), twice: impl FnOnce()) -> u64 {
    let (some, twice) = (measure(some).count_total, measure(twice).count_total);
    (twice - some).div_ceil(u64::try_from(SOME).unwrap())
}

#[test]
fn parsing_a_manifest_keeps_its_allocation_budget() {
    let (some, twice) = (texts(SOME), texts(2 * SOME));
    let parse = of_one(|| drop(read(&some)), || drop(read(&twice)));
    assert!(parse <= 112, "{parse} for each file: most are libyaml's");
    let (few, many) = (read(&some), read(&twice));
    let (found_few, found_many) = (found(&some), found(&twice));
    let across = of_one(
        || drop(assemble(&found_few, &few).unwrap()),
        || drop(assemble(&found_many, &many).unwrap()),
    );
    assert!(across <= 2, "{across} for each manifest");
}

#[tokio::test(start_paused = true)]
async fn deciding_keeps_its_allocation_budget() {
    let (some, twice) = (in_sync(SOME).await, in_sync(2 * SOME).await);
    let policy = Policy::default();
    let decide = |scene: &Scene| {
        let input = Input {
            desired: &scene.desired,
            recorded: &scene.status.offers,
            observed: &scene.observed,
            time: scene.time,
            policy: &policy,
        };
        let changes = plan(input).unwrap();
        assert!(check(&changes, input).is_empty());
    };
    let cost = of_one(|| decide(&some), || decide(&twice));
    assert!(cost <= 1, "{cost} for each offer");
}

#[tokio::test(start_paused = true)]
async fn reading_and_writing_a_record_keeps_its_allocation_budget() {
    let (some, twice) = (in_sync(SOME).await.status, in_sync(2 * SOME).await.status);
    let (few, many) = (to_bytes(&some).unwrap(), to_bytes(&twice).unwrap());
    let path = Path::new("golive.status.json");
    let reading = of_one(|| drop(parse(path, &few).unwrap()), || drop(parse(path, &many).unwrap()));
    // Three more than schema 1: two releases and the list's fingerprint are strings.
    assert!(reading <= 15, "{reading} for each record that is read");
    let writing = of_one(|| drop(to_bytes(&some).unwrap()), || drop(to_bytes(&twice).unwrap()));
    assert!(writing <= 2, "{writing} for each record that is written");
    let copying = of_one(|| drop(some.clone()), || drop(twice.clone()));
    assert!(copying <= 1, "{copying} for each record that a copy shares");
}
