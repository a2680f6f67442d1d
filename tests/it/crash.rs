//! golive crashes at the worst moments. The next run has only the status file.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use golive::backends::http::{Transport, TransportError};
use golive::emulator::ManualAction;
use golive::marketplace::{OperationStatus, Release};
use golive::status::{OperationRecord, Phase};
use http::{Request, Response};
use pretty_assertions::assert_eq;
use tokio::sync::Notify;

use crate::harness::Harness;

/// A run that crashes while its golive is under way; `when` is the fault's.
pub(crate) async fn crashed_while_sending(behaviour: &str, when: &str) -> Harness {
    let harness = Harness::vm(behaviour);
    harness.faults(&format!(
        "[{{method: POST, path: '*/golive', action: {{delay: 50s, when: {when}}}}}]"
    ));
    let run = tokio::time::timeout(Duration::from_secs(5), harness.once());
    assert!(run.await.is_err(), "it dies");
    let record = harness.record("contoso/vm");
    assert_eq!((record.phase, record.operation), (Phase::Triggering, None));
    let sent = harness.golive_entries()[0].request_id.clone();
    assert_eq!(record.intent.map(|intent| intent.request_id.as_str().to_owned()), sent);
    harness
}

#[tokio::test(start_paused = true)]
async fn an_intent_of_an_accepted_request_finds_its_operation() {
    let harness = crashed_while_sending("{stepTime: 1h}", "after").await;
    let id = harness.record("contoso/vm").intent.unwrap().request_id;
    harness.once().await;
    let record = harness.record("contoso/vm");
    assert_eq!((record.phase, record.intent), (Phase::InProgress, None));
    let operation = record.operation.unwrap();
    assert_eq!((operation.adopted, operation.request_id), (false, Some(id)));
    harness.until_done().await;
    assert_eq!((harness.golives("contoso/vm"), harness.phase("contoso/vm")), ((1, 1), Phase::Live));
}

