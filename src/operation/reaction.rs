//! What follows from an answer to the request, and from a look at an offer in doubt.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::trigger::{
    After, Answer, Command, Fresh, Look, Next, Obstacle, Patience, Sent, Standstill, State, Trigger,
};
use crate::marketplace::OperationStatus;
use crate::status::{Intent, Reason};

/// The shortest pause between two looks or tries.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause where the marketplace puts a request off and does not say for how long.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How far ahead a time is that no clock a little fast explains.
const FAR_AHEAD: SignedDuration = SignedDuration::from_hours(1);

/// What a trigger has cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// How often the request was sent, or was to be; those times aside when it was put off.
    pub(super) sent: u32,
    /// How often the offer was looked at in doubt.
    pub(super) looks: u32,
    /// How long the marketplace has put the request off so far.
    pub(super) paused: Duration,
    /// How often an intent was dropped since its write took too long.
    pub(super) missed: u32,
    /// Which attempt a request is at least: one that follows a doubt remains the second, however often
    /// it is put off or not sent.
    pub(super) attempt: u32,
}

impl Tally {
    pub(super) fn to(self, state: State, command: Command) -> (Trigger, Next) {
        (Trigger { state, tally: self }, Next::Do(command))
    }

    fn stop_in_doubt(self, why: String) -> (Trigger, Next) {
        (Trigger { state: State::Ended, tally: self }, Next::Stop(Standstill::InDoubt(why)))
    }

    fn record(self, done: Sent) -> (Trigger, Next) {
        self.to(State::Recording(done.clone()), Command::WriteOperation(done))
    }

    fn drop(self, after: After) -> (Trigger, Next) {
        self.to(State::Dropping(after), Command::DropIntent)
    }
}

/// What follows from the answer to the request.
pub(super) fn answered(
    tally: Tally,
    intent: Intent,
    answer: Answer,
    at: Timestamp,
    patience: Patience,
) -> (Trigger, Next) {
    let tired = tally.sent >= patience.attempts;
    let backoff = SHORTEST_PAUSE * 2u32.saturating_pow(tally.sent.saturating_sub(1)).min(30);
    match answer {
        Answer::Accepted(operation) => {
            tally.record(Sent { intent, operation: Some(operation), status: None })
        }
        Answer::Refused(why) => tally.drop(After::End(Standstill::Refused(why))),
        Answer::Denied(why) => tally.drop(After::End(Standstill::Unsent(why))),
        // The request before this one was accepted, it seems, and does not show yet.
        Answer::Conflict(_) if intent.attempt > 1 => {
            tally.to(State::Doubting(intent, at), Command::Look)
        }
        Answer::Conflict(why) => tally.drop(After::End(Standstill::ObserveAgain(Some(why)))),
        // To be put off is no attempt.
        Answer::NotNow(asked) => {
            let doubled = tally.paused.min(LONGEST_PAUSE);
            let pause = asked.unwrap_or(doubled).max(SHORTEST_PAUSE);
            let paused = tally.paused.saturating_add(pause);
            let tally = Tally { sent: tally.sent.saturating_sub(1), paused, ..tally };
            tally.drop(match asked {
                _ if paused <= patience.pause && pause <= patience.left => After::Retry(pause),
                Some(_) => After::End(Standstill::Throttled(pause)),
                None => After::End(Standstill::Unsent(Obstacle {
                    reason: Reason::Throttled,
                    why: "the marketplace takes no requests now, and does not say for how long"
                        .to_owned(),
                })),
            })
        }
        Answer::NotSent(why) if tired => tally.drop(After::End(Standstill::Unsent(why))),
        Answer::NotSent(_) => tally.drop(After::Retry(backoff)),
        Answer::Unclear(_) => tally.to(State::Doubting(intent, at), Command::Look),
    }
}

/// What follows where the deadline can't be met any more: the write took too long. The next intent
/// leaves more time for it.
pub(super) fn missed(tally: Tally, patience: Patience) -> (Trigger, Next) {
    let tally = Tally { sent: tally.sent.saturating_sub(1), missed: tally.missed + 1, ..tally };
    if tally.missed < patience.attempts {
        return tally.drop(After::Retry(SHORTEST_PAUSE));
    }
    let why = "writing the status file takes too long, so that nothing was sent; put it on a faster \
               disk, or give requests more time (--timeout)";
    let why = Obstacle { reason: Reason::Unreachable, why: why.to_owned() };
    tally.drop(After::End(Standstill::Unsent(why)))
}

/// What follows from a look at an offer in doubt.
pub(super) fn looked(
    tally: Tally,
    (intent, since): (Intent, Timestamp),
    look: Look,
    (at, fresh): (Timestamp, Fresh),
    patience: Patience,
) -> (Trigger, Next) {
    let settling = patience.settling;
    // A clock that was set back is not waited for.
    let since = if since.duration_since(at) > FAR_AHEAD { at } else { since };
    // Under another fence the request may have been what changed it.
    let is_fenced = match &look {
        Look::StillWaiting { fence } => intent.fence.is_some() && *fence == intent.fence,
        Look::Operation { .. } | Look::Live | Look::Gone | Look::Elsewhere | Look::Failed(_) => {
            intent.fence.is_some()
        }
    };
    let settle = if is_fenced { settling.fenced } else { settling.unfenced };
    let remaining = until_settled(since, at, settle);
    let pause = SHORTEST_PAUSE * 2u32.saturating_pow(tally.looks.saturating_sub(1)).min(30);
    match look {
        Look::Operation { operation, status } => {
            tally.record(Sent { intent, operation, status: Some(status) })
        }
        Look::Failed(why) if tally.looks >= patience.looks => tally.stop_in_doubt(why),
        Look::Failed(_) => tally.to(State::Doubting(intent, since), Command::Wait(pause)),
        Look::Live => {
            let status = Some(OperationStatus::Succeeded);
            tally.record(Sent { intent, operation: None, status })
        }
        // What was sent may show late: nothing is given up or sent again before it has settled.
        Look::Gone | Look::StillWaiting { .. } | Look::Elsewhere if !remaining.is_zero() => {
            tally.to(State::Doubting(intent, since), Command::Wait(pause.min(remaining)))
        }
        // It may have been accepted and have failed: that is shown to a person and not repeated.
        Look::Gone => {
            let status = Some(OperationStatus::Canceled);
            tally.record(Sent { intent, operation: None, status })
        }
        Look::StillWaiting { fence } => {
            if intent.attempt > 1 {
                let why = format!(
                    "it was sent {} times, left no trace, and the offer still waits; look into Partner \
                     Center, then --retry sends it once more",
                    intent.attempt
                );
                return tally.stop_in_doubt(why);
            }
            let Fresh { at, deadline, request_id, manifest_digest } = fresh;
            let attempt = intent.attempt + 1;
            let tally = Tally { attempt, ..tally };
            let again =
                Intent { at, attempt, deadline, fence, manifest_digest, request_id, ..intent };
            tally.to(State::Intending(again.clone()), Command::WriteIntent(again))
        }
        Look::Elsewhere => tally.drop(After::End(Standstill::ObserveAgain(None))),
    }
}

/// How long it is until a request that left no trace may be sent again. `since` may be ahead: it is
/// the deadline of a request that an earlier process left.
fn until_settled(since: Timestamp, now: Timestamp, settle: Duration) -> Duration {
    let passed = now.duration_since(since);
    let settle = SignedDuration::try_from(settle).unwrap_or(SignedDuration::MAX);
    Duration::try_from(settle.saturating_sub(passed)).unwrap_or_default()
}
