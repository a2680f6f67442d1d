//! `golive validate`

use super::{CommandError, OK, output};
use crate::cli::Validate;
use crate::manifest;

pub(super) fn run(args: &Validate) -> Result<u8, CommandError> {
    let set = manifest::load(&args.paths).map_err(CommandError::Manifests)?;
    let (offers, files) = (set.offers.len(), set.files.len());
    let plural = |count| if count == 1 { "" } else { "s" };
    output::print(&format!(
        "{offers} offer{} in {files} file{}: all valid\n",
        plural(offers),
        plural(files)
    ))?;
    Ok(OK)
}
