//! A publisher that is slow, hangs or is down doesn't delay the others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use golive::backends::http::{Transport, TransportError};
use golive::changes::ChangeSet;
use golive::engine::Wait;
use golive::report::{Event, Outcome, Reporter};
use golive::status::{Phase, Reason};
use http::{Method, Request, Response};
use pretty_assertions::assert_eq;
use tokio::time::{Instant, sleep};

use crate::harness::{Harness, RunOptions};
use crate::test_env::live;

/// The client's timeout in seconds.
const TIMEOUT: u64 = 60;

/// The timeout for an offer's document, which is slow, in seconds.
const DOCUMENT_TIMEOUT: u64 = 300;

/// Which requests of a publisher are slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SlowRequests {
    Lists,
    /// The requests about an offer.
    Offers,
    Posts,
    All,
}

/// Delays one publisher's requests, and records when golives were sent.
struct SlowTransport {
    inner: Arc<dyn Transport>,
    publisher: String,
    slow: SlowRequests,
    delay: Duration,
    began: Instant,
    golives: Arc<GoliveTimes>,
}

/// When each offer's golives were sent, in seconds.
type GoliveTimes = Mutex<BTreeMap<String, Vec<u64>>>;

#[async_trait]
impl Transport for SlowTransport {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let path = request.uri().path().trim_end_matches('/').to_owned();
        let parts: Vec<_> = path.split('/').collect();
        let (publisher, is_list) = (parts[3], path.ends_with("/offers"));
        let is_post = request.method() == Method::POST;
        if is_post && path.ends_with("/golive") {
            let offer = format!("{publisher}/{}", parts[5]);
            let at = self.began.elapsed().as_secs();
            self.golives.lock().unwrap().entry(offer).or_default().push(at);
        }
        let is_hit = match self.slow {
            SlowRequests::Lists => is_list,
            SlowRequests::Offers => !is_list,
            SlowRequests::Posts => is_post,
            SlowRequests::All => true,
        };
        if is_hit && publisher == self.publisher {
            sleep(self.delay).await;
        }
        self.inner.send(request).await
    }
}

/// Offers that should go live, with one slow publisher.
struct Fixture {
    harness: Harness,
    golives: Arc<GoliveTimes>,
    events: Arc<EventLog>,
    began: Instant,
}

/// Events that a run has reported.
#[derive(Debug, Default)]
struct EventLog(Mutex<Vec<String>>);

impl Reporter for EventLog {
    fn report(&self, event: &Event<'_>) {
        let line = match event {
            Event::Observing { publishers, offers } => format!("{offers} of {publishers}"),
            Event::Planned(set) => format!("planned {}", set.changes.len()),
            Event::Stopping => "stopping".to_owned(),
            Event::Changed { .. }
            | Event::Forgotten(_)
            | Event::Answered { .. }
            | Event::NotListed { .. }
            | Event::Polled { .. }
            | Event::Doubt { .. }
            | Event::Waiting { .. } => return,
        };
        self.0.lock().unwrap().push(line);
    }
}

/// A delay far beyond all timeouts.
const NEVER: u64 = 1_000_000;

impl Fixture {
    /// Creates offers for each publisher; those of `contoso` are delayed by `delay` seconds.
    fn new(publishers: &[(&str, usize)], behaviour: &str, slow: SlowRequests, delay: u64) -> Self {
        let (mut seed, mut manifests) = ("offers:\n".to_owned(), Vec::new());
        for (publisher, count) in publishers {
            for number in 0..*count {
                let name = format!("{publisher}/vm-{number:02}");
                seed.extend([format!("  {name}: {behaviour}\n")]);
                manifests.push(live(&name, ""));
            }
        }
        let harness = Harness::new(&seed);
        harness.manifest("all.yaml", &manifests.join("---\n"));
        let (began, golives) = (Instant::now(), Arc::<GoliveTimes>::default());
        let harness = harness.with_transport(|inner| {
            Arc::new(SlowTransport {
                inner,
                publisher: "contoso".to_owned(),
                slow,
                delay: Duration::from_secs(delay),
                began,
                golives: Arc::clone(&golives),
            })
        });
        Self { harness, golives, events: Arc::default(), began }
    }

    async fn run(&self, options: &RunOptions) -> Outcome {
        self.harness.run_with_reporter(options, Arc::clone(&self.events) as _).await.unwrap()
    }

    fn events(&self) -> Vec<String> {
        self.events.0.lock().unwrap().clone()
    }

