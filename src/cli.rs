//! The command line, as types.

mod values;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::marketplace::{Api, OfferId};

pub use values::{MAX_DURATION, duration};
pub(crate) use values::{concurrency, positive_duration, request_interval};
use values::{listen, selector};

/// A declarative GitOps reconciler for Azure Marketplace offers.
///
/// Commit YAML manifests that say `state: live`. golive compares them with the marketplace, sends
/// golive only for the offers that differ, follows the long-running operation, and writes its
/// progress to a status file.
#[derive(Debug, Parser)]
#[command(name = "golive", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_long_help = EXAMPLES)]
// A URL may hold credentials.
#[command(mut_subcommands = |command| command.mut_args(|arg| arg.hide_env_values(true)))]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Whether to use color; `NO_COLOR` is obeyed
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    #[arg(help_heading = "Output")]
    pub(crate) color: Color,
}

const EXAMPLES: &str = "\
Examples:
  golive validate offers/                     check manifests, no network
  golive plan offers/                         what would be done, and why
  golive apply offers/ --wait=30m             do it, and follow it for half an hour
  golive watch offers/ --listen 9464          do it all the time, with a page to look at
  golive apply examples/quickstart --emulator --wait
                                              try it all without an account

The token is taken from the variable GOLIVE_TOKEN, never from a flag:
  GOLIVE_TOKEN=$(az account get-access-token --resource https://cloudpartner.azure.com \\
    --query accessToken --output tsv)
or from the file that GOLIVE_TOKEN_FILE names, which may be renewed at any time.

Exit codes:
  0   every offer is as desired, on its way, or held on purpose
  1   an offer failed or is blocked, a manifest is invalid, no manifest has the labels of
      --selector, the marketplace can't be reached, or the lock is held
  2   plan --detailed-exitcode: there are changes to make
  3   operations still run: --wait ran out of time, or apply --detailed-exitcode; or the run was
      stopped before it was done
  64  the command line is wrong";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check manifests. No network.
    Validate(Validate),
    /// Show what apply would do, and why. Changes nothing, writes nothing.
    Plan(Plan),
    /// Bring the offers where the manifests want them: one reconcile.
    Apply(Apply),
    /// Bring the offers where the manifests want them, all the time: a service.
    Watch(Watch),
    /// Show what golive last knew.
    Status(StatusArgs),
    /// Print a JSON Schema.
    Schema(SchemaArgs),
    /// Run the embedded marketplace as a server.
    Emulator(EmulatorArgs),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Configured {
    /// golive's configuration [default: golive.yaml in the first PATH's folder, or in the nearest
    /// one above it up to the repository's root]
    #[arg(long, value_name = "FILE", env = "GOLIVE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Access {
    #[command(flatten)]
    pub(crate) configured: Configured,
    /// The status file [default: golive.status.json in the first PATH's folder, with --emulator
    /// golive.emulator.status.json]
    #[arg(long, value_name = "FILE", env = "GOLIVE_STATUS")]
    pub(crate) status: Option<PathBuf>,
    /// The API of publishers that the configuration says nothing about [default:
    /// cloud-partner-portal]
    #[arg(long, value_name = "API", env = "GOLIVE_API", help_heading = "Marketplace")]
    #[arg(value_parser = PossibleValuesParser::new(Api::ALL.map(Api::as_str))
        .try_map(|text| text.parse::<Api>()))]
    pub(crate) api: Option<Api>,
    /// The marketplace's URL, for publishers whose endpoint the configuration doesn't name: https,
    /// or http for loopback [default: that of the API]
    #[arg(long, value_name = "URL", env = "GOLIVE_ENDPOINT", help_heading = "Marketplace")]
    pub(crate) endpoint: Option<String>,
    /// Use the embedded marketplace, whatever the endpoint; its memory is a file beside the status
    /// file
    #[arg(long, help_heading = "Marketplace")]
    pub(crate) emulator: bool,
    /// What the embedded marketplace begins with (YAML; see golive schema seed)
    #[arg(long, value_name = "FILE", help_heading = "Marketplace")]
    pub(crate) seed: Option<PathBuf>,
    /// How many requests may be under way at once
    #[arg(long, value_name = "N", env = "GOLIVE_CONCURRENCY")]
    #[arg(default_value = "8", help_heading = "Marketplace", value_parser = concurrency)]
    pub(crate) concurrency: usize,
    /// How long one request may take
    #[arg(long, value_name = "DURATION", env = "GOLIVE_TIMEOUT")]
    #[arg(default_value = "60s", help_heading = "Timing", value_parser = positive_duration)]
    pub(crate) timeout: Duration,
    /// How long after a request without an answer the offer must be unchanged before the request
    /// may be sent again [default: 30s where the marketplace gives an entity tag, 10m with the
    /// Product Ingestion API, 15m elsewhere]
    #[arg(long, value_name = "DURATION", env = "GOLIVE_SETTLE")]
    #[arg(help_heading = "Timing", value_parser = duration)]
    pub(crate) settle: Option<Duration>,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Timing")]
