//! What a backend makes of the marketplace's answers about one offer.

use jiff::Timestamp;

use super::{
    ChangedTime, Fence, Message, OfferId, OperationKind, OperationRef, OperationStatus, Release,
    Step,
};

/// An offer as the list of its publisher shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The offer.
    pub id: OfferId,
    /// The marketplace's own words for its status.
    pub words: String,
    /// When it last changed, where the list says so.
    pub changed_time: Option<ChangedTime>,
    /// A text that changes whenever the list says something else of the offer; `None` where a list
    /// says nothing that could change.
    pub fingerprint: Option<String>,
    /// What the list suggests. It may lag behind, and it never suffices to start something.
    pub hint: Hint,
    /// The release that the list names: of the last publish, which may have failed.
    pub release: Option<Release>,
    /// Whether the marketplace may give a fence for this offer.
    pub may_be_fenced: bool,
}

/// What a list suggests of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Nothing runs and nothing waits.
    AtRest,
    /// A release is in preview and waits for the publisher's sign-off.
    InPreview,
    /// Something is going on, or it is not clear what.
    Busy,
}

/// Everything that is known of one offer, in golive's own terms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfferState {
    /// What *publish* would publish.
    pub draft: Option<Release>,
    /// The release in preview that waits for the publisher's sign-off: what a golive would launch.
    pub preview: Option<Release>,
    /// A release that stands in preview and doesn't wait for the sign-off, as after a golive that
    /// failed: it may be launched only where a person asks for another try.
    pub stale_preview: Option<Release>,
    /// The release in production.
    pub live: Option<Release>,
    /// Which of these releases the inquiry's pin names, where the pin is another of its names.
    pub pinned: Option<Release>,
    /// The operation that runs.
    pub running: Option<Run>,
    /// The newest attempt at what the manifest wants that has ended.
    pub last: Option<Attempt>,
    /// What the marketplace says of the operation that golive follows.
    pub followed: Option<Followed>,
    /// Every attempt that the marketplace lists as ended, the newest first, without steps; `None` where
    /// it was not asked.
    pub listed: Option<Vec<Attempt>>,
    /// What guards a request against a change of the offer.
    pub fence: Option<Fence>,
    /// The attempts that the marketplace lists, opaque: what is not among them later is new.
    pub attempts: Vec<String>,
    /// Why it is not clear how the offer stands: reports that contradict each other, or words that
    /// this golive doesn't know.
    pub unclear: Option<String>,
    /// Whether the marketplace was asked about this very offer. Otherwise the state comes from a list
    /// or from the record, and starts nothing.
    pub is_inspected: bool,
    /// Whether everything was asked that must be known before a launch.
    pub is_launchable: bool,
}

impl OfferState {
    /// The attempt that came of a request in doubt, as far as the list of operations tells: one of
    /// its kind that is new, for its release rather than for another.
    #[must_use]
    pub fn new_attempt(&self, kind: &OperationKind, release: &Release) -> Option<&Attempt> {
        let new = || self.listed.iter().flatten().filter(|it| it.is_new && it.kind == *kind);
        let meant = new().find(|it| it.release.as_ref() == Some(release));
        meant.or_else(|| new().next())
    }
}

/// An operation that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// What it does.
    pub kind: OperationKind,
    /// Its id, where the marketplace tells.
    pub id: Option<String>,
    /// The release it works on, where that is known.
    pub release: Option<Release>,
    /// Its steps.
    pub steps: Vec<Step>,
    /// Messages about the whole.
    pub messages: Vec<Message>,
}

/// An attempt that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// What it was to do.
    pub kind: OperationKind,
    /// Its id, where the marketplace tells.
    pub id: Option<String>,
    /// The release it was for, where that is known.
    pub release: Option<Release>,
    /// How it ended: a finished status.
    pub status: OperationStatus,
    /// Whether it was not there before the request that the inquiry asks about.
    pub is_new: bool,
    /// Its steps.
    pub steps: Vec<Step>,
    /// Messages about the whole.
    pub messages: Vec<Message>,
}

/// What the marketplace says of the operation that golive follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followed {
    /// It is known.
    Known(Box<Report>),
    /// It can't be asked for any more: the offer must tell.
    Expired,
}

/// An answer about an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its status. An unknown one means that it still runs, while its steps don't say otherwise.
    pub status: OperationStatus,
    /// Whether it still runs as far as status and steps tell.
    pub runs: bool,
    /// Its steps, in order.
    pub steps: Vec<Step>,
    /// Messages about the whole.
    pub messages: Vec<Message>,
    /// The release it works on, where the answer says so.
    pub release: Option<Release>,
}

/// What golive wants to know of an offer, and what it knows already: enough for the backend to ask
/// for no more than that.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and named where set")]
pub struct Inquiry {
    /// Whether the manifest wants the offer live; otherwise in preview.
    pub wants_live: bool,
    /// The release that the manifest pins.
    pub pin: Option<Release>,
    /// The operation that golive follows.
    pub following: Option<Following>,
    /// The last attempt that golive knows to have failed or to have been canceled.
    pub failed: Option<Failed>,
    /// The request of which it is not known whether it was accepted.
    pub in_doubt: Option<InDoubt>,
    /// Whether a request is about to be sent if the answer allows it.
    pub launches: bool,
    /// Whether the marketplace may give a fence for this offer.
    pub may_be_fenced: bool,
    /// Whether the list suggests that something runs or waits.
    pub seems_busy: bool,
    /// The release that the list names, where it names one.
    pub listed: Option<Release>,
    /// Whether attempts are on record of which it is not known how they ended.
    pub loose_ends: bool,
}

/// An operation that golive follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Following {
    /// What it does.
    pub kind: OperationKind,
    /// Where it is found; `None` where only the offer shows it.
    pub operation: Option<OperationRef>,
    /// The release it works on.
    pub release: Option<Release>,
    /// What it answered a moment ago: it is not asked again.
    pub heard: Option<Report>,
}

/// An attempt that golive knows to have ended without success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Its id.
    pub id: Option<String>,
    /// The release it was for.
    pub release: Option<Release>,
    /// When golive saw its end (UTC).
    pub at: Option<Timestamp>,
}

/// A request whose answer was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InDoubt {
    /// What it was to start.
    pub kind: OperationKind,
    /// The release it was for.
    pub release: Release,
    /// When it was about to be sent (UTC).
    pub at: Timestamp,
    /// The attempts that were listed before ([`OfferState::attempts`]); `None` where that is not
    /// known.
    pub known: Option<Vec<String>>,
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
