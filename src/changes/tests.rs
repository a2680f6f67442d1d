//! The rules, row by row.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::manifest::{FileManifests, Found, Loaded, assemble};
use crate::marketplace::{
    ChangedTime, OfferId, OfferStatus, Operation, OperationKind, OperationStatus, Slot,
    StatusReport, Step, StepStatus, Submission, Version,
};
use crate::status::{
    Intent, ManifestRecord, ObservedRecord, OfferRecord, OperationRecord, Phase, Reason,
    RefusedRecord,
};

const NOW: &str = "2026-11-22T12:00:00Z";

/// Manifests, records and observations, put together step by step.
#[derive(Clone, Debug, Default)]
struct Scene {
    desired: BTreeMap<OfferId, Arc<Loaded>>,
    recorded: BTreeMap<OfferId, Arc<OfferRecord>>,
    observed: BTreeMap<OfferId, Seen>,
    policy: Policy,
}

fn offer(name: &str) -> OfferId {
    name.parse().unwrap()
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn moment() -> Moment {
    let (longest_request, settle) = (Duration::from_mins(1), Duration::from_secs(30));
    Moment { now: now(), longest_request, settle }
}

impl Scene {
    /// One offer, `contoso/vm`, with these lines in its manifest.
    fn of(lines: &str) -> Self {
        Self::default().and("vm", lines)
    }

    fn and(mut self, name: &str, lines: &str) -> Self {
        let text = format!("publisher: contoso\noffer: {name}\n{lines}\n");
        let file = FileManifests::from_bytes(Path::new("vm.yaml"), text.as_bytes());
        let found = Found {
            roots: vec![PathBuf::from(".")],
            files: vec![PathBuf::from("vm.yaml")],
            ..Found::default()
        };
        // `after` may name offers that this one file does not have.
        let set = assemble(&found, [&file]).unwrap_or_else(|_| {
            let without: Vec<_> = text.lines().filter(|line| !line.starts_with("after")).collect();
            let bytes = without.join("\n");
            let file = FileManifests::from_bytes(Path::new("vm.yaml"), bytes.as_bytes());
            let mut set = assemble(&found, [&file]).unwrap();
            let after = text.lines().find_map(|line| line.strip_prefix("after: ")).unwrap();
            let after = after.trim_matches(['[', ']']).split(", ").map(offer).collect();
            let loaded = set.offers.values_mut().next().unwrap();
            Arc::make_mut(loaded).manifest.after = after;
            set
        });
        self.desired.extend(set.offers);
        self
    }

    fn sees(mut self, name: &str, status: &str, version: Option<u64>) -> Self {
        let observation = Observation {
            version: version.map(Version),
            changed_time: Some(ChangedTime("2026-11-01T00:00:00.0000000Z".to_owned())),
            ..Observation::of(status.into())
        };
        self.observed.insert(offer(&format!("contoso/{name}")), Seen::Offer(Box::new(observation)));
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Observation)) -> Self {
        match self.observed.get_mut(&offer("contoso/vm")) {
            Some(Seen::Offer(observation)) => change(observation),
            other => panic!("{other:?}"),
        }
        self
    }

    fn recorded(mut self, change: impl FnOnce(&mut OfferRecord)) -> Self {
        let mut record = record(&self.desired[&offer("contoso/vm")]);
        change(&mut record);
        self.recorded.insert(offer("contoso/vm"), Arc::new(record));
        self
    }

    fn retry(mut self) -> Self {
        self.policy.retry = Retry::All;
        self
    }

    fn input(&self) -> Input<'_> {
        Input {
            desired: &self.desired,
            recorded: &self.recorded,
            observed: &self.observed,
            moment: moment(),
            policy: &self.policy,
        }
    }

    /// The decision about `contoso/vm`, which must need no further question.
    fn decision(&self) -> Decision {
        let set = plan(self.input()).unwrap();
        assert_eq!(check(&set, self.input()), []);
        set.get(&offer("contoso/vm")).unwrap().decision.clone()
    }

    fn question(&self) -> Question {
        let questions = plan(self.input()).unwrap_err();
        questions.into_iter().find(|(id, _)| *id == offer("contoso/vm")).unwrap().1
    }
}

fn record(desired: &Loaded) -> OfferRecord {
    OfferRecord {
        attempts: 1,
        error: None,
        history: Vec::new(),
        intent: None,
        manifest: ManifestRecord {
            digest: desired.digest.clone(),
            file: "vm.yaml".to_owned(),
            state: desired.manifest.state,
        },
        message: String::new(),
        next_check_at: None,
        observed: Some(ObservedRecord {
            at: now(),
            changed_time: None,
            etag: None,
            live_version: None,
            preview_version: None,
            status: OfferStatus::Running,
            version: None,
        }),
        operation: None,
        phase: Phase::InProgress,
        reason: Reason::GoLiveRunning,
        refused: None,
        since: now(),
    }
}

