//! How operations end.

use super::*;

#[test]
fn an_operation_ends_by_its_own_failure_or_by_what_the_offer_shows() {
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
        // A refused one changed nothing, but an earlier request may not show yet.
        (told(preview(2), "refused"), None, Some("refused")),
        (told(preview(3), "refused"), Some("refused"), Some("refused")),
        (told(live(2), "refused"), Some("succeeded"), Some("succeeded")),
        (
            running(OperationKind::Publish, Some("other"), told(live(1), "refused")),
            Some("refused"),
            Some("refused"),
        ),
        (after(preview(2), word), None, Some("failed")),
    ];
    for (state, young, old) in rows {
        let ended = |at| facts::ended(&operation("running", at, ""), &state, time());
        assert_eq!(ended(now()), young.map(OperationStatus::from), "young: {state:?}");
        assert_eq!(ended(long_ago()), old.map(OperationStatus::from), "old: {state:?}");
        // What has ended has ended.
        let known = facts::ended(&operation("failed", now(), ""), &state, time());
        assert_eq!(known, Some(OperationStatus::Failed));
    }
}

#[test]
fn an_operation_in_the_history_ends_as_the_list_says() {
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
        let ended = |at| {
            let operation = operation("running", at, "");
            facts::end_in_history(&operation, &state, time()).map(|end| end.status)
        };
        assert_eq!(ended(now()), young.map(OperationStatus::from), "young: {state:?}");
        assert_eq!(ended(long_ago()), old.map(OperationStatus::from), "old: {state:?}");
    }
}

#[test]
fn a_recent_golive_is_not_over_because_another_release_waits() {
    let state = told(preview(3), "succeeded");
    let ended = |at| facts::ended(&operation("running", at, ""), &state, time());
    assert_eq!(ended(now()), None);
    // Nor is it ever taken for canceled against its own word.
    assert_eq!(ended(long_ago()), None);
    let presumed = |at| {
        let end = facts::operation_end(&operation("running", at, ""), &preview(3), time());
        end.map(|end| end.presumed)
    };
    assert_eq!((presumed(now()), presumed(long_ago())), (None, Some(true)));
}
