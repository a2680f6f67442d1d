//! Pure: the trigger protocol and the following of operations, as `(state, event)` →
//! `(state, command)`. What is done with a command is [`crate::reconcile`]'s business.

mod follow;
mod reaction;
#[cfg(test)]
mod tests;
mod trigger;

pub use follow::{Follow, FollowCommand, FollowEvent, Intervals};
pub use trigger::{
    After, Answer, Command, Event, Fresh, Look, Next, Obstacle, Patience, Sent, State, StopReason,
    Trigger, step,
};
