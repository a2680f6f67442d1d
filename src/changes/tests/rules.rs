//! The table of rules, row by row.

use super::*;

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
fn an_offer_that_can_not_be_seen_is_blocked() {
    let cases = [
        (Unavailable::Forbidden, Reason::Forbidden),
        (Unavailable::NotFound, Reason::NotFound),
        (Unavailable::Unauthorized, Reason::Unauthorized),
        (Unavailable::Throttled, Reason::Throttled),
        (Unavailable::Unreachable, Reason::Unreachable),
    ];
    for (why, reason) in cases {
        let mut scene = Scene::of(LIVE);
        let seen = Observation::Unavailable(why, "no".to_owned());
        scene.observed.insert(offer("vm"), seen);
        assert_eq!((scene.decision().reason(), scene.decision().phase()), (reason, Phase::Blocked));
    }
    assert_eq!(Scene::of(LIVE).decision().reason(), Reason::Unreachable);
}

#[test]
fn a_running_operation_is_recorded_or_found_or_started_elsewhere() {
    let state = || running(OperationKind::GoLive, Some("op"), preview(2));
    let tracked = |scene: Scene| {
        let decision = scene.sees("vm", state()).decision();
        let tracked = decision.tracked().unwrap();
        (tracked.origin, tracked.id.clone())
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
    let listed = ObservedOffer::listed(listing("base", Hint::Busy, None));
    open.observed.insert(offer("base"), Observation::Offer(Box::new(listed)));
    assert_eq!(plan(open.input()), Err(vec![offer("base")]));
    assert_eq!(undecided(open.input()), BTreeSet::from([offer("base"), offer("vm")]));
    // Out of scope, it is looked at and not touched.
    let mut narrow = scene(preview(1));
    narrow.policy.scope = Some(BTreeSet::from([offer("vm")]));
    assert_eq!(narrow.decision(), waits);
    assert_eq!(plan(narrow.input()).unwrap().changes.len(), 1);
}
