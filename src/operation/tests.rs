//! The trigger protocol, explored: every event that can follow, to a depth that covers all its
//! states several times over.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;

use super::trigger::*;
use crate::marketplace::{
    Fence, OperationKind, OperationRef, OperationStatus, Release, RequestId, Settling,
};
use crate::status::{Intent, Reason};

const SETTLING: Settling =
    Settling { fenced: Duration::from_secs(30), unfenced: Duration::from_mins(15) };

const PATIENCE: Patience = Patience {
    settling: SETTLING,
    attempts: 2,
    checks: 3,
    searches: 9,
    pause: Duration::from_secs(2),
    left: Duration::MAX,
};

/// The same with settling times so short that all ways can be walked.
const BRIEF: Patience = Patience {
    settling: Settling { fenced: Duration::from_secs(1), unfenced: Duration::from_secs(2) },
    ..PATIENCE
};

/// How long a request is under way at most.
const LONGEST_REQUEST: Duration = Duration::from_mins(1);

fn start() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn fence(text: &str) -> Fence {
    Fence(text.to_owned())
}

/// What a new attempt at a time has of its own.
fn fresh(number: u8, at: Timestamp) -> Fresh {
    Fresh {
        at,
        deadline: at + LONGEST_REQUEST * 2,
        request_id: RequestId::from_random([number; 16]),
        manifest_digest: format!("sha256:{number}"),
    }
}

fn intent(at: Timestamp) -> Intent {
    Intent {
        at,
        attempt: 1,
        deadline: at + LONGEST_REQUEST * 2,
        fence: Some(fence("one")),
        kind: OperationKind::GoLive,
        known: None,
        manifest_digest: String::new(),
        release: Release::from(2),
        request_id: RequestId::from_random([1; 16]),
    }
}

fn unfenced(at: Timestamp) -> Intent {
    Intent { fence: None, ..intent(at) }
}

fn obstacle() -> Obstacle {
    Obstacle { reason: Reason::Forbidden, why: "no".to_owned() }
}

fn found() -> OperationRef {
    OperationRef { id: "op".to_owned(), location: None }
}

fn waiting(fence: Option<Fence>) -> DoubtCheck {
    DoubtCheck::StillWaiting { fence }
}

fn doubt_checked(found: DoubtCheck, at: Timestamp) -> TriggerEvent {
    TriggerEvent::DoubtChecked { found, at, fresh: fresh(9, at) }
}

fn answers() -> Vec<RequestOutcome> {
    vec![
        RequestOutcome::Accepted(found()),
        RequestOutcome::Refused("no".to_owned()),
        RequestOutcome::Denied(obstacle()),
        RequestOutcome::Conflict("changed".to_owned()),
        RequestOutcome::NotNow(None),
        RequestOutcome::NotNow(Some(Duration::from_secs(2))),
        RequestOutcome::NotNow(Some(Duration::from_hours(1))),
        RequestOutcome::NotSent(obstacle()),
        RequestOutcome::Unclear("timeout".to_owned()),
    ]
}

fn looks() -> Vec<DoubtCheck> {
    vec![
        DoubtCheck::Operation { operation: Some(found()), status: OperationStatus::Running },
        DoubtCheck::Operation { operation: None, status: OperationStatus::Running },
        DoubtCheck::Operation { operation: Some(found()), status: OperationStatus::Failed },
        DoubtCheck::Live,
        DoubtCheck::Gone,
        waiting(Some(fence("one"))),
        waiting(None),
        DoubtCheck::Elsewhere,
        DoubtCheck::Failed("down".to_owned()),
    ]
}

/// What may come of a command. Time passes while a request is answered and while one waits.
fn events(command: &Command, first: &Intent, now: Timestamp) -> Vec<(TriggerEvent, Timestamp)> {
    let slow = now + LONGEST_REQUEST;
    match command {
        Command::Check => vec![
            (TriggerEvent::Confirmed(Intent { at: now, ..first.clone() }), now),
            (TriggerEvent::Changed, now),
            (TriggerEvent::CheckFailed(obstacle()), now),
        ],
        Command::WriteIntent(_) | Command::WriteOperation(_) | Command::DropIntent(_) => {
            vec![(TriggerEvent::Written, now), (TriggerEvent::NotWritten, now)]
        }
        Command::Send(_) => {
            let answered = answers().into_iter().map(|it| (TriggerEvent::Answered(it), slow));
            answered.chain([(TriggerEvent::DeadlineMissed, slow)]).collect()
        }
        Command::CheckDoubt => {
            let look =
                |found| (TriggerEvent::DoubtChecked { found, at: now, fresh: fresh(2, now) }, now);
            looks().into_iter().map(look).collect()
        }
        Command::Wait(pause) => vec![(TriggerEvent::Elapsed, now + *pause)],
    }
}

