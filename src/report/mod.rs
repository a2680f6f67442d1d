//! One stream of events in; text, JSON and progress out.

mod event;

pub use event::{Event, Reporter, Silent};
