//! Pure: the trigger protocol and the following of operations, as `(state, event)` → `(state,
//! command)`. [`crate::engine`] carries out the commands.

mod follow;
mod reaction;
#[cfg(test)]
mod tests;
mod trigger;

pub use follow::{Follow, FollowCommand, FollowEvent, Intervals};
pub use trigger::{
    After, Command, DoubtCheck, Fresh, Obstacle, Patience, RequestOutcome, Sent, State, Step,
    StopReason, Trigger, TriggerEvent, step,
};
