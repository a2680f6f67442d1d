//! Which marketplace a run or a status file is about, for people: a run against the emulator must
//! never be taken for the real thing.

use super::style::{BOLD, paint};
use crate::status::{MarketplaceRecord, StatusFile};

/// The notice of a run against the emulator, in tables and logs.
pub(crate) const EMULATOR_NOTICE: &str = "EMULATOR: nothing here touches the real marketplace";

/// A marketplace's name for programs: `EMULATOR`, or the host, with its port if that is not the
/// usual one.
pub(crate) fn marketplace_name(marketplace: &MarketplaceRecord) -> String {
    if marketplace.is_emulator() {
        return "EMULATOR".to_owned();
    }
    let origin = &marketplace.origin;
    origin.split_once("://").map_or(origin.as_str(), |(_, host)| host).to_owned()
}

/// Which marketplace a run or a status file is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MarketplaceKind {
    Real,
    Emulator,
    /// Some publishers of a status file are at the emulator, others are not.
    Mixed,
}

impl MarketplaceKind {
    pub(crate) fn of_run(is_emulator: bool) -> Self {
        if is_emulator { Self::Emulator } else { Self::Real }
    }

    /// The kind that a status file says it is about; `Real` if it says nothing.
    pub(crate) fn of(file: &StatusFile) -> Self {
        let mut emulated = file.marketplace.values().map(MarketplaceRecord::is_emulator);
        let Some(first) = emulated.next() else { return Self::Real };
        if emulated.any(|it| it != first) { Self::Mixed } else { Self::of_run(first) }
    }

    /// The line above a table; none for the real marketplace.
    pub(super) fn headline(self) -> String {
        let notice = match self {
            Self::Real => return String::new(),
            Self::Emulator => EMULATOR_NOTICE,
            Self::Mixed => "EMULATOR: some publishers are not at the real marketplace",
        };
        format!("{}\n", paint(BOLD, notice))
    }
}