fn operation(kind: OperationKind, version: u64, status: &str, digest: &str) -> OperationRecord {
    OperationRecord {
        adopted: false,
        finished_at: None,
        id: Some("op".to_owned()),
        kind,
        location: None,
        manifest_digest: digest.to_owned(),
        messages: Vec::new(),
        polled_at: None,
        progress: None,
        request_id: None,
        started_at: now(),
        status: status.into(),
        steps: Vec::new(),
        version: Some(Version(version)),
    }
}

fn answer(status: &str) -> OperationSeen {
    OperationSeen::Known(Box::new(Operation {
        status: status.into(),
        steps: Vec::new(),
        messages: Vec::new(),
        offer_version: None,
        publishing_version: None,
        cancellation: None,
    }))
}

fn submission(id: &str, kind: &str, state: &str, version: u64, changed: &str) -> Submission {
    Submission {
        id: id.to_owned(),
        kind: kind.into(),
        state: state.into(),
        slot: None,
        offer_version: Some(Version(version)),
        publishing_version: Some(Version(9_007_199_254_740_993)),
        changed_time: Some(ChangedTime(changed.to_owned())),
    }
}

fn golive(state: &str, version: u64) -> Vec<Submission> {
    vec![submission("sub", "GoLive", state, version, "2026-11-02T00:00:00.0000000Z")]
}

const LIVE: &str = "state: live";
const PREVIEW: &str = "state: preview";
const WAITING: &str = "waitingForPublisherReview";

// Row 1.

#[test]
fn an_operation_of_another_hand_is_adopted() {
    let scene = Scene::of(LIVE).sees("vm", "running", Some(2));
    assert_eq!(scene.question(), Question::Submissions);
    let found = scene.clone().with(|seen| seen.submissions = Some(golive("running", 2)));
    let Decision::Track(tracked) = found.decision() else { panic!() };
    assert_eq!((tracked.id.as_deref(), tracked.origin), (Some("sub"), Origin::Elsewhere));
    // Where no submission shows it, the status is enough to leave the offer alone.
    let unlisted = scene.with(|seen| seen.submissions = Some(Vec::new()));
    // The list may lag behind, though.
    assert_eq!(unlisted.question(), Question::Status);
    let ended = unlisted.clone().with(|seen| seen.report = Some(report("NeverPublished")));
    assert_eq!(ended.decision().reason(), Reason::NotInPreview);
    let unlisted = unlisted.with(|seen| seen.report = Some(report("Running")));
    let Decision::Track(tracked) = unlisted.decision() else { panic!() };
    assert_eq!((tracked.id, tracked.kind.as_str()), (None, ""));
}

#[test]
fn a_recorded_operation_is_asked_for_and_tracked_whatever_the_list_says() {
    let digest = Scene::of(LIVE).desired[&offer("contoso/vm")].digest.clone();
    for listed in ["Running", WAITING, "Succeeded", "Failed", "Dreaming"] {
        let mut scene = Scene::of(LIVE).sees("vm", listed, Some(2)).recorded(|record| {
            record.operation = Some(operation(OperationKind::GoLive, 2, "running", &digest).into());
        });
        if listed == "Dreaming" {
            assert_eq!(scene.question(), Question::Status);
            scene = scene.with(|seen| seen.report = Some(report("Dreaming")));
        }
        assert!(matches!(scene.question(), Question::Operation(_)), "{listed}");
        for running in ["running", "notStarted", "Unheard-of"] {
            let scene = scene.clone().with(|seen| {
                seen.operations.insert("op".to_owned(), answer(running));
            });
            let Decision::Track(tracked) = scene.decision() else { panic!("{listed} {running}") };
            assert_eq!(tracked.origin, Origin::Recorded);
        }
    }
}

fn report(status: &str) -> StatusReport {
    StatusReport { status: status.into(), steps: Vec::new(), messages: Vec::new() }
}

#[test]
fn a_list_that_is_older_than_the_end_of_our_operation_is_not_believed() {
    let scene = Scene::of(LIVE).sees("vm", "Running", Some(2)).recorded(|record| {
        record.operation = Some(operation(OperationKind::GoLive, 2, "running", "d").into());
    });
    let scene = scene.with(|seen| {
        seen.operations.insert("op".to_owned(), answer("succeeded"));
    });
    assert_eq!(scene.question(), Question::Status);
    let scene = scene.with(|seen| seen.report = Some(report("Succeeded")));
    assert_eq!(scene.decision(), Decision::InSync(Place::Live(Version(2))));
}

#[test]
fn a_publish_that_waits_for_the_sign_off_is_no_running_operation() {
    let scene = Scene::of(LIVE).sees("vm", WAITING, Some(2)).with(|seen| {
        seen.submissions =
            Some(vec![submission("p", "publish", "running", 2, "2026-11-01T00:00:00Z")]);
    });
    assert_eq!(scene.decision(), Decision::GoLive { version: Version(2) });
}

