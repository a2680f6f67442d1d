//! `golive status`

use std::collections::BTreeSet;
use std::path::{Component, Path};

use super::context::{default_status_path, folder_of_path};
use super::{CommandError, OK, output};
use crate::cli::{Output, StatusArgs};
use crate::disk::{self, RealDisk};
use crate::manifest::load_file;
use crate::marketplace::OfferId;
use crate::report::{MarketplaceKind, status_json, status_text};
use crate::status::{self, OfferRecord, Phase, StatusFile};

pub(super) fn run(args: &StatusArgs) -> Result<u8, CommandError> {
    let path = match &args.status {
        Some(path) => path.clone(),
        None if args.path.extension().is_some_and(|it| it == "json") => args.path.clone(),
        None => default_status_path(&folder_of_path(&args.path), args.emulator),
    };
    let file = status::read(&RealDisk, &path).map_err(CommandError::failed)?;
    let Some(file) = file else {
        let mut what = format!(
            "there is no status file {}; golive apply writes it, --status names another one",
            path.display()
        );
        let emulated = default_status_path(disk::folder_of(&path), true);
        if args.status.is_none() && emulated != path && emulated.exists() {
            what.push_str(", --emulator shows that of the embedded marketplace");
        }
        return Err(CommandError::Failed { what, source: None });
    };
    // An older golive's file doesn't say which marketplace it is about.
    let marketplace = if file.marketplace.is_empty() {
        MarketplaceKind::of_run(args.emulator)
    } else {
        MarketplaceKind::of(&file)
    };
    output::print(&match args.output {
        Output::Text => status_text(&file, &undeclared(&file, &path), marketplace, output::width()),
        Output::Json => status_json(&file).map_err(CommandError::failed)?,
    })?;
    Ok(OK)
}

/// The failed offers whose manifest is gone, judged by the file that declared it. A commit's files
/// and pipes can't be judged.
fn undeclared(status: &StatusFile, path: &Path) -> BTreeSet<OfferId> {
    let is_gone = |offer: &OfferId, record: &OfferRecord| {
        let name = Path::new(&record.manifest.file);
        let is_piped = name == "-"
            || name
                .components()
                .find(|it| matches!(it, Component::Normal(_)))
                .is_some_and(|top| ["dev", "proc"].iter().any(|device| top.as_os_str() == *device));
        let file = disk::folder_of(path).join(name);
        if is_piped {
            false
        } else if file.is_file() {
            let read = load_file(&file);
            read.problems().is_empty() && !read.loaded().any(|loaded| loaded.id == *offer)
        } else {
            !file.exists()
        }
    };
    if status.source.is_some() {
        return BTreeSet::new();
    }
    let failed = status.offers.iter().filter(|(_, record)| record.phase == Phase::Failed);
    failed.filter(|(offer, it)| is_gone(offer, it)).map(|(offer, _)| offer.clone()).collect()
}
