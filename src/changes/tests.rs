//! The rules, row by row, then what holds whatever is answered.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::manifest::{FileManifests, Found, Loaded, assemble};
use crate::marketplace::{
    Attempt, ChangedTime, Followed, Hint, Listing, OfferId, OfferState, OperationKind,
    OperationStatus, Release, Report, RequestId, Run, Settling, Step, StepStatus,
};
use crate::status::{
    Intent, ManifestRecord, ObservedRecord, OfferRecord, OperationRecord, Phase, Reason,
    RefusedRecord,
};

/// Manifests, records and sightings, put together step by step.
#[derive(Clone, Debug, Default)]
struct Scene {
    desired: BTreeMap<OfferId, Arc<Loaded>>,
    recorded: BTreeMap<OfferId, Arc<OfferRecord>>,
    observed: BTreeMap<OfferId, Seen>,
    policy: Policy,
}

fn offer(name: &str) -> OfferId {
    format!("contoso/{name}").parse().unwrap()
}

fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn long_ago() -> Timestamp {
    now() - SignedDuration::from_hours(2)
}

/// What was started is given five minutes to show.
fn moment() -> Moment {
    let settling = Settling { fenced: Duration::from_secs(30), unfenced: Duration::from_mins(2) };
    Moment { now: now(), longest_request: Duration::from_mins(1), settling }
}

fn release(number: u64) -> Release {
    Release::from(number)
}

fn golive_of(number: u64) -> Decision {
    Decision::GoLive { release: release(number) }
}

fn live_at(number: u64) -> Decision {
    Decision::InSync(Place::Live(release(number)))
}

fn inspected() -> OfferState {
    OfferState { is_inspected: true, is_launchable: true, ..OfferState::default() }
}

fn draft() -> OfferState {
    OfferState { draft: Some(release(1)), ..inspected() }
}

fn preview(number: u64) -> OfferState {
    OfferState { preview: Some(release(number)), ..inspected() }
}

fn stale(number: u64) -> OfferState {
    OfferState { stale_preview: Some(release(number)), ..inspected() }
}

fn live(number: u64) -> OfferState {
    OfferState { live: Some(release(number)), ..inspected() }
}

fn unclear(state: OfferState) -> OfferState {
    OfferState { unclear: Some("it levitates".to_owned()), ..state }
}

fn running(kind: OperationKind, id: Option<&str>, state: OfferState) -> OfferState {
    let run = Run {
        kind,
        id: id.map(str::to_owned),
        release: Some(release(2)),
        steps: Vec::new(),
        messages: Vec::new(),
    };
    OfferState { running: Some(run), ..state }
}

fn attempt(kind: OperationKind, id: Option<&str>, number: u64, status: &str) -> Attempt {
    Attempt {
        kind,
        id: id.map(str::to_owned),
        release: Some(release(number)),
        status: status.into(),
        is_new: false,
        steps: Vec::new(),
        messages: Vec::new(),
    }
}

/// The same state after an attempt that ended.
fn after(state: OfferState, last: Attempt) -> OfferState {
    OfferState { last: Some(last), ..state }
}

fn failed_golive(number: u64) -> Attempt {
    attempt(OperationKind::GoLive, Some("other"), number, "failed")
}

/// The same state, where the operation that is followed answers this.
fn told(state: OfferState, status: &str) -> OfferState {
    let status = OperationStatus::from(status);
    let report = Report {
        runs: !status.is_finished(),
        status,
        steps: Vec::new(),
        messages: Vec::new(),
        release: None,
    };
    OfferState { followed: Some(Followed::Known(Box::new(report))), ..state }
}

fn listing(name: &str, hint: Hint, number: Option<u64>) -> Listing {
    Listing {
        id: offer(name),
        words: "running".to_owned(),
        changed_time: Some(ChangedTime("2026-11-01T00:00:00.123".to_owned())),
        fingerprint: Some("as before".to_owned()),
        hint,
        release: number.map(Release::from),
        may_be_fenced: false,
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
        observed: None,
        operation: None,
        phase: Phase::InProgress,
        reason: Reason::GoLiveRunning,
        refused: None,
        since: now(),
    }
}

fn observed(preview: Option<u64>, live: Option<u64>) -> Option<ObservedRecord> {
    Some(ObservedRecord {
        at: now(),
        changed_time: None,
        fingerprint: Some("as before".to_owned()),
        live: live.map(Release::from),
        preview: preview.map(Release::from),
        status: "running".to_owned(),
    })
}

fn operation(status: &str, started_at: Timestamp, digest: &str) -> OperationRecord {
    let status = OperationStatus::from(status);
    OperationRecord {
        adopted: false,
        finished_at: status.is_finished().then(now),
        id: Some("op".to_owned()),
        kind: OperationKind::GoLive,
        location: None,
        manifest_digest: digest.to_owned(),
        messages: Vec::new(),
        polled_at: None,
        progress: None,
        release: Some(release(2)),
        request_id: Some(RequestId::from_random([1; 16])),
        started_at,
        status,
        steps: Vec::new(),
    }
}