// Row 2.

#[test]
fn what_may_not_or_can_not_be_asked_about_is_blocked() {
    let cases = [
        (Seen::Forbidden("no".to_owned()), Reason::Forbidden),
        (Seen::NotFound("no".to_owned()), Reason::NotFound),
        (Seen::Unauthorized("no".to_owned()), Reason::Unauthorized),
        (Seen::Throttled("no".to_owned()), Reason::Throttled),
        (Seen::Unreachable("no".to_owned()), Reason::Unreachable),
    ];
    for (seen, reason) in cases {
        let mut scene = Scene::of(LIVE);
        scene.observed.insert(offer("contoso/vm"), seen);
        assert_eq!((scene.decision().reason(), scene.decision().phase()), (reason, Phase::Blocked));
    }
    assert_eq!(Scene::of(LIVE).decision().reason(), Reason::Unreachable);
}

// Row 3.

fn with_live_step(status: &str, step: StepStatus) -> StatusReport {
    let live = Step {
        estimate: None,
        id: "live".to_owned(),
        messages: Vec::new(),
        name: "Live".to_owned(),
        progress: None,
        status: step,
    };
    StatusReport { steps: vec![live], ..report(status) }
}

#[test]
fn succeeded_alone_does_not_say_what_succeeded() {
    for status in ["Succeeded", "published"] {
        let mut scene = Scene::of(LIVE).sees("vm", status, Some(2));
        if status == "published" {
            assert_eq!(scene.question(), Question::Submissions);
            let told = |submissions| {
                scene.clone().with(|seen| seen.submissions = Some(submissions)).decision()
            };
            let publish = submission("p", "publish", "completed", 2, "2026-11-01T00:00:00Z");
            let in_preview = told(vec![publish.clone()]);
            assert_eq!(in_preview, Decision::GoLive { version: Version(2) });
            let live = told([golive("succeeded", 2), vec![publish]].concat());
            assert_eq!(live, Decision::InSync(Place::Live(Version(2))));
            scene = scene.with(|seen| seen.submissions = Some(Vec::new()));
        }
        assert_eq!(scene.question(), Question::Status);
        // The live step tells in one request.
        let told = |step| {
            scene.clone().with(|seen| seen.report = Some(with_live_step(status, step))).decision()
        };
        assert_eq!(told(StepStatus::Complete), Decision::InSync(Place::Live(Version(2))));
        assert_eq!(told(StepStatus::NotStarted), Decision::GoLive { version: Version(2) });
        // Where there is no such step, the slots do.
        let scene = scene.with(|seen| seen.report = Some(report(status)));
        assert_eq!(scene.question(), Question::Slot(Slot::Production));
        let slots = |production, preview| {
            let scene = scene.clone().with(|seen| {
                seen.production = production;
                seen.preview = preview;
            });
            scene.decision()
        };
        let two = SlotSeen::Holds(Version(2));
        assert_eq!(slots(two, two), Decision::InSync(Place::Live(Version(2))));
        let newer = Decision::GoLive { version: Version(2) };
        assert_eq!(slots(SlotSeen::Holds(Version(1)), two), newer);
        assert_eq!(slots(SlotSeen::Empty, two), newer);
    }
}

#[test]
fn the_lists_version_is_not_that_of_the_preview_after_a_publish_that_came_to_nothing() {
    // Version 2 is in preview, and the publish of version 3 was canceled.
    let submissions = vec![
        submission("p3", "publish", "canceled", 3, "2026-11-03T00:00:00Z"),
        submission("p2", "publish", "completed", 2, "2026-11-02T00:00:00Z"),
    ];
    for (pin, status) in [("", WAITING), ("\nversion: 2", WAITING), ("\nversion: 3", WAITING)] {
        let scene = Scene::of(&format!("{LIVE}{pin}")).sees("vm", status, Some(3)).with(|seen| {
            seen.submissions = Some(submissions.clone());
            seen.production = SlotSeen::Empty;
        });
        assert_eq!(scene.question(), Question::Slot(Slot::Preview), "{pin}");
        let scene = scene.with(|seen| seen.preview = SlotSeen::Holds(Version(2)));
        if pin.ends_with('3') {
            assert_eq!(scene.decision().reason(), Reason::VersionMismatch);
        } else {
            assert_eq!(scene.decision(), Decision::GoLive { version: Version(2) }, "{pin}");
        }
        // Once version 2 is in production, there is nothing left to do.
        let live = scene.with(|seen| seen.production = SlotSeen::Holds(Version(2)));
        if pin.is_empty() {
            assert_eq!(live.decision(), Decision::InSync(Place::Live(Version(2))));
        }
    }
}

