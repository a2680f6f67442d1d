//! How one offer of the emulated marketplace starts and behaves: its entry in the seed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answers::{AnswerOverrides, Profile};
use super::ingestion::IngestionOverrides;
use super::initial_state::InitialState;
use super::scalar::{RetryAfter, SeedDuration, Times};

/// A step of an operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step<'a> {
    pub id: &'a str,
    pub title: &'a str,
    /// How long it takes, for people.
    pub estimate: &'a str,
}

/// The steps of a virtual machine offer.
const VIRTUAL_MACHINE_STEPS: [Step<'_>; 6] = [
    step("displaydummycertify", "Validate Pre-Requisites", "< 15 min"),
    step("displaycertify", "Certification", "< 5 day"),
    step("displayprovision", "Provisioning", "< 1 day"),
    step("displaypackage", "Packaging and Lead Generation Registration", "< 1 hour"),
    step(SIGN_OFF, "Publisher signoff", ""),
    step("live", "Live", "~2-5 days"),
];

const fn step<'a>(id: &'a str, title: &'a str, estimate: &'a str) -> Step<'a> {
    Step { id, title, estimate }
}

/// The step between publish and golive.
pub(crate) const SIGN_OFF: &str = "publisher-signoff";

/// Where an offer stands at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum StartStatus {
    /// A draft that was never published.
    NeverPublished,
    /// Nothing has begun.
    NotStarted,
    /// In preview, waiting for golive.
    WaitingForPublisherReview,
    /// An operation runs; `operation` says which.
    Running,
    /// The last operation succeeded.
    Succeeded,
    /// The last operation was canceled; `operation` says which.
    Canceled,
    /// The last operation failed; `operation` says which.
    Failed,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Draft to preview.
    Publish,
    /// Preview to production.
    GoLive,
}

/// Which header tells where an accepted operation is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OperationHeader {
    /// An absolute `Operation-Location` and a relative `Location`.
    Both,
    /// `Operation-Location`, absolute, without `api-version`.
    Absolute,
    /// `Location`, relative, with `api-version`.
    Relative,
    /// `Operation-Location`, relative, with `api-version`.
    RelativeOperationLocation,
    /// `Location: /api/operations/contoso$vm$2$preview?api-version=…`.
    Dollar,
    /// No header at all.
    None,
    /// `Operation-Location`, but no URL.
    Garbage,
    /// `Operation-Location` at a host that is not this marketplace.
    Foreign,
}

/// How statuses are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Casing {
    /// Offers in `PascalCase`, operations and steps in camelCase.
    Mixed,
    /// All in `PascalCase`.
    Pascal,
    /// All in camelCase.
    Camel,
}

/// How grave a message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For information.
    Information,
    /// A warning.
    Warning,
    /// An error.
    #[default]
    Error,
}

/// What a step that goes no further shows as its status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum BlockedAs {
    /// `blocked`
    #[default]
    Blocked,
    /// `waitingForApproval`
    WaitingForApproval,
    /// `rejected`
    Rejected,
}

/// An offer's status after a canceled golive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum AfterCancel {
    /// It may be signed off again.
    #[default]
    WaitingForPublisherReview,
    /// It says that it was canceled.
    Canceled,
}

/// How *cancel* is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CancelAnswer {
    /// 202: the operation ends a step's time later, or with the next poll.
    #[default]
    Accepted,
    /// 200: it has ended.
    Immediate,
}

/// A step at which operations fail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Fail {
    /// The step's id; without it, the last step of any operation.
    pub step: Option<String>,
    /// What the step says, HTML.
    pub message: Option<String>,
    /// How grave it is.
    pub level: Level,
    /// How many operations fail before one succeeds: a number, or `always` (the default).
    pub times: Times,
}

/// A step at which operations stay, running.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Block {
    /// The step's id; without it, the last step of any operation.
    pub step: Option<String>,
    /// The status the step shows.
    #[serde(rename = "as")]
    pub shown_as: BlockedAs,
    /// What the step says, HTML.
    pub message: Option<String>,
    /// How grave it is.
    pub level: Level,
}

/// A message of a step, shown once the step has begun.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StepMessage {
    /// The step's id.
    pub step: String,
    /// The message, HTML.
    pub message: String,
    /// How grave it is. Default: `information`.
    #[serde(default = "information")]
    pub level: Level,
}

fn information() -> Level {
    Level::Information
}

/// A fixed answer to a call, in place of doing what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FixedRefusal {
    /// The HTTP status, 400 to 599.
    #[schemars(range(min = 400, max = 599))]
    pub status: u16,
    /// The error's code.
    #[serde(default)]
    pub code: Option<String>,
    /// The error's message.
    #[serde(default)]
    pub message: Option<String>,
    /// `Retry-After`: seconds, or an HTTP date.
    #[serde(default)]
    pub retry_after: Option<RetryAfter>,
    /// How many calls are answered so: a number, or `always` (the default).
    #[serde(default)]
    pub times: Times,
}

/// When asking for an operation answers 404.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Expire {
    /// Once it has ended.
    pub finished: bool,
    /// Once it was answered so many times.
    pub polls: Option<u32>,
}

