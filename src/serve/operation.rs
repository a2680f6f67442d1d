//! An operation with its steps, and the history of those that ended.

use jiff::Timestamp;
use maud::{Markup, html};

use super::offer_page::fact;
use super::table::bar;
use super::time::{Tense, between, time, utc};
use crate::marketplace::{Level, Message, OperationKind, OperationStatus, Step, StepStatus};
use crate::status::OperationRecord;

/// The operation that runs, or the last one, with its steps.
pub(super) fn operation(operation: &OperationRecord, now: Timestamp) -> Markup {
    html! {
        section.card aria-labelledby="operation" {
            h2 id="operation" {
                (name(&operation.kind))
                @if let Some(version) = &operation.release { " of version " (version) }
                " " span class={ "st " (outcome_class(&operation.status)) } { (status(operation)) }
            }
            @if !operation.messages.is_empty() { (messages(&operation.messages)) }
            @if !operation.steps.is_empty() {
                ol.steps { @for it in &operation.steps { (step(it)) } }
            }
            dl {
                (fact(if operation.adopted { "Found" } else { "Started" }, &time(operation.started_at, now, Tense::Ago)))
                @match operation.finished_at {
                    Some(end) => {
                        (fact("Ended", &time(end, now, Tense::Ago)))
                        (fact("Took", &html! { (between(operation.started_at, end)) }))
                    },
                    None => (fact("So far", &time(operation.started_at, now, Tense::Since))),
                }
                @if let Some(at) = operation.polled_at { (fact("Last heard of", &time(at, now, Tense::Ago))) }
                (fact("Started by", &html! { (starter(operation)) }))
                @if let Some(id) = &operation.id { (fact("Operation id", &html! { code { (id) } })) }
                @if let Some(id) = &operation.request_id { (fact("Request id", &html! { code { (id) } })) }
            }
        }
    }
}

fn step(step: &Step) -> Markup {
    let percent = step.progress.filter(|_| shows_progress(&step.status));
    html! {
        li class=(step_class(&step.status)) {
            p {
                b { (step.name) } " " span.quiet { (words(&step.status)) }
                (bar(&step.name, percent))
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
                li class=[is_bad(&message.level).then_some("bad")] {
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
                            th scope="col" { "Operation" }
                            th scope="col" { "Outcome" }
                            th scope="col" { "Started" }
                            th scope="col" { "Ended" }
                            th scope="col" { "Ids" }
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
            th scope="row" {
                (name(&operation.kind))
                @if let Some(version) = &operation.release { " of version " (version) }
            }
            td { span class={ "st " (outcome_class(&operation.status)) } { (status(operation)) } }
            td { (moment(operation.started_at)) }
            td { @if let Some(at) = operation.finished_at { (moment(at)) } @else { "not known" } }
            td {
                @if let Some(id) = &operation.id { p { "operation " code { (id) } } }
                @if let Some(id) = &operation.request_id { p { "request " code { (id) } } }
                @else { p.quiet { (starter(operation)) } }
            }
        }
    }
}

/// A moment of long ago: when it was says more than how long ago.
fn moment(at: Timestamp) -> Markup {
    html! { time datetime=(format!("{at:.0}")) { (utc(at)) } }
}

fn name(kind: &OperationKind) -> &str {
    let name = kind.as_str();
    if name.is_empty() { "operation" } else { name }
}

fn starter(operation: &OperationRecord) -> &'static str {
    if operation.adopted { "another hand" } else { "golive" }
}

/// The status; of one that ended unseen, that this is not known.
fn status(operation: &OperationRecord) -> &str {
    match &operation.status {
        OperationStatus::NotStarted => "accepted",
        OperationStatus::Running => "running",
        OperationStatus::Succeeded => "succeeded",
        OperationStatus::Failed => "failed",
        OperationStatus::Canceled => "canceled",
        OperationStatus::Refused => "refused",
        OperationStatus::Unknown(text) => text,
    }
}

fn outcome_class(status: &OperationStatus) -> &'static str {
    match status {
        OperationStatus::Succeeded => "live",
        OperationStatus::Failed => "failed",
        OperationStatus::Canceled | OperationStatus::Refused => "held",
        OperationStatus::NotStarted | OperationStatus::Running | OperationStatus::Unknown(_) => {
            "moving"
        }
    }
}

fn words(status: &StepStatus) -> &str {
    match status {
        StepStatus::NotStarted => "not begun",
        StepStatus::InProgress => "under way",
        StepStatus::WaitingForPublisherReview => "waits for the publisher",
        StepStatus::WaitingForApproval => "waits for approval",
        StepStatus::Blocked => "blocked",
        StepStatus::Rejected => "rejected",
        StepStatus::Complete => "done",
        StepStatus::Failed => "failed",
        StepStatus::Canceled => "canceled",
        StepStatus::Unknown(text) => text,
    }
}

fn step_class(status: &StepStatus) -> &'static str {
    match status {
        StepStatus::NotStarted => "todo",
        StepStatus::InProgress | StepStatus::Unknown(_) => "moving",
        StepStatus::WaitingForPublisherReview
        | StepStatus::WaitingForApproval
        | StepStatus::Canceled => "held",
        StepStatus::Blocked | StepStatus::Rejected | StepStatus::Failed => "failed",
        StepStatus::Complete => "live",
    }
}

/// Whether a bar says anything: not of what has not begun, nor of what is done.
fn shows_progress(status: &StepStatus) -> bool {
    match status {
        StepStatus::NotStarted | StepStatus::Complete => false,
        StepStatus::InProgress
        | StepStatus::WaitingForPublisherReview
        | StepStatus::WaitingForApproval
        | StepStatus::Blocked
        | StepStatus::Rejected
        | StepStatus::Failed
        | StepStatus::Canceled
        | StepStatus::Unknown(_) => true,
    }
}

fn is_bad(level: &Level) -> bool {
    match level {
        Level::Error => true,
        Level::Information | Level::Warning | Level::Unknown(_) => false,
    }
}
