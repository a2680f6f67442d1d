//! The APIs by which a publisher's offers can be reached.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Serialize;

/// An API of the marketplace.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Api {
    /// The Cloud Partner Portal API: offers that existed before Partner Center.
    #[default]
    CloudPartnerPortal,
    /// The Product Ingestion API: every offer that Partner Center makes today.
    ProductIngestion,
}

impl Api {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::CloudPartnerPortal, Self::ProductIngestion];

    /// Its name in configurations and status files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CloudPartnerPortal => "cloud-partner-portal",
            Self::ProductIngestion => "product-ingestion",
        }
    }

    /// Whether its requests name the publisher. If not, the token alone decides whose offers they
    /// are about.
    #[must_use]
    pub fn names_publishers(self) -> bool {
        match self {
            Self::CloudPartnerPortal => true,
            Self::ProductIngestion => false,
        }
    }
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// No API has that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such API; use cloud-partner-portal or product-ingestion")]
pub struct UnknownApi;

impl FromStr for Api {
    type Err = UnknownApi;

    fn from_str(text: &str) -> Result<Self, UnknownApi> {
        Self::ALL.into_iter().find(|api| api.as_str() == text).ok_or(UnknownApi)
    }
}
