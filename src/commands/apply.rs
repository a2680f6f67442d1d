//! `golive apply`

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::connection::Memory;
use super::context::{CommandContext, MAX_PAUSE, Threads, Workspace, refuse_durations, run_to_end};
use super::signal::Signals;
use super::{CommandError, OK, PROBLEM, RUNNING, output};
use crate::cli::{Apply, Output};
use crate::config::Config;
use crate::engine::{self, Dependencies, Guard, Job, Reconciler, Settings, Wait};
use crate::manifest;
use crate::marketplace::OfferId;
use crate::report::{
    Ending, MarketplaceKind, Outcome, Reporter, Unfinished, apply_json, apply_text,
};
use crate::status::StatusStore;

pub(super) fn run(args: &Apply, config: &Config, signals: &Signals) -> Result<u8, CommandError> {
    refuse_durations(&args.paths)?;
    let workspace = Workspace::new(&args.paths, &args.access, config)?;
    let guard = Guard { expect: args.expect.clone(), max_changes: args.max_changes };
    let wait = args.wait.map_or(Wait::No, Wait::Until);
    let reporter = output::reporter(&args.logging, &args.access, &workspace.clock);
    // The lock before the manifests: files may change while another process holds it.
    let lock = run_to_end(Threads::One, workspace.lock(args.timing.lock_timeout, "golive apply"));
    let lock = lock.map_err(|error| missing_path(&args.paths).unwrap_or(error))?;
    let (context, policy) = CommandContext::load(workspace, &args.paths, &args.selection)?;
    let store = context.workspace.store(lock)?;
    store.with(|file| context.refuse_other_marketplace(file))?;
    let declared = context.workspace.routing.marketplaces(&context.publishers());
    store.claim(&declared).map_err(CommandError::failed)?;
    // These files are of no commit that golive knows.
    store.set_source(None);
    let store = Arc::new(store);
    let gone = store.with(|file| context.gone(file));
    let threads = Threads::for_offers(context.manifests.offers.len());
    let (outcome, result) = run_to_end(threads, async {
        let reconciler = Arc::new(reconciler(&context, args, &store, &reporter, signals)?);
        let desired = Arc::new(context.manifests.offers.clone());
        let job = Job { desired, gone, policy, guard, wait };
        Ok::<_, CommandError>(engine::run(&reconciler, &job, fastrand::Rng::new()).await)
    })?;
    // Clears the progress on the terminal before the result is printed.
    drop(reporter);
    let error = result.err().map(CommandError::failed);
    let code = if error.is_some() { PROBLEM } else { exit_code(&outcome, args) };
    let error = match error {
        // If nothing was sent, the error is all there is to say.
        Some(error) if outcome.triggered == 0 => return Err(error),
        Some(_) | None => error,
    };
    output::print(&match args.output {
        Output::Text => {
            let ending = ending(&outcome, &context, args, code);
            let kind = MarketplaceKind::of_run(args.access.emulator);
            apply_text(&outcome, &ending, kind, output::width())
        }
        Output::Json => {
            let error = error.as_ref().map(CommandError::to_json);
            apply_json(&outcome, code, &context.marketplace_name(), error)
                .map_err(CommandError::failed)?
        }
    })?;
    if let Some(error) = error {
        error.print(args.logging.log_format);
    }
    Ok(code)
}

fn ending(outcome: &Outcome, context: &CommandContext, args: &Apply, code: u8) -> Ending {
    let is_undeclared = |offer: &&OfferId| !context.manifests.offers.contains_key(*offer);
    let undeclared = outcome.records.keys().filter(is_undeclared).cloned().collect();
    let unfinished = if code != RUNNING || outcome.running() == 0 {
        None
    } else if args.wait.is_some() {
        Some(Unfinished::WaitIsOver)
    } else {
        Some(Unfinished::NotWaited)
    };
    Ending { undeclared, unfinished }
}

/// The error about a path that doesn't exist, which says more than the one about the status file's
/// folder.
fn missing_path(paths: &[PathBuf]) -> Option<CommandError> {
    let is_missing = paths.iter().any(|path| !path.exists());
    is_missing.then(|| manifest::load(paths).err()).flatten().map(CommandError::Manifests)
}

fn reconciler(
    context: &CommandContext,
    args: &Apply,
    store: &Arc<StatusStore>,
    reporter: &Arc<dyn Reporter>,
    signals: &Signals,
) -> Result<Reconciler, CommandError> {
    let access = &args.access;
    // A run that waits for operations of days also waits for a throttled marketplace.
    let max_wait = match args.wait {
        None => MAX_PAUSE,
        Some(duration) => duration.unwrap_or(Duration::MAX),
    };
    let dependencies = Dependencies {
        marketplace: context.marketplace(access, Memory::Kept, max_wait)?,
        store: Arc::clone(store),
        clock: Arc::clone(&context.workspace.clock),
        reporter: Arc::clone(reporter),
        stop: signals.stop_in_order(),
    };
    let intervals = CommandContext::intervals(access, &args.timing);
    let (concurrency, settle, pause) = (access.concurrency, access.settle, MAX_PAUSE);
    let settings = Settings { concurrency, intervals, pause, settle };
    Ok(Reconciler::new(dependencies, settings))
}

fn exit_code(outcome: &Outcome, args: &Apply) -> u8 {
    if outcome.problems() > 0 {
        PROBLEM
    } else if outcome.interrupted
        || outcome.running() > 0 && (args.wait.is_some() || args.detailed_exitcode)
    {
        RUNNING
    } else {
        OK
    }
}
