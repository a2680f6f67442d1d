//! Counters, and the metrics page of Prometheus.
//!
//! No label has the name of an offer or a publisher. Each label has a few fixed values, so that the
//! number of series grows neither with the offers nor with what a server answers.

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;
use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{Serving, gauges};
use crate::marketplace::OperationKind;
use crate::operation::RequestOutcome;
use crate::report::{Event, Reporter};
use crate::status::{OfferRecord, Phase, Reason};

type Labels<const N: usize> = [(&'static str, Cow<'static, str>); N];

/// The values of the label `kind`.
pub(super) const KINDS: [&str; 4] = ["cancel", "golive", "publish", "other"];

/// The values of the label `result` of `triggers`.
const RESULTS: [&str; 7] =
    ["accepted", "refused", "denied", "conflict", "put_off", "not_sent", "unclear"];

/// The upper bounds of a request's duration, in seconds. The marketplace takes its time; a request
/// may take a minute.
const BUCKETS: [f64; 11] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// What was counted since the start: the events of a [`Reporter`], and the transport's requests.
#[derive(Debug)]
pub struct Metrics {
    triggers: Family<Labels<2>, Counter>,
    polls: Family<Labels<1>, Counter>,
    requests: Family<Labels<2>, Counter>,
    durations: Family<Labels<1>, Histogram, fn() -> Histogram>,
    errors: Family<Labels<1>, Counter>,
}

impl Default for Metrics {
    /// Metrics with few series begin with all of them at zero, so that the first increase shows as
    /// one.
    fn default() -> Self {
        let metrics = Self {
            triggers: Family::default(),
            polls: Family::default(),
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            errors: Family::default(),
        };
        for kind in ["golive", "publish"] {
            for result in RESULTS {
                drop(metrics.triggers.get_or_create(&trigger(kind, result)));
            }
        }
        for answered in [true, false] {
            drop(metrics.polls.get_or_create(&poll(answered)));
        }
        metrics
    }
}

impl Metrics {
    /// Counts one HTTP request, repeats included. `status` is `None` if no response head came.
    pub(crate) fn requested(&self, call: &'static str, status: Option<StatusCode>, took: Duration) {
        let call = call.replace(' ', "_");
        let code = status.map_or(Cow::Borrowed("error"), code);
        self.requests.get_or_create(&[("call", Cow::Owned(call.clone())), ("code", code)]).inc();
        let labels = [("call", Cow::Owned(call))];
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// All metrics in the Prometheus text format.
    pub(super) fn text(&self, serving: &Serving) -> String {
        let mut registry = Registry::with_prefix("golive");
        gauges::register(&mut registry, serving);
        registry.register(
            "triggers",
            "Requests that start an operation, by what the answer means",
            self.triggers.clone(),
        );
        registry.register(
            "polls",
            "Questions how a running operation stands, by whether there was an answer",
            self.polls.clone(),
        );
        registry.register(
            "requests",
            "Requests to the marketplace, repeats included, by the status of the answer; error means no answer",
            self.requests.clone(),
        );
        registry.register(
            "request_duration_seconds",
            "How long requests to the marketplace took, to the last byte of the answer",
            self.durations.clone(),
        );
        registry.register(
            "errors",
            "Errors of offers, and offers that became blocked or failed, by the offer's reason",
            self.errors.clone(),
        );
        let mut text = String::new();
        // Writing to a string can't fail.
        let _ = prometheus_text::encode(&mut text, &registry);
        text
    }

    fn changed(&self, before: Option<&OfferRecord>, record: &OfferRecord) {
        let is_bad = matches!(record.phase, Phase::Blocked | Phase::Failed);
        let was = before.map(|before| (before.phase, before.reason));
        let turned_bad = is_bad && was != Some((record.phase, record.reason));
        let known = before.and_then(|before| before.error.as_ref());
        let new_error = record.error.is_some() && record.error.as_ref() != known;
        if turned_bad {
            self.error(record.reason);
        } else if new_error {
            // The offer's record is unchanged; it could not be inspected.
            self.error(if is_bad { record.reason } else { Reason::Unreachable });
        }
    }

    fn error(&self, reason: Reason) {
        let reason = Cow::Owned(reason.to_string());
        self.errors.get_or_create(&[("reason", reason)]).inc();
    }
}

impl Reporter for Metrics {
    fn report(&self, event: &Event<'_>) {
        match event {
            Event::Changed { before, record, .. } => self.changed(*before, record),
            Event::Answered { kind, answer, .. } => {
                self.triggers.get_or_create(&trigger(kind_label(kind), result(answer))).inc();
            }
            Event::Polled { answered, .. } => {
                self.polls.get_or_create(&poll(*answered)).inc();
            }
            Event::NotListed { reason, .. } => self.error(*reason),
            Event::Observing { .. }
            | Event::Planned(_)
            | Event::Forgotten(_)
            | Event::Doubt { .. }
            | Event::Waiting { .. }
            | Event::Stopping => {}
        }
    }
}

fn trigger(kind: &'static str, result: &'static str) -> Labels<2> {
    [("kind", Cow::Borrowed(kind)), ("result", Cow::Borrowed(result))]
}

fn poll(answered: bool) -> Labels<1> {
    [("result", Cow::Borrowed(if answered { "answered" } else { "unanswered" }))]
}

/// One of [`KINDS`].
pub(super) fn kind_label(kind: &OperationKind) -> &'static str {
    match kind {
        OperationKind::Cancel => "cancel",
        OperationKind::GoLive => "golive",
        OperationKind::Publish => "publish",
        OperationKind::Unknown(_) => "other",
    }
}

/// One of [`RESULTS`].
fn result(answer: &RequestOutcome) -> &'static str {
    match answer {
        RequestOutcome::Accepted(_) => "accepted",
        RequestOutcome::Refused(_) => "refused",
        RequestOutcome::Denied(_) => "denied",
        RequestOutcome::Conflict(_) => "conflict",
        RequestOutcome::NotNow(_) => "put_off",
        RequestOutcome::NotSent(_) => "not_sent",
        RequestOutcome::Unclear(_) => "unclear",
    }
}

/// A status code that HTTP knows, or `other`: a server could make up hundreds.
fn code(status: StatusCode) -> Cow<'static, str> {
    match status.canonical_reason() {
        Some(_) => Cow::Owned(status.as_str().to_owned()),
        None => Cow::Borrowed("other"),
    }
}
