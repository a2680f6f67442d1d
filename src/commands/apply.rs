//! `golive apply`

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::setting::{MAX_PAUSE, Memory, Setting, Threads, run_to_end};
use super::{CommandError, OK, PROBLEM, RUNNING, output, signal};
use crate::cli::{Apply, Globals, Output};
use crate::disk::RealDisk;
use crate::reconcile::{Guard, Job, Reconciler, Settings, Surroundings, Wait};
use crate::report::{Outcome, Reporter, apply_json, apply_text};
use crate::status::{self, StatusLock, StatusStore};

pub(super) fn run(args: &Apply, globals: &Globals) -> Result<u8, CommandError> {
    let mut setting = Setting::new(&args.paths, globals)?;
    let policy = setting.policy(&args.selection)?;
    let guard = Guard { expect: args.expect.clone(), max_changes: args.max_changes };
    let wait = args.wait.map_or(Wait::No, Wait::Until);
    // Who waits for operations that take days waits for a throttled marketplace too.
    let max_wait = match wait {
        Wait::No => MAX_PAUSE,
        Wait::Until(duration) => duration.unwrap_or(Duration::MAX),
    };
    let reporter = output::reporter(globals, &setting.ground.clock);
    let threads = Threads::for_offers(setting.manifests.offers.len());
    let (outcome, result) = run_to_end(threads, async {
        let lock = StatusLock::acquire(
            &RealDisk,
            &setting.ground.status_path,
            globals.lock_timeout,
            "golive apply",
            &*setting.ground.clock,
        )
        .await
        .map_err(CommandError::failed)?;
        if lock.waited {
            // What was committed meanwhile counts: an offer may have been suspended.
            setting = Setting::new(&args.paths, globals)?;
        }
        status::refuse_unfit(&setting.ground.status_path).map_err(CommandError::failed)?;
        let store = StatusStore::open(
            setting.ground.status_path.clone(),
            Arc::new(RealDisk),
            Arc::clone(&setting.ground.clock),
        );
        let store = Arc::new(store.map_err(CommandError::failed)?.holding(lock));
        // These manifests come from files, of no commit that golive knows.
        store.set_source(None);
        let gone = setting.gone(&store);
        let stop = signal::stop_on_signal()?;
        let reconciler = reconciler(&setting, globals, &store, &reporter, stop, max_wait)?;
        let desired = Arc::new(setting.manifests.offers.clone());
        let job = Job { desired, gone, policy, guard, wait };
        Ok::<_, CommandError>(reconciler.run(&job).await)
    })?;
    // Whatever is drawn on the terminal goes before the result is printed.
    drop(reporter);
    let code = if result.is_err() { PROBLEM } else { exit_code(&outcome, args) };
    if result.is_ok() || outcome.triggered > 0 {
        output::print(&match args.output {
            Output::Text => apply_text(&outcome, output::width()),
            Output::Json => apply_json(&outcome, code).map_err(CommandError::failed)?,
        })?;
    }
    result.map_err(CommandError::failed)?;
    Ok(code)
}

fn reconciler(
    setting: &Setting,
    globals: &Globals,
    store: &Arc<StatusStore>,
    reporter: &Arc<dyn Reporter>,
    stop: CancellationToken,
    max_wait: Duration,
) -> Result<Reconciler, CommandError> {
    let surroundings = Surroundings {
        marketplace: setting.marketplace(globals, Memory::Kept, max_wait)?,
        store: Arc::clone(store),
        clock: Arc::clone(&setting.ground.clock),
        random: fastrand::Rng::new(),
        reporter: Arc::clone(reporter),
        stop,
    };
    let intervals = Setting::intervals(globals);
    let (concurrency, settle, pause) = (globals.concurrency, globals.settle, MAX_PAUSE);
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
