//! Where an offer is in its life, by the answer to *offer status*. Pure.
//!
//! The word at the top of the answer decides nothing against a step: while a preview waits for the
//! publisher's sign-off the field says `running`, the reference `WaitingForPublisherReview`, and the
//! step `publisher-signoff` says `waitingForPublisherReview` in both (azure-img-utils, BOSH pipeline).

use super::model::{OfferStatus, StatusReport};
use crate::marketplace::{OperationKind, OperationStatus, Step, StepStatus};

/// Where an offer is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// A draft, never published.
    NeverPublished,
    /// A preview waits for the publisher's sign-off.
    SignOff,
    /// Something runs.
    Running(OperationKind),
    /// The publication is in production.
    Live,
    /// Nothing runs; the slots tell what is where.
    AtRest,
    /// The last operation ended without success.
    Ended(OperationKind, OperationStatus),
    /// The answer contradicts itself, or has words that this golive doesn't know.
    Unclear(String),
}

impl Stage {
    pub(super) fn of(report: &StatusReport) -> Self {
        let sign_off = step(&report.steps, "publishersignoff").map(|step| &step.status);
        let live = step(&report.steps, "live").map(|step| &step.status);
        let moving = report.steps.iter().any(|step| is_moving(&step.status));
        if sign_off == Some(&StepStatus::WaitingForPublisherReview) {
            return match live {
                Some(status) if is_moving(status) => unclear(report, "the sign-off waits", status),
                _ if report.status == OfferStatus::NeverPublished => {
                    Self::Unclear("neverPublished, but the sign-off waits".to_owned())
                }
                _ => Self::SignOff,
            };
        }
        match &report.status {
            OfferStatus::NeverPublished if moving => Self::Running(running_kind(report)),
            OfferStatus::NeverPublished => Self::NeverPublished,
            OfferStatus::Running => Self::Running(running_kind(report)),
            OfferStatus::WaitingForPublisherReview => match (sign_off, live) {
                (_, Some(status)) if is_moving(status) => Self::Running(OperationKind::GoLive),
                // Not every type of offer has the step; then the word is all there is.
                (None, None | Some(StepStatus::NotStarted)) => Self::SignOff,
                (Some(status), _) => unclear(report, "it", status),
                (None, Some(status)) => unclear(report, "the step live", status),
            },
            // A step that is under way outweighs a word that says that nothing is.
            _ if moving => Self::Running(running_kind(report)),
            OfferStatus::NotStarted => Self::AtRest,
            OfferStatus::Succeeded | OfferStatus::Published => match live {
                Some(StepStatus::Complete) => Self::Live,
                Some(StepStatus::Failed | StepStatus::Rejected) => {
                    Self::Ended(OperationKind::GoLive, OperationStatus::Failed)
                }
                Some(StepStatus::Canceled) => {
                    Self::Ended(OperationKind::GoLive, OperationStatus::Canceled)
                }
                Some(
                    StepStatus::NotStarted
                    | StepStatus::InProgress
                    | StepStatus::WaitingForPublisherReview
                    | StepStatus::WaitingForApproval
                    | StepStatus::Blocked
                    | StepStatus::Unknown(_),
                )
                | None => Self::AtRest,
            },
            OfferStatus::Canceled => Self::Ended(last_kind(report), OperationStatus::Canceled),
            OfferStatus::Failed => Self::Ended(last_kind(report), OperationStatus::Failed),
            OfferStatus::Unknown(word) => Self::Unclear(word.clone()),
        }
    }
}

fn unclear(report: &StatusReport, what: &str, step: &StepStatus) -> Stage {
    Stage::Unclear(format!(
        "{}, but {what} has a step that says {step}",
        report.status.as_str()
    ))
}

/// A step by its name, which stands in `id`, in `stepName`, or in both; as `publisher-signoff` or as
/// `Publisher signoff`.
pub(super) fn step<'a>(steps: &'a [Step], name: &str) -> Option<&'a Step> {
    let is_named = |text: &str| {
        let letters = text.chars().filter(char::is_ascii_alphanumeric);
        letters.map(|letter| letter.to_ascii_lowercase()).eq(name.chars())
    };
    steps.iter().find(|step| is_named(&step.id) || is_named(&step.name))
}

fn is_moving(status: &StepStatus) -> bool {
    match status {
        StepStatus::InProgress | StepStatus::WaitingForApproval | StepStatus::Blocked => true,
        StepStatus::NotStarted
        | StepStatus::WaitingForPublisherReview
        | StepStatus::Rejected
        | StepStatus::Complete
        | StepStatus::Failed
        | StepStatus::Canceled
        | StepStatus::Unknown(_) => false,
    }
}

/// What runs, as far as the steps tell: before the sign-off a publish, after it a golive.
fn running_kind(report: &StatusReport) -> OperationKind {
    match step(&report.steps, "publishersignoff").map(|step| &step.status) {
        Some(StepStatus::NotStarted) => OperationKind::Publish,
        Some(StepStatus::Complete) => OperationKind::GoLive,
        Some(
            StepStatus::InProgress
            | StepStatus::WaitingForPublisherReview
            | StepStatus::WaitingForApproval
            | StepStatus::Blocked
            | StepStatus::Rejected
            | StepStatus::Failed
            | StepStatus::Canceled
            | StepStatus::Unknown(_),
        )
        | None => OperationKind::Unknown(String::new()),
    }
}

