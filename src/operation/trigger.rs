//! The trigger protocol: a request is never sent twice by mistake, and its operation never lost.
//!
//! golive writes an intent to disk before it sends a request that starts an operation, and the
//! operation's location after it. Unless the answer clearly accepts or refuses the request, the
//! request is in doubt. golive settles a doubt by looking at the offer, never by simply sending
//! again.
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

use super::reaction::{Attempts, answered, doubt_checked, missed};
use crate::marketplace::{Fence, OperationRef, OperationStatus, RequestId, Settling};
use crate::status::{Intent, Reason};

/// The limits on one trigger: how many attempts, and how much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long after its deadline a request that left no trace may be sent again (`--settle`).
    pub settling: Settling,
    /// The maximum number of attempts for a request that was certainly not accepted.
    pub attempts: u32,
    /// How many checks of an offer in doubt may fail before the doubt is left to the next run.
    pub checks: u32,
    /// How many times golive checks for the operation that a conflict points to.
    pub searches: u32,
    /// How long the marketplace may put the request off, in total, before the offer is left to
    /// another pass or to the next run.
    pub pause: Duration,
    /// How much time the run has left.
    pub left: Duration,
}

/// The current state of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The offer is being inspected, and golive decides about it again.
    Checking,
    /// The intent is being written.
    Intending(Request),
    /// The request has been sent; its answer is awaited.
    Sending(Request),
    /// The request may have been accepted.
    Doubting(Doubt),
    /// The operation is being written over the intent.
    Recording(Sent),
    /// The intent is being removed because the request was not accepted.
    Dropping(After),
    /// Waiting before the offer is checked again.
    Pausing,
    /// Nothing more will happen.
    Ended,
}

/// A request that is about to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The intent on disk for this request.
    pub intent: Intent,
    /// The first attempt, if this is the second. The first stays in doubt until this one is.
    pub before: Option<Intent>,
}

/// A request that may have been accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The intent on disk for this request.
    pub intent: Intent,
    /// What happened to the request, if this process knows.
    pub why: Option<String>,
    /// Whether the marketplace refused the request because the offer is busy: with what the
    /// previous attempt started, or with an operation that someone else started.
    pub is_conflict: bool,
}

/// What happens after an intent is dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum After {
    /// The offer is checked again after a pause.
    Retry(Duration),
    /// The previous attempt stays in doubt; the offer is checked after a pause.
    Doubt(Doubt, Duration),
    /// The protocol ends.
    End(StopReason),
}

/// A trigger under way: its state, and the attempts and pauses it has used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// The current state.
    pub state: State,
    pub(super) attempts: Attempts,
}

/// An accepted operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The request that started it.
    pub intent: Intent,
    /// The operation's location; `None` if only the offer's status shows it.
    pub operation: Option<OperationRef>,
    /// Its status, if known.
    pub status: Option<OperationStatus>,
}

/// Why the protocol ended without an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The offer has changed: observe and decide again.
    ObserveAgain(Option<String>),
    /// The marketplace refused the request (400 or 422); don't repeat it.
    Refused(String),
    /// The request was refused for a reason outside the offer and its manifest, or could not be
    /// sent.
    Unsent(Obstacle),
    /// The marketplace put the request off for longer than this run may wait.
    Throttled(Duration),
    /// The status file could not be written; nothing was sent.
    Unwritten,
    /// golive does not know whether the request was accepted. Carries the reason if it is new. The
    /// intent stays on disk.
    InDoubt(Option<String>),
}

/// What prevents a request, apart from the offer itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The stable reason code.
    pub reason: Reason,
    /// What happened, as a sentence.
    pub why: String,
}

/// What the marketplace's answer to a request means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    /// 202, with a usable operation URL.
    Accepted(OperationRef),
    /// 422, or a 400 that no running operation explains: don't repeat the request.
    Refused(String),
    /// 401, 403, 404: refused for a reason outside the offer.
    Denied(Obstacle),
    /// 409 or 412: observe again.
    Conflict(String),
    /// 429 or 503: not accepted; wait for the given time, if any.
    NotNow(Option<Duration>),
    /// The connection was never made, so the request was not sent.
    NotSent(Obstacle),
    /// Any other answer, or none: the request may have been accepted.
    Unclear(String),
}

/// What a check of an offer in doubt found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DoubtCheck {
    /// An operation of the intent's kind runs, or ran, after the request.
    Operation {
        /// The operation's location, if more than the offer's status shows it.
        operation: Option<OperationRef>,
        /// Its status.
        status: OperationStatus,
    },
    /// The offer is in the state the request asked for, and no operation is listed.
    Live,
    /// The release is no longer in preview or live, and nothing runs.
    Gone,
    /// The offer waits as it did before the request.
    StillWaiting {
        /// The offer's current fence, which guards a request against changes of the offer.
        fence: Option<Fence>,
    },
    /// The offer is in another state, where the request no longer applies.
    Elsewhere,
    /// The offer could not be checked.
    Failed(String),
}

/// The values that a new attempt at a request does not share with the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fresh {
    /// When the attempt is made (UTC): after the check, which may have taken long.
    pub at: Timestamp,
    /// The attempt's deadline (UTC).
    pub deadline: Timestamp,
    /// The attempt's request id.
    pub request_id: RequestId,
    /// The digest of the current manifest.
    pub manifest_digest: String,
}

