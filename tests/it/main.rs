//! One integration binary. Three harnesses, and cases as files.
//!
//! | file | what it is |
//! |---|---|
//! | `place` | runs the real program in a folder of its own, against an emulator on a socket |
//! | `lab` | runs the library's reconciler against an emulator, in virtual time |
//! | `shape` | takes out of outputs what differs from run to run |
//! | `rows` | every state that an offer can be in, at once |
//! | `served` | serves the service's page over records that are made up by `invented` |
//!
//! A changed snapshot under `snapshots/` is accepted with `INSTA_UPDATE=always cargo test`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on says so by a panic"
)]

mod invented;
mod lab;
mod place;
mod rows;
mod served;
mod shape;

mod adopt;
mod allocations;
mod apply;
mod browser;
mod budgets;
mod command_line;
mod configured;
#[cfg(unix)]
mod contradict;
mod converge;
mod crash;
mod doubt;
mod elsewhere;
mod emulator;
mod examples;
mod failed;
mod fair;
mod hostile;
mod kill;
mod layers;
mod lost;
#[cfg(feature = "otlp")]
mod otlp;
mod plan;
mod protocol;
mod requests;
mod schema;
mod secrets;
mod serve;
#[cfg(unix)]
mod service;
#[cfg(unix)]
mod signals;
mod simulation;
mod status;
mod status_file;
mod token_file;
#[cfg(unix)]
mod unwritable;
mod unwritten;
mod validate;
mod versions;
mod wait;
mod watch;
