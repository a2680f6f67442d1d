//! The stage of an offer's life, from *offer status*. Pure.
//!
//! The overall status never overrides a step: while a preview waits for the publisher's sign-off
//! the field says `running`, the reference `WaitingForPublisherReview`, and the step
//! `publisher-signoff` says `waitingForPublisherReview` in both (azure-img-utils, BOSH pipeline).

use super::model::{OfferStatus, StatusReport};
use crate::marketplace::{OperationKind, OperationStatus, Step, StepStatus};

/// The stage of an offer's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// A draft, never published.
    NeverPublished,
    /// A preview waits for the publisher's sign-off.
    SignOff,
    /// An operation runs.
    Running(OperationKind),
    /// The publication is in production.
    Live,
    /// Nothing runs; the slots show which releases are where.
    AtRest,
    /// The last operation ended without success.
    Ended(OperationKind, OperationStatus),
    /// The answer contradicts itself, or contains values unknown to this version of golive.
    Unclear(String),
}

impl Stage {
    pub(super) fn of(report: &StatusReport) -> Self {
        let sign_off = sign_off(&report.steps).map(|step| &step.status);
        let live = step(&report.steps, "live").map(|step| &step.status);
        let moving = report.steps.iter().any(|step| is_moving(&step.status));
        if sign_off == Some(&StepStatus::WaitingForPublisherReview) {
            return Self::waiting(report, live);
        }
        let is_signed_now = sign_off.is_some_and(is_moving);
        match &report.status {
            // The field decides by these two together, whatever the other steps say.
            OfferStatus::Succeeded if live == Some(&StepStatus::Complete) && !is_signed_now => {
                Self::Live
            }
            OfferStatus::NeverPublished if moving => Self::Running(running_kind(report)),
            OfferStatus::NeverPublished => match report.steps.iter().find(|it| has_begun(it)) {
                Some(step) => unclear(report, &step.id, &step.status),
                None => Self::NeverPublished,
            },
            // No step is left to run: the overall status lags or is stuck.
            OfferStatus::Running if live == Some(&StepStatus::Complete) && !moving => Self::AtRest,
            OfferStatus::Running => Self::Running(running_kind(report)),
            OfferStatus::WaitingForPublisherReview => match (sign_off, live) {
                (_, Some(status)) if is_moving(status) => Self::Running(OperationKind::GoLive),
                (None, None) if report.steps.is_empty() => {
                    Self::Unclear(format!("{}, but no step waits", report.status.as_str()))
                }
                // Not every type of offer has the step; without it, only the overall status
                // remains.
                (None, None | Some(StepStatus::NotStarted | StepStatus::Blocked)) => Self::SignOff,
                (Some(status), _) => unclear(report, "publisher-signoff", status),
                (None, Some(status)) => unclear(report, "live", status),
            },
            // A step under way overrides a status that says nothing runs.
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
                _ => Self::AtRest,
            },
            OfferStatus::Canceled | OfferStatus::Failed
                if live == Some(&StepStatus::Complete)
                    && sign_off == Some(&StepStatus::Complete) =>
            {
                unclear(report, "live", &StepStatus::Complete)
            }
            OfferStatus::Canceled => Self::Ended(last_kind(report), OperationStatus::Canceled),
            OfferStatus::Failed => Self::Ended(last_kind(report), OperationStatus::Failed),
            // The slots show whether it is live.
            OfferStatus::Unknown(_) if live == Some(&StepStatus::Complete) => Self::AtRest,
            OfferStatus::Unknown(word) => {
                Self::Unclear(format!("golive doesn't know the status {word:?}"))
            }
        }
    }

    /// The stage while the sign-off step waits. A step `live` that is under way or complete
    /// contradicts it. A blocked one doesn't: the sign-off may block it.
    fn waiting(report: &StatusReport, live: Option<&StepStatus>) -> Self {
        let word = report.status.as_str();
        match live {
            Some(status) if is_moving(status) || *status == StepStatus::Complete => {
                let why = format!("{word}: the sign-off waits, but the step live says {status}");
                Self::Unclear(why)
            }
            _ if report.status == OfferStatus::NeverPublished => {
                Self::Unclear("neverPublished, but the sign-off waits".to_owned())
            }
            _ => Self::SignOff,
        }
    }
}

fn unclear(report: &StatusReport, name: &str, step: &StepStatus) -> Stage {
    Stage::Unclear(format!("{}, but the step {name} says {step}", report.status.as_str()))
}

/// Finds a step by its name, which may be in `id`, in `stepName`, or in both; as
/// `publisher-signoff` or as `Publisher signoff`.
pub(super) fn step<'a>(steps: &'a [Step], name: &str) -> Option<&'a Step> {
    let is_named = |text: &str| {
        let letters = text.chars().filter(char::is_ascii_alphanumeric);
        letters.map(|letter| letter.to_ascii_lowercase()).eq(name.chars())
    };
    steps.iter().find(|step| is_named(&step.id) || is_named(&step.name))
}

/// The sign-off step. If none has its name, the step whose status is waiting for the publisher.
pub(super) fn sign_off(steps: &[Step]) -> Option<&Step> {
    let waits = |step: &&Step| step.status == StepStatus::WaitingForPublisherReview;
    step(steps, "publishersignoff").or_else(|| steps.iter().find(waits))
}

