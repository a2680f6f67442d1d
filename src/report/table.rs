//! The outcome of a run, and the status file, as a table for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use comfy_table::{Cell, Color, ColumnConstraint, ContentArrangement, Table, presets};

use super::json::count_phases;
use super::marketplace_kind::MarketplaceKind;
use super::outcome::{Ending, Outcome, Unfinished};
use super::style::{BOLD, RED, paint};
use crate::marketplace::{OfferId, OperationStatus, ProductPage};
use crate::status::{OfferRecord, OperationRecord, Phase, StatusFile, stopped_step};

/// With more offers than this, those that are as desired are counted instead of listed.
pub(super) const MAX_ROWS: usize = 50;

/// How many of the running offers are named.
const MAX_NAMED: usize = 5;

/// The least width of phase, reason and message together, in columns.
const MIN_WIDTH_BESIDE_NAME: usize = 64;

type Records = BTreeMap<OfferId, Arc<OfferRecord>>;

/// The outcome of a run: a table of offers, the errors in full, and a summary.
pub(crate) fn apply_text(
    outcome: &Outcome,
    ending: &Ending,
    marketplace: MarketplaceKind,
    width: Option<u16>,
) -> String {
    // On a terminal, an empty line separates the result from the progress above it.
    let mut text = String::from(if width.is_some() { "\n" } else { "" });
    text.push_str(&marketplace.headline());
    text.push_str(&table(&outcome.records, width));
    text.push_str(&problems(&outcome.records, &ending.undeclared));
    let nothing_to_do = outcome.triggered == 0
        && outcome.problems() == 0
        && outcome.running() == 0
        && !outcome.interrupted;
    let is_any_held = outcome.records.values().any(|record| record.phase == Phase::Held);
    let summary = summary(&outcome.records);
    let line = match (nothing_to_do, is_any_held) {
        (true, false) => format!("Nothing to do: every offer is as desired ({summary})."),
        (true, true) => format!("Nothing to do for now ({summary})."),
        (false, _) => {
            let started = if outcome.triggered == 1 { "operation" } else { "operations" };
            format!("{} {started} started; {summary}.", outcome.triggered)
        }
    };
    // Writing to a string can't fail.
    let _ = writeln!(text, "{}", paint(BOLD, &line));
    if outcome.interrupted {
        text.push_str("Stopped on request. What runs goes on; the next run follows it.\n");
    } else if let Some(unfinished) = ending.unfinished {
        let _ = writeln!(text, "{}", still_runs(outcome, unfinished));
    }
    text
}

/// Which operations still run, and who follows them.
fn still_runs(outcome: &Outcome, unfinished: Unfinished) -> String {
    let mut names: Vec<String> =
        outcome.under_way().take(MAX_NAMED).map(ToString::to_string).collect();
    let rest = outcome.running() - names.len();
    if rest > 0 {
        names.push(format!("{rest} more"));
    }
    let last = names.pop().unwrap_or_default();
    let names = if names.is_empty() { last } else { format!("{} and {last}", names.join(", ")) };
    let (run, them) = if outcome.running() == 1 { ("runs", "it") } else { ("run", "them") };
    let why = match unfinished {
        Unfinished::WaitIsOver => "The time of --wait is over; ",
        Unfinished::NotWaited => "",
    };
    format!("{why}{names} still {run}. The next run follows {them}.")
}

/// The status file: a table of offers, the errors in full, and when it was written. No manifest
/// declares the `undeclared` offers any more.
pub(crate) fn status_text(
    file: &StatusFile,
    undeclared: &BTreeSet<OfferId>,
    marketplace: MarketplaceKind,
    width: Option<u16>,
) -> String {
    let mut text = marketplace.headline();
    text.push_str(&table(&file.offers, width));
    text.push_str(&problems(&file.offers, undeclared));
    let _ =
        writeln!(text, "{} (as of {:.0})", paint(BOLD, &summary(&file.offers)), file.updated_at);
    text
}