/// An event that the protocol handles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TriggerEvent {
    /// The offer was inspected and the decision stands; the intent is ready to be written.
    Confirmed(Intent),
    /// The offer was inspected and the decision no longer stands.
    Changed,
    /// The offer could not be inspected.
    CheckFailed(Obstacle),
    /// The status file was written and flushed.
    Written,
    /// The status file could not be written.
    NotWritten,
    /// The write took so long that the request could not finish by its deadline, so it was not
    /// sent.
    DeadlineMissed,
    /// The marketplace answered, or the request failed without an answer.
    Answered(RequestOutcome),
    /// A check of an offer in doubt ended.
    DoubtChecked {
        /// What it found.
        found: DoubtCheck,
        /// When the check began (UTC).
        at: Timestamp,
        /// The values for a new attempt, should the request be sent again.
        fresh: Fresh,
    },
    /// The pause is over.
    Elapsed,
}

/// A command for the caller to carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Inspect the offer and decide again.
    Check,
    /// Write the intent to disk and flush it.
    WriteIntent(Intent),
    /// Send the request.
    Send(Intent),
    /// Inspect the offer to find out what the request did.
    CheckDoubt,
    /// Replace the intent on disk with the operation, in one write.
    WriteOperation(Sent),
    /// Remove the intent from disk, or replace it with the previous one.
    DropIntent(Option<Intent>),
    /// Wait, then report [`TriggerEvent::Elapsed`].
    Wait(Duration),
}

/// What the caller does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Carry out the command, then pass the resulting event to [`step`].
    Do(Command),
    /// The protocol ended: an operation runs, or ran.
    Follow(Sent),
    /// The protocol ended without an operation.
    Stop(StopReason),
}

impl Trigger {
    /// A trigger for a new decision.
    #[must_use]
    pub fn fresh() -> (Self, Step) {
        (Self { state: State::Checking, attempts: Attempts::default() }, Step::Do(Command::Check))
    }

    /// A trigger whose intent was found on disk without an operation.
    #[must_use]
    pub fn in_doubt(intent: Intent) -> (Self, Step) {
        let doubt = Doubt { intent, why: None, is_conflict: false };
        let attempts = Attempts { sent: 1, ..Attempts::default() };
        (Self { state: State::Doubting(doubt), attempts }, Step::Do(Command::CheckDoubt))
    }
}

/// Makes one step of the protocol. An event that the state does not allow ends the protocol in
/// doubt: nothing is sent, and the intent stays on disk.
#[must_use]
pub fn step(trigger: Trigger, event: TriggerEvent, patience: Patience) -> (Trigger, Step) {
    let Trigger { state, attempts } = trigger;
    let to = |state, command| attempts.to(state, command);
    let end = |next| (Trigger { state: State::Ended, attempts }, next);
    let stop = |why| end(Step::Stop(why));
    match (state, event) {
        (State::Checking, TriggerEvent::Confirmed(intent)) => {
            let request = Request { intent: intent.clone(), before: None };
            to(State::Intending(request), Command::WriteIntent(intent))
        }
        (State::Checking, TriggerEvent::Changed) => stop(StopReason::ObserveAgain(None)),
        (State::Checking, TriggerEvent::CheckFailed(obstacle)) => {
            stop(StopReason::Unsent(obstacle))
        }
        (State::Intending(request), TriggerEvent::Written) => {
            let (attempts, intent) =
                (Attempts { sent: attempts.sent + 1, ..attempts }, request.intent.clone());
            attempts.to(State::Sending(request), Command::Send(intent))
        }
        (State::Intending(_), TriggerEvent::NotWritten) => stop(StopReason::Unwritten),
        (State::Sending(request), TriggerEvent::DeadlineMissed) => {
            missed(attempts, request, patience)
        }
        (State::Sending(request), TriggerEvent::Answered(answer)) => {
            answered(attempts, request, answer, patience)
        }
        (State::Doubting(doubt), TriggerEvent::DoubtChecked { found, at, fresh }) => {
            let attempts = Attempts { checks: attempts.checks + 1, ..attempts };
            doubt_checked(attempts, doubt, found, (at, fresh), patience)
        }
        (State::Doubting(doubt), TriggerEvent::Elapsed) => {
            to(State::Doubting(doubt), Command::CheckDoubt)
        }
        (State::Recording(done), TriggerEvent::Written | TriggerEvent::NotWritten) => {
            // A failed write loses nothing: the operation is followed in memory, and the intent on
            // disk finds it again.
            end(Step::Follow(done))
        }
        // If the write fails, an intent stays on disk; the next run finds that it had no effect.
        (
            State::Dropping(After::Retry(pause)),
            TriggerEvent::Written | TriggerEvent::NotWritten,
        ) => to(State::Pausing, Command::Wait(pause)),
        (
            State::Dropping(After::Doubt(doubt, pause)),
            TriggerEvent::Written | TriggerEvent::NotWritten,
        ) => to(State::Doubting(doubt), Command::Wait(pause)),
        (State::Dropping(After::End(why)), TriggerEvent::Written | TriggerEvent::NotWritten) => {
            stop(why)
        }
        (State::Pausing, TriggerEvent::Elapsed) => to(State::Checking, Command::Check),
        (state, event) => {
            let why = format!("{event:?} makes no sense in {state:?}");
            stop(StopReason::InDoubt(Some(why)))
        }
    }
}
