//! The service as a whole process: how long it takes from a file that is saved to the golive that the
//! marketplace receives, and what the service costs while nothing happens.
//!
//! ```sh
//! cargo bench --bench service                   # 10, 10,000 and 100,000 manifests
//! cargo bench --bench service -- --idle 600     # idle for ten minutes, instead of one
//! ```
//!
//! The marketplace is the emulator, in this process, on a socket. Times are of one machine; what
//! counts elsewhere too are the requests, and how the two sizes compare.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark measures, prints, and ends where it can't go on"
)]

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use golive::clock::SystemClock;
use golive::emulator::{self, Emulator};
use jiff::Timestamp;

/// Measures the service as a whole process.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench service --")]
struct Options {
    /// How many manifests there are
    #[arg(long, value_delimiter = ',', default_value = "10,10000,100000")]
    offers: Vec<usize>,
    /// How many of them are edited, one after the other
    #[arg(long, default_value_t = 200)]
    edits: usize,
    /// How long it is left idle, in seconds
    #[arg(long, default_value_t = 60)]
    idle: u64,
    /// What cargo gives to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// The offers of one publisher.
const OFFERS_OF_ONE: usize = 500;

/// A marketplace on a socket.
struct Marketplace {
    emulator: Emulator,
    address: std::net::SocketAddr,
}

impl Marketplace {
    /// With so many offers, all in preview.
    fn with(offers: usize) -> Self {
        let mut seed = "stepTime: 24h\noffers:\n".to_owned();
        (0..offers).for_each(|number| writeln!(seed, "  {}: {{}}", name(number)).unwrap());
        let emulator = Emulator::new(emulator::parse(&seed).unwrap(), Arc::new(SystemClock));
        let served = emulator.clone();
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                emulator::serve(served, listener, std::future::pending()).await.unwrap();
            });
        });
        Self { emulator, address: receiver.recv().unwrap() }
    }

    fn requests(&self) -> usize {
        self.emulator.journal().entries().len()
    }

    /// When golive was received for an offer.
    fn golive_at(&self, offer: &str) -> Timestamp {
        let path = format!("/api/publishers/{}/golive", offer.replace('/', "/offers/"));
        loop {
            let journal = self.emulator.journal();
            let mut entries = journal.entries();
            if let Some(entry) = entries.find(|it| it.method == "POST" && it.path == path) {
                return entry.at;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn name(number: usize) -> String {
    format!("publisher-{}/offer-{number}", number / OFFERS_OF_ONE)
}

/// Saves a manifest as editors do: a new file takes the place of the old one.
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

/// The service, ended with its value.
struct Service(Child);

impl Service {
    fn start(folder: &Path, marketplace: &Marketplace) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_golive"))
            .args(["watch", "--debounce", "50ms", "--quiet"])
            .arg(folder)
            .env("GOLIVE_ENDPOINT", format!("http://{}", marketplace.address))
            .env("GOLIVE_TOKEN", "bench")
            .stdin(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    /// A line of `/proc/PID/FILE` that begins so: its number.
    fn proc(&self, file: &str, line: &str) -> Option<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", self.0.id())).ok()?;
        let line = text.lines().find_map(|text| text.strip_prefix(line))?;
        line.split_whitespace().next()?.parse().ok()
    }

    /// Processor time so far, in seconds: user and system, in ticks of which there are 100 a second.
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

/// Waits until no request comes any more.
fn settle(marketplace: &Marketplace) {
    let mut before = usize::MAX;
    while before != marketplace.requests() || before == 0 {
        before = marketplace.requests();
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn known(figure: Option<impl std::fmt::Display>) -> String {
    figure.map_or_else(|| "?".to_owned(), |figure| figure.to_string())
}

fn measure(offers: usize, edits: usize, idle: Duration) {
    let folder = tempfile::tempdir().unwrap();
    (0..offers).for_each(|number| save(folder.path(), number, "preview"));
    let marketplace = Marketplace::with(offers.max(edits));
    let service = Service::start(folder.path(), &marketplace);
    settle(&marketplace);

    let (cpu, requests, since) = (service.cpu(), marketplace.requests(), Instant::now());
    std::thread::sleep(idle);
    let idle_cpu = service.cpu().zip(cpu).map(|(now, then)| format!("{:.2} s", now - then));
    let idle_requests = marketplace.requests() - requests;
    let idle = since.elapsed();

    let mut took: Vec<f64> = (0..edits)
        .map(|edit| {
            // Where there are fewer manifests than edits, the rest are new ones.
            let number = if offers < edits { edit } else { edit * (offers / edits) };
            let saved = Timestamp::now();
            save(folder.path(), number, "live");
            let received = marketplace.golive_at(&name(number));
            std::thread::sleep(Duration::from_millis(20));
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
    let edits = options.edits.max(1);
    println!("file saved → golive received, {edits} edits, --debounce 50ms, in ms; then idle");
    println!("  offers      p50      p99      max     memory   idle CPU   requests while idle");
    for &offers in &options.offers {
        measure(offers, edits, Duration::from_secs(options.idle));
    }
}
