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
enum What {
    Lists,
    /// The requests about an offer.
    Offers,
    Posts,
    All,
}

/// Delays one publisher's requests, and records when golives were sent.
struct Slow {
    inner: Arc<dyn Transport>,
    publisher: String,
    what: What,
    delay: Duration,
    began: Instant,
    golives: Arc<Golives>,
}

/// When each offer's golives were sent, in seconds.
type Golives = Mutex<BTreeMap<String, Vec<u64>>>;

#[async_trait]
impl Transport for Slow {
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
        let is_hit = match self.what {
            What::Lists => is_list,
            What::Offers => !is_list,
            What::Posts => is_post,
            What::All => true,
        };
        if is_hit && publisher == self.publisher {
            sleep(self.delay).await;
        }
        self.inner.send(request).await
    }
}

/// Offers that should go live, with one slow publisher.
struct Town {
    harness: Harness,
    golives: Arc<Golives>,
    told: Arc<Told>,
    began: Instant,
}

/// Events that a run has reported.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<String>>);

impl Reporter for Told {
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

impl Town {
    /// Creates offers for each publisher; those of `contoso` are delayed by `delay` seconds.
    fn new(publishers: &[(&str, usize)], behaviour: &str, what: What, delay: u64) -> Self {
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
        let (began, golives) = (Instant::now(), Arc::<Golives>::default());
        let harness = harness.with_transport(|inner| {
            Arc::new(Slow {
                inner,
                publisher: "contoso".to_owned(),
                what,
                delay: Duration::from_secs(delay),
                began,
                golives: Arc::clone(&golives),
            })
        });
        Self { harness, golives, told: Arc::default(), began }
    }

    async fn run(&self, options: &RunOptions) -> Outcome {
        self.harness.run_with_reporter(options, Arc::clone(&self.told) as _).await.unwrap()
    }

