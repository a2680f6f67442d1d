//! How one offer of the emulated marketplace starts and behaves: its entry in the seed.

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fault::RetryAfter;
use super::model::Used;
use super::operation::{Fate, Note};
use super::response_overrides::{Profile, ResponseOverrides};
use super::scalar::{Length, Times};

/// The steps of a virtual machine offer: id, name, estimate.
const KNOWN_STEPS: [(&str, &str, &str); 6] = [
    ("displaydummycertify", "Validate Pre-Requisites", "< 15 min"),
    ("displaycertify", "Certification", "< 5 day"),
    ("displayprovision", "Provisioning", "< 1 day"),
    ("displaypackage", "Packaging and Lead Generation Registration", "< 1 hour"),
    (SIGN_OFF, "Publisher signoff", ""),
    ("live", "Live", "~2-5 days"),
];

/// The step that parts publish from golive.
pub(super) const SIGN_OFF: &str = "publisher-signoff";

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
pub enum Header {
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
pub enum Halt {
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
    pub shown_as: Halt,
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
pub struct RefuseWith {
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
    pub step_time: Option<Length>,
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
    pub answers: ResponseOverrides,
    /// The header of a 202: `relative` (field) or `both` (documented).
    pub header: Option<Header>,
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
    /// The next operation ends canceled, by another hand.
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
    pub golive: Option<RefuseWith>,
    /// A fixed answer to *publish*.
    pub publish: Option<RefuseWith>,
}

impl OfferSeed {
    /// The steps: id, name, estimate.
    pub(super) fn step_list(&self) -> Vec<(&str, &str, &str)> {
        let Some(steps) = &self.steps else {
            return KNOWN_STEPS.to_vec();
        };
        let known = |id: &str| KNOWN_STEPS.into_iter().find(|(known, ..)| *known == id);
        steps.iter().map(|id| known(id).unwrap_or((id, id, ""))).collect()
    }

    /// The first step that is this operation's own, and how many are. At least one is.
    pub(super) fn own_steps(&self, kind: Kind) -> (usize, usize) {
        let steps = self.step_list();
        let sign_off = steps.iter().position(|(id, ..)| *id == SIGN_OFF);
        match (kind, sign_off) {
            (Kind::Publish, Some(sign_off)) => (0, sign_off),
            (Kind::Publish, None) => (0, steps.len().saturating_sub(1)),
            (Kind::GoLive, Some(sign_off)) => (sign_off + 1, steps.len() - sign_off - 1),
            (Kind::GoLive, None) => (steps.len().saturating_sub(1), 1),
        }
    }

    /// A step as a number within an operation, where it is one of its own.
    fn own_step(&self, kind: Kind, step: Option<&str>) -> Option<usize> {
        let (first, count) = self.own_steps(kind);
        let Some(step) = step else {
            return count.checked_sub(1);
        };
        let index = self.step_list().iter().position(|(id, ..)| *id == step)?;
        index.checked_sub(first).filter(|own| *own < count)
    }

    /// How an operation that starts now will go.
    pub(super) fn fate(&self, kind: Kind, used: Used) -> Fate {
        if self.cancel && used.cancels == 0 {
            return Fate::Cancel;
        }
        if let Some(fail) = &self.fail
            && fail.times.allows(used.failures)
            && let Some(step) = self.own_step(kind, fail.step.as_deref())
        {
            return Fate::Fail(step, fail.note());
        }
        if let Some(block) = &self.block
            && let Some(step) = self.own_step(kind, block.step.as_deref())
        {
            let html = block.message.clone().unwrap_or_default();
            return Fate::Halt(step, block.shown_as, Note { html, level: block.level });
        }
        Fate::Succeed
    }

    /// How the operation that the seed says has failed did so.
    pub(super) fn past_failure(&self, kind: Kind) -> Fate {
        let (_, count) = self.own_steps(kind);
        let fail = self.fail.clone().unwrap_or_default();
        let step = self.own_step(kind, fail.step.as_deref()).unwrap_or(count.saturating_sub(1));
        Fate::Fail(step, fail.note())
    }

    /// What of this cannot be, in words.
    pub(super) fn problem(&self) -> Option<String> {
        let ids: Vec<&str> = self.step_list().iter().map(|(id, ..)| *id).collect();
        if ids.is_empty()
            || self.own_steps(Kind::Publish).1 == 0
            || self.own_steps(Kind::GoLive).1 == 0
        {
            return Some(format!("steps: there must be one before {SIGN_OFF} and one after it"));
        }
        let fail = self.fail.as_ref().and_then(|fail| fail.step.as_deref());
        let block = self.block.as_ref().and_then(|block| block.step.as_deref());
        let said = self.messages.iter().map(|message| message.step.as_str());
        if let Some(step) = fail.into_iter().chain(block).chain(said).find(|id| !ids.contains(id)) {
            return Some(format!("unknown step `{step}`, expected one of `{}`", ids.join("`, `")));
        }
        if [fail, block].contains(&Some(SIGN_OFF)) {
            return Some(format!("`{SIGN_OFF}` belongs to no operation: it cannot fail or block"));
        }
        if self.busy.is_some_and(|busy| !matches!(busy, 400 | 409)) {
            return Some("busy: expected 400 or 409".to_owned());
        }
        let refusals = [&self.golive, &self.publish];
        let bad = refusals.into_iter().flatten().find(|with| !(400..600).contains(&with.status));
        bad.map(|with| format!("status: expected 400 to 599, not {}", with.status))
    }

    /// How long a step takes, where the entry says so itself.
    pub(super) fn own_step_time(&self) -> Option<SignedDuration> {
        self.step_time.map(Length::signed)
    }
}

impl Fail {
    fn note(&self) -> Note {
        let html = self.message.clone().unwrap_or_else(|| "<p>This step failed.</p>".to_owned());
        Note { html, level: self.level }
    }
}