/// What ended, likewise.
fn last_kind(report: &StatusReport) -> OperationKind {
    let live = step(&report.steps, "live").map(|step| &step.status);
    match live {
        Some(StepStatus::Failed | StepStatus::Rejected | StepStatus::Canceled) => {
            OperationKind::GoLive
        }
        _ => running_kind(report),
    }
}

/// How an operation stands, and whether it still runs, by its word and its steps.
pub(super) fn standing(
    kind: &OperationKind,
    status: &OperationStatus,
    steps: &[Step],
) -> (OperationStatus, bool) {
    if status.is_finished() {
        return (status.clone(), false);
    }
    // A publish that waits for the sign-off has done what it can.
    let waits = step(steps, "publishersignoff")
        .is_some_and(|step| step.status == StepStatus::WaitingForPublisherReview);
    if waits && *kind == OperationKind::Publish {
        return (OperationStatus::Succeeded, false);
    }
    let complete = !steps.is_empty()
        && (steps.iter().all(|step| step.status == StepStatus::Complete)
            || step(steps, "live").is_some_and(|step| step.status == StepStatus::Complete));
    let stopped = steps.iter().any(|step| match step.status {
        StepStatus::Failed | StepStatus::Rejected | StepStatus::Canceled => true,
        StepStatus::NotStarted
        | StepStatus::InProgress
        | StepStatus::WaitingForPublisherReview
        | StepStatus::WaitingForApproval
        | StepStatus::Blocked
        | StepStatus::Complete
        | StepStatus::Unknown(_) => false,
    });
    let is_unknown = matches!(status, OperationStatus::Unknown(_));
    (status.clone(), !complete && !(is_unknown && stopped))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(word: &str, sign_off: &str, live: &str) -> StatusReport {
        let step = |id: &str, status: &str| Step {
            estimate: None,
            id: id.to_owned(),
            messages: Vec::new(),
            name: id.to_owned(),
            progress: None,
            status: status.into(),
        };
        let named = [("publisher-signoff", sign_off), ("Live", live)];
        let steps = named.into_iter().filter(|(_, status)| !status.is_empty());
        StatusReport {
            status: word.into(),
            steps: steps.map(|(id, status)| step(id, status)).collect(),
            messages: Vec::new(),
            publishing_version: None,
            offer_version: None,
        }
    }

    #[test]
    fn the_sign_off_step_outweighs_the_word_above_it() {
        let waits = "waitingForPublisherReview";
        for word in ["running", "WaitingForPublisherReview", "succeeded", "published", "Dreaming"] {
            assert_eq!(Stage::of(&report(word, waits, "notStarted")), Stage::SignOff, "{word}");
            let both = Stage::of(&report(word, waits, "inProgress"));
            assert!(matches!(both, Stage::Unclear(_)), "{word}: {both:?}");
        }
        let titled = Step { name: "Publisher signoff".to_owned(), id: "5".to_owned(), ..report("", waits, "").steps.remove(0) };
        let titled = StatusReport { steps: vec![titled], ..report("running", "", "") };
        assert_eq!(Stage::of(&titled), Stage::SignOff);
    }

    #[test]
    fn each_stage_as_field_and_reference_show_it() {
        let golive = OperationKind::GoLive;
        for (word, sign_off, live, stage) in [
            ("neverPublished", "notStarted", "notStarted", Stage::NeverPublished),
            ("running", "notStarted", "notStarted", Stage::Running(OperationKind::Publish)),
            ("running", "complete", "inProgress", Stage::Running(golive.clone())),
            ("running", "complete", "notStarted", Stage::Running(golive.clone())),
            ("succeeded", "complete", "inProgress", Stage::Running(golive.clone())),
            ("succeeded", "complete", "complete", Stage::Live),
            ("succeeded", "notStarted", "complete", Stage::Live),
            ("Succeeded", "complete", "notStarted", Stage::AtRest),
            ("published", "", "", Stage::AtRest),
            ("Failed", "complete", "failed", Stage::Ended(golive.clone(), OperationStatus::Failed)),
            ("succeeded", "complete", "failed", Stage::Ended(golive, OperationStatus::Failed)),
            (
                "canceled",
                "notStarted",
                "notStarted",
                Stage::Ended(OperationKind::Publish, OperationStatus::Canceled),
            ),
            ("WaitingForPublisherReview", "", "", Stage::SignOff),
            ("Dreaming", "complete", "complete", Stage::Unclear("Dreaming".to_owned())),
        ] {
            assert_eq!(Stage::of(&report(word, sign_off, live)), stage, "{word} {sign_off} {live}");
        }
        let odd = Stage::of(&report("WaitingForPublisherReview", "complete", "failed"));
        assert!(matches!(odd, Stage::Unclear(_)), "{odd:?}");
    }

    #[test]
    fn an_unknown_word_runs_only_while_the_steps_do_not_say_otherwise() {
        let runs = |word: &str, kind: OperationKind, sign_off: &str, live: &str| {
            standing(&kind, &word.into(), &report("", sign_off, live).steps).1
        };
        let golive = || OperationKind::GoLive;
        assert!(runs("Dreaming", golive(), "complete", "inProgress"));
        assert!(runs("Dreaming", golive(), "", ""));
        assert!(!runs("published", golive(), "complete", "complete"));
        assert!(!runs("Dreaming", golive(), "complete", "failed"));
        assert!(runs("running", golive(), "complete", "rejected"));
        assert!(runs("running", golive(), "waitingForPublisherReview", "notStarted"));
        assert!(!runs("running", OperationKind::Publish, "waitingForPublisherReview", ""));
    }
}
