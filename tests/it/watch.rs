//! The service, in virtual time: hours pass in a moment.

use std::time::Duration;

use golive::emulator::ManualAction;
use golive::status::{Phase, Reason};
use pretty_assertions::assert_eq;

use crate::harness::{Harness, RunningService};
use crate::test_env::{live, manifest};

/// Long enough for everything that needs no waiting.
const SHORT: Duration = Duration::from_millis(200);

async fn advance(time: Duration) {
    tokio::time::sleep(time).await;
}

async fn short_pause() {
    advance(SHORT).await;
}

const MINUTE: Duration = Duration::from_mins(1);

/// Counts requests since the last call.
struct RequestCounter(usize);

impl RequestCounter {
    fn new(harness: &Harness) -> Self {
        Self(harness.requests().len())
    }

    fn take(&mut self, harness: &Harness) -> Vec<String> {
        let all = harness.requests();
        let new = all[self.0..].to_vec();
        self.0 = all.len();
        new
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_golive_only_resyncs_send_requests() {
    let harness = Harness::vm("{stepTime: 10m}");
    let service = harness.watch();
    short_pause().await;
    assert_eq!(harness.golives("contoso/vm"), (1, 1));
    assert_eq!(service.phase("contoso/vm"), Some(Phase::InProgress));
    advance(MINUTE * 20).await;
    assert_eq!(service.phase("contoso/vm"), Some(Phase::Live));
    let mut requests = RequestCounter::new(&harness);
    advance(MINUTE * 60).await;
    let idle = requests.take(&harness);
    assert!((10..=14).contains(&idle.len()), "{idle:?}");
    assert!(idle.iter().all(|line| line == "GET /api/publishers/contoso/offers"), "{idle:?}");
    service.stop().await;
    assert_eq!(harness.phase("contoso/vm"), Phase::Live);
    assert_eq!(harness.golives("contoso/vm"), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn only_new_and_changed_manifests_send_requests() {
    let harness =
        Harness::new("offers: {contoso/a: {status: Succeeded}, contoso/b: {}, contoso/c: {}}");
    harness.manifest("a.yaml", &live("contoso/a", ""));
    let service = harness.watch();
    short_pause().await;
    let mut requests = RequestCounter::new(&harness);
    harness.manifest("a.yaml", &format!("# only a comment\n{}", live("contoso/a", "")));
    service.notify().await;
    short_pause().await;
    assert_eq!(requests.take(&harness), Vec::<String>::new());
    harness.manifest("b.yaml", &live("contoso/b", ""));
    service.notify().await;
    short_pause().await;
    assert_eq!(harness.golives("contoso/b"), (1, 1));
    let asked = requests.take(&harness);
    assert!(asked.len() <= 6, "the list, at most four, and the first poll: {asked:?}");
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_killed_service_continues_after_a_restart() {
    let harness = Harness::vm("{stepTime: 1h}");
    for _ in 0..10 {
        let service = harness.watch();
        advance(MINUTE * 7).await;
        service.kill().await;
    }
    let service = harness.watch();
    advance(MINUTE * 20).await;
    assert_eq!(service.phase("contoso/vm"), Some(Phase::Live));
    assert_eq!(harness.golives("contoso/vm"), (1, 1));
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn poll_intervals_grow_as_in_a_run() {
    let harness = Harness::vm("{stepTime: 20m}");
    let service = harness.watch();
    advance(MINUTE * 30).await;
    let journal = harness.emulator.journal();
    let start = harness.golive_entries()[0].at;
    let polls = journal.entries().filter(|entry| entry.path.contains("/operations/"));
    let polls: Vec<_> = polls.map(|entry| entry.at.duration_since(start).as_secs()).collect();
    assert_eq!(polls[..8], [0, 30, 75, 142, 243, 395, 623, 923]);
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_launch_date_is_kept_to_the_second() {
    let harness = Harness::new("offers: {contoso/vm: {}}");
    harness.manifest("vm.yaml", &live("contoso/vm", "notBefore: 2026-12-01T19:47:13Z"));
    let service = harness.watch();
    advance(MINUTE * 60 * 10).await;
    assert_eq!(service.phase("contoso/vm"), Some(Phase::Held));
    advance(MINUTE * 60).await;
    let sent = harness.golive_entries();
    let late = sent[0].at.duration_since("2026-12-01T19:47:13Z".parse().unwrap());
    assert!((0..1_000).contains(&late.as_millis()), "{late}");
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn waves_follow_each_other() {
    let harness =
        Harness::new("{stepTime: 10m, offers: {contoso/a: {}, contoso/b: {}, fabrikam/c: {}}}");
    harness.manifest("a.yaml", &live("contoso/a", ""));
    harness.manifest("b.yaml", &live("contoso/b", "after: [contoso/a]"));
    harness.manifest("c.yaml", &live("fabrikam/c", "after: [contoso/b]"));
    let service = harness.watch();
    advance(MINUTE * 60).await;
    let sent: Vec<_> = harness.golive_entries().into_iter().map(|entry| entry.at).collect();
    assert_eq!(sent.len(), 3);
    for pair in sent.windows(2) {
        let between = pair[1].duration_since(pair[0]).as_secs();
        // A step's time, plus the time until the next poll.
        assert!((600..1_000).contains(&between), "{between}");
    }
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_removed_manifest_removes_the_record_once_nothing_runs() {
    let harness =
        Harness::new("offers: {contoso/a: {status: Succeeded}, contoso/vm: {stepTime: 30m}}");
    harness.manifest("a.yaml", &live("contoso/a", ""));
    harness.manifest("vm.yaml", &live("contoso/vm", ""));
    let service = harness.watch();
    short_pause().await;
    std::fs::remove_file(harness.path("vm.yaml")).unwrap();
    service.notify().await;
    advance(MINUTE * 10).await;
    assert_eq!(service.phase("contoso/vm"), Some(Phase::InProgress));
    advance(MINUTE * 40).await;
    assert_eq!(service.phase("contoso/vm"), None);
    service.stop().await;
    assert_eq!(harness.status().offers.len(), 1);
    assert_eq!(harness.emulator.truth("contoso/vm").unwrap().production, Some(1));
}

#[tokio::test(start_paused = true)]
async fn the_service_recovers_from_an_outage() {
    let harness = Harness::vm("{stepTime: 10m}");
    harness.faults("[{path: '*', count: 60, action: {status: 500}}]");
    let service = harness.watch();
    advance(MINUTE).await;
    let record = service.record("contoso/vm").unwrap();
    assert_eq!((record.phase, record.reason), (Phase::Blocked, Reason::Unreachable));
    assert!(record.message.contains("500") && record.error.is_some(), "{record:?}");
    let shown = service.service_state.service();
    assert!(shown.ready && shown.unlisted.len() == 1, "it is shown why: {shown:?}");
    advance(MINUTE * 60).await;
    assert_eq!(service.phase("contoso/vm"), Some(Phase::Live));
    assert_eq!(harness.golives("contoso/vm"), (1, 1));
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_service_is_ready_after_its_first_check_of_all_manifests() {
    // Without manifests the service is ready at once, even if one comes later.
    let harness = Harness::new("offers: {contoso/a: {}, fabrikam/b: {}}");
    harness.faults(
        "[{path: '*contoso*', count: 9, action: {delay: 5s}}, \
          {path: '*fabrikam*', count: 9, action: {delay: 20s}}]",
    );
    let service = harness.watch();
    short_pause().await;
    assert!(service.service_state.service().ready);
    harness.manifest("a.yaml", &live("contoso/a", ""));
    service.notify().await;
    short_pause().await;
    assert!(service.service_state.service().ready, "what is ready stays so");
    service.stop().await;

    // Readiness waits for manifests that come during the first check, too.
    let service = harness.watch();
    short_pause().await;
    assert!(!service.service_state.service().ready);
    harness.manifest("b.yaml", &live("fabrikam/b", ""));
    service.notify().await;
    advance(MINUTE / 6).await;
    assert!(service.service_state.change(&"contoso/a".parse().unwrap()).is_some());
    assert!(!service.service_state.service().ready, "b was not looked at yet");
    advance(MINUTE * 3).await;
    assert!(service.service_state.service().ready);
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn throttling_at_the_start_does_not_delay_readiness() {
    let harness = Harness::vm("{}");
    harness.faults("[{path: '*', count: 1, action: {status: 429, retryAfter: 1800}}]");
    let service = harness.watch();
    advance(Duration::from_secs(3)).await;
    let shown = service.service_state.service();
    assert!(shown.ready && !shown.paused.is_empty(), "{shown:?}");
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_paused_publisher_is_shown_and_readiness_waits_for_the_others() {
    let harness = Harness::new("offers: {contoso/a: {}, contoso/b: {}, fabrikam/c: {}}");
    for offer in ["contoso/a", "contoso/b", "fabrikam/c"] {
        harness.manifest(&format!("{}.yaml", offer.replace('/', "-")), &live(offer, ""));
    }
    harness.faults(
        "[{path: '*contoso*', count: 1, action: {status: 429, retryAfter: 1800}}, \
          {path: '*fabrikam*', count: 1, action: {delay: 20s}}]",
    );
    let service = harness.watch();
    advance(Duration::from_secs(3)).await;
    let shown = service.service_state.service();
    let paused: Vec<_> = shown.paused.publishers.keys().map(ToString::to_string).collect();
    assert_eq!((paused, shown.paused.all), (vec!["contoso".to_owned()], None));
    assert!(!shown.ready, "fabrikam/c was not looked at yet");
    // They have records, as in a run of apply.
    for offer in ["contoso/a", "contoso/b"] {
        let record = service.record(offer).unwrap();
        assert_eq!((record.phase, record.reason), (Phase::Blocked, Reason::Throttled));
        let why = "asked golive to wait until 2026-12-01T09:30:00Z: GET /api/publishers/contoso";
        assert!(record.message.contains(why), "{}", record.message);
        let error = record.error.unwrap();
        assert_eq!((error.message, error.at), (record.message, record.since));
        let next = service.service_state.next(&offer.parse().unwrap());
        assert_eq!((record.next_check_at, next), (next, next));
    }
    assert_eq!(service.record("fabrikam/c"), None);
    advance(Duration::from_secs(18)).await;
    assert!(service.service_state.service().ready);
    assert_eq!(harness.golives("fabrikam/c"), (1, 1));
    let before = service.record("contoso/a");
    advance(MINUTE * 20).await;
    assert_eq!(service.record("contoso/a"), before, "nothing is new");
    advance(MINUTE * 10).await;
    assert_eq!((harness.golives("contoso/a"), harness.golives("contoso/b")), ((1, 1), (1, 1)));
    assert!(service.record("contoso/a").unwrap().error.is_none());
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn two_paused_publishers_pause_the_whole_marketplace() {
    let harness = Harness::new("offers: {contoso/a: {}, fabrikam/b: {}, tailspin/c: {}}");
    harness.manifest("a.yaml", &live("contoso/a", ""));
    harness.manifest("b.yaml", &live("fabrikam/b", ""));
    harness.faults(
        "[{path: '*contoso*', count: 1, action: {status: 429, retryAfter: 1800}}, \
          {path: '*fabrikam*', count: 1, action: {status: 429, retryAfter: 600}}]",
    );
    let service = harness.watch();
    advance(Duration::from_secs(1)).await;
    let paused = service.service_state.service().paused;
    let all = paused.all.unwrap().until;
    assert_eq!(all.duration_since(harness.now()).as_secs(), 599);
    assert_eq!(paused.publishers.len(), 2);
    harness.manifest("c.yaml", &live("tailspin/c", ""));
    service.notify().await;
    advance(Duration::from_secs(2)).await;
    let record = service.record("tailspin/c").unwrap();
    assert_eq!((record.reason, record.next_check_at), (Reason::Throttled, Some(all)));
    advance(MINUTE * 10).await;
    let paused = service.service_state.service().paused;
    assert_eq!((paused.publishers.len(), paused.all), (1, None));
    assert_eq!((harness.golives("tailspin/c"), harness.golives("fabrikam/b")), ((1, 1), (1, 1)));
    assert_eq!(service.phase("contoso/a"), Some(Phase::Blocked));
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pause_records_new_offers_and_keeps_known_ones() {
    let harness = Harness::new("offers: {contoso/a: {status: Succeeded}, contoso/b: {}}");
    harness.manifest("a.yaml", &live("contoso/a", ""));
    let service = harness.watch();
    short_pause().await;
    harness.faults("[{path: '*', count: 1, action: {status: 429, retryAfter: 1800}}]");
    service.hangup().await;
    short_pause().await;
    let before = service.record("contoso/a").unwrap();
    assert_eq!(before.phase, Phase::Live);
    harness.manifest("b.yaml", &live("contoso/b", ""));
    service.notify().await;
    advance(Duration::from_secs(2)).await;
    let record = service.record("contoso/b").unwrap();
    assert_eq!((record.phase, record.reason), (Phase::Blocked, Reason::Throttled));
    assert_eq!(service.record("contoso/a").unwrap(), before);
    // It may be removed before its first check.
    std::fs::remove_file(harness.path("b.yaml")).unwrap();
    service.notify().await;
    advance(MINUTE * 40).await;
    assert_eq!(service.record("contoso/b"), None);
    assert_eq!(harness.golives("contoso/b"), (0, 0));
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_list_records_new_offers_and_keeps_known_ones() {
    let harness = Harness::new("offers: {contoso/a: {status: Succeeded}, contoso/b: {}}");
    harness.manifest("a.yaml", &live("contoso/a", ""));
    let service = harness.watch();
    short_pause().await;
    let before = service.record("contoso/a").unwrap();
    harness.faults("[{path: '*', count: 60, action: {status: 401}}]");
    harness.manifest("b.yaml", &live("contoso/b", ""));
    service.notify().await;
    service.hangup().await;
    advance(MINUTE).await;
    assert_eq!(service.record("contoso/a").unwrap(), before);
    let record = service.record("contoso/b").unwrap();
    assert_eq!((record.phase, record.reason), (Phase::Blocked, Reason::Unauthorized));
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_paused_publisher_gets_no_requests() {
    let harness = Harness::many(20, "", "");
    harness.faults("[{method: POST, count: 1, action: {status: 429, retryAfter: 1800}}]");
    let service = harness.watch();
    advance(MINUTE).await;
    let mut requests = RequestCounter::new(&harness);
    let paused = service.service_state.service().paused;
    let until = paused.publishers.values().next().unwrap().until;
    assert_eq!(until.duration_since(harness.now()).as_secs(), 29 * 60);
    advance(MINUTE * 28).await;
    assert_eq!(requests.take(&harness), Vec::<String>::new());
    advance(MINUTE * 5).await;
    assert!(service.service_state.service().paused.is_empty());
    assert_eq!(harness.emulator.journal().all_golives().accepted, 20);
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_resolved_without_a_second_golive() {
    for (when, received) in [("after", 1), ("before", 2)] {
        let faults = format!("[{{method: POST, action: {{reset: {when}}}}}]");
        let harness = Harness::faulty_vm("{stepTime: 10m}", &faults);
        let service = harness.watch();
        advance(MINUTE * 30).await;
        assert_eq!(service.phase("contoso/vm"), Some(Phase::Live));
        assert_eq!(harness.golives("contoso/vm"), (received, 1), "{when}");
        service.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn suspending_a_manifest_prevents_a_repeated_request() {
    let harness =
        Harness::faulty_vm("{stepTime: 10m}", "[{method: POST, action: {reset: before}}]");
    let service = harness.watch();
    advance(Duration::from_secs(10)).await;
    assert_eq!(service.phase("contoso/vm"), Some(Phase::Triggering));
    harness.manifest("vm.yaml", &live("contoso/vm", "suspend: true"));
    service.notify().await;
    advance(MINUTE * 30).await;
    assert_eq!(harness.golives("contoso/vm"), (1, 0));
    assert_eq!(service.phase("contoso/vm"), Some(Phase::Held));
    assert!(service.record("contoso/vm").unwrap().intent.is_none());
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_hangup_reconciles_now() {
    let harness = Harness::new("offers: {contoso/vm: {status: Succeeded}}");
    harness.manifest("vm.yaml", &live("contoso/vm", ""));
    let service = harness.watch();
    short_pause().await;
    harness.emulator.by_hand("contoso/vm", ManualAction::Publish).unwrap();
    short_pause().await;
    assert_eq!(harness.golives("contoso/vm"), (0, 0));
    service.hangup().await;
    short_pause().await;
    assert_eq!(harness.golives("contoso/vm"), (1, 1));
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_hanging_publisher_delays_no_other() {
    let harness = Harness::new("offers: {contoso/a: {}, fabrikam/b: {}}");
    harness.manifest("a.yaml", &live("contoso/a", ""));
    harness.manifest("b.yaml", &live("fabrikam/b", ""));
    harness.faults("[{path: '*/contoso/offers', count: 3, action: {delay: 50s}}]");
    let service = harness.watch();
    short_pause().await;
    assert_eq!((harness.golives("contoso/a"), harness.golives("fabrikam/b")), ((0, 0), (1, 1)));
    advance(MINUTE).await;
    assert_eq!(harness.golives("contoso/a"), (1, 1));
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_service_answers_pings_and_stops_within_seconds() {
    let harness = Harness::vm("{stepTime: 10m}");
    harness.faults("[{method: POST, action: {delay: 50s}}]");
    let service: RunningService = harness.watch();
    advance(Duration::from_secs(5)).await;
    assert!(service.service_state.is_alive().await);
    let (service_state, began) = (service.service_state.clone(), harness.now());
    service.stop().await;
    assert!(harness.now().duration_since(began).as_secs() <= 5);
    assert!(!service_state.is_alive().await);
    // The request under way is in doubt; the next run finds its result.
    assert!(harness.record("contoso/vm").intent.is_some());
    let service = harness.watch();
    advance(MINUTE * 30).await;
    assert_eq!(
        (service.phase("contoso/vm"), harness.golives("contoso/vm").1),
        (Some(Phase::Live), 1)
    );
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_manifest_retries_a_failure() {
    // After a cancel the sign-off waits again.
    let harness = Harness::vm("{stepTime: 1m, cancel: true}");
    let service = harness.watch();
    advance(MINUTE * 10).await;
    assert_eq!(service.phase("contoso/vm"), Some(Phase::Failed));
    advance(MINUTE * 30).await;
    assert_eq!(harness.golives("contoso/vm"), (1, 1));
    harness.manifest("vm.yaml", &manifest("contoso/vm", "live", "labels: {attempt: '2'}"));
    service.notify().await;
    advance(MINUTE * 10).await;
    assert_eq!(harness.golives("contoso/vm"), (2, 2));
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_resync_lists_each_publisher_once_despite_dependencies() {
    let harness = Harness::new(
        "offers: {contoso/a: {status: Succeeded}, contoso/b: {status: Succeeded}, fabrikam/c: {status: Succeeded},
          fabrikam/d: {status: Succeeded}, tailspin/e: {status: Succeeded}}",
    );
    for (offer, after) in [
        ("contoso/a", ""),
        ("contoso/b", "after: [contoso/a]"),
        ("fabrikam/c", "after: [contoso/b]"),
        ("fabrikam/d", ""),
        ("tailspin/e", ""),
    ] {
        harness.manifest(&format!("{}.yaml", offer.replace('/', "-")), &live(offer, after));
    }
    let service = harness.watch();
    short_pause().await;
    let lists = |requests: &[String], publisher: &str| {
        let list = format!("GET /api/publishers/{publisher}/offers");
        requests.iter().filter(|line| **line == list).count()
    };
    let mut requests = RequestCounter::new(&harness);
    for _ in 0..3 {
        service.hangup().await;
        short_pause().await;
        let asked = requests.take(&harness);
        for publisher in ["contoso", "fabrikam", "tailspin"] {
            assert_eq!(lists(&asked, publisher), 1, "{publisher}: {asked:?}");
        }
        assert_eq!(asked.len(), 3, "{asked:?}");
    }
    assert!(service.service_state.service().last_resync.is_some());
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn failed_lists_are_retried_per_publisher_and_not_per_offer() {
    let harness = Harness::many(50, "", "suspend: true");
    harness.faults("[{path: '*/offers', count: always, action: {status: 500}}]");
    let service = harness.watch();
    advance(MINUTE * 60).await;
    let asked = harness.requests().len();
    // Five attempts each, for at most a dozen resyncs and as many pauses of minutes.
    assert!(asked < 300, "{asked} requests for 50 offers that can't be listed for an hour");
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_hanging_offer_delays_no_other_of_its_publisher() {
    let harness =
        Harness::new("offers: {contoso/a: {status: Succeeded}, contoso/b: {}, contoso/c: {}}");
    harness.manifest("a.yaml", &live("contoso/a", "version: 7"));
    harness.manifest("b.yaml", &live("contoso/b", ""));
    harness.faults("[{path: '*/offers/a/*', count: always, action: {delay: 50s}}]");
    let service = harness.watch();
    short_pause().await;
    assert_eq!(harness.golives("contoso/b"), (1, 1));
    harness.manifest("c.yaml", &live("contoso/c", "after: [contoso/b]"));
    service.notify().await;
    short_pause().await;
    assert_eq!(service.phase("contoso/c"), Some(Phase::Held));
    assert!(!service.service_state.service().ready, "the one that hangs was not seen yet");
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_launch_date_is_kept_through_an_outage_and_a_slow_inspection() {
    for fault in ["{status: 500}", "{delay: 40s}"] {
        let harness = Harness::new("offers: {contoso/vm: {}}");
        harness.manifest("vm.yaml", &live("contoso/vm", "notBefore: 2026-12-01T09:30:00Z"));
        let service = harness.watch();
        advance(MINUTE * 28).await;
        harness.faults(&format!("[{{path: '*/offers', count: 20, action: {fault}}}]"));
        service.hangup().await;
        advance(Duration::from_secs(119)).await;
        assert_eq!(harness.golives("contoso/vm"), (0, 0));
        harness.faults("[]");
        advance(MINUTE * 3).await;
        service.stop().await;
        if fault.contains("500") {
            continue; // As soon as the marketplace is back.
        }
        let late =
            harness.golive_entries()[0].at.duration_since("2026-12-01T09:30:00Z".parse().unwrap());
        assert!(late.as_secs() <= 81, "two slow lists at most: {late}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_before_a_launch_date_does_not_make_it_late() {
    let harness = Harness::new("offers: {contoso/vm: {}}");
    harness.manifest("vm.yaml", &live("contoso/vm", "notBefore: 2026-12-01T09:30:00Z"));
    harness.faults("[{path: '*/offers', nth: 2, count: 29, action: {status: 500}}]");
    let service = harness.watch();
    // The outage ends before the date, but the next backoff would last minutes.
    advance(MINUTE * 31).await;
    let late =
        harness.golive_entries()[0].at.duration_since("2026-12-01T09:30:00Z".parse().unwrap());
    assert!((0..1_000).contains(&late.as_millis()), "{late}");
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_resync_does_not_count_as_a_resync() {
    let harness = Harness::new("offers: {contoso/vm: {status: Succeeded}}");
    harness.manifest("vm.yaml", &live("contoso/vm", ""));
    let service = harness.watch();
    short_pause().await;
    let before = service.service_state.service().last_resync;
    assert!(before.is_some());
    harness.faults("[{path: '*', count: 1, action: {status: 429, retryAfter: 3000}}]");
    advance(MINUTE * 40).await;
    assert_eq!(service.service_state.service().last_resync, before);
    advance(MINUTE * 30).await;
    assert!(service.service_state.service().last_resync > before);
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn operations_are_followed_after_their_manifest_becomes_unreadable() {
    for (header, wait) in [("header: relative", MINUTE), ("header: none", Duration::from_millis(1))]
    {
        let harness = Harness::vm(&format!("{{stepTime: 10m, {header}}}"));
        harness.faults("[{method: POST, action: {delay: 50s, when: after}}]");
        let service = harness.watch();
        advance(Duration::from_secs(5) + wait).await;
        service.kill().await;
        harness.manifest("vm.yaml", "state: [");
        let service = harness.watch();
        advance(MINUTE * 40).await;
        let record = service.record("contoso/vm").unwrap();
        assert!(record.intent.is_none(), "{record:?}");
        assert_eq!(record.phase, Phase::Live, "{}", record.message);
        harness.manifest("vm.yaml", &live("contoso/vm", ""));
        service.notify().await;
        advance(MINUTE * 10).await;
        assert_eq!(
            (service.phase("contoso/vm"), harness.golives("contoso/vm")),
            (Some(Phase::Live), (1, 1))
        );
        service.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn failed_polls_back_off() {
    let harness = Harness::vm("{stepTime: 5h}");
    let service = harness.watch();
    short_pause().await;
    harness.emulator.by_hand("contoso/vm", ManualAction::Expire).unwrap();
    harness.emulator.by_hand("contoso/vm", ManualAction::Delete).unwrap();
    let mut requests = RequestCounter::new(&harness);
    advance(MINUTE * 60).await;
    let asked = requests.take(&harness).len();
    assert!(asked < 120, "{asked} requests in an hour");
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_file_removes_no_record_even_at_a_restart() {
    let harness = Harness::vm("{status: Succeeded}");
    let service = harness.watch();
    short_pause().await;
    harness.manifest("vm.yaml", "");
    service.notify().await;
    short_pause().await;
    assert_eq!(service.phase("contoso/vm"), Some(Phase::Live));
    assert!(!service.service_state.service().problems.is_empty());
    advance(Duration::from_secs(2)).await;
    service.kill().await;
    let service = harness.watch();
    advance(MINUTE * 20).await;
    assert_eq!(service.phase("contoso/vm"), Some(Phase::Live));
    service.stop().await;
}
