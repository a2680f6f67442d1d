//! The life of one offer: a pure state machine. Time is an argument, chance there is none.
//!
//! What runs is ended by [`Offer::settle`], at the moment it was due and not at the moment somebody
//! asks, so that the same requests at other times find the same world.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::behaviour::{AfterCancel, Kind};
use super::dialect::{Behaviour, Dialect};
use super::ids::guid;
use super::operation::{Ending, Fate, Operation, Pace, State};
use super::response_overrides::AfterFailure;
use super::snapshot::Snapshot;
use super::stage::{Refused, Resting, Stage};

/// One version of what an offer says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Content {
    pub definition: Value,
    pub changed: Timestamp,
}

/// How often what the seed foretold has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Used {
    pub failures: u32,
    pub cancels: u32,
    pub golive_refusals: u32,
    pub publish_refusals: u32,
}

/// An offer, whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Offer {
    pub publisher: String,
    pub id: String,
    pub type_id: String,
    pub draft: Content,
    pub version: u64,
    pub preview: Option<u64>,
    pub production: Option<u64>,
    /// Everything that was ever in preview.
    pub versions: BTreeMap<u64, Content>,
    /// Whether the draft changed since the last publish began, in more than its definition.
    #[serde(default)]
    pub edited: bool,
    /// The draft as it was when the running publish began.
    pub staged: Option<Content>,
    pub resting: Resting,
    /// What is shown in place of the status, where another hand said so.
    pub shown: Option<String>,
    pub changed: Timestamp,
    pub revision: u64,
    pub operations: Vec<Operation>,
    pub used: Used,
    /// What it was before, the oldest first, where answers lag behind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub past: Vec<Snapshot>,
    /// How many answers showed what was before the last publish.
    #[serde(default)]
    pub stale_answers: u32,
    /// Counts changes since the start of the program: what is zero is as the seed says.
    #[serde(skip)]
    pub stamp: u64,
}

