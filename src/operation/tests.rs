//! The trigger protocol, explored: every event that can follow, to a depth that covers all its
//! states several times over.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::trigger::*;
use crate::marketplace::{ETag, OperationKind, OperationRef, OperationStatus, RequestId, Version};
use crate::status::{Intent, Reason};

const PATIENCE: Patience = Patience {
    settle: Duration::from_secs(30),
    attempts: 2,
    looks: 3,
    pause: Duration::from_secs(2),
    left: Duration::MAX,
};

fn start() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn etag(text: &str) -> ETag {
    ETag(text.to_owned())
}

/// When looks are over.
fn later() -> Timestamp {
    start() + Duration::from_hours(1)
}

fn fresh(number: u8) -> Fresh {
    let request_id = RequestId::from_random([number; 16]);
    Fresh { at: later(), request_id, manifest_digest: format!("sha256:{number}") }
}

fn intent(at: Timestamp) -> Intent {
    Intent {
        at,
        etag: Some(etag("one")),
        kind: OperationKind::GoLive,
        last_changed: None,
        manifest_digest: String::new(),
        last_submission: None,
        request_id: RequestId::from_random([1; 16]),
        version: Version(2),
    }
}

fn obstacle() -> Obstacle {
    Obstacle { reason: Reason::Forbidden, why: "no".to_owned() }
}

fn found() -> OperationRef {
    OperationRef { id: "op".to_owned(), location: None }
}

fn answers() -> Vec<Answer> {
    vec![
        Answer::Accepted(found()),
        Answer::Refused("no".to_owned()),
        Answer::Denied(obstacle()),
        Answer::Conflict("changed".to_owned()),
        Answer::NotNow(None),
        Answer::NotNow(Some(Duration::from_secs(2))),
        Answer::NotNow(Some(Duration::from_hours(1))),
        Answer::NotSent(obstacle()),
        Answer::Unclear("timeout".to_owned()),
    ]
}

fn looks() -> Vec<Look> {
    vec![
        Look::Operation { operation: Some(found()), status: OperationStatus::Running },
        Look::Operation { operation: None, status: OperationStatus::Running },
        Look::Operation { operation: Some(found()), status: OperationStatus::Failed },
        Look::Live,
        Look::StillWaiting { etag: Some(etag("one")) },
        Look::StillWaiting { etag: Some(etag("two")) },
        Look::StillWaiting { etag: None },
        Look::Elsewhere,
        Look::Failed("down".to_owned()),
    ]
}

/// What may come of a command. Time passes while a request is answered and while one waits.
fn events(command: &Command, now: Timestamp) -> Vec<(Event, Timestamp)> {
    let later = |seconds: i64| now + Duration::from_secs(seconds.unsigned_abs());
    let at = |event| vec![(event, now)];
    match command {
        Command::Check => vec![
            (Event::Confirmed(intent(now)), now),
            (Event::Changed, now),
            (Event::CheckFailed(obstacle()), now),
        ],
        Command::WriteIntent(_) | Command::WriteOperation(_) | Command::DropIntent => {
            vec![(Event::Written, now), (Event::NotWritten, now)]
        }
        Command::Send(_) => {
            let slow = answers().into_iter().map(|it| (Event::Answered(it, later(60)), later(60)));
            slow.collect()
        }
        Command::Look => {
            let fresh = fresh(2);
            let look = |look| (Event::Looked { look, at: now, fresh: fresh.clone() }, now);
            looks().into_iter().map(look).collect()
        }
        Command::Wait(pause) => {
            let after = now + *pause;
            at(Event::Elapsed).into_iter().map(|(event, _)| (event, after)).collect()
        }
    }
}

/// What a walk through the protocol has seen so far.
#[derive(Clone, Default)]
struct Walk {
    /// An intent is on disk, as far as is known.
    on_disk: Option<Intent>,
    /// When the last request may have been accepted, if it may have been.
    doubt: Option<Timestamp>,
    /// The offer was seen waiting, under the intent's tag, at this time.
    seen_waiting: Option<Timestamp>,
    sent: u32,
}

impl Walk {
    fn check(&mut self, command: &Command, event: &Event, now: Timestamp) {
        match (command, event) {
            (Command::WriteIntent(intent), Event::Written) => self.on_disk = Some(intent.clone()),
            (Command::Send(intent), Event::Answered(answer, at)) => {
                assert_eq!(self.on_disk.as_ref(), Some(intent), "sent without an intent on disk");
                if let Some(doubt) = self.doubt {
                    let waited = self.seen_waiting.expect("sent again without a look");
                    let settled = waited.duration_since(doubt).unsigned_abs();
                    assert!(settled >= PATIENCE.settle, "sent again after {settled:?}");
                }
                self.sent += u32::from(!matches!(answer, Answer::NotNow(_)));
                self.seen_waiting = None;
                self.doubt = matches!(answer, Answer::Unclear(_)).then_some(*at);
            }
            (Command::Look, Event::Looked { look, .. }) => {
                let waiting = *look == Look::StillWaiting { etag: Some(etag("one")) };
                self.seen_waiting = waiting.then_some(now);
            }
            (Command::WriteOperation(_) | Command::DropIntent, event) => {
                // It is known what became of the request, whether or not the disk knows it too.
                self.doubt = None;
                if *event == Event::Written {
                    self.on_disk = None;
                }
            }
            _ => {}
        }
    }

