//! `golive plan`

use std::sync::Arc;

use super::connection::Memory;
use super::context::{CommandContext, MAX_PAUSE, Threads, Workspace, run_to_end};
use super::{CHANGES, CommandError, OK, PROBLEM, output};
use crate::changes::{Decision, Policy};
use crate::cli::{Output, Plan};
use crate::disk::RealDisk;
use crate::engine::{Observer, observe_and_plan};
use crate::marketplace::Settling;
use crate::report::{MarketplaceKind, marketplace_name, plan_json, plan_text};
use crate::status;

pub(super) fn run(args: &Plan) -> Result<u8, CommandError> {
    let access = &args.access;
    let ground = Workspace::new(&args.paths, access)?;
    output::log_only(&args.logging, &ground.clock);
    output::tell_rehearsal(access);
    let (setting, policy) = CommandContext::load(ground, &args.paths, &args.selection)?;
    // What people review is what the offers themselves say, and not only a list.
    let policy = Policy { verify: true, ..policy };
    let recorded =
        status::read(&RealDisk, &setting.ground.status_path).map_err(CommandError::failed)?;
    if let Some(file) = &recorded {
        setting.refuse_elsewhere(file, &Workspace::marketplace(access)?)?;
    }
    let recorded = recorded.map(|file| file.offers).unwrap_or_default();
    let threads = Threads::for_offers(setting.manifests.offers.len());
    let set = run_to_end(threads, async {
        let marketplace = setting.marketplace(access, Memory::ReadOnly, MAX_PAUSE)?;
        let settle = access.settle.map(Settling::all);
        let observer = Observer::new(marketplace, access.concurrency, settle);
        let desired = Arc::new(setting.manifests.offers.clone());
        let moment = observer.moment(setting.ground.clock.now());
        let set = observe_and_plan(&observer, &desired, &recorded, &policy, moment).await;
        set.map_err(CommandError::failed)
    })?;
    output::print(&match args.output {
        Output::Text => plan_text(&set, MarketplaceKind::of_run(access.emulator)),
        Output::Json => {
            let marketplace = marketplace_name(&Workspace::marketplace(access)?);
            plan_json(&set, &marketplace).map_err(CommandError::failed)?
        }
    })?;
    let problem = set.changes.iter().any(|change| match change.decision {
        Decision::Blocked(_) | Decision::Failed(_) => true,
        Decision::GoLive { .. }
        | Decision::Publish { .. }
        | Decision::Track(_)
        | Decision::InSync(_)
        | Decision::Held(_) => false,
    });
    Ok(match (problem, args.detailed_exitcode && set.summary().has_changes()) {
        (true, _) => PROBLEM,
        (false, true) => CHANGES,
        (false, false) => OK,
    })
}