#[tokio::test(start_paused = true)]
async fn an_intent_whose_operation_has_ended_is_live() {
    let harness = crashed_while_sending("{}", "after").await;
    tokio::time::advance(Duration::from_hours(1)).await;
    harness.once().await;
    let record = harness.record("contoso/vm");
    assert_eq!((record.phase, record.intent), (Phase::Live, None));
    assert_eq!(harness.golives("contoso/vm"), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_operation_listed_late_or_never_is_recorded() {
    for (hidden, later) in [(1, 1), (9, 60)] {
        let harness = crashed_while_sending("{}", "after").await;
        tokio::time::advance(Duration::from_mins(1)).await;
        harness.faults(&format!(
            "[{{path: '*/submissions', count: {hidden}, action: {{status: 404}}}}]"
        ));
        let request = harness.record("contoso/vm").intent.unwrap().request_id;
        for _ in 0..2 {
            // Production has the release, which proves the request's success without a list.
            harness.once().await;
            let record = harness.record("contoso/vm");
            assert_eq!((record.phase, record.intent, record.history), (Phase::Live, None, vec![]));
            let operation = record.operation.unwrap();
            assert_eq!(operation.status, OperationStatus::Succeeded);
            assert_eq!((operation.adopted, operation.request_id.as_ref()), (false, Some(&request)));
            assert_eq!((operation.id, operation.release), (None, Some(Release::from(1))));
            tokio::time::advance(Duration::from_mins(later)).await;
        }
        assert_eq!(harness.golives("contoso/vm"), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn the_result_of_an_older_version_is_recorded() {
    let harness = crashed_while_sending("{fail: {times: 1}}", "after").await;
    tokio::time::advance(Duration::from_hours(1)).await;
    harness.emulator.by_hand("contoso/vm", ManualAction::Publish).unwrap();
    harness.until_done().await;
    assert_eq!((harness.golives("contoso/vm"), harness.phase("contoso/vm")), ((2, 2), Phase::Live));
    let record = harness.record("contoso/vm");
    let ends = record.history.iter().chain(record.operation.as_deref());
    let ends: Vec<_> = ends.map(|it| (it.release.clone().unwrap(), it.status.clone())).collect();
    let expected = [
        (Release::from(1), OperationStatus::Failed),
        (Release::from(2), OperationStatus::Succeeded),
    ];
    assert_eq!(ends, expected);
}

#[tokio::test(start_paused = true)]
async fn an_intent_whose_operation_has_failed_is_shown_and_not_repeated() {
    let harness = crashed_while_sending("{fail: {message: <b>no</b>}}", "after").await;
    tokio::time::advance(Duration::from_hours(1)).await;
    for _ in 0..2 {
        let outcome = harness.until_done().await;
        assert_eq!(outcome.problems(), 1);
        let record = harness.record("contoso/vm");
        assert_eq!((record.phase, record.intent), (Phase::Failed, None));
        assert!(record.message.ends_with("failed at Live: no"), "{}", record.message);
    }
    assert_eq!(harness.golives("contoso/vm"), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_intent_without_a_trace_is_repeated_after_the_settle_time() {
    let harness = crashed_while_sending("{}", "before").await;
    let intent = harness.record("contoso/vm").intent.unwrap();
    harness.until_done().await;
    assert_eq!((harness.golives("contoso/vm"), harness.phase("contoso/vm")), ((2, 1), Phase::Live));
    let again = &harness.golive_entries()[1];
    let apart = again.at.duration_since(intent.at);
    assert!(apart.as_secs() >= 30, "{apart:?}");
    assert_ne!(again.request_id.as_deref(), Some(intent.request_id.as_str()));
    assert_eq!(again.if_match, intent.fence.map(|fence| fence.0));
}

/// A network in which the first golive arrives after 55 seconds, even if its sender has crashed.
struct DelayedTransport {
    inner: Arc<dyn Transport>,
    sent: AtomicUsize,
}

#[async_trait]
impl Transport for DelayedTransport {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let is_golive = request.uri().path().ends_with("/golive");
        if !is_golive || self.sent.fetch_add(1, Ordering::SeqCst) > 0 {
            return self.inner.send(request).await;
        }
        let inner = Arc::clone(&self.inner);
        let arrives = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(55)).await;
            inner.send(request).await
        });
        arrives.await.unwrap()
    }
}

impl std::fmt::Debug for DelayedTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DelayedTransport")
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_request_gets_its_settle_time() {
    let harness = Harness::vm("{stepTime: 1h}");
    let harness = harness
        .with_transport(|inner| Arc::new(DelayedTransport { inner, sent: AtomicUsize::new(0) }));
    let dies = tokio::time::timeout(Duration::from_secs(40), harness.once());
    assert!(dies.await.is_err(), "it dies, longer after the intent than it takes to settle");
    harness.once().await;
    tokio::time::advance(Duration::from_mins(1)).await;
    assert_eq!(
        (harness.golives("contoso/vm"), harness.phase("contoso/vm")),
        ((1, 1), Phase::InProgress)
    );
}

#[tokio::test(start_paused = true)]
async fn an_intent_for_a_changed_offer_is_planned_anew() {
    let harness = crashed_while_sending("{}", "before").await;
    harness.emulator.by_hand("contoso/vm", ManualAction::Publish).unwrap();
    harness.until_done().await;
    assert_eq!((harness.golives("contoso/vm"), harness.phase("contoso/vm")), ((2, 1), Phase::Live));
    assert_eq!(harness.live_version("contoso/vm"), 2);
}

#[tokio::test(start_paused = true)]
async fn an_intent_is_dropped_when_another_client_launched_the_offer() {
    let harness = crashed_while_sending("{}", "before").await;
    harness.emulator.by_hand("contoso/vm", ManualAction::GoLive).unwrap();
    harness.until_done().await;
    let record = harness.record("contoso/vm");
    assert_eq!((record.phase, record.intent), (Phase::Live, None));
    assert_eq!(harness.golives("contoso/vm"), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn without_a_status_file_running_operations_are_adopted() {
    let harness = crashed_while_sending("{stepTime: 1h}", "after").await;
    harness.delete_status();
    harness.until_done().await;
    assert_eq!((harness.golives("contoso/vm"), harness.phase("contoso/vm")), ((1, 1), Phase::Live));
}

/// Passes some requests; at the next one, before or after it arrives, the process crashes.
struct CrashingTransport {
    inner: Arc<dyn Transport>,
    passing: AtomicUsize,
    arrives: bool,
    dead: Arc<Notify>,
}

#[async_trait]
impl Transport for CrashingTransport {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let fewer = |left: usize| left.checked_sub(1);
        if self.passing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fewer).is_ok() {
            return self.inner.send(request).await;
        }
        if self.arrives {
            drop(self.inner.send(request).await);
        }
        self.dead.notify_one();
        std::future::pending().await
    }
}

impl std::fmt::Debug for CrashingTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CrashingTransport")
    }
}

/// Runs to the end, or crashes at the request with this number. Returns whether it crashed.
async fn run_crashing_at(number: usize, arrives: bool, behaviour: &str) -> (Harness, bool) {
    let dead = Arc::new(Notify::new());
    let mut kept = None;
    let harness = Harness::vm(behaviour).with_transport(|inner| {
        kept = Some(Arc::clone(&inner));
        let (passing, dead) = (AtomicUsize::new(number), Arc::clone(&dead));
        Arc::new(CrashingTransport { inner, passing, arrives, dead })
    });
    let died = tokio::select! {
        _ = harness.until_done() => false,
        () = dead.notified() => true,
    };
    (harness.with_transport(|_| kept.unwrap()), died)
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_request_leads_to_one_golive() {
    for behaviour in ["{previewVersion: 2, liveVersion: 1}", "{stepTime: 10m}", "{header: none}"] {
        for arrives in [false, true] {
            let mut number = 0;
            loop {
                let at = format!("{behaviour}, request {number}, arrives: {arrives}");
                let (harness, died) = run_crashing_at(number, arrives, behaviour).await;
                harness.until_done().await;
                let (received, accepted) = harness.golives("contoso/vm");
                assert!(accepted == 1 && received == 1, "{at}: {received} {accepted}");
                let record = harness.record("contoso/vm");
                assert_eq!((record.phase, record.intent), (Phase::Live, None), "{at}");
                if !died {
                    break;
                }
                number += 1;
            }
            assert!(number > 5, "it never died: {behaviour}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_unseen_failure_is_not_mistaken_for_a_later_launch() {
    let harness = crashed_while_sending("{stepTime: 10h}", "after").await;
    let hand = |hand| {
        harness.emulator.by_hand("contoso/vm", hand).unwrap();
    };
    hand(ManualAction::Fail("no".to_owned()));
    tokio::time::advance(Duration::from_mins(1)).await;
    hand(ManualAction::Publish);
    hand(ManualAction::GoLive);
    tokio::time::advance(Duration::from_hours(1)).await;
    harness.once().await;
    let record = harness.record("contoso/vm");
    assert_eq!(record.phase, Phase::Live);
    let own = record.history.iter().chain(record.operation.as_deref());
    let own: Vec<_> = own.filter(|it| !it.adopted).collect();
    let message =
        |it: &OperationRecord| (it.release.as_ref().map(ToString::to_string), it.status.clone());
    assert_eq!(harness.golives("contoso/vm"), (1, 1));
    assert_eq!(
        own.into_iter().map(message).collect::<Vec<_>>(),
        [(Some("1".to_owned()), OperationStatus::Failed)]
    );
}
