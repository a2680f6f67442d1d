//! golive in a world where everything goes wrong, from one seed.
//!
//! The reconciler, the planner, the trigger protocol, the client and the status store are the real
//! ones; the marketplace is the emulator's router; time is virtual. Every effect (a request, a
//! write, a flush, a rename, the lock) may fail, be done without an answer, be late, or be the last
//! thing the process does. What must hold is in `laws`; after the last round everything is calm,
//! and the world must come to rest where the manifests want it.
//!
//! `GOLIVE_SEEDS=N` plays so many seeds, `GOLIVE_SEED=S` plays one and shows every line of it.

mod crashes;
mod dice;
mod endings;
mod files;
mod laws;
mod mutants;
mod network;
mod play;
mod rest;
mod scenario;
mod schedule;
mod shrink;
mod sim;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use laws::Violation;
use mutants::Mutant;
use play::{Played, play};
use scenario::Scenario;
use schedule::{Record, Source};
use shrink::Failure;

/// How many seeds are played where nothing else is said.
const SEEDS: u64 = 2_000;

/// After how many seeds a mutant must be found.
const MUTANT_SEEDS: u64 = 1_000;

/// How many seeds are played with and without what makes mutants.
const CONTROL_SEEDS: u64 = 200;

fn from_env(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// As many as there are cores.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn play_seed(seed: u64, mutant: Option<Mutant>) -> Played {
    play(&Scenario::from_seed(seed), Source::Dice, mutant, Record::Nothing)
}

/// What is to be known about a failing seed: the law, and the smallest schedule that breaks it.
fn report(seed: u64, mutant: Option<Mutant>) -> String {
    let scenario = Scenario::from_seed(seed);
    let faults = play_seed(seed, mutant).fired;
    let failure = Failure { scenario, faults }.shrunk(mutant);
    let played = failure.play(mutant);
    let mut text =
        format!("seed {seed} breaks {:?}\n\n{}\nfaults:\n", played.violation, failure.scenario);
    for (point, fault) in &failure.faults {
        writeln!(text, "  {point}: {fault:?}").unwrap();
    }
    write!(text, "\nwhat happens:\n{}\n", played.trace.join("\n")).unwrap();
    write!(text, "\nagain, and whole: GOLIVE_SEED={seed} cargo test --test it simulation::")
        .unwrap();
    text
}

/// Plays seeds on all cores until enough have failed; the first that did, in order, with what each
/// has broken, and how many effects there were.
fn failures(
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
                    // A seed that was begun is played to its end, so that the first is the first.
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || failed.lock().unwrap().len() >= enough {
                        return;
                    }
                    let played = play_seed(seed, mutant);
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

#[test]
fn whatever_goes_wrong_nothing_is_launched_twice_and_nothing_is_lost() {
    if let Some(seed) = from_env("GOLIVE_SEED") {
        let scenario = Scenario::from_seed(seed);
        println!("{scenario}");
        let played = play(&scenario, Source::Dice, None, Record::Trace);
        println!("{}", played.trace.join("\n"));
        assert!(played.violation.is_none(), "{}", report(seed, None));
        return;
    }
    let seeds = from_env("GOLIVE_SEEDS").unwrap_or(SEEDS);
    let first = from_env("GOLIVE_FIRST_SEED").unwrap_or(0);
    let (failed, effects) = failures(first..first + seeds, None, 40);
    if let Some((seed, _)) = failed.first_key_value() {
        let line = |(seed, broken): (&u64, &Violation)| {
            let Violation { law, what } = broken;
            format!("seed {seed}: {law:?}: {what:.150}\n")
        };
        let lines: String = failed.iter().map(line).collect();
        panic!("{}\n\nfailing seeds, as far as they were played:\n{lines}", report(*seed, None));
    }
    println!("{seeds} seeds, {effects} effects");
}

#[test]
fn the_same_seed_is_the_same_play() {
    for seed in 0..60 {
        let scenario = Scenario::from_seed(seed);
        let trace = || play(&scenario, Source::Dice, None, Record::Trace).trace;
        assert_eq!(trace(), trace(), "seed {seed}");
    }
}

#[test]
fn every_mistake_is_found() {
    let mut missed = Vec::new();
    for mutant in Mutant::ALL {
        match failures(0..MUTANT_SEEDS, Some(mutant), 1).0.pop_first() {
            Some((seed, Violation { law, what })) => {
                println!("{mutant:?}: seed {seed}: {law:?}: {what}");
                if !mutant.breaks().contains(&law) {
                    missed.push((mutant, Some(law)));
                }
            }
            None => missed.push((mutant, None)),
        }
    }
    let why = "not found within so many seeds, or by a law that has nothing to do with it";
    assert!(missed.is_empty(), "{why}: {MUTANT_SEEDS}, {missed:?}");
}

#[test]
fn the_wrapping_that_makes_mistakes_makes_none_by_itself() {
    for seed in 0..CONTROL_SEEDS {
        let scenario = Scenario::from_seed(seed);
        let trace = |mutant| play(&scenario, Source::Dice, mutant, Record::Trace).trace;
        assert_eq!(trace(None), trace(Some(Mutant::Nothing)), "seed {seed}");
    }
}
