//! Property tests: invariants for arbitrary portal answers.

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::select;

use super::tests::{WAITS, entry, step};
use super::*;
use crate::backends::portal::stage::Stage;
use crate::marketplace::{AttemptMark, Failed, InDoubt, Version};

/// Above the number of reads any offer may need: the list, the status, the document, two slots, the
/// followed operation (twice), and a few entries of the list.
const MAX_QUESTIONS: usize = 14;

fn maybe(number: u64) -> Option<u64> {
    (number > 0).then_some(number)
}

prop_compose! {
    fn report()(
        word in select(vec![
            "running", "succeeded", WAITS, "published", "failed", "canceled", "neverPublished", "x",
        ]),
        sign_off in select(vec!["", "notStarted", WAITS, WAITS, WAITS, "complete", "canceled"]),
        live in select(vec!["", "notStarted", "notStarted", "inProgress", "complete", "failed"]),
        number in 0_u64..4,
        offer_number in 0_u64..4,
    ) -> StatusReport {
        let steps = [("publisher-signoff", sign_off), ("live", live)];
        let steps = steps.into_iter().filter(|(_, status)| !status.is_empty());
        StatusReport {
            status: word.into(),
            steps: steps.map(|(id, status)| step(id, id, status)).collect(),
            messages: Vec::new(),
            publishing_version: maybe(number).map(Version),
            offer_version: maybe(offer_number).map(Version),
        }
    }
}

fn submission() -> impl Strategy<Value = Submission> {
    let id = select(vec!["a", "b", "c", "d"]);
    let kind = select(vec!["publish", "publish", "golive", "x/production", "cancel"]);
    let state = select(vec!["running", "succeeded", "failed", "canceled", "x"]);
    let time = select(vec!["-", "10", "20", "30"]);
    let number = select(vec!["-", "1", "2", "3"]);
    (id, kind, state, time, number).prop_map(|(id, kind, state, time, number)| {
        entry(&format!("{id} {kind} {state} {time} {number}"))
    })
}

fn operation_answer() -> impl Strategy<Value = OperationAnswer> {
    let word = select(vec!["running", "complete", "failed", "x"]);
    let live = select(vec!["notStarted", "inProgress", "complete", "failed"]);
    let says = (word, live, 0_u64..4).prop_map(|(word, live, number)| {
        OperationAnswer::Read(Operation {
            status: word.into(),
            steps: vec![step("live", "live", live)],
            messages: Vec::new(),
            offer_version: None,
            publishing_version: maybe(number).map(Version),
        })
    });
    prop_oneof![4 => says, 1 => Just(OperationAnswer::Expired), 1 => Just(OperationAnswer::Unreadable)]
}

fn slot_answer() -> impl Strategy<Value = SlotAnswer> {
    (0_u64..5).prop_map(|it| match it {
        0 => SlotAnswer::Empty,
        4 => SlotAnswer::Release(None),
        number => SlotAnswer::Release(Some(number.into())),
    })
}

prop_compose! {
    fn inquiry()(
        flags in any::<[bool; 9]>(),
        numbers in prop::array::uniform4(0_u64..4),
    ) -> Inquiry {
        let at = "2026-11-30T10:25:00Z".parse().unwrap();
        let operation = Some(OperationRef { id: "a".to_owned(), location: None });
        let release = maybe(numbers[0]).map(Release::from);
        let following = Following {
            kind: if flags[0] { OperationKind::GoLive } else { OperationKind::Publish },
            operation,
            release: release.clone(),
            started_at: Timestamp::UNIX_EPOCH,
            latest: None,
        };
        let doubt = InDoubt {
            kind: OperationKind::GoLive,
            release: numbers[1].into(),
            at,
            known: flags[1].then(|| vec![AttemptMark::new("a", &OperationStatus::Running, "2026-11-30T10:10:00.651")]),
        };
        Inquiry {
            wants_live: flags[2],
            pin: maybe(numbers[2]).map(Release::from),
            following: flags[3].then_some(following),
            failed: (flags[4] && !flags[3])
                .then(|| Failed { id: Some("b".to_owned()), release, at: Some(at) }),
            in_doubt: (flags[5] && !flags[3]).then_some(doubt),
            launches: flags[2] && flags[6],
            may_be_fenced: flags[7],
            seems_busy: flags[8],
            listed: maybe(numbers[3]).map(Release::from),
            loose_ends: flags[4],
            product: None,
        }
    }
}

fn answered() -> impl Strategy<Value = Responses> {
    let list = prop::collection::vec(submission(), 0..5);
    let operations = prop::array::uniform4(operation_answer());
    (report(), list, operations, slot_answer(), slot_answer()).prop_map(
        |(report, list, operations, preview, production)| Responses {
            document: Some(Offer::default()),
            listed_again: None,
            report: Some(report),
            submissions: Some(list),
            preview: Some(preview),
            production: Some(production),
            operations: ["a", "b", "c", "d"]
                .map(str::to_owned)
                .into_iter()
                .zip(operations)
                .collect(),
        },
    )
}

