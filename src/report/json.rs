//! Results as one JSON document.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::outcome::Outcome;
use crate::changes::{ChangeSet, OfferPosition, Summary};
use crate::marketplace::{OfferId, PublisherId};
use crate::status::{OfferRecord, Phase, Reason, StatusFile};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlanDocument<'a> {
    marketplace: &'a str,
    digest: String,
    summary: Summary,
    /// What to know of publishers.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    notes: &'a [Note],
    offers: Vec<PlannedOffer<'a>>,
}

/// What a reviewer should know of a publisher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Note {
    pub(crate) publisher: PublisherId,
    pub(crate) message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlannedOffer<'a> {
    offer: &'a OfferId,
    action: &'static str,
    reason: Reason,
    message: String,
    from: &'a OfferPosition,
    to: &'a OfferPosition,
    /// Where a person sees more.
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<String>,
}

/// The document of `golive plan -o json`.
pub(crate) fn plan_json(
    set: &ChangeSet,
    marketplace: &str,
    notes: &[Note],
) -> serde_json::Result<String> {
    let offers = set.changes.iter().map(|change| PlannedOffer {
        offer: &change.offer,
        action: change.decision.action(),
        reason: change.decision.reason(),
        message: change.message(),
        from: &change.from,
        to: &change.to,
        page: change.page(),
    });
    pretty(&PlanDocument {
        marketplace,
        digest: set.digest(),
        summary: set.summary(),
        notes,
        offers: offers.collect(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ApplyDocument<'a> {
    marketplace: &'a str,
    exit_code: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
    triggered: usize,
    interrupted: bool,
    summary: BTreeMap<&'static str, usize>,
    offers: Vec<AppliedOffer<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AppliedOffer<'a> {
    offer: &'a OfferId,
    #[serde(flatten)]
    record: &'a OfferRecord,
}

/// The document of `golive apply -o json`; `error` says why the run ended early.
pub(crate) fn apply_json(
    outcome: &Outcome,
    exit_code: u8,
    marketplace: &str,
    error: Option<Value>,
) -> serde_json::Result<String> {
    let offers = outcome.records.iter().map(|(offer, record)| AppliedOffer { offer, record });
    pretty(&ApplyDocument {
        marketplace,
        exit_code,
        error,
        triggered: outcome.triggered,
        interrupted: outcome.interrupted,
        summary: count_phases(outcome.records.values().map(|record| record.phase)),
        offers: offers.collect(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorDocument<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    marketplace: Option<&'a str>,
    exit_code: u8,
    error: Value,
}

/// The document of a command that failed.
pub(crate) fn error_json(
    error: Value,
    exit_code: u8,
    marketplace: Option<&str>,
) -> serde_json::Result<String> {
    pretty(&ErrorDocument { marketplace, exit_code, error })
}

/// The document of `golive status -o json`.
pub(crate) fn status_json(file: &StatusFile) -> serde_json::Result<String> {
    pretty(file)
}

pub(super) fn count_phases(phases: impl Iterator<Item = Phase>) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for phase in phases {
        *counts.entry(phase.as_str()).or_default() += 1;
    }
    counts
}

fn pretty(value: &impl Serialize) -> serde_json::Result<String> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    Ok(text)
}