pub(crate) struct Timing {
    /// The first interval between two polls of an operation [default: 30s; 250ms with --emulator]
    #[arg(long, value_name = "DURATION", env = "GOLIVE_POLL", value_parser = positive_duration)]
    pub(crate) poll: Option<Duration>,
    /// The longest interval; they grow [default: 5m; 2s with --emulator]
    #[arg(long, value_name = "DURATION", env = "GOLIVE_POLL_MAX", value_parser = positive_duration)]
    pub(crate) poll_max: Option<Duration>,
    /// How long to wait for another golive that holds the lock
    #[arg(long, value_name = "DURATION", env = "GOLIVE_LOCK_TIMEOUT")]
    #[arg(default_value = "10s", value_parser = duration)]
    pub(crate) lock_timeout: Duration,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Logging {
    /// How the log on standard error looks
    #[arg(long, value_name = "FORMAT", env = "GOLIVE_LOG_FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
    /// Say more: requests (-v), the protocol (-vv), everything (-vvv)
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Say only what went wrong
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Validate {
    /// Files and folders of manifests
    #[arg(value_name = "PATH", default_value = ".")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) configured: Configured,
}

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Selection {
    /// Only this offer (publisher/offer); may be given more than once
    #[arg(long, value_name = "OFFER")]
    pub(crate) only: Vec<OfferId>,
    /// Only offers with this label; may be given more than once, all must match
    #[arg(long, value_name = "KEY=VALUE", value_parser = selector)]
    pub(crate) selector: Vec<(String, String)>,
    /// Try this failed, canceled or refused offer again
    #[arg(long, value_name = "OFFER")]
    pub(crate) retry: Vec<OfferId>,
    /// Try all failed, canceled or refused offers again
    #[arg(long)]
    pub(crate) retry_failed: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// Files and folders of manifests
    #[arg(value_name = "PATH", default_value = ".")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Exit with 2 if there are changes to make
    #[arg(long)]
    pub(crate) detailed_exitcode: bool,
    /// How the change set is printed; json is one document also where there is none, with the error
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) access: Access,
    #[command(flatten)]
    pub(crate) logging: Logging,
}

#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// Files and folders of manifests
    #[arg(value_name = "PATH", default_value = ".")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Follow the operations to their end, for at most DURATION (e.g. --wait=30m)
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true)]
    #[arg(value_parser = duration)]
    #[expect(clippy::option_option, reason = "an optional flag with an optional value")]
    pub(crate) wait: Option<Option<Duration>>,
    /// Refuse unless the change set has this digest: the one that golive plan showed
    #[arg(long, value_name = "DIGEST")]
    pub(crate) expect: Option<String>,
    /// Refuse to send more than N requests that change something
    #[arg(long, value_name = "N")]
    pub(crate) max_changes: Option<usize>,
    /// Exit with 3 if operations still run
    #[arg(long)]
    pub(crate) detailed_exitcode: bool,
    /// How the result is printed; json is one document also where there is none, with the error
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) access: Access,
    #[command(flatten)]
    pub(crate) timing: Timing,
    #[command(flatten)]
    pub(crate) logging: Logging,
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Files and folders of manifests
    #[arg(value_name = "PATH", default_value = ".", conflicts_with = "git")]
    pub(crate) paths: Vec<PathBuf>,
    /// How often every publisher is listed, though nothing seems to have changed; ten percent more
    /// or less
    #[arg(long, value_name = "DURATION", env = "GOLIVE_RESYNC")]
    #[arg(default_value = "5m", help_heading = "Timing", value_parser = request_interval)]
    pub(crate) resync: Duration,
    /// How long files must be left alone before they are read
    #[arg(long, value_name = "DURATION", env = "GOLIVE_DEBOUNCE")]
    #[arg(default_value = "100ms", help_heading = "Timing", value_parser = positive_duration)]
    pub(crate) debounce: Duration,
    /// Serve a page, /metrics, /healthz and /readyz there: ADDRESS:PORT, or a port of this machine
    /// alone
    #[arg(long, value_name = "ADDR", env = "GOLIVE_LISTEN")]
    #[arg(help_heading = "Page", value_parser = listen)]
    pub(crate) listen: Option<SocketAddr>,
    /// A name under which the page may be asked for, beside addresses; may be given more than once
    #[arg(long, value_name = "NAME", help_heading = "Page", requires = "listen")]
    pub(crate) allow_host: Vec<String>,
    /// Follow a branch of this repository, instead of files of this machine
    #[arg(long, value_name = "URL", env = "GOLIVE_GIT", help_heading = "Repository")]
    pub(crate) git: Option<String>,
    /// The branch [default: the one that the repository names as its own]
    #[arg(long, value_name = "NAME", help_heading = "Repository")]
    pub(crate) branch: Option<String>,
    /// How often the repository is asked for new commits [default: 60s]
    #[arg(long, value_name = "DURATION", help_heading = "Repository", value_parser = request_interval)]
    pub(crate) git_poll: Option<Duration>,
    /// The folder of the repository where the manifests are
    #[arg(long, value_name = "DIR", help_heading = "Repository")]
    pub(crate) dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) access: Access,
    #[command(flatten)]
    pub(crate) timing: Timing,
    #[command(flatten)]
    pub(crate) logging: Logging,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The folder (or a file in it) where golive.status.json is
    #[arg(value_name = "PATH", default_value = ".")]
    pub(crate) path: PathBuf,
    /// The status file [default: golive.status.json in PATH, with --emulator
    /// golive.emulator.status.json]
    #[arg(long, value_name = "FILE", env = "GOLIVE_STATUS")]
    pub(crate) status: Option<PathBuf>,
    /// Show what became of the last runs with --emulator
    #[arg(long)]
    pub(crate) emulator: bool,
    /// How it is printed; json is one document also where there is no status, with the error
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// Which schema
    pub(crate) which: SchemaKind,
}

#[derive(Debug, Args)]
pub(crate) struct EmulatorArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// The only token that is accepted; otherwise any is
    #[arg(long, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
    /// How long each step of an operation takes
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) step_time: Option<Duration>,
    /// What it begins with (YAML; see golive schema seed)
    #[arg(long, value_name = "FILE")]
    pub(crate) seed: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) logging: Logging,
}

impl Command {
    /// The paths and the configuration of a command that reads one.
    pub(crate) fn configured(&self) -> Option<(&[PathBuf], &Configured)> {
        match self {
            Self::Validate(args) => Some((&args.paths, &args.configured)),
            Self::Plan(args) => Some((&args.paths, &args.access.configured)),
            Self::Apply(args) => Some((&args.paths, &args.access.configured)),
            Self::Watch(args) if args.git.is_some() => Some((&[], &args.access.configured)),
            Self::Watch(args) => Some((&args.paths, &args.access.configured)),
            Self::Status(_) | Self::Schema(_) | Self::Emulator(_) => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaKind {
    /// Of a manifest.
    Manifest,
    /// Of the status file.
    Status,
    /// Of what the emulator begins with.
    Seed,
    /// Of golive's configuration.
    Config,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// One JSON document and nothing else.
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// A JSON object a line.
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
