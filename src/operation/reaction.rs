//! How the protocol reacts to the answer to a request, and to a check of an offer in doubt.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::trigger::{
    After, Command, Doubt, DoubtCheck, Fresh, Obstacle, Patience, Request, RequestOutcome, Sent,
    State, Step, StopReason, Trigger,
};
use crate::marketplace::OperationStatus;
use crate::status::{Intent, Reason};

/// The shortest pause between two checks or attempts.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause if the marketplace puts a request off without a `Retry-After`.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A deadline further ahead than this was written before the clock was set back: a clock that runs
/// a little fast does not explain it.
const FAR_AHEAD: SignedDuration = SignedDuration::from_hours(1);

/// The attempts and pauses that a trigger has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Attempts {
    /// How often the request was sent or its intent written. Attempts that the marketplace put off,
    /// or that missed their deadline, are not counted.
    pub(super) sent: u32,
    /// How often the offer was checked while in doubt.
    pub(super) checks: u32,
    /// How long the marketplace has put the request off, in total.
    pub(super) paused: Duration,
    /// How often an intent was dropped because writing it took too long.
    pub(super) missed: u32,
}

impl Attempts {
    pub(super) fn to(self, state: State, command: Command) -> (Trigger, Step) {
        (Trigger { state, attempts: self }, Step::Do(command))
    }

    fn stop_in_doubt(self, why: String) -> (Trigger, Step) {
        (
            Trigger { state: State::Ended, attempts: self },
            Step::Stop(StopReason::InDoubt(Some(why))),
        )
    }

    fn record(self, done: Sent) -> (Trigger, Step) {
        self.to(State::Recording(done.clone()), Command::WriteOperation(done))
    }

    fn doubt(self, doubt: Doubt, command: Command) -> (Trigger, Step) {
        self.to(State::Doubting(doubt), command)
    }

    /// The request was not accepted or not sent. The attempt before it stays in doubt.
    fn drop(self, request: Request, after: After) -> (Trigger, Step) {
        let after = match (&request.before, after) {
            (Some(before), After::Retry(pause)) => {
                let intent = before.clone();
                After::Doubt(Doubt { intent, why: None, is_conflict: false }, pause)
            }
            (_, after) => after,
        };
        self.to(State::Dropping(after), Command::DropIntent(request.before))
    }
}

/// The reaction to the answer to a request.
pub(super) fn answered(
    attempts: Attempts,
    request: Request,
    answer: RequestOutcome,
    patience: Patience,
) -> (Trigger, Step) {
    let tired = attempts.sent >= patience.attempts;
    let backoff = SHORTEST_PAUSE * 2u32.saturating_pow(attempts.sent.saturating_sub(1)).min(30);
    let is_conflict = matches!(answer, RequestOutcome::Conflict(_));
    let hides_operation =
        request.before.is_some() || (is_conflict && request.intent.fence.is_none());
    match answer {
        RequestOutcome::Accepted(operation) => {
            let intent = request.intent;
            attempts.record(Sent { intent, operation: Some(operation), status: None })
        }
        // The previous attempt was probably accepted and does not show yet. If there was none, and
        // no fence guards the request, something else runs that does not show: a request sent again
        // at once might reach the offer right after that ends.
        RequestOutcome::Refused(why) | RequestOutcome::Conflict(why) if hides_operation => {
            let doubt = Doubt { intent: request.intent, why: Some(why), is_conflict: true };
            attempts.doubt(doubt, Command::CheckDoubt)
        }
        RequestOutcome::Refused(why) => {
            attempts.drop(request, After::End(StopReason::Refused(why)))
        }
        RequestOutcome::Denied(why) => attempts.drop(request, After::End(StopReason::Unsent(why))),
        RequestOutcome::Conflict(why) => {
            attempts.drop(request, After::End(StopReason::ObserveAgain(Some(why))))
        }
        // A request that was put off does not count as an attempt.
        RequestOutcome::NotNow(asked) => {
            let doubled = attempts.paused.min(LONGEST_PAUSE);
            let pause = asked.unwrap_or(doubled).max(SHORTEST_PAUSE);
            let paused = attempts.paused.saturating_add(pause);
            let attempts = Attempts { sent: attempts.sent.saturating_sub(1), paused, ..attempts };
            let after = match asked {
                _ if paused <= patience.pause && pause <= patience.left => After::Retry(pause),
                Some(_) => After::End(StopReason::Throttled(pause)),
                None => After::End(StopReason::Unsent(Obstacle {
                    reason: Reason::Throttled,
                    why: "the marketplace takes no requests now, and does not say for how long"
                        .to_owned(),
                })),
            };
            attempts.drop(request, after)
        }
        RequestOutcome::NotSent(why) if tired => {
            attempts.drop(request, After::End(StopReason::Unsent(why)))
        }
        RequestOutcome::NotSent(_) => attempts.drop(request, After::Retry(backoff)),
        RequestOutcome::Unclear(why) => {
            let doubt = Doubt { intent: request.intent, why: Some(why), is_conflict: false };
            attempts.doubt(doubt, Command::CheckDoubt)
        }
    }
}

