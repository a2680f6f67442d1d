//! Clients that read slowly, or not at all, over a pipe in virtual time.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::{Fixture, invented};
use crate::serve::server::connection;
use crate::serve::site::router;
use crate::serve::slow_reader::{MAX_BLOCKED, MIN_BYTES_PER_SECOND};

/// The buffer between server and client, in bytes.
const PIPE: usize = 4096;

/// A site with a long page.
fn site() -> Fixture {
    let fixture = Fixture::new();
    for offer in 0..500 {
        fixture.set(&format!("contoso/vm-{offer}"), invented::running("Live", Some(42)));
    }
    fixture
}

/// Asks for a page. The task ends with the connection.
async fn ask(fixture: &Fixture, path: &str) -> (DuplexStream, JoinHandle<()>) {
    let (mut near, far) = duplex(PIPE);
    let router = router(fixture.site.clone());
    let served = tokio::spawn(connection(router, far, fixture.stop.clone()));
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    near.write_all(request.as_bytes()).await.unwrap();
    (near, served)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_cut_off() {
    let fixture = site();
    for path in ["/", "/api/status"] {
        let began = Instant::now();
        let (_near, served) = ask(&fixture, path).await;
        timeout(MAX_BLOCKED * 2, served).await.unwrap().unwrap();
        assert!(began.elapsed() >= MAX_BLOCKED, "{path}: {:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_too_little_is_cut_off_and_a_slow_one_is_not() {
    let fixture = site();
    let pace = usize::try_from(MIN_BYTES_PER_SECOND).unwrap();
    for (bytes, is_served) in [(pace / 20, false), (pace + 512, true)] {
        let (mut near, served) = ask(&fixture, "/").await;
        let (mut answer, mut buffer) = (Vec::new(), vec![0; bytes]);
        loop {
            sleep(Duration::from_secs(1)).await;
            match near.read(&mut buffer).await.unwrap() {
                0 => break,
                count => answer.extend_from_slice(&buffer[..count]),
            }
        }
        served.await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert_eq!(answer.contains("</html>"), is_served, "{bytes}: {} bytes", answer.len());
    }
}

#[tokio::test(start_paused = true)]
async fn events_may_be_rare_but_must_be_read() {
    let fixture = site();
    let (mut near, served) = ask(&fixture, "/events").await;
    let began = Instant::now();
    let mut text = Vec::new();
    while began.elapsed() < Duration::from_hours(2) {
        near.read_buf(&mut text).await.unwrap();
    }
    let text = String::from_utf8(text).unwrap();
    assert!(text.matches("still here").count() > 400, "{text}");
    assert!(!served.is_finished());
    // From now on nobody reads: once the buffer is full, the connection is cut off.
    timeout(Duration::from_hours(1), served).await.unwrap().unwrap();
}
