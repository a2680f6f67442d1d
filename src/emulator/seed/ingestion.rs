//! How a seed changes the answers of the Product Ingestion API.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use super::answers::{WithDefaults, with_defaults};
use super::scalar::SeedDuration;

/// How the submissions of a product are listed that was live before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum LiveShape {
    /// One entry for an id: the preview's turns into the live one.
    #[default]
    One,
    /// The same, and the release that was live before is still listed.
    OldAndNew,
    /// An entry for preview and one for live, with one id.
    PreviewAndLive,
}

/// Where `@nextLink` leads that should lead to the next page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum NextLink {
    /// To another host, on the last page, too.
    Elsewhere,
    /// There is always one more page.
    Endless,
}

/// What becomes of a second attempt to push a release to live, after the first one failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum FailedAgain {
    /// It runs.
    #[default]
    Accept,
    /// Its job fails: the release is not the latest.
    Conflict,
}

with_defaults! {
/// When a publish shows, each apart. Default: at once.
pub struct Delays {
    /// From the answer to *configure* until the job says `running`. Until then it says
    /// `notStarted`.
    pub running: Option<SeedDuration>,
    /// From the answer to *configure* until the submission is listed, or has turned from preview
    /// to live.
    pub listed: Option<SeedDuration>,
    /// From the end of a publish until its submission says so.
    pub ended: Option<SeedDuration>,
    /// From the end of a publish until its job says so.
    pub job_ended: Option<SeedDuration>,
    /// From the end of a publish until the resource tree shows it.
    pub tree: Option<SeedDuration>,
}
}

with_defaults! {
/// How the Product Ingestion API answers. At the seed's top level for all offers, in an offer's
/// entry for that offer.
pub struct IngestionOverrides {
    /// Whether requests must have `$version=2022-03-01-preview2`, the schemas of that version on
    /// today's host, and in a submission no other fields than `$schema`, `id`, `product` and
    /// `target`. Default: the service's lenience.
    pub strict: Option<bool>,
    /// How submissions are listed. Default: `one`.
    pub live: Option<LiveShape>,
    /// Whether lists have another order in every answer. Default: no.
    pub shuffled: Option<bool>,
    /// When a publish shows.
    pub delays: Delays,
    /// Submissions show what was so long ago.
    pub lag: Option<SeedDuration>,
    /// The HTTP status of every *job status*, 400 to 599.
    #[schemars(range(min = 400, max = 599))]
    pub job_status: Option<u16>,
    /// The HTTP status of an accepted *configure*: 202 (the default) or 200.
    #[schemars(range(min = 200, max = 299))]
    pub accepted: Option<u16>,
    /// How many elements a page has at most. Default: 200.
    pub page_size: Option<NonZeroU32>,
    /// Where `@nextLink` leads. Default: to the next page.
    pub next_link: Option<NextLink>,
    /// Whether answers name the schema host of before 2024. Default: no.
    pub old_schemas: Option<bool>,
    /// Whether a second product has the offer's id.
    pub twin: Option<bool>,
    /// Whether the product is deprecated.
    pub deprecated: Option<bool>,
    /// Pushing a release to live whose golive failed: `accept` (the default) or `conflict`.
    pub failed_again: Option<FailedAgain>,
}
}

impl IngestionOverrides {
    /// What is wrong, as a message.
    pub(crate) fn problem(&self) -> Option<String> {
        if let Some(bad) = self.job_status.filter(|status| !(400..600).contains(status)) {
            return Some(format!("jobStatus: expected 400 to 599, not {bad}"));
        }
        let bad = self.accepted.filter(|status| !(200..300).contains(status))?;
        Some(format!("accepted: expected 200 to 299, not {bad}"))
    }
}

/// Reads what a seed says for all offers.
pub(super) fn checked<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<IngestionOverrides, D::Error> {
    let read = IngestionOverrides::deserialize(deserializer)?;
    read.problem().map_or(Ok(read), |problem| Err(de::Error::custom(problem)))
}
