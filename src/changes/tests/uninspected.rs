//! What is known of an offer without a question.

use super::*;

#[test]
fn a_remembered_state_is_enough_while_the_list_entry_is_unchanged() {
    let known = |manifest: &str, preview, live| {
        Scene::of(manifest).recorded(|it| it.observed = Some(observed(preview, live)))
    };
    let at_rest = known(LIVE, Some(2), Some(2)).lists(Hint::AtRest, Some(2));
    assert_eq!(at_rest.decision(), live_at(2));
    let waiting = known(PREVIEW, Some(2), Some(1)).lists(Hint::InPreview, Some(2));
    assert_eq!(waiting.decision(), Decision::InSync(SyncState::Preview(Some(release(2)))));
    let other = known(LIVE, Some(2), Some(2)).recorded(|record| {
        let fingerprint = Some("otherwise".to_owned());
        record.observed = Some(ObservationRecord { fingerprint, ..observed(Some(2), Some(2)) });
    });
    assert!(other.lists(Hint::AtRest, Some(2)).is_asked());
    // Nothing is published, and no pin refused, on the word of a record.
    assert!(known(PREVIEW, None, None).lists(Hint::AtRest, Some(1)).is_asked());
    assert!(
        known("state: live\nversion: 5", Some(2), Some(2)).lists(Hint::AtRest, None).is_asked()
    );
    // Nor is a preview called stale that a list may not tell of.
    assert!(known(LIVE, Some(2), Some(1)).lists(Hint::AtRest, Some(1)).is_asked());
    // What is reviewed is asked about.
    let mut reviewed = known(LIVE, Some(2), Some(1)).lists(Hint::InPreview, Some(2));
    assert_eq!(reviewed.decision(), golive_of(2));
    reviewed.policy.verify = true;
    assert!(reviewed.is_asked());
    // Which what is held is not: it sends nothing, whether or not it is known.
    for more in ["suspend: true", "notBefore: 2027-01-01T00:00:00Z"] {
        let held = Scene::of(&format!("{LIVE}\n{more}"));
        let mut held = held.lists(Hint::InPreview, Some(2));
        held.policy.verify = true;
        assert_eq!(held.decision().phase(), Phase::Held);
    }
    // Nor is anything remembered while something runs, or may.
    let open = |change: fn(&mut OfferRecord)| {
        let scene = Scene::of(LIVE).recorded(|record| {
            record.observed = Some(observed(Some(2), Some(2)));
            change(record);
        });
        scene.lists(Hint::AtRest, Some(2)).is_asked()
    };
    assert!(open(|it| it.operation = Some(operation("running", now(), "").into())));
    assert!(open(|it| it.intent = Some(intent(now()).into())));
    assert!(open(|it| it.history.push(operation("running", now(), ""))));
}

#[test]
fn only_a_certain_state_is_remembered() {
    let scene = Scene::of(LIVE).recorded(|_| {});
    let record = |change: fn(&mut OfferRecord)| {
        let mut record = (*scene.recorded[&offer("vm")]).clone();
        change(&mut record);
        record
    };
    let is_certain = |hint, state, record: &OfferRecord, changed: &str| {
        let mut listing = listing("vm", hint, Some(2));
        listing.changed_time = Some(ChangedTime(changed.to_owned()));
        ObservedOffer::listed(listing).with(state, now()).is_certain(record, false, now())
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
fn a_list_suggests_only_that_a_preview_waits() {
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
