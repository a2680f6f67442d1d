//! `golive plan`

use std::sync::Arc;

use super::connection::Memory;
use super::context::{CommandContext, MAX_PAUSE, Threads, Workspace, run_to_end};
use super::{CHANGES, CommandError, OK, PROBLEM, output};
use crate::changes::Policy;
use crate::cli::{Output, Plan};
use crate::config::Config;
use crate::disk::RealDisk;
use crate::engine::{Observer, observe_and_plan};
use crate::marketplace::Settling;
use crate::report::{MarketplaceKind, plan_json, plan_text};
use crate::status;

pub(super) fn run(args: &Plan, config: &Config) -> Result<u8, CommandError> {
    let access = &args.access;
    let workspace = Workspace::new(&args.paths, access, config)?;
    output::log_only(&args.logging, &workspace.clock);
    output::log_emulator_notice(access);
    let (context, policy) = CommandContext::load(workspace, &args.paths, &args.selection)?;
    // People review this, so that each offer is read, not only the lists.
    let policy = Policy { verify: true, ..policy };
    let recorded =
        status::read(&RealDisk, &context.workspace.status_path).map_err(CommandError::failed)?;
    if let Some(file) = &recorded {
        context.refuse_other_marketplace(file)?;
    }
    let recorded = recorded.map(|file| file.offers).unwrap_or_default();
    let threads = Threads::for_offers(context.manifests.offers.len());
    let set = run_to_end(threads, async {
        let marketplace = context.marketplace(access, Memory::ReadOnly, MAX_PAUSE)?;
        let settle = access.settle.map(Settling::all);
        let observer = Observer::new(marketplace, access.concurrency, settle);
        let desired = Arc::new(context.manifests.offers.clone());
        let publishers = context.publishers();
        let moment = observer.decision_time(context.workspace.clock.now(), &publishers);
        let set = observe_and_plan(&observer, &desired, &recorded, &policy, moment).await;
        set.map_err(CommandError::failed)
    })?;
    let notes = context.workspace.routing.notes(&set, &context.manifests.offers);
    output::print(&match args.output {
        Output::Text => plan_text(&set, MarketplaceKind::of_run(access.emulator), &notes),
        Output::Json => {
            plan_json(&set, &context.marketplace_name(), &notes).map_err(CommandError::failed)?
        }
    })?;
    let summary = set.summary();
    Ok(if summary.blocked + summary.failed > 0 {
        PROBLEM
    } else if args.detailed_exitcode && summary.has_changes() {
        CHANGES
    } else {
        OK
    })
}
