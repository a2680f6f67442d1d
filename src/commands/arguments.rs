//! Reads the command line, and the environment variables that stand for flags.

use std::ffi::{OsStr, OsString};

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory as _, FromArgMatches as _};

use crate::cli::Cli;

/// The command line as it was given.
pub(super) struct Arguments {
    pub(super) cli: Cli,
    /// The variables that gave a value.
    variables: Vec<Variable>,
}

/// A variable that stands for a flag.
struct Variable {
    id: clap::Id,
    name: OsString,
    /// As clap writes it in an error: `--timeout <DURATION>`.
    argument: String,
    /// `--timeout`
    flag: String,
}

impl Arguments {
    /// Reads the arguments. An empty variable counts as not set. If a variable's value is wrong, the
    /// error names the variable, not the flag that nobody gave.
    pub(super) fn read(arguments: &[OsString]) -> Result<Self, clap::Error> {
        let command = only_with(Cli::command(), &|name| {
            std::env::var_os(name).is_some_and(|value| !value.is_empty())
        });
        match read(command.clone(), arguments) {
            Ok((cli, matches)) => Ok(Self { cli, variables: variables_used(&command, &matches) }),
            // Help names all variables, whether they are set or not.
            Err(error) if !error.use_stderr() => {
                Err(Cli::command().try_get_matches_from(arguments).err().unwrap_or(error))
            }
            Err(error) => Err(blame_variable(error, &command, arguments)),
        }
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

fn read(mut command: Command, arguments: &[OsString]) -> Result<(Cli, ArgMatches), clap::Error> {
    let matches = command.try_get_matches_from_mut(arguments)?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    Ok((cli, matches))
}

/// The command without the variables that `is_used` refuses.
fn only_with(command: Command, is_used: &dyn Fn(&OsStr) -> bool) -> Command {
    let command = command.mut_args(|argument| match argument.get_env() {
        Some(name) if !is_used(name) => argument.env(Resettable::Reset),
        Some(_) | None => argument,
    });
    command.mut_subcommands(|command| only_with(command, is_used))
}

/// The variables of a command and of those below it.
fn variables(command: &Command) -> Vec<Variable> {
    let own = command.get_arguments().filter_map(|argument| {
        let (id, name) = (argument.get_id().clone(), argument.get_env()?.to_owned());
        let flag = format!("--{}", argument.get_long()?);
        let value = argument.get_value_names()?.first()?;
        Some(Variable { id, name, argument: format!("{flag} <{value}>"), flag })
    });
    own.chain(command.get_subcommands().flat_map(variables)).collect()
}

/// The variables that gave a value.
fn variables_used(command: &Command, matches: &ArgMatches) -> Vec<Variable> {
    let Some((name, matches)) = matches.subcommand() else { return Vec::new() };
    let Some(command) = command.find_subcommand(name) else { return Vec::new() };
    let source = |variable: &Variable| matches.value_source(variable.id.as_str());
    let variables = variables(command).into_iter();
    variables.filter(|variable| source(variable) == Some(ValueSource::EnvVariable)).collect()
}

/// The error with the name of the variable that it comes from, if it wouldn't occur without one.
fn blame_variable(
    mut error: clap::Error,
    command: &Command,
    arguments: &[OsString],
) -> clap::Error {
    let is_cause = |variable: &Variable| {
        let without = only_with(command.clone(), &|name| name != variable.name);
        let other = without.try_get_matches_from(arguments).err();
        other.is_none_or(|other| !is_about_the_same(&other, &error))
    };
    // Several commands have the same variable: one is enough.
    let Some(variable) = variables(command).into_iter().find(is_cause) else { return error };
    let name = variable.name.display().to_string();
    if error.kind() == ErrorKind::InvalidUtf8 {
        let message = format!("{name} is not valid UTF-8; set it to a text, or unset it\n");
        return clap::Error::raw(ErrorKind::InvalidUtf8, message);
    }
    let renamed =
        |text: &String| if *text == variable.argument { name.clone() } else { text.clone() };
    // The usage line would name flags that were not given.
    error.remove(ContextKind::Usage);
    for kind in [ContextKind::InvalidArg, ContextKind::PriorArg] {
        let value = if let Some(ContextValue::String(text)) = error.get(kind) {
            ContextValue::String(renamed(text))
        } else if let Some(ContextValue::Strings(texts)) = error.get(kind) {
            ContextValue::Strings(texts.iter().map(renamed).collect())
        } else {
            continue;
        };
        error.insert(kind, value);
    }
    error
}

/// Whether two errors are of the same kind, about the same arguments and values.
fn is_about_the_same(one: &clap::Error, other: &clap::Error) -> bool {
    let about = [ContextKind::InvalidArg, ContextKind::PriorArg, ContextKind::InvalidValue];
    one.kind() == other.kind() && about.iter().all(|kind| one.get(*kind) == other.get(*kind))
}