#[test]
fn a_pinned_version_is_never_taken_from_the_list_alone() {
    let scene =
        Scene::of("state: live\nversion: 7").sees("vm", "Succeeded", Some(7)).with(|seen| {
            seen.production = SlotSeen::Holds(Version(5));
        });
    assert_eq!(scene.question(), Question::Slot(Slot::Preview));
    let scene = scene.with(|seen| seen.preview = SlotSeen::Holds(Version(5)));
    assert_eq!(scene.decision().reason(), Reason::VersionMismatch);
}

#[test]
fn a_golive_followed_to_its_end_counts_even_where_the_slots_lag_behind() {
    let scene = Scene::of(LIVE).recorded(|record| {
        record.operation = Some(operation(OperationKind::GoLive, 2, "succeeded", "d").into());
    });
    for status in ["Succeeded", WAITING, "published"] {
        let seen = scene.clone().sees("vm", status, Some(2)).with(|seen| {
            seen.production = SlotSeen::Holds(Version(1));
        });
        assert_eq!(seen.decision(), Decision::InSync(Place::Live(Version(2))), "{status}");
    }
    // After a while, the marketplace's word is what counts.
    let old = scene.clone().recorded(|record| {
        let operation = operation(OperationKind::GoLive, 2, "succeeded", "d");
        let finished_at = Some("2026-11-22T11:00:00Z".parse().unwrap());
        record.operation = Some(OperationRecord { finished_at, ..operation }.into());
    });
    assert_eq!(old.sees("vm", "Succeeded", Some(2)).question(), Question::Status);
    let newer = scene.sees("vm", WAITING, Some(3)).with(|seen| seen.submissions = Some(vec![]));
    assert_eq!(newer.decision(), Decision::GoLive { version: Version(3) });
}

#[test]
fn a_pinned_version_in_production_is_in_sync_beside_a_newer_preview() {
    let scene = Scene::of("state: live\nversion: 1").sees("vm", WAITING, Some(2));
    assert_eq!(scene.question(), Question::Slot(Slot::Production));
    let scene = scene.with(|seen| seen.production = SlotSeen::Holds(Version(1)));
    assert_eq!(scene.decision(), Decision::InSync(Place::Live(Version(1))));
}

#[test]
fn preview_is_enough_where_preview_is_desired() {
    let waiting = Scene::of(PREVIEW).sees("vm", WAITING, Some(2));
    assert_eq!(waiting.decision(), Decision::InSync(Place::Preview(Some(Version(2)))));
    let live = Scene::of(PREVIEW).sees("vm", "Succeeded", Some(2));
    let live = live.with(|seen| {
        seen.report = Some(with_live_step("Succeeded", StepStatus::Complete));
    });
    assert_eq!(live.decision(), Decision::InSync(Place::AlreadyLive(Version(2))));
    assert!(live.decision().message().contains("can't be taken back"));
}

// Row 4.

#[test]
fn holds_come_before_everything_that_would_be_sent_and_ask_nothing() {
    let held = |lines: &str| Scene::of(lines).sees("vm", WAITING, Some(2)).decision();
    let suspended = held("state: live\nsuspend: true");
    assert_eq!(suspended, Decision::Held(Hold::Suspended));
    let scheduled = held("state: live\nnotBefore: 2026-11-22T12:00:01Z");
    assert_eq!(scheduled.reason(), Reason::Scheduled);
    let due =
        Scene::of("state: live\nnotBefore: 2026-11-22T12:00:00Z").sees("vm", WAITING, Some(2));
    assert_eq!(due.question(), Question::Submissions);
}

#[test]
fn an_offer_waits_for_those_it_comes_after() {
    let base = |production| {
        Scene::of("state: live\nafter: [contoso/base]")
            .and("base", LIVE)
            .sees("vm", WAITING, Some(2))
            .with(|seen| seen.submissions = Some(Vec::new()))
            .sees("base", "Succeeded", Some(1))
            .base(production)
    };
    let waits = base(SlotSeen::Empty).decision();
    assert_eq!(waits, Decision::Held(Hold::WaitingForDependency(vec![offer("contoso/base")])));
    let released = base(SlotSeen::Holds(Version(1))).decision();
    assert_eq!(released, Decision::GoLive { version: Version(2) });
    // As long as it is not known, nothing is decided, and only the other one is asked about.
    let open = plan(base(SlotSeen::Unasked).input()).unwrap_err();
    assert_eq!(open, [(offer("contoso/base"), Question::Status)]);
}

impl Scene {
    fn base(mut self, production: SlotSeen) -> Self {
        match self.observed.get_mut(&offer("contoso/base")) {
            Some(Seen::Offer(observation)) => {
                observation.production = production;
                observation.preview = SlotSeen::Holds(Version(1));
            }
            other => panic!("{other:?}"),
        }
        self
    }
}

