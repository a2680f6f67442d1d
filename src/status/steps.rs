//! An operation's current step.

use crate::marketplace::{Step, StepStatus};

/// Where an operation is, in words, e.g. `Live, 42 %`.
#[must_use]
pub fn place(steps: &[Step]) -> Option<String> {
    let step = current_step(steps)?;
    let said = || step.messages.first().map(|message| format!(": {}", message.text));
    let stalled = |what: &str| format!("{} {what}{}", step.name, said().unwrap_or_default());
    Some(match (&step.status, step.progress) {
        (StepStatus::WaitingForApproval, _) => stalled("waits for approval"),
        (StepStatus::Blocked, _) => stalled("is blocked"),
        (StepStatus::Rejected, _) => stalled("was rejected"),
        (_, Some(percent)) => format!("{}, {percent} %", step.name),
        (_, None) => step.name.clone(),
    })
}

/// The step that ended an operation, or that is under way, or the last that is done.
#[must_use]
pub(super) fn current_step(steps: &[Step]) -> Option<&Step> {
    stopped_step(steps)
        .or_else(|| steps.iter().find(|step| is_under_way(&step.status)))
        .or_else(|| steps.iter().rfind(|step| step.status == StepStatus::Complete))
}

/// The step that ended an operation without success, if one did.
#[must_use]
pub fn stopped_step(steps: &[Step]) -> Option<&Step> {
    steps.iter().find(|step| is_stopped(&step.status))
}

fn is_stopped(status: &StepStatus) -> bool {
    match status {
        StepStatus::Failed | StepStatus::Rejected | StepStatus::Canceled | StepStatus::Blocked => {
            true
        }
        StepStatus::NotStarted
        | StepStatus::InProgress
        | StepStatus::WaitingForPublisherReview
        | StepStatus::WaitingForApproval
        | StepStatus::Complete
        | StepStatus::Unknown(_) => false,
    }
}

fn is_under_way(status: &StepStatus) -> bool {
    match status {
        StepStatus::InProgress
        | StepStatus::WaitingForPublisherReview
        | StepStatus::WaitingForApproval
        | StepStatus::Unknown(_) => true,
        StepStatus::NotStarted
        | StepStatus::Complete
        | StepStatus::Failed
        | StepStatus::Rejected
        | StepStatus::Canceled
        | StepStatus::Blocked => false,
    }
}
