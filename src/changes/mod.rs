//! Pure: manifests, status and observations in, a change set out. No clock, no I/O, no chance.

mod change;
mod check;
mod diff;
mod observation;
mod planner;
mod rules;

pub use change::{
    Block, Change, ChangeSet, Decision, Failure, Hold, Outcome, Place, Standing, Summary, Tracked,
};
pub use check::{Violation, check};
pub use diff::diff;
pub use observation::{Observation, OperationSeen, Question, Seen, SlotSeen};
pub use planner::{Input, Policy, Questions, Retry, plan, with_dependencies};
pub(crate) use rules::ended;