    fn check_end(&self, next: &Next) {
        match next {
            Next::Stop(Standstill::InDoubt(_)) => {
                assert!(self.on_disk.is_some(), "in doubt, and nothing on disk remembers it");
            }
            Next::Stop(Standstill::Unwritten) => {
                assert!(self.doubt.is_none() || self.on_disk.is_some());
            }
            Next::Stop(end) => assert!(self.doubt.is_none(), "{end:?} while in doubt"),
            Next::Follow(_) | Next::Do(_) => {}
        }
    }
}

fn explore(
    trigger: &Trigger,
    next: Next,
    now: Timestamp,
    walk: &Walk,
    depth: u32,
    ends: &mut BTreeMap<&'static str, u32>,
) {
    let command = match next {
        Next::Do(command) => command,
        end @ (Next::Follow(_) | Next::Stop(_)) => {
            walk.check_end(&end);
            assert!(walk.sent <= PATIENCE.attempts, "sent {} times", walk.sent);
            let name = if matches!(end, Next::Follow(_)) { "followed" } else { "stopped" };
            *ends.entry(name).or_default() += 1;
            return;
        }
    };
    assert!(depth > 0, "no end in sight at {command:?}");
    for (event, now) in events(&command, now) {
        let mut walk = walk.clone();
        // A failed write is explored as one that left the disk as it was.
        walk.check(&command, &event, now);
        let (trigger, next) = step(trigger.clone(), event, PATIENCE);
        explore(&trigger, next, now, &walk, depth - 1, ends);
    }
}

#[test]
fn every_way_through_the_protocol_ends_and_none_sends_twice_in_doubt() {
    let mut ends = BTreeMap::new();
    let (trigger, next) = Trigger::fresh();
    explore(&trigger, next, start(), &Walk::default(), 40, &mut ends);
    assert!(ends["followed"] > 100 && ends["stopped"] > 100, "{ends:?}");
}

#[test]
fn an_intent_found_on_disk_is_looked_at_before_anything_is_sent() {
    let found = intent(start());
    let walk = Walk { on_disk: Some(found.clone()), doubt: Some(start()), ..Walk::default() };
    let (trigger, next) = Trigger::in_doubt(found, start());
    assert_eq!(next, Next::Do(Command::Look));
    explore(&trigger, next, start(), &walk, 40, &mut BTreeMap::new());
}

#[test]
fn a_new_attempt_has_an_intent_and_a_request_id_of_its_own() {
    let (trigger, _) = Trigger::in_doubt(intent(start()), start());
    let at = start() + PATIENCE.settle;
    let fresh = fresh(9);
    let look = Look::StillWaiting { etag: Some(etag("one")) };
    let event = Event::Looked { look, at, fresh: fresh.clone() };
    let (_, next) = step(trigger, event, PATIENCE);
    let Next::Do(Command::WriteIntent(again)) = next else { panic!("{next:?}") };
    let Intent { at, request_id, manifest_digest, .. } = again;
    assert_eq!(Fresh { at, request_id, manifest_digest }, fresh);
}

#[test]
fn a_clock_that_was_set_back_makes_golive_wait_longer_not_shorter() {
    let (trigger, _) = Trigger::in_doubt(intent(start()), start());
    let look = Look::StillWaiting { etag: Some(etag("one")) };
    let at = start() - Duration::from_hours(5);
    let event = Event::Looked { look, at, fresh: fresh(9) };
    let (_, next) = step(trigger, event, PATIENCE);
    assert!(matches!(next, Next::Do(Command::Wait(_))), "{next:?}");
}

#[test]
fn a_clock_that_was_set_back_makes_golive_wait_no_longer_than_the_settling_time_from_now() {
    let (mut trigger, mut next) = Trigger::in_doubt(intent(start()), start());
    let mut now = start() - Duration::from_hours(5);
    let mut waited = Duration::ZERO;
    loop {
        let event = match next {
            Next::Do(Command::Look) => Event::Looked {
                look: Look::StillWaiting { etag: Some(etag("one")) },
                at: now,
                fresh: fresh(9),
            },
            Next::Do(Command::Wait(pause)) => {
                now += pause;
                waited += pause;
                Event::Elapsed
            }
            Next::Do(_) | Next::Follow(_) | Next::Stop(_) => break,
        };
        (trigger, next) = step(trigger, event, PATIENCE);
        assert!(waited <= PATIENCE.settle, "waited for {waited:?}");
    }
    assert!(matches!(next, Next::Do(Command::WriteIntent(_))), "{next:?}");
    assert_eq!(waited, PATIENCE.settle);
}

#[test]
fn without_a_tag_nothing_is_sent_again() {
    let found = Intent { etag: None, ..intent(start()) };
    let (trigger, _) = Trigger::in_doubt(found, start());
    let look = Look::StillWaiting { etag: None };
    let at = start() + PATIENCE.settle;
    let event = Event::Looked { look, at, fresh: fresh(9) };
    let (_, next) = step(trigger, event, PATIENCE);
    assert!(matches!(next, Next::Stop(Standstill::InDoubt(_))), "{next:?}");
}

#[test]
fn an_event_out_of_place_sends_nothing() {
    let (trigger, _) = Trigger::fresh();
    let (trigger, next) = step(trigger, Event::Written, PATIENCE);
    assert_eq!(trigger.state, State::Ended);
    assert!(matches!(next, Next::Stop(Standstill::InDoubt(_))));
}
