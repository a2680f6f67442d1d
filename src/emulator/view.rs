//! An offer as the API writes it. Pure: from the model to the wire types.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde_json::json;

use super::behaviour::{Casing, Halt, Kind, Level, OfferSeed, SIGN_OFF};
use super::model::{Offer, Resting};
use super::operation::{Ending, Fate, Note, Operation, State};
use crate::marketplace::portal::wire::{
    LinkWire, MessageWire, OfferWire, OperationWire, StatusWire, StepWire, SubmissionWire,
};

/// A moment as the API writes it: UTC, seven fractional digits.
pub(super) fn time(at: Timestamp) -> String {
    // The fraction of a moment before 1970 counts backwards; none is shown here.
    let ticks = at.subsec_nanosecond().max(0) / 100;
    format!("{}.{ticks:07}Z", at.strftime("%Y-%m-%dT%H:%M:%S"))
}

/// What a word names, for its spelling.
#[derive(Clone, Copy)]
enum Word {
    Offer,
    Operation,
}

fn spell(text: &str, word: Word, casing: Casing) -> String {
    let mut letters = text.chars();
    let Some(first) = letters.next() else {
        return String::new();
    };
    let first = match (casing, word) {
        (Casing::Pascal, _) | (Casing::Mixed, Word::Offer) => first.to_ascii_uppercase(),
        (Casing::Camel, _) | (Casing::Mixed, Word::Operation) => first.to_ascii_lowercase(),
    };
    std::iter::once(first).chain(letters).collect()
}

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
    pub behaviour: &'a OfferSeed,
    pub now: Timestamp,
}