fn intent(at: Timestamp) -> Intent {
    Intent {
        at,
        attempt: 1,
        deadline: at + SignedDuration::from_mins(2),
        fence: None,
        kind: OperationKind::GoLive,
        known: None,
        manifest_digest: String::new(),
        release: release(2),
        request_id: RequestId::from_random([1; 16]),
    }
}

impl Scene {
    /// One offer, `contoso/vm`, with these lines in its manifest.
    fn of(lines: &str) -> Self {
        Self::default().and("vm", lines)
    }

    fn and(mut self, name: &str, lines: &str) -> Self {
        // `after` may name offers that this one file does not have.
        let (after, lines): (Vec<_>, Vec<_>) =
            lines.lines().partition(|line| line.starts_with("after: "));
        let text = format!("publisher: contoso\noffer: {name}\n{}\n", lines.join("\n"));
        let file = FileManifests::from_bytes(Path::new("vm.yaml"), text.as_bytes());
        let found = Found {
            roots: vec![PathBuf::from(".")],
            files: vec![PathBuf::from("vm.yaml")],
            ..Found::default()
        };
        let mut set = assemble(&found, [&file]).unwrap();
        let loaded = set.offers.values_mut().next().unwrap();
        for line in after {
            let name = line.trim_start_matches("after: ");
            Arc::make_mut(loaded).manifest.after.push(offer(name));
        }
        self.desired.extend(set.offers);
        self
    }

    fn sees(mut self, name: &str, state: OfferState) -> Self {
        let seen = Sighting::listed(listing(name, Hint::Busy, None)).with(state, now());
        self.observed.insert(offer(name), Seen::Offer(Box::new(seen)));
        self
    }

    fn lists(mut self, hint: Hint, number: Option<u64>) -> Self {
        let seen = Sighting::listed(listing("vm", hint, number));
        self.observed.insert(offer("vm"), Seen::Offer(Box::new(seen)));
        self
    }

    fn digest(&self) -> String {
        self.desired[&offer("vm")].digest.clone()
    }

    fn recorded(mut self, change: impl FnOnce(&mut OfferRecord)) -> Self {
        let mut record = record(&self.desired[&offer("vm")]);
        change(&mut record);
        self.recorded.insert(offer("vm"), Arc::new(record));
        self
    }