#[test]
fn a_dependency_out_of_scope_is_looked_at_and_not_touched() {
    let mut scene = Scene::of("state: live\nafter: [contoso/base]")
        .and("base", LIVE)
        .sees("vm", WAITING, Some(2))
        .sees("base", WAITING, Some(1));
    scene.policy.scope = Some(BTreeSet::from([offer("contoso/vm")]));
    for name in ["contoso/vm", "contoso/base"] {
        if let Some(Seen::Offer(seen)) = scene.observed.get_mut(&offer(name)) {
            seen.submissions = Some(Vec::new());
        }
    }
    let set = plan(scene.input()).unwrap();
    assert_eq!(set.changes.len(), 1);
    assert_eq!(set.changes[0].decision.reason(), Reason::WaitingForDependency);
}

// Row 5.

#[test]
fn a_failed_attempt_of_ours_is_shown_and_not_repeated() {
    for (status, reason) in
        [("failed", Reason::OperationFailed), ("canceled", Reason::OperationCanceled)]
    {
        for listed in [WAITING, "Failed", "Canceled"] {
            let scene = Scene::of(LIVE).sees("vm", listed, Some(2)).with(|seen| {
                seen.preview = SlotSeen::Holds(Version(2));
                seen.production = SlotSeen::Empty;
            });
            let digest = scene.desired[&offer("contoso/vm")].digest.clone();
            let failed = |digest: &str| {
                let operation = operation(OperationKind::GoLive, 2, status, digest);
                scene.clone().recorded(|record| record.operation = Some(operation.into()))
            };
            assert_eq!(failed(&digest).decision().reason(), reason, "{listed}");
            let again = Decision::GoLive { version: Version(2) };
            let older = failed("sha256:an-older-manifest");
            assert_eq!(older.question(), Question::Submissions, "{listed}");
            let told =
                |submissions| older.clone().with(|seen| seen.submissions = Some(submissions));
            assert_eq!(told(Vec::new()).decision(), again, "{listed}");
            // Another attempt has failed since.
            assert!(matches!(told(golive("failed", 2)).question(), Question::Operation(_)));
            assert_eq!(failed(&digest).retry().decision(), again, "{listed}");
        }
    }
}

#[test]
fn a_retry_is_asked_for_once() {
    let mut scene = Scene::of(LIVE).sees("vm", WAITING, Some(2)).retry();
    let digest = scene.desired[&offer("contoso/vm")].digest.clone();
    let changed = || Some(ChangedTime("2026-11-02T00:00:00.0000000Z".to_owned()));
    scene = scene.with(|seen| seen.changed_time = changed()).recorded(|record| {
        record.operation = Some(operation(OperationKind::GoLive, 2, "failed", &digest).into());
        record.observed.as_mut().unwrap().changed_time = changed();
    });
    scene.policy.attempted.insert(offer("contoso/vm"));
    assert_eq!(scene.decision().reason(), Reason::OperationFailed);
    // An offer that has changed since is asked about: another hand may have launched it.
    let later = scene.with(|seen| seen.changed_time = None);
    assert_eq!(later.question(), Question::Submissions);
}

#[test]
fn a_failed_attempt_of_another_hand_is_found_in_the_submissions() {
    let scene = Scene::of(LIVE).sees("vm", WAITING, Some(2));
    assert_eq!(scene.question(), Question::Submissions);
    let failed = scene.clone().with(|seen| seen.submissions = Some(golive("Canceled", 2)));
    assert!(matches!(failed.question(), Question::Operation(_)));
    let failed = failed.with(|seen| {
        seen.operations.insert("sub".to_owned(), OperationSeen::Expired);
    });
    assert_eq!(failed.decision().reason(), Reason::OperationCanceled);
    // An attempt at an older version says nothing about this one.
    let older = scene.clone().with(|seen| seen.submissions = Some(golive("failed", 1)));
    assert_eq!(older.decision(), Decision::GoLive { version: Version(2) });
    // The newest counts, wherever it stands in the list.
    let overcome = scene.with(|seen| {
        let mut all = golive("failed", 2);
        all.insert(0, submission("new", "golive", "running", 2, "2026-11-03T00:00:00Z"));
        seen.submissions = Some(all);
    });
    assert_eq!(overcome.decision().reason(), Reason::GoLiveRunning);
}

#[test]
fn a_failed_status_that_nothing_explains_is_a_failure() {
    let scene = Scene::of(LIVE).sees("vm", "Failed", Some(2)).with(|seen| {
        seen.preview = SlotSeen::Holds(Version(2));
        seen.production = SlotSeen::Empty;
        seen.submissions = Some(Vec::new());
    });
    assert_eq!(scene.question(), Question::Status);
    let scene = scene.with(|seen| seen.report = Some(with_live_step("Failed", StepStatus::Failed)));
    assert!(
        scene.decision().message().contains("failed at Live"),
        "{}",
        scene.decision().message()
    );
}

#[test]
fn a_failed_publish_does_not_keep_the_preview_from_going_live() {
    let scene = Scene::of(LIVE).sees("vm", "Failed", Some(3)).with(|seen| {
        seen.preview = SlotSeen::Holds(Version(2));
        seen.production = SlotSeen::Holds(Version(1));
        seen.submissions =
            Some(vec![submission("p", "publish", "failed", 3, "2026-11-03T00:00:00Z")]);
    });
    assert_eq!(scene.decision(), Decision::GoLive { version: Version(2) });
}