/// Answers the reads until the state is known; `None` if it insists on an unreadable operation.
fn inspect(inquiry: &Inquiry, all: &Responses) -> Option<(OfferState, Responses)> {
    let mut known = Responses::default();
    for _ in 0..MAX_QUESTIONS {
        match interpret(inquiry, &known) {
            Ok(state) => return Some((state, known)),
            Err(Question::Document) => known.document.clone_from(&all.document),
            Err(Question::Listed) => known.listed_again = Some(ListedVersion(None)),
            Err(Question::Status) => known.report.clone_from(&all.report),
            Err(Question::Submissions) => known.submissions.clone_from(&all.submissions),
            Err(Question::Slot(Slot::Production)) => known.production.clone_from(&all.production),
            Err(Question::Slot(Slot::Preview)) => {
                known.preview.clone_from(&all.preview);
            }
            Err(Question::Operation(it)) => {
                if known.operations.iter().any(|(id, _)| *id == it.id) {
                    return None;
                }
                let answer = all.operations.iter().find(|(id, _)| *id == it.id).unwrap();
                known.operations.push(answer.clone());
            }
        }
    }
    panic!("it asks on and on");
}

/// Whether the list shows a golive as running, and the operation doesn't contradict it.
fn golive_runs(inquiry: &Inquiry, answers: &Responses) -> bool {
    let list = answers.submissions.iter().flatten();
    let known = inquiry.in_doubt.iter().flat_map(|doubt| doubt.known.iter().flatten());
    let known: Vec<_> = known.collect();
    let newest = list.clone().filter_map(|it| it.publishing_version).max();
    let named = answers.report.as_ref().and_then(|it| it.publishing_version);
    list.filter(|it| it.is_golive() && !it.state.is_finished()).any(|it| {
        let is_known = known.contains(&&it.mark());
        let is_newest = it.publishing_version.is_none()
            || (it.publishing_version >= newest && it.publishing_version >= named);
        let is_ours = inquiry.failed.as_ref().is_some_and(|our| our.id.as_ref() == Some(&it.id));
        let answer =
            answers.operations.iter().find(|(id, _)| *id == it.id).map(|(_, answer)| answer);
        let denies = matches!(answer, Some(OperationAnswer::Read(operation)) if {
            let (status, runs) = standing(&it.purpose(), &operation.status, &operation.steps);
            !runs && status != OperationStatus::Succeeded
        });
        is_newest && !is_known && !is_ours && !denies
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn no_portal_makes_golive_launch_or_believe_what_is_contradicted(
        inquiry in inquiry(),
        all in answered(),
    ) {
        let Some((state, known)) = inspect(&inquiry, &all) else { return Ok(()) };
        let stage = known.report.as_ref().map(Stage::of);
        if state.preview.is_some() {
            prop_assert_eq!(&stage, &Some(Stage::SignOff));
            prop_assert!(state.running.is_none());
        }
        if state.is_launchable {
            prop_assert!(state.preview.is_some());
            let is_held = state.unclear.is_some() || state.last.is_some();
            prop_assert!(is_held || !golive_runs(&inquiry, &known), "{state:?}");
        }
        if let (Some(live), Some(Stage::Live)) = (&state.live, &stage) {
            // Never launches a release that golive knows to have failed, unless another golive has
            // succeeded.
            let failed = inquiry.failed.as_ref().and_then(|it| it.release.as_ref());
            let good = known.submissions.iter().flatten().any(Submission::is_golive);
            let named = known.report.as_ref().and_then(|it| it.publishing_version);
            let is_held = matches!(&known.production, Some(SlotAnswer::Release(Some(it))) if it == live);
            prop_assert!(failed != Some(live) || good || (named.is_some() && is_held));
            // Nor one that may have been sent, while a new attempt at it is listed as failed.
            let doubted = inquiry.in_doubt.as_ref().filter(|it| {
                it.kind == OperationKind::GoLive && it.release == *live
            });
            let is_bad = state.listed.is_some()
                && doubted.is_some_and(|it| {
                    let new = state.new_attempt(&it.kind, &it.release);
                    new.is_some_and(|new| new.status != OperationStatus::Succeeded)
                });
            prop_assert!(!is_bad || (named.is_some() && is_held));
            prop_assert!(named.is_none_or(|it| Release::from(it) == *live));
        }
        if state.running.is_some() {
            prop_assert!(state.live.is_none() && state.preview.is_none());
        }
        // A waiting sign-off step leads to a launch, a running operation, or a reason.
        if inquiry.launches && stage == Some(Stage::SignOff) {
            let is_told =
                state.running.is_some() || state.unclear.is_some() || state.last.is_some();
            prop_assert!(is_told || state.is_launchable, "{state:?}");
        }
    }
}
