//! Reading the command line, and the variables that stand for flags.

use std::ffi::{OsStr, OsString};

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory as _, FromArgMatches as _};

use crate::cli::Cli;

/// What was given, and where it came from.
pub(super) struct Given {
    pub(super) cli: Cli,
    variables: Vec<Variable>,
}

/// A variable that stands for a flag.
struct Variable {
    name: OsString,
    /// As clap writes it in an error: `--timeout <DURATION>`.
    argument: String,
    /// `--timeout`
    flag: String,
}

impl Given {
    /// Reads the arguments. A variable that is set but empty counts as not set; where what a variable
    /// says is wrong, the error names the variable, not the flag that nobody gave.
    pub(super) fn read(arguments: &[OsString]) -> Result<Self, clap::Error> {
        let command = only_with(Cli::command(), &|name| {
            std::env::var_os(name).is_some_and(|value| !value.is_empty())
        });
        match read(command.clone(), arguments) {
            Ok((cli, matches)) => Ok(Self { cli, variables: variables_used(&command, &matches) }),
            // Help tells of all variables, whether they are set or not.
            Err(error) if !error.use_stderr() => {
                Err(Cli::command().try_get_matches_from(arguments).err().unwrap_or(error))
            }
            Err(error) => Err(of_variable(error, &command, arguments)),
        }
    }

    /// A sentence about a flag (`--endpoint: …`) as one about the variable, where that gave the value.
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

/// The command without the variables that are not to be heard.
fn only_with(command: Command, is_heard: &dyn Fn(&OsStr) -> bool) -> Command {
    let command = command.mut_args(|argument| match argument.get_env() {
        Some(name) if !is_heard(name) => argument.env(Resettable::Reset),
        Some(_) | None => argument,
    });
    command.mut_subcommands(|command| only_with(command, is_heard))
}

/// The variables of a command and of those below it.
fn variables(command: &Command) -> Vec<Variable> {
    let own = command.get_arguments().filter_map(|argument| {
        let (name, flag) = (argument.get_env()?.to_owned(), format!("--{}", argument.get_long()?));
        let value = argument.get_value_names()?.first()?;
        Some(Variable { name, argument: format!("{flag} <{value}>"), flag })
    });
    own.chain(command.get_subcommands().flat_map(variables)).collect()
}

/// The variables whose values are in use.
fn variables_used(command: &Command, matches: &ArgMatches) -> Vec<Variable> {
    let Some((name, matches)) = matches.subcommand() else { return Vec::new() };
    let Some(command) = command.find_subcommand(name) else { return Vec::new() };
    let is_used = |variable: &Variable| {
        let mut arguments = command.get_arguments();
        arguments.find(|it| it.get_env() == Some(&variable.name)).is_some_and(|argument| {
            matches.value_source(argument.get_id().as_str()) == Some(ValueSource::EnvVariable)
        })
    };
    variables(command).into_iter().filter(is_used).collect()
}

/// The error as one of the variable that it comes from, if it would not be there without it.
fn of_variable(mut error: clap::Error, command: &Command, arguments: &[OsString]) -> clap::Error {
    let is_to_blame = |variable: &Variable| {
        let without = only_with(command.clone(), &|name| name != variable.name);
        let other = without.try_get_matches_from(arguments).err();
        other.is_none_or(|other| !is_about_the_same(&other, &error))
    };
    // Several commands have the same variable: one is enough.
    let Some(variable) = variables(command).into_iter().find(is_to_blame) else { return error };
    let name = variable.name.display().to_string();
    if error.kind() == ErrorKind::InvalidUtf8 {
        let message = format!("{name} is not valid UTF-8; set it to a text, or unset it\n");
        return clap::Error::raw(ErrorKind::InvalidUtf8, message);
    }
    let renamed =
        |text: &String| if *text == variable.argument { name.clone() } else { text.clone() };
    // It would name flags, those of other variables too, as if they had been given.
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

/// Whether two errors are of one kind and about the same arguments and values.
fn is_about_the_same(one: &clap::Error, other: &clap::Error) -> bool {
    let about = [ContextKind::InvalidArg, ContextKind::PriorArg, ContextKind::InvalidValue];
    one.kind() == other.kind() && about.iter().all(|kind| one.get(*kind) == other.get(*kind))
}