    /// With a golive of release 2 on record.
    fn started(self, status: &str, at: Timestamp) -> Self {
        let digest = self.digest();
        self.recorded(|record| record.operation = Some(operation(status, at, &digest).into()))
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
    #[track_caller]
    fn decision(&self) -> Decision {
        let set = plan(self.input()).unwrap();
        assert_eq!(check(&set, self.input()), []);
        set.get(&offer("vm")).unwrap().decision.clone()
    }

    fn is_asked(&self) -> bool {
        plan(self.input()) == Err(vec![offer("vm")])
    }
}

const LIVE: &str = "state: live";
const PREVIEW: &str = "state: preview";

// The rows.

#[test]
fn the_first_row_that_matches_wins() {
    use Reason::*;
    let golive = |state| running(OperationKind::GoLive, Some("a"), state);
    let publish_failed =
        |state| after(state, attempt(OperationKind::Publish, Some("p"), 3, "failed"));
    let canceled = |number| attempt(OperationKind::GoLive, Some("a"), number, "canceled");
    let pinned = |number, state| OfferState { pinned: Some(release(number)), ..state };
    let beside = |state| OfferState { live: Some(release(1)), ..state };
    let suspend = "state: live\nsuspend: true";
    let ahead = "state: live\nnotBefore: 2026-11-22T12:00:01Z";
    let due = "state: live\nnotBefore: 2026-11-22T12:00:00Z";
    let pin = |number: u64| format!("state: live\nversion: {number}");
    let rows: Vec<(&str, String, OfferState, Reason)> = vec![
        ("1", LIVE.into(), golive(inspected()), GoLiveRunning),
        ("1 before 3", LIVE.into(), golive(live(2)), GoLiveRunning),
        ("1 before 4", suspend.into(), golive(preview(2)), GoLiveRunning),
        ("1 before 5", LIVE.into(), golive(after(preview(2), failed_golive(2))), GoLiveRunning),
        ("1 before 9", LIVE.into(), golive(unclear(inspected())), GoLiveRunning),
        ("1", PREVIEW.into(), running(OperationKind::Publish, None, draft()), PublishRunning),
        ("1", LIVE.into(), running("".into(), None, inspected()), OperationRunning),
        ("3", LIVE.into(), live(2), InProduction),
        ("3", PREVIEW.into(), preview(2), InPreview),
        ("3", PREVIEW.into(), beside(preview(2)), InPreview),
        ("3", PREVIEW.into(), live(2), AlreadyLive),
        ("3 before 4", suspend.into(), live(2), InProduction),
        ("3, pinned", pin(1), beside(preview(2)), InProduction),
        ("3, pinned by another name", pin(7), pinned(2, live(2)), InProduction),
        ("3, not where it is unclear", LIVE.into(), unclear(live(2)), UnknownStatus),
        ("4", suspend.into(), preview(2), Suspended),
        ("4", ahead.into(), preview(2), Scheduled),
        ("4, due", due.into(), preview(2), GoLivePending),
        ("4 before 5", suspend.into(), after(preview(2), failed_golive(2)), Suspended),
        ("4 before 6", format!("{suspend}\nversion: 5"), preview(2), Suspended),
        ("4 before 8", suspend.into(), draft(), Suspended),
        ("4 before 9", suspend.into(), unclear(inspected()), Suspended),
        ("5", LIVE.into(), after(preview(2), failed_golive(2)), OperationFailed),
        ("5", LIVE.into(), after(preview(2), canceled(2)), OperationCanceled),
        ("5", LIVE.into(), after(beside(stale(2)), failed_golive(2)), OperationFailed),
        ("5", PREVIEW.into(), publish_failed(draft()), OperationFailed),
        ("5 before 9", LIVE.into(), unclear(after(stale(2), failed_golive(2))), OperationFailed),
        ("5, not of a publish", LIVE.into(), publish_failed(preview(2)), GoLivePending),
        (
            "5, not of another than the pinned",
            pin(5),
            after(preview(4), failed_golive(4)),
            VersionMismatch,
        ),
        ("5, not of the preview before", PREVIEW.into(), publish_failed(preview(2)), InPreview),
        ("6", pin(5), preview(4), VersionMismatch),
        ("6", pin(5), live(4), VersionMismatch),
        ("7", LIVE.into(), preview(2), GoLivePending),
        ("7", LIVE.into(), beside(preview(2)), GoLivePending),
        ("7, pinned", pin(2), preview(2), GoLivePending),
        ("7, pinned by another name", pin(7), pinned(2, preview(2)), GoLivePending),
        ("8", PREVIEW.into(), draft(), PublishPending),
        ("8", LIVE.into(), draft(), NotInPreview),
        ("8, without a sign-off", LIVE.into(), stale(2), NotInPreview),
        ("9", LIVE.into(), unclear(preview(2)), UnknownStatus),
        ("9", PREVIEW.into(), unclear(inspected()), UnknownStatus),
    ];
    for (row, manifest, state, reason) in rows {
        let decision = Scene::of(&manifest).sees("vm", state).decision();
        assert_eq!(decision.reason(), reason, "row {row}: {manifest} {decision:?}");
    }
}

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
        scene.observed.insert(offer("vm"), seen);
        assert_eq!((scene.decision().reason(), scene.decision().phase()), (reason, Phase::Blocked));
    }
    assert_eq!(Scene::of(LIVE).decision().reason(), Reason::Unreachable);
}

#[test]
fn what_runs_is_ours_or_found_again_or_of_another_hand() {
    let state = || running(OperationKind::GoLive, Some("op"), preview(2));
    let tracked = |scene: Scene| match scene.sees("vm", state()).decision() {
        Decision::Track(tracked) => (tracked.origin, tracked.id),
        other => panic!("{other:?}"),
    };
    let id = Some("op".to_owned());
    assert_eq!(tracked(Scene::of(LIVE)), (Origin::Elsewhere, id.clone()));
    assert_eq!(tracked(Scene::of(LIVE).started("running", now())), (Origin::Recorded, id.clone()));
    let doubt = Scene::of(LIVE).recorded(|it| it.intent = Some(intent(now()).into()));
    assert_eq!(tracked(doubt), (Origin::Found, id));
    // What runs without a name is the answer to a request in doubt.
    let nameless = Scene::of(LIVE).recorded(|it| it.intent = Some(intent(now()).into()));
    let nameless = nameless.sees("vm", running("".into(), None, inspected())).decision();
    let Decision::Track(found) = nameless else { panic!("{nameless:?}") };
    assert_eq!((found.kind, found.release), (OperationKind::GoLive, Some(release(2))));
}

#[test]
fn an_offer_waits_for_those_it_comes_after() {
    let scene = |base| {
        Scene::of("state: live\nafter: base")
            .and("base", LIVE)
            .sees("vm", preview(2))
            .sees("base", base)
    };
    let waits = Decision::Held(Hold::WaitingForDependency(vec![offer("base")]));
    assert_eq!(scene(preview(1)).decision(), waits);
    assert_eq!(scene(live(1)).decision(), golive_of(2));
    // While it is not known, only the other one is asked about.
    let mut open = scene(live(1));
    let listed = Sighting::listed(listing("base", Hint::Busy, None));
    open.observed.insert(offer("base"), Seen::Offer(Box::new(listed)));
    assert_eq!(plan(open.input()), Err(vec![offer("base")]));
    assert_eq!(undecided(open.input()), BTreeSet::from([offer("base"), offer("vm")]));
    // Out of scope, it is looked at and not touched.
    let mut narrow = scene(preview(1));
    narrow.policy.scope = Some(BTreeSet::from([offer("vm")]));
    assert_eq!(narrow.decision(), waits);
    assert_eq!(plan(narrow.input()).unwrap().changes.len(), 1);
}

