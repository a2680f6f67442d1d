//! The trigger protocol: never twice, never lost.
//!
//! A request that starts an operation is preceded by an intent on disk and followed by the
//! operation's location on disk. Whatever is not clearly a refusal is in doubt, and doubt is
//! settled by looking, never by simply sending again.
//!
//! ```text
//! Checking ──► Intending ──► Sending ──► Recording ──► Ended
//!    ▲            ▲             │             ▲
//!    │            │             ▼             │
//!    └─ Dropping ◄┼───────── Doubting ────────┘
//!                 └─────────────┘ settled, and still waiting under the same fence
//! ```

use std::time::Duration;

use jiff::Timestamp;

use super::reaction::{Tally, answered, looked, missed};
use crate::marketplace::{Fence, OperationRef, OperationStatus, RequestId, Settling};
use crate::status::{Intent, Reason};

/// How often, and for how long, one trigger is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long after its end a request that left no trace may be sent again (`--settle`).
    pub settling: Settling,
    /// How often a request is tried at most that was certainly not accepted.
    pub attempts: u32,
    /// How often a look at an offer in doubt may fail before the doubt is left to the next run.
    pub looks: u32,
    /// How often an operation is looked for that a conflict tells of.
    pub searches: u32,
    /// How long the marketplace may put the request off, in all, before the offer is left to
    /// another pass, or to the next run.
    pub pause: Duration,
    /// How much time is left to the run.
    pub left: Duration,
}

/// Where the protocol is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The offer is inspected, and decided about again.
    Checking,
    /// The intent is being written.
    Intending(Request),
    /// The request is under way.
    Sending(Request),
    /// The request may have been accepted.
    Doubting(Doubt),
    /// The operation is being written in the place of the intent.
    Recording(Sent),
    /// The intent is being removed: the request was not accepted.
    Dropping(After),
    /// A pause before the offer is checked again.
    Pausing,
    /// Nothing more will happen.
    Ended,
}

/// A request that is about to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is on disk for it.
    pub intent: Intent,
    /// The first attempt, where this one is the second. It stays in doubt until this one is.
    pub before: Option<Intent>,
}

/// A request that may have been accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// What is on disk for it.
    pub intent: Intent,
    /// What happened to it, where this process knows.
    pub why: Option<String>,
    /// Whether the marketplace refused it, since the offer is busy with something else: with what the
    /// attempt before it has started, or another hand.
    pub is_conflict: bool,
}

/// What comes after an intent was dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum After {
    /// The offer is checked again after a pause.
    Retry(Duration),
    /// The attempt before it is as much in doubt as it was; the offer is looked at after a pause.
    Doubt(Doubt, Duration),
    /// The protocol ends.
    End(StopReason),
}

/// A trigger under way: the state, and what it has cost so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// Where it is.
    pub state: State,
    pub(super) tally: Tally,
}

/// An accepted operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The request it came of.
    pub intent: Intent,
    /// Where it is found; `None` where only the offer's status shows it.
    pub operation: Option<OperationRef>,
    /// Its status, where it is known.
    pub status: Option<OperationStatus>,
}

/// Why the protocol came to an end without an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The offer is not what it was: observe and decide again.
    ObserveAgain(Option<String>),
    /// The marketplace refused the request (400 or 422); it is not to be repeated.
    Refused(String),
    /// The request was refused for a reason that lies outside of offer and manifest, or could not
    /// be sent.
    Unsent(Obstacle),
    /// The marketplace puts the request off for longer than this run may wait.
    Throttled(Duration),
    /// The status file could not be written; nothing was sent.
    Unwritten,
    /// It is not known whether the request was accepted; why, where that is news. The intent stays on
    /// disk.
    InDoubt(Option<String>),
}

/// What is in the way of a request, outside of the offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The stable word for it.
    pub reason: Reason,
    /// What happened, as a sentence.
    pub why: String,
}

/// What the marketplace's answer to the request means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 202, with a usable URL.
    Accepted(OperationRef),
    /// 422, or a 400 that no running operation explains: not to be repeated.
    Refused(String),
    /// 401, 403, 404: refused for a reason outside of the offer.
    Denied(Obstacle),
    /// 409 or 412: observe again.
    Conflict(String),
    /// 429 or 503: not accepted; wait as told.
    NotNow(Option<Duration>),
    /// The connection was never made.
    NotSent(Obstacle),
    /// Everything else.
    Unclear(String),
}

/// What a look at an offer in doubt shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// An operation of the intent's kind runs, or has run, since the request.
    Operation {
        /// Where it is found, if by more than the offer's status.
        operation: Option<OperationRef>,
        /// Its status.
        status: OperationStatus,
    },
    /// The offer is where the request was to bring it, and no operation is to be found.
    Live,
    /// The release is neither in preview nor live any more, and nothing runs.
    Gone,
    /// The offer waits as it did before the request.
    StillWaiting {
        /// What guards a request against a change of it now.
        fence: Option<Fence>,
    },
    /// The offer is in another state, in which the request makes no sense.
    Elsewhere,
    /// The offer could not be looked at.
    Failed(String),
}

