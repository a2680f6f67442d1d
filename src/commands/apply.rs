//! `golive apply`

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::connection::Memory;
use super::context::{CommandContext, MAX_PAUSE, Threads, Workspace, refuse_times, run_to_end};
use super::signal::Signals;
use super::{CommandError, OK, PROBLEM, RUNNING, output};
use crate::cli::{Apply, Output};
use crate::engine::{self, Dependencies, Guard, Job, Reconciler, Settings, Wait};
use crate::manifest;
use crate::marketplace::OfferId;
use crate::report::{
    Ending, MarketplaceKind, Outcome, Reporter, Unfinished, apply_json, apply_text,
    marketplace_name,
};
use crate::status::{StatusStore, publishers};

pub(super) fn run(args: &Apply, signals: &Signals) -> Result<u8, CommandError> {
    refuse_times(&args.paths)?;
    let ground = Workspace::new(&args.paths, &args.access)?;
    let guard = Guard { expect: args.expect.clone(), max_changes: args.max_changes };
    let wait = args.wait.map_or(Wait::No, Wait::Until);
    let reporter = output::reporter(&args.logging, &args.access, &ground.clock);
    // The lock first, then what is to be done: whoever held it may have waited for a commit.
    let lock = run_to_end(Threads::One, ground.lock(args.pace.lock_timeout, "golive apply"));
    let lock = lock.map_err(|error| missing(&args.paths).unwrap_or(error))?;
    let (setting, policy) = CommandContext::load(ground, &args.paths, &args.selection)?;
    let store = setting.ground.store(lock)?;
    let marketplace = Workspace::marketplace(&args.access)?;
    store.with(|file| setting.refuse_elsewhere(file, &marketplace))?;
    let named = publishers(setting.manifests.offers.keys());
    store.claim(named, &marketplace).map_err(CommandError::failed)?;
    // These manifests come from files, of no commit that golive knows.
    store.set_source(None);
    let store = Arc::new(store);
    let gone = store.with(|file| setting.gone(file));
    let threads = Threads::for_offers(setting.manifests.offers.len());
    let (outcome, result) = run_to_end(threads, async {
        let reconciler = Arc::new(reconciler(&setting, args, &store, &reporter, signals)?);
        let desired = Arc::new(setting.manifests.offers.clone());
        let job = Job { desired, gone, policy, guard, wait };
        Ok::<_, CommandError>(engine::run(&reconciler, &job, fastrand::Rng::new()).await)
    })?;
    // Whatever is drawn on the terminal goes before the result is printed.
    drop(reporter);
    let error = result.err().map(CommandError::failed);
    let code = if error.is_some() { PROBLEM } else { exit_code(&outcome, args) };
    let error = match error {
        // Without a result there is the error alone.
        Some(error) if outcome.triggered == 0 => return Err(error),
        Some(_) | None => error,
    };
    output::print(&match args.output {
        Output::Text => {
            let ending = ending(&outcome, &setting, args, code);
            let scene = MarketplaceKind::of_run(args.access.emulator);
            apply_text(&outcome, &ending, scene, output::width())
        }
        Output::Json => {
            let told = error.as_ref().map(CommandError::to_json);
            apply_json(&outcome, code, &marketplace_name(&marketplace), told)
                .map_err(CommandError::failed)?
        }
    })?;
    if let Some(error) = error {
        error.print(args.logging.log_format);
    }
    Ok(code)
}

fn ending(outcome: &Outcome, setting: &CommandContext, args: &Apply, code: u8) -> Ending {
    let is_undeclared = |offer: &&OfferId| !setting.manifests.offers.contains_key(*offer);
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

/// What is wrong with the paths, where one of them is not there: that says more than that there is
/// no folder for the status file.
fn missing(paths: &[PathBuf]) -> Option<CommandError> {
    let is_missing = paths.iter().any(|path| !path.exists());
    is_missing.then(|| manifest::load(paths).err()).flatten().map(CommandError::Manifests)
}

fn reconciler(
    setting: &CommandContext,
    args: &Apply,
    store: &Arc<StatusStore>,
    reporter: &Arc<dyn Reporter>,
    signals: &Signals,
) -> Result<Reconciler, CommandError> {
    let access = &args.access;
    // Who waits for operations that take days waits for a throttled marketplace too.
    let max_wait = match args.wait {
        None => MAX_PAUSE,
        Some(duration) => duration.unwrap_or(Duration::MAX),
    };
    let surroundings = Dependencies {
        marketplace: setting.marketplace(access, Memory::Kept, max_wait)?,
        store: Arc::clone(store),
        clock: Arc::clone(&setting.ground.clock),
        reporter: Arc::clone(reporter),
        stop: signals.stop_in_order(),
    };
    let intervals = CommandContext::intervals(access, &args.pace);
    let (concurrency, settle, pause) = (access.concurrency, access.settle, MAX_PAUSE);
    let settings = Settings { concurrency, intervals, pause, settle };
    Ok(Reconciler::new(surroundings, settings))
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
