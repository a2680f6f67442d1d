//! The table of offers. There may be thousands of rows, so that a row's markup is kept short.

use jiff::Timestamp;
use maud::{Markup, html};

use super::filter::Filter;
use super::overview::{Counts, MAX_ROWS, Overview};
use super::route::offer_address;
use super::row::{Row, Running};
use super::time::{Tense, time};
use crate::status::Phase;

/// The table, or a sentence if it has no rows.
pub(super) fn table(overview: &Overview, filter: &Filter, now: Timestamp) -> Markup {
    html! {
        div.frame {
            table {
                (caption(&overview.counts))
                thead {
                    tr {
                        @for heading in ["Offer", "Phase", "Preview", "Live", "Now", "Next check"] {
                            th scope="col" { (heading) }
                        }
                    }
                }
                tbody id="rows" { @for row in &overview.rows { (tr(row, now)) } }
            }
            (empty(&overview.counts, filter))
        }
    }
}

/// How many offers there are, and how many of them the table lists.
pub(super) fn caption(counts: &Counts) -> Markup {
    let Counts { known, shown, .. } = *counts;
    html! {
        caption id="caption" {
            @if shown == known { (offers(known)) } @else { (shown) " of " (offers(known)) }
            @if shown > MAX_ROWS { ", of which the first " (MAX_ROWS) " are listed" }
        }
    }
}

/// Shown instead of a table without rows.
pub(super) fn empty(counts: &Counts, filter: &Filter) -> Markup {
    html! {
        p.empty id="empty" {
            @if counts.known == 0 {
                "No offers yet. They appear here once a manifest asks for them."
            } @else if counts.shown == 0 && !filter.is_empty() {
                "No offers match. " a href="./" { "Show all" }
            }
        }
    }
}

fn offers(count: usize) -> String {
    format!("{count} {}", if count == 1 { "offer" } else { "offers" })
}

/// One offer.
pub(super) fn tr(row: &Row, now: Timestamp) -> Markup {
    html! {
        tr id=(row.key()) {
            th scope="row" {
                a href=(offer_address(&row.offer)) {
                    (row.offer.publisher()) "/" wbr; b { (row.offer.offer()) }
                }
            }
            td { (phase(row.phase)) " " small { (row.reason) } }
            td { @if let Some(version) = &row.preview { (version) } }
            td { @if let Some(version) = &row.live { (version) } }
            td {
                @if let Some(running) = &row.running { (progress(running, now)) }
                @if let Some(message) = &row.message { p { (message) } }
                @if let Some(error) = &row.error { p.bad { "Last error: " (error) } }
            }
            td {
                @match row.next {
                    Some(next) => (time(next, now, Tense::Ahead)),
                    None => small { "next resync" },
                }
            }
        }
    }
}

/// A phase as a word in its colour.
pub(super) fn phase(phase: Phase) -> Markup {
    html! { b class={ "ph " (phase_class(phase)) } { (phase.as_str()) } }
}

/// The CSS class of a phase.
pub(super) fn phase_class(phase: Phase) -> &'static str {
    match phase {
        Phase::Live => "live",
        Phase::Preview => "preview",
        Phase::Triggering | Phase::InProgress => "moving",
        Phase::Held => "held",
        Phase::Blocked => "blocked",
        Phase::Failed => "failed",
    }
}

fn progress(running: &Running, now: Timestamp) -> Markup {
    let step = running.step.as_deref().unwrap_or("An operation runs");
    html! {
        p.step { (step) (progress_bar(step, running.percent)) }
        small {
            (time(running.started_at, now, Tense::Since)) " so far"
            @if let Some(estimate) = &running.estimate { ", " span { "estimate " (estimate) } }
        }
    }
}

/// Progress as a bar and a number; nothing if unknown.
pub(super) fn progress_bar(what: &str, percent: Option<u8>) -> Markup {
    html! {
        @if let Some(percent) = percent {
            " " progress max="100" value=(percent) aria-label=(what) {} " "
            span.pc { (percent) " %" }
        }
    }
}
