//! What a person should know before anything else: a service that can't work, a source that can't be
//! followed, manifests that are wrong, offers that were not looked at yet.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::Serving;
use crate::manifest::Diagnostic;
use crate::marketplace::{Pause, PausedUntil, PublisherId, clean_line};
use crate::watch::Trouble;

/// The most problems that are shown in full.
const MOST: usize = 20;

/// All notices; empty where there is none. So many offers were not looked at yet.
pub(super) fn notices(serving: &Serving, unseen: usize) -> Markup {
    let service = serving.service_state.service();
    html! {
        div id="notices" {
            @if let Some(trouble) = &service.trouble { (troubled(trouble)) }
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
                        " not looked at yet"
                    }
                }
            }
        }
    }
}

fn troubled(trouble: &Trouble) -> Markup {
    let (heading, sequel) = match trouble {
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
            p { (sequel) }
        }
    }
}

/// Who is left alone. Requests about other publishers go on, unless two or more are.
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
            ul.problems {
                @for (publisher, Pause { until, why }) in publishers.iter().take(MOST) {
                    li { p { b { (publisher) } " until " (format!("{until:.0}")) ": " (clean_line(why)) } }
                }
            }
            @if publishers.len() > MOST { p { "… and " (publishers.len() - MOST) " more" } }
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
            p { "What was last known of their offers stays as it is. golive asks again by itself." }
            ul.problems {
                @for (publisher, why) in unlisted.iter().take(MOST) {
                    li { p { b { (publisher) } " " (clean_line(why)) } }
                }
            }
            @if unlisted.len() > MOST { p { "… and " (unlisted.len() - MOST) " more" } }
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
            ul.problems { @for problem in problems.iter().take(MOST) { li { (one(problem)) } } }
            @if problems.len() > MOST { p { "… and " (problems.len() - MOST) " more" } }
        }
    }
}

fn one(problem: &Diagnostic) -> Markup {
    html! {
        p { code { (clean_line(&problem.place())) } " " b { (clean_line(&problem.what)) } }
        @if let Some(excerpt) = problem.excerpt() {
            pre tabindex="0" aria-label="The line, with the place underlined" { (excerpt) }
        }
        @if let Some(hint) = &problem.hint { p { "Hint: " (clean_line(hint)) } }
        @if let Some(related) = &problem.related { p { (clean_line(&related.sentence())) } }
    }
}
