//! The scenarios, and their references.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::files::{Tree, name, written};
use super::market::Market;
use super::process::{Cost, median, run};
use super::table::{Line, Table};
use super::{Options, Scenario, reference};

const GOLIVE: &str = env!("CARGO_BIN_EXE_golive");

/// How often to run programs that take milliseconds.
const SHORT_RUNS: usize = 41;

/// Additional offers in preview without a manifest.
const SPARE: usize = 20;

fn repeat(runs: usize, mut one: impl FnMut() -> Cost) -> Cost {
    median((0..runs.max(1)).map(|_| one()).collect())
}

fn checked(cost: Cost, log: &Path) -> Cost {
    let text = || std::fs::read_to_string(log).unwrap_or_default();
    assert!(cost.code == Some(0), "exit code {:?}: {}", cost.code, text());
    cost
}

/// The variables that select the marketplace.
fn variables(market: &Market) -> [(&'static str, String); 2] {
    [("GOLIVE_ENDPOINT", market.url()), ("GOLIVE_TOKEN", "bench".to_owned())]
}

/// The line of a seed for an offer that is live.
fn live(number: usize, publishers: usize) -> String {
    let name = name(number, publishers);
    format!("{name}: {{status: Succeeded, liveVersion: 1, previewVersion: 1}}")
}

/// The line of a seed for an offer that is in preview.
fn in_preview(number: usize, publishers: usize) -> String {
    format!("{}: {{status: WaitingForPublisherReview}}", name(number, publishers))
}

/// `golive --version`, and `golive plan` of one offer.
pub(crate) fn start(table: &mut Table) {
    let tree = Tree::new(1, 1, 1);
    let market = Market::new([in_preview(0, 1)]);
    let log = tree.log();
    let nothing = repeat(SHORT_RUNS, || run(&["true"], &[], &log)).wall;
    let version = repeat(SHORT_RUNS, || checked(run(&[GOLIVE, "--version"], &[], &log), &log));
    let offers = tree.offers();
    let command = [GOLIVE, "plan", offers.to_str().unwrap()];
    let plan = repeat(SHORT_RUNS, || checked(run(&command, &variables(&market), &log), &log));
    let line = |what, cost, requests| {
        let references = vec![("true", nothing)];
        Line { what, offers: 1, cost, requests, written: None, references }
    };
    table.add(&line("golive --version", version, None));
    let (requests, in_flight) = market.take_counts();
    table.add(&line("plan of one offer", plan, Some((requests / SHORT_RUNS, in_flight))));
}

/// `golive validate`, alternating with `cat` of the same files.
pub(crate) fn validate(options: &Options, offers: usize, table: &mut Table) {
    let tree = Tree::new(offers, options.publishers, 0);
    let (log, list) = (tree.log(), tree.list());
    let folder = tree.offers();
    let validate = [GOLIVE, "validate", folder.to_str().unwrap()];
    let cat = ["xargs", "-0", "-a", list.to_str().unwrap(), "cat"];
    for (what, cold) in [("validate, cold", true), ("validate, warm", false)] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..options.runs.max(1) {
            for (command, costs) in [(&validate[..], &mut ours), (&cat[..], &mut theirs)] {
                if cold {
                    tree.forget();
                }
                costs.push(checked(run(command, &[], &log), &log));
            }
        }
        let (cost, references) = (median(ours), vec![("cat", median(theirs).wall)]);
        table.add(&Line { what, offers, cost, requests: None, written: None, references });
    }
}

/// `golive apply`: the first run, a run with nothing to do, and a run in which some offers go live.
pub(crate) fn apply(options: &Options, offers: usize, table: &mut Table) {
    let golives = options.golives.min(offers);
    let tree = Tree::new(offers, options.publishers, golives);
    let publishers = options.publishers;
    let market = Market::new((0..offers + SPARE).map(|number| {
        let is_live = (golives..offers).contains(&number);
        if is_live { live(number, publishers) } else { in_preview(number, publishers) }
    }));
    first(options, &tree, &market, offers, table);
    if options.wants(Scenario::Noop) {
        noop(options, &tree, &market, offers, table);
    }
    if options.wants(Scenario::Golive) {
        golive(options, &tree, &market, offers, table);
    }
}

/// Runs `golive apply`, and returns its writes.
fn apply_once(tree: &Tree, market: &Market, more: &[&str]) -> (Cost, (u64, u64)) {
    let (offers, status, log) = (tree.offers(), tree.status(), tree.log());
    let status = status.to_str().unwrap();
    let command = [GOLIVE, "apply", offers.to_str().unwrap(), "--status", status];
    let command = [&command[..], &["-vv", "--log-format", "json"], more].concat();
    let cost = checked(run(&command, &variables(market), &log), &log);
    let written = written(&log);
    (cost, (written.bytes, written.flushes))
}

fn first(options: &Options, tree: &Tree, market: &Market, offers: usize, table: &mut Table) {
    let (cost, written) = apply_once(tree, market, &["--concurrency", "32"]);
    let (requests, in_flight) = market.take_counts();
    if !options.wants(Scenario::Adopt) {
        return;
    }
    let alone = reference::requests(market, requests, 32);
    market.take_counts();
    table.add(&Line {
        what: "apply, first time",
        offers,
        cost,
        requests: Some((requests, in_flight)),
        written: Some(written),
        references: vec![("as many requests", alone)],
    });
}

fn noop(options: &Options, tree: &Tree, market: &Market, offers: usize, table: &mut Table) {
    let (mut costs, mut alone) = (Vec::new(), Vec::new());
    let (mut counts, mut bytes) = ((0, 0), (0, 0));
    for _ in 0..options.runs.max(1) {
        let (cost, written) = apply_once(tree, market, &[]);
        costs.push(cost);
        (counts, bytes) = (market.take_counts(), written);
        alone.push(reference::lists(market, options.publishers, 8));
        market.take_counts();
    }
    alone.sort();
    table.add(&Line {
        what: "apply, nothing to do",
        offers,
        cost: median(costs),
        requests: Some(counts),
        written: Some(bytes),
        references: vec![("the lists", alone[alone.len() / 2])],
    });
}

fn golive(options: &Options, tree: &Tree, market: &Market, offers: usize, table: &mut Table) {
    let golives = options.golives.min(offers);
    (0..golives).for_each(|number| {
        tree.write(&name(number, options.publishers), "live");
    });
    market.set_latency(options.latency());
    let concurrency = options.concurrency.to_string();
    let (cost, written) = apply_once(tree, market, &["--concurrency", &concurrency]);
    let (requests, in_flight) = market.take_counts();
    let launched: Vec<_> = market.take_golives().map(|golive| golive.path).collect();
    assert_eq!(launched.len(), golives, "all offers went live");
    assert_eq!(BTreeSet::from_iter(launched).len(), golives, "each once");
    let alone = reference::requests(market, requests, options.concurrency);
    let spare = (offers..offers + SPARE).map(|number| name(number, options.publishers));
    let script = reference::one_by_one(market, spare);
    let ratio = |count: usize| u32::try_from(count).unwrap();
    let script = script * ratio(golives) / ratio(SPARE);
    let limit = options.latency() * 3 * ratio(golives) / ratio(options.concurrency);
    table.add(&Line {
        what: "apply, golives",
        offers,
        cost,
        requests: Some((requests, in_flight)),
        written: Some(written),
        references: vec![
            ("as many requests", alone),
            ("three round trips", limit.max(Duration::from_millis(1))),
            ("one by one", script),
        ],
    });
}