// Failures.

#[test]
fn a_failed_golive_is_not_called_live_where_the_status_falls_back_to_the_release_before() {
    let fallen = Scene::of(LIVE).started("running", now()).sees("vm", told(live(1), "failed"));
    assert_eq!(fallen.decision().reason(), Reason::OperationFailed);
    // In the passes after that, whether or not the offer is asked about.
    let shown = Scene::of(LIVE);
    let digest = shown.digest();
    let shown = shown.recorded(|record| {
        record.operation = Some(operation("failed", long_ago(), &digest).into());
        (record.phase, record.observed) = (Phase::Failed, observed(Some(2), Some(1)));
    });
    let again = |state| shown.clone().sees("vm", state).decision();
    assert_eq!(again(live(1)).reason(), Reason::OperationFailed);
    assert_eq!(shown.clone().lists(Hint::AtRest, Some(2)).decision(), again(live(1)));
    // Until it is overtaken: by another release, by its own after all, by a newer preview.
    assert_eq!(again(live(3)), live_at(3));
    assert_eq!(again(live(2)), live_at(2));
    assert_eq!(again(OfferState { live: Some(release(1)), ..preview(3) }), golive_of(3));
}

#[test]
fn a_failed_attempt_is_repeated_for_another_manifest_and_where_a_person_asks() {
    for status in ["failed", "canceled"] {
        let scene = Scene::of(LIVE).sees("vm", preview(2));
        let failed = scene.clone().started(status, long_ago());
        assert_eq!(failed.decision().phase(), Phase::Failed);
        assert_eq!(failed.clone().retry().decision(), golive_of(2));
        assert_eq!(failed.clone().sees("vm", stale(2)).retry().decision(), golive_of(2));
        let digest = "sha256:of-a-manifest-before";
        let older = scene.recorded(|record| {
            record.operation = Some(operation(status, long_ago(), digest).into());
        });
        assert_eq!(older.decision(), golive_of(2));
        // Another attempt has failed since, by another hand.
        let since = older.sees("vm", after(preview(2), failed_golive(2)));
        assert_eq!(since.decision().reason(), Reason::OperationFailed);
        // A retry is asked for once.
        let mut once = failed.retry();
        once.policy.attempted.insert(offer("vm"));
        assert_eq!(once.decision().phase(), Phase::Failed);
    }
}

#[test]
fn a_failure_is_shown_with_the_step_that_ended_it() {
    let step = Step {
        estimate: None,
        id: "live".to_owned(),
        messages: Vec::new(),
        name: "Live".to_owned(),
        progress: None,
        status: StepStatus::Failed,
    };
    let last = Attempt { steps: vec![step], ..failed_golive(2) };
    let message = Scene::of(LIVE).sees("vm", after(preview(2), last)).decision().message();
    assert_eq!(message, "the last golive of version 2 failed at Live");
}

#[test]
fn a_refused_request_is_not_repeated_until_something_changes() {
    let refused = |digest: &str, fingerprint: &str| {
        let refused = RefusedRecord {
            fingerprint: Some(fingerprint.to_owned()),
            kind: OperationKind::GoLive,
            manifest_digest: digest.to_owned(),
            message: "no".to_owned(),
            release: release(2),
        };
        let scene = Scene::of(LIVE).sees("vm", preview(2));
        scene.recorded(|record| record.refused = Some(refused.into()))
    };
    let digest = Scene::of(LIVE).digest();
    let same = refused(&digest, "as before");
    assert_eq!(same.decision().reason(), Reason::Refused);
    assert_eq!(same.clone().sees("vm", live(2)).decision(), live_at(2));
    assert_eq!(same.clone().sees("vm", preview(3)).decision(), golive_of(3));
    assert_eq!(same.retry().decision(), golive_of(2));
    assert_eq!(refused("another", "as before").decision(), golive_of(2));
    assert_eq!(refused(&digest, "otherwise").decision(), golive_of(2));
}

// Doubt and contradiction.

#[test]
fn a_request_in_doubt_keeps_the_release_before_from_being_called_live() {
    let doubt = |at| Scene::of(LIVE).recorded(|it| it.intent = Some(intent(at).into()));
    let fresh = doubt(now()).sees("vm", live(1)).decision();
    assert_eq!(fresh.reason(), Reason::UnknownStatus);
    assert!(fresh.message().contains("golive of release 2 is in doubt"), "{}", fresh.message());
    // Once it has settled, it counts as lost: shown, and not repeated.
    let settled = doubt(long_ago()).sees("vm", live(1)).decision();
    assert_eq!(settled.reason(), Reason::OperationCanceled);
    for at in [now(), long_ago()] {
        assert_eq!(doubt(at).sees("vm", live(2)).decision(), live_at(2));
        // The protocol decides whether it may be sent again.
        assert_eq!(doubt(at).sees("vm", preview(2)).decision(), golive_of(2));
    }
}

