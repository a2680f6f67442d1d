//! Cost budgets that don't depend on the machine: requests, requests in flight, round trips, writes
//! and flushes. The time is virtual, so that durations are exact and only waiting takes time.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use golive::backends::http::{Transport, TransportError};
use golive::disk::{Disk, LockFile, RealDisk};
use golive::status::Phase;
use http::{Request, Response};
use pretty_assertions::assert_eq;
use tokio::time::Instant;

use crate::harness::Harness;
use crate::test_env::live;

const LATENCY: Duration = Duration::from_millis(100);

/// A marketplace with latency, which counts requests.
struct MeasuredTransport {
    inner: Arc<dyn Transport>,
    counts: Arc<RequestCounts>,
}

#[derive(Debug, Default)]
struct RequestCounts {
    requests: AtomicUsize,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
}

#[async_trait]
impl Transport for MeasuredTransport {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        self.counts.requests.fetch_add(1, Ordering::Relaxed);
        let now = self.counts.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        self.counts.most_in_flight.fetch_max(now, Ordering::Relaxed);
        tokio::time::sleep(LATENCY).await;
        let answer = self.inner.send(request).await;
        self.counts.in_flight.fetch_sub(1, Ordering::Relaxed);
        answer
    }
}

/// A disk that counts writes.
#[derive(Debug, Default)]
struct WriteCounts {
    writes: AtomicUsize,
    bytes: AtomicUsize,
    flushes: AtomicUsize,
    /// The last content written, by file name.
    last: Mutex<BTreeMap<String, usize>>,
}

impl WriteCounts {
    fn writes(&self) -> usize {
        self.writes.load(Ordering::Relaxed)
    }

    fn flushes(&self) -> usize {
        self.flushes.load(Ordering::Relaxed)
    }
}

