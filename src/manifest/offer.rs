//! The manifest of one offer.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::marketplace::{OfferId, PublisherId, Version};

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
    /// As a manifest spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Preview => "preview",
        }
    }
}

/// The desired state of one offer, as a YAML document says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// The publisher that owns the offer.
    pub publisher: PublisherId,
    /// The offer's id, without its publisher.
    pub offer: String,
    /// Where the offer should be.
    pub state: DesiredState,
    /// Promote only this previewed version; another one blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// Hold until then: a launch date (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Leave this offer alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
    /// Only once these offers are live.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<OfferId>,
    /// E-mail addresses the marketplace notifies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<String>,
    /// Free words for `--selector`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}
