//! One operation of an offer: how far it is, and when it ends. Pure; time is an argument.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::emulator::seed::offer::{BlockedAs, Fail, Kind, Level, OfferSeed};

/// What moves an operation on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Pace {
    /// Each step takes this long.
    Time(SignedDuration),
    /// It ends with this poll.
    Polls(u32),
}

/// What a step says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Message {
    pub html: String,
    pub level: Level,
}

/// How an operation will go, decided when it starts. Steps count from the operation's first one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Plan {
    Succeed,
    /// Fails at the end of a step.
    Fail(usize, Message),
    /// Somebody else cancels it at the end of its first step.
    Cancel,
    /// Reaches a step and stays there.
    #[serde(rename = "Halt")]
    Block(usize, BlockedAs, Message),
}

/// How often the seed's `fail`, `cancel` and fixed answers were used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UseCounts {
    pub failures: u32,
    pub cancels: u32,
    pub golive_refusals: u32,
    pub publish_refusals: u32,
}

impl Plan {
    /// The plan for an operation that starts now.
    pub(crate) fn new(seed: &OfferSeed, kind: Kind, used: UseCounts) -> Self {
        if seed.cancel && used.cancels == 0 {
            return Self::Cancel;
        }
        if let Some(fail) = &seed.fail
            && fail.times.allows(used.failures)
            && let Some(step) = seed.step_within(kind, fail.step.as_deref())
        {
            return Self::Fail(step, failure_message(fail));
        }
        if let Some(block) = &seed.block
            && let Some(step) = seed.step_within(kind, block.step.as_deref())
        {
            let html = block.message.clone().unwrap_or_default();
            return Self::Block(step, block.shown_as, Message { html, level: block.level });
        }
        Self::Succeed
    }

    /// The plan of an operation that the seed declares as failed.
    pub(crate) fn failed(seed: &OfferSeed, kind: Kind) -> Self {
        let fail = seed.fail.clone().unwrap_or_default();
        let last = seed.steps_of(kind).1.saturating_sub(1);
        let step = seed.step_within(kind, fail.step.as_deref()).unwrap_or(last);
        Self::Fail(step, failure_message(&fail))
    }
}

/// What a step that fails says where the seed says nothing.
pub(crate) const DEFAULT_FAILURE: &str = "<p>This step failed.</p>";

fn failure_message(fail: &Fail) -> Message {
    let html = fail.message.clone().unwrap_or_else(|| DEFAULT_FAILURE.to_owned());
    Message { html, level: fail.level }
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// The version is in its slot.
    Succeeded,
    /// A step failed.
    Failed,
    /// Somebody asked for its end.
    Canceled,
}

/// Where an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
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
pub(crate) struct Operation {
    pub id: String,
    pub kind: Kind,
    /// The version of the offer it brings to its slot.
    pub version: u64,
    pub publishing: u64,
    pub started: Timestamp,
    pub polls: u32,
    pub pace: Pace,
    #[serde(rename = "fate")]
    pub plan: Plan,
    /// The index of its first step in the offer's list.
    pub first: usize,
    /// How many steps it has.
    pub count: usize,
    pub state: State,
    /// A manual action let it expire: asking for it answers 404.
    pub expired: bool,
}

impl Operation {
    /// When it last changed.
    pub(crate) fn changed(&self) -> Timestamp {
        match self.state {
            State::Running => self.started,
            State::Canceling { since, .. } => since,
            State::Ended { at, .. } => at,
        }
    }

    pub(crate) fn runs(&self) -> bool {
        match self.state {
            State::Running | State::Canceling { .. } => true,
            State::Ended { .. } => false,
        }
    }

    /// How many hundredths of a step are done, whatever the plan.
    pub(crate) fn hundredths(&self, now: Timestamp) -> usize {
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

    /// How many steps are done.
    pub(crate) fn done(&self, now: Timestamp) -> usize {
        let done = self.hundredths(now) / 100;
        match self.plan {
            Plan::Block(step, ..) => done.min(step),
            // The last step is not done before the operation is over.
            Plan::Succeed | Plan::Fail(..) | Plan::Cancel => done.min(self.count.saturating_sub(1)),
        }
    }

    /// Plans that the current step fails.
    pub(crate) fn fail_with(&mut self, html: String, now: Timestamp) {
        self.plan = Plan::Fail(self.done(now), Message { html, level: Level::Error });
    }

    /// When so many steps were done, if they are.
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
    pub(crate) fn due(&self, now: Timestamp) -> Option<(Ending, Timestamp, usize)> {
        match self.state {
            State::Ended { .. } => None,
            State::Canceling { since, polls } => {
                let at = match self.pace {
                    Pace::Time(step) => since.checked_add(step).unwrap_or(Timestamp::MAX),
                    Pace::Polls(_) if self.polls > polls => now,
                    Pace::Polls(_) => return None,
                };
                (at <= now).then(|| (Ending::Canceled, at, self.done(since)))
            }
            State::Running => {
                let (ending, steps, done) = self.planned_end()?;
                Some((ending, self.reached(steps, now)?, done))
            }
        }
    }

    /// How it ends by its plan, after how many steps, and how many of them are done then.
    fn planned_end(&self) -> Option<(Ending, usize, usize)> {
        match self.plan {
            Plan::Succeed => Some((Ending::Succeeded, self.count, self.count)),
            Plan::Fail(step, _) => Some((Ending::Failed, step + 1, step)),
            Plan::Cancel => Some((Ending::Canceled, 1, 0)),
            Plan::Block(..) => None,
        }
    }

    /// Ends it by its plan at a moment.
    pub(crate) fn end_as_planned(&mut self, at: Timestamp) {
        if let Some((ending, _, done)) = self.planned_end() {
            self.state = State::Ended { ending, at, done };
        }
    }
}