impl Offer {
    /// `publisher/offer`, as it was written.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.publisher, self.id)
    }

    pub(super) fn running(&self) -> Option<&Operation> {
        self.operations.last().filter(|operation| operation.runs())
    }

    /// Where the offer stands.
    pub(super) fn stage(&self) -> Stage {
        match (self.running().map(|running| running.kind), self.resting) {
            (Some(Kind::Publish), _) => Stage::Publish,
            (Some(Kind::GoLive), _) => Stage::GoLive,
            (None, Resting::NeverPublished) => Stage::NeverPublished,
            (None, Resting::NotStarted) => Stage::NotStarted,
            (None, Resting::WaitingForPublisherReview) => Stage::SignOff,
            (None, Resting::Succeeded) => Stage::Live,
            (None, Resting::Canceled) => Stage::Canceled,
            (None, Resting::Failed) => Stage::Failed,
        }
    }

    /// The highest number that a release of it has.
    pub(super) fn last_number(&self) -> u64 {
        self.operations.iter().map(|operation| operation.version).fold(self.version, u64::max)
    }

    /// The content of a version.
    pub(super) fn content(&self, version: u64) -> Option<&Content> {
        let draft = (version == self.version).then_some(&self.draft);
        self.versions.get(&version).or(draft)
    }

    fn change(&mut self, at: Timestamp) {
        self.changed = at;
        self.revision += 1;
        self.stamp += 1;
    }

    /// Ends what was due by now.
    pub(super) fn settle(&mut self, now: Timestamp, behaviour: &Behaviour) {
        if let Some((ending, at, done)) = self.running().and_then(|running| running.due(now)) {
            self.end(ending, at, done, behaviour);
        }
    }

    /// Ends the running operation.
    pub(super) fn end(
        &mut self,
        ending: Ending,
        at: Timestamp,
        done: usize,
        behaviour: &Behaviour,
    ) {
        let Some(operation) = self.operations.last_mut().filter(|operation| operation.runs())
        else {
            return;
        };
        operation.state = State::Ended { ending, at, done };
        let (kind, version) = (operation.kind, operation.version);
        let staged = self.staged.take();
        match (kind, ending) {
            (Kind::Publish, Ending::Succeeded) => {
                let content = staged.unwrap_or_else(|| self.draft.clone());
                self.versions.insert(version, Content { changed: at, ..content });
                self.preview = Some(version);
                self.version = version;
                self.resting = Resting::WaitingForPublisherReview;
            }
            (Kind::GoLive, Ending::Succeeded) => {
                self.production = Some(version);
                self.resting = Resting::Succeeded;
            }
            (_, Ending::Failed) => self.fall_back(kind, &behaviour.dialect),
            (Kind::Publish, Ending::Canceled) => self.resting = Resting::Canceled,
            (Kind::GoLive, Ending::Canceled) => {
                self.resting = match behaviour.entry.after_cancel {
                    AfterCancel::WaitingForPublisherReview => Resting::WaitingForPublisherReview,
                    AfterCancel::Canceled => Resting::Canceled,
                }
            }
        }
        self.change(at);
    }

    /// Comes to rest after an operation failed.
    pub(super) fn fall_back(&mut self, kind: Kind, dialect: &Dialect) {
        match (dialect.after_failure(kind), kind) {
            (AfterFailure::Failed, _) => {
                self.resting = Resting::Failed;
                return;
            }
            (AfterFailure::Fallback, Kind::GoLive) => {
                // The release that failed is gone, with its preview.
                self.preview = self.production;
                self.version = self.production.unwrap_or_else(|| dialect.draft_version());
            }
            (AfterFailure::Fallback | AfterFailure::SignOff, _) => {}
        }
        self.resting = self.before();
    }

    /// What the offer is by its slots alone, whatever ran last.
    pub(super) fn before(&self) -> Resting {
        match (self.preview, self.production) {
            (None, _) => Resting::NeverPublished,
            (Some(preview), Some(live)) if preview == live => Resting::Succeeded,
            (Some(_), Some(_) | None) => Resting::WaitingForPublisherReview,
        }
    }

    /// Counts a poll of one operation; it may be the one that ends it.
    pub(super) fn poll(&mut self, index: usize, now: Timestamp, behaviour: &Behaviour) {
        if let Some(operation) = self.operations.get_mut(index) {
            operation.polls = operation.polls.saturating_add(1);
            // With time as the pace, polls matter only where operations expire by them.
            if matches!(operation.pace, Pace::Polls(_)) || behaviour.entry.expire.polls.is_some() {
                self.stamp += 1;
            }
        }
        self.settle(now, behaviour);
    }

    /// Pushes the draft towards preview. `last_number` is the last one of the large space.
    pub(super) fn publish(
        &mut self,
        now: Timestamp,
        last_number: u64,
        behaviour: &Behaviour,
    ) -> Result<(), Refused> {
        if self.running().is_some() {
            return Err(Refused::Busy);
        }
        self.staged = Some(self.draft.clone());
        self.edited = false;
        self.stale_answers = 0;
        let version = behaviour.dialect.numbers.next(self, last_number);
        self.start(Kind::Publish, version, now, behaviour);
        Ok(())
    }

    /// The publish that brought the draft to preview just as it is, if nothing failed since and
    /// nothing runs: there is nothing new to publish.
    pub(super) fn published(&self) -> Option<&Operation> {
        let rests = match self.stage() {
            Stage::SignOff | Stage::Live => true,
            Stage::NeverPublished
            | Stage::NotStarted
            | Stage::Publish
            | Stage::GoLive
            | Stage::Canceled
            | Stage::Failed => false,
        };
        let last = self.operations.iter().rev().find(|own| own.kind == Kind::Publish)?;
        let content = self.versions.get(&last.version)?;
        let same = !self.edited && content.definition == self.draft.definition;
        (rests && same && self.preview == Some(last.version)).then_some(last)
    }

    /// Pushes the preview towards production.
    pub(super) fn golive(&mut self, now: Timestamp, behaviour: &Behaviour) -> Result<(), Refused> {
        let dialect = &behaviour.dialect;
        let version = match (self.may_go_live(dialect), self.released()) {
            (Ok(version), _) => version,
            (Err(Refused::Busy | Refused::NothingNewer), Some(again))
                if dialect.accepts_second_golive() =>
            {
                self.break_off(now);
                again
            }
            (Err(refused), _) => return Err(refused),
        };
        self.start(Kind::GoLive, version, now, behaviour);
        Ok(())
    }

    /// The release that the last golive is about, where nothing came after it.
    fn released(&self) -> Option<u64> {
        let last = self.operations.last().filter(|last| last.kind == Kind::GoLive)?;
        (self.preview == Some(last.version)).then_some(last.version)
    }

    /// Ends what runs in favour of what takes its place.
    fn break_off(&mut self, now: Timestamp) {
        if let Some(running) = self.operations.last_mut().filter(|last| last.runs()) {
            let done = running.done(now);
            running.state = State::Ended { ending: Ending::Canceled, at: now, done };
        }
    }

    /// The preview that waits for the publisher's sign-off, if one does and nothing runs.
    pub(super) fn waits_for_sign_off(&self) -> Option<u64> {
        let waits = match self.stage() {
            Stage::SignOff | Stage::Live => true,
            Stage::NeverPublished
            | Stage::NotStarted
            | Stage::Publish
            | Stage::GoLive
            | Stage::Canceled
            | Stage::Failed => false,
        };
        let newer = |preview: &u64| self.production.is_none_or(|live| live < *preview);
        self.preview.filter(newer).filter(|_| waits)
    }

    /// The version that a golive would push to production, were it asked for now.
    pub(super) fn may_go_live(&self, dialect: &Dialect) -> Result<u64, Refused> {
        if self.running().is_some() {
            return Err(Refused::Busy);
        }
        let version = self.preview.ok_or(Refused::NotInPreview)?;
        if self.production.is_some_and(|production| version <= production) {
            return Err(Refused::NothingNewer);
        }
        match (self.resting, self.operations.last().map(|operation| operation.kind)) {
            (Resting::NeverPublished | Resting::NotStarted, _) => Err(Refused::NotInPreview),
            (Resting::Failed | Resting::Canceled, Some(Kind::GoLive))
                if dialect.repeats_golive() =>
            {
                Ok(version)
            }
            (Resting::Failed | Resting::Canceled, _) => Err(Refused::NotSignedOff),
            (Resting::WaitingForPublisherReview | Resting::Succeeded, _) => Ok(version),
        }
    }

    /// Asks for the end of what runs; it comes with [`Offer::settle`]. Tells whether it will come.
    pub(super) fn cancel(
        &mut self,
        now: Timestamp,
        behaviour: &Behaviour,
    ) -> Result<bool, Refused> {
        let dialect = &behaviour.dialect;
        let Some(running) = self.operations.last_mut().filter(|operation| operation.runs()) else {
            return if dialect.accepts_idle_cancel() {
                Ok(false)
            } else {
                Err(Refused::NothingRuns)
            };
        };
        if !dialect.cancels(running.kind) {
            return Ok(false);
        }
        if running.state == State::Running {
            running.state = State::Canceling { since: now, polls: running.polls };
            self.stamp += 1;
        }
        Ok(true)
    }

    /// Ends what runs as canceled, at once.
    pub(super) fn cancel_now(
        &mut self,
        now: Timestamp,
        behaviour: &Behaviour,
    ) -> Result<(), Refused> {
        let done = self.running().ok_or(Refused::NothingRuns)?.done(now);
        self.end(Ending::Canceled, now, done, behaviour);
        Ok(())
    }

    /// Writes the draft: what is given takes the place of what is there. It makes another entity
    /// tag, also where it changes nothing that could be published.
    pub(super) fn put(
        &mut self,
        definition: Option<Value>,
        type_id: Option<String>,
        now: Timestamp,
    ) {
        if let Some(definition) = definition {
            self.draft.definition = definition;
        }
        if let Some(type_id) = type_id {
            self.edited |= self.type_id != type_id;
            self.type_id = type_id;
        }
        self.draft.changed = now;
        self.change(now);
    }

    /// Changes the draft in something that the model does not hold.
    pub(super) fn edit(&mut self, now: Timestamp) {
        self.edited = true;
        self.draft.changed = now;
        self.change(now);
    }

    /// The version that the next publish makes, where each offer has a counter of its own.
    pub(super) fn next_small_version(&self) -> u64 {
        self.versions.keys().next_back().map_or(1, |last| last + 1)
    }

    fn start(&mut self, kind: Kind, version: u64, now: Timestamp, behaviour: &Behaviour) {
        let fate = behaviour.entry.fate(kind, self.used);
        match fate {
            Fate::Fail(..) => self.used.failures += 1,
            Fate::Cancel => self.used.cancels += 1,
            Fate::Succeed | Fate::Halt(..) => {}
        }
        self.push(kind, version, now, fate, behaviour);
        self.change(now);
    }

    /// Writes an operation that began at `now` into the offer's history.
    pub(super) fn push(
        &mut self,
        kind: Kind,
        version: u64,
        now: Timestamp,
        fate: Fate,
        behaviour: &Behaviour,
    ) {
        let number = self.operations.len() as u64;
        let (first, count) = behaviour.entry.own_steps(kind);
        let released = (kind == Kind::GoLive && behaviour.dialect.shared_id)
            .then(|| self.operations.iter().rev().find(|own| own.version == version))
            .flatten()
            .map(|own| own.id.clone());
        self.operations.push(Operation {
            id: released.unwrap_or_else(|| guid(&format!("operation {} {number}", self.name()))),
            kind,
            version,
            publishing: behaviour.dialect.numbers.publishing(kind, number, version),
            started: now,
            polls: 0,
            pace: behaviour.pace,
            fate,
            first,
            count,
            state: State::Running,
            expired: false,
        });
    }
}
