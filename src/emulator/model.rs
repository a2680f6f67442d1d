//! The life of one offer: a pure state machine. Time is an argument, chance there is none.
//!
//! What runs is ended by [`Offer::settle`], at the moment it was due and not at the moment somebody
//! asks, so that the same requests at other times find the same world.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::behaviour::{AfterCancel, Kind, OfferSeed};
use super::ids::{bytes_of, guid};
use super::operation::{Ending, Fate, Operation, Pace, State};

/// The first number of a golive's publishing: odd and beyond 2^53, so that whoever reads it as a
/// double is found out.
const FIRST_GOLIVE_PUBLISHING: u64 = (1 << 53) + 1;

/// What an offer's status is when no operation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Resting {
    NeverPublished,
    NotStarted,
    WaitingForPublisherReview,
    Succeeded,
    Canceled,
    Failed,
}

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
    /// The draft as it was when the running publish began.
    pub staged: Option<Content>,
    pub resting: Resting,
    /// What is shown in place of the status, where another hand said so.
    pub shown: Option<String>,
    pub changed: Timestamp,
    pub revision: u64,
    pub operations: Vec<Operation>,
    pub used: Used,
    /// Counts changes since the start of the program: what is zero is as the seed says.
    #[serde(skip)]
    pub stamp: u64,
}

/// Why the state of an offer does not allow something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("an operation is already running on this offer")]
    Busy,
    #[error("the offer is not in preview: publish it first")]
    NotInPreview,
    #[error("the version in preview is already live: there is nothing to sign off")]
    NothingNewer,
    #[error("the last publish did not reach the publisher's sign-off: publish the offer again")]
    NotSignedOff,
    #[error("no operation is running on this offer: there is nothing to cancel")]
    NothingRuns,
}

