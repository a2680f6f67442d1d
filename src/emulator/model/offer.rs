//! One offer: what publish, golive and cancel do to it.
//!
//! [`Offer::settle`] ends what runs, as of the time it was due and not of the time somebody asks, so
//! that the same requests at other times find the same world.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::history::Snapshot;
use super::job::Job;
use super::operation::{Ending, Pace, Plan, State, UseCounts};
use super::stage::{IdleStatus, Refusal, Stage};
use super::{Behaviour, Moment, Operation};
use crate::emulator::ids::guid;
use crate::emulator::seed::answers::AfterFailure;
use crate::emulator::seed::offer::{AfterCancel, Kind};

/// One version of an offer's definition.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Content {
    pub definition: Value,
    /// Resources of the Product Ingestion API that somebody wrote, by id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, Value>,
    pub changed: Timestamp,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Offer {
    pub publisher: String,
    pub id: String,
    pub type_id: String,
    pub draft: Content,
    pub version: u64,
    pub preview: Option<u64>,
    pub production: Option<u64>,
    /// All versions that were ever in preview.
    pub versions: BTreeMap<u64, Content>,
    /// Whether something other than the definition changed since the last publish began.
    #[serde(default)]
    pub edited: bool,
    /// The draft as it was when the running publish began.
    pub staged: Option<Content>,
    #[serde(rename = "resting")]
    pub idle_status: IdleStatus,
    /// Shown in place of the status, by [`ManualAction`](super::manual::ManualAction).
    pub shown: Option<String>,
    pub changed: Timestamp,
    pub revision: u64,
    pub operations: Vec<Operation>,
    pub used: UseCounts,
    /// What was asked for through *configure*.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<Job>,
    /// Snapshots, the oldest first, if answers lag behind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub past: Vec<Snapshot>,
    /// How many answers showed the state before the last publish.
    #[serde(default)]
    pub stale_answers: u32,
    /// Changes since the process started or the memory was read. Zero: as the seed says.
    #[serde(skip)]
    pub changes: u64,
}

