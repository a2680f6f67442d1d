//! golive as a whole process, at any number of offers, against a marketplace that takes its time.
//!
//! ```sh
//! cargo bench --bench scale                                   # 1,000, 10,000 and 100,000 offers
//! cargo bench --bench scale -- --offers 10000 --only validate --runs 9
//! cargo bench --bench scale -- --help
//! ```
//!
//! Each line has its reference, measured in the same run on the same machine, because times alone
//! say little elsewhere. Requests, requests in flight, bytes and flushes are counts: they are the
//! same everywhere. The marketplace is the emulator, in this process, on a socket; it shares the
//! processors with golive. Runs on Linux.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark measures, prints, and ends where it can't go on"
)]

mod files;
#[path = "../market/mod.rs"]
mod market;
mod process;
mod reference;
mod scenario;
mod table;

use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Measures golive as a whole process, and beside it what it could cost at best.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench scale --")]
struct Options {
    /// How many offers there are
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000")]
    offers: Vec<usize>,
    /// How many publishers they belong to
    #[arg(long, default_value_t = 20)]
    publishers: usize,
    /// How many of them are to go live
    #[arg(long, default_value_t = 1_000)]
    golives: usize,
    /// How long the marketplace takes for an answer, in milliseconds, where offers go live
    #[arg(long, default_value_t = 100)]
    latency: u64,
    /// How many requests may be under way at once, where offers go live
    #[arg(long, default_value_t = 32)]
    concurrency: usize,
    /// How often each is run; the median is shown
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// What is run [default: all]
    #[arg(long, value_delimiter = ',')]
    only: Vec<Scenario>,
    /// What cargo gives to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// `golive --version`, and `golive plan` of one offer.
    Start,
    /// `golive validate`, with the files in the system's cache and without, beside `cat`.
    Validate,
    /// `golive apply` with nothing to do, beside the lists alone.
    Noop,
    /// `golive apply` of offers that are live, without a status file.
    Adopt,
    /// `golive apply` of offers that are to go live, beside as many requests alone.
    Golive,
}

impl Options {
    fn latency(&self) -> Duration {
        Duration::from_millis(self.latency)
    }

    fn wants(&self, scenario: Scenario) -> bool {
        self.only.is_empty() || self.only.contains(&scenario)
    }
}

fn main() {
    // What is measured is started by a small process of its own: see there.
    if let Some(code) = process::run_if_asked() {
        std::process::exit(code);
    }
    let options = Options::parse();
    let mut table = table::Table::new();
    if options.wants(Scenario::Start) {
        scenario::start(&mut table);
    }
    for &offers in &options.offers {
        if options.wants(Scenario::Validate) {
            scenario::validate(&options, offers, &mut table);
        }
        let applies = [Scenario::Adopt, Scenario::Noop, Scenario::Golive];
        if applies.into_iter().any(|it| options.wants(it)) {
            scenario::apply(&options, offers, &mut table);
        }
    }
    table.print_growth();
}