/// What a walk through the protocol has seen so far.
#[derive(Clone, Debug, Default)]
struct Walk {
    /// An intent is on disk, as far as is known.
    on_disk: Option<Intent>,
    /// When the last request that may have been accepted is over, if there is one.
    doubt: Option<Timestamp>,
    /// The offer was seen waiting at this time, and how long after the doubt that tells something.
    seen_waiting: Option<(Timestamp, Duration)>,
    /// How often a request was handed over that may have been accepted.
    in_doubt: u32,
    sent: u32,
}

impl Walk {
    fn check(&mut self, command: &Command, event: &TriggerEvent, now: Timestamp) {
        match (command, event) {
            (Command::WriteIntent(intent), TriggerEvent::Written) => {
                self.on_disk = Some(intent.clone());
            }
            (Command::Send(intent), TriggerEvent::Answered(answer)) => {
                assert_eq!(self.on_disk.as_ref(), Some(intent), "sent without an intent on disk");
                if let Some(doubt) = self.doubt {
                    let (waited, settling) = self.seen_waiting.expect("sent again without a look");
                    let settled = waited.duration_since(doubt).unsigned_abs();
                    assert!(settled >= settling, "sent again after {settled:?}");
                }
                self.sent += u32::from(!matches!(answer, RequestOutcome::NotNow(_)));
                self.seen_waiting = None;
                let is_unclear = matches!(answer, RequestOutcome::Unclear(_));
                // A refusal of the second attempt tells of the first, and without a fence a conflict
                // of something that does not show.
                let is_refused =
                    matches!(answer, RequestOutcome::Conflict(_) | RequestOutcome::Refused(_));
                let tells_of_another = (is_refused && intent.attempt > 1)
                    || (matches!(answer, RequestOutcome::Conflict(_)) && intent.fence.is_none());
                if is_unclear || tells_of_another {
                    self.doubt = Some(intent.deadline);
                }
                if matches!(answer, RequestOutcome::Accepted(_)) {
                    self.doubt = None;
                }
                self.in_doubt += u32::from(is_unclear);
                assert!(self.in_doubt <= 2, "a third request that may have been accepted");
            }
            (Command::CheckDoubt, TriggerEvent::DoubtChecked { found, .. }) => {
                let fence = self.on_disk.as_ref().and_then(|intent| intent.fence.clone());
                let Settling { fenced, unfenced } = BRIEF.settling;
                self.seen_waiting = match found {
                    DoubtCheck::StillWaiting { fence: seen }
                        if fence.is_some() && *seen == fence =>
                    {
                        Some((now, fenced))
                    }
                    DoubtCheck::StillWaiting { .. } => Some((now, unfenced)),
                    DoubtCheck::Operation { .. }
                    | DoubtCheck::Live
                    | DoubtCheck::Gone
                    | DoubtCheck::Elsewhere
                    | DoubtCheck::Failed(_) => None,
                };
            }
            (Command::WriteOperation(_) | Command::DropIntent(None), event) => {
                // The request's result is known, whether or not it is on disk.
                self.doubt = None;
                if *event == TriggerEvent::Written {
                    self.on_disk = None;
                }
            }
            (Command::DropIntent(Some(before)), event) => {
                assert_eq!(self.doubt, Some(before.deadline), "the doubt of before stands");
                if *event == TriggerEvent::Written {
                    self.on_disk = Some(before.clone());
                }
            }
            _ => {}
        }
    }

