//! A crash at every point, and at every pair of points: not by chance, but one after the other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use golive::status::{OfferRecord, Phase, Reason};

use super::play::{Played, play};
use super::scenario::{Bounds, Manifest, Offer, Round, Run, Scenario, Waiting, Weather};
use super::schedule::{Crash, Fault, Point, Record, Source, When};
use super::threads;

/// Three offers that go live: one that names its operation, one that does not, and one that waits
/// for the other two. Two runs may crash; what is left to do after them is done in peace.
fn script(answers: &str) -> Scenario {
    let offer = |behaviour: &str, waits| Offer {
        behaviour: behaviour.to_owned(),
        manifest: Some(Manifest { waits, ..Manifest::plain() }),
    };
    let run = Run {
        after: Duration::ZERO,
        retry: false,
        only: None,
        wait: Waiting::ToTheEnd,
        lock_timeout: Duration::ZERO,
        bounds: Bounds::None,
    };
    let round = Round { pause: Duration::from_secs(1), events: Vec::new(), runs: vec![run] };
    Scenario {
        seed: 0,
        answers: answers.to_owned(),
        offers: vec![
            offer("previewVersion: 2, liveVersion: 1, polls: 1", false),
            offer("header: none, polls: 2", false),
            offer("header: relative, polls: 1", true),
        ],
        rounds: vec![round.clone(), round],
        lag: None,
        step_minutes: 1,
        weather: Weather::FAIR,
    }
}

fn played(answers: &str, crashes: &BTreeMap<Point, Fault>) -> Played {
    let play = |record| play(&script(answers), Source::These(crashes.clone()), None, record);
    let played = play(Record::Points);
    if let Some(broken) = &played.violation {
        panic!("{crashes:?} break {broken:?}\n{}", play(Record::Trace).trace.join("\n"));
    }
    let status = played.status.as_ref().unwrap();
    // A second attempt that a crash followed stays in doubt until a person asks for another one, and
    // holds up what waits for its offer.
    let in_doubt = |record: &OfferRecord| record.intent.as_ref().is_some_and(|it| it.attempt > 1);
    let any_in_doubt = status.offers.values().any(|it| in_doubt(it));
    let is_safe = |record: &OfferRecord| {
        record.phase == Phase::Live
            || in_doubt(record)
            || (any_in_doubt && record.reason == Reason::WaitingForDependency)
    };
    let not_live = status.offers.iter().find(|(_, record)| !is_safe(record));
    assert!(status.offers.len() == 3 && not_live.is_none(), "{crashes:?} leave {not_live:?}");
    assert_eq!(played.fired.len(), crashes.len(), "{crashes:?}: a crash did not come about");
    played
}

fn points(played: &Played, process: u32) -> Vec<Point> {
    played.points.iter().filter(|point| point.process == process).cloned().collect()
}

/// The ways to crash at a point that make a difference: after it, which is before the next one, and
/// before and after a request that starts something. A kill loses nothing that a file already has,
/// and a power loss no request that is under way.
fn crashes_at(point: &Point) -> Vec<Fault> {
    let crash = |crash, when| Fault::Crash(crash, when);
    if point.what.starts_with("POST") {
        vec![crash(Crash::Kill, When::Before), crash(Crash::Kill, When::After)]
    } else if point.what.starts_with("GET") {
        vec![crash(Crash::Kill, When::After)]
    } else {
        vec![crash(Crash::PowerLoss, When::After)]
    }
}

/// Does something with each, on all cores.
fn each<T: Sync>(of: &[T], act: impl Fn(&T) + Sync) {
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

/// A marketplace that takes a second golive, so that golive is not saved from itself.
const FIELD: &str = "profile: field\nanswers: {secondGolive: accept}\n";

#[test]
fn a_crash_at_any_point_and_at_any_later_point_launches_nothing_twice_and_loses_nothing() {
    crashes(DOCUMENTED);
}

#[test]
fn nor_does_it_where_nothing_guards_a_request() {
    crashes(FIELD);
}

fn crashes(answers: &str) {
    let first = points(&played(answers, &BTreeMap::new()), 1);
    assert!(first.len() > 40, "{first:?}");
    let crashes: Vec<_> = first
        .iter()
        .flat_map(|point| crashes_at(point).into_iter().map(move |crash| (point, crash)))
        .collect();
    let pairs = AtomicUsize::new(0);
    each(&crashes, |(point, crash)| {
        let one = BTreeMap::from([((*point).clone(), *crash)]);
        for later in points(&played(answers, &one), 2) {
            for crash in crashes_at(&later) {
                let mut two = one.clone();
                two.insert(later.clone(), crash);
                played(answers, &two);
                pairs.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    assert!(pairs.into_inner() > crashes.len(), "{} crashes", crashes.len());
}
