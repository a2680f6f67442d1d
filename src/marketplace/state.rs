//! The state of one offer, as a backend derives it from the marketplace's answers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    ChangedTime, Fence, Message, OfferId, OperationKind, OperationRef, OperationStatus, Release,
    Step,
};

/// An offer in its publisher's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Publisher and name of the offer.
    pub id: OfferId,
    /// The marketplace's own text for its status.
    pub words: String,
    /// When it last changed, if the list says.
    pub changed_time: Option<ChangedTime>,
    /// A text that changes whenever the offer's entry in the list changes; `None` if the list has
    /// nothing that could change.
    pub fingerprint: Option<String>,
    /// What the list suggests. It may lag behind, and it never suffices to start an operation.
    pub hint: Hint,
    /// The release in the list: that of the last publish, which may have failed.
    pub release: Option<Release>,
    /// Whether the marketplace may return a fence for this offer.
    pub may_be_fenced: bool,
}

/// What a list suggests about an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Nothing runs and nothing waits.
    AtRest,
    /// A release is in preview and waits for the publisher's sign-off.
    InPreview,
    /// An operation runs, or the state isn't clear.
    Busy,
}

/// The state of one offer, in golive's own terms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfferState {
    /// The release that a publish would publish.
    pub draft: Option<Release>,
    /// The release in preview that waits for the publisher's sign-off: a golive would launch it.
    pub preview: Option<Release>,
    /// A release in preview that doesn't wait for the sign-off, as after a failed golive: it may be
    /// launched only if a person asks for another try.
    pub stale_preview: Option<Release>,
    /// The release in production.
    pub live: Option<Release>,
    /// The marketplace's own id of the offer, if it has one beside the name: it never changes, so it
    /// is worth remembering.
    pub product: Option<String>,
    /// Which of these releases the inquiry's pin means, if the pin is another name for one of them.
    pub pinned: Option<Release>,
    /// The operation that runs.
    pub running: Option<Run>,
    /// The newest ended attempt to reach the state that the manifest declares.
    pub last: Option<Attempt>,
    /// The marketplace's report on the operation that golive follows.
    pub followed: Option<Followed>,
    /// Every attempt that the marketplace lists as ended, newest first, without steps; `None` if
    /// the list wasn't read.
    pub listed: Option<Vec<Attempt>>,
    /// The fence for a request: it fails if the offer changed meanwhile.
    pub fence: Option<Fence>,
    /// The listed attempts: one that is absent here is new later.
    pub attempts: Vec<AttemptMark>,
    /// Why the state isn't clear: contradictory reports, or values unknown to this version of
    /// golive.
    pub unclear: Option<String>,
    /// Whether the marketplace was asked about this very offer. Otherwise the state comes from a
    /// list or from the record, and starts nothing.
    pub is_inspected: bool,
    /// Whether every fact needed for a launch was read.
    pub is_launchable: bool,
}

impl OfferState {
    /// The attempt that a request in doubt has caused, judged by the list of operations: a new one
    /// of the same kind, preferably for the same release.
    #[must_use]
    pub fn new_attempt(&self, kind: &OperationKind, release: &Release) -> Option<&Attempt> {
        let new = || self.listed.iter().flatten().filter(|it| it.is_new && it.kind == *kind);
        let meant = new().find(|it| it.release.as_ref() == Some(release));
        meant.or_else(|| new().next())
    }
}

/// Identifies a listed attempt in its current state: its id, its status and the time of its last
/// change, separated by spaces.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttemptMark(String);

impl AttemptMark {
    /// The id must not contain spaces.
    #[must_use]
    pub fn new(id: &str, status: &OperationStatus, changed: &str) -> Self {
        Self(format!("{id} {status} {changed}"))
    }

    /// The mark of an attempt that counts as the same in any state.
    #[must_use]
    pub fn stateless(id: &str) -> Self {
        Self(id.to_owned())
    }

    /// The attempt's id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0.split(' ').next().unwrap_or_default()
    }

    /// Whether the attempt had ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let status = self.0.split(' ').nth(1);
        status.is_some_and(|status| OperationStatus::from(status).is_finished())
    }
}

/// An operation that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Publish, golive or cancel.
    pub kind: OperationKind,
    /// Its id, if the marketplace names it.
    pub id: Option<String>,
    /// The release it works on, if known.
    pub release: Option<Release>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// Messages about the operation as a whole.
    pub messages: Vec<Message>,
}