#[test]
fn an_operation_that_left_no_trace_counts_as_canceled() {
    let scene = Scene::of(LIVE).sees("vm", WAITING, Some(2));
    let digest = scene.desired[&offer("contoso/vm")].digest.clone();
    let scene = scene.recorded(|record| {
        record.operation = Some(operation(OperationKind::GoLive, 2, "running", &digest).into());
    });
    let expired = scene.with(|seen| {
        seen.operations.insert("op".to_owned(), OperationSeen::Expired);
    });
    assert_eq!(expired.question(), Question::Submissions);
    let lost = expired.clone().with(|seen| seen.submissions = Some(Vec::new()));
    // It was started just now, and need not show yet.
    assert_eq!(lost.decision().reason(), Reason::GoLiveRunning);
    let lost = lost.recorded(|record| {
        let mut old = operation(OperationKind::GoLive, 2, "running", &digest);
        old.started_at = now() - jiff::SignedDuration::from_mins(2);
        record.operation = Some(old.into());
    });
    assert_eq!(lost.decision().reason(), Reason::OperationCanceled);
    let listed = expired.with(|seen| {
        seen.submissions =
            Some(vec![submission("op", "golive", "succeeded", 2, "2026-11-02T00:00:00Z")]);
    });
    assert_eq!(listed.decision(), Decision::InSync(Place::Live(Version(2))));
}

// Intents.

#[test]
fn an_intent_is_settled_by_the_submission_that_is_newer_than_it() {
    let intent = |last: Option<&str>| Intent {
        at: now(),
        etag: None,
        kind: OperationKind::GoLive,
        last_changed: None,
        manifest_digest: String::new(),
        last_submission: last.map(str::to_owned),
        request_id: crate::marketplace::RequestId::from_random([1; 16]),
        version: Version(2),
    };
    let scene = Scene::of(LIVE).sees("vm", WAITING, Some(2)).retry();
    let of = |last| scene.clone().recorded(|record| record.intent = Some(intent(last).into()));
    assert_eq!(of(None).question(), Question::Submissions);
    let failed = |last| {
        of(last).with(|seen| {
            seen.submissions = Some(golive("failed", 2));
            seen.operations.insert("sub".to_owned(), answer("failed"));
        })
    };
    // It is the request's own end, so that a retry was had already.
    assert_eq!(failed(None).decision().reason(), Reason::OperationFailed);
    // It is the end of the attempt before.
    assert_eq!(failed(Some("sub")).decision(), Decision::GoLive { version: Version(2) });
}

#[test]
fn attempts_that_share_an_id_are_told_apart_by_their_time() {
    let id = "contoso$vm$2$preview";
    let decided = |id: &str, last_changed: &str| {
        let scene = Scene::of(LIVE).sees("vm", WAITING, Some(2)).recorded(|record| {
            record.intent = Some(Box::new(Intent {
                at: now(),
                etag: None,
                kind: OperationKind::GoLive,
                last_changed: Some(ChangedTime(last_changed.to_owned())),
                last_submission: Some(id.to_owned()),
                manifest_digest: String::new(),
                request_id: crate::marketplace::RequestId::from_random([1; 16]),
                version: Version(2),
            }));
        });
        let failed = submission(id, "golive", "failed", 2, "2026-11-02T00:00:00.0000000Z");
        let scene = scene.with(|seen| {
            seen.submissions = Some(vec![failed]);
            seen.operations.insert(id.to_owned(), answer("failed"));
        });
        scene.decision()
    };
    let again = Decision::GoLive { version: Version(2) };
    assert_eq!(decided(id, "2026-11-02T00:00:00Z"), again);
    assert_eq!(decided(id, "2026-11-01T00:00:00Z").reason(), Reason::OperationFailed);
    assert_eq!(decided("a-guid", "2026-11-01T00:00:00Z"), again);
}

// Rows 6 to 9.

#[test]
fn a_pinned_version_that_is_not_in_preview_blocks() {
    let scene = Scene::of("state: live\nversion: 5").sees("vm", WAITING, Some(4)).with(|seen| {
        seen.production = SlotSeen::Holds(Version(3));
        seen.preview = SlotSeen::Holds(Version(4));
    });
    assert_eq!(scene.decision().reason(), Reason::VersionMismatch);
    let matching = Scene::of("state: live\nversion: 4").sees("vm", WAITING, Some(4));
    let matching = matching.with(|seen| {
        seen.submissions =
            Some(vec![submission("p", "publish", "completed", 4, "2026-11-01T00:00:00Z")]);
    });
    assert_eq!(matching.decision(), Decision::GoLive { version: Version(4) });
}