impl View<'_> {
    /// The offer's status.
    pub(super) fn status(&self) -> String {
        if let Some(shown) = &self.offer.shown {
            return shown.clone();
        }
        let text = match (self.offer.running(), self.offer.resting) {
            (Some(_), _) => "Running",
            (None, Resting::NeverPublished) => "NeverPublished",
            (None, Resting::NotStarted) => "NotStarted",
            (None, Resting::WaitingForPublisherReview) => "WaitingForPublisherReview",
            (None, Resting::Succeeded) => "Succeeded",
            (None, Resting::Canceled) => "Canceled",
            (None, Resting::Failed) => "Failed",
        };
        spell(text, Word::Offer, self.behaviour.casing)
    }

    /// An element of the list.
    pub(super) fn summary(&self) -> OfferWire {
        let offer = self.offer;
        let list_status = self.behaviour.list_status.clone();
        OfferWire {
            offer_type_id: Some(offer.type_id.clone()),
            publisher_id: Some(offer.publisher.clone()),
            status: Some(list_status.unwrap_or_else(|| self.status())),
            id: Some(offer.id.clone()),
            offer_id: None,
            version: Some(offer.version),
            definition: offer
                .draft
                .definition
                .get("displayText")
                .map(|title| json!({ "displayText": title })),
            changed_time: Some(time(offer.changed)),
            pc_migration_status: Some("notMigrated".to_owned()),
            etag: None,
        }
    }

    /// The whole of a version; the draft without one.
    pub(super) fn full(&self, version: Option<u64>) -> Option<OfferWire> {
        let (number, content) = match version {
            None => (self.offer.version, &self.offer.draft),
            Some(version) => (version, self.offer.content(version)?),
        };
        let changed = version.map_or(self.offer.changed, |_| content.changed);
        Some(OfferWire {
            version: Some(number),
            status: Some(self.status()),
            definition: Some(content.definition.clone()),
            changed_time: Some(time(changed)),
            etag: Some(self.offer.etag()),
            ..self.summary()
        })
    }

    /// The answer to *offer status*.
    pub(super) fn status_report(&self) -> StatusWire {
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
        StatusWire {
            publishing_version: None,
            offer_version: None,
            status: Some(self.status()),
            messages: Vec::new(),
            steps,
            preview_links: self.links(offer.preview, "preview"),
            live_links: self.links(offer.production, "live"),
        }
    }

    /// An element of *list operations*.
    pub(super) fn submission(&self, operation: &Operation) -> SubmissionWire {
        SubmissionWire {
            id: Some(operation.id.clone()),
            offer_id: Some(self.offer.id.clone()),
            publisher_id: Some(self.offer.publisher.clone()),
            submission_type: Some(self.word(match operation.kind {
                Kind::Publish => "publish",
                Kind::GoLive => "golive",
            })),
            submission_state: Some(self.word(state_word(operation))),
            status: None,
            slot: Some(operation.slot().to_owned()),
            publishing_version: Some(operation.publishing),
            offer_version: Some(operation.version),
            changed_time: Some(time(operation.changed())),
        }
    }

    /// The answer to *get operation*.
    pub(super) fn operation(&self, operation: &Operation) -> OperationWire {
        let succeeded = matches!(operation.state, State::Ended { ending: Ending::Succeeded, .. });
        let own_word = self.behaviour.succeeded_as.as_deref().filter(|_| succeeded);
        let (preview, live) = match operation.kind {
            Kind::Publish => (Some(operation.version), None),
            Kind::GoLive => (None, Some(operation.version)),
        };
        OperationWire {
            status: Some(self.word(own_word.unwrap_or(state_word(operation)))),
            messages: Vec::new(),
            publishing_version: Some(operation.publishing),
            offer_version: Some(operation.version),
            cancellation_request_state: Some(self.word(match operation.state {
                State::Canceling { .. } => "requested",
                State::Ended { ending: Ending::Canceled, .. } => "canceled",
                State::Running
                | State::Ended { ending: Ending::Succeeded | Ending::Failed, .. } => "none",
            })),
            steps: self.steps(operation),
            preview_links: self.links(preview.filter(|_| succeeded), "preview"),
            live_links: self.links(live.filter(|_| succeeded), "live"),
        }
    }

    fn word(&self, text: &str) -> String {
        spell(text, Word::Operation, self.behaviour.casing)
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
        let list = self.behaviour.step_list();
        let sign_off = list.iter().position(|(id, ..)| *id == SIGN_OFF).unwrap_or(list.len());
        let status = |index: usize| match rest {
            Rest::NotBegun => ("notStarted", 0),
            Rest::Complete => ("complete", 100),
            Rest::WaitingForSignOff => match index.cmp(&sign_off) {
                Ordering::Less => ("complete", 100),
                Ordering::Equal => ("waitingForPublisherReview", 0),
                Ordering::Greater => ("notStarted", 0),
            },
        };
        let rows = list.into_iter().enumerate();
        rows.map(|(index, row)| self.step(row, status(index), None, self.offer.changed)).collect()
    }

    /// The steps of an operation.
    fn steps(&self, operation: &Operation) -> Vec<StepWire> {
        let list = self.behaviour.step_list();
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
        let own = |index: usize| match index.checked_sub(operation.first) {
            None => ("complete", 100),
            Some(own) if own < done.min(operation.count) => ("complete", 100),
            Some(own) if own == done && own < operation.count => current(operation, done, part),
            Some(own) if own == operation.count => match operation.state {
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
            self.step(row, own(index), note, at)
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
        let seeded = self.behaviour.messages.iter();
        let seeded = seeded.filter(|message| message.step == id && status != "notStarted");
        let seeded = seeded.map(|message| (message.message.as_str(), message.level));
        let note = note.filter(|note| !note.html.is_empty());
        let notes = seeded.chain(note.map(|note| (note.html.as_str(), note.level)));
        StepWire {
            id: Some(id.to_owned()),
            step_name: Some(name.to_owned()),
            description: Some(String::new()),
            estimated_time_frame: Some(estimate.to_owned()),
            status: Some(self.word(status)),
            progress_percentage: Some(progress as u64),
            messages: notes
                .map(|(html, level)| MessageWire {
                    message_html: Some(html.to_owned()),
                    level: Some(level_word(level).to_owned()),
                    timestamp: Some(time(at)),
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

/// The status of an operation as a submission writes it.
pub(super) fn state_word(operation: &Operation) -> &'static str {
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