/// Whether a step has been reached at all.
fn has_begun(step: &Step) -> bool {
    !matches!(step.status, StepStatus::NotStarted | StepStatus::Blocked | StepStatus::Unknown(_))
}

/// Whether a step is under way. A blocked one isn't: it may stay blocked for ever, and the overall
/// status says whether anything runs.
pub(super) fn is_moving(status: &StepStatus) -> bool {
    matches!(status, StepStatus::InProgress | StepStatus::WaitingForApproval)
}

/// Whether a step has ended without success.
pub(super) fn has_failed(step: &Step) -> bool {
    matches!(step.status, StepStatus::Failed | StepStatus::Rejected | StepStatus::Canceled)
}

/// The kind of the running operation, from the steps: a publish before the sign-off, a golive after
/// it.
fn running_kind(report: &StatusReport) -> OperationKind {
    let live = step(&report.steps, "live").map(|step| &step.status);
    match sign_off(&report.steps).map(|step| &step.status) {
        Some(StepStatus::Complete) => OperationKind::GoLive,
        _ if live.is_some_and(is_moving) => OperationKind::GoLive,
        Some(StepStatus::NotStarted) => OperationKind::Publish,
        _ => OperationKind::Unknown(String::new()),
    }
}

/// The kind of the last operation, likewise. Canceling a publish may leave all later steps
/// canceled, including `live`.
fn last_kind(report: &StatusReport) -> OperationKind {
    let live = step(&report.steps, "live").map(|step| &step.status);
    let sign_off = sign_off(&report.steps).map(|step| &step.status);
    match (sign_off, live) {
        (Some(StepStatus::Canceled), _) => OperationKind::Publish,
        (Some(StepStatus::Complete), _) | (_, Some(StepStatus::Failed | StepStatus::Rejected)) => {
            OperationKind::GoLive
        }
        (Some(StepStatus::NotStarted), _) => OperationKind::Publish,
        _ => OperationKind::Unknown(String::new()),
    }
}

/// The status of an operation and whether it still runs, from its overall status and its steps.
pub(super) fn standing(
    kind: &OperationKind,
    status: &OperationStatus,
    steps: &[Step],
) -> (OperationStatus, bool) {
    if status.is_finished() {
        return (status.clone(), false);
    }
    // A publish that waits for the sign-off is complete.
    let waits =
        sign_off(steps).is_some_and(|step| step.status == StepStatus::WaitingForPublisherReview);
    if waits && *kind == OperationKind::Publish {
        return (OperationStatus::Succeeded, false);
    }
    let complete = !steps.is_empty()
        && (steps.iter().all(|step| step.status == StepStatus::Complete)
            || step(steps, "live").is_some_and(|step| step.status == StepStatus::Complete));
    let stopped = steps.iter().any(has_failed);
    let is_unknown = matches!(status, OperationStatus::Unknown(_));
    (status.clone(), !(complete || is_unknown && stopped))
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
            assert_eq!(Stage::of(&report(word, waits, "blocked")), Stage::SignOff, "{word}");
            for live in ["inProgress", "waitingForApproval"] {
                let both = Stage::of(&report(word, waits, live));
                assert!(matches!(both, Stage::Unclear(_)), "{word}: {both:?}");
            }
        }
        let titled = Step {
            name: "Publisher signoff".to_owned(),
            id: "5".to_owned(),
            ..report("", waits, "").steps.remove(0)
        };
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
            (
                "canceled",
                "canceled",
                "canceled",
                Stage::Ended(OperationKind::Publish, OperationStatus::Canceled),
            ),
            (
                "canceled",
                "complete",
                "canceled",
                Stage::Ended(OperationKind::GoLive, OperationStatus::Canceled),
            ),
            (
                "failed",
                "blocked",
                "notStarted",
                Stage::Ended(OperationKind::Unknown(String::new()), OperationStatus::Failed),
            ),
            ("running", "", "inProgress", Stage::Running(OperationKind::GoLive)),
            (
                "succeeded",
                "inProgress",
                "complete",
                Stage::Running(OperationKind::Unknown(String::new())),
            ),
            ("running", "complete", "complete", Stage::AtRest),
            ("complete", "complete", "complete", Stage::Live),
            (
                "Dreaming",
                "complete",
                "notStarted",
                Stage::Unclear("golive doesn't know the status \"Dreaming\"".to_owned()),
            ),
            ("Dreaming", "complete", "complete", Stage::AtRest),
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

    #[test]
    fn a_word_and_a_step_that_contradict_each_other_are_both_shown() {
        for (word, sign_off, live, words) in [
            ("WaitingForPublisherReview", "", "", "WaitingForPublisherReview, but no step waits"),
            (
                "neverPublished",
                "complete",
                "complete",
                "NeverPublished, but the step publisher-signoff says complete",
            ),
            ("failed", "complete", "complete", "Failed, but the step live says complete"),
            (
                "running",
                "waitingForPublisherReview",
                "complete",
                "Running: the sign-off waits, but the step live says complete",
            ),
        ] {
            let stage = Stage::of(&report(word, sign_off, live));
            assert_eq!(stage, Stage::Unclear(words.to_owned()), "{word} {sign_off} {live}");
        }
    }
}