    /// How many golives were sent for a publisher's offers, and the first and last second. Panics if one
    /// was sent twice.
    fn golives(&self, publisher: &str) -> (usize, u64, u64) {
        let golives = self.golives.lock().unwrap();
        let own = golives.iter().filter(|(offer, _)| offer.starts_with(&format!("{publisher}/")));
        let times: Vec<_> = own
            .map(|(offer, at)| {
                assert_eq!((at.len(), self.harness.golives(offer)), (1, (1, 1)), "{offer}: {at:?}");
                at[0]
            })
            .collect();
        let (first, last) = (times.iter().min(), times.iter().max());
        (times.len(), first.copied().unwrap_or_default(), last.copied().unwrap_or_default())
    }

    fn lists(&self, publisher: &str) -> usize {
        let list = format!("GET /api/publishers/{publisher}/offers");
        self.harness.requests().iter().filter(|request| **request == list).count()
    }

    #[track_caller]
    fn assert_unreachable(&self, publisher: &str) {
        let records = self.harness.status().offers;
        let own = records.iter().filter(|(offer, _)| offer.publisher().as_str() == publisher);
        for (offer, record) in own {
            let found = (record.phase, record.reason);
            assert_eq!(found, (Phase::Blocked, Reason::Unreachable), "{offer}");
        }
    }
}

const SIX: [(&str, usize); 6] =
    [("a", 10), ("b", 10), ("contoso", 50), ("d", 10), ("e", 10), ("f", 10)];

#[tokio::test(start_paused = true)]
async fn a_hanging_publisher_delays_no_other() {
    // Until its first requests time out, the slow publisher may take all turns.
    for (slow, turns, behaviour) in [
        (SlowRequests::All, 0, "{}"),
        (SlowRequests::Lists, 0, "{}"),
        (SlowRequests::Offers, DOCUMENT_TIMEOUT, "{}"),
        // golive doesn't read the document, since it has no ETag.
        (SlowRequests::Offers, TIMEOUT, "{profile: field}"),
    ] {
        let fixture = Fixture::new(&SIX, behaviour, slow, NEVER);
        let outcome = fixture.run(&RunOptions::once()).await;
        for other in ["a", "b", "d", "e", "f"] {
            let (count, _, last) = fixture.golives(other);
            assert!(count == 10 && last <= turns + 1, "{slow:?} {other}: {count}, {last}");
        }
        assert_eq!(fixture.golives("contoso").0, 0, "{slow:?}");
        fixture.assert_unreachable("contoso");
        let found = (outcome.problems(), outcome.triggered, outcome.planned.changes.len());
        assert_eq!(found, (50, 50, 100), "{slow:?}");
        assert!(outcome.planned.changes.is_sorted_by(|one, other| one.offer < other.offer));
        assert_eq!(outcome.records.len(), 100);
    }
}

