//! One file a subcommand: wiring, no logic.

mod apply;
mod emulator;
mod error;
#[cfg(feature = "otlp")]
mod otlp;
mod output;
mod plan;
mod schema;
mod setting;
mod signal;
mod status;
mod validate;
mod watch;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Command};

pub use error::CommandError;

/// Every offer is as desired, on its way, or held on purpose.
const OK: u8 = 0;
/// Something needs a person.
const PROBLEM: u8 = 1;
/// `plan --detailed-exitcode`: there are changes to make.
const CHANGES: u8 = 2;
/// Operations still run.
const RUNNING: u8 = 3;
/// The command line is wrong (`EX_USAGE` of `sysexits.h`).
const USAGE: u8 = 64;

/// Runs what the command line says, and tells how it went by the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { OK };
            // If even that can't be printed, the exit code is all that is left to tell.
            drop(error.print());
            return ExitCode::from(code);
        }
    };
    output::choose_color(cli.globals.color);
    let result = run(&cli);
    #[cfg(feature = "otlp")]
    otlp::flush();
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            error.print();
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(cli: &Cli) -> Result<u8, CommandError> {
    let globals = &cli.globals;
    match &cli.command {
        Command::Validate(args) => validate::run(args),
        Command::Plan(args) => plan::run(args, globals),
        Command::Apply(args) => apply::run(args, globals),
        Command::Watch(args) => watch::run(args, globals),
        Command::Status(args) => status::run(args, globals),
        Command::Schema(args) => schema::run(args),
        Command::Emulator(args) => emulator::run(args, globals),
    }
}