    fn check_end(&self, next: &Step) {
        match next {
            Step::Stop(StopReason::InDoubt(_)) => {
                assert!(self.on_disk.is_some(), "in doubt, and nothing on disk remembers it");
            }
            Step::Stop(StopReason::Unwritten) => {
                assert!(self.doubt.is_none() || self.on_disk.is_some());
            }
            Step::Stop(end) => {
                assert!(self.doubt.is_none() || self.on_disk.is_some(), "{end:?} while in doubt");
            }
            Step::Follow(_) | Step::Do(_) => {}
        }
    }
}

struct Exploration {
    first: Intent,
    ends: BTreeMap<&'static str, u32>,
    /// Where a walk has been before, in every respect that matters.
    known: HashSet<String>,
}

impl Exploration {
    fn of(first: Intent) -> Self {
        Self { first, ends: BTreeMap::new(), known: HashSet::new() }
    }

    fn explore(&mut self, trigger: &Trigger, next: Step, now: Timestamp, walk: &Walk, depth: u32) {
        let command = match next {
            Step::Do(command) => command,
            end @ (Step::Follow(_) | Step::Stop(_)) => {
                walk.check_end(&end);
                assert!(walk.sent <= PATIENCE.attempts + 1, "sent {} times", walk.sent);
                let name = if matches!(end, Step::Follow(_)) { "followed" } else { "stopped" };
                *self.ends.entry(name).or_default() += 1;
                return;
            }
        };
        assert!(depth > 0, "no end in sight at {command:?}");
        if !self.known.insert(format!("{trigger:?} {command:?} {now} {walk:?}")) {
            return;
        }
        for (event, now) in events(&command, &self.first, now) {
            let mut walk = walk.clone();
            // A failed write is explored as one that left the disk as it was.
            walk.check(&command, &event, now);
            let (trigger, next) = step(trigger.clone(), event, BRIEF);
            self.explore(&trigger, next, now, &walk, depth - 1);
        }
    }
}

#[test]
fn every_way_through_the_protocol_ends_and_none_sends_twice_in_doubt() {
    for first in [intent(start()), unfenced(start())] {
        let mut exploration = Exploration::of(first);
        let (trigger, next) = Trigger::fresh();
        exploration.explore(&trigger, next, start(), &Walk::default(), 60);
        let ends = exploration.ends;
        assert!(ends["followed"] > 50 && ends["stopped"] > 50, "{ends:?}");
    }
}

#[test]
fn an_intent_found_on_disk_is_looked_at_before_anything_is_sent() {
    for attempt in [1, 2] {
        let found = Intent { attempt, ..intent(start()) };
        let on_disk = Some(found.clone());
        let doubt = Some(found.deadline);
        let walk = Walk { on_disk, doubt, in_doubt: attempt, ..Walk::default() };
        let (trigger, next) = Trigger::in_doubt(found.clone());
        assert_eq!(next, Step::Do(Command::CheckDoubt));
        Exploration::of(found).explore(&trigger, next, start(), &walk, 60);
    }
}

#[test]
fn a_new_attempt_has_an_intent_and_a_request_id_of_its_own() {
    let (trigger, _) = Trigger::in_doubt(intent(start()));
    let at = intent(start()).deadline + SETTLING.fenced;
    let (_, next) = step(trigger, doubt_checked(waiting(Some(fence("one"))), at), PATIENCE);
    let Step::Do(Command::WriteIntent(again)) = next else { panic!("{next:?}") };
    assert_eq!(again.attempt, 2);
    let Intent { at: begun, deadline, request_id, manifest_digest, .. } = again;
    assert_eq!(Fresh { at: begun, deadline, request_id, manifest_digest }, fresh(9, at));
}

/// How long it takes from the deadline on until something else than a wait and another look follows.
fn time_to_settle(intent: Intent, look: &DoubtCheck) -> (Duration, Step) {
    let from = intent.deadline;
    settling_time(intent, look, from)
}

/// The same from another time on.
fn settling_time(intent: Intent, look: &DoubtCheck, from: Timestamp) -> (Duration, Step) {
    let (mut trigger, mut next) = Trigger::in_doubt(intent);
    let mut now = from;
    let mut waited = Duration::ZERO;
    loop {
        let event = match next {
            Step::Do(Command::CheckDoubt) => doubt_checked(look.clone(), now),
            Step::Do(Command::Wait(pause)) => {
                now += pause;
                waited += pause;
                TriggerEvent::Elapsed
            }
            Step::Do(_) | Step::Follow(_) | Step::Stop(_) => return (waited, next),
        };
        (trigger, next) = step(trigger, event, PATIENCE);
        assert!(waited <= SETTLING.longest(), "waited for {waited:?}");
    }
}