#[tokio::test(start_paused = true)]
async fn a_publisher_with_hanging_posts_delays_no_other() {
    let fixture = Fixture::new(&SIX, "{}", SlowRequests::Posts, NEVER);
    fixture.run(&RunOptions::once()).await;
    for other in ["a", "b", "d", "e", "f"] {
        let (count, _, last) = fixture.golives(other);
        assert!(count == 10 && last <= TIMEOUT + 1, "{other}: {count}, {last}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_publisher_is_launched_in_the_same_run() {
    for options in [RunOptions::once(), RunOptions::once().with_retry(), RunOptions::until_done()] {
        let fixture =
            Fixture::new(&[("contoso", 5), ("d", 5), ("e", 5)], "{}", SlowRequests::Lists, 40);
        let outcome = fixture.run(&options).await;
        assert_eq!(fixture.golives("contoso"), (5, 40, 40));
        assert_eq!(fixture.golives("d"), (5, 0, 0));
        assert_eq!(fixture.golives("e"), (5, 0, 0));
        assert_eq!((outcome.problems(), outcome.triggered), (0, 15));
        assert_eq!(outcome.planned.changes.len(), 15);
        assert!(outcome.planned.changes.is_sorted_by(|one, other| one.offer < other.offer));
        if options.wait == Wait::No {
            assert_eq!(["contoso", "d", "e"].map(|publisher| fixture.lists(publisher)), [1, 1, 1]);
        } else {
            assert_eq!(outcome.running(), 0);
        }
        // Once with complete information, and once in a run.
        assert_eq!(fixture.events(), ["15 of 3", "planned 15"]);
    }
}

#[tokio::test(start_paused = true)]
async fn quick_publishers_are_planned_together() {
    let fixture = Fixture::new(&SIX, "{stepTime: 1h}", SlowRequests::All, 1);
    let outcome = fixture.run(&RunOptions::once()).await;
    assert_eq!((outcome.triggered, outcome.planned.changes.len()), (100, 100));
    assert_eq!(fixture.events(), ["100 of 6", "planned 100"]);
    for (publisher, _) in SIX {
        assert_eq!(fixture.lists(publisher), 1);
    }
}

/// Plans and requests don't depend on grouping: a guard makes all offers one group.
#[tokio::test(start_paused = true)]
async fn plans_do_not_depend_on_grouping() {
    let mut found = Vec::new();
    for max_changes in [None, Some(100)] {
        let harness = Harness::new(
            "offers:
              a/x: {previewVersion: 3, liveVersion: 3}
              b/x: {previewVersion: 3, liveVersion: 2}
              c/x: {fail: {times: 1}}
              c/y: {status: Running, previewVersion: 1, stepTime: 3h}
              d/x: {previewVersion: 1}
              d/y: {}
              e/x: {}",
        );
        for (name, more) in [
            ("a/x", ""),
            ("b/x", "after: [a/x]"),
            ("c/x", ""),
            ("c/y", ""),
            ("d/x", "suspend: true"),
            ("d/y", "after: [d/x, b/x]"),
            ("e/x", ""),
            ("e/gone", ""),
        ] {
            harness.manifest(&format!("{}.yaml", name.replace('/', "-")), &live(name, more));
        }
        let mut options = RunOptions::once();
        options.guard.max_changes = max_changes;
        // An operation's progress depends on the number of earlier requests.
        let decided = |set: &ChangeSet| {
            let changes = set.changes.iter();
            changes.map(|it| (it.offer.clone(), it.decision.action())).collect::<Vec<_>>()
        };
        let first = harness.run(&options).await.unwrap().planned;
        let second = harness.run(&options).await.unwrap().planned;
        let (triggers, first, second) = (first.triggers(), decided(&first), decided(&second));
        let mut requests = harness.requests();
        requests.sort();
        found.push((triggers, first, second, requests));
    }
    assert_eq!(found[0], found[1]);
    assert_eq!((found[0].1.len(), found[0].0), (8, 3));
}

#[tokio::test(start_paused = true)]
async fn late_publishers_do_not_wait_for_each_other() {
    let fixture =
        Fixture::new(&[("contoso", 9), ("d", 9), ("hung", 9)], "{}", SlowRequests::Lists, 25);
    fixture
        .harness
        .faults("[{path: '/api/publishers/hung/offers', count: always, action: {delay: 24h}}]");
    let outcome = fixture.run(&RunOptions::once()).await;
    assert_eq!(fixture.golives("d"), (9, 0, 0));
    assert_eq!(fixture.golives("contoso"), (9, 25, 25));
    fixture.assert_unreachable("hung");
    assert_eq!((outcome.problems(), outcome.planned.changes.len()), (9, 27));
    assert_eq!(fixture.events(), ["27 of 3", "planned 27"]);
}

#[tokio::test(start_paused = true)]
async fn a_guard_plans_all_offers_before_anything_is_sent() {
    let publishers = [("contoso", 5), ("d", 5)];
    let fixture = Fixture::new(&publishers, "{}", SlowRequests::Lists, 40);
    let mut options = RunOptions::once();
    options.guard.max_changes = Some(9);
    let refused =
        fixture.harness.run_with_reporter(&options, Arc::clone(&fixture.events) as _).await;
    assert_eq!(refused.unwrap_err().to_string(), too_many(10, 9));
    assert!(fixture.golives.lock().unwrap().is_empty());
    options.guard.max_changes = Some(10);
    fixture.run(&options).await;
    assert_eq!((fixture.golives("contoso"), fixture.golives("d")), ((5, 80, 80), (5, 80, 80)));
    assert_eq!(fixture.events(), ["10 of 2", "10 of 2", "planned 10"]);
}

fn too_many(found: usize, allowed: usize) -> String {
    format!(
        "--max-changes allows {allowed}, but this would make it {found}; none of these was sent"
    )
}

#[tokio::test(start_paused = true)]
async fn dependent_publishers_are_planned_together() {
    let fixture =
        Fixture::new(&[("contoso", 2), ("d", 2), ("e", 2)], "{}", SlowRequests::Lists, 40);
    fixture.harness.manifest("d.yaml", &live("d/z", "after: [contoso/vm-00]"));
    fixture.run(&RunOptions::until_done()).await;
    assert_eq!(fixture.golives("e"), (2, 0, 0));
    assert_eq!((fixture.golives("contoso"), fixture.golives("d")), ((2, 40, 40), (2, 40, 40)));
}

#[tokio::test(start_paused = true)]
async fn a_late_publisher_gets_its_retry() {
    let publishers = [("contoso", 3), ("d", 3)];
    let fixture = Fixture::new(&publishers, "{fail: {times: 1}}", SlowRequests::Lists, 40);
    fixture.run(&RunOptions::until_done()).await;
    assert_eq!(fixture.harness.phase("contoso/vm-00"), Phase::Failed);
    let outcome = fixture.run(&RunOptions::until_done().with_retry()).await;
    assert_eq!((outcome.problems(), outcome.triggered), (0, 6));
    for offer in ["contoso/vm-00", "contoso/vm-02", "d/vm-00", "d/vm-02"] {
        assert_eq!(
            (fixture.harness.golives(offer), fixture.harness.phase(offer)),
            ((2, 2), Phase::Live)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_publisher_is_observed_once_however_short_the_wait() {
    let fixture = Fixture::new(&[("contoso", 3), ("d", 3)], "{}", SlowRequests::Lists, 40);
    let wait = Wait::Until(Some(Duration::from_secs(5)));
    let outcome = fixture.run(&RunOptions { wait, ..RunOptions::once() }).await;
    assert_eq!((fixture.golives("contoso"), fixture.golives("d")), ((3, 40, 40), (3, 0, 0)));
    assert_eq!((outcome.problems(), outcome.running()), (0, 6));
}

#[tokio::test(start_paused = true)]
async fn a_later_observation_keeps_its_time_limit() {
    // Offers of d go live at once; contoso is slow by then.
    let fixture = Fixture::new(&[("contoso", 1), ("d", 3)], "{}", SlowRequests::Lists, 50);
    let wait = Wait::Until(Some(Duration::from_secs(70)));
    fixture.run(&RunOptions { wait, ..RunOptions::once() }).await;
    assert!(fixture.began.elapsed() <= Duration::from_secs(85), "{:?}", fixture.began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_late_publisher() {
    let fixture = Fixture::new(&[("contoso", 3), ("d", 3)], "{}", SlowRequests::Lists, 40);
    let stop = fixture.harness.stop.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(20)).await;
        stop.cancel();
    });
    let outcome = fixture.run(&RunOptions::until_done()).await;
    assert!(outcome.interrupted && fixture.began.elapsed().as_secs() == 20);
    assert_eq!((fixture.golives("contoso").0, fixture.golives("d").0), (0, 3));
    assert_eq!((outcome.problems(), outcome.planned.changes.len()), (0, 3));
    assert_eq!(fixture.events(), ["6 of 2", "stopping"]);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_publisher_gets_no_requests() {
    let fixture = Fixture::new(&[("contoso", 3), ("d", 3), ("e", 3)], "{}", SlowRequests::Lists, 0);
    fixture.harness.faults(
        "[{path: '/api/publishers/contoso/offers', action: {status: 429, retryAfter: 60}}]",
    );
    fixture.run(&RunOptions::once()).await;
    for (publisher, earliest, latest) in [("contoso", 60, 75), ("d", 0, 15), ("e", 0, 15)] {
        let (count, first, last) = fixture.golives(publisher);
        let in_time = first >= earliest && last <= latest;
        assert!(count == 3 && in_time, "{publisher}: {count}, {first}, {last}");
        assert!(fixture.lists(publisher) <= 2);
    }
}

#[tokio::test(start_paused = true)]
async fn two_throttled_publishers_pause_the_whole_marketplace() {
    let fixture = Fixture::new(&[("contoso", 3), ("d", 3), ("e", 3)], "{}", SlowRequests::Lists, 0);
    fixture.harness.faults(
        "[{path: '/api/publishers/contoso/offers', action: {status: 429, retryAfter: 60}},
          {path: '/api/publishers/d/offers', action: {status: 503, retryAfter: 60}}]",
    );
    fixture.run(&RunOptions::once()).await;
    for publisher in ["contoso", "d", "e"] {
        let (count, first, last) = fixture.golives(publisher);
        assert!(count == 3 && first >= 60 && last <= 75, "{publisher}: {count}, {first}, {last}");
        assert!(fixture.lists(publisher) <= 2);
    }
}
