//! An offer as the API writes it. Pure: from the model to the wire types.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::behaviour::{Halt, Kind, Level, SIGN_OFF};
use super::dialect::{Behaviour, Read};
use super::ids::guid;
use super::model::Offer;
use super::operation::{Ending, Fate, Note, Operation, State};
use super::response_overrides::{OfferIds, StepNames};
use super::scalar::Length;
use super::stage::Resting;
use super::undocumented::{OfferAnswer, Publication, StatusAnswer};
use crate::backends::portal::wire::{
    LinkWire, MessageWire, OfferWire, OperationWire, StepWire, SubmissionWire,
};

/// How the steps stand while nothing runs.
#[derive(Clone, Copy)]
enum Rest {
    NotBegun,
    WaitingForSignOff,
    Complete,
}

/// An offer and its behaviour, at a moment by which it is settled.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub offer: &'a Offer,
    pub behaviour: &'a Behaviour,
    pub now: Timestamp,
}

impl<'a> View<'a> {
    /// An offer as it was so long ago.
    pub(super) fn lagging(
        offer: &'a Offer,
        behaviour: &'a Behaviour,
        now: Timestamp,
        lag: Option<Length>,
    ) -> Self {
        let lag = lag.map_or(SignedDuration::ZERO, Length::signed);
        let then = now.checked_sub(lag).unwrap_or(Timestamp::MIN);
        Self { offer: offer.before_now(now, lag), behaviour, now: then }
    }
}

