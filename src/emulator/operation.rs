//! One operation of an offer: how far it is, and when it ends. Pure; time is an argument.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::behaviour::{Halt, Kind, Level};

/// What moves an operation on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Pace {
    /// Each step takes this long.
    Time(SignedDuration),
    /// It ends with this poll.
    Polls(u32),
}

/// A message, HTML as it was seeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    pub html: String,
    pub level: Level,
}

/// How an operation will go, decided when it starts. Steps are counted from its own first one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Fate {
    Succeed,
    /// Fails at the end of a step.
    Fail(usize, Note),
    /// Canceled by another hand at the end of its first step.
    Cancel,
    /// Comes to a step and goes no further.
    Halt(usize, Halt, Note),
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// What it was to bring about is so.
    Succeeded,
    /// A step failed.
    Failed,
    /// Somebody asked for its end.
    Canceled,
}

/// Where an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    Running,
    /// Somebody asked to cancel it: it ends a step's time later, or with the next poll.
    Canceling {
        since: Timestamp,
        polls: u32,
    },
    /// Over, after so many of its steps were done.
    Ended {
        ending: Ending,
        at: Timestamp,
        done: usize,
    },
}

/// A publish or a golive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Operation {
    pub id: String,
    pub kind: Kind,
    /// The version of the offer it brings to its slot.
    pub version: u64,
    pub publishing: u64,
    pub started: Timestamp,
    pub polls: u32,
    pub pace: Pace,
    pub fate: Fate,
    /// The first step that is its own, and how many are.
    pub first: usize,
    pub count: usize,
    pub state: State,
    /// Asking for it answers 404, whatever it does.
    pub expired: bool,
}

impl Operation {
    /// The slot it fills, as a submission says it.
    pub(super) fn slot(&self) -> &'static str {
        match self.kind {
            Kind::Publish => "staging",
            Kind::GoLive => "production",
        }
    }

    /// When it last changed.
    pub(super) fn changed(&self) -> Timestamp {
        match self.state {
            State::Running => self.started,
            State::Canceling { since, .. } => since,
            State::Ended { at, .. } => at,
        }
    }

    pub(super) fn runs(&self) -> bool {
        match self.state {
            State::Running | State::Canceling { .. } => true,
            State::Ended { .. } => false,
        }
    }

    /// How many hundredths of a step are done, were nothing in the way.
    pub(super) fn hundredths(&self, now: Timestamp) -> usize {
        let whole = self.count * 100;
        let done = match self.pace {
            Pace::Time(step) if step.is_zero() => whole,
            Pace::Time(step) => {
                let elapsed = self.started.duration_until(now).as_nanos().max(0);
                usize::try_from(elapsed.saturating_mul(100) / step.as_nanos()).unwrap_or(whole)
            }
            Pace::Polls(0) => whole,
            Pace::Polls(polls) => whole * self.polls as usize / polls as usize,
        };
        done.min(whole)
    }

    /// How many steps are done, of those that nothing is in the way of.
    pub(super) fn done(&self, now: Timestamp) -> usize {
        let done = self.hundredths(now) / 100;
        match self.fate {
            Fate::Halt(step, ..) => done.min(step),
            // The last step is not done before the operation is over.
            Fate::Succeed | Fate::Fail(..) | Fate::Cancel => done.min(self.count.saturating_sub(1)),
        }
    }

    /// Lets the step that it is at be the one that fails.
    pub(super) fn fail_with(&mut self, html: String, now: Timestamp) {
        self.fate = Fate::Fail(self.done(now), Note { html, level: Level::Error });
    }

    /// The moment by which so many steps are done, if that has come.
    fn reached(&self, steps: usize, now: Timestamp) -> Option<Timestamp> {
        match self.pace {
            Pace::Time(step) => {
                let end = i32::try_from(steps)
                    .ok()
                    .and_then(|steps| step.checked_mul(steps))
                    .and_then(|span| self.started.checked_add(span).ok())
                    .unwrap_or(Timestamp::MAX);
                (end <= now).then_some(end)
            }
            Pace::Polls(_) => (self.hundredths(now) >= steps * 100).then_some(now),
        }
    }

    /// The end that is due, if one is: how, when, and after how many steps.
    pub(super) fn due(&self, now: Timestamp) -> Option<(Ending, Timestamp, usize)> {
        match (&self.state, &self.fate) {
            (State::Ended { .. }, _) | (State::Running, Fate::Halt(..)) => None,
            (State::Canceling { since, polls }, _) => {
                let at = match self.pace {
                    Pace::Time(step) => since.checked_add(step).unwrap_or(Timestamp::MAX),
                    Pace::Polls(_) if self.polls > *polls => now,
                    Pace::Polls(_) => return None,
                };
                (at <= now).then(|| (Ending::Canceled, at, self.done(*since)))
            }
            (State::Running, Fate::Succeed) => {
                self.reached(self.count, now).map(|at| (Ending::Succeeded, at, self.count))
            }
            (State::Running, Fate::Fail(step, _)) => {
                self.reached(step + 1, now).map(|at| (Ending::Failed, at, *step))
            }
            (State::Running, Fate::Cancel) => {
                self.reached(1, now).map(|at| (Ending::Canceled, at, 0))
            }
        }
    }
}
