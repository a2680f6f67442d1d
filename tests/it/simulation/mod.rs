//! Simulation: golive under injected faults, generated from one seed.
//!
//! The reconciler, the planner, the trigger protocol, the client and the status store are the real
//! ones; the marketplace is the emulator's router, by either API; time is virtual. Every effect (a
//! request, a write, a flush, a rename, the lock) may fail, succeed without an answer, be late, or be
//! the last thing the process does. `checker` checks the invariants after every event; after the last
//! round no more faults are injected, and the offers must converge to what the manifests want.
//!
//! `GOLIVE_SEEDS=N` plays N seeds, `GOLIVE_SEED=S` plays one and prints its whole trace.

mod api;
mod checker;
mod convergence;
mod crashes;
mod files;
mod mutants;
mod network;
mod play;
mod random;
mod recorded_ends;
mod scenario;
mod schedule;
mod shrink;
mod sim;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use checker::Violation;
use golive::marketplace::Api;
use mutants::Mutant;
use play::{PlayResult, play};
use scenario::Scenario;
use schedule::{Record, Source};
use shrink::Failure;

/// How many seeds are played by default with each API.
const SEEDS: u64 = 1_000;

/// Within how many seeds each mutant must be found.
const MUTANT_SEEDS: u64 = 1_000;

/// How many seeds compare the plain client with the wrapper that does nothing.
const CONTROL_SEEDS: u64 = 60;

fn from_env(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// One thread per core.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn play_seed(api: Api, seed: u64, mutant: Option<Mutant>) -> PlayResult {
    play(&Scenario::from_seed(api, seed), Source::Random, mutant, Record::Nothing)
}

/// Describes a failing seed: the invariant, and the smallest schedule that breaks it.
fn report(api: Api, seed: u64, mutant: Option<Mutant>) -> String {
    let scenario = Scenario::from_seed(api, seed);
    let faults = play_seed(api, seed, mutant).fired;
    let failure = Failure { scenario, faults }.shrunk(mutant);
    let played = failure.play(mutant);
    let mut text =
        format!("seed {seed} breaks {:?}\n\n{}\nfaults:\n", played.violation, failure.scenario);
    for (point, fault) in &failure.faults {
        writeln!(text, "  {point}: {fault:?}").unwrap();
    }
    write!(text, "\nwhat happens:\n{}\n", played.trace.join("\n")).unwrap();
    let name = match api {
        Api::CloudPartnerPortal => "invariants_hold_under_random_faults",
        Api::ProductIngestion => "ingestion_invariants_hold_under_random_faults",
    };
    let command = format!("GOLIVE_SEED={seed} cargo test --test it simulation::{name}");
    write!(text, "\nagain, and whole: {command}").unwrap();
    text
}

/// Plays seeds on all cores until `enough` have failed. Returns the violations by seed, and the
/// number of effects.
fn failures(
    api: Api,
    seeds: std::ops::Range<u64>,
    mutant: Option<Mutant>,
    enough: usize,
) -> (BTreeMap<u64, Violation>, u64) {
    let next = AtomicU64::new(seeds.start);
    let failed = Mutex::new(BTreeMap::new());
    let effects = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads() {
            scope.spawn(|| {
                loop {
                    // A started seed is always finished, so that the lowest failing seed is stable.
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || failed.lock().unwrap().len() >= enough {
                        return;
                    }
                    let played = play_seed(api, seed, mutant);
                    effects.fetch_add(played.effects, Ordering::Relaxed);
                    if let Some(what) = played.violation {
                        failed.lock().unwrap().insert(seed, what);
                    }
                }
            });
        }
    });
    (failed.into_inner().unwrap(), effects.into_inner())
}

#[expect(
    clippy::print_stdout,
    reason = "it is asked for by a variable, or is the figure of the run"
)]
fn check_invariants(api: Api) {
    if let Some(seed) = from_env("GOLIVE_SEED") {
        let scenario = Scenario::from_seed(api, seed);
        println!("{scenario}");
        let played = play(&scenario, Source::Random, None, Record::Trace);
        println!("{}", played.trace.join("\n"));
        assert!(played.violation.is_none(), "{}", report(api, seed, None));
        return;
    }
    let seeds = from_env("GOLIVE_SEEDS").unwrap_or(SEEDS);
    let first = from_env("GOLIVE_FIRST_SEED").unwrap_or(0);
    let (failed, effects) = failures(api, first..first + seeds, None, 40);
    if let Some((seed, _)) = failed.first_key_value() {
        let line = |(seed, broken): (&u64, &Violation)| {
            let Violation { invariant, what } = broken;
            format!("seed {seed}: {invariant:?}: {what:.150}\n")
        };
        let lines: String = failed.iter().map(line).collect();
        let report = report(api, *seed, None);
        panic!("{report}\n\nfailing seeds, as far as they were played:\n{lines}");
    }
    println!("{seeds} seeds, {effects} effects");
}

#[test]
fn invariants_hold_under_random_faults() {
    check_invariants(Api::CloudPartnerPortal);
}

#[test]
fn ingestion_invariants_hold_under_random_faults() {
    check_invariants(Api::ProductIngestion);
}

#[test]
fn plays_are_deterministic() {
    for (api, seed) in Api::ALL.into_iter().flat_map(|api| (0..30).map(move |seed| (api, seed))) {
        let scenario = Scenario::from_seed(api, seed);
        let trace = || play(&scenario, Source::Random, None, Record::Trace).trace;
        assert_eq!(trace(), trace(), "{api}: seed {seed}");
    }
}

#[expect(clippy::print_stdout, reason = "what found each mutant")]
fn find_mutants(api: Api, mutants: &[Mutant]) {
    let mut missed = Vec::new();
    for mutant in mutants {
        match failures(api, 0..MUTANT_SEEDS, Some(*mutant), 1).0.pop_first() {
            Some((seed, Violation { invariant, what })) => {
                println!("{mutant:?}: seed {seed}: {invariant:?}: {what}");
                if !mutant.breaks().contains(&invariant) {
                    missed.push((mutant, Some(invariant)));
                }
            }
            None => missed.push((mutant, None)),
        }
    }
    let why = "not found within this many seeds, or only by an unrelated invariant";
    assert!(missed.is_empty(), "{why}: {MUTANT_SEEDS}, {missed:?}");
}

#[test]
fn every_mutant_is_found() {
    find_mutants(Api::CloudPartnerPortal, &Mutant::ALL);
}

#[test]
fn every_mutant_is_found_with_the_product_ingestion_api() {
    find_mutants(Api::ProductIngestion, &Mutant::INGESTION);
}

#[test]
fn the_mutant_wrapper_alone_changes_nothing() {
    for (api, seed) in
        Api::ALL.into_iter().flat_map(|api| (0..CONTROL_SEEDS).map(move |it| (api, it)))
    {
        let scenario = Scenario::from_seed(api, seed);
        let trace = |mutant| play(&scenario, Source::Random, mutant, Record::Trace).trace;
        assert_eq!(trace(None), trace(Some(Mutant::Nothing)), "{api}: seed {seed}");
    }
}