#[test]
fn a_request_in_doubt_is_settled_by_the_attempt_that_is_newer_than_it() {
    let scene = Scene::of(LIVE).recorded(|it| it.intent = Some(intent(now()).into())).retry();
    let of = |is_new| {
        let last = Attempt { is_new, ..failed_golive(2) };
        scene.clone().sees("vm", after(preview(2), last)).decision()
    };
    // It is the request's own end, so that a retry was had already.
    assert_eq!(of(true).reason(), Reason::OperationFailed);
    assert_eq!(of(false), golive_of(2));
}

#[test]
fn a_good_end_that_the_offer_does_not_show_is_waited_for_and_then_blocks() {
    for (state, shown) in [
        (preview(2), "release 2 waits for the sign-off"),
        (live(1), "release 1 is live"),
        (inspected(), "neither preview nor production holds it"),
    ] {
        let state = told(state, "succeeded");
        let young = Scene::of(LIVE).started("running", now()).sees("vm", state.clone()).decision();
        assert_eq!(young.reason(), Reason::GoLiveRunning, "{shown}");
        let old = Scene::of(LIVE).started("running", long_ago()).sees("vm", state).decision();
        assert_eq!(old.reason(), Reason::UnknownStatus, "{shown}");
        let both = format!("golive of release 2 is reported as succeeded, but {shown}");
        assert!(old.message().contains(&both), "{}", old.message());
    }
    let good = Scene::of(LIVE).started("running", long_ago());
    assert_eq!(good.sees("vm", told(live(2), "succeeded")).decision(), live_at(2));
}

#[test]
fn an_unclear_state_blocks_with_its_words() {
    for (manifest, state) in [(LIVE, preview(2)), (LIVE, live(2)), (PREVIEW, draft())] {
        for scene in [Scene::of(manifest), Scene::of(manifest).retry()] {
            let decision = scene.sees("vm", unclear(state.clone())).decision();
            assert_eq!(decision.reason(), Reason::UnknownStatus);
            assert!(decision.message().contains("it levitates"), "{}", decision.message());
        }
    }
}

// What is known without a question.

#[test]
fn a_remembered_state_needs_no_question_while_the_list_says_the_same() {
    let known = |manifest: &str, preview, live| {
        Scene::of(manifest).recorded(|it| it.observed = observed(preview, live))
    };
    let at_rest = known(LIVE, Some(2), Some(2)).lists(Hint::AtRest, Some(2));
    assert_eq!(at_rest.decision(), live_at(2));
    let waiting = known(PREVIEW, Some(2), Some(1)).lists(Hint::InPreview, Some(2));
    assert_eq!(waiting.decision(), Decision::InSync(Place::Preview(Some(release(2)))));
    let other = known(LIVE, Some(2), Some(2)).recorded(|record| {
        record.observed = observed(Some(2), Some(2));
        record.observed.as_mut().unwrap().fingerprint = Some("otherwise".to_owned());
    });
    assert!(other.lists(Hint::AtRest, Some(2)).is_asked());
    // Nothing is published, and no pin refused, on the word of a record.
    assert!(known(PREVIEW, None, None).lists(Hint::AtRest, Some(1)).is_asked());
    assert!(
        known("state: live\nversion: 5", Some(2), Some(2)).lists(Hint::AtRest, None).is_asked()
    );
    // What is reviewed is asked about.
    let mut reviewed = known(LIVE, Some(2), Some(1)).lists(Hint::InPreview, Some(2));
    assert_eq!(reviewed.decision(), golive_of(2));
    reviewed.policy.verify = true;
    assert!(reviewed.is_asked());
    // Nor is anything remembered while something runs, or may.
    let open = |change: fn(&mut OfferRecord)| {
        let scene = Scene::of(LIVE).recorded(|record| {
            record.observed = observed(Some(2), Some(2));
            change(record);
        });
        scene.lists(Hint::AtRest, Some(2)).is_asked()
    };
    assert!(open(|it| it.operation = Some(operation("running", now(), "").into())));
    assert!(open(|it| it.intent = Some(intent(now()).into())));
    assert!(open(|it| it.history.push(operation("running", now(), ""))));
}

