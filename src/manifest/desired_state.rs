//! Where an offer should be.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where an offer should be.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum DesiredState {
    /// What is in preview goes live.
    Live,
    /// The offer is in preview, and golive leaves it there; one that was never published is
    /// published to preview.
    Preview,
}

impl DesiredState {
    /// Every state there is.
    pub const ALL: [Self; 2] = [Self::Live, Self::Preview];

    /// As a manifest spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Preview => "preview",
        }
    }
}