    fn told(&self) -> Vec<String> {
        self.told.0.lock().unwrap().clone()
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
async fn one_that_hangs_holds_up_nobody() {
    // Until its first requests time out, the slow publisher may take all turns.
    for (what, turns, behaviour) in [
        (What::All, 0, "{}"),
        (What::Lists, 0, "{}"),
        (What::Offers, DOCUMENT_TIMEOUT, "{}"),
        // golive doesn't read the document, since it has no ETag.
        (What::Offers, TIMEOUT, "{profile: field}"),
    ] {
        let town = Town::new(&SIX, behaviour, what, NEVER);
        let outcome = town.run(&RunOptions::once()).await;
        for other in ["a", "b", "d", "e", "f"] {
            let (count, _, last) = town.golives(other);
            assert!(count == 10 && last <= turns + 1, "{what:?} {other}: {count}, {last}");
        }
        assert_eq!(town.golives("contoso").0, 0, "{what:?}");
        town.assert_unreachable("contoso");
        let found = (outcome.problems(), outcome.triggered, outcome.planned.changes.len());
        assert_eq!(found, (50, 50, 100), "{what:?}");
        assert!(outcome.planned.changes.is_sorted_by(|one, other| one.offer < other.offer));
        assert_eq!(outcome.records.len(), 100);
    }
}

#[tokio::test(start_paused = true)]
async fn one_whose_requests_hang_holds_up_nobody() {
    let town = Town::new(&SIX, "{}", What::Posts, NEVER);
    town.run(&RunOptions::once()).await;
    for other in ["a", "b", "d", "e", "f"] {
        let (count, _, last) = town.golives(other);
        assert!(count == 10 && last <= TIMEOUT + 1, "{other}: {count}, {last}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_answers_late_is_launched_in_the_same_run() {
    for options in [RunOptions::once(), RunOptions::once().with_retry(), RunOptions::until_done()] {
        let town = Town::new(&[("contoso", 5), ("d", 5), ("e", 5)], "{}", What::Lists, 40);
        let outcome = town.run(&options).await;
        assert_eq!(town.golives("contoso"), (5, 40, 40));
        assert_eq!(town.golives("d"), (5, 0, 0));
        assert_eq!(town.golives("e"), (5, 0, 0));
        assert_eq!((outcome.problems(), outcome.triggered), (0, 15));
        assert_eq!(outcome.planned.changes.len(), 15);
        assert!(outcome.planned.changes.is_sorted_by(|one, other| one.offer < other.offer));
        if options.wait == Wait::No {
            assert_eq!(["contoso", "d", "e"].map(|publisher| town.lists(publisher)), [1, 1, 1]);
        } else {
            assert_eq!(outcome.running(), 0);
        }
        // Once with complete information, and once in a run.
        assert_eq!(town.told(), ["15 of 3", "planned 15"]);
    }
}

#[tokio::test(start_paused = true)]
async fn where_all_are_quick_all_is_one() {
    let town = Town::new(&SIX, "{stepTime: 1h}", What::All, 1);
    let outcome = town.run(&RunOptions::once()).await;
    assert_eq!((outcome.triggered, outcome.planned.changes.len()), (100, 100));
    assert_eq!(town.told(), ["100 of 6", "planned 100"]);
    for (publisher, _) in SIX {
        assert_eq!(town.lists(publisher), 1);
    }
}

/// Plans and requests don't depend on grouping: a guard makes all offers one group.
#[tokio::test(start_paused = true)]
async fn groups_are_decided_about_as_all_together() {
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
async fn of_several_that_are_late_none_waits_for_the_last() {
    let town = Town::new(&[("contoso", 9), ("d", 9), ("hung", 9)], "{}", What::Lists, 25);
    town.harness
        .faults("[{path: '/api/publishers/hung/offers', count: always, action: {delay: 24h}}]");
    let outcome = town.run(&RunOptions::once()).await;
    assert_eq!(town.golives("d"), (9, 0, 0));
    assert_eq!(town.golives("contoso"), (9, 25, 25));
    town.assert_unreachable("hung");
    assert_eq!((outcome.problems(), outcome.planned.changes.len()), (9, 27));
    assert_eq!(town.told(), ["27 of 3", "planned 27"]);
}

#[tokio::test(start_paused = true)]
async fn a_guard_knows_everything_before_anything_is_sent() {
    let publishers = [("contoso", 5), ("d", 5)];
    let town = Town::new(&publishers, "{}", What::Lists, 40);
    let mut options = RunOptions::once();
    options.guard.max_changes = Some(9);
    let refused = town.harness.run_with_reporter(&options, Arc::clone(&town.told) as _).await;
    assert_eq!(refused.unwrap_err().to_string(), too_many(10, 9));
    assert!(town.golives.lock().unwrap().is_empty());
    options.guard.max_changes = Some(10);
    town.run(&options).await;
    assert_eq!((town.golives("contoso"), town.golives("d")), ((5, 80, 80), (5, 80, 80)));
    assert_eq!(town.told(), ["10 of 2", "10 of 2", "planned 10"]);
}

fn too_many(found: usize, allowed: usize) -> String {
    format!(
        "--max-changes allows {allowed}, but this would make it {found}; none of these was sent"
    )
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_offers_of_another_is_decided_about_together_with_it() {
    let town = Town::new(&[("contoso", 2), ("d", 2), ("e", 2)], "{}", What::Lists, 40);
    town.harness.manifest("d.yaml", &live("d/z", "after: [contoso/vm-00]"));
    town.run(&RunOptions::until_done()).await;
    assert_eq!(town.golives("e"), (2, 0, 0));
    assert_eq!((town.golives("contoso"), town.golives("d")), ((2, 40, 40), (2, 40, 40)));
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_owed_to_who_is_late() {
    let publishers = [("contoso", 3), ("d", 3)];
    let town = Town::new(&publishers, "{fail: {times: 1}}", What::Lists, 40);
    town.run(&RunOptions::until_done()).await;
    assert_eq!(town.harness.phase("contoso/vm-00"), Phase::Failed);
    let outcome = town.run(&RunOptions::until_done().with_retry()).await;
    assert_eq!((outcome.problems(), outcome.triggered), (0, 6));
    for offer in ["contoso/vm-00", "contoso/vm-02", "d/vm-00", "d/vm-02"] {
        assert_eq!((town.harness.golives(offer), town.harness.phase(offer)), ((2, 2), Phase::Live));
    }
}

#[tokio::test(start_paused = true)]
async fn one_look_is_taken_at_who_is_late_however_short_the_wait() {
    let town = Town::new(&[("contoso", 3), ("d", 3)], "{}", What::Lists, 40);
    let wait = Wait::Until(Some(Duration::from_secs(5)));
    let outcome = town.run(&RunOptions { wait, ..RunOptions::once() }).await;
    assert_eq!((town.golives("contoso"), town.golives("d")), ((3, 40, 40), (3, 0, 0)));
    assert_eq!((outcome.problems(), outcome.running()), (0, 6));
}

#[tokio::test(start_paused = true)]
async fn a_later_look_takes_no_longer_than_it_may() {
    // Offers of d go live at once; contoso is slow by then.
    let town = Town::new(&[("contoso", 1), ("d", 3)], "{}", What::Lists, 50);
    let wait = Wait::Until(Some(Duration::from_secs(70)));
    town.run(&RunOptions { wait, ..RunOptions::once() }).await;
    assert!(town.began.elapsed() <= Duration::from_secs(85), "{:?}", town.began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_is_late_is_not_waited_for_once_it_is_to_stop() {
    let town = Town::new(&[("contoso", 3), ("d", 3)], "{}", What::Lists, 40);
    let stop = town.harness.stop.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(20)).await;
        stop.cancel();
    });
    let outcome = town.run(&RunOptions::until_done()).await;
    assert!(outcome.interrupted && town.began.elapsed().as_secs() == 20);
    assert_eq!((town.golives("contoso").0, town.golives("d").0), (0, 3));
    assert_eq!((outcome.problems(), outcome.planned.changes.len()), (0, 3));
    assert_eq!(town.told(), ["6 of 2", "stopping"]);
}

#[tokio::test(start_paused = true)]
async fn the_publisher_that_the_marketplace_asks_to_wait_for_is_left_alone() {
    let town = Town::new(&[("contoso", 3), ("d", 3), ("e", 3)], "{}", What::Lists, 0);
    town.harness.faults(
        "[{path: '/api/publishers/contoso/offers', action: {status: 429, retryAfter: 60}}]",
    );
    town.run(&RunOptions::once()).await;
    for (publisher, earliest, latest) in [("contoso", 60, 75), ("d", 0, 15), ("e", 0, 15)] {
        let (count, first, last) = town.golives(publisher);
        let in_time = first >= earliest && last <= latest;
        assert!(count == 3 && in_time, "{publisher}: {count}, {first}, {last}");
        assert!(town.lists(publisher) <= 2);
    }
}

#[tokio::test(start_paused = true)]
async fn where_the_marketplace_asks_to_wait_for_two_publishers_nothing_is_sent_to_it() {
    let town = Town::new(&[("contoso", 3), ("d", 3), ("e", 3)], "{}", What::Lists, 0);
    town.harness.faults(
        "[{path: '/api/publishers/contoso/offers', action: {status: 429, retryAfter: 60}},
          {path: '/api/publishers/d/offers', action: {status: 503, retryAfter: 60}}]",
    );
    town.run(&RunOptions::once()).await;
    for publisher in ["contoso", "d", "e"] {
        let (count, first, last) = town.golives(publisher);
        assert!(count == 3 && first >= 60 && last <= 75, "{publisher}: {count}, {first}, {last}");
        assert!(town.lists(publisher) <= 2);
    }
}
