//! A marketplace that takes its time, and counts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::serve::ListenerExt as _;
use golive::clock::SystemClock;
use golive::emulator::{Emulator, parse};

use super::files::name;

/// The emulator on a socket.
pub(crate) struct Market {
    emulator: Emulator,
    counts: Arc<Counts>,
    address: SocketAddr,
}

/// What the server saw. Seen from there, so that it does not rest on what golive says of itself.
#[derive(Debug, Default)]
struct Counts {
    requests: AtomicUsize,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    latency_in_micros: AtomicU64,
}

/// How many offers there are, in preview, of which no manifest speaks.
pub(crate) const SPARE: usize = 20;

impl Market {
    /// With this many offers, of which the first few are in preview and the others live, and a few
    /// more.
    pub(crate) fn new(offers: usize, publishers: usize, in_preview: usize) -> Self {
        let seeds = (0..offers + SPARE).map(|number| {
            let status = if (in_preview..offers).contains(&number) {
                "{status: Succeeded, liveVersion: 1, previewVersion: 1}"
            } else {
                "{status: WaitingForPublisherReview}"
            };
            format!("  {}: {status}\n", name(number, publishers))
        });
        let seed = format!("stepTime: 24h\noffers:\n{}", seeds.collect::<String>());
        let emulator = Emulator::new(parse(&seed).unwrap(), Arc::new(SystemClock));
        let counts = Arc::<Counts>::default();
        let counting = middleware::from_fn_with_state(Arc::clone(&counts), count);
        let router = emulator.router().layer(counting);
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
                axum::serve(listener, router).await.unwrap();
            });
        });
        Self { emulator, counts, address: receiver.recv().unwrap() }
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

    /// How many golives were accepted so far.
    pub(crate) fn golives(&self) -> u64 {
        self.emulator.journal().all_golives().accepted
    }
}

async fn count(State(counts): State<Arc<Counts>>, request: Request, next: Next) -> Response {
    counts.requests.fetch_add(1, Ordering::Relaxed);
    let now = counts.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
    counts.most_in_flight.fetch_max(now, Ordering::Relaxed);
    let latency = Duration::from_micros(counts.latency_in_micros.load(Ordering::Relaxed));
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let response = next.run(request).await;
    counts.in_flight.fetch_sub(1, Ordering::Relaxed);
    response
}
