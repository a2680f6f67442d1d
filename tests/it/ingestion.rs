//! The reconciler through the Product Ingestion API, against the emulator that speaks it: whole
//! launches, whatever becomes of an answer, however the lists look and however late they are.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use golive::backends::http::{ClientParts, EnvToken, InProcessTransport, Settings};
use golive::backends::ingestion::IngestionClient;
use golive::clock::RuntimeClock;
use golive::emulator::{Emulator, ManualAction};
use golive::marketplace::{Backend as _, OfferId};
use golive::status::{Phase, Reason};
use pretty_assertions::assert_eq;

use crate::harness::{Harness, RunOptions, Spy};
use crate::test_env::{manifest, parse};

const VM: &str = "contoso/vm";

/// What becomes of the first *configure*, and how often one is received in all.
const FAULTS: [(&str, u64); 23] = [
    ("{reset: before}", 2),
    ("{reset: after}", 1),
    ("{status: 500}", 2),
    ("{status: 500, when: after}", 1),
    ("{status: 502, body: ''}", 2),
    ("{status: 502, body: '', when: after}", 1),
    ("{status: 504, when: after}", 1),
    ("{html: 502, when: after}", 1),
    ("{html: 200, when: after}", 1),
    // Accepted, it says, and names no job.
    ("{status: 202, body: '{}'}", 2),
    ("{status: 202, body: '{}', when: after}", 1),
    ("{status: 200, body: '[[', when: after}", 1),
    ("{status: 408, when: after}", 1),
    ("{cutBody: 0}", 1),
    ("{cutBody: 9}", 1),
    ("{redirect: 'https://fabrikam.example/x', when: after}", 1),
    ("{endlessBody: true, when: after}", 1),
    // Longer than a request may take.
    ("{delay: 10m}", 2),
    ("{delay: 10m, when: after}", 1),
    // Not accepted, and said so.
    ("{status: 429, retryAfter: 7}", 2),
    ("{status: 503}", 2),
    ("{status: 409}", 2),
    ("{status: 423}", 2),
];

/// How late the list is: not at all; the entry flips minutes after the 202; all of it lags.
const LAGS: [&str; 3] =
    ["{}", "{delays: {running: 5s, listed: 4m, ended: 30s, jobEnded: 1m}}", "{lag: 3m}"];

fn once(action: &str) -> String {
    format!("[{{method: POST, path: '*/configure', action: {action}}}]")
}

fn number(version: u64) -> String {
    (1_152_921_504_606_846_976 + version).to_string()
}

#[track_caller]
fn harness(behaviour: &str) -> Harness {
    Harness::vm(behaviour).through_ingestion()
}

