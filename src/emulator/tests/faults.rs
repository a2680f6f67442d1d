//! Every fault, in process.

use std::num::NonZeroU32;

use futures_util::StreamExt as _;
use pretty_assertions::assert_eq;

use super::*;
use crate::emulator::seed::fault::{Action, Fault, When};
use crate::emulator::seed::scalar::Times;
use crate::emulator::{Count, Rule};

const GOLIVE: &str = "contoso/offers/vm/golive";

fn faulty(action: &str) -> Emulator {
    emulator(&format!(
        "{{offers: {{contoso/vm: {{}}}}, faults: [{{method: POST, path: '*/golive', action: {action}}}]}}"
    ))
}

fn golives(emulator: &Emulator) -> (u64, u64) {
    let Count { received, accepted } = emulator.journal().golives("contoso/vm");
    (received, accepted)
}

#[tokio::test(start_paused = true)]
async fn an_answer_can_be_replaced_before_or_after_it_is_done() {
    for (action, status, retry_after, accepted) in [
        ("{status: 503, retryAfter: 2}", 503, Some("2"), 0),
        (
            "{status: 429, retryAfter: 'Wed, 21 Oct 2026 07:28:00 GMT'}",
            429,
            Some("Wed, 21 Oct 2026 07:28:00 GMT"),
            0,
        ),
        ("{status: 502, when: after}", 502, None, 1),
        ("{html: 504}", 504, None, 0),
        ("{html: 500, when: after}", 500, None, 1),
    ] {
        let emulator = faulty(action);
        let answer = post(&emulator, GOLIVE).await;
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (status, retry_after),
            "{action}"
        );
        assert_eq!(golives(&emulator), (1, accepted), "{action}");
        if action.contains("html") {
            assert_eq!(answer.header("content-type"), Some("text/html"));
        } else {
            assert!(!answer.code().is_empty());
        }
        assert_eq!(post(&emulator, GOLIVE).await.status, if accepted == 1 { 409 } else { 202 });
        assert_eq!(emulator.journal().entries().next().unwrap().status, Some(status));
    }
    let emulator = faulty("{status: 200, body: '{nonsense'}");
    let answer = post(&emulator, GOLIVE).await;
    assert_eq!((answer.status, answer.json), (200, Value::Null));
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_an_answer_marked_as_dropped() {
    for (action, accepted) in [("{reset: before}", 0), ("{reset: after}", 1)] {
        let emulator = faulty(action);
        let answer = post(&emulator, GOLIVE).await;
        assert!(answer.dropped);
        assert_eq!(golives(&emulator), (1, accepted));
        let journal = emulator.journal();
        let entry = journal.entries().next().unwrap();
        assert_eq!((entry.status, entry.accepted), (None, accepted == 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_delay_takes_virtual_time_only() {
    for (action, accepted_meanwhile) in [("{delay: 1h}", 0), ("{delay: 1h, when: after}", 1)] {
        let emulator = faulty(action);
        let started = tokio::time::Instant::now();
        let waiting = tokio::time::timeout(Duration::from_mins(1), post(&emulator, GOLIVE));
        assert!(waiting.await.is_err());
        // The client went away: what was not begun is never done.
        assert_eq!(golives(&emulator), (1, accepted_meanwhile));
        assert_eq!(started.elapsed(), Duration::from_mins(1));
    }
    let emulator = faulty("{delay: 90s}");
    let started = tokio::time::Instant::now();
    assert_eq!(post(&emulator, GOLIVE).await.status, 202);
    assert_eq!(started.elapsed(), Duration::from_secs(90));
}

#[tokio::test(start_paused = true)]
async fn a_redirect_leads_elsewhere() {
    let answer = post(&faulty("{redirect: 'https://elsewhere.example/'}"), GOLIVE).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (302, Some("https://elsewhere.example/"))
    );
}

async fn body_of(emulator: &Emulator, path: &str, chunks: usize) -> (String, bool) {
    let request = Request::builder()
        .uri(format!("/api/publishers/{path}?api-version=2017-10-31"))
        .header("authorization", "Bearer t");
    let request = request.body(Body::empty()).unwrap();
    let response = emulator.router().oneshot(request).await.unwrap();
    let mut stream = response.into_body().into_data_stream().take(chunks);
    let (mut bytes, mut broken) = (Vec::new(), false);
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(_) => broken = true,
        }
    }
    (String::from_utf8(bytes).unwrap(), broken)
}

#[tokio::test(start_paused = true)]
async fn a_body_can_be_cut_or_never_end() {
    let emulator = emulator(
        "{offers: {contoso/vm: {}}, faults: [
           {path: '/api/publishers/contoso/offers', action: {cutBody: 9}},
           {path: '*/status', action: {endlessBody: true}},
           {path: '*/vm', action: {cutBody: 100000, when: before}}]}",
    );
    assert_eq!(body_of(&emulator, "contoso/offers", 9).await, ("[{\"offerT".to_owned(), true));
    let (body, broken) = body_of(&emulator, "contoso/offers/vm/status", 1000).await;
    assert_eq!((body.len(), broken), (8192 * 1000, false));
    let (_, broken) = body_of(&emulator, "contoso/offers/vm", 9).await;
    assert!(broken, "a body that is shorter than the cut is cut at its end");
    let (body, broken) = body_of(&emulator, "contoso/offers", 9).await;
    assert!(body.ends_with("}]") && !broken, "the rule hits once");
}

#[tokio::test(start_paused = true)]
async fn rules_can_be_added_while_it_runs() {
    let emulator = emulator("offers: {contoso/vm: {}}");
    assert_eq!(get(&emulator, "contoso/offers").await.status, 200);
    emulator.add_fault(Rule {
        method: None,
        path: "*/offers".into(),
        nth: NonZeroU32::MIN,
        count: Times::Always,
        action: Action { when: When::Before, fault: Fault::Html(503) },
    });
    for _ in 0..3 {
        assert_eq!(get(&emulator, "contoso/offers").await.status, 503);
    }
}
