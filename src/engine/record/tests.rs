//! The record after each event, as a table.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::changes::{
    Block, Failure, Hold, ObservedOffer, OfferPosition, Origin, SyncState, Tracked, Unavailable,
};
use crate::manifest::{FileManifests, Found, assemble};
use crate::marketplace::{
    Attempt as Listed, Hint, Listing, OperationKind, OperationRef, Release, RequestId, Settling,
};
use crate::operation::Obstacle;

/// A report on an operation that runs.
static RUNNING: Report = Report {
    status: OperationStatus::Running,
    runs: true,
    steps: Vec::new(),
    messages: Vec::new(),
    release: None,
};

fn at(minutes: i64) -> DecisionTime {
    let start: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
    DecisionTime {
        now: start + SignedDuration::from_mins(minutes),
        longest_request: Duration::from_mins(1),
        settling: Settling::all(Duration::from_mins(5)),
    }
}

fn manifest() -> Arc<Loaded> {
    let text = "publisher: contoso\noffer: vm\nstate: live\n";
    let path = Path::new("vm.yaml");
    let file = FileManifests::from_bytes(path, text.as_bytes());
    let found = Found { files: vec![PathBuf::from("vm.yaml")], ..Found::default() };
    let set = assemble(&found, [&file]).unwrap();
    Arc::clone(set.offers.values().next().unwrap())
}

fn golive() -> Intent {
    Intent {
        at: at(0).now,
        attempt: 1,
        deadline: at(2).now,
        fence: None,
        kind: OperationKind::GoLive,
        known: Some(Vec::new()),
        manifest_digest: "digest".to_owned(),
        release: Release::from(7),
        request_id: RequestId::from_random([7; 16]),
    }
}

fn sent(status: Option<OperationStatus>) -> Sent {
    let operation = Some(OperationRef { id: "job".to_owned(), location: None });
    Sent { intent: golive(), operation, status }
}

fn change(decision: Decision) -> Change {
    let offer = "contoso/vm".parse().unwrap();
    let (from, to) = (OfferPosition::default(), OfferPosition::default());
    Change { offer, decision, from, to, in_doubt: false, product: None }
}

fn seen(state: OfferState) -> Observation {
    let listing = Listing {
        id: "contoso/vm".parse().unwrap(),
        words: "waiting".to_owned(),
        changed_time: None,
        fingerprint: Some("v7".to_owned()),
        hint: Hint::InPreview,
        release: Some(Release::from(7)),
        may_be_fenced: false,
    };
    Observation::Offer(Box::new(ObservedOffer::listed(listing).with(state, at(0).now)))
}

fn inspected() -> OfferState {
    OfferState { is_inspected: true, listed: Some(Vec::new()), ..OfferState::default() }
}

fn in_preview() -> OfferState {
    OfferState { preview: Some(Release::from(7)), ..inspected() }
}

fn live() -> OfferState {
    OfferState { live: Some(Release::from(7)), ..inspected() }
}

/// A record after these events, a minute apart.
fn record(events: Vec<RecordEvent<'_>>) -> OfferRecord {
    let first = fresh(&manifest(), "vm.yaml".to_owned(), at(0).now);
    let apply = |record, (minute, event)| after(record, event, at(minute));
    (0..).zip(events).fold(first, apply)
}

/// The record in one line; parts that are empty are left out.
fn line(record: &OfferRecord) -> String {
    let minutes = |time: Timestamp| (time.duration_since(at(0).now)).as_mins();
    let mut parts = vec![
        format!("{:?} {:?} since {}", record.phase, record.reason, minutes(record.since)),
        format!("attempts {}", record.attempts),
    ];
    let error = record.error.as_ref();
    parts.extend(error.map(|error| format!("error {}: {}", minutes(error.at), error.message)));
    parts.extend(record.next_check_at.map(|time| format!("next {}", minutes(time))));
    parts.extend(record.intent.as_ref().map(|intent| format!("intent {}", intent.attempt)));
    parts.extend(record.operation.as_ref().map(|operation| {
        let adopted = if operation.adopted { " adopted" } else { "" };
        format!("operation {} {}{adopted}", operation.kind, operation.status)
    }));
    parts.extend(record.refused.as_ref().map(|refused| format!("refused {}", refused.message)));
    parts.extend(record.observed.as_ref().map(|it| format!("observed {}", it.status)));
    parts.join(", ")
}

fn decided<'a>(
    change: &'a Change,
    seen: Option<&'a Observation>,
    manifest: &'a Loaded,
) -> RecordEvent<'a> {
    RecordEvent::Decided { change, seen, manifest, file: "vm.yaml".to_owned() }
}