/// What a new attempt at a request has of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fresh {
    /// When it is made (UTC): once the look is over, which may have taken long.
    pub at: Timestamp,
    /// By when it is over (UTC).
    pub deadline: Timestamp,
    /// Its id.
    pub request_id: RequestId,
    /// The digest of the manifest as it is now.
    pub manifest_digest: String,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The offer was asked for, and the decision stands; the intent is ready to be written.
    Confirmed(Intent),
    /// The offer was asked for, and the decision does not stand.
    Changed,
    /// The offer could not be asked for.
    CheckFailed(Obstacle),
    /// The status file was written and flushed.
    Written,
    /// The status file could not be written.
    NotWritten,
    /// The write took so long that the request can't be over by its deadline: it was not sent.
    DeadlineMissed,
    /// An answer, or none.
    Answered(Answer),
    /// A look at an offer in doubt, at a time, with what a new attempt would have of its own.
    Looked {
        /// What it shows.
        look: Look,
        /// When the look began (UTC).
        at: Timestamp,
        /// Should it be sent again.
        fresh: Fresh,
    },
    /// The pause is over.
    Elapsed,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Inspect the offer and decide again.
    Check,
    /// Put the intent on disk, flushed.
    WriteIntent(Intent),
    /// Send the request.
    Send(Intent),
    /// Inspect the offer, to learn what came of the request.
    Look,
    /// Put the operation on disk in the place of the intent, in one write.
    WriteOperation(Sent),
    /// Remove the intent from the disk, or put the one before in its place.
    DropIntent(Option<Intent>),
    /// Wait, then say [`Event::Elapsed`].
    Wait(Duration),
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Something is to be done, and the event that comes of it to be told.
    Do(Command),
    /// The end: an operation runs, or has run.
    Follow(Sent),
    /// The end, without an operation.
    Stop(StopReason),
}

impl Trigger {
    /// A trigger that was just decided.
    #[must_use]
    pub fn fresh() -> (Self, Next) {
        (Self { state: State::Checking, tally: Tally::default() }, Next::Do(Command::Check))
    }

    /// A trigger of which an intent was found on disk, without an operation.
    #[must_use]
    pub fn in_doubt(intent: Intent) -> (Self, Next) {
        let doubt = Doubt { intent, why: None, is_conflict: false };
        let tally = Tally { sent: 1, ..Tally::default() };
        (Self { state: State::Doubting(doubt), tally }, Next::Do(Command::Look))
    }
}

/// One step of the protocol. An event that does not belong to the state ends it in doubt: that
/// sends nothing and forgets nothing.
#[must_use]
pub fn step(trigger: Trigger, event: Event, patience: Patience) -> (Trigger, Next) {
    let Trigger { state, tally } = trigger;
    let to = |state, command| tally.to(state, command);
    let end = |next| (Trigger { state: State::Ended, tally }, next);
    let stop = |why| end(Next::Stop(why));
    match (state, event) {
        (State::Checking, Event::Confirmed(intent)) => {
            let request = Request { intent: intent.clone(), before: None };
            to(State::Intending(request), Command::WriteIntent(intent))
        }
        (State::Checking, Event::Changed) => stop(StopReason::ObserveAgain(None)),
        (State::Checking, Event::CheckFailed(obstacle)) => stop(StopReason::Unsent(obstacle)),
        (State::Intending(request), Event::Written) => {
            let (tally, intent) = (Tally { sent: tally.sent + 1, ..tally }, request.intent.clone());
            tally.to(State::Sending(request), Command::Send(intent))
        }
        (State::Intending(_), Event::NotWritten) => stop(StopReason::Unwritten),
        (State::Sending(request), Event::DeadlineMissed) => missed(tally, request, patience),
        (State::Sending(request), Event::Answered(answer)) => {
            answered(tally, request, answer, patience)
        }
        (State::Doubting(doubt), Event::Looked { look, at, fresh }) => {
            let tally = Tally { looks: tally.looks + 1, ..tally };
            looked(tally, doubt, look, (at, fresh), patience)
        }
        (State::Doubting(doubt), Event::Elapsed) => to(State::Doubting(doubt), Command::Look),
        (State::Recording(done), Event::Written | Event::NotWritten) => {
            // A failed write loses nothing: the operation is followed in memory, and the intent
            // on disk finds it again.
            end(Next::Follow(done))
        }
        // A failed write leaves an intent that the next run finds to be without effect.
        (State::Dropping(After::Retry(pause)), Event::Written | Event::NotWritten) => {
            to(State::Pausing, Command::Wait(pause))
        }
        (State::Dropping(After::Doubt(doubt, pause)), Event::Written | Event::NotWritten) => {
            to(State::Doubting(doubt), Command::Wait(pause))
        }
        (State::Dropping(After::End(why)), Event::Written | Event::NotWritten) => stop(why),
        (State::Pausing, Event::Elapsed) => to(State::Checking, Command::Check),
        (state, event) => {
            let why = format!("{event:?} makes no sense in {state:?}");
            stop(StopReason::InDoubt(Some(why)))
        }
    }
}
