//! Fuzzing as a test: every target gets its committed inputs (`corpus/TARGET/`), and then some thousand
//! deterministic mutations of them. `fuzz/run` searches for hours, guided by coverage; see
//! CONTRIBUTING.md.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so by a panic")]
#![expect(clippy::print_stderr, reason = "which input it was is told beside what went wrong")]

mod corpus;
mod mutate;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use corpus::Seed;
use mutate::Mutator;

/// How many mutated inputs each target gets.
const INPUTS: u32 = 5_000;

fn fuzz(name: &str, run: fn(&[u8])) {
    let seeds = corpus::read(name);
    assert!(!seeds.is_empty(), "{name} has no inputs");
    for Seed { path, bytes } in &seeds {
        attempt(run, bytes, || format!("the input is {}", path.display()));
    }
    let mut mutator = Mutator::new(seeds.iter().map(|seed| seed.bytes.as_slice()).collect());
    for _ in 0..INPUTS {
        let input = mutator.next();
        attempt(run, &input, || {
            let kept = corpus::keep(name, &input);
            let folder = corpus::folder(name);
            format!(
                "the input is kept as {}; mend what it shows, and put it into {} under a name that \
                 says what it is: {}",
                kept.display(),
                folder.display(),
                input.escape_ascii()
            )
        });
    }
}

/// Runs a target, and reports the input if it fails.
fn attempt(run: fn(&[u8]), input: &[u8], which: impl FnOnce() -> String) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(input))) {
        eprintln!("\n{}\n", which());
        resume_unwind(panic);
    }
}

/// One test per target.
macro_rules! tests {
    ($($name:ident)*) => {
        $(#[test] fn $name() { fuzz(stringify!($name), targets::$name); })*

        #[test]
        fn every_folder_of_inputs_has_a_target_and_a_long_run() {
            let here = [$(stringify!($name)),*];
            assert_eq!(here.to_vec(), corpus::targets());
            for name in here {
                assert!(corpus::has_long_run(name), "fuzz/Cargo.toml has no {name}");
            }
        }
    };
}

tests! {
    accepted durations emulator manifest offer offer_status offers operation operation_url refusal
    retry_after status_file submissions text
}