#[test]
fn a_launch_from_decision_to_end() {
    let (manifest, intent, accepted) = (manifest(), golive(), sent(None));
    let launch = change(Decision::GoLive { release: Release::from(7) });
    let waiting = seen(in_preview());
    let ended = change(Decision::InSync(SyncState::Live(Release::from(7))));
    let in_production = seen(live());
    let events = || {
        vec![
            decided(&launch, Some(&waiting), &manifest),
            RecordEvent::Intended(&intent),
            RecordEvent::Accepted { sent: &accepted, manifest: &manifest },
            RecordEvent::Polled(&RUNNING),
            RecordEvent::NotAsked("no route".to_owned()),
            RecordEvent::Polled(&RUNNING),
            decided(&ended, Some(&in_production), &manifest),
        ]
    };
    let expected = [
        "Triggering GoLivePending since 0, attempts 0, observed waiting",
        "Triggering GoLivePending since 0, attempts 1, intent 1, observed waiting",
        "InProgress GoLiveRunning since 2, attempts 1, operation golive running, observed waiting",
        "InProgress GoLiveRunning since 2, attempts 1, operation golive running, observed waiting",
        "InProgress GoLiveRunning since 2, attempts 1, error 4: no route, \
         operation golive running, observed waiting",
        "InProgress GoLiveRunning since 2, attempts 1, operation golive running, observed waiting",
        "Live InProduction since 6, attempts 1, operation golive succeeded, observed waiting",
    ];
    for (count, expected) in (1..).zip(expected) {
        let events = events().into_iter().take(count).collect();
        assert_eq!(line(&record(events)), expected, "after {count} events");
    }
}

#[test]
fn how_a_trigger_ends() {
    let (manifest, intent) = (manifest(), golive());
    let launch = Decision::GoLive { release: Release::from(7) };
    let attempt = || Some(Attempt { intent: &intent, fingerprint: Some("v7".to_owned()) });
    let pause = StopReason::Throttled(Duration::from_mins(9));
    let unreachable = Obstacle { reason: Reason::Unreachable, why: "no route".to_owned() };
    let unsent = StopReason::Unsent(unreachable);
    let refused = StopReason::Refused("not signed".to_owned());
    let (doubt, cut_off) =
        (StopReason::InDoubt(Some("timeout".to_owned())), StopReason::InDoubt(None));
    let manifest = &*manifest;
    let stopped = |end| RecordEvent::Stopped { end, attempt: attempt(), manifest };
    let rows = [
        (
            vec![stopped(&refused)],
            "Blocked Refused since 1, attempts 1, error 1: not signed, refused not signed",
        ),
        (vec![stopped(&unsent)], "Blocked Unreachable since 0, attempts 1, error 1: no route"),
        (
            vec![stopped(&pause)],
            "Blocked Throttled since 1, attempts 1, error 1: the marketplace asks to wait for 9m \
             before anything is sent, next 10",
        ),
        (
            vec![RecordEvent::KeptChanging { why: "409" }],
            "Blocked Conflict since 1, attempts 1, \
             error 1: the offer kept changing while golive tried to send: 409",
        ),
    ];
    for (events, expected) in rows {
        let dropped = || RecordEvent::NotAccepted { before: None, decision: &launch };
        let mut record = record(vec![RecordEvent::Intended(&intent)]);
        record = after(record, dropped(), at(0));
        for event in events {
            record = after(record, event, at(1));
        }
        assert_eq!(line(&record), expected.replace("since 0", "since 1"));
    }
    // A request in doubt stays in doubt, whatever ends the next attempt.
    let rows = [
        (stopped(&refused), "error 1: not signed"),
        (stopped(&unsent), "error 1: no route"),
        (
            stopped(&pause),
            "error 1: the marketplace asks to wait for 9m before anything is sent, next 10",
        ),
        (
            stopped(&doubt),
            "error 1: it is not known whether the request was accepted: timeout; if nothing shows \
             until 2026-11-22T12:07:00Z, it is sent once more, next 7",
        ),
        (
            stopped(&cut_off),
            "error 1: it is not known whether the request was accepted: golive was stopped while \
             it was under way; if nothing shows until 2026-11-22T12:07:00Z, it is sent once more, \
             next 7",
        ),
        (
            stopped(&StopReason::Unwritten),
            "error 1: the status file could not be written, so that nothing was sent",
        ),
        (RecordEvent::Interrupted, ""),
        (RecordEvent::OutOfTime { end: &unsent, manifest }, ""),
    ];
    for (event, expected) in rows {
        let record = after(record(vec![RecordEvent::Intended(&intent)]), event, at(1));
        let middle = if expected.is_empty() { String::new() } else { format!("{expected}, ") };
        let expected = format!("Triggering GoLivePending since 0, attempts 1, {middle}intent 1");
        assert_eq!(line(&record), expected);
    }
}

