//! One integration binary. A harness, and cases as files.
//!
//! | file | what it is |
//! |---|---|
//! | `place` | runs the real program in a folder of its own, against an emulator on a socket |
//! | `shape` | takes out of outputs what differs from run to run |
//! | `rows` | every state that an offer can be in, at once |
//!
//! A changed snapshot under `snapshots/` is accepted with `INSTA_UPDATE=always cargo test`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on says so by a panic"
)]

mod place;
mod rows;
mod shape;

mod apply;
mod command_line;
mod emulator;
mod examples;
mod plan;
mod schema;
mod secrets;
#[cfg(unix)]
mod signals;
mod status;
mod status_file;
mod validate;
