//! An offer as the API writes it. Pure: from the model to the wire types.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::dialect::{Dialect, StatusIn};
use super::undocumented::{OfferAnswer, Publication, StatusAnswer, UndocumentedFields};
use crate::backends::portal::wire::{
    LinkWire, MessageWire, OfferWire, OperationWire, StepWire, SubmissionWire,
};
use crate::emulator::ids::guid;
use crate::emulator::model::operation::{Ending, Message, Plan, State};
use crate::emulator::model::stage::{IdleStatus, Stage};
use crate::emulator::model::{Moment, Offer, Operation};
use crate::emulator::seed::answers::{OfferIds, StepNames};
use crate::emulator::seed::offer::{BlockedAs, Kind, Level, SIGN_OFF, Step};
use crate::emulator::seed::{Profile, SeedDuration};

/// The steps while nothing runs.
#[derive(Clone, Copy)]
enum Idle {
    NotBegun,
    WaitingForSignOff,
    Complete,
}

/// An offer at a moment by which it is settled.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub offer: &'a Offer,
    pub moment: Moment<'a>,
}

impl<'a> View<'a> {
    /// An offer as it was some time ago.
    pub(super) fn lagging(offer: &'a Offer, moment: Moment<'a>, lag: Option<SeedDuration>) -> Self {
        let lag = lag.map_or(SignedDuration::ZERO, SeedDuration::signed);
        let now = moment.now.checked_sub(lag).unwrap_or(Timestamp::MIN);
        Self { offer: offer.as_of(now), moment: Moment { now, ..moment } }
    }

