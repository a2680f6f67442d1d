//! What failed, what is in doubt, and what contradicts itself.

use super::*;

#[test]
fn a_failed_golive_is_not_live_if_the_previous_release_is() {
    let fallen = Scene::of(LIVE).started("running", now()).sees("vm", told(live(1), "failed"));
    assert_eq!(fallen.decision().reason(), Reason::OperationFailed);
    // In the passes after that, whether or not the offer is asked about.
    let shown = Scene::of(LIVE);
    let digest = shown.digest();
    let shown = shown.recorded(|record| {
        record.operation = Some(operation("failed", long_ago(), &digest).into());
        (record.phase, record.observed) = (Phase::Failed, Some(observed(Some(2), Some(1))));
    });
    let again = |state| shown.clone().sees("vm", state).decision();
    assert_eq!(again(live(1)).reason(), Reason::OperationFailed);
    assert_eq!(shown.clone().lists(Hint::AtRest, Some(2)).decision(), again(live(1)));
    // Also where another attempt has failed since.
    assert_eq!(again(after(live(1), failed_golive(2))).reason(), Reason::OperationFailed);
    // Until it is overtaken: by another release, by its own after all, by a newer preview.
    assert_eq!(again(live(3)), live_at(3));
    assert_eq!(again(live(2)), live_at(2));
    assert_eq!(again(OfferState { live: Some(release(1)), ..preview(3) }), golive_of(3));
}

#[test]
fn a_failed_attempt_is_repeated_for_a_new_manifest_or_on_request() {
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
        // Another client's attempt has failed since.
        let since = older.sees("vm", after(preview(2), failed_golive(2)));
        assert_eq!(since.decision().reason(), Reason::OperationFailed);
        // A retry is asked for once.
        let mut once = failed.retry();
        once.policy.attempted.insert(offer("vm"));
        assert_eq!(once.decision().phase(), Phase::Failed);
    }
}

#[test]
fn a_failure_is_shown_with_its_step() {
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

#[test]
fn the_previous_release_is_not_live_while_a_request_is_in_doubt() {
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
fn a_newer_attempt_settles_a_request_in_doubt() {
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
fn a_failed_request_in_doubt_does_not_concern_a_newer_release() {
    let doubt = Scene::of(LIVE).recorded(|it| it.intent = Some(intent(now()).into()));
    let of = |last: Attempt| {
        let last = Attempt { is_new: true, ..last };
        doubt.clone().sees("vm", after(preview(3), last)).decision()
    };
    assert_eq!(of(failed_golive(2)), golive_of(3));
    // Unless it is the one that failed, by another name, or may be.
    assert_eq!(of(failed_golive(3)).reason(), Reason::OperationFailed);
    let unnamed = Attempt { release: None, ..failed_golive(2) };
    assert_eq!(of(unnamed).reason(), Reason::OperationFailed);
}

#[test]
fn a_success_that_the_offer_never_shows_blocks() {
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

#[test]
fn what_was_refused_after_all_is_sent_again_a_few_times_and_not_for_ever() {
    let refused = |times: usize| {
        let scene = Scene::of(LIVE).sees("vm", preview(2));
        let digest = scene.digest();
        scene.recorded(|record| {
            let one = operation("refused", long_ago(), &digest);
            record.history = vec![one.clone(); times - 1];
            record.operation = Some(Box::new(one));
        })
    };
    assert_eq!(refused(1).decision(), golive_of(2));
    assert_eq!(refused(2).decision(), golive_of(2));
    let Decision::Blocked(Block::Refused(why)) = refused(3).decision() else { panic!() };
    assert!(why.contains("took it 3 times"), "{why}");
    assert_eq!(refused(3).retry().decision(), golive_of(2));
    assert_eq!(refused(3).sees("vm", preview(3)).decision(), golive_of(3));
    // While what it was refused for may be golive's own request, nothing is sent.
    let young = Scene::of(LIVE).sees("vm", told(preview(2), "refused")).started("running", now());
    assert!(matches!(young.decision(), Decision::Track(_)));
    let old =
        Scene::of(LIVE).sees("vm", told(preview(2), "refused")).started("running", long_ago());
    assert_eq!(old.decision(), golive_of(2));
}
