//! The targets, as golive's own tests have them.

#[path = "../../tests/fuzz/targets/mod.rs"]
mod targets;

pub use targets::*;
