//! The records of a request and of the operation that it started.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::steps::{current_step, place};
use crate::marketplace::{
    AttemptMark, Fence, InDoubt, Message, OperationKind, OperationStatus, Release, RequestId, Step,
    is_shared_operation_id,
};

/// The record that a POST is about to be sent. It is on disk before the request is sent; an intent
/// without an operation means that the request may have been accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Intent {
    /// When it was written (UTC).
    pub at: Timestamp,
    /// The attempt in one doubt: 1, or 2 for the only repeat.
    #[serde(default = "first")]
    pub attempt: u32,
    /// When the request is over, even if it is still under way somewhere (UTC). It is not sent if it
    /// can't be over by then.
    pub deadline: Timestamp,
    /// Guards the request against a change of the offer, if the marketplace supports that.
    pub fence: Option<Fence>,
    /// The operation to start.
    pub kind: OperationKind,
    /// The attempts that the marketplace listed before the request, opaque: a new one may be the
    /// request's. `None` if unknown.
    #[serde(default)]
    #[schemars(with = "Option<Vec<String>>")]
    pub known: Option<Vec<AttemptMark>>,
    /// The digest of the manifest that asked for it.
    #[serde(default)]
    pub manifest_digest: String,
    /// The release it is for.
    pub release: Release,
    /// The request's id.
    pub request_id: RequestId,
}

impl Intent {
    /// The request, as one that may have been accepted.
    #[must_use]
    pub fn in_doubt(&self) -> InDoubt {
        let (kind, release) = (self.kind.clone(), self.release.clone());
        InDoubt { kind, release, at: self.at, known: self.known.clone() }
    }
}

fn first() -> u32 {
    1
}

/// An operation, running or finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OperationRecord {
    /// Whether somebody else started it.
    pub adopted: bool,
    /// When golive saw that it had ended (UTC).
    pub finished_at: Option<Timestamp>,
    /// Its id at the marketplace, if known.
    pub id: Option<String>,
    /// What it does.
    pub kind: OperationKind,
    /// Path and query of its URL, if the marketplace gave one.
    pub location: Option<String>,
    /// The digest of the manifest for which it was started or adopted.
    pub manifest_digest: String,
    /// The marketplace's messages about the whole operation.
    pub messages: Vec<Message>,
    /// When golive last saw it (UTC).
    pub polled_at: Option<Timestamp>,
    /// Whether golive only presumes its end, since it left no trace and the marketplace didn't report
    /// one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub presumed: bool,
    /// Its progress in percent (0 to 100).
    pub progress: Option<u8>,
    /// Its release, if known.
    pub release: Option<Release>,
    /// The id of the request that started it, if golive did.
    pub request_id: Option<RequestId>,
    /// When golive started or adopted it (UTC).
    pub started_at: Timestamp,
    /// Its status.
    pub status: OperationStatus,
    /// Its steps.
    pub steps: Vec<Step>,
}

impl OperationRecord {
    /// Whether two records are of one operation.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.id, &other.id) {
            // Offers that were not migrated give the same id to each attempt at a release, and
            // another one in the list of operations.
            (Some(one), Some(two)) => {
                let both_run = !self.status.is_finished() && !other.status.is_finished();
                let one_job = (&self.kind, &self.release) == (&other.kind, &other.release);
                let two_names = self.has_shared_id() != other.has_shared_id();
                let same_name = one.eq_ignore_ascii_case(two)
                    && (self.status.is_finished() || !other.status.is_finished());
                same_name || (two_names && both_run && one_job)
            }
            // Before an adopted operation was identified it had no id.
            (Some(_) | None, None) => {
                let kind_unknown = matches!(other.kind, OperationKind::Unknown(_));
                let releases = self.release.as_ref().zip(other.release.as_ref());
                !other.status.is_finished()
                    && (self.kind == other.kind || kind_unknown)
                    && releases.is_none_or(|(one, two)| one == two)
            }
            (None, Some(_)) => false,
        }
    }

    /// Whether it failed or was canceled.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        matches!(self.status, OperationStatus::Failed | OperationStatus::Canceled)
    }

    /// Whether other attempts at the release share the id, as for offers that were not migrated:
    /// `publisher$offer$version$slot`.
    #[must_use]
    pub fn has_shared_id(&self) -> bool {
        self.id.as_deref().is_some_and(is_shared_operation_id)
    }

    /// Whether an attempt with this id may be this one: one of them has no id, or one that several
    /// attempts share and for which the list of operations has another.
    #[must_use]
    pub fn may_have_id(&self, id: Option<&String>) -> bool {
        let is_shared = |id: &str| is_shared_operation_id(id);
        match (&self.id, id) {
            (Some(one), Some(two)) => one == two || is_shared(one) != is_shared(two),
            (Some(_) | None, _) => true,
        }
    }

    /// Leaves the operation to be followed by the offer's status.
    pub fn forget_id(&mut self) {
        (self.id, self.location) = (None, None);
    }

    /// The running step, or the one that ended the operation.
    #[must_use]
    pub fn current_step(&self) -> Option<&Step> {
        current_step(&self.steps)
    }

    /// The progress of its current step.
    #[must_use]
    pub fn percent(&self) -> Option<u8> {
        if self.status == OperationStatus::Succeeded {
            return Some(100);
        }
        self.current_step()?.progress
    }

    /// Its progress as text, e.g. `Live, 42 %`.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        place(&self.steps)
    }

    /// The messages of the step that ended the operation, then those of the whole.
    pub fn complaints(&self) -> impl Iterator<Item = &Message> {
        let of_step = self.current_step().map(|step| step.messages.as_slice()).unwrap_or_default();
        of_step.iter().chain(&self.messages)
    }
}