impl Disk for WriteCounts {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        RealDisk.read(path)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let length = bytes.len();
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(length, Ordering::Relaxed);
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        self.last.lock().unwrap().insert(name, length);
        RealDisk.write(path, bytes)
    }

    fn flush(&self, _: &Path) -> io::Result<()> {
        self.flushes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn flush_folder(&self, _: &Path) -> io::Result<()> {
        self.flushes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn open_lock(&self, path: &Path) -> io::Result<Box<dyn LockFile>> {
        RealDisk.open_lock(path)
    }
}

/// In preview, with a slow golive.
const PREVIEW: &str = "{stepTime: 24h}";

const LIVE: &str = "{previewVersion: 1, liveVersion: 1}";

/// Requests per launch besides the list: previous attempts, the offer's status, golive and one poll;
/// and the entity tag if the offer was not migrated, as in the reference.
const PROFILES: [(&str, usize); 2] = [("field", 4), ("documented", 5)];

/// Offers of two publishers, with manifests that want them live.
fn harness(
    profile: &str,
    offers: usize,
    behaviour: &str,
    concurrency: usize,
) -> (Harness, Arc<RequestCounts>, Arc<WriteCounts>) {
    let (mut seed, mut manifests) = (String::new(), Vec::new());
    for number in 0..offers {
        let name = format!("{}/vm-{number}", ["contoso", "fabrikam"][number % 2]);
        writeln!(seed, "  {name}: {behaviour}").unwrap();
        manifests.push(live(&name, ""));
    }
    let (counts, write_counts) = (Arc::<RequestCounts>::default(), Arc::<WriteCounts>::default());
    let harness = Harness::new(&format!("profile: {profile}\noffers:\n{seed}"));
    let mut harness = harness
        .with_transport(|inner| Arc::new(MeasuredTransport { inner, counts: Arc::clone(&counts) }));
    harness.manifest("all.yaml", &manifests.join("---\n"));
    (harness.concurrency, harness.disk) = (concurrency, Arc::clone(&write_counts) as _);
    (harness, counts, write_counts)
}

#[tokio::test(start_paused = true)]
async fn golives_cost_four_requests_each_and_little_more_than_their_round_trips() {
    let loads = [(400, 32), (200, 8), (40, 1)];
    for ((profile, each), (offers, concurrency)) in
        PROFILES.into_iter().flat_map(|it| loads.map(|load| (it, load)))
    {
        let (harness, counts, write_counts) = harness(profile, offers, PREVIEW, concurrency);
        let started = Instant::now();
        let outcome = harness.once().await;
        let took = started.elapsed();
        assert_eq!((outcome.triggered, outcome.problems()), (offers, 0));
        assert!(outcome.records.values().all(|record| record.phase == Phase::InProgress));

        // Plus one list per publisher.
        let requests = counts.requests.load(Ordering::Relaxed);
        assert_eq!(requests, each * offers + 2, "{profile}");
        assert_eq!(counts.most_in_flight.load(Ordering::Relaxed), concurrency);
        let ratio = beside_round_trips(took, requests, concurrency);
        assert!(ratio <= 1.15, "{offers} offers, {concurrency} at once: {ratio:.3}");

        // Each write flushes the file and its folder. Under load there is at most one write per 50 ms.
        assert_eq!(write_counts.flushes(), 2 * write_counts.writes());
        let most = took.as_millis() / 50 + 3;
        assert!(
            write_counts.writes() as u128 <= most,
            "{} writes in {took:?}",
            write_counts.writes()
        );
        // Per triggered offer, its intent and its operation are written; each write of the whole
        // file is shared by at least a quarter of the offers under way.
        let file = write_counts.last.lock().unwrap().values().copied().max().unwrap();
        let written = write_counts.bytes.load(Ordering::Relaxed);
        assert!(written * concurrency <= 2 * 4 * offers * file, "{written} bytes");
        // At least a quarter of the offers under way share each write.
        let (updates, writes) = (2 * offers, write_counts.writes());
        assert!(4 * updates >= concurrency * writes, "{writes} writes of {updates} updates");
    }
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_to_do_nothing_is_written() {
    let (harness, counts, write_counts) = harness("field", 300, LIVE, 8);
    harness.once().await;
    let (requests, writes) = (counts.requests.load(Ordering::Relaxed), write_counts.writes());
    let started = Instant::now();
    let outcome = harness.once().await;
    assert_eq!((outcome.triggered, outcome.problems()), (0, 0));
    assert_eq!(counts.requests.load(Ordering::Relaxed) - requests, 2, "a list for each publisher");
    assert_eq!(started.elapsed(), LATENCY, "both at once");
    assert_eq!(write_counts.writes(), writes);
}

#[tokio::test(start_paused = true)]
async fn operations_that_run_cost_a_poll_each_and_one_write_for_all() {
    let (harness, counts, write_counts) = harness("field", 200, PREVIEW, 32);
    harness.once().await;
    let (requests, writes) = (counts.requests.load(Ordering::Relaxed), write_counts.writes());
    let started = Instant::now();
    harness.once().await;
    assert_eq!(counts.requests.load(Ordering::Relaxed) - requests, 200 + 2);
    assert_eq!(started.elapsed(), LATENCY * (1 + 200_u32.div_ceil(32)));
    assert!(write_counts.writes() - writes <= 2, "{} writes", write_counts.writes() - writes);
}

#[tokio::test(start_paused = true)]
async fn one_changed_file_costs_the_same_among_few_and_many() {
    for ((profile, each), others) in PROFILES.into_iter().flat_map(|it| [(it, 2), (it, 400)]) {
        let (harness, counts, write_counts) = harness(profile, others, LIVE, 8);
        harness.emulator.add_missing([("contoso", "new", None)]);
        let service = harness.watch();
        tokio::time::sleep(Duration::from_mins(1)).await;
        let requests = counts.requests.load(Ordering::Relaxed);
        let writes = write_counts.writes();

        harness.manifest("new.yaml", &live("contoso/new", ""));
        service.notify().await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(service.phase("contoso/new"), Some(Phase::InProgress));
        // Its publisher's list, and the requests of one launch.
        let requests = counts.requests.load(Ordering::Relaxed) - requests;
        assert_eq!(requests, 1 + each, "{profile}, {others} others");
        // The intent, the operation, and the poll's result.
        assert_eq!(write_counts.writes() - writes, 3, "{others} others");
        service.stop().await;
    }
}

/// How long a run took, beside as many round trips as its requests need at least.
fn beside_round_trips(took: Duration, requests: usize, concurrency: usize) -> f64 {
    let limit = LATENCY * u32::try_from(requests.div_ceil(concurrency)).unwrap();
    took.as_secs_f64() / limit.as_secs_f64()
}

/// What a page of the Product Ingestion API holds.
const PAGE: usize = 200;

#[tokio::test(start_paused = true)]
async fn golives_by_the_product_ingestion_api_cost_four_requests_each() {
    let (offers, concurrency) = (1_000, 32);
    let (harness, counts, _) = harness("field", offers, PREVIEW, concurrency);
    let harness = harness.through_ingestion();
    let started = Instant::now();
    let outcome = harness.once().await;
    let took = started.elapsed();
    assert_eq!((outcome.triggered, outcome.problems()), (offers, 0));
    assert!(outcome.records.values().all(|record| record.phase == Phase::InProgress));

    // The submissions, the same before the request unless they were read just now, the request, and
    // one poll; and the pages of a list per publisher, which has the whole account's products.
    let requests = counts.requests.load(Ordering::Relaxed);
    assert!(requests <= 4 * offers + 2 * offers / PAGE, "{requests}");
    assert_eq!(counts.most_in_flight.load(Ordering::Relaxed), concurrency);
    let ratio = beside_round_trips(took, requests, concurrency);
    assert!(ratio <= 1.1, "{ratio:.3}");
}

#[tokio::test(start_paused = true)]
async fn offers_of_the_product_ingestion_api_cost_one_request_each_and_no_list() {
    let offers = 300;
    let (harness, counts, write_counts) = harness("field", offers, LIVE, 8);
    let harness = harness.through_ingestion();
    harness.once().await;
    let requests = || counts.requests.load(Ordering::Relaxed);
    assert_eq!(requests(), offers + 2 * offers.div_ceil(PAGE), "and the pages of the lists");
    let (before, writes) = (requests(), write_counts.writes());
    let outcome = harness.once().await;
    assert_eq!((outcome.triggered, outcome.problems()), (0, 0));
    assert_eq!(requests() - before, offers, "products are remembered");
    assert_eq!(counts.most_in_flight.load(Ordering::Relaxed), 8);
    assert_eq!(write_counts.writes(), writes);
}