/// An offer: where it starts, and how the marketplace behaves about it. `{}` is an offer in
/// preview that was never live, waiting for the publisher's sign-off.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct OfferSeed {
    /// The status at first. Default: `Succeeded` where the newest version is live, else
    /// `WaitingForPublisherReview`.
    pub status: Option<StartStatus>,
    /// What runs, failed or was canceled. Default: `golive` where a preview awaits it, else
    /// `publish`.
    pub operation: Option<Kind>,
    /// The version in preview. Default: a large number that follows from the name (field), 1
    /// (documented).
    #[schemars(range(min = 1))]
    pub preview_version: Option<u64>,
    /// The version in production.
    #[schemars(range(min = 1))]
    pub live_version: Option<u64>,
    /// The offer's name for people. Default: its id.
    pub title: Option<String>,
    /// The kind of offer. Default: `microsoft-azure-virtualmachines`.
    #[serde(rename = "type")]
    pub offer_type: Option<String>,
    /// What the offer says, as the API's `definition`. Default: a title; of a virtual machine
    /// offer also `plans` with the plan `base` and an image.
    pub definition: Option<Value>,
    /// How long each step takes, e.g. `90s`, `5m`, `2h`. Default: the seed's own.
    pub step_time: Option<SeedDuration>,
    /// Operations advance with polls instead: each ends with its n-th.
    pub polls: Option<u32>,
    /// The ids of the steps. Those before `publisher-signoff` are publish's, those after it
    /// golive's. Default: the six of a virtual machine offer.
    pub steps: Option<Vec<String>>,
    /// Messages of steps.
    pub messages: Vec<StepMessage>,
    /// Whose picture of the API the answers follow. Default: the seed's own.
    pub profile: Option<Profile>,
    /// How answers differ from the profile. Default: the seed's own.
    pub answers: AnswerOverrides,
    /// How the Product Ingestion API answers about it. Default: the seed's own.
    pub ingestion: IngestionOverrides,
    /// The header of a 202: `relative` (field) or `both` (documented).
    pub header: Option<OperationHeader>,
    /// How statuses are spelled: `camel` (field) or `mixed` (documented).
    pub casing: Option<Casing>,
    /// *Get operation* answers with a one-element array.
    pub array_form: bool,
    /// The status the list shows, e.g. `published`.
    pub list_status: Option<String>,
    /// The word for an operation that succeeded: `succeeded` (the default), `complete`, …
    pub succeeded_as: Option<String>,
    /// `Retry-After` of a 202 and of polls: seconds, or an HTTP date.
    pub retry_after: Option<RetryAfter>,
    /// Operations fail at a step.
    pub fail: Option<Fail>,
    /// Operations stay at a step.
    pub block: Option<Block>,
    /// The next operation ends canceled, by somebody else.
    pub cancel: bool,
    /// How *cancel* is answered.
    pub cancel_answer: CancelAnswer,
    /// The status after a canceled golive.
    pub after_cancel: AfterCancel,
    /// The HTTP status for a publish or golive while an operation runs: 409 (the default) or 400.
    pub busy: Option<u16>,
    /// When asking for an operation answers 404.
    pub expire: Expire,
    /// A fixed answer to *golive*.
    pub golive: Option<FixedRefusal>,
    /// A fixed answer to *publish*.
    pub publish: Option<FixedRefusal>,
}

impl OfferSeed {
    pub(crate) fn step_list(&self) -> Vec<Step<'_>> {
        let Some(ids) = &self.steps else {
            return VIRTUAL_MACHINE_STEPS.to_vec();
        };
        let known = |id: &str| VIRTUAL_MACHINE_STEPS.into_iter().find(|step| step.id == id);
        ids.iter().map(|id| known(id).unwrap_or(step(id, id, ""))).collect()
    }

    /// The index of an operation's first step, and how many steps it has.
    pub(crate) fn steps_of(&self, kind: Kind) -> (usize, usize) {
        let steps = self.step_list();
        let last = steps.len().saturating_sub(1);
        let sign_off = steps.iter().position(|step| step.id == SIGN_OFF);
        match (kind, sign_off) {
            (Kind::Publish, sign_off) => (0, sign_off.unwrap_or(last)),
            (Kind::GoLive, Some(sign_off)) => (sign_off + 1, last - sign_off),
            (Kind::GoLive, None) => (last, 1),
        }
    }

    /// The index of a step among those of an operation, if it is one of them. Without an id: the
    /// last one.
    pub(crate) fn step_within(&self, kind: Kind, id: Option<&str>) -> Option<usize> {
        let (first, count) = self.steps_of(kind);
        let Some(id) = id else {
            return count.checked_sub(1);
        };
        let index = self.step_list().iter().position(|step| step.id == id)?;
        index.checked_sub(first).filter(|index| *index < count)
    }

    /// What is wrong with this entry, as a message.
    pub(crate) fn problem(&self) -> Option<String> {
        let ids: Vec<&str> = self.step_list().iter().map(|step| step.id).collect();
        if ids.is_empty()
            || [Kind::Publish, Kind::GoLive].iter().any(|kind| self.steps_of(*kind).1 == 0)
        {
            return Some(format!("steps: there must be one before {SIGN_OFF} and one after it"));
        }
        let fail = self.fail.as_ref().and_then(|fail| fail.step.as_deref());
        let block = self.block.as_ref().and_then(|block| block.step.as_deref());
        let messages = self.messages.iter().map(|message| message.step.as_str());
        let mut named = fail.into_iter().chain(block).chain(messages);
        if let Some(step) = named.find(|id| !ids.contains(id)) {
            return Some(format!("unknown step `{step}`, expected one of `{}`", ids.join("`, `")));
        }
        if [fail, block].contains(&Some(SIGN_OFF)) {
            return Some(format!("`{SIGN_OFF}` belongs to no operation: it cannot fail or block"));
        }
        if self.busy.is_some_and(|busy| !matches!(busy, 400 | 409)) {
            return Some("busy: expected 400 or 409".to_owned());
        }
        let mut refusals = [&self.golive, &self.publish].into_iter().flatten();
        if let Some(bad) = refusals.find(|with| !(400..600).contains(&with.status)) {
            return Some(format!("status: expected 400 to 599, not {}", bad.status));
        }
        self.ingestion.problem().or_else(|| InitialState::check(self).err())
    }
}
