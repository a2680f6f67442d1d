//! `golive status`

use super::setting::{default_status_path, folder_of_path};
use super::{CommandError, OK, output};
use crate::cli::{Globals, Output, Status};
use crate::disk::RealDisk;
use crate::report::{status_json, status_text};
use crate::status;

pub(super) fn run(args: &Status, globals: &Globals) -> Result<u8, CommandError> {
    let path = globals.status.clone().unwrap_or_else(|| {
        if args.path.extension().is_some_and(|it| it == "json") {
            args.path.clone()
        } else {
            default_status_path(&folder_of_path(&args.path))
        }
    });
    let file = status::read(&RealDisk, &path).map_err(CommandError::failed)?;
    let Some(file) = file else {
        return Err(CommandError::Failed {
            what: format!(
                "there is no status file {}; golive apply writes it, --status names another one",
                path.display()
            ),
            source: None,
        });
    };
    output::print(&match args.output {
        Output::Text => status_text(&file, output::width()),
        Output::Json => status_json(&file).map_err(CommandError::failed)?,
    })?;
    Ok(OK)
}