#[test]
fn what_an_observation_settles() {
    let (manifest, intent) = (manifest(), golive());
    let manifest = &*manifest;
    let tracked = |origin| {
        let (kind, id) = (OperationKind::GoLive, Some("job".to_owned()));
        Decision::Track(Tracked { kind, id, release: Some(Release::from(7)), origin, at: None })
    };
    let new = Listed {
        kind: OperationKind::GoLive,
        id: Some("job".to_owned()),
        release: Some(Release::from(7)),
        status: OperationStatus::Failed,
        is_new: true,
        steps: Vec::new(),
        messages: Vec::new(),
    };
    let failed = Failure::of(&new).unwrap();
    let with_failure = OfferState { listed: Some(vec![new]), ..in_preview() };
    let held = Decision::Held(Hold::Scheduled(at(90).now));
    let in_doubt = "Triggering GoLivePending since 0, attempts 1";
    let rows = [
        (
            tracked(Origin::Found),
            in_preview(),
            1,
            "InProgress GoLiveRunning since 1, attempts 1, \
            operation golive running, observed waiting"
                .to_owned(),
        ),
        (
            tracked(Origin::Elsewhere),
            in_preview(),
            1,
            "InProgress GoLiveRunning since 1, attempts \
            1, operation golive running adopted, observed waiting"
                .to_owned(),
        ),
        (
            Decision::InSync(SyncState::Live(Release::from(7))),
            live(),
            1,
            "Live InProduction since \
            1, attempts 1, operation golive succeeded, observed waiting"
                .to_owned(),
        ),
        (
            Decision::Failed(failed),
            with_failure,
            1,
            "Failed OperationFailed since 1, attempts 1, \
            operation golive failed, observed waiting"
                .to_owned(),
        ),
        // Nothing shows yet, and then for long enough.
        (held.clone(), in_preview(), 1, format!("{in_doubt}, next 7, intent 1, observed waiting")),
        (
            held,
            in_preview(),
            99,
            "Held Scheduled since 99, attempts 1, next 90, observed waiting".to_owned(),
        ),
    ];
    for (decision, state, minutes, expected) in rows {
        let record = record(vec![RecordEvent::Intended(&intent)]);
        let (change, seen) = (change(decision.clone()), seen(state));
        let record = after(record, decided(&change, Some(&seen), manifest), at(minutes));
        assert_eq!(line(&record), expected, "{decision:?}");
    }
}

#[test]
fn an_offer_that_can_t_be_asked_about_stays_as_it_was_observed() {
    let manifest = &*manifest();
    let unreachable =
        Decision::Blocked(Block::Unavailable(Unavailable::Unreachable, "no route".to_owned()));
    let (live, observed) =
        (change(Decision::InSync(SyncState::Live(Release::from(7)))), seen(live()));
    let known = record(vec![decided(&live, Some(&observed), manifest)]);
    let unreachable = change(unreachable);
    let record = after(known, decided(&unreachable, None, manifest), at(3));
    assert_eq!(
        line(&record),
        "Live InProduction since 0, attempts 0, error 3: no route, observed waiting"
    );
}

#[test]
fn offers_without_a_manifest() {
    let (manifest, intent) = (manifest(), golive());
    let accepted = sent(None);
    let launched = || vec![RecordEvent::Accepted { sent: &accepted, manifest: &manifest }];
    let in_doubt = || vec![RecordEvent::Intended(&intent)];
    let rows = [
        (
            launched(),
            in_preview(),
            1,
            "InProgress GoLiveRunning since 0, attempts 0, operation \
            golive running",
        ),
        (
            launched(),
            live(),
            1,
            "Live InProduction since 1, attempts 0, operation golive \
            succeeded",
        ),
        (in_doubt(), in_preview(), 1, "Triggering GoLivePending since 0, attempts 1, intent 1"),
        (in_doubt(), in_preview(), 99, "Triggering GoLivePending since 0, attempts 1"),
        (
            in_doubt(),
            live(),
            1,
            "Live InProduction since 1, attempts 1, operation golive \
            succeeded",
        ),
    ];
    for (events, state, minutes, expected) in rows {
        let record = after(record(events), RecordEvent::OrphanObserved(&state), at(minutes));
        assert_eq!(line(&record), expected);
    }
}

#[test]
fn a_pause_of_the_publisher_is_recorded_once_and_keeps_its_date() {
    let manifest = manifest();
    let event = |until| {
        let file = "vm.yaml".to_owned();
        RecordEvent::PublisherPaused { until: at(until).now, why: "429", manifest: &manifest, file }
    };
    let record = record(vec![event(9), event(20)]);
    assert_eq!(
        line(&record),
        "Blocked Throttled since 0, attempts 0, error 1: the marketplace asked golive to wait \
         until 2026-11-22T12:20:00Z: 429, next 20"
    );
    assert!(is_unobserved(&record));
    let every: BTreeSet<_> = [Phase::Live, Phase::Failed].into();
    assert!(
        every.iter().all(|phase| !is_unobserved(&OfferRecord { phase: *phase, ..record.clone() }))
    );
}
