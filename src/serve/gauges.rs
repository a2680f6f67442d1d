//! What is looked up when it is asked for: nothing here is kept twice.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;

use jiff::Timestamp;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Serving;
use super::metrics::{KINDS, Labels, kind_label};
use crate::status::Phase;
use crate::watch::{Service, Trouble};

/// Registers what record and board say now.
pub(super) fn register(registry: &mut Registry, serving: &Serving) {
    let service = serving.service_state.service();
    offers(registry, serving);
    manifests(registry, &service);
    number(
        registry,
        "ready",
        "Whether every offer was looked at once, or could not be for a reason that is shown (1), or not (0)",
        u64::from(service.ready),
    );
    number(
        registry,
        "source_up",
        "Whether the place that manifests come from can be followed (1) or not (0)",
        u64::from(service.source_problem.is_none()),
    );
    number(
        registry,
        "status_writable",
        "Whether the status file can be written (1) or not (0); nothing is sent without it",
        u64::from(!matches!(service.trouble, Some(Trouble::Unwritable(_)))),
    );
    moment(
        registry,
        "start_time_seconds",
        "When the service started, in seconds since 1970",
        service.started_at,
    );
    moment(
        registry,
        "last_resync_timestamp_seconds",
        "When all publishers were last listed with success, in seconds since 1970; 0 before the first time",
        service.last_resync,
    );
    let build = [("version", Cow::Borrowed(env!("CARGO_PKG_VERSION")))];
    let help = "The version that runs; the value is always 1";
    family(registry, "build_info", help, [(build, 1)]);
}

fn offers(registry: &mut Registry, serving: &Serving) {
    let mut phases = BTreeMap::from(Phase::ALL.map(|phase| (phase, 0)));
    let mut kinds = BTreeMap::from(KINDS.map(|kind| (kind, 0)));
    serving.store.with(|file| {
        for record in file.offers.values() {
            *phases.entry(record.phase).or_default() += 1;
            if let Some(operation) = record.running() {
                *kinds.entry(kind_label(&operation.kind)).or_default() += 1;
            }
        }
    });
    let phases = phases.into_iter().map(|(phase, count)| (label("phase", phase.as_str()), count));
    family(registry, "offers", "Offers, by phase", phases);
    let kinds = kinds.into_iter().map(|(kind, count)| (label("kind", kind), count));
    family(
        registry,
        "operations_running",
        "Operations that run at the marketplace, by kind",
        kinds,
    );
}

fn manifests(registry: &mut Registry, service: &Service) {
    number(
        registry,
        "manifests_in_force",
        "Manifests that golive acts upon: one an offer, the last good version of each file",
        size(service.desired.len()),
    );
    let broken: BTreeSet<_> = service.problems.iter().map(|problem| &problem.file).collect();
    let invalid = broken.len().min(service.files);
    let files = [("valid", service.files - invalid), ("invalid", invalid)];
    family(
        registry,
        "manifest_files",
        "Manifest files, by whether there is something wrong in them; their sum is all files",
        files.map(|(validity, count)| (label("validity", validity), size(count))),
    );
    number(
        registry,
        "manifest_problems",
        "What is wrong with manifests now: as many as golive validate shows",
        size(service.problems.len()),
    );
}

fn label(name: &'static str, value: &'static str) -> Labels<1> {
    [(name, Cow::Borrowed(value))]
}

fn size(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn number(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let gauge = Gauge::<u64, AtomicU64>::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

fn moment(registry: &mut Registry, name: &str, help: &str, at: Option<Timestamp>) {
    let gauge = Gauge::<f64, AtomicU64>::default();
    gauge.set(at.map_or(0.0, |at| at.as_duration().as_secs_f64()));
    registry.register(name, help, gauge);
}

fn family(
    registry: &mut Registry,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Labels<1>, u64)>,
) {
    let family = Family::<Labels<1>, Gauge<u64, AtomicU64>>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).set(value);
    }
    registry.register(name, help, family);
}