#[test]
fn only_what_is_certain_is_remembered() {
    let scene = Scene::of(LIVE).recorded(|_| {});
    let record = |change: fn(&mut OfferRecord)| {
        let mut record = (*scene.recorded[&offer("vm")]).clone();
        change(&mut record);
        record
    };
    let is_certain = |hint, state, record: &OfferRecord, changed: &str| {
        let mut listing = listing("vm", hint, Some(2));
        listing.changed_time = Some(ChangedTime(changed.to_owned()));
        Sighting::listed(listing).with(state, now()).is_certain(record, now())
    };
    let (nothing, old, new) = (record(|_| {}), "2026-11-01T00:00:00", "2026-11-22T11:30:00");
    assert!(is_certain(Hint::AtRest, live(2), &nothing, old));
    assert!(is_certain(Hint::InPreview, preview(2), &nothing, old));
    for (hint, state) in [
        (Hint::Busy, live(2)),
        (Hint::AtRest, preview(2)),
        (Hint::InPreview, live(2)),
        (Hint::AtRest, unclear(live(2))),
        (Hint::AtRest, running(OperationKind::GoLive, None, live(2))),
        (Hint::AtRest, OfferState { is_inspected: false, ..live(2) }),
    ] {
        assert!(!is_certain(hint, state.clone(), &nothing, old), "{hint:?} {state:?}");
    }
    // Just after a change, a status may be that of before; unless the change is golive's own.
    assert!(!is_certain(Hint::AtRest, live(2), &nothing, new));
    let own = record(|it| it.operation = Some(operation("succeeded", now(), "").into()));
    assert!(is_certain(Hint::AtRest, live(2), &own, new));
    assert!(!is_certain(Hint::AtRest, live(1), &own, new));
}

#[test]
fn a_list_suggests_no_more_than_that_a_preview_waits() {
    let listed = |scene: Scene| scene.lists(Hint::InPreview, Some(2));
    assert_eq!(listed(Scene::of(LIVE)).decision(), golive_of(2));
    let suspended = listed(Scene::of("state: live\nsuspend: true")).decision();
    assert_eq!(suspended, Decision::Held(Hold::Suspended));
    let done = Scene::of(LIVE).started("succeeded", long_ago());
    assert_eq!(listed(done).decision(), golive_of(2));
    let mut reviewed = listed(Scene::of(LIVE));
    reviewed.policy.verify = true;
    for scene in [
        reviewed,
        listed(Scene::of(LIVE).retry()),
        listed(Scene::of(PREVIEW)),
        listed(Scene::of("state: live\nversion: 2")),
        listed(Scene::of(LIVE).started("failed", long_ago())),
        listed(Scene::of(LIVE).started("running", long_ago())),
        listed(Scene::of(LIVE).recorded(|it| it.intent = Some(intent(now()).into()))),
        Scene::of(LIVE).lists(Hint::InPreview, None),
        Scene::of(LIVE).lists(Hint::AtRest, Some(2)),
        Scene::of(LIVE).lists(Hint::Busy, Some(2)),
    ] {
        assert!(scene.is_asked(), "{scene:?}");
    }
}

// How operations end.

#[test]
fn an_operation_has_ended_where_it_says_so_badly_or_the_offer_shows_it() {
    let listed = |state, status: &str| OfferState {
        listed: Some(vec![attempt(OperationKind::GoLive, Some("op"), 2, status)]),
        ..state
    };
    let word = attempt("".into(), None, 2, "failed");
    let uninspected = OfferState { is_inspected: false, ..preview(2) };
    let expired = OfferState { followed: Some(Followed::Expired), ..preview(2) };
    // Of one that was started just now, and of an old one.
    let rows = [
        (live(2), Some("succeeded"), Some("succeeded")),
        (told(live(2), "running"), Some("succeeded"), Some("succeeded")),
        (told(preview(2), "failed"), Some("failed"), Some("failed")),
        (told(live(1), "canceled"), Some("canceled"), Some("canceled")),
        (told(preview(2), "succeeded"), None, None),
        (running(OperationKind::GoLive, Some("op"), preview(2)), None, None),
        (uninspected, None, None),
        (listed(preview(2), "succeeded"), None, None),
        (listed(preview(2), "failed"), Some("failed"), Some("failed")),
        (preview(2), None, Some("canceled")),
        (expired, None, Some("canceled")),
        (live(1), None, Some("canceled")),
        (unclear(preview(2)), None, None),
        (after(preview(2), word), None, Some("failed")),
    ];
    for (state, young, old) in rows {
        let ended = |at| facts::ended(&operation("running", at, ""), &state, moment());
        assert_eq!(ended(now()), young.map(OperationStatus::from), "young: {state:?}");
        assert_eq!(ended(long_ago()), old.map(OperationStatus::from), "old: {state:?}");
        // What has ended has ended.
        let known = facts::ended(&operation("failed", now(), ""), &state, moment());
        assert_eq!(known, Some(OperationStatus::Failed));
    }
}