#[test]
fn a_request_without_a_trace_is_sent_again_after_settling_later_without_a_fence() {
    for (intent, settling) in
        [(intent(start()), SETTLING.fenced), (unfenced(start()), SETTLING.unfenced)]
    {
        let (waited, next) = time_to_settle(intent.clone(), &waiting(intent.fence));
        assert_eq!(waited, settling);
        assert!(matches!(next, Step::Do(Command::WriteIntent(_))), "{next:?}");
    }
}

#[test]
fn under_another_fence_it_takes_as_long_to_settle_as_without_one() {
    for (intent, seen) in [
        (intent(start()), Some(fence("two"))),
        (intent(start()), None),
        (unfenced(start()), Some(fence("one"))),
    ] {
        let (waited, next) = time_to_settle(intent, &waiting(seen.clone()));
        assert_eq!(waited, SETTLING.unfenced);
        let Step::Do(Command::WriteIntent(again)) = next else { panic!("{next:?}") };
        assert_eq!((again.attempt, again.fence), (2, seen));
    }
}

#[test]
fn a_gone_release_counts_as_canceled_once_it_has_settled() {
    for (intent, settling) in
        [(intent(start()), SETTLING.fenced), (unfenced(start()), SETTLING.unfenced)]
    {
        let (waited, next) = time_to_settle(intent.clone(), &DoubtCheck::Gone);
        assert_eq!(waited, settling);
        // It may have been accepted and have failed: on record, and not sent again.
        let status = Some(OperationStatus::Canceled);
        let lost = Sent { intent, operation: None, status };
        assert_eq!(next, Step::Do(Command::WriteOperation(lost)));
    }
}

/// A request that was answered so, after another one where it is the second.
fn answered(intent: Intent, answer: RequestOutcome) -> (Trigger, Step) {
    let before = (intent.attempt > 1).then(|| Intent { attempt: 1, ..self::intent(start()) });
    let (mut trigger, _) = Trigger::fresh();
    trigger.state = State::Sending(Request { intent, before });
    step(trigger, TriggerEvent::Answered(answer), PATIENCE)
}

fn conflict() -> RequestOutcome {
    RequestOutcome::Conflict("an operation runs".to_owned())
}

#[test]
fn a_conflict_means_to_observe_again_where_the_request_was_guarded() {
    let (trigger, next) = answered(intent(start()), conflict());
    assert_eq!(next, Step::Do(Command::DropIntent(None)));
    let Step::Stop(end) = step(trigger, TriggerEvent::Written, PATIENCE).1 else {
        panic!("no end")
    };
    assert_eq!(end, StopReason::ObserveAgain(Some("an operation runs".to_owned())));
}

#[test]
fn without_a_guard_a_conflict_is_not_followed_by_another_request_before_it_has_settled() {
    let (mut trigger, mut next) = answered(unfenced(start()), conflict());
    let mut now = start();
    let again = loop {
        let event = match next {
            Step::Do(Command::CheckDoubt) => doubt_checked(waiting(None), now),
            Step::Do(Command::Wait(pause)) => {
                now += pause;
                TriggerEvent::Elapsed
            }
            Step::Do(Command::WriteIntent(again)) => break again,
            end @ (Step::Do(_) | Step::Follow(_) | Step::Stop(_)) => panic!("{end:?}"),
        };
        (trigger, next) = step(trigger, event, PATIENCE);
    };
    assert_eq!((again.attempt, now), (2, unfenced(start()).deadline + SETTLING.unfenced));
}

