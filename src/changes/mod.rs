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
pub use decision::{Block, Decision, Failure, Hold, Origin, Outcome, SyncState, Tracked};
pub use decision_time::DecisionTime;
pub use diff::diff;
pub(crate) use facts::{Ending, ended, ended_unseen, ending, followed, took_another_live};
pub(crate) use graph::DependencyGraph;
pub use observation::{Observation, ObservedOffer, following};
pub use planner::{Input, Policy, Questions, Retry, plan, undecided, with_dependencies};
