//! The service as a whole process: the time from saving a file to the golive at the marketplace, and the
//! cost of an idle service.
//!
//! ```sh
//! cargo bench --bench service                   # 10, 10,000 and 100,000 manifests
//! cargo bench --bench service -- --idle 600     # idle for ten minutes, instead of one
//! ```
//!
//! The marketplace is the emulator, in this process, on a socket. Times depend on the machine; requests,
//! and the ratio between sizes, don't.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark measures, prints, and panics if it can't continue"
)]

mod market;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use market::Market;

/// Measures the service as a whole process.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench service --")]
struct Options {
    /// How many manifests to measure with
    #[arg(long, value_delimiter = ',', default_value = "10,10000,100000")]
    offers: Vec<usize>,
    /// How many of them are edited, one after the other
    #[arg(long, default_value_t = 200)]
    edits: usize,
    /// How long after a golive the next edit comes, in milliseconds
    #[arg(long, default_value_t = 500)]
    pause: u64,
    /// How long it is left idle, in seconds
    #[arg(long, default_value_t = 60)]
    idle: u64,
    /// Passed by cargo to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// The offers of one publisher.
const OFFERS_OF_ONE: usize = 500;

/// A marketplace with this many offers, all in preview.
fn marketplace(offers: usize) -> Market {
    Market::new((0..offers).map(|number| format!("{}: {{}}", name(number))))
}

/// When the next golive request arrived, which must be for this offer.
fn golive_at(market: &Market, offer: &str) -> Instant {
    let path = format!("/api/publishers/{}/golive", offer.replace('/', "/offers/"));
    let golive = market.next_golive();
    assert_eq!(golive.path, path);
    golive.at
}

fn name(number: usize) -> String {
    format!("publisher-{}/offer-{number}", number / OFFERS_OF_ONE)
}

/// Saves a manifest as editors do: a new file replaces the old one.
fn save(folder: &Path, number: usize, state: &str) {
    let offer = name(number);
    let (publisher, id) = offer.split_once('/').unwrap();
    let folder = folder.join(publisher);
    std::fs::create_dir_all(&folder).unwrap();
    let new = folder.join(format!(".{id}.new"));
    let text = format!("publisher: {publisher}\noffer: {id}\nstate: {state}\n");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, folder.join(format!("{id}.yaml"))).unwrap();
}

/// The service, killed on drop.
struct Service(Child);

impl Service {
    fn start(folder: &Path, market: &Market) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_golive"))
            .args(["watch", "--debounce", "50ms", "--quiet"])
            .arg(folder)
            .env("GOLIVE_ENDPOINT", market.url())
            .env("GOLIVE_TOKEN", "bench")
            .stdin(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    /// The number in the line of `/proc/PID/FILE` with this prefix.
    fn proc(&self, file: &str, line: &str) -> Option<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", self.0.id())).ok()?;
        let line = text.lines().find_map(|text| text.strip_prefix(line))?;
        line.split_whitespace().next()?.parse().ok()
    }

    /// Processor time so far in seconds, user and system. A tick is 1/100 second.
    fn cpu(&self) -> Option<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).ok()?;
        let fields: Vec<_> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks: u32 =
            fields.get(11)?.parse::<u32>().ok()? + fields.get(12)?.parse::<u32>().ok()?;
        Some(f64::from(ticks) / 100.0)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Waits until no more requests arrive.
fn inspect(market: &Market) {
    let mut before = usize::MAX;
    while before != market.requests() || before == 0 {
        before = market.requests();
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn known(figure: Option<impl std::fmt::Display>) -> String {
    figure.map_or_else(|| "?".to_owned(), |figure| figure.to_string())
}

fn measure(options: &Options, offers: usize) {
    let edits = options.edits.max(1);
    let folder = tempfile::tempdir().unwrap();
    (0..offers).for_each(|number| save(folder.path(), number, "preview"));
    let market = marketplace(offers.max(edits));
    let service = Service::start(folder.path(), &market);
    inspect(&market);

    let (cpu, requests, since) = (service.cpu(), market.requests(), Instant::now());
    std::thread::sleep(Duration::from_secs(options.idle));
    let idle_cpu = service.cpu().zip(cpu).map(|(now, then)| format!("{:.2} s", now - then));
    let idle_requests = market.requests() - requests;
    let idle = since.elapsed();

    let mut took: Vec<f64> = (0..edits)
        .map(|edit| {
            // If there are fewer manifests than edits, the rest are new files.
            let number = if offers < edits { edit } else { edit * (offers / edits) };
            let saved = Instant::now();
            save(folder.path(), number, "live");
            let received = golive_at(&market, &name(number));
            std::thread::sleep(Duration::from_millis(options.pause));
            received.duration_since(saved).as_secs_f64() * 1e3
        })
        .collect();
    took.sort_by(f64::total_cmp);
    let memory = service.proc("status", "VmHWM:").map(|kib| format!("{} MiB", kib / 1024));
    println!(
        "{offers:>7}  {:>7.0}  {:>7.0}  {:>7.0}  {:>9}  {:>9}  {idle_requests:>8} in {:.0} s",
        took[edits / 2],
        took[edits * 99 / 100],
        took[edits - 1],
        known(memory),
        known(idle_cpu),
        idle.as_secs_f64(),
    );
}

fn main() {
    let options = Options::parse();
    let Options { edits, pause, .. } = options;
    println!(
        "file saved → golive received, {edits} edits {pause} ms apart, --debounce 50ms, in ms; then idle"
    );
    println!("  offers      p50      p99      max     memory   idle CPU   requests while idle");
    for &offers in &options.offers {
        measure(&options, offers);
    }
}