#[test]
fn an_operation_of_the_history_has_ended_as_the_list_says() {
    let listed = |state, entries| OfferState { listed: Some(entries), ..state };
    let op = |status| vec![attempt(OperationKind::GoLive, Some("op"), 2, status)];
    let rows = [
        (live(2), None, None),
        (listed(live(2), Vec::new()), Some("succeeded"), Some("succeeded")),
        (listed(preview(3), op("succeeded")), Some("succeeded"), Some("succeeded")),
        (listed(preview(3), op("failed")), Some("failed"), Some("failed")),
        (listed(preview(3), Vec::new()), None, Some("canceled")),
        (listed(running(OperationKind::GoLive, None, preview(3)), Vec::new()), None, None),
    ];
    for (state, young, old) in rows {
        let ended = |at| facts::ended_unseen(&operation("running", at, ""), &state, moment());
        assert_eq!(ended(now()), young.map(OperationStatus::from), "young: {state:?}");
        assert_eq!(ended(long_ago()), old.map(OperationStatus::from), "old: {state:?}");
    }
}

// The whole.

#[test]
fn the_digest_depends_on_what_is_to_be_done_alone() {
    let digest = |scene: &Scene| plan(scene.input()).unwrap().digest();
    let scene = |number| Scene::of(LIVE).sees("vm", preview(number));
    let today = scene(2);
    assert_ne!(digest(&today), digest(&scene(3)));
    let later = Moment { now: "2027-01-01T00:00:00Z".parse().unwrap(), ..moment() };
    let later = plan(Input { moment: later, ..today.input() }).unwrap();
    assert_eq!(later.digest(), digest(&today));
    // How much is known of what is not sent makes no difference.
    let blocked = |state| digest(&Scene::of("state: live\nversion: 9").sees("vm", state));
    assert_eq!(blocked(preview(2)), blocked(OfferState { live: Some(release(1)), ..preview(3) }));
}

#[test]
fn the_checker_finds_what_the_planner_would_not_do() {
    let vm = || offer("vm");
    let forced = |scene: &Scene, decision: Decision| {
        let mut set = plan(scene.input()).unwrap();
        let index = set.changes.iter().position(|change| change.offer == vm()).unwrap();
        set.changes[index].decision = decision;
        check(&set, scene.input())
    };
    let scene = |manifest: &str, state| Scene::of(manifest).sees("vm", state);
    let golive = |manifest: &str, state| forced(&scene(manifest, state), golive_of(2));
    for manifest in ["state: live\nsuspend: true", "state: live\nnotBefore: 2027-01-01T00:00:00Z"] {
        assert_eq!(golive(manifest, preview(2)), [Violation::Held(vm())]);
    }
    for manifest in [PREVIEW, "state: live\nversion: 5"] {
        assert_eq!(golive(manifest, preview(2)), [Violation::AgainstManifest(vm())]);
    }
    assert_eq!(golive(LIVE, preview(3)), [Violation::WithoutVersion(vm())]);
    let uninspected = OfferState { is_inspected: false, ..preview(2) };
    let runs = running(OperationKind::GoLive, None, preview(2));
    for state in [unclear(preview(2)), runs, uninspected] {
        assert_eq!(golive(LIVE, state), [Violation::NotReady(vm())]);
    }
    assert_eq!(forced(&Scene::of(LIVE), golive_of(2)), [Violation::NotReady(vm())]);
    let publish = Decision::Publish { release: release(1) };
    let published = forced(&scene(PREVIEW, live(1)), publish.clone());
    assert_eq!(published, [Violation::WithoutVersion(vm())]);
    // A list is enough for a golive, not for a publish.
    let seen = scene(PREVIEW, live(1));
    let mut set = plan(seen.input()).unwrap();
    set.changes[0].decision = publish;
    let listed = seen.lists(Hint::AtRest, Some(1));
    assert_eq!(check(&set, listed.input()), [Violation::NotReady(vm())]);

    let waits = scene("state: live\nafter: base", preview(2)).and("base", LIVE);
    let waits = waits.sees("base", draft());
    let before = Violation::BeforeDependency(vm(), offer("base"));
    assert_eq!(forced(&waits, golive_of(2)), [before]);

    let plain = scene(LIVE, preview(2));
    let mut twice = plan(plain.input()).unwrap();
    twice.changes.push(twice.changes[0].clone());
    assert_eq!(check(&twice, plain.input()), [Violation::Twice(vm())]);
    let set = plan(plain.input()).unwrap();
    let mut narrow = plain.clone();
    narrow.policy.scope = Some(BTreeSet::new());
    assert_eq!(check(&set, narrow.input()), [Violation::NotAskedFor(vm())]);
}

#[test]
fn a_diff_shows_what_differs() {
    let state = OfferState { live: Some(release(1)), ..preview(2) };
    let set = plan(Scene::of(LIVE).sees("vm", state).input()).unwrap();
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

fn any_release() -> impl Strategy<Value = Option<Release>> {
    prop::option::of((1u64..4).prop_map(Release::from))
}

fn any_kind() -> impl Strategy<Value = OperationKind> {
    prop::sample::select(vec!["golive", "publish", "cancel", ""]).prop_map(OperationKind::from)
}

fn any_end() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["succeeded", "failed", "canceled"])
}