    pub(super) fn dialect(&self) -> Dialect<'a> {
        Dialect(self.moment.behaviour)
    }

    /// An element of the list.
    pub(super) fn summary(&self) -> OfferAnswer {
        let title = self.offer.draft.definition.get("displayText");
        let definition = title.map(|title| json!({ "displayText": title }));
        self.offer_answer(StatusIn::OfferList, self.offer.version, definition, self.offer.changed)
    }

    /// The whole of a version; the draft without one.
    pub(super) fn full(&self, version: Option<u64>) -> Option<OfferAnswer> {
        let (number, content) = match version {
            None => (self.offer.version, &self.offer.draft),
            Some(version) => (version, self.offer.content(version)?),
        };
        let changed = version.map_or(self.offer.changed, |_| content.changed);
        let definition = Some(content.definition.clone());
        Some(self.offer_answer(StatusIn::Offer, number, definition, changed))
    }

    fn offer_answer(
        &self,
        place: StatusIn,
        version: u64,
        definition: Option<Value>,
        changed: Timestamp,
    ) -> OfferAnswer {
        let (offer, dialect) = (self.offer, self.dialect());
        let wire = OfferWire {
            offer_id: None,
            offer_type_id: Some(offer.type_id.clone()),
            publisher_id: Some(offer.publisher.clone()),
            status: Some(dialect.offer_status(place, offer)),
            id: Some(offer.id.clone()),
            version: Some(version),
            definition,
            changed_time: Some(dialect.time(changed)),
            pc_migration_status: Some(dialect.migration().to_owned()),
            etag: (place == StatusIn::Offer && dialect.etags()).then(|| dialect.etag(offer)),
        };
        let undocumented =
            (self.moment.behaviour.profile == Profile::Field).then(UndocumentedFields::default);
        OfferAnswer { offer: wire, undocumented }
    }

    /// The answer to *offer status*.
    pub(super) fn status_report(&self) -> StatusAnswer {
        let offer = self.offer;
        let all_live = offer.preview == offer.production;
        let steps = match (offer.stage(), offer.operations.last()) {
            (
                Stage::Running(_) | Stage::Idle(IdleStatus::Canceled | IdleStatus::Failed),
                Some(last),
            ) => self.steps(last),
            (Stage::Idle(IdleStatus::Succeeded), _) if all_live => self.idle_steps(Idle::Complete),
            (Stage::Idle(IdleStatus::WaitingForPublisherReview | IdleStatus::Succeeded), _) => {
                self.idle_steps(Idle::WaitingForSignOff)
            }
            (Stage::Running(_) | Stage::Idle(_), _) => self.idle_steps(Idle::NotBegun),
        };
        let status = OperationWire {
            status: Some(self.dialect().offer_status(StatusIn::OfferStatus, offer)),
            steps,
            preview_links: self.links(offer.preview, "preview"),
            live_links: self.links(offer.production, "live"),
            ..OperationWire::default()
        };
        StatusAnswer { status, publication: self.publication() }
    }

    /// The publication that *offer status* is about: what runs, or failed, or is in a slot.
    fn publication(&self) -> Option<Publication> {
        if !self.dialect().status_has_publication() {
            return None;
        }
        let operations = &self.offer.operations;
        let about = match self.offer.stage() {
            Stage::Idle(IdleStatus::NeverPublished | IdleStatus::NotStarted) => None,
            Stage::Idle(IdleStatus::WaitingForPublisherReview | IdleStatus::Succeeded) => {
                operations.iter().rev().find(|own| Some(own.version) == self.offer.preview)
            }
            Stage::Running(_) | Stage::Idle(IdleStatus::Canceled | IdleStatus::Failed) => {
                operations.last()
            }
        };
        Some(Publication {
            publishing_version: about.map_or(0, |operation| operation.publishing),
            offer_version: about.map_or(0, |operation| operation.version),
            cancellation_request_state: self.word(about.map_or("none", cancellation)),
            notification_emails: None,
        })
    }

    /// An element of *list operations*.
    pub(super) fn submission(&self, operation: &Operation) -> SubmissionWire {
        let dialect = self.dialect();
        let waits = operation.kind == Kind::Publish
            && self.offer.waits_for_sign_off() == Some(operation.version);
        let in_sign_off =
            self.moment.behaviour.answers.publish_in_sign_off.clone().filter(|_| waits);
        SubmissionWire {
            status: None,
            id: Some(operation.id.clone()),
            offer_id: Some(match dialect.offer_ids() {
                OfferIds::Name => self.offer.id.clone(),
                OfferIds::Guid => guid(&format!("offer {}", self.offer.name())),
            }),
            publisher_id: Some(self.offer.publisher.clone()),
            submission_type: Some(self.word(match operation.kind {
                Kind::Publish => "publish",
                Kind::GoLive => dialect.golive_type(),
            })),
            submission_state: Some(in_sign_off.unwrap_or_else(|| self.word(state_word(operation)))),
            slot: Some(slot_word(operation).to_owned()),
            publishing_version: dialect.publishing_version(operation.publishing),
            offer_version: Some(operation.version),
            changed_time: Some(dialect.time(operation.changed())),
        }
    }

    /// The answer to *get operation*.
    pub(super) fn operation(&self, operation: &Operation) -> OperationWire {
        let dialect = self.dialect();
        let succeeded = matches!(operation.state, State::Ended { ending: Ending::Succeeded, .. });
        let own_word = self.moment.behaviour.entry.succeeded_as.as_deref().filter(|_| succeeded);
        let (preview, live) = match operation.kind {
            Kind::Publish => (Some(operation.version), None),
            Kind::GoLive => (None, Some(operation.version)),
        };
        OperationWire {
            status: Some(self.word(own_word.unwrap_or(state_word(operation)))),
            messages: Vec::new(),
            publishing_version: dialect.publishing_version(operation.publishing),
            offer_version: Some(operation.version),
            cancellation_request_state: Some(self.word(cancellation(operation))),
            steps: self.steps(operation),
            preview_links: self.links(preview.filter(|_| succeeded), "preview"),
            live_links: self.links(live.filter(|_| succeeded), "live"),
        }
    }

    fn word(&self, text: &str) -> String {
        self.dialect().operation_word(text)
    }

    fn links(&self, version: Option<u64>, stage: &str) -> Vec<LinkWire> {
        let (publisher, id) = (&self.offer.publisher, &self.offer.id);
        let link = |version| LinkWire {
            display_text: Some(format!("{id}, version {version}")),
            uri: Some(format!("https://{stage}.marketplace.example/{publisher}.{id}")),
        };
        version.map(link).into_iter().collect()
    }

    /// The steps while nothing runs.
    fn idle_steps(&self, idle: Idle) -> Vec<StepWire> {
        // Some kinds of offers have no step for the sign-off: there it lies between two steps.
        let (golive, _) = self.moment.behaviour.entry.steps_of(Kind::GoLive);
        let status = |index: usize, id: &str| match idle {
            Idle::Complete => ("complete", 100),
            Idle::WaitingForSignOff if id == SIGN_OFF => ("waitingForPublisherReview", 0),
            Idle::WaitingForSignOff if index < golive => ("complete", 100),
            Idle::NotBegun | Idle::WaitingForSignOff => ("notStarted", 0),
        };
        let rows = self.moment.behaviour.entry.step_list().into_iter().enumerate();
        rows.map(|(index, row)| self.step(row, status(index, row.id), None, self.offer.changed))
            .collect()
    }

    /// The steps of an operation.
    fn steps(&self, operation: &Operation) -> Vec<StepWire> {
        let list = self.moment.behaviour.entry.step_list();
        // An operation that is to be canceled goes no further.
        let until = match operation.state {
            State::Canceling { since, .. } => since,
            State::Running | State::Ended { .. } => self.moment.now,
        };
        let (done, part) = match operation.state {
            State::Ended { done, .. } => (done, 0),
            State::Running | State::Canceling { .. } => {
                let done = operation.done(until);
                (done, (operation.hundredths(until) - done * 100).min(99))
            }
        };
        let own = |index: usize, id: &str| match index.checked_sub(operation.first) {
            None => ("complete", 100),
            Some(own) if own < done.min(operation.count) => ("complete", 100),
            Some(own) if own == done && own < operation.count => current(operation, done, part),
            Some(own) if own == operation.count && id == SIGN_OFF => match operation.state {
                State::Ended { ending: Ending::Succeeded, .. } => ("waitingForPublisherReview", 0),
                State::Ended { .. } | State::Running | State::Canceling { .. } => ("notStarted", 0),
            },
            Some(_) => ("notStarted", 0),
        };
        let note = match (&operation.plan, &operation.state) {
            (Plan::Fail(step, note), State::Ended { ending: Ending::Failed, .. })
            | (Plan::Block(step, _, note), _)
                if done >= *step =>
            {
                Some((operation.first + step, note))
            }
            (Plan::Succeed | Plan::Cancel | Plan::Fail(..) | Plan::Block(..), _) => None,
        };
        let at = operation.changed();
        let steps = list.into_iter().enumerate().map(|(index, row)| {
            let note = note.filter(|(of, _)| *of == index).map(|(_, note)| note);
            self.step(row, own(index, row.id), note, at)
        });
        steps.collect()
    }

    fn step(
        &self,
        step: Step<'_>,
        (status, progress): (&str, usize),
        note: Option<&Message>,
        at: Timestamp,
    ) -> StepWire {
        let seeded = self.moment.behaviour.entry.messages.iter();
        let seeded = seeded.filter(|message| message.step == step.id && status != "notStarted");
        let seeded = seeded.map(|message| (message.message.as_str(), message.level));
        let note = note.filter(|note| !note.html.is_empty());
        let notes = seeded.chain(note.map(|note| (note.html.as_str(), note.level)));
        StepWire {
            id: Some(step.id.to_owned()),
            step_name: Some(match self.dialect().step_names() {
                StepNames::Id => step.id.to_owned(),
                StepNames::Title => step.title.to_owned(),
            }),
            description: Some(String::new()),
            estimated_time_frame: Some(step.estimate.to_owned()),
            status: Some(self.word(status)),
            progress_percentage: Some(progress as u64),
            messages: notes
                .map(|(html, level)| MessageWire {
                    message_html: Some(html.to_owned()),
                    level: Some(level_word(level).to_owned()),
                    timestamp: Some(self.dialect().time(at)),
                })
                .collect(),
        }
    }
}