/// An attempt that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Publish, golive or cancel.
    pub kind: OperationKind,
    /// Its id, if the marketplace names it.
    pub id: Option<String>,
    /// The release it was for, if known.
    pub release: Option<Release>,
    /// How it ended: a finished status.
    pub status: OperationStatus,
    /// Whether it appeared only after the inquiry's request in doubt.
    pub is_new: bool,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// Messages about the operation as a whole.
    pub messages: Vec<Message>,
}

/// The marketplace's report on the operation that golive follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followed {
    /// The operation could be read.
    Known(Box<Report>),
    /// It can no longer be read: golive must inspect the offer.
    Expired,
}

/// A report on an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The overall status. An unknown one means that it still runs, unless its steps say otherwise.
    pub status: OperationStatus,
    /// Whether it still runs, judged by status and steps.
    pub runs: bool,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// Messages about the operation as a whole.
    pub messages: Vec<Message>,
    /// The release it works on, if the answer names it.
    pub release: Option<Release>,
}

/// What golive needs to know about an offer, and what it already knows, so that the backend sends
/// no unnecessary requests.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and named where set")]
pub struct Inquiry {
    /// Whether the manifest wants the offer live; otherwise in preview.
    pub wants_live: bool,
    /// The release that the manifest pins.
    pub pin: Option<Release>,
    /// The operation that golive follows.
    pub following: Option<Following>,
    /// The last attempt that golive knows to have failed or been canceled.
    pub failed: Option<Failed>,
    /// The request that may or may not have been accepted.
    pub in_doubt: Option<InDoubt>,
    /// Whether golive will send a request if the answer allows it.
    pub launches: bool,
    /// Whether the marketplace may return a fence for this offer.
    pub may_be_fenced: bool,
    /// Whether the list suggests that something runs or waits.
    pub seems_busy: bool,
    /// The release in the list, if it names one.
    pub listed: Option<Release>,
    /// Whether the record has attempts whose outcome is unknown.
    pub loose_ends: bool,
    /// The marketplace's own id of the offer, as an earlier look learned it
    /// ([`OfferState::product`]). It may come from a file that someone tampered with.
    pub product: Option<String>,
}

/// An operation that golive follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Following {
    /// Publish, golive or cancel.
    pub kind: OperationKind,
    /// Its reference; `None` if only the offer shows it.
    pub operation: Option<OperationRef>,
    /// The release it works on.
    pub release: Option<Release>,
    /// When it started, as far as golive knows (UTC).
    pub started_at: Timestamp,
    /// A report from a moment ago, so that the operation isn't read again.
    pub latest: Option<Report>,
}

/// An attempt that golive knows to have failed or been canceled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Its id at the marketplace.
    pub id: Option<String>,
    /// The release it was for.
    pub release: Option<Release>,
    /// When golive noticed its end (UTC).
    pub at: Option<Timestamp>,
}

/// A request whose answer was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InDoubt {
    /// Publish, golive or cancel.
    pub kind: OperationKind,
    /// The release it was for.
    pub release: Release,
    /// When golive was about to send it (UTC).
    pub at: Timestamp,
    /// The attempts listed before it ([`OfferState::attempts`]); `None` if unknown.
    pub known: Option<Vec<AttemptMark>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(id: &str, kind: OperationKind, release: Option<u64>, is_new: bool) -> Attempt {
        Attempt {
            kind,
            id: Some(id.to_owned()),
            release: release.map(Release::from),
            status: OperationStatus::Succeeded,
            is_new,
            steps: Vec::new(),
            messages: Vec::new(),
        }
    }

    #[test]
    fn of_two_new_attempts_the_one_for_the_same_release_came_of_the_request() {
        use OperationKind::{GoLive, Publish};
        let all = [
            ended("another", GoLive, Some(8), true),
            ended("publish", Publish, Some(7), true),
            ended("ours", GoLive, Some(7), true),
            ended("old", GoLive, Some(6), false),
        ];
        for (listed, expected) in
            [(vec![0, 1, 2, 3], Some("ours")), (vec![0, 1, 3], Some("another")), (vec![1, 3], None)]
        {
            let listed = Some(listed.into_iter().map(|at| all[at].clone()).collect());
            let state = OfferState { listed, ..OfferState::default() };
            let found = state.new_attempt(&GoLive, &Release::from(7));
            assert_eq!(found.and_then(|it| it.id.as_deref()), expected);
        }
    }
}