impl Offer {
    /// `publisher/offer`, as it was written.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.publisher, self.id)
    }

    /// The entity tag: another one after every change of the draft and after every start and end
    /// of an operation.
    pub(super) fn etag(&self) -> String {
        let bytes = bytes_of(&format!("etag {} {}", self.name(), self.revision));
        format!("\"0x{}\"", hex::encode_upper(&bytes[..8]))
    }

    pub(super) fn running(&self) -> Option<&Operation> {
        self.operations.last().filter(|operation| operation.runs())
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
    pub(super) fn settle(&mut self, now: Timestamp, behaviour: &OfferSeed) {
        if let Some((ending, at, done)) = self.running().and_then(|running| running.due(now)) {
            self.end(ending, at, done, behaviour.after_cancel);
        }
    }

    /// Ends the running operation.
    pub(super) fn end(&mut self, ending: Ending, at: Timestamp, done: usize, after: AfterCancel) {
        let Some(operation) = self.operations.last_mut().filter(|operation| operation.runs())
        else {
            return;
        };
        operation.state = State::Ended { ending, at, done };
        let (kind, version) = (operation.kind, operation.version);
        let staged = self.staged.take();
        self.resting = match (kind, ending) {
            (Kind::Publish, Ending::Succeeded) => {
                let content = staged.unwrap_or_else(|| self.draft.clone());
                self.versions.insert(version, Content { changed: at, ..content });
                self.preview = Some(version);
                self.version = version;
                Resting::WaitingForPublisherReview
            }
            (Kind::GoLive, Ending::Succeeded) => {
                self.production = Some(version);
                Resting::Succeeded
            }
            (Kind::Publish | Kind::GoLive, Ending::Failed) => Resting::Failed,
            (Kind::Publish, Ending::Canceled) => Resting::Canceled,
            (Kind::GoLive, Ending::Canceled) => match after {
                AfterCancel::WaitingForPublisherReview => Resting::WaitingForPublisherReview,
                AfterCancel::Canceled => Resting::Canceled,
            },
        };
        self.change(at);
    }

    /// Counts a poll of one operation; it may be the one that ends it.
    pub(super) fn poll(&mut self, index: usize, now: Timestamp, behaviour: &OfferSeed) {
        if let Some(operation) = self.operations.get_mut(index) {
            operation.polls = operation.polls.saturating_add(1);
            // With time as the pace, polls matter only where operations expire by them.
            if matches!(operation.pace, Pace::Polls(_)) || behaviour.expire.polls.is_some() {
                self.stamp += 1;
            }
        }
        self.settle(now, behaviour);
    }

    /// Pushes the draft towards preview.
    pub(super) fn publish(
        &mut self,
        now: Timestamp,
        pace: Pace,
        behaviour: &OfferSeed,
    ) -> Result<(), Refused> {
        if self.running().is_some() {
            return Err(Refused::Busy);
        }
        self.staged = Some(self.draft.clone());
        self.start(Kind::Publish, self.next_version(), now, pace, behaviour);
        Ok(())
    }

    /// Pushes the preview towards production.
    pub(super) fn golive(
        &mut self,
        now: Timestamp,
        pace: Pace,
        behaviour: &OfferSeed,
    ) -> Result<(), Refused> {
        let version = self.may_go_live()?;
        self.start(Kind::GoLive, version, now, pace, behaviour);
        Ok(())
    }

    /// The version that a golive would push to production, were it asked for now.
    pub(super) fn may_go_live(&self) -> Result<u64, Refused> {
        if self.running().is_some() {
            return Err(Refused::Busy);
        }
        let version = self.preview.ok_or(Refused::NotInPreview)?;
        if self.production.is_some_and(|production| version <= production) {
            return Err(Refused::NothingNewer);
        }
        match (self.resting, self.operations.last().map(|operation| operation.kind)) {
            (Resting::NeverPublished | Resting::NotStarted, _) => Err(Refused::NotInPreview),
            (Resting::Failed | Resting::Canceled, None | Some(Kind::Publish)) => {
                Err(Refused::NotSignedOff)
            }
            (Resting::Failed | Resting::Canceled, Some(Kind::GoLive))
            | (Resting::WaitingForPublisherReview | Resting::Succeeded, _) => Ok(version),
        }
    }

    /// Asks for the end of what runs. The end comes with [`Offer::settle`], unless it is told to
    /// come at once.
    pub(super) fn cancel(
        &mut self,
        now: Timestamp,
        at_once: bool,
        after: AfterCancel,
    ) -> Result<(), Refused> {
        let running = self.operations.last_mut().filter(|operation| operation.runs());
        let operation = running.ok_or(Refused::NothingRuns)?;
        if at_once {
            let done = operation.done(now);
            self.end(Ending::Canceled, now, done, after);
        } else if operation.state == State::Running {
            operation.state = State::Canceling { since: now, polls: operation.polls };
            self.stamp += 1;
        }
        Ok(())
    }

    /// Changes the draft.
    pub(super) fn put(&mut self, definition: Option<Value>, now: Timestamp) {
        if let Some(definition) = definition {
            self.draft.definition = definition;
        }
        self.draft.changed = now;
        self.change(now);
    }

    /// The version the next publish makes.
    pub(super) fn next_version(&self) -> u64 {
        self.versions.keys().next_back().map_or(1, |last| last + 1)
    }

    fn start(
        &mut self,
        kind: Kind,
        version: u64,
        now: Timestamp,
        pace: Pace,
        behaviour: &OfferSeed,
    ) {
        let fate = behaviour.fate(kind, self.used);
        match fate {
            Fate::Fail(..) => self.used.failures += 1,
            Fate::Cancel => self.used.cancels += 1,
            Fate::Succeed | Fate::Halt(..) => {}
        }
        self.push(kind, version, now, pace, fate, behaviour);
        self.change(now);
    }

    /// Writes an operation that began at `now` into the offer's history.
    pub(super) fn push(
        &mut self,
        kind: Kind,
        version: u64,
        now: Timestamp,
        pace: Pace,
        fate: Fate,
        behaviour: &OfferSeed,
    ) {
        let number = self.operations.len() as u64;
        let (first, count) = behaviour.own_steps(kind);
        self.operations.push(Operation {
            id: guid(&format!("operation {} {number}", self.name())),
            kind,
            version,
            publishing: match kind {
                Kind::Publish => 1000 + number,
                Kind::GoLive => FIRST_GOLIVE_PUBLISHING + 2 * number,
            },
            started: now,
            polls: 0,
            pace,
            fate,
            first,
            count,
            state: State::Running,
            expired: false,
        });
    }
}
