//! A marketplace that takes its time, and counts: for all benchmarks of whole processes.

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

/// A request to go live, as it came in.
pub(crate) struct Golive {
    /// The path that was asked for.
    pub(crate) path: String,
    /// When the server had its head.
    pub(crate) at: Instant,
}

/// What the server saw. Seen from there, so that it does not rest on what golive says of itself.
#[derive(Debug)]
struct Counts {
    requests: AtomicUsize,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    latency_in_micros: AtomicU64,
    golives: Sender<Golive>,
}

impl Market {
    /// With these offers: lines of an emulator's seed, which says what the words of a line mean.
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

    /// How long each answer takes from now on.
    pub(crate) fn set_latency(&self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap();
        self.counts.latency_in_micros.store(micros, Ordering::Relaxed);
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Counts anew: the requests so far, and the most that were in flight at once.
    pub(crate) fn take_counts(&self) -> (usize, usize) {
        let requests = self.counts.requests.swap(0, Ordering::Relaxed);
        (requests, self.counts.most_in_flight.swap(0, Ordering::Relaxed))
    }

    /// How many requests there were since they were last counted anew.
    pub(crate) fn requests(&self) -> usize {
        self.counts.requests.load(Ordering::Relaxed)
    }

    /// The next request to go live; waits for it.
    pub(crate) fn next_golive(&self) -> Golive {
        self.golives.recv().unwrap()
    }

    /// The requests to go live that came in since this was last asked.
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
