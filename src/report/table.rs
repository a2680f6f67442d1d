//! The last word of a run, and the status file, as a table for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use comfy_table::{Cell, Color, ColumnConstraint, ContentArrangement, Table, presets};

use super::json::count;
use super::marketplace_kind::MarketplaceKind;
use super::outcome::{Ending, Outcome, Unfinished};
use super::style::{BOLD, RED, paint};
use crate::marketplace::{OfferId, OperationStatus};
use crate::status::{OfferRecord, OperationRecord, Phase, StatusFile, stopped_step};

/// Beyond so many offers, those that are where they should be are counted, not listed.
pub(super) const MAX_ROWS: usize = 50;

/// How many of the offers that still run are named.
const MAX_NAMED: usize = 5;

/// The least room for phase, reason and message, in columns.
const LEAST_BESIDE_NAME: usize = 64;

/// What came of a run: a table of offers, what went wrong in full, and a summary.
#[must_use]
pub fn apply_text(
    outcome: &Outcome,
    ending: &Ending,
    scene: MarketplaceKind,
    width: Option<u16>,
) -> String {
    // On a terminal, an empty line sets the result off from the progress above it.
    let mut text = String::from(if width.is_some() { "\n" } else { "" });
    text.push_str(&scene.headline());
    text.push_str(&table(&outcome.records, width));
    text.push_str(&problems(&outcome.records, &ending.undeclared));
    let nothing = outcome.triggered == 0
        && outcome.problems() == 0
        && outcome.running() == 0
        && !outcome.interrupted;
    let held = outcome.records.values().any(|record| record.phase == Phase::Held);
    let summary = summary(&outcome.records);
    let line = match (nothing, held) {
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

/// What still runs, and what becomes of it.
fn still_runs(outcome: &Outcome, unfinished: Unfinished) -> String {
    let mut names: Vec<String> =
        outcome.under_way().take(MAX_NAMED).map(ToString::to_string).collect();
    let rest = outcome.running() - names.len();
    if rest > 0 {
        names.push(format!("{rest} more"));
    }
    let (run, them) = if outcome.running() == 1 { ("runs", "it") } else { ("run", "them") };
    let names = match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => String::new(),
    };
    match unfinished {
        Unfinished::WaitIsOver => {
            format!("The time of --wait is over; {names} still {run}. The next run follows {them}.")
        }
        Unfinished::NotWaited => format!("{names} still {run}. The next run follows {them}."),
    }
}

/// The status file: a table of offers, what went wrong in full, and when it was written. Of the
/// `undeclared` it is known that no manifest declares them.
#[must_use]
pub fn status_text(
    file: &StatusFile,
    undeclared: &BTreeSet<OfferId>,
    scene: MarketplaceKind,
    width: Option<u16>,
) -> String {
    let mut text = scene.headline();
    text.push_str(&table(&file.offers, width));
    text.push_str(&problems(&file.offers, undeclared));
    let _ =
        writeln!(text, "{} (as of {:.0})", paint(BOLD, &summary(&file.offers)), file.updated_at);
    text
}

fn table(records: &BTreeMap<OfferId, Arc<OfferRecord>>, width: Option<u16>) -> String {
    let calm = |record: &OfferRecord| match record.phase {
        Phase::Live | Phase::Preview => record.error.is_none(),
        Phase::Triggering | Phase::InProgress | Phase::Held | Phase::Blocked | Phase::Failed => {
            false
        }
    };
    let many = records.len() > MAX_ROWS;
    let rows: Vec<_> = records.iter().filter(|(_, record)| !(many && calm(record))).collect();
    let mut text = String::new();
    if !rows.is_empty() {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.enforce_styling(); // The stream strips colors where they don't belong.
        table.set_content_arrangement(ContentArrangement::Dynamic);
        if let Some(width) = width {
            // Names are never wrapped, so that a narrow terminal wraps the rest by itself.
            let name = rows.iter().map(|(offer, _)| offer.to_string().len()).max();
            let least = name.unwrap_or_default() + LEAST_BESIDE_NAME;
            table.set_width(width.max(u16::try_from(least).unwrap_or(u16::MAX)));
        } else {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
        table.set_header(["OFFER", "PHASE", "REASON", "MESSAGE"]);
        for (offer, record) in &rows {
            table.add_row([
                Cell::new(offer),
                Cell::new(record.phase.as_str()).fg(color(record.phase)),
                Cell::new(format!("{:?}", record.reason)),
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
        for line in table.lines() {
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }
    let hidden = records.len() - rows.len();
    if hidden > 0 {
        let _ = writeln!(text, "… and {hidden} offers that are as desired");
    }
    text
}

fn color(phase: Phase) -> Color {
    match phase {
        Phase::Live | Phase::Preview => Color::DarkGreen,
        Phase::Triggering | Phase::InProgress => Color::DarkCyan,
        Phase::Held => Color::DarkYellow,
        Phase::Blocked | Phase::Failed => Color::DarkRed,
    }
}

/// What the marketplace said about each failed offer, and every other error, in full.
fn problems(
    records: &BTreeMap<OfferId, Arc<OfferRecord>>,
    undeclared: &BTreeSet<OfferId>,
) -> String {
    let mut text = String::new();
    for (offer, record) in records {
        if let Some(operation) = record.operation.as_ref().filter(|_| record.phase == Phase::Failed)
        {
            text.push_str(&failure(offer, operation, undeclared.contains(offer)));
        }
        // A blocked offer's error stands in the table already.
        let in_table = |message: &str| record.message.contains(message.trim_end_matches('.'));
        if let Some(error) = record.error.as_ref().filter(|error| !in_table(&error.message)) {
            let _ = writeln!(text, "{} {offer}: {}", paint(RED, "error:"), error.message);
        }
    }
    text
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
    let mut text = String::new();
    let id = operation.id.as_deref().map(|id| format!(" (operation {id})")).unwrap_or_default();
    let head = paint(RED, &format!("{offer} {outcome}"));
    match stopped_step(&operation.steps) {
        Some(step) => {
            let _ = writeln!(text, "{head} at step {:?}{id}", step.name);
        }
        None => {
            let _ = writeln!(text, "{head}{id}");
        }
    }
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

fn summary(records: &BTreeMap<OfferId, Arc<OfferRecord>>) -> String {
    let counts = count(records.values().map(|record| record.phase));
    let parts: Vec<_> = counts.iter().map(|(phase, count)| format!("{count} {phase}")).collect();
    let offers = if records.len() == 1 { "offer" } else { "offers" };
    if parts.is_empty() {
        "no offers".to_owned()
    } else {
        format!("{} {offers}: {}", records.len(), parts.join(", "))
    }
}