#[test]
fn a_draft_is_published_for_preview_and_blocks_for_live() {
    let preview = Scene::of(PREVIEW).sees("vm", "NeverPublished", Some(1));
    assert_eq!(preview.decision(), Decision::Publish { version: Version(1) });
    let live = Scene::of(LIVE).sees("vm", "NeverPublished", Some(1));
    assert_eq!(live.decision().reason(), Reason::NotInPreview);
    let unknown = Scene::of(PREVIEW).sees("vm", "NeverPublished", None);
    assert_eq!(unknown.decision().reason(), Reason::UnknownStatus);
}

#[test]
fn an_unknown_status_blocks_with_its_text() {
    for manifest in [LIVE, PREVIEW] {
        let scene = Scene::of(manifest).sees("vm", "Levitating", Some(1));
        assert_eq!(scene.question(), Question::Status);
        let scene = scene.with(|seen| seen.report = Some(report("Levitating")));
        assert_eq!(scene.decision().reason(), Reason::UnknownStatus);
        assert!(scene.decision().message().contains("Levitating"));
    }
}

#[test]
fn a_refused_request_is_not_repeated_until_something_changes() {
    let scene = Scene::of(LIVE).sees("vm", WAITING, Some(2)).with(|seen| {
        seen.submissions = Some(Vec::new());
        seen.preview = SlotSeen::Holds(Version(2));
        seen.production = SlotSeen::Empty;
    });
    let digest = scene.desired[&offer("contoso/vm")].digest.clone();
    let refused = |digest: &str, changed: &str| {
        let refused = RefusedRecord {
            changed_time: Some(ChangedTime(changed.to_owned())),
            kind: OperationKind::GoLive,
            manifest_digest: digest.to_owned(),
            message: "no".to_owned(),
            version: Version(2),
        };
        scene.clone().recorded(|record| record.refused = Some(refused.into()))
    };
    let same = "2026-11-01T00:00:00.0000000Z";
    let again = Decision::GoLive { version: Version(2) };
    assert_eq!(refused(&digest, same).decision().reason(), Reason::Refused);
    // It may have been refused because it was done already.
    let live = refused(&digest, same).with(|seen| seen.production = SlotSeen::Holds(Version(2)));
    assert_eq!(live.decision(), Decision::InSync(Place::Live(Version(2))));
    assert_eq!(refused("another", same).decision(), again);
    assert_eq!(refused(&digest, "2026-10-01T00:00:00Z").decision(), again);
    assert_eq!(refused(&digest, same).retry().decision(), again);
}

// The whole.

#[test]
fn the_digest_depends_on_what_is_to_be_done_alone() {
    let scene = |version| {
        let scene = Scene::of(LIVE).sees("vm", WAITING, Some(version));
        scene.with(|seen| seen.submissions = Some(Vec::new()))
    };
    let digest = |scene: &Scene| plan(scene.input()).unwrap().digest();
    assert_eq!(digest(&scene(2)), digest(&scene(2)));
    assert_ne!(digest(&scene(2)), digest(&scene(3)));
    let today = scene(2);
    let later = Input {
        moment: Moment { now: "2027-01-01T00:00:00Z".parse().unwrap(), ..moment() },
        ..today.input()
    };
    assert_eq!(plan(later).unwrap().digest(), digest(&scene(2)));
}

#[test]
fn the_checker_finds_what_the_planner_would_not_do() {
    let scene = Scene::of("state: live\nsuspend: true").sees("vm", WAITING, Some(2));
    let mut set = plan(scene.input()).unwrap();
    set.changes[0].decision = Decision::GoLive { version: Version(7) };
    set.changes.push(set.changes[0].clone());
    let found = check(&set, scene.input());
    let held = Violation::Held(offer("contoso/vm"));
    assert!(found.contains(&held), "{found:?}");
    assert!(found.contains(&Violation::Twice(offer("contoso/vm"))), "{found:?}");
    assert!(found.contains(&Violation::WithoutVersion(offer("contoso/vm"))), "{found:?}");
}

#[test]
fn a_diff_shows_what_differs() {
    let scene = Scene::of(LIVE).sees("vm", WAITING, Some(2)).with(|seen| {
        seen.submissions = Some(golive("succeeded", 1));
    });
    let set = plan(scene.input()).unwrap();
    insta::assert_snapshot!(diff(&set.changes[0]), @r"
    --- observed
    +++ desired
    @@ -1,5 +1,5 @@
     publisher: contoso
     offer: vm
    -state: preview
    +state: live
     previewVersion: 2
    -liveVersion: 1
    +liveVersion: 2
    ");
}

fn any_status() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "NeverPublished",
        "NotStarted",
        WAITING,
        "Running",
        "Succeeded",
        "published",
        "Canceled",
        "Failed",
        "Levitating",
    ])
    .prop_map(str::to_owned)
}

