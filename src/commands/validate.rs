//! `golive validate`

use super::routing::{Given, Routing};
use super::{CommandError, OK, output};
use crate::cli::Validate;
use crate::config::Config;
use crate::manifest;

pub(super) fn run(args: &Validate, config: &Config) -> Result<u8, CommandError> {
    let accounts = Routing::new(Given::default(), config)?.accounts();
    let set = manifest::load_checked(&args.paths, &accounts).map_err(CommandError::Manifests)?;
    let (offers, files) = (set.offers.len(), set.files.len());
    let plural = |count| if count == 1 { "" } else { "s" };
    output::print(&format!(
        "{offers} offer{} in {files} file{}: all valid\n",
        plural(offers),
        plural(files)
    ))?;
    Ok(OK)
}
