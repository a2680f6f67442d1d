//! Metrics: what is counted, and how it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::{Fixture, invented};
use crate::manifest::FileManifests;
use crate::marketplace::OperationKind;
use crate::operation::{Obstacle, RequestOutcome};
use crate::report::{Event, Reporter as _};
use crate::status::{ErrorRecord, Phase, Reason};

/// The value of a series.
fn value(text: &str, series: &str) -> Option<String> {
    let found = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    found.map(str::to_owned)
}

/// The text with the series of each metric in order, and without what differs from build to build.
fn sorted(text: &str) -> String {
    let mut blocks: Vec<Vec<&str>> = Vec::new();
    for line in text.lines() {
        if line.starts_with("# HELP") {
            blocks.push(Vec::new());
        }
        blocks.last_mut().unwrap().push(line);
    }
    for block in &mut blocks {
        // Buckets have an order of their own.
        if !block[1].ends_with("histogram") {
            block[2..].sort_unstable();
        }
    }
    blocks.concat().join("\n").replace(env!("CARGO_PKG_VERSION"), "VERSION")
}

#[tokio::test(start_paused = true)]
async fn every_metric_is_named_and_described_as_is_the_custom() {
    let fixture = Fixture::new();
    fixture.set("contoso/vm", invented::running("Live", Some(42)));
    fixture.set("contoso/db", invented::record(Phase::Failed, Reason::OperationFailed, "no"));
    let wrong = FileManifests::from_bytes(Path::new("a.yaml"), b"publisher: contoso\nstat: live\n");
    fixture.serving.service_state.update(|service| {
        service.started_at = Some(invented::at());
        service.last_resync = Some(invented::at());
        service.files = 3;
        service.problems = Arc::new(wrong.problems().to_vec());
        service.ready = true;
    });
    let metrics = &fixture.serving.metrics;
    metrics.requested("list offers", Some(StatusCode::OK), Duration::from_millis(30));
    let text = fixture.text("/metrics").await;

    let (mut helped, mut typed) = (BTreeSet::new(), BTreeMap::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(!help.trim().is_empty(), "{line}");
            assert!(helped.insert(name), "{name} twice");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            typed.insert(name, kind);
        } else {
            let name = line.split(['{', ' ']).next().unwrap();
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let base = base.filter(|base| typed.get(base) == Some(&"histogram")).unwrap_or(name);
            assert!(helped.contains(base) && typed.contains_key(base), "{line}");
            assert!(name.starts_with("golive_"), "{line}");
            assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
            assert!(!line.contains("contoso"), "labels are bounded: {line}");
        }
    }
    assert_eq!(helped.len(), typed.len());
    insta::assert_snapshot!(sorted(&text));
}

#[tokio::test(start_paused = true)]
async fn events_are_counted() {
    let fixture = Fixture::new();
    let offer = "contoso/vm".parse().unwrap();
    let metrics = &fixture.serving.metrics;
    for answer in [
        RequestOutcome::Refused("no".to_owned()),
        RequestOutcome::NotNow(None),
        RequestOutcome::NotNow(Some(Duration::from_secs(1))),
        RequestOutcome::NotSent(Obstacle { reason: Reason::Unreachable, why: "no".to_owned() }),
        RequestOutcome::Unclear("no".to_owned()),
    ] {
        let kind = &OperationKind::GoLive;
        metrics.report(&Event::Answered { offer: &offer, kind, answer: &answer });
    }
    for answered in [true, true, false] {
        metrics.report(&Event::Polled { offer: &offer, answered });
    }
    let text = fixture.text("/metrics").await;
    for (series, count) in [
        ("golive_triggers_total{kind=\"golive\",result=\"refused\"}", "1"),
        ("golive_triggers_total{kind=\"golive\",result=\"put_off\"}", "2"),
        ("golive_triggers_total{kind=\"golive\",result=\"not_sent\"}", "1"),
        ("golive_triggers_total{kind=\"golive\",result=\"accepted\"}", "0"),
        ("golive_triggers_total{kind=\"publish\",result=\"unclear\"}", "0"),
        ("golive_polls_total{result=\"answered\"}", "2"),
        ("golive_polls_total{result=\"unanswered\"}", "1"),
    ] {
        assert_eq!(value(&text, series).as_deref(), Some(count), "{series}\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_counts_when_it_is_new() {
    let fixture = Fixture::new();
    let blocked = invented::record(Phase::Blocked, Reason::Forbidden, "no access");
    fixture.set("contoso/vm", invented::running("Live", Some(42)));
    fixture.set("contoso/vm", blocked.clone());
    fixture.set("contoso/vm", blocked.clone());
    let mut other = blocked.clone();
    other.message = "still no access".to_owned();
    fixture.set("contoso/vm", other);
    let mut running = invented::running("Live", Some(42));
    running.error = Some(ErrorRecord::new(invented::at(), "no answer".to_owned()));
    fixture.set("contoso/vm", running.clone());
    running.attempts += 1;
    fixture.set("contoso/vm", running);
    let text = fixture.text("/metrics").await;
    let errors =
        |reason: &str| value(&text, &format!("golive_errors_total{{reason=\"{reason}\"}}"));
    assert_eq!(errors("Forbidden").as_deref(), Some("1"));
    assert_eq!(errors("Unreachable").as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn requests_are_counted_by_call_and_status() {
    let fixture = Fixture::new();
    let took = Duration::from_millis(300);
    let odd = StatusCode::from_u16(799).unwrap();
    for status in [None, None, Some(odd), Some(StatusCode::NOT_FOUND)] {
        fixture.serving.metrics.requested("get offer", status, took);
    }
    let text = fixture.text("/metrics").await;
    for (code, count) in [("error", "2"), ("other", "1"), ("404", "1")] {
        let series = format!("golive_requests_total{{call=\"get_offer\",code=\"{code}\"}}");
        assert_eq!(value(&text, &series).as_deref(), Some(count), "{text}");
    }
    let bucket = "golive_request_duration_seconds_bucket{call=\"get_offer\",le=\"0.5\"}";
    assert_eq!(value(&text, bucket).as_deref(), Some("4"), "{text}");
}