#[test]
fn a_refusal_of_the_second_attempt_tells_of_the_first() {
    for answer in [conflict(), RequestOutcome::Refused("an operation runs".to_owned())] {
        let second = Intent { attempt: 2, ..intent(start()) };
        let (mut trigger, mut next) = answered(second.clone(), answer);
        assert_eq!(next, Step::Do(Command::CheckDoubt));
        // It is waited for, and however long it doesn't show, nothing is sent a third time.
        let mut now = start();
        let end = loop {
            let event = match next {
                Step::Do(Command::CheckDoubt) => doubt_checked(waiting(Some(fence("one"))), now),
                Step::Do(Command::Wait(pause)) => {
                    now += pause;
                    TriggerEvent::Elapsed
                }
                end @ (Step::Do(_) | Step::Follow(_) | Step::Stop(_)) => break end,
            };
            (trigger, next) = step(trigger, event, PATIENCE);
        };
        let Step::Stop(StopReason::InDoubt(Some(why))) = end else { panic!("{end:?}") };
        assert!(why.contains("an operation runs"), "{why}");
        assert!(now >= second.deadline + SETTLING.fenced);
    }
}

#[test]
fn a_second_attempt_that_is_not_sent_leaves_the_first_in_doubt() {
    let second = Intent { attempt: 2, ..intent(start()) };
    let first = intent(start());
    for answer in [
        RequestOutcome::Denied(obstacle()),
        RequestOutcome::NotNow(Some(Duration::from_secs(1))),
        RequestOutcome::NotNow(Some(Duration::from_hours(2))),
        RequestOutcome::NotSent(obstacle()),
    ] {
        let (trigger, next) = answered(second.clone(), answer.clone());
        assert_eq!(next, Step::Do(Command::DropIntent(Some(first.clone()))), "{answer:?}");
        let (trigger, next) = step(trigger, TriggerEvent::Written, PATIENCE);
        if let State::Doubting(doubt) = &trigger.state {
            assert_eq!(doubt.intent, first, "{answer:?}");
        } else {
            assert!(matches!(next, Step::Stop(_)), "{answer:?}: {trigger:?}");
        }
    }
}

#[test]
fn no_doubt_is_settled_by_a_third_request() {
    let twice = Intent { attempt: 2, ..intent(start()) };
    let (waited, next) = time_to_settle(twice, &waiting(Some(fence("one"))));
    assert_eq!(waited, SETTLING.fenced);
    let Step::Stop(StopReason::InDoubt(Some(why))) = next else { panic!("{next:?}") };
    assert!(why.contains("2 times"), "{why}");
}

#[test]
fn a_deadline_that_can_not_be_met_drops_the_intent_and_is_tried_three_times_at_most() {
    let patience = Patience { attempts: 3, ..PATIENCE };
    let (mut trigger, mut next) = Trigger::fresh();
    let mut missed = 0;
    let end = loop {
        let event = match next {
            Step::Do(Command::Check) => TriggerEvent::Confirmed(intent(start())),
            Step::Do(Command::WriteIntent(_) | Command::DropIntent(_)) => TriggerEvent::Written,
            Step::Do(Command::Send(_)) => {
                missed += 1;
                TriggerEvent::DeadlineMissed
            }
            Step::Do(Command::Wait(_)) => TriggerEvent::Elapsed,
            end @ (Step::Do(_) | Step::Follow(_) | Step::Stop(_)) => break end,
        };
        let was_missed = event == TriggerEvent::DeadlineMissed;
        (trigger, next) = step(trigger, event, patience);
        assert!(!was_missed || next == Step::Do(Command::DropIntent(None)), "{next:?}");
    };
    assert_eq!(missed, 3);
    let Step::Stop(StopReason::Unsent(obstacle)) = end else { panic!("{end:?}") };
    assert!(obstacle.why.contains("nothing was sent"), "{obstacle:?}");
}

#[test]
fn a_clock_that_was_set_back_makes_golive_wait_no_shorter_and_no_longer_than_the_settling_time() {
    let earlier = start() - Duration::from_hours(5);
    let (waited, next) = settling_time(intent(start()), &waiting(Some(fence("one"))), earlier);
    assert!(matches!(next, Step::Do(Command::WriteIntent(_))), "{next:?}");
    assert_eq!(waited, SETTLING.fenced);
}

#[test]
fn an_event_out_of_place_sends_nothing() {
    let (trigger, _) = Trigger::fresh();
    let (trigger, next) = step(trigger, TriggerEvent::Written, PATIENCE);
    assert_eq!(trigger.state, State::Ended);
    assert!(matches!(next, Step::Stop(StopReason::InDoubt(_))));
}
