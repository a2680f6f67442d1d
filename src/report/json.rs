//! Results as one JSON document.

use std::collections::BTreeMap;

use serde::Serialize;

use super::outcome::Outcome;
use crate::changes::{ChangeSet, Standing, Summary};
use crate::marketplace::OfferId;
use crate::status::{OfferRecord, Phase, Reason, StatusFile};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlanDocument<'a> {
    digest: String,
    summary: Summary,
    offers: Vec<PlannedOffer<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlannedOffer<'a> {
    offer: &'a OfferId,
    action: &'static str,
    reason: Reason,
    message: String,
    from: &'a Standing,
    to: &'a Standing,
}

/// A change set: digest, summary, and an entry an offer.
pub fn plan_json(set: &ChangeSet) -> serde_json::Result<String> {
    let offers = set.changes.iter().map(|change| PlannedOffer {
        offer: &change.offer,
        action: change.decision.action(),
        reason: change.decision.reason(),
        message: change.message(),
        from: &change.from,
        to: &change.to,
    });
    let document =
        PlanDocument { digest: set.digest(), summary: set.summary(), offers: offers.collect() };
    pretty(&document)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ApplyDocument<'a> {
    exit_code: u8,
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

/// The outcome of a run: how many offers are in which phase, and each offer's record.
pub fn apply_json(outcome: &Outcome, exit_code: u8) -> serde_json::Result<String> {
    let offers = outcome.records.iter().map(|(offer, record)| AppliedOffer { offer, record });
    let document = ApplyDocument {
        exit_code,
        triggered: outcome.triggered,
        interrupted: outcome.interrupted,
        summary: count(outcome.records.values().map(|record| record.phase)),
        offers: offers.collect(),
    };
    pretty(&document)
}

/// The status file, as it is.
pub fn status_json(file: &StatusFile) -> serde_json::Result<String> {
    pretty(file)
}

pub(super) fn count(phases: impl Iterator<Item = Phase>) -> BTreeMap<&'static str, usize> {
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
