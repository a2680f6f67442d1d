//! A crash at every effect and at every pair of effects, exhaustively.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use golive::marketplace::Api;
use golive::status::{OfferRecord, Phase, Reason};

use super::play::{PlayResult, play};
use super::scenario::{FaultRates, Limits, Manifest, Offer, Round, Run, RunMode, Scenario};
use super::schedule::{Crash, Fault, FaultPoint, Record, Source, When};
use super::threads;

/// Three offers that go live: one with an operation URL, one without, and one that waits for the
/// other two. Two runs may crash; the runs after them are undisturbed.
fn scenario(api: Api, answers: &str) -> Scenario {
    let offer = |behaviour: &str, waits| Offer {
        behaviour: behaviour.to_owned(),
        manifest: Some(Manifest { waits, ..Manifest::plain() }),
    };
    let run = Run {
        after: Duration::ZERO,
        retry: false,
        only: None,
        mode: RunMode::ToTheEnd,
        lock_timeout: Duration::ZERO,
        limits: Limits::None,
    };
    let round = Round { pause: Duration::from_secs(1), events: Vec::new(), runs: vec![run] };
    Scenario {
        seed: 0,
        api,
        answers: answers.to_owned(),
        offers: vec![
            offer("previewVersion: 2, liveVersion: 1, polls: 1", false),
            offer("header: none, polls: 2", false),
            offer("header: relative, polls: 1", true),
        ],
        rounds: vec![round.clone(), round],
        lag: None,
        step_minutes: 1,
        fault_rates: FaultRates::NONE,
    }
}

fn play_checked((api, answers): (Api, &str), crashes: &BTreeMap<FaultPoint, Fault>) -> PlayResult {
    let play =
        |record| play(&scenario(api, answers), Source::Listed(crashes.clone()), None, record);
    let played = play(Record::Points);
    if let Some(broken) = &played.violation {
        panic!("{crashes:?} break {broken:?}\n{}", play(Record::Trace).trace.join("\n"));
    }
    let status = played.status.as_ref().unwrap();
    // A second attempt before a crash stays in doubt until the user retries, and blocks dependents.
    let in_doubt = |record: &OfferRecord| record.intent.as_ref().is_some_and(|it| it.attempt > 1);
    let any_in_doubt = status.offers.values().any(|it| in_doubt(it));
    let is_safe = |record: &OfferRecord| {
        record.phase == Phase::Live
            || in_doubt(record)
            || (any_in_doubt && record.reason == Reason::WaitingForDependency)
    };
    let not_live = status.offers.iter().find(|(_, record)| !is_safe(record));
    assert!(status.offers.len() == 3 && not_live.is_none(), "{crashes:?} leave {not_live:?}");
    assert_eq!(played.fired.len(), crashes.len(), "{crashes:?}: a crash was not injected");
    played
}

fn points(played: &PlayResult, process: u32) -> Vec<FaultPoint> {
    played.points.iter().filter(|point| point.process == process).cloned().collect()
}

/// The crashes at a point that differ from each other: after it (the same as before the next one),
/// and before a POST. A kill loses no file content, and a power loss no request under way.
fn crashes_at(point: &FaultPoint) -> Vec<Fault> {
    let crash = |crash, when| Fault::Crash(crash, when);
    if point.what.starts_with("POST") {
        vec![crash(Crash::Kill, When::Before), crash(Crash::Kill, When::After)]
    } else if point.what.starts_with("GET") {
        vec![crash(Crash::Kill, When::After)]
    } else {
        vec![crash(Crash::PowerLoss, When::After)]
    }
}

/// Calls `act` with each item, on all cores.
fn for_each_in_parallel<T: Sync>(of: &[T], act: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads() {
            scope.spawn(|| {
                while let Some(it) = of.get(next.fetch_add(1, Ordering::Relaxed)) {
                    act(it);
                }
            });
        }
    });
}

const DOCUMENTED: &str = "profile: documented\nstrict: true\n";

/// A marketplace that accepts a second golive, so that it doesn't mask a repeated request.
const FIELD: &str = "profile: field\nanswers: {secondGolive: accept}\n";

/// The same for the Product Ingestion API, with both shapes of a live product.
const INGESTION: &str =
    "answers: {secondGolive: accept}\ningestion: {strict: true, live: previewAndLive}\n";

#[test]
fn two_crashes_at_any_points_keep_all_invariants_with_entity_tags() {
    crashes((Api::CloudPartnerPortal, DOCUMENTED));
}

#[test]
fn two_crashes_at_any_points_keep_all_invariants_without_entity_tags() {
    crashes((Api::CloudPartnerPortal, FIELD));
}

#[test]
fn two_crashes_at_any_points_keep_all_invariants_with_the_product_ingestion_api() {
    crashes((Api::ProductIngestion, INGESTION));
}

fn crashes(marketplace: (Api, &str)) {
    let first = points(&play_checked(marketplace, &BTreeMap::new()), 1);
    assert!(first.len() > 40, "{first:?}");
    let crashes: Vec<_> = first
        .iter()
        .flat_map(|point| crashes_at(point).into_iter().map(move |crash| (point, crash)))
        .collect();
    let pairs = AtomicUsize::new(0);
    for_each_in_parallel(&crashes, |(point, crash)| {
        let one = BTreeMap::from([((*point).clone(), *crash)]);
        for later in points(&play_checked(marketplace, &one), 2) {
            for crash in crashes_at(&later) {
                let mut two = one.clone();
                two.insert(later.clone(), crash);
                play_checked(marketplace, &two);
                pairs.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    assert!(pairs.into_inner() > crashes.len(), "{} crashes", crashes.len());
}
