//! `golive schema`

use super::{CommandError, OK, output};
use crate::cli::{SchemaArgs, SchemaKind};
use crate::config;
use crate::emulator;
use crate::manifest;
use crate::status;

pub(super) fn run(args: &SchemaArgs) -> Result<u8, CommandError> {
    output::print(&text(args.which)?)?;
    Ok(OK)
}

/// The very bytes of the file in `schemas/`.
fn text(which: SchemaKind) -> Result<String, CommandError> {
    let schema = match which {
        SchemaKind::Manifest => manifest::manifest_schema(),
        SchemaKind::Status => status::status_schema(),
        SchemaKind::Seed => emulator::schema(),
        SchemaKind::Config => config::config_schema(),
    };
    let text = serde_json::to_string_pretty(&schema).map_err(CommandError::failed)?;
    Ok(format!("{text}\n"))
}
