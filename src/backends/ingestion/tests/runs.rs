//! Whole runs of the engine over this backend, in virtual time: accepted exactly once, whatever
//! happens to request, answer, job and list.

use std::collections::BTreeSet;
use std::path::Path;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::service::{Fault, Service};
use super::*;
use crate::changes::{Policy, Retry};
use crate::disk::RealDisk;
use crate::engine::{self, Dependencies, Guard, Job, Reconciler, Wait};
use crate::manifest::{FileManifests, Found, assemble};
use crate::operation::Intervals;
use crate::report::Reporters;
use crate::status::{OfferRecord, OperationRecord, Phase, Reason, StatusStore};

/// A service, and a folder with a status file.
struct Place {
    service: Service,
    folder: TempDir,
    clock: Arc<RuntimeClock>,
    lines: &'static str,
}

impl Place {
    fn new(service: Service) -> Self {
        let start = "2026-12-01T09:00:00Z".parse().unwrap();
        let clock = Arc::new(RuntimeClock::starting_at(start));
        Self { service, folder: tempfile::tempdir().unwrap(), clock, lines: "" }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("golive.status.json")
    }

    /// A run by a process of its own; the offer's record after it.
    async fn run(&self, wait: Wait, retry: Retry) -> OfferRecord {
        let text = format!("publisher: contoso\noffer: vm\nstate: live\n{}", self.lines);
        let file = FileManifests::from_bytes(Path::new("vm.yaml"), text.as_bytes());
        let files = vec!["vm.yaml".into()];
        let found = Found { files, ..Found::default() };
        let desired = Arc::new(assemble(&found, [&file]).unwrap().offers);
        let clock = || Arc::clone(&self.clock) as Arc<dyn crate::clock::Clock>;
        let store = StatusStore::open(self.path(), Arc::new(RealDisk), clock()).unwrap();
        let store = Arc::new(store);
        let transport = Arc::new(InProcessTransport::new(self.service.router()));
        let tokens = Arc::new(EnvToken::new(Some(TOKEN)).unwrap());
        let parts = client_parts(DEFAULT_ENDPOINT, transport, tokens);
        let client = IngestionClient::new(ClientParts { clock: clock(), ..parts });
        let seed = self.service.asked.lock().unwrap().len();
        let dependencies = Dependencies {
            marketplace: Arc::new(client),
            store: Arc::clone(&store),
            clock: clock(),
            reporter: Arc::new(Reporters::default()),
            stop: CancellationToken::new(),
        };
        let intervals =
            Intervals { first: Duration::from_secs(30), longest: Duration::from_mins(5) };
        let settings = engine::Settings {
            concurrency: 8,
            intervals,
            pause: Duration::from_mins(2),
            settle: None,
        };
        let policy = Policy { retry, ..Policy::default() };
        let (guard, gone) = (Guard::default(), BTreeSet::new());
        let job = Job { desired, gone, policy, guard, wait };
        let reconciler = Arc::new(Reconciler::new(dependencies, settings));
        let random = fastrand::Rng::with_seed(u64::try_from(seed).unwrap());
        engine::run(&reconciler, &job, random).await.1.unwrap();
        let record = store.get(&vm()).unwrap();
        Arc::unwrap_or_clone(record)
    }

    async fn to_the_end(&self) -> OfferRecord {
        self.run(Wait::Until(None), Retry::None).await
    }

    async fn once(&self) -> OfferRecord {
        self.run(Wait::No, Retry::None).await
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.service.asked.lock().unwrap())
    }
}

fn operation(record: &OfferRecord) -> &OperationRecord {
    record.operation.as_deref().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_preview_goes_live_with_one_request_and_a_second_run_asks_once() {
    let place = Place::new(Service::new([]));
    let record = place.once().await;
    assert_eq!(record.phase, Phase::InProgress);
    let id = "00000000-0000-0000-0000-000000000001";
    assert_eq!(operation(&record).id.as_deref(), Some(id));
    let submission = format!("GET submission/{GUID}");
    let job = format!("GET configure/{id}/status");
    let asked = ["GET product", &submission, "POST configure", &submission, &job];
    assert_eq!(place.asked(), asked);
    let record = place.to_the_end().await;
    assert_eq!((record.phase, place.service.accepted()), (Phase::Live, vec![2]));
    assert_eq!(record.observed.as_ref().unwrap().product.as_deref(), Some(GUID));
    place.asked();
    let record = place.to_the_end().await;
    assert_eq!((record.phase, place.asked()), (Phase::Live, vec![submission]));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_settled_without_a_second_acceptance() {
    // The last one shows after the time that it is given: then the request is sent again, and its
    // job loses against the first one.
    let lags = [(0, false), (90, false), (8 * 60, true), (15 * 60, false)];
    for fault in [
        Fault::LostBefore,
        Fault::LostAfter,
        Fault::Answered(500),
        Fault::AnsweredAfter(500),
        Fault::AnsweredAfter(502),
        Fault::AnsweredAfter(202),
        Fault::AnsweredAfter(504),
        Fault::Answered(429),
        Fault::Answered(503),
    ] {
        for (seconds, forgets_jobs) in lags {
            let lag = Duration::from_secs(seconds);
            let place = Place::new(Service { lag, forgets_jobs, ..Service::new([fault]) });
            let record = place.to_the_end().await;
            let case = format!("{fault:?}, {lag:?}, {forgets_jobs}");
            assert_eq!((record.phase, place.service.accepted()), (Phase::Live, vec![2]), "{case}");
            assert!(record.intent.is_none(), "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_status_file_the_submission_alone_is_adopted() {
    let place = Place::new(Service::new([]));
    place.once().await;
    tokio::time::sleep(Duration::from_mins(10)).await;
    std::fs::remove_file(place.path()).unwrap();
    let record = place.once().await;
    assert_eq!((record.phase, operation(&record).adopted), (Phase::InProgress, true));
    assert_eq!(operation(&record).id.as_deref(), Some("submission/2/live"));
    let record = place.to_the_end().await;
    assert_eq!((record.phase, place.service.accepted()), (Phase::Live, vec![2]));
}

#[tokio::test(start_paused = true)]
async fn a_publish_between_look_and_request_is_waited_for_and_its_preview_launched() {
    for lag in [Duration::ZERO, Duration::from_mins(8)] {
        let place = Place::new(Service { lag, ..Service::new([Fault::Overtaken(33)]) });
        let record = place.to_the_end().await;
        assert_eq!((record.phase, place.service.accepted()), (Phase::Live, vec![33]));
        assert!(record.history.iter().all(|it| it.status != "failed".into()), "{record:#?}");
    }
    // A pinned release that was replaced blocks.
    let mut place = Place::new(Service::new([Fault::Overtaken(33)]));
    place.lines = "version: 2\n";
    let record = place.to_the_end().await;
    assert_eq!((record.phase, record.reason), (Phase::Blocked, Reason::VersionMismatch));
    assert_eq!(place.service.accepted(), Vec::<u32>::new());
}

#[tokio::test(start_paused = true)]
async fn a_failed_certification_is_not_repeated_unless_a_person_asks() {
    let place = Place::new(Service { fails: true, ..Service::new([]) });
    for _ in 0..3 {
        let record = place.to_the_end().await;
        assert_eq!(record.phase, Phase::Failed);
        let told = &operation(&record).messages;
        assert!(told[0].text.contains("Issues found during Certification."), "{told:?}");
    }
    assert_eq!(place.service.accepted(), [2]);
    let record = place.run(Wait::Until(None), Retry::All).await;
    assert_eq!((record.phase, place.service.accepted()), (Phase::Failed, vec![2, 2]));
}
