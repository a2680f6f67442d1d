//! An intent that can't be written: nothing is sent, and the record stays as it was.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use golive::status::Phase;
use http::Method;
use pretty_assertions::assert_eq;

use crate::crash::crashed_while_sending;
use crate::harness::{Harness, RunOptions, Spy};
use crate::test_env::{STATUS, live};

/// When `contoso/vm` is first inspected, a folder takes the status file's place, so that it can't be
/// replaced; `after` some time it can again.
fn with_unwritable_status(harness: Harness, after: Duration) -> Harness {
    let (path, aside): (PathBuf, PathBuf) = (harness.path(STATUS), harness.path("aside"));
    let begun = AtomicBool::new(false);
    harness.with_transport(|inner| {
        let look = move |request: &http::Request<bytes::Bytes>| {
            let asked = request.method() == Method::GET && request.uri().path().ends_with("/vm");
            if asked && !begun.swap(true, Ordering::SeqCst) {
                if path.exists() {
                    std::fs::copy(&path, &aside).unwrap();
                    std::fs::remove_file(&path).unwrap();
                }
                std::fs::create_dir(&path).unwrap();
                let path = path.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    std::fs::remove_dir(path).unwrap();
                });
            }
        };
        Arc::new(Spy { inner, look })
    })
}

/// Delays the other offer until the file can be written again.
fn with_late_offer(harness: Harness, delay: &str) -> Harness {
    harness.manifest("late.yaml", &live("contoso/late", ""));
    harness
        .faults(&format!("[{{method: GET, path: '*/offers/late', action: {{delay: {delay}}}}}]"));
    harness
}

#[tokio::test(start_paused = true)]
async fn an_unwritten_intent_is_not_written_later() {
    let harness = Harness::new("offers: {contoso/vm: {}, contoso/late: {}}");
    harness.manifest("vm.yaml", &live("contoso/vm", ""));
    let harness = with_unwritable_status(with_late_offer(harness, "50s"), Duration::from_secs(20));
    let outcome = harness.run(&RunOptions::once()).await.unwrap();
    assert_eq!((harness.golives("contoso/vm"), harness.golives("contoso/late")), ((0, 0), (1, 1)));
    assert_eq!(outcome.problems(), 1);
    let record = harness.record("contoso/vm");
    assert_eq!((record.phase, record.intent, record.attempts), (Phase::Triggering, None, 0));
    let error = record.error.unwrap().message;
    assert!(error.contains("could not be written"), "{error}");
    harness.until_done().await;
    assert_eq!((harness.golives("contoso/vm"), harness.phase("contoso/vm")), ((1, 1), Phase::Live));
}

#[tokio::test(start_paused = true)]
async fn a_doubt_is_kept_when_a_new_attempt_can_not_be_written() {
    let harness = crashed_while_sending("{}", "before").await;
    let intent = harness.record("contoso/vm").intent.unwrap();
    harness.emulator.add_missing([("contoso".to_owned(), "late".to_owned(), None)]);
    // The first attempt's deadline and settle time pass before.
    let harness =
        with_unwritable_status(with_late_offer(harness, "290s"), Duration::from_secs(280));
    harness.run(&RunOptions::once()).await.unwrap();
    assert_eq!((harness.golives("contoso/vm"), harness.golives("contoso/late")), ((1, 0), (1, 1)));
    assert_eq!(
        harness.record("contoso/vm").intent,
        Some(intent),
        "the first request is still in doubt"
    );
}
