//! The page of all offers.

use jiff::Timestamp;
use maud::{Markup, html};

use super::Serving;
use super::filter::Filter;
use super::layout::{Live, Parts, digest, layout, source};
use super::notices::notices;
use super::overview::{Counts, Overview};
use super::route::home;
use super::table::{caption, empty, phase_class, table};
use crate::status::Phase;

/// The page, for this filter.
pub(super) fn render(serving: &Serving, filter: &Filter) -> Markup {
    let now = serving.clock.now();
    let overview = Overview::of(serving, filter);
    let live = Live {
        events: filter.address("events"),
        digest: content_digest(serving, filter, &overview),
    };
    let content = html! {
        h1.unseen { "Offers" }
        (notices(serving, overview.counts.unseen))
        (phases(&overview.counts, filter))
        (form(&overview, filter))
        (table(&overview, filter, now))
    };
    layout(serving, &home("/"), "Offers", Some(&live), &content)
}

/// The page for an address that has none.
pub(super) fn not_found(serving: &Serving, path: &str) -> Markup {
    let home = home(path);
    let content = html! {
        h1 { "Nothing is here" }
        p.lead { "golive follows no offer of this name, or its manifest is gone. " a href=(home) { "All offers" } }
    };
    layout(serving, &home, "Not found", None, &content)
}

/// The parts that change, besides the rows.
pub(super) fn parts(serving: &Serving, filter: &Filter, counts: &Counts, now: Timestamp) -> Parts {
    vec![
        ("source", source(serving, now)),
        ("notices", notices(serving, counts.unseen)),
        ("phases", phases(counts, filter)),
        ("caption", caption(counts)),
        ("empty", empty(counts, filter)),
    ]
}

/// A digest of what the page shows, apart from the relative times.
pub(super) fn content_digest(serving: &Serving, filter: &Filter, overview: &Overview) -> String {
    let parts = parts(serving, filter, &overview.counts, Timestamp::UNIX_EPOCH);
    digest(&parts, &overview.rows)
}

/// Links that filter by phase, with the number of offers in each.
fn phases(counts: &Counts, filter: &Filter) -> Markup {
    let link = |phase: Option<Phase>, name: &str, count: usize| {
        let is_current = filter.phase == phase;
        html! {
            a class=[phase.filter(|_| count > 0).map(phase_class)] href=(filter.with_phase(phase).address("./"))
                aria-current=[is_current.then_some("true")] {
                b { (count) } " " (name)
            }
        }
    };
    html! {
        nav.phases id="phases" aria-label="Offers by phase" {
            (link(None, "All", counts.admitted))
            @for phase in Phase::ALL {
                (link(Some(phase), phase.as_str(), counts.by_phase.get(&phase).copied().unwrap_or(0)))
            }
        }
    }
}

fn form(overview: &Overview, filter: &Filter) -> Markup {
    html! {
        form.filter method="get" action="./" role="search" {
            label { "Phase"
                select name="phase" {
                    option value="" { "Any" }
                    @for phase in Phase::ALL {
                        option selected[filter.phase == Some(phase)] { (phase.as_str()) }
                    }
                }
            }
            label { "Publisher"
                select name="publisher" {
                    option value="" { "Any" }
                    @for publisher in &overview.publishers {
                        option selected[filter.publisher.as_ref() == Some(publisher)] { (publisher) }
                    }
                }
            }
            label.text { "Text"
                input type="search" name="q" value=(filter.text) maxlength="200"
                    placeholder="name, reason, message, file";
            }
            button { "Filter" }
            @if !filter.is_empty() { a href="./" { "Clear" } }
        }
    }
}