/// The release that the record has as live.
fn live(harness: &Harness) -> Option<String> {
    harness.record(VM).observed?.live.map(|release| release.as_str().to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_preview_goes_live_whatever_the_list_looks_like() {
    for shape in ["one", "oldAndNew", "previewAndLive"] {
        for more in
            ["", ", shuffled: true", ", pageSize: 1", ", oldSchemas: true", ", strict: true"]
        {
            for version in ["", "liveVersion: 2, "] {
                let behaviour =
                    format!("{{previewVersion: 3, {version}ingestion: {{live: {shape}{more}}}}}");
                let harness = harness(&behaviour);
                harness.until_done().await;
                assert_eq!(
                    (harness.golives(VM), harness.phase(VM)),
                    ((1, 1), Phase::Live),
                    "{behaviour}"
                );
                assert_eq!(live(&harness), Some(number(3)), "{behaviour}");
                let before = harness.requests().len();
                harness.once().await;
                let requests = harness.requests().split_off(before);
                assert!(requests.iter().all(|it| it.starts_with("GET ")), "{requests:?}");
                assert!(requests.len() <= 4, "{requests:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_draft_is_published_to_preview_and_stays_there() {
    for lag in LAGS {
        let behaviour = format!("offers: {{{VM}: {{status: NeverPublished, ingestion: {lag}}}}}");
        let harness = Harness::new(&behaviour).through_ingestion();
        harness.manifest("vm.yaml", &manifest(VM, "preview", ""));
        harness.until_done().await;
        harness.until_done().await;
        let accepted = harness.emulator.journal().entries().filter(|entry| entry.accepted).count();
        assert_eq!((accepted, harness.phase(VM)), (1, Phase::Preview), "{lag}");
    }
}

#[tokio::test(start_paused = true)]
async fn golive_is_accepted_exactly_once_whatever_becomes_of_the_answer() {
    for lag in LAGS {
        for (action, received) in FAULTS {
            let harness =
                harness(&format!("{{previewVersion: 3, liveVersion: 2, ingestion: {lag}}}"));
            harness.faults(&once(action));
            let outcome = harness.until_done().await;
            assert_eq!(outcome.problems(), 0, "{lag} {action}: {:?}", outcome.records);
            assert_eq!(harness.golives(VM), (received, 1), "{lag} {action}");
            let record = harness.record(VM);
            assert_eq!((record.phase, record.intent), (Phase::Live, None), "{lag} {action}");
            assert_eq!(live(&harness), Some(number(3)), "{lag} {action}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_conflict_that_was_accepted_after_all_is_found() {
    for lag in LAGS {
        let harness = harness(&format!("{{previewVersion: 3, liveVersion: 2, ingestion: {lag}}}"));
        harness.faults(&once("{status: 409, when: after}"));
        harness.until_done().await;
        // A refusal is believed: while the list lags, a second request may be sent. Its job fails.
        let (received, accepted) = harness.golives(VM);
        assert!(received <= 2 && accepted == 1, "{lag}: {received} {accepted}");
        assert_eq!((harness.phase(VM), live(&harness)), (Phase::Live, Some(number(3))), "{lag}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_holds_for_publish() {
    for lag in LAGS {
        for (action, _) in FAULTS {
            let behaviour =
                format!("offers: {{{VM}: {{status: NeverPublished, ingestion: {lag}}}}}");
            let harness = Harness::new(&behaviour).through_ingestion();
            harness.manifest("vm.yaml", &manifest(VM, "preview", ""));
            harness.faults(&once(action));
            harness.until_done().await;
            let accepted =
                harness.emulator.journal().entries().filter(|entry| entry.accepted).count();
            assert_eq!((accepted, harness.phase(VM)), (1, Phase::Preview), "{lag} {action}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_holds_where_each_run_is_a_new_one_and_the_status_file_vanishes() {
    for lag in LAGS {
        let harness = harness(&format!("{{stepTime: 20m, ingestion: {lag}}}"));
        harness.once().await;
        for _ in 0..30 {
            // Once the list shows it: before that, only the file knows of the golive.
            tokio::time::advance(Duration::from_mins(5)).await;
            harness.delete_status();
            harness.once().await;
        }
        assert_eq!((harness.golives(VM), harness.phase(VM)), ((1, 1), Phase::Live), "{lag}");
    }
}

/// Does something to the offer right before the first POST of golive arrives.
fn before_the_post(behaviour: &str, action: ManualAction) -> Harness {
    let harness = harness(behaviour);
    let emulator: Emulator = harness.emulator.clone();
    let done = AtomicBool::new(false);
    harness.with_transport(|inner| {
        let look = move |request: &http::Request<bytes::Bytes>| {
            let is_it = request.uri().path().ends_with("/configure");
            if is_it && !done.swap(true, Ordering::Relaxed) {
                emulator.by_hand(VM, action.clone()).unwrap();
            }
        };
        Arc::new(Spy { inner, look })
    })
}

#[tokio::test(start_paused = true)]
async fn another_hands_publish_between_the_look_and_the_post_is_waited_for() {
    for action in [ManualAction::StartPublish, ManualAction::Publish] {
        let harness = before_the_post("{previewVersion: 3, liveVersion: 2}", action.clone());
        harness.until_done().await;
        harness.until_done().await;
        let newer = harness.emulator.truth(VM).unwrap().preview.unwrap();
        assert!(newer > 3);
        assert_eq!((harness.golives(VM), harness.phase(VM)), ((2, 1), Phase::Live), "{action:?}");
        assert_eq!(live(&harness), Some(number(newer)), "{action:?}");
    }
    // The same golive by another hand: it is adopted.
    for action in [ManualAction::StartGoLive, ManualAction::GoLive] {
        let harness = before_the_post("{previewVersion: 3, liveVersion: 2}", action.clone());
        harness.until_done().await;
        assert_eq!((harness.golives(VM), harness.phase(VM)), ((1, 0), Phase::Live), "{action:?}");
        assert_eq!(live(&harness), Some(number(3)), "{action:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pin_that_is_replaced_blocks() {
    let harness = before_the_post("{previewVersion: 3, liveVersion: 2}", ManualAction::Publish);
    harness.manifest("vm.yaml", &manifest(VM, "live", &format!("version: {}", number(3))));
    harness.until_done().await;
    harness.until_done().await;
    let record = harness.record(VM);
    assert_eq!((record.phase, record.reason), (Phase::Blocked, Reason::VersionMismatch));
    assert_eq!(harness.golives(VM), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_failed_certification_is_shown_with_its_causes_and_not_repeated() {
    for lag in LAGS {
        let behaviour = format!(
            "{{previewVersion: 3, liveVersion: 2, ingestion: {lag}, fail: {{times: 1, message: \
             '<p>The image has no <b>agent</b>.</p>'}}}}"
        );
        let harness = harness(&behaviour);
        for _ in 0..3 {
            harness.until_done().await;
        }
        let record = harness.record(VM);
        assert_eq!((record.phase, harness.golives(VM)), (Phase::Failed, (1, 1)), "{lag}");
        let told = serde_json::to_string(&record).unwrap();
        for words in ["Issues found during Certification.", "The image has no agent."] {
            assert!(told.contains(words), "{lag}: {told}");
        }
        harness.run(&RunOptions::until_done().with_retry()).await.unwrap();
        // A list that lags may show the first failure even after the second attempt has ended.
        tokio::time::advance(Duration::from_mins(10)).await;
        harness.until_done().await;
        assert_eq!((harness.phase(VM), harness.golives(VM)), (Phase::Live, (2, 2)), "{lag}");
    }
}

#[tokio::test(start_paused = true)]
async fn jobs_that_cant_be_read_don_t_matter() {
    for job in ["jobStatus: 404", "jobStatus: 400", "jobStatus: 500", "jobStatus: 503"] {
        for lag in ["", ", delays: {listed: 2m}"] {
            let harness =
                harness(&format!("{{previewVersion: 3, stepTime: 5m, ingestion: {{{job}{lag}}}}}"));
            harness.until_done().await;
            for _ in 0..4 {
                tokio::time::advance(Duration::from_mins(10)).await;
                harness.until_done().await;
            }
            assert_eq!(
                (harness.golives(VM), harness.phase(VM)),
                ((1, 1), Phase::Live),
                "{job}{lag}"
            );
        }
    }
    let harness = harness("{expire: {polls: 1}}");
    harness.until_done().await;
    assert_eq!((harness.golives(VM), harness.phase(VM)), ((1, 1), Phase::Live));
}

#[tokio::test(start_paused = true)]
async fn what_can_t_be_decided_blocks_and_sends_nothing() {
    for behaviour in [
        "{ingestion: {twin: true}}",
        "{liveVersion: 1, ingestion: {deprecated: true}}",
        "{type: microsoft-azure-applications}",
    ] {
        let harness = harness(behaviour);
        harness.until_done().await;
        assert_eq!(
            (harness.golives(VM), harness.phase(VM)),
            ((0, 0), Phase::Blocked),
            "{behaviour}"
        );
    }
    for link in ["elsewhere", "endless"] {
        let seed = format!("{{ingestion: {{nextLink: {link}}}, offers: {{{VM}: {{}}}}}}");
        let harness = Harness::new(&seed).through_ingestion();
        harness.manifest("vm.yaml", &crate::test_env::live(VM, ""));
        harness.once().await;
        assert_eq!(harness.golives(VM), (0, 0), "{link}");
        assert!(harness.requests().len() < 5_000, "{link}: {}", harness.requests().len());
    }
}

#[tokio::test(start_paused = true)]
async fn two_accounts_with_one_offer_name_are_kept_apart_by_their_tokens() {
    let seed =
        "{accounts: {contoso: one, fabrikam: two}, offers: {contoso/vm: {}, fabrikam/vm: {}}}";
    let clock = Arc::new(RuntimeClock::starting_at("2026-12-01T09:00:00Z".parse().unwrap()));
    let emulator = Emulator::new(parse(seed), Arc::clone(&clock) as _);
    let mut products = Vec::new();
    for (token, name) in [("one", VM), ("two", "fabrikam/vm")] {
        let client = IngestionClient::new(ClientParts {
            endpoint: "http://localhost:8080".parse().unwrap(),
            transport: Arc::new(InProcessTransport::new(emulator.router())),
            tokens: Arc::new(EnvToken::new(Some(token)).unwrap()),
            clock: Arc::clone(&clock) as _,
            settings: Settings::default(),
            rng: fastrand::Rng::with_seed(7),
            permits: None,
        });
        let offer: OfferId = name.parse().unwrap();
        let listed = client.survey(offer.publisher()).await.unwrap();
        assert_eq!(listed.len(), 1, "{listed:?}");
        products.push(client.guid(&offer).unwrap());
    }
    assert_ne!(products[0], products[1]);
}
