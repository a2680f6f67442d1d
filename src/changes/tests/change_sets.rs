//! The change set as a whole: its digest, its check, its diff, and what holds for any of them.

use proptest::prelude::*;

use super::*;

#[test]
fn the_digest_depends_only_on_the_changes() {
    let digest = |scene: &Scene| plan(scene.input()).unwrap().digest();
    let scene = |number| Scene::of(LIVE).sees("vm", preview(number));
    let today = scene(2);
    assert_ne!(digest(&today), digest(&scene(3)));
    let later = DecisionTime { now: "2027-01-01T00:00:00Z".parse().unwrap(), ..time() };
    let later = plan(Input { time: later, ..today.input() }).unwrap();
    assert_eq!(later.digest(), digest(&today));
    // How much is known of what is not sent makes no difference.
    let blocked = |state| digest(&Scene::of("state: live\nversion: 9").sees("vm", state));
    assert_eq!(blocked(preview(2)), blocked(OfferState { live: Some(release(1)), ..preview(3) }));
}

#[test]
fn the_check_finds_changes_that_the_planner_never_makes() {
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
        let Some(Observation::Offer(seen)) = scene.observed.get(&offer("vm")) else { unreachable!() };
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
                facts::ended(it, &state, time()).is_none()
            });
            prop_assert_eq!(runs, None);
        }
        // Nothing but what is seen in production is called live, and no failure of it is passed over.
        if let Decision::InSync(SyncState::Live(release)) = decision {
            prop_assert_eq!(Some(release), state.live.as_ref());
            let doubted = record.intent.as_ref().filter(|it| {
                it.release != *release && state.preview.is_none() && state.stale_preview.is_none()
                    && state.is_inspected
                    // golive promotes whatever is in preview, so a request can launch another
                    // release than the one that was seen.
                    && facts::launched_another_release(it, &state).is_none()
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
