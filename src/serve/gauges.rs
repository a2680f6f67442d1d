//! Gauges: read from the service state and the status file at each scrape.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use super::Serving;
use super::metrics::{KINDS, kind_label};
use crate::status::Phase;
use crate::watch::{Service, Trouble};

/// Registers the gauges with their values now.
pub(super) fn register(registry: &mut Registry, serving: &Serving) {
    let service = serving.service_state.service();
    offers(registry, serving);
    manifests(registry, &service);
    for (name, help, value) in [
        (
            "ready",
            "Whether every offer was checked once, or could not be for a reason that is shown (1), or not (0)",
            service.ready,
        ),
        (
            "source_up",
            "Whether the place that manifests come from can be followed (1) or not (0)",
            service.source_problem.is_none(),
        ),
        (
            "status_writable",
            "Whether the status file can be written (1) or not (0); nothing is sent without it",
            !matches!(service.trouble, Some(Trouble::Unwritable(_))),
        ),
    ] {
        registry.register(name, help, ConstGauge::new(u32::from(value)));
    }
    for (name, help, at) in [
        (
            "start_time_seconds",
            "When the service started, in seconds since 1970",
            service.started_at,
        ),
        (
            "last_resync_timestamp_seconds",
            "When all publishers were last listed with success, in seconds since 1970; 0 before the first time",
            service.last_resync,
        ),
    ] {
        let seconds = at.unwrap_or(Timestamp::UNIX_EPOCH).as_duration().as_secs_f64();
        registry.register(name, help, ConstGauge::new(seconds));
    }
    let help = "The version that runs; the value is always 1";
    family(registry, "build_info", help, "version", [(env!("CARGO_PKG_VERSION"), 1)]);
}

fn offers(registry: &mut Registry, serving: &Serving) {
    let mut phases = BTreeMap::from(Phase::ALL.map(|phase| (phase.as_str(), 0)));
    let mut kinds = BTreeMap::from(KINDS.map(|kind| (kind, 0)));
    serving.store.with(|file| {
        for record in file.offers.values() {
            *phases.entry(record.phase.as_str()).or_default() += 1;
            if let Some(operation) = record.running() {
                *kinds.entry(kind_label(&operation.kind)).or_default() += 1;
            }
        }
    });
    family(registry, "offers", "Offers, by phase", "phase", phases);
    let help = "Operations that run at the marketplace, by kind";
    family(registry, "operations_running", help, "kind", kinds);
}

fn manifests(registry: &mut Registry, service: &Service) {
    registry.register(
        "manifests_in_force",
        "Manifests that golive acts upon: one an offer, the last good version of each file",
        ConstGauge::new(service.desired.len()),
    );
    let broken: BTreeSet<_> = service.problems.iter().map(|problem| &problem.file).collect();
    let invalid = broken.len().min(service.files);
    let help =
        "Manifest files, by whether there is something wrong in them; their sum is all files";
    let files = [("valid", service.files - invalid), ("invalid", invalid)];
    family(registry, "manifest_files", help, "validity", files);
    registry.register(
        "manifest_problems",
        "What is wrong with manifests now: as many as golive validate shows",
        ConstGauge::new(service.problems.len()),
    );
}

/// Registers one gauge for each value of a label.
fn family(
    registry: &mut Registry,
    name: &str,
    help: &str,
    label: &'static str,
    values: impl IntoIterator<Item = (&'static str, usize)>,
) {
    let family = Family::<[(&'static str, &'static str); 1], Gauge>::default();
    for (value, count) in values {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        family.get_or_create(&[(label, value)]).set(count);
    }
    registry.register(name, help, family);
}
