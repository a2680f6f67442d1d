//! Where a run takes place, told wherever people could take a rehearsal for the real thing.

use super::style::{BOLD, paint};
use crate::status::{MarketplaceRecord, StatusFile};

/// What a rehearsal says of itself, in tables and logs.
pub const REHEARSAL: &str = "EMULATOR: nothing here touches the real marketplace";

/// A marketplace as programs are told of it: `EMULATOR`, or the host, with its port where that is not
/// the usual one.
#[must_use]
pub fn marketplace_name(marketplace: &MarketplaceRecord) -> String {
    if marketplace.is_emulator() {
        return "EMULATOR".to_owned();
    }
    let origin = &marketplace.origin;
    origin.split_once("://").map_or(origin.as_str(), |(_, host)| host).to_owned()
}

/// Where a run takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarketplaceKind {
    /// The real marketplace.
    Real,
    /// The embedded one.
    Emulator,
    /// Some of a status file's publishers are at the embedded one, others are not.
    Mixed,
}

impl MarketplaceKind {
    /// The scene of a run against the embedded marketplace, or not.
    #[must_use]
    pub fn of_run(emulated: bool) -> Self {
        if emulated { Self::Emulator } else { Self::Real }
    }

    /// What a status file is about, as far as it says so.
    #[must_use]
    pub fn of(file: &StatusFile) -> Self {
        let mut emulated = file.marketplace.values().map(MarketplaceRecord::is_emulator);
        let Some(first) = emulated.next() else { return Self::Real };
        if emulated.any(|it| it != first) { Self::Mixed } else { Self::of_run(first) }
    }

    /// The line on top of a table; none for the real marketplace.
    pub(super) fn headline(self) -> String {
        match self {
            Self::Real => String::new(),
            Self::Emulator => format!("{}\n", paint(BOLD, REHEARSAL)),
            Self::Mixed => {
                format!(
                    "{}\n",
                    paint(BOLD, "EMULATOR: some publishers are not at the real marketplace")
                )
            }
        }
    }
}
