//! One integration binary: harnesses, and test cases by file.
//!
//! | file | what it is |
//! |---|---|
//! | `test_env` | runs the real program in its own folder, against an emulator on a socket |
//! | `harness` | runs the library's reconciler against an emulator, in virtual time |
//! | `normalize` | replaces times and ids in outputs, which differ from run to run |
//! | `rows` | every state of an offer, at once |
//! | `page_server` | serves the service's page over `sample_records` |
//!
//! A changed snapshot under `snapshots/` is accepted with `INSTA_UPDATE=always cargo test`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on says so by a panic"
)]

mod harness;
mod normalize;
mod page_server;
mod rows;
mod sample_records;
mod test_env;

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
mod ingestion;
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