impl View<'_> {
    /// The offer's status, as it is told in one place.
    fn word_at(&self, place: Read) -> String {
        let dialect = &self.behaviour.dialect;
        match &self.offer.shown {
            Some(shown) => dialect.shown(place, shown),
            None => dialect.stage(place, self.offer.stage()),
        }
    }

    /// An element of the list.
    pub(super) fn summary(&self) -> OfferAnswer {
        let title = self.offer.draft.definition.get("displayText");
        let definition = title.map(|title| json!({ "displayText": title }));
        self.offer_answer(Read::List, self.offer.version, definition, self.offer.changed)
    }

    /// The whole of a version; the draft without one.
    pub(super) fn full(&self, version: Option<u64>) -> Option<OfferAnswer> {
        let (number, content) = match version {
            None => (self.offer.version, &self.offer.draft),
            Some(version) => (version, self.offer.content(version)?),
        };
        let changed = version.map_or(self.offer.changed, |_| content.changed);
        let definition = Some(content.definition.clone());
        Some(self.offer_answer(Read::Document, number, definition, changed))
    }

    fn offer_answer(
        &self,
        place: Read,
        version: u64,
        definition: Option<Value>,
        changed: Timestamp,
    ) -> OfferAnswer {
        let (offer, dialect) = (self.offer, &self.behaviour.dialect);
        let wire = OfferWire {
            offer_id: None,
            offer_type_id: Some(offer.type_id.clone()),
            publisher_id: Some(offer.publisher.clone()),
            status: Some(self.word_at(place)),
            id: Some(offer.id.clone()),
            version: Some(version),
            definition,
            changed_time: Some(dialect.time(changed)),
            pc_migration_status: Some(dialect.migration().to_owned()),
            etag: (place == Read::Document && dialect.etags).then(|| dialect.etag(offer)),
        };
        OfferAnswer { offer: wire, beyond: dialect.beyond() }
    }

    /// The answer to *offer status*.
    pub(super) fn status_report(&self) -> StatusAnswer {
        let offer = self.offer;
        let last = offer.operations.last();
        let steps = match (offer.running(), offer.resting, last) {
            (Some(operation), _, _)
            | (None, Resting::Canceled | Resting::Failed, Some(operation)) => self.steps(operation),
            (None, Resting::Canceled | Resting::Failed, None)
            | (None, Resting::NeverPublished | Resting::NotStarted, _) => self.rest(Rest::NotBegun),
            (None, Resting::Succeeded, _) if offer.preview == offer.production => {
                self.rest(Rest::Complete)
            }
            (None, Resting::WaitingForPublisherReview | Resting::Succeeded, _) => {
                self.rest(Rest::WaitingForSignOff)
            }
        };
        let status = OperationWire {
            status: Some(self.word_at(Read::Status)),
            steps,
            preview_links: self.links(offer.preview, "preview"),
            live_links: self.links(offer.production, "live"),
            ..OperationWire::default()
        };
        StatusAnswer { status, publication: self.publication() }
    }

    /// The publication that *offer status* is about: what runs, or failed, or is in a slot.
    fn publication(&self) -> Option<Publication> {
        if !self.behaviour.dialect.publishing_version {
            return None;
        }
        let operations = &self.offer.operations;
        let about = match (self.offer.running(), self.offer.resting) {
            (Some(running), _) => Some(running),
            (None, Resting::NeverPublished | Resting::NotStarted) => None,
            (None, Resting::Canceled | Resting::Failed) => operations.last(),
            (None, Resting::WaitingForPublisherReview | Resting::Succeeded) => {
                operations.iter().rev().find(|own| Some(own.version) == self.offer.preview)
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
        let dialect = &self.behaviour.dialect;
        let waits = operation.kind == Kind::Publish
            && self.offer.waits_for_sign_off() == Some(operation.version);
        let in_sign_off = dialect.publish_in_sign_off.clone().filter(|_| waits);
        SubmissionWire {
            status: None,
            id: Some(operation.id.clone()),
            offer_id: Some(match dialect.offer_ids {
                OfferIds::Name => self.offer.id.clone(),
                OfferIds::Guid => guid(&format!("offer {}", self.offer.name())),
            }),
            publisher_id: Some(self.offer.publisher.clone()),
            submission_type: Some(self.word(match operation.kind {
                Kind::Publish => "publish",
                Kind::GoLive => &dialect.golive_type,
            })),
            submission_state: Some(in_sign_off.unwrap_or_else(|| self.word(state_word(operation)))),
            slot: Some(operation.slot().to_owned()),
            publishing_version: dialect.publishing_version_of(operation.publishing),
            offer_version: Some(operation.version),
            changed_time: Some(dialect.time(operation.changed())),
        }
    }

    /// The answer to *get operation*.
    pub(super) fn operation(&self, operation: &Operation) -> OperationWire {
        let dialect = &self.behaviour.dialect;
        let succeeded = matches!(operation.state, State::Ended { ending: Ending::Succeeded, .. });
        let own_word = self.behaviour.entry.succeeded_as.as_deref().filter(|_| succeeded);
        let (preview, live) = match operation.kind {
            Kind::Publish => (Some(operation.version), None),
            Kind::GoLive => (None, Some(operation.version)),
        };
        OperationWire {
            status: Some(self.word(own_word.unwrap_or(state_word(operation)))),
            messages: Vec::new(),
            publishing_version: dialect.publishing_version_of(operation.publishing),
            offer_version: Some(operation.version),
            cancellation_request_state: Some(self.word(cancellation(operation))),
            steps: self.steps(operation),
            preview_links: self.links(preview.filter(|_| succeeded), "preview"),
            live_links: self.links(live.filter(|_| succeeded), "live"),
        }
    }

    fn word(&self, text: &str) -> String {
        self.behaviour.dialect.word(text)
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
    fn rest(&self, rest: Rest) -> Vec<StepWire> {
        // Some kinds of offers have no step for the sign-off: there it lies between two steps.
        let (golive, _) = self.behaviour.entry.own_steps(Kind::GoLive);
        let status = |index: usize, id: &str| match rest {
            Rest::Complete => ("complete", 100),
            Rest::WaitingForSignOff if id == SIGN_OFF => ("waitingForPublisherReview", 0),
            Rest::WaitingForSignOff if index < golive => ("complete", 100),
            Rest::NotBegun | Rest::WaitingForSignOff => ("notStarted", 0),
        };
        let rows = self.behaviour.entry.step_list().into_iter().enumerate();
        rows.map(|(index, row)| self.step(row, status(index, row.0), None, self.offer.changed))
            .collect()
    }

    /// The steps of an operation.
    fn steps(&self, operation: &Operation) -> Vec<StepWire> {
        let list = self.behaviour.entry.step_list();
        // An operation that is to be canceled goes no further.
        let until = match operation.state {
            State::Canceling { since, .. } => since,
            State::Running | State::Ended { .. } => self.now,
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
        let note = match (&operation.fate, &operation.state) {
            (Fate::Fail(step, note), State::Ended { ending: Ending::Failed, .. })
            | (Fate::Halt(step, _, note), _)
                if done >= *step =>
            {
                Some((operation.first + step, note))
            }
            (Fate::Succeed | Fate::Cancel | Fate::Fail(..) | Fate::Halt(..), _) => None,
        };
        let at = operation.changed();
        let steps = list.into_iter().enumerate().map(|(index, row)| {
            let note = note.filter(|(of, _)| *of == index).map(|(_, note)| note);
            self.step(row, own(index, row.0), note, at)
        });
        steps.collect()
    }

    fn step(
        &self,
        (id, name, estimate): (&str, &str, &str),
        (status, progress): (&str, usize),
        note: Option<&Note>,
        at: Timestamp,
    ) -> StepWire {
        let seeded = self.behaviour.entry.messages.iter();
        let seeded = seeded.filter(|message| message.step == id && status != "notStarted");
        let seeded = seeded.map(|message| (message.message.as_str(), message.level));
        let note = note.filter(|note| !note.html.is_empty());
        let notes = seeded.chain(note.map(|note| (note.html.as_str(), note.level)));
        StepWire {
            id: Some(id.to_owned()),
            step_name: Some(match self.behaviour.dialect.step_names {
                StepNames::Id => id.to_owned(),
                StepNames::Title => name.to_owned(),
            }),
            description: Some(String::new()),
            estimated_time_frame: Some(estimate.to_owned()),
            status: Some(self.word(status)),
            progress_percentage: Some(progress as u64),
            messages: notes
                .map(|(html, level)| MessageWire {
                    message_html: Some(html.to_owned()),
                    level: Some(level_word(level).to_owned()),
                    timestamp: Some(self.behaviour.dialect.time(at)),
                })
                .collect(),
        }
    }
}

/// The status and the progress of the step an operation is at.
fn current(operation: &Operation, done: usize, part: usize) -> (&'static str, usize) {
    match (operation.state, &operation.fate) {
        (State::Ended { ending: Ending::Failed, .. }, _) => ("failed", 0),
        (State::Ended { ending: Ending::Canceled, .. }, _) => ("canceled", 0),
        (State::Ended { ending: Ending::Succeeded, .. }, _) => ("complete", 100),
        (State::Running | State::Canceling { .. }, Fate::Halt(step, halt, _)) if done == *step => {
            let word = match halt {
                Halt::Blocked => "blocked",
                Halt::WaitingForApproval => "waitingForApproval",
                Halt::Rejected => "rejected",
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

fn level_word(level: Level) -> &'static str {
    match level {
        Level::Information => "information",
        Level::Warning => "warning",
        Level::Error => "error",
    }
}
