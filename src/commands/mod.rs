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
mod routing;
mod schema;
mod signal;
mod status;
mod validate;
mod watch;

use std::process::ExitCode;

use arguments::Arguments;
use routing::Routing;
use signal::Signals;

use crate::cli::{Access, Command, LogFormat, Output};
use crate::config::Config;
use crate::report::error_json;

use error::CommandError;

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

/// Runs the command line; the exit code says how it went.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let mut arguments = match Arguments::read(&arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { OK };
            // If even that can't be printed, the exit code is all that is left to tell.
            drop(error.print());
            return ExitCode::from(code);
        }
    };
    let (config, invalid) = match arguments.configure() {
        Ok(config) => (config, None),
        Err(error) => (Config::default(), Some(error)),
    };
    let command = &arguments.cli.command;
    let format = ErrorFormat::of(command, &config);
    output::choose_color(arguments.cli.color);
    // A service is meant to be stopped; everything else was to come to an end.
    let is_service = matches!(command, Command::Watch(_) | Command::Emulator(_));
    // Before anything that can wait.
    let signals = Signals::listen(if is_service { OK } else { RUNNING });
    let result = match invalid {
        None => signals.and_then(|signals| run(command, &config, &signals)),
        Some(error) => Err(error),
    };
    #[cfg(feature = "otlp")]
    otlp::flush();
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let error = match error {
                CommandError::Usage(text) => CommandError::Usage(arguments.name_variable(text)),
                CommandError::Manifests(_) | CommandError::Failed { .. } => error,
            };
            error.print(format.log);
            format.print_document(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(command: &Command, config: &Config, signals: &Signals) -> Result<u8, CommandError> {
    match command {
        Command::Validate(args) => validate::run(args, config),
        Command::Plan(args) => plan::run(args, config),
        Command::Apply(args) => apply::run(args, config, signals),
        Command::Watch(args) => watch::run(args, config, signals),
        Command::Status(args) => status::run(args),
        Command::Schema(args) => schema::run(args),
        Command::Emulator(args) => emulator::run(args, signals),
    }
}

/// How a command prints the error that it ends with.
struct ErrorFormat<'a> {
    log: LogFormat,
    output: Output,
    /// The marketplace that a JSON document names.
    access: Option<&'a Access>,
    config: &'a Config,
}

impl<'a> ErrorFormat<'a> {
    fn of(command: &'a Command, config: &'a Config) -> Self {
        let (log, output, access) = match command {
            Command::Plan(args) => (args.logging.log_format, args.output, Some(&args.access)),
            Command::Apply(args) => (args.logging.log_format, args.output, Some(&args.access)),
            Command::Watch(args) => (args.logging.log_format, Output::Text, None),
            Command::Emulator(args) => (args.logging.log_format, Output::Text, None),
            Command::Status(args) => (LogFormat::Text, args.output, None),
            Command::Validate(_) | Command::Schema(_) => (LogFormat::Text, Output::Text, None),
        };
        Self { log, output, access, config }
    }

    /// With `-o json`, standard output is a JSON document even if the command failed.
    fn print_document(&self, error: &CommandError) {
        if self.output != Output::Json {
            return;
        }
        let routing = self.access.and_then(|access| Routing::new(access.into(), self.config).ok());
        let marketplace = routing.map(|routing| routing.name(routing.by_publisher.keys()));
        let document = error_json(error.to_json(), error.exit_code(), marketplace.as_deref());
        // The error is on standard error already, and the exit code stays what it is.
        drop(document.map(|document| output::print(&document)));
    }
}
