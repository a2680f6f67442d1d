//! golive as a whole process, for any number of offers, against a marketplace with latency.
//!
//! ```sh
//! cargo bench --bench scale                                   # 1,000, 10,000 and 100,000 offers
//! cargo bench --bench scale -- --offers 10000 --only validate --runs 9
//! cargo bench --bench scale -- --help
//! ```
//!
//! Each line has its reference, measured in the same run on the same machine, because times depend on
//! the machine. Requests, requests in flight, bytes and flushes don't. The marketplace is the emulator,
//! in this process, on a socket; it shares the processors with golive. Runs on Linux.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark measures, prints, and panics if it can't continue"
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

/// Measures golive as a whole process, with a reference for each measurement
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench scale --")]
struct Options {
    /// How many offers to measure with
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000")]
    offers: Vec<usize>,
    /// How many publishers they belong to
    #[arg(long, default_value_t = 20)]
    publishers: usize,
    /// How many of them go live
    #[arg(long, default_value_t = 1_000)]
    golives: usize,
    /// The marketplace's latency in milliseconds, for the scenario in which offers go live
    #[arg(long, default_value_t = 100)]
    latency: u64,
    /// The maximum number of requests in flight, for the scenario in which offers go live
    #[arg(long, default_value_t = 32)]
    concurrency: usize,
    /// How often to run each; the median is shown
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Scenarios to run [default: all]
    #[arg(long, value_delimiter = ',')]
    only: Vec<Scenario>,
    /// Passed by cargo to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// A scenario to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// `golive --version`, and `golive plan` of one offer.
    Start,
    /// `golive validate`, with and without the files in the system's cache, compared with `cat`.
    Validate,
    /// `golive apply` with nothing to do, compared with reading the lists.
    Noop,
    /// `golive apply` of offers that are live, without a status file.
    Adopt,
    /// `golive apply` of offers that go live, compared with sending the same number of requests.
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
    // This may be the small process that runs and measures another program: see `process.rs`.
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