fn table(records: &Records, width: Option<u16>) -> String {
    let is_as_desired = |record: &OfferRecord| {
        matches!(record.phase, Phase::Live | Phase::Preview) && record.error.is_none()
    };
    let lists_all = records.len() <= MAX_ROWS;
    let rows: Vec<_> =
        records.iter().filter(|(_, record)| lists_all || !is_as_desired(record)).collect();
    let mut text = String::new();
    if !rows.is_empty() {
        for line in arranged(&rows, width).lines() {
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }
    text.push_str(&hidden_rows(records.len() - rows.len()));
    text
}

fn arranged(rows: &[(&OfferId, &Arc<OfferRecord>)], width: Option<u16>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.enforce_styling(); // The stream strips colors where they don't belong.
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        // Names are never wrapped; a terminal too narrow for that wraps the lines itself.
        let name = rows.iter().map(|(offer, _)| offer.to_string().len()).max();
        let least = name.unwrap_or_default() + MIN_WIDTH_BESIDE_NAME;
        table.set_width(width.max(u16::try_from(least).unwrap_or(u16::MAX)));
    } else {
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    table.set_header(["OFFER", "PHASE", "REASON", "MESSAGE"]);
    for (offer, record) in rows {
        table.add_row([
            Cell::new(offer),
            Cell::new(record.phase.as_str()).fg(color(record.phase)),
            Cell::new(record.reason.to_string()),
            Cell::new(&record.message),
        ]);
    }
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    // Names are copied and searched for, so that only the message is wrapped.
    for column in table.column_iter_mut().take(3) {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
    table
}

/// The line for the offers that are not listed.
pub(super) fn hidden_rows(count: usize) -> String {
    if count == 0 {
        return String::new();
    }
    format!("… and {count} offers that are as desired\n")
}

fn color(phase: Phase) -> Color {
    match phase {
        Phase::Live | Phase::Preview => Color::DarkGreen,
        Phase::Triggering | Phase::InProgress => Color::DarkCyan,
        Phase::Held => Color::DarkYellow,
        Phase::Blocked | Phase::Failed => Color::DarkRed,
    }
}

/// The marketplace's messages about each failed offer, and every other error, in full.
fn problems(records: &Records, undeclared: &BTreeSet<OfferId>) -> String {
    let mut text = String::new();
    for (offer, record) in records {
        if let Some(operation) = record.operation.as_ref().filter(|_| record.phase == Phase::Failed)
        {
            text.push_str(&failure(offer, operation, undeclared.contains(offer)));
        }
        // A blocked offer's message in the table is its error.
        let is_listed = |message: &str| record.message.contains(message.trim_end_matches('.'));
        if let Some(error) = record.error.as_ref().filter(|error| !is_listed(&error.message)) {
            let _ = writeln!(text, "{} {offer}: {}", paint(RED, "error:"), error.message);
        }
        if let Some(page) = problem_page(record) {
            let _ = writeln!(text, "{offer}: {page}");
        }
    }
    text
}

/// The page of the marketplace about an offer with a problem.
fn problem_page(record: &OfferRecord) -> Option<String> {
    let has_failed = record.phase == Phase::Failed;
    if !has_failed && record.phase != Phase::Blocked && record.error.is_none() {
        return None;
    }
    let product = record.observed.as_ref()?.product.as_deref()?;
    Some(ProductPage::of(product)?.next(has_failed))
}

fn failure(offer: &OfferId, operation: &OperationRecord, is_undeclared: bool) -> String {
    let outcome = match operation.status {
        OperationStatus::Canceled => "was canceled",
        OperationStatus::Refused => "was refused",
        OperationStatus::Failed
        | OperationStatus::NotStarted
        | OperationStatus::Running
        | OperationStatus::Succeeded
        | OperationStatus::Unknown(_) => "failed",
    };
    let mut text = paint(RED, &format!("{offer} {outcome}"));
    if let Some(step) = stopped_step(&operation.steps) {
        let _ = write!(text, " at step {:?}", step.name);
    }
    if let Some(id) = &operation.id {
        let _ = write!(text, " (operation {id})");
    }
    text.push('\n');
    for message in operation.complaints() {
        let _ = writeln!(text, "  {}: {}", message.level, message.text);
    }
    let _ = if is_undeclared {
        writeln!(
            text,
            "  no manifest declares it any more: to try again, restore the manifest, and add \
             --retry {offer} to golive apply"
        )
    } else {
        writeln!(
            text,
            "  to try again, add --retry {offer} to golive apply, or change the manifest"
        )
    };
    text
}

fn summary(records: &Records) -> String {
    if records.is_empty() {
        return "no offers".to_owned();
    }
    let counts = count_phases(records.values().map(|record| record.phase));
    let parts: Vec<_> = counts.iter().map(|(phase, count)| format!("{count} {phase}")).collect();
    let offers = if records.len() == 1 { "offer" } else { "offers" };
    format!("{} {offers}: {}", records.len(), parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_with_a_problem_has_a_link() {
        let guid = "5d3a7f2e-0b1c-4c6e-9a52-1f2e3d4c5b6a";
        let file: StatusFile = serde_json::from_value(serde_json::json!({
            "schema": 2, "updatedAt": "2026-11-27T09:00:00Z", "marketplace": {}, "offers": {"contoso/vm": {
                "manifest": {"file": "vm.yaml", "digest": "sha256:0", "state": "live"},
                "phase": "Blocked", "reason": "UnknownStatus", "message": "unclear",
                "since": "2026-11-27T09:00:00Z",
                "observed": {"at": "2026-11-27T09:00:00Z", "status": "listed", "product": guid},
                "intent": null, "operation": null, "error": null, "attempts": 0,
                "nextCheckAt": null, "history": []
            }}
        }))
        .unwrap();
        let told = |phase| {
            let mut records = file.offers.clone();
            for record in records.values_mut() {
                Arc::make_mut(record).phase = phase;
            }
            problems(&records, &BTreeSet::new())
        };
        let link = |page| {
            format!(
                "contoso/vm: https://partner.microsoft.com/dashboard/commercial-marketplace/offers/{guid}/{page}\n"
            )
        };
        assert_eq!(told(Phase::Blocked), link("overview"));
        assert_eq!(told(Phase::Failed), link("history"));
        assert_eq!(told(Phase::Live), "");
    }
}
