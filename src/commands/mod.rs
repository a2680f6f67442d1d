//! One file a subcommand: wiring, no logic.

mod apply;
mod arguments;
mod connection;
mod context;
mod emulator;
mod error;
#[cfg(feature = "otlp")]
mod otlp;
mod output;
mod plan;
mod schema;
mod signal;
mod status;
mod validate;
mod watch;

use std::process::ExitCode;

use arguments::Given;
use context::Workspace;
use signal::Signals;

use crate::cli::{Cli, Command, LogFormat, Output};
use crate::report::{error_json, marketplace_name};

pub use error::CommandError;

/// Every offer is as desired, on its way, or held on purpose.
const OK: u8 = 0;
/// Something needs a person.
const PROBLEM: u8 = 1;
/// `plan --detailed-exitcode`: there are changes to make.
const CHANGES: u8 = 2;
/// Operations still run, or the run was stopped before it was done.
const RUNNING: u8 = 3;
/// The command line is wrong (`EX_USAGE` of `sysexits.h`).
const USAGE: u8 = 64;

/// Runs what the command line says, and tells how it went by the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let given = match Given::read(&arguments) {
        Ok(given) => given,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { OK };
            // If even that can't be printed, the exit code is all that is left to tell.
            drop(error.print());
            return ExitCode::from(code);
        }
    };
    output::choose_color(given.cli.color);
    // Before anything that can wait.
    let result = Signals::listen(code_when_stopped(&given.cli.command))
        .and_then(|signals| run(&given.cli, &signals));
    #[cfg(feature = "otlp")]
    otlp::flush();
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let error = match error {
                CommandError::Usage(text) => CommandError::Usage(given.name_variable(text)),
                CommandError::Manifests(_) | CommandError::Failed { .. } => error,
            };
            error.print(log_format(&given.cli.command));
            print_document(&given.cli.command, &error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// How a command's errors look on standard error.
fn log_format(command: &Command) -> LogFormat {
    match command {
        Command::Plan(args) => args.logging.log_format,
        Command::Apply(args) => args.logging.log_format,
        Command::Watch(args) => args.logging.log_format,
        Command::Emulator(args) => args.logging.log_format,
        Command::Validate(_) | Command::Status(_) | Command::Schema(_) => LogFormat::Text,
    }
}

/// Where one JSON document was asked for, there is one also where the command came to no result.
fn print_document(command: &Command, error: &CommandError) {
    let access = match command {
        Command::Plan(args) if args.output == Output::Json => Some(&args.access),
        Command::Apply(args) if args.output == Output::Json => Some(&args.access),
        Command::Status(args) if args.output == Output::Json => None,
        Command::Validate(_)
        | Command::Plan(_)
        | Command::Apply(_)
        | Command::Watch(_)
        | Command::Status(_)
        | Command::Schema(_)
        | Command::Emulator(_) => return,
    };
    let marketplace = access.and_then(|access| Workspace::marketplace(access).ok());
    let marketplace = marketplace.as_ref().map(marketplace_name);
    let document = error_json(error.to_json(), error.exit_code(), marketplace.as_deref());
    // It was told on standard error already, and the exit code stays what it is.
    drop(document.map(|document| output::print(&document)));
}

fn run(cli: &Cli, signals: &Signals) -> Result<u8, CommandError> {
    match &cli.command {
        Command::Validate(args) => validate::run(args),
        Command::Plan(args) => plan::run(args),
        Command::Apply(args) => apply::run(args, signals),
        Command::Watch(args) => watch::run(args, signals),
        Command::Status(args) => status::run(args),
        Command::Schema(args) => schema::run(args),
        Command::Emulator(args) => emulator::run(args, signals),
    }
}

/// What a command exits with that is stopped before it did anything: a service is meant to be
/// stopped, everything else was to come to an end.
fn code_when_stopped(command: &Command) -> u8 {
    match command {
        Command::Watch(_) | Command::Emulator(_) => OK,
        Command::Validate(_)
        | Command::Plan(_)
        | Command::Apply(_)
        | Command::Status(_)
        | Command::Schema(_) => RUNNING,
    }
}