fn any_slot() -> impl Strategy<Value = SlotSeen> {
    prop_oneof![
        Just(SlotSeen::Unasked),
        Just(SlotSeen::Empty),
        (1u64..4).prop_map(|version| SlotSeen::Holds(Version(version)))
    ]
}

fn any_submissions() -> impl Strategy<Value = Option<Vec<Submission>>> {
    let kind = prop::sample::select(vec!["golive", "publish", "cancel", "odd"]);
    let state = prop::sample::select(vec!["running", "succeeded", "failed", "canceled", "odd"]);
    let one = (kind, state, 1u64..4, 1u32..9).prop_map(|(kind, state, version, day)| {
        submission(&format!("s{day}"), kind, state, version, &format!("2026-11-0{day}T00:00:00Z"))
    });
    prop::option::of(prop::collection::vec(one, 0..4))
}

fn any_operation() -> impl Strategy<Value = Option<OperationRecord>> {
    let state = prop::sample::select(vec!["running", "succeeded", "failed", "canceled", "odd"]);
    let kind = prop_oneof![Just(OperationKind::GoLive), Just(OperationKind::Publish)];
    let one = (state, kind, 1u64..4, any::<bool>()).prop_map(|(state, kind, version, named)| {
        let operation = operation(kind, version, state, "d");
        OperationRecord { id: operation.id.filter(|_| named), ..operation }
    });
    prop::option::of(one)
}

fn any_scene() -> impl Strategy<Value = Scene> {
    let manifest = prop::sample::select(vec![LIVE, PREVIEW, "state: live\nversion: 2"]);
    let seen = (any_status(), prop::option::of(1u64..4), any_slot(), any_slot(), any_submissions());
    (manifest, seen, any_operation(), any::<bool>()).prop_map(
        |(manifest, (status, version, preview, production, submissions), operation, retry)| {
            let mut scene = Scene::of(manifest).sees("vm", &status, version).with(|seen| {
                seen.preview = preview;
                seen.production = production;
                seen.submissions = submissions;
            });
            if retry {
                scene = scene.retry();
            }
            match operation {
                Some(operation) => {
                    scene.recorded(|record| record.operation = Some(operation.into()))
                }
                None => scene,
            }
        },
    )
}

/// Answers a question, as some marketplace would.
fn reply(observation: &mut Observation, question: &Question, expired: bool) {
    match question {
        Question::Status => {
            assert!(observation.report.is_none(), "asked twice");
            observation.report = Some(report(observation.listed_status.as_str()));
        }
        Question::Submissions => {
            assert!(observation.submissions.is_none(), "asked twice");
            observation.submissions = Some(golive("failed", 2));
        }
        Question::Slot(Slot::Production) => {
            assert_eq!(observation.production, SlotSeen::Unasked, "asked twice");
            observation.production = SlotSeen::Empty;
        }
        Question::Slot(_) => {
            assert_eq!(observation.preview, SlotSeen::Unasked, "asked twice");
            observation.preview = SlotSeen::Holds(Version(2));
        }
        Question::Operation(reference) => {
            let seen = if expired { OperationSeen::Expired } else { answer("failed") };
            let before = observation.operations.insert(reference.id.clone(), seen);
            assert_eq!(before, None, "asked twice");
        }
    }
}

proptest! {
    #[test]
    fn every_scene_is_decided_after_a_few_questions_none_of_them_twice(
        mut scene in any_scene(), expired: bool,
    ) {
        for _ in 0..8 {
            let Err(questions) = plan(scene.input()) else { break };
            for (id, question) in questions {
                match scene.observed.get_mut(&id) {
                    Some(Seen::Offer(observation)) => reply(observation, &question, expired),
                    other => panic!("{other:?}"),
                }
            }
        }
        let set = plan(scene.input()).unwrap();
        prop_assert_eq!(check(&set, scene.input()), vec![]);
        // What may run is never sent a second time.
        let decision = &set.changes[0].decision;
        let ours = scene.recorded.values().filter_map(|record| record.operation.as_ref());
        for operation in ours {
            let same = matches!(decision, Decision::GoLive { version } if Some(*version) == operation.version);
            if operation.kind == OperationKind::GoLive && same {
                let gone = operation.status == OperationStatus::Succeeded;
                prop_assert!(!gone, "golive of a version that golive has taken to production");
            }
        }
    }

    #[test]
    fn the_order_of_the_input_does_not_matter(
        names in prop::collection::btree_set("[a-z]{1,6}", 1..8), seed: u64,
    ) {
        let mut shuffled: Vec<_> = names.iter().cloned().collect();
        fastrand::Rng::with_seed(seed).shuffle(&mut shuffled);
        let build = |names: &mut dyn Iterator<Item = &String>| {
            names.fold(Scene::default(), |scene, name| {
                scene.and(name, PREVIEW).sees(name, WAITING, Some(2))
            })
        };
        let (one, two) = (build(&mut names.iter()), build(&mut shuffled.iter()));
        prop_assert_eq!(plan(one.input()), plan(two.input()));
    }
}
