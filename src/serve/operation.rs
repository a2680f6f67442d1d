//! An operation with its steps, and the history of those that ended.

use jiff::Timestamp;
use maud::{Markup, html};

use super::offer_page::fact;
use super::table::progress_bar;
use super::time::{Tense, between, time, utc};
use crate::marketplace::{Level, Message, OperationStatus, Step, StepStatus};
use crate::status::OperationRecord;

/// The operation that runs, or the last one, with its steps.
pub(super) fn operation(operation: &OperationRecord, now: Timestamp) -> Markup {
    html! {
        section.card aria-labelledby="operation" {
            h2 id="operation" {
                (title(operation)) " " (status(&operation.status))
            }
            @if !operation.messages.is_empty() { (messages(&operation.messages)) }
            @if !operation.steps.is_empty() {
                ol.steps { @for it in &operation.steps { (step(it)) } }
            }
            dl {
                (fact(if operation.adopted { "Found" } else { "Started" }, time(operation.started_at, now, Tense::Ago)))
                @match operation.finished_at {
                    Some(end) => {
                        (fact("Ended", time(end, now, Tense::Ago)))
                        (fact("Took", between(operation.started_at, end)))
                    },
                    None => (fact("So far", time(operation.started_at, now, Tense::Since))),
                }
                @if let Some(at) = operation.polled_at { (fact("Last polled", time(at, now, Tense::Ago))) }
                (fact("Started by", starter(operation)))
                @if let Some(id) = &operation.id { (fact("Operation id", html! { code { (id) } })) }
                @if let Some(id) = &operation.request_id { (fact("Request id", html! { code { (id) } })) }
            }
        }
    }
}

fn step(step: &Step) -> Markup {
    let (class, status) = step_status(&step.status);
    // A bar says nothing about a step that has not begun or is done.
    let has_bar = !matches!(step.status, StepStatus::NotStarted | StepStatus::Complete);
    html! {
        li class=(class) {
            p {
                b { (step.name) } " " span.quiet { (status) }
                (progress_bar(&step.name, step.progress.filter(|_| has_bar)))
                @if let Some(estimate) = &step.estimate { " " small { "· estimate " (estimate) } }
            }
            @if !step.messages.is_empty() { (messages(&step.messages)) }
        }
    }
}

fn messages(messages: &[Message]) -> Markup {
    html! {
        ul.messages {
            @for message in messages {
                li class=[(message.level == Level::Error).then_some("bad")] {
                    @if message.level != Level::Information { b { (message.level) } " " }
                    (message.text)
                    @if let Some(at) = message.timestamp() { " " small { (utc(at)) } }
                }
            }
        }
    }
}

/// The operations that ended, the newest first.
pub(super) fn history(history: &[OperationRecord]) -> Markup {
    html! {
        @if !history.is_empty() {
            div.frame.history {
                table {
                    caption { "Earlier operations" }
                    thead {
                        tr {
                            @for heading in ["Operation", "Outcome", "Started", "Ended", "Ids"] {
                                th scope="col" { (heading) }
                            }
                        }
                    }
                    tbody { @for operation in history.iter().rev() { (entry(operation)) } }
                }
            }
        }
    }
}

fn entry(operation: &OperationRecord) -> Markup {
    html! {
        tr {
            th scope="row" { (title(operation)) }
            td { (status(&operation.status)) }
            td { (timestamp(operation.started_at)) }
            td { @if let Some(at) = operation.finished_at { (timestamp(at)) } @else { "not known" } }
            td {
                @if let Some(id) = &operation.id { p { "operation " code { (id) } } }
                @if let Some(id) = &operation.request_id { p { "request " code { (id) } } }
                @else { p.quiet { (starter(operation)) } }
            }
        }
    }
}

/// A time long ago: the date says more than the days since.
fn timestamp(at: Timestamp) -> Markup {
    html! { time datetime=(format!("{at:.0}")) { (utc(at)) } }
}

fn title(operation: &OperationRecord) -> Markup {
    let kind = operation.kind.as_str();
    html! {
        (if kind.is_empty() { "operation" } else { kind })
        @if let Some(version) = &operation.release { " of version " (version) }
    }
}

fn starter(operation: &OperationRecord) -> &'static str {
    if operation.adopted { "another client" } else { "golive" }
}

fn status(status: &OperationStatus) -> Markup {
    let (class, text) = match status {
        OperationStatus::NotStarted => ("moving", "accepted"),
        OperationStatus::Running => ("moving", "running"),
        OperationStatus::Succeeded => ("live", "succeeded"),
        OperationStatus::Failed => ("failed", "failed"),
        OperationStatus::Canceled => ("held", "canceled"),
        OperationStatus::Refused => ("held", "refused"),
        OperationStatus::Unknown(text) => ("moving", text.as_str()),
    };
    html! { span class={ "st " (class) } { (text) } }
}

/// The CSS class and the words of a step's status.
fn step_status(status: &StepStatus) -> (&'static str, &str) {
    match status {
        StepStatus::NotStarted => ("todo", "not begun"),
        StepStatus::InProgress => ("moving", "under way"),
        StepStatus::WaitingForPublisherReview => ("held", "waits for the publisher"),
        StepStatus::WaitingForApproval => ("held", "waits for approval"),
        StepStatus::Blocked => ("failed", "blocked"),
        StepStatus::Rejected => ("failed", "rejected"),
        StepStatus::Complete => ("live", "done"),
        StepStatus::Failed => ("failed", "failed"),
        StepStatus::Canceled => ("held", "canceled"),
        StepStatus::Unknown(text) => ("moving", text),
    }
}
