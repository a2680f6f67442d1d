//! A change set, for people.

use std::fmt::Write as _;

use super::json::Note;
use super::marketplace_kind::MarketplaceKind;
use super::style::{BOLD, CYAN, DIM, GREEN, PLAIN, RED, YELLOW, of_decision, paint};
use super::table::{MAX_ROWS, hidden_rows};
use crate::changes::{Change, ChangeSet, Decision, diff};

/// A change set: each offer with its diff, a summary, the digest.
pub(crate) fn plan_text(set: &ChangeSet, marketplace: MarketplaceKind, notes: &[Note]) -> String {
    let lists_all = set.changes.len() <= MAX_ROWS;
    let is_in_sync = |change: &Change| matches!(change.decision, Decision::InSync(_));
    let shown: Vec<&Change> =
        set.changes.iter().filter(|change| lists_all || !is_in_sync(change)).collect();
    let names = shown.iter().map(|change| change.offer.to_string().len());
    let width = names.max().unwrap_or_default();
    let mut text = marketplace.headline();
    // Writing to a string can't fail.
    for change in &shown {
        let name = format!("{:width$}", change.offer);
        let label = format!("{:8}", label(&change.decision));
        let label = paint(of_decision(&change.decision), &label);
        let line = format!("{name}  {label}  {}", details(change));
        let _ = writeln!(text, "{}", line.trim_end());
        if let Some(page) = change.page() {
            let _ = writeln!(text, "  {}", paint(DIM, &page));
        }
        for line in diff(change).lines() {
            let _ = writeln!(text, "  {}", paint(of_diff_line(line), line));
        }
    }
    text.push_str(&hidden_rows(set.changes.len() - shown.len()));
    if !set.changes.is_empty() {
        text.push('\n');
    }
    for Note { publisher, message } in notes {
        let _ = writeln!(text, "{} {publisher}: {message}", paint(YELLOW, "note:"));
    }
    let summary = set.summary();
    let is_in_sync = !summary.has_changes() && summary.blocked + summary.failed == 0;
    let nothing = if is_in_sync { " Nothing to do." } else { "" };
    let _ = writeln!(text, "{}{nothing}", paint(BOLD, &format!("{summary}.")));
    let _ = writeln!(text, "{}", paint(DIM, &format!("digest {}", set.digest())));
    text
}

fn of_diff_line(line: &str) -> anstyle::Style {
    match line.as_bytes().first() {
        Some(b'+') => GREEN,
        Some(b'-') => RED,
        Some(b'@') => CYAN,
        Some(_) | None => PLAIN,
    }
}

fn label(decision: &Decision) -> &'static str {
    match decision {
        Decision::GoLive { .. } => "go live",
        Decision::Publish { .. } => "publish",
        Decision::Track(_) => "track",
        Decision::InSync(_) => "in sync",
        Decision::Held(_) => "held",
        Decision::Blocked(_) => "blocked",
        Decision::Failed(_) => "failed",
    }
}

fn details(change: &Change) -> String {
    match &change.decision {
        Decision::GoLive { release } => {
            let live = change.from.live_version.as_ref();
            let live = live.map(|live| format!(" (now {live})")).unwrap_or_default();
            let doubt = if change.in_doubt { "; may have been sent already" } else { "" };
            format!("preview {release} → live{live}{doubt}")
        }
        Decision::Publish { release } => format!("draft {release} → preview"),
        Decision::Track(_)
        | Decision::InSync(_)
        | Decision::Held(_)
        | Decision::Blocked(_)
        | Decision::Failed(_) => change.message(),
    }
}