/// The status and the progress of the step an operation is at.
fn current(operation: &Operation, done: usize, part: usize) -> (&'static str, usize) {
    match (operation.state, &operation.plan) {
        (State::Ended { ending: Ending::Failed, .. }, _) => ("failed", 0),
        (State::Ended { ending: Ending::Canceled, .. }, _) => ("canceled", 0),
        (State::Ended { ending: Ending::Succeeded, .. }, _) => ("complete", 100),
        (State::Running | State::Canceling { .. }, Plan::Block(step, halt, _)) if done == *step => {
            let word = match halt {
                BlockedAs::Blocked => "blocked",
                BlockedAs::WaitingForApproval => "waitingForApproval",
                BlockedAs::Rejected => "rejected",
            };
            (word, 0)
        }
        (State::Running | State::Canceling { .. }, _) => ("inProgress", part),
    }
}

/// Whether somebody asked for an operation's end.
fn cancellation(operation: &Operation) -> &'static str {
    match operation.state {
        State::Canceling { .. } => "requested",
        State::Ended { ending: Ending::Canceled, .. } => "canceled",
        State::Running | State::Ended { ending: Ending::Succeeded | Ending::Failed, .. } => "none",
    }
}

/// The status of an operation as a submission writes it.
fn state_word(operation: &Operation) -> &'static str {
    match operation.state {
        State::Running | State::Canceling { .. } => "running",
        State::Ended { ending: Ending::Succeeded, .. } => "succeeded",
        State::Ended { ending: Ending::Failed, .. } => "failed",
        State::Ended { ending: Ending::Canceled, .. } => "canceled",
    }
}

fn slot_word(operation: &Operation) -> &'static str {
    match operation.kind {
        Kind::Publish => "staging",
        Kind::GoLive => "production",
    }
}

fn level_word(level: Level) -> &'static str {
    match level {
        Level::Information => "information",
        Level::Warning => "warning",
        Level::Error => "error",
    }
}
