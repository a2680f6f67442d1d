//! Reads the command line, and the environment variables that stand for flags.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory as _, FromArgMatches as _};

use super::CommandError;
use super::context::{folder_of_path, variable};
use crate::cli::{Cli, Configured};
use crate::config::{self, Config};

/// The command line as it was given.
pub(super) struct Arguments {
    pub(super) cli: Cli,
    given: Vec<OsString>,
    variables: Vec<Variable>,
}

/// A variable that is set, and stands for a flag that was not given.
struct Variable {
    name: OsString,
    value: OsString,
    /// As clap writes it in an error: `--timeout <DURATION>`.
    argument: String,
    /// `--timeout`
    flag: String,
}

impl Arguments {
    /// Reads the arguments. An empty variable counts as not set. If a variable's value is wrong, the
    /// error names the variable, not the flag that nobody gave.
    pub(super) fn read(arguments: &[OsString]) -> Result<Self, clap::Error> {
        let mut command = without_unset_variables(Cli::command());
        let mut variables = variables(&command);
        variables.retain(|variable| !is_given(arguments, &variable.flag));
        let matches = command.try_get_matches_from_mut(arguments);
        let cli = matches.and_then(|matches| {
            Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
        });
        match cli {
            Ok(cli) => Ok(Self { cli, given: arguments.to_vec(), variables }),
            // Help names all variables, whether they are set or not.
            Err(error) if !error.use_stderr() => {
                Err(Cli::command().try_get_matches_from(arguments).err().unwrap_or(error))
            }
            Err(error) => Err(name_variables(error, &variables)),
        }
    }

    /// Reads the configuration, and takes its values for flags that are neither given nor set by a
    /// variable.
    pub(super) fn configure(&mut self) -> Result<Config, CommandError> {
        let Some((paths, Configured { config })) = self.cli.command.configured() else {
            return Ok(Config::default());
        };
        let first = paths.first().map_or(Path::new("."), PathBuf::as_path);
        let file = config.clone().or_else(|| config::find(&folder_of_path(first)));
        let Some(file) = file else { return Ok(Config::default()) };
        let config = config::read(&file).map_err(CommandError::Manifests)?;
        let defaults = config.defaults();
        if !defaults.is_empty() {
            let command = with_defaults(without_unset_variables(Cli::command()), &defaults);
            let matches = command.try_get_matches_from(&self.given);
            // The values are checked by the same rules, and the rest was read before.
            let cli = matches.and_then(|matches| Cli::from_arg_matches(&matches));
            self.cli = cli.map_err(|error| CommandError::Usage(error.to_string()))?;
        }
        Ok(config)
    }

    /// An error text about a flag (`--endpoint: …`), with the variable's name if that gave the value.
    pub(super) fn name_variable(&self, text: String) -> String {
        let named = self.variables.iter().find_map(|variable| {
            let rest = text.strip_prefix(&variable.flag)?;
            rest.starts_with(':').then(|| format!("{}{rest}", variable.name.display()))
        });
        named.unwrap_or(text)
    }
}

/// The command without the variables that are not set, or empty.
fn without_unset_variables(command: Command) -> Command {
    let command = command.mut_args(|argument| match argument.get_env() {
        Some(name) if variable(name).is_none() => argument.env(Resettable::Reset),
        Some(_) | None => argument,
    });
    command.mut_subcommands(without_unset_variables)
}

/// The command with the configuration's values as defaults.
fn with_defaults(command: Command, defaults: &[(&'static str, String)]) -> Command {
    let command = command.mut_args(|argument| {
        let default = defaults.iter().find(|(id, _)| argument.get_id() == *id);
        match default {
            Some((_, value)) => argument.default_value(value.clone()),
            None => argument,
        }
    });
    command.mut_subcommands(|command| with_defaults(command, defaults))
}

/// The variables of a command and its subcommands, which may share some.
fn variables(command: &Command) -> Vec<Variable> {
    let own = command.get_arguments().filter_map(|argument| {
        let (name, flag) = (argument.get_env()?.to_owned(), format!("--{}", argument.get_long()?));
        let (value, kind) = (variable(&name)?, argument.get_value_names()?.first()?);
        Some(Variable { name, value, argument: format!("{flag} <{kind}>"), flag })
    });
    own.chain(command.get_subcommands().flat_map(variables)).collect()
}

/// Whether a flag is among the arguments, as `--flag VALUE` or `--flag=VALUE`.
fn is_given(arguments: &[OsString], flag: &str) -> bool {
    arguments.iter().any(|argument| {
        let rest = argument.as_encoded_bytes().strip_prefix(flag.as_bytes());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"="))
    })
}

/// The error with the names of variables in the place of their flags.
fn name_variables(mut error: clap::Error, variables: &[Variable]) -> clap::Error {
    if error.kind() == ErrorKind::InvalidUtf8
        && let Some(variable) = variables.iter().find(|it| it.value.to_str().is_none())
    {
        let name = variable.name.display();
        let message = format!("{name} is not valid UTF-8; set it to a text, or unset it\n");
        return clap::Error::raw(ErrorKind::InvalidUtf8, message);
    }
    let mut is_renamed = false;
    let mut rename = |text: &String| {
        let variable = variables.iter().find(|variable| variable.argument == *text);
        is_renamed |= variable.is_some();
        variable.map_or_else(|| text.clone(), |variable| variable.name.display().to_string())
    };
    for kind in [ContextKind::InvalidArg, ContextKind::PriorArg] {
        let value = if let Some(ContextValue::String(text)) = error.get(kind) {
            ContextValue::String(rename(text))
        } else if let Some(ContextValue::Strings(texts)) = error.get(kind) {
            ContextValue::Strings(texts.iter().map(&mut rename).collect())
        } else {
            continue;
        };
        error.insert(kind, value);
    }
    if is_renamed {
        // The usage line would name flags that were not given.
        error.remove(ContextKind::Usage);
    }
    error
}
