//! Metrics: what is counted, and how it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};

use super::{Fixture, invented};
use crate::emulator::{Emulator, Seed};
use crate::manifest::FileManifests;
use crate::marketplace::portal::{
    AnonymousToken, CallName, Endpoint, InProcessTransport, PortalClient, Settings, Transport,
    TransportError,
};
use crate::marketplace::{Backend as _, OperationKind, PublisherId};
use crate::operation::{Answer, Obstacle};
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
    fixture.serving.board.update(|service| {
        service.started_at = Some(invented::at());
        service.last_resync = Some(invented::at());
        service.files = 3;
        service.problems = Arc::new(wrong.problems().to_vec());
        service.ready = true;
    });
    let metrics = &fixture.serving.metrics;
    metrics.requested("list offers", Some(http::StatusCode::OK), Duration::from_millis(30));
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
        Answer::Refused("no".to_owned()),
        Answer::NotNow(None),
        Answer::NotNow(Some(Duration::from_secs(1))),
        Answer::NotSent(Obstacle { reason: Reason::Unreachable, why: "no".to_owned() }),
        Answer::Unclear("no".to_owned()),
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

/// Answers by what it is called.
struct Odd;

#[async_trait]
impl Transport for Odd {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let status = match request.uri().path() {
            "/slow" => {
                tokio::time::sleep(Duration::from_mins(10)).await;
                200
            }
            "/lost" => return Err(TransportError::Lost { what: "lost".to_owned(), source: None }),
            "/odd" => 799,
            _ => 404,
        };
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok(Response::builder().status(status).body(Bytes::new()).unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn every_request_is_counted_whatever_becomes_of_it() {
    let fixture = Fixture::new();
    let transport = fixture.serving.metrics.transport(Arc::new(Odd));
    for path in ["/slow", "/lost", "/odd", "/absent"] {
        let mut request = Request::builder().uri(path).body(Bytes::new()).unwrap();
        request.extensions_mut().insert(CallName("get offer"));
        drop(tokio::time::timeout(Duration::from_secs(2), transport.send(request)).await);
    }
    let text = fixture.text("/metrics").await;
    for (code, count) in [("error", "2"), ("other", "1"), ("404", "1")] {
        let series = format!("golive_requests_total{{call=\"get_offer\",code=\"{code}\"}}");
        assert_eq!(value(&text, &series).as_deref(), Some(count), "{text}");
    }
    let bucket = "golive_request_duration_seconds_bucket{call=\"get_offer\",le=\"0.5\"}";
    assert_eq!(value(&text, bucket).as_deref(), Some("3"), "{text}");
    let count = "golive_request_duration_seconds_count{call=\"get_offer\"}";
    assert_eq!(value(&text, count).as_deref(), Some("4"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn the_client_says_what_a_request_is() {
    let fixture = Fixture::new();
    let clock = Arc::clone(&fixture.serving.clock);
    let emulator = Emulator::new(Seed::default(), Arc::clone(&clock));
    let inner = Arc::new(InProcessTransport::new(emulator.router()));
    let client = PortalClient::new(
        "http://localhost:8080".parse::<Endpoint>().unwrap(),
        fixture.serving.metrics.transport(inner),
        Arc::new(AnonymousToken),
        clock,
        Settings::default(),
        fastrand::Rng::with_seed(1),
    );
    drop(client.survey(&PublisherId::new("contoso").unwrap()).await);
    let text = fixture.text("/metrics").await;
    assert!(text.contains("golive_requests_total{call=\"list_offers\",code=\""), "{text}");
}
