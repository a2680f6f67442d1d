//! The fuzz targets: functions that take any bytes and panic if a property is violated. `cargo test` and
//! the long run (`fuzz/`) call the same functions. A target has the name of its folder of inputs.
//!
//! Inputs are texts that people can read: a manifest, a status file, an answer with its head, a
//! header's value, a conversation with the emulator.

#![cfg_attr(test, expect(unreachable_pub, reason = "the long run uses them from outside"))]

mod answers;
mod conversation;
mod durations;
mod manifest;
mod operation_url;
mod portal;
mod retry_after;
mod status_file;
mod text;

pub use answers::{accepted, offer, offer_status, offers, operation, refusal, submissions};
pub use conversation::emulator;
pub use durations::durations;
pub use manifest::manifest;
pub use operation_url::operation_url;
pub use retry_after::retry_after;
pub use status_file::status_file;
pub use text::text;
