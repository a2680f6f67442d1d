//! A marketplace with latency that counts requests, for the benchmarks of whole processes.

#![allow(dead_code, reason = "each benchmark uses a part of it")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::serve::ListenerExt as _;
use golive::clock::SystemClock;
use golive::emulator::{Emulator, parse};

/// The emulator on a socket.
pub(crate) struct Market {
    counts: Arc<Counts>,
    golives: Receiver<Golive>,
    address: SocketAddr,
}

/// A received golive request.
pub(crate) struct Golive {
    /// The request's path.
    pub(crate) path: String,
    /// When the server had received its head.
    pub(crate) at: Instant,
}

/// Counts of the server, which don't rely on golive's own figures.
#[derive(Debug)]
struct Counts {
    requests: AtomicUsize,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    latency_in_micros: AtomicU64,
    golives: Sender<Golive>,
}

impl Market {
    /// Creates a marketplace with these offers, as lines of an emulator's seed.
    pub(crate) fn new(offers: impl IntoIterator<Item = String>) -> Self {
        let lines = offers.into_iter().map(|line| format!("  {line}\n"));
        let seed = format!("stepTime: 24h\noffers:\n{}", lines.collect::<String>());
        let emulator = Emulator::new(parse(&seed).unwrap(), Arc::new(SystemClock));
        let (golive_seen, golives) = channel();
        let counts = Arc::new(Counts {
            requests: AtomicUsize::default(),
            in_flight: AtomicUsize::default(),
            most_in_flight: AtomicUsize::default(),
            latency_in_micros: AtomicU64::default(),
            golives: golive_seen,
        });
        let counting = middleware::from_fn_with_state(Arc::clone(&counts), count);
        let router = emulator.router().layer(counting);
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
                axum::serve(listener, router).await.unwrap();
            });
        });
        Self { counts, golives, address: receiver.recv().unwrap() }
    }

    /// Sets the latency of all later answers.
    pub(crate) fn set_latency(&self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap();
        self.counts.latency_in_micros.store(micros, Ordering::Relaxed);
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns and resets the number of requests and the most in flight.
    pub(crate) fn take_counts(&self) -> (usize, usize) {
        let requests = self.counts.requests.swap(0, Ordering::Relaxed);
        (requests, self.counts.most_in_flight.swap(0, Ordering::Relaxed))
    }

    /// The number of requests since the last reset.
    pub(crate) fn requests(&self) -> usize {
        self.counts.requests.load(Ordering::Relaxed)
    }

    /// Waits for the next golive request.
    pub(crate) fn next_golive(&self) -> Golive {
        self.golives.recv().unwrap()
    }

    /// The golive requests since the last call.
    pub(crate) fn take_golives(&self) -> impl Iterator<Item = Golive> {
        self.golives.try_iter()
    }
}

async fn count(State(counts): State<Arc<Counts>>, request: Request, next: Next) -> Response {
    counts.requests.fetch_add(1, Ordering::Relaxed);
    let now = counts.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
    counts.most_in_flight.fetch_max(now, Ordering::Relaxed);
    if request.method() == Method::POST && request.uri().path().ends_with("/golive") {
        let path = request.uri().path().to_owned();
        counts.golives.send(Golive { path, at: Instant::now() }).unwrap();
    }
    let latency = Duration::from_micros(counts.latency_in_micros.load(Ordering::Relaxed));
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let response = next.run(request).await;
    counts.in_flight.fetch_sub(1, Ordering::Relaxed);
    response
}