/// The deadline can't be met because the write took too long. The next intent leaves more time for
/// the write.
pub(super) fn missed(attempts: Attempts, request: Request, patience: Patience) -> (Trigger, Step) {
    let attempts =
        Attempts { sent: attempts.sent.saturating_sub(1), missed: attempts.missed + 1, ..attempts };
    if attempts.missed < patience.attempts {
        return attempts.drop(request, After::Retry(SHORTEST_PAUSE));
    }
    let why = "writing the status file takes too long, so that nothing was sent; put it on a faster \
               disk, or give requests more time (--timeout)";
    let why = Obstacle { reason: Reason::Unreachable, why: why.to_owned() };
    attempts.drop(request, After::End(StopReason::Unsent(why)))
}

/// The reaction to a check of an offer in doubt. golive neither gives up a request nor sends it
/// again before it has settled, that is, before the settle time after its deadline is over.
pub(super) fn doubt_checked(
    attempts: Attempts,
    mut doubt: Doubt,
    found: DoubtCheck,
    (at, fresh): (Timestamp, Fresh),
    patience: Patience,
) -> (Trigger, Step) {
    let intent = &mut doubt.intent;
    // The clock was set back: don't wait for it to catch up.
    if intent.deadline.duration_since(at) > FAR_AHEAD {
        intent.deadline = at;
    }
    // If the fence differs, this request may have changed it.
    let is_changed = matches!(&found, DoubtCheck::StillWaiting { fence } if *fence != intent.fence);
    let is_fenced = intent.fence.is_some() && !is_changed;
    let settling = patience.settling;
    let settle = if is_fenced { settling.fenced } else { settling.unfenced };
    let remaining = until_settled(intent.deadline, at, settle);
    let pause = SHORTEST_PAUSE * 2u32.saturating_pow(attempts.checks.saturating_sub(1)).min(30);
    match found {
        DoubtCheck::Operation { operation, status } => {
            attempts.record(Sent { intent: doubt.intent, operation, status: Some(status) })
        }
        DoubtCheck::Failed(why) if attempts.checks >= patience.checks => {
            attempts.stop_in_doubt(why)
        }
        DoubtCheck::Failed(_) => attempts.doubt(doubt, Command::Wait(pause)),
        DoubtCheck::Live => {
            let status = Some(OperationStatus::Succeeded);
            attempts.record(Sent { intent: doubt.intent, operation: None, status })
        }
        DoubtCheck::Gone | DoubtCheck::StillWaiting { .. } | DoubtCheck::Elsewhere
            if !remaining.is_zero() =>
        {
            attempts.doubt(doubt, Command::Wait(pause.min(remaining)))
        }
        // The request may have been accepted and the operation failed: report that, don't repeat
        // it.
        DoubtCheck::Gone => {
            let status = Some(OperationStatus::Canceled);
            attempts.record(Sent { intent: doubt.intent, operation: None, status })
        }
        DoubtCheck::StillWaiting { .. } if doubt.intent.attempt > 1 => {
            if doubt.is_conflict && attempts.checks < patience.searches {
                return attempts.doubt(doubt, Command::Wait(pause));
            }
            let Doubt { intent: Intent { attempt, .. }, why, .. } = doubt;
            let last = why.map(|why| format!("the last answer: {why}; ")).unwrap_or_default();
            attempts.stop_in_doubt(format!(
                "it was sent {attempt} times, left no trace, and the offer still waits; {last}look \
                 into Partner Center, then --retry sends it once more"
            ))
        }
        DoubtCheck::StillWaiting { fence } => {
            let Fresh { at, deadline, request_id, manifest_digest } = fresh;
            let (before, attempt) = (doubt.intent, 2);
            let again = Intent {
                at,
                attempt,
                deadline,
                fence,
                manifest_digest,
                request_id,
                ..before.clone()
            };
            let request = Request { intent: again.clone(), before: Some(before) };
            attempts.to(State::Intending(request), Command::WriteIntent(again))
        }
        DoubtCheck::Elsewhere => {
            let request = Request { intent: doubt.intent, before: None };
            attempts.drop(request, After::End(StopReason::ObserveAgain(None)))
        }
    }
}

/// How long until a request that left no trace may be sent again. Its deadline may be ahead.
fn until_settled(deadline: Timestamp, now: Timestamp, settle: Duration) -> Duration {
    let passed = now.duration_since(deadline);
    let settle = SignedDuration::try_from(settle).unwrap_or(SignedDuration::MAX);
    Duration::try_from(settle.saturating_sub(passed)).unwrap_or_default()
}