fn any_state() -> impl Strategy<Value = OfferState> {
    let places = (any_release(), any_release(), any_release(), any_release());
    let attempt = || (any_kind(), 1u64..4, any_end(), any::<bool>());
    let attempt = || {
        attempt().prop_map(|(kind, number, status, is_new)| Attempt {
            is_new,
            ..attempt_of(kind, number, status)
        })
    };
    let attempts =
        (prop::option::of(attempt()), prop::option::of(prop::collection::vec(attempt(), 0..3)));
    let told_status =
        prop::option::of(prop::sample::select(vec!["running", "succeeded", "failed"]));
    let run = prop::option::weighted(0.2, any_kind());
    let flags = (prop::bool::weighted(0.2), prop::bool::weighted(0.9));
    (places, attempts, told_status, run, flags).prop_map(
        |(places, attempts, status, run, flags)| {
            let (preview, stale_preview, live, pinned) = places;
            let stale_preview = stale_preview.filter(|_| preview.is_none());
            let (last, listed) = attempts;
            let (is_unclear, is_inspected) = flags;
            let state = OfferState {
                preview,
                stale_preview,
                live,
                pinned,
                last,
                listed,
                is_inspected,
                ..OfferState::default()
            };
            let state = if is_unclear { unclear(state) } else { state };
            let state = status.map_or(state.clone(), |status| told(state, status));
            run.map_or(state.clone(), |kind| running(kind, None, state))
        },
    )
}

/// The golive that is reported as succeeded while the offer does not show it.
fn unshown<'a>(scene: &'a Scene, state: &OfferState) -> Option<&'a OperationRecord> {
    let running = scene.recorded[&offer("vm")].running()?;
    let succeeded = followed(state).is_some_and(|it| it.status == OperationStatus::Succeeded);
    let is_unshown = succeeded && state.is_inspected && running.release != state.live;
    Some(running).filter(|_| is_unshown)
}

fn attempt_of(kind: OperationKind, number: u64, status: &str) -> Attempt {
    attempt(kind, Some("other"), number, status)
}

fn any_record() -> impl Strategy<Value = Option<(&'static str, bool, bool)>> {
    let status = prop::sample::select(vec!["running", "succeeded", "failed", "canceled", "odd"]);
    prop::option::of((status, any::<bool>(), any::<bool>()))
}

fn any_scene() -> impl Strategy<Value = Scene> {
    let manifest = prop::sample::select(vec![LIVE, PREVIEW, "state: live\nversion: 2"]);
    (manifest, any_state(), any_record(), prop::bool::weighted(0.2), any::<bool>()).prop_map(
        |(manifest, state, recorded, in_doubt, retry)| {
            let mut scene = Scene::of(manifest).sees("vm", state);
            let digest = scene.digest();
            scene = scene.recorded(|record| {
                if let Some((status, is_old, is_same)) = recorded {
                    let at = if is_old { long_ago() } else { now() };
                    let digest = if is_same { &digest } else { "another" };
                    record.operation = Some(operation(status, at, digest).into());
                }
                record.intent = in_doubt.then(|| intent(now()).into());
            });
            if retry { scene.retry() } else { scene }
        },
    )
}

proptest! {
    #[test]
    fn whatever_is_seen_the_rules_that_must_not_be_broken_hold(scene in any_scene()) {
        let set = plan(scene.input()).unwrap();
        let decision = &set.changes[0].decision;
        let Some(Seen::Offer(seen)) = scene.observed.get(&offer("vm")) else { unreachable!() };
        let state = seen.state.clone().unwrap();
        let record = &scene.recorded[&offer("vm")];
        if state.is_inspected {
            prop_assert_eq!(check(&set, scene.input()), vec![]);
        }
        prop_assert!(state.running.is_none() || decision.tracked().is_some());
        if let Decision::GoLive { release } = decision {
            prop_assert!(state.running.is_none() && state.unclear.is_none());
            let retried = state.stale_preview.as_ref().filter(|_| scene.policy.retry == Retry::All);
            prop_assert_eq!(Some(release), state.preview.as_ref().or(retried));
            // What may run is not sent a second time.
            let runs = record.running().filter(|it| {
                facts::ended(it, &state, moment()).is_none()
            });
            prop_assert_eq!(runs, None);
        }
        // Nothing but what is seen in production is called live, and no failure of it is passed over.
        if let Decision::InSync(Place::Live(release)) = decision {
            prop_assert_eq!(Some(release), state.live.as_ref());
            let doubted = record.intent.as_ref().filter(|it| {
                it.release != *release && state.preview.is_none() && state.stale_preview.is_none()
                    && state.is_inspected
            });
            prop_assert_eq!(doubted, None);
            prop_assert_eq!(unshown(&scene, &state), None);
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
                scene.and(name, PREVIEW).sees(name, preview(2))
            })
        };
        let (one, two) = (build(&mut names.iter()), build(&mut shuffled.iter()));
        prop_assert_eq!(plan(one.input()), plan(two.input()));
    }
}
