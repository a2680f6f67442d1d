//! Notices at the top of the page: a service that can't work, a source that can't be followed,
//! manifests that are wrong, offers that were not checked yet.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::Serving;
use crate::manifest::Diagnostic;
use crate::marketplace::{Pause, PausedUntil, PublisherId, clean_line};
use crate::watch::Trouble;

/// The most entries of a list.
const MAX_ENTRIES: usize = 20;

/// All notices. `unseen` is the number of offers that were not checked yet.
pub(super) fn notices(serving: &Serving, unseen: usize) -> Markup {
    let service = serving.service_state.service();
    html! {
        div id="notices" {
            @if let Some(trouble) = &service.trouble { (trouble_notice(trouble)) }
            @if let Some(problem) = &service.source_problem {
                section.notice.bad aria-labelledby="source-problem" {
                    h2 id="source-problem" { "The source can't be followed" }
                    p { (clean_line(problem)) }
                }
            }
            @if !service.paused.is_empty() { (paused(&service.paused)) }
            @if !service.unlisted.is_empty() { (unlisted(&service.unlisted)) }
            @if !service.problems.is_empty() { (problems(&service.problems)) }
            @if unseen > 0 {
                section.notice aria-labelledby="unseen" {
                    h2 id="unseen" {
                        (unseen) @if unseen == 1 { " offer was" } @else { " offers were" }
                        " not checked yet"
                    }
                }
            }
        }
    }
}

fn trouble_notice(trouble: &Trouble) -> Markup {
    let (heading, consequence) = match trouble {
        Trouble::Unwritable(_) => (
            "The status file can't be written",
            "Nothing is sent to the marketplace until it can. golive tries again every few seconds.",
        ),
        Trouble::Unsound(_) => (
            "golive made a mistake, and stopped itself",
            "What it was about to send is not sent. golive looks at these offers again.",
        ),
    };
    html! {
        section.notice.bad aria-labelledby="trouble" {
            h2 id="trouble" { (heading) }
            p { (clean_line(trouble.text())) }
            p { (consequence) }
        }
    }
}

/// The publishers that are paused. If there are two or more, everything may be paused.
fn paused(paused: &PausedUntil) -> Markup {
    let publishers = &paused.publishers;
    html! {
        section.notice.bad aria-labelledby="paused" {
            h2 id="paused" {
                "Requests about "
                @match publishers.keys().collect::<Vec<_>>()[..] {
                    [publisher] => (publisher),
                    _ => { (publishers.len()) " publishers" },
                }
                " are paused"
            }
            @match &paused.all {
                Some(Pause { until, .. }) => p {
                    "The marketplace asks to wait for more than one, so that until "
                    (format!("{until:.0}")) " nothing at all is asked or sent."
                },
                None => p {
                    "The marketplace asks to wait: nothing is asked or sent about these offers. "
                    "Other publishers' offers go on."
                },
            }
            (list(publishers, |(publisher, Pause { until, why })| html! {
                p { b { (publisher) } " until " (format!("{until:.0}")) ": " (clean_line(why)) }
            }))
        }
    }
}

fn unlisted(unlisted: &BTreeMap<PublisherId, String>) -> Markup {
    html! {
        section.notice.bad aria-labelledby="unlisted" {
            h2 id="unlisted" {
                @if unlisted.len() == 1 { "A publisher can't be listed" }
                @else { (unlisted.len()) " publishers can't be listed" }
            }
            p { "The records of their offers stay as they are. golive retries automatically." }
            (list(unlisted, |(publisher, why)| html! {
                p { b { (publisher) } " " (clean_line(why)) }
            }))
        }
    }
}

fn problems(problems: &[Diagnostic]) -> Markup {
    html! {
        section.notice.bad aria-labelledby="problems" {
            h2 id="problems" {
                @if problems.len() == 1 { "A manifest is wrong" }
                @else { (problems.len()) " things are wrong in manifests" }
            }
            p { "What the last good version of each file says stays in force." }
            (list(problems, diagnostic))
        }
    }
}

/// A list of [`MAX_ENTRIES`] entries at the most, and the number of the others.
fn list<T>(
    items: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
    entry: impl Fn(T) -> Markup,
) -> Markup {
    let items = items.into_iter();
    let more = items.len().saturating_sub(MAX_ENTRIES);
    html! {
        ul.problems { @for item in items.take(MAX_ENTRIES) { li { (entry(item)) } } }
        @if more > 0 { p { "… and " (more) " more" } }
    }
}

fn diagnostic(problem: &Diagnostic) -> Markup {
    html! {
        p { code { (clean_line(&problem.place())) } " " b { (clean_line(&problem.what)) } }
        @if let Some(excerpt) = problem.excerpt() {
            pre tabindex="0" aria-label="The line, with the place underlined" { (excerpt) }
        }
        @if let Some(hint) = &problem.hint { p { "Hint: " (clean_line(hint)) } }
        @if let Some(related) = &problem.related { p { (clean_line(&related.sentence())) } }
    }
}