impl Offer {
    /// `publisher/offer`, as it was written.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.publisher, self.id)
    }

    pub(crate) fn running(&self) -> Option<&Operation> {
        self.operations.last().filter(|operation| operation.runs())
    }

    pub(crate) fn running_mut(&mut self) -> Option<&mut Operation> {
        self.operations.last_mut().filter(|operation| operation.runs())
    }

    /// Where the offer stands.
    pub(crate) fn stage(&self) -> Stage {
        let running = self.running().map(|running| Stage::Running(running.kind));
        running.unwrap_or(Stage::Idle(self.idle_status))
    }

    /// The highest number that a release of it has.
    pub(crate) fn last_number(&self) -> u64 {
        self.operations.iter().map(|operation| operation.version).fold(self.version, u64::max)
    }

    /// The content of a version.
    pub(crate) fn content(&self, version: u64) -> Option<&Content> {
        let draft = (version == self.version).then_some(&self.draft);
        self.versions.get(&version).or(draft)
    }

    fn change(&mut self, at: Timestamp) {
        self.changed = at;
        self.revision += 1;
        self.changes += 1;
    }

    /// Ends what was due by now.
    pub(crate) fn settle(&mut self, moment: Moment<'_>) {
        let due = self.running().and_then(|running| running.due(moment.now));
        if let Some((ending, at, done)) = due {
            self.end(ending, at, done, moment.behaviour);
        }
    }

    /// Ends the running operation.
    pub(crate) fn end(
        &mut self,
        ending: Ending,
        at: Timestamp,
        done: usize,
        behaviour: &Behaviour,
    ) {
        let Some(operation) = self.running_mut() else {
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
                self.idle_status = IdleStatus::WaitingForPublisherReview;
            }
            (Kind::GoLive, Ending::Succeeded) => {
                self.production = Some(version);
                self.idle_status = IdleStatus::Succeeded;
            }
            (_, Ending::Failed) => self.fall_back(kind, behaviour),
            (Kind::Publish, Ending::Canceled) => self.idle_status = IdleStatus::Canceled,
            (Kind::GoLive, Ending::Canceled) => {
                self.idle_status = match behaviour.entry.after_cancel {
                    AfterCancel::WaitingForPublisherReview => IdleStatus::WaitingForPublisherReview,
                    AfterCancel::Canceled => IdleStatus::Canceled,
                }
            }
        }
        self.change(at);
    }

    /// Sets what the offer is after an operation failed.
    pub(crate) fn fall_back(&mut self, kind: Kind, behaviour: &Behaviour) {
        match (behaviour.after_failure(kind), kind) {
            (AfterFailure::Failed, _) => {
                self.idle_status = IdleStatus::Failed;
                return;
            }
            (AfterFailure::Fallback, Kind::GoLive) => {
                // The release that failed is gone, with its preview.
                self.preview = self.production;
                self.version = self.production.unwrap_or_else(|| behaviour.draft_version());
            }
            (AfterFailure::Fallback | AfterFailure::SignOff, _) => {}
        }
        self.idle_status = self.status_by_slots();
    }

    /// The status that follows from the slots alone, whatever ran last.
    pub(crate) fn status_by_slots(&self) -> IdleStatus {
        match (self.preview, self.production) {
            (None, _) => IdleStatus::NeverPublished,
            (Some(preview), Some(live)) if preview == live => IdleStatus::Succeeded,
            (Some(_), Some(_) | None) => IdleStatus::WaitingForPublisherReview,
        }
    }

    /// Counts a poll of one operation; it may be the one that ends it.
    pub(crate) fn poll(&mut self, index: usize, moment: Moment<'_>) {
        if let Some(operation) = self.operations.get_mut(index) {
            operation.polls = operation.polls.saturating_add(1);
            // With time as the pace, polls matter only where operations expire by them.
            let expires = moment.behaviour.entry.expire.polls.is_some();
            if matches!(operation.pace, Pace::Polls(_)) || expires {
                self.changes += 1;
            }
        }
        self.settle(moment);
    }

    /// Pushes the draft towards preview.
    pub(crate) fn publish(&mut self, moment: Moment<'_>) -> Result<(), Refusal> {
        if self.running().is_some() {
            return Err(Refusal::Busy);
        }
        self.staged = Some(self.draft.clone());
        self.edited = false;
        self.stale_answers = 0;
        let version = moment.behaviour.numbers().next(self, moment.last_number);
        self.start(Kind::Publish, version, moment);
        Ok(())
    }

    /// The publish that brought the unchanged draft to preview, if there is nothing new to publish:
    /// nothing failed since, and nothing runs.
    pub(crate) fn publish_of_unchanged_draft(&self) -> Option<&Operation> {
        let last = self.operations.iter().rev().find(|own| own.kind == Kind::Publish)?;
        let content = self.versions.get(&last.version)?;
        let same = !self.edited
            && content.definition == self.draft.definition
            && content.resources == self.draft.resources;
        (self.rests_in_a_slot() && same && self.preview == Some(last.version)).then_some(last)
    }

    /// Pushes the preview towards production.
    pub(crate) fn golive(&mut self, moment: Moment<'_>) -> Result<(), Refusal> {
        let behaviour = moment.behaviour;
        let version = match (self.may_go_live(behaviour), self.released()) {
            (Ok(version), _) => version,
            (Err(Refusal::Busy | Refusal::NothingNewer), Some(again))
                if behaviour.accepts_second_golive() =>
            {
                self.break_off(moment.now);
                again
            }
            (Err(refused), _) => return Err(refused),
        };
        self.start(Kind::GoLive, version, moment);
        Ok(())
    }

    /// The release of the last golive, if nothing came after it.
    fn released(&self) -> Option<u64> {
        let last = self.operations.last().filter(|last| last.kind == Kind::GoLive)?;
        (self.preview == Some(last.version)).then_some(last.version)
    }

    /// Cancels what runs, for the golive that replaces it.
    pub(super) fn break_off(&mut self, now: Timestamp) {
        if let Some(running) = self.running_mut() {
            let done = running.done(now);
            running.state = State::Ended { ending: Ending::Canceled, at: now, done };
        }
    }

    /// The preview that waits for the publisher's sign-off, if one does and nothing runs.
    pub(crate) fn waits_for_sign_off(&self) -> Option<u64> {
        let newer = |preview: &u64| self.production.is_none_or(|live| live < *preview);
        self.preview.filter(newer).filter(|_| self.rests_in_a_slot())
    }

    /// Whether nothing runs, and what ran last succeeded.
    fn rests_in_a_slot(&self) -> bool {
        matches!(
            self.stage(),
            Stage::Idle(IdleStatus::WaitingForPublisherReview | IdleStatus::Succeeded)
        )
    }

    /// The version that a golive would push to production, were it asked for now.
    pub(crate) fn may_go_live(&self, behaviour: &Behaviour) -> Result<u64, Refusal> {
        if self.running().is_some() {
            return Err(Refusal::Busy);
        }
        let version = self.preview.ok_or(Refusal::NotInPreview)?;
        if self.production.is_some_and(|production| version <= production) {
            return Err(Refusal::NothingNewer);
        }
        match (self.idle_status, self.operations.last().map(|operation| operation.kind)) {
            (IdleStatus::NeverPublished | IdleStatus::NotStarted, _) => Err(Refusal::NotInPreview),
            (IdleStatus::Failed | IdleStatus::Canceled, Some(Kind::GoLive))
                if behaviour.repeats_golive() =>
            {
                Ok(version)
            }
            (IdleStatus::Failed | IdleStatus::Canceled, _) => Err(Refusal::NotSignedOff),
            (IdleStatus::WaitingForPublisherReview | IdleStatus::Succeeded, _) => Ok(version),
        }
    }

    /// Asks for the end of what runs, which comes with [`Offer::settle`]. False: it won't come.
    pub(crate) fn cancel(&mut self, moment: Moment<'_>) -> Result<bool, Refusal> {
        let Moment { now, behaviour, .. } = moment;
        let Some(running) = self.running_mut() else {
            let accepted = behaviour.accepts_idle_cancel();
            return if accepted { Ok(false) } else { Err(Refusal::NothingRuns) };
        };
        if !behaviour.cancels(running.kind) {
            return Ok(false);
        }
        if running.state == State::Running {
            running.state = State::Canceling { since: now, polls: running.polls };
            self.changes += 1;
        }
        Ok(true)
    }

    /// Ends what runs, at once.
    pub(crate) fn end_now(&mut self, ending: Ending, moment: Moment<'_>) -> Result<(), Refusal> {
        let running = self.running().ok_or(Refusal::NothingRuns)?;
        let done = match ending {
            Ending::Succeeded => running.count,
            Ending::Failed | Ending::Canceled => running.done(moment.now),
        };
        self.end(ending, moment.now, done, moment.behaviour);
        Ok(())
    }

    /// Replaces what is given of the draft. The revision changes even if nothing else does.
    pub(crate) fn put(
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

    /// Writes resources of the draft.
    pub(crate) fn write_resources(&mut self, resources: BTreeMap<String, Value>, now: Timestamp) {
        self.draft.resources.extend(resources);
        self.draft.changed = now;
        self.change(now);
    }

    /// Changes something of the draft that the model doesn't hold.
    pub(crate) fn edit(&mut self, now: Timestamp) {
        self.edited = true;
        self.draft.changed = now;
        self.change(now);
    }

    /// The version that the next publish makes, where each offer has a counter of its own.
    pub(crate) fn next_small_version(&self) -> u64 {
        self.versions.keys().next_back().map_or(1, |last| last + 1)
    }

    pub(super) fn start(&mut self, kind: Kind, version: u64, moment: Moment<'_>) {
        let Moment { now, behaviour, .. } = moment;
        let plan = Plan::new(&behaviour.entry, kind, self.used);
        match plan {
            Plan::Fail(..) => self.used.failures += 1,
            Plan::Cancel => self.used.cancels += 1,
            Plan::Succeed | Plan::Block(..) => {}
        }
        self.push(kind, version, now, plan, behaviour);
        self.change(now);
    }

    /// Writes an operation that began at `now` into the offer's history.
    pub(crate) fn push(
        &mut self,
        kind: Kind,
        version: u64,
        now: Timestamp,
        plan: Plan,
        behaviour: &Behaviour,
    ) {
        let number = self.operations.len() as u64;
        let (first, count) = behaviour.entry.steps_of(kind);
        let released = (kind == Kind::GoLive && behaviour.golive_shares_id())
            .then(|| self.operations.iter().rev().find(|own| own.version == version))
            .flatten()
            .map(|own| own.id.clone());
        self.operations.push(Operation {
            id: released.unwrap_or_else(|| guid(&format!("operation {} {number}", self.name()))),
            kind,
            version,
            publishing: behaviour.numbers().publishing(kind, number, version),
            started: now,
            polls: 0,
            pace: behaviour.pace,
            plan,
            first,
            count,
            state: State::Running,
            expired: false,
        });
    }
}
