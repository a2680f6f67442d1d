//! Pure: manifests, status and observations in, a change set out. No clock, no I/O, no randomness.

mod change;
mod check;
mod decision;
mod decision_time;
mod diff;
mod facts;
mod graph;
mod observation;
mod planner;
mod rules;
#[cfg(test)]
mod tests;

pub use change::{Change, ChangeSet, OfferPosition, Summary};
pub use check::{Violation, check};
pub use decision::{Block, Decision, Failure, FailureStatus, Hold, Origin, SyncState, Tracked};
pub use decision_time::DecisionTime;
pub(crate) use diff::diff;
pub(crate) use facts::{
    OperationEnd, end_in_history, followed, launched_another_release, operation_end,
};
pub(crate) use graph::DependencyGraph;
pub(crate) use observation::following;
pub use observation::{Observation, ObservedOffer, Unavailable};
pub use planner::{Input, Policy, Retry, plan};
pub(crate) use planner::{undecided, with_dependencies};
