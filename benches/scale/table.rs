//! The printed table, line by line as measured, and the growth.

use std::collections::BTreeMap;
use std::time::Duration;

use super::process::Cost;

/// The measurements, for the growth at the end.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Times by number of offers.
    took: BTreeMap<&'static str, Vec<(usize, Duration)>>,
}

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) what: &'static str,
    pub(crate) offers: usize,
    pub(crate) cost: Cost,
    /// Requests at the marketplace, and the most in flight.
    pub(crate) requests: Option<(usize, usize)>,
    /// golive's writes: bytes and flushes.
    pub(crate) written: Option<(u64, u64)>,
    /// The reference.
    pub(crate) references: Vec<(&'static str, Duration)>,
}

impl Table {
    pub(crate) fn new() -> Self {
        println!(
            "{:<22} {:>7} {:>9} {:>9} {:>7} {:>8} {:>6} {:>10} {:>7}  beside",
            "", "offers", "wall", "CPU", "memory", "requests", "flight", "written", "flushes"
        );
        Self::default()
    }

    pub(crate) fn add(&mut self, line: &Line) {
        let Line { what, offers, cost, requests, written, references } = line;
        let (count, flight) = pair(*requests);
        let (bytes, flushes) = pair(written.map(|(bytes, flushes)| (kib(bytes), flushes)));
        let beside = references.iter().map(|(name, took)| {
            let ratio = cost.wall.as_secs_f64() / took.as_secs_f64();
            format!("{ratio:.2} × {name} ({})", time(*took))
        });
        println!(
            "{what:<22} {offers:>7} {:>9} {:>9} {:>5} M {count:>8} {flight:>6} {bytes:>10} {flushes:>7}  {}",
            time(cost.wall),
            time(cost.cpu),
            cost.memory / 1024,
            beside.collect::<Vec<_>>().join(", ")
        );
        self.took.entry(what).or_default().push((*offers, cost.wall));
    }

    /// Prints the exponent of each growth between the two largest numbers of offers: 1 is linear.
    pub(crate) fn print_growth(&self) {
        for (what, took) in &self.took {
            let [.., (few, before), (many, after)] = took[..] else { continue };
            #[expect(clippy::cast_precision_loss, reason = "far fewer offers than 2^52")]
            let offers = many as f64 / few as f64;
            let times = after.as_secs_f64() / before.as_secs_f64();
            let power = times.ln() / offers.ln();
            println!(
                "{what}: {few} → {many} offers takes {times:.1} times as long: power {power:.2}"
            );
        }
    }
}

fn pair(counts: Option<(impl ToString, impl ToString)>) -> (String, String) {
    let text = counts.map(|(one, other)| (one.to_string(), other.to_string()));
    text.unwrap_or_else(|| ("-".to_owned(), "-".to_owned()))
}

fn kib(bytes: u64) -> String {
    format!("{} K", bytes.div_ceil(1024))
}

/// `7.1 ms`, `2.31 s`.
fn time(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 1.0 { format!("{:.1} ms", seconds * 1e3) } else { format!("{seconds:.2} s") }
}
