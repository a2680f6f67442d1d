//! The decision about one offer, and its reason.

use jiff::Timestamp;

use super::observation::Unavailable;
use crate::marketplace::{
    Attempt, Message, OfferId, OperationKind, OperationStatus, Release, Step,
};
use crate::status::{Intent, OperationRecord, Phase, Reason};

/// The decision about one offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Send a golive request.
    GoLive {
        /// The release in preview.
        release: Release,
    },
    /// Send a publish request.
    Publish {
        /// The draft's release.
        release: Release,
    },
    /// Follow the running operation.
    Track(Tracked),
    /// Nothing: the offer is in the desired state.
    InSync(SyncState),
    /// Nothing for now, because the manifest holds the offer.
    Held(Hold),
    /// Nothing: a person must fix something first.
    Blocked(Block),
    /// Nothing: the last attempt failed or was canceled, and nothing has changed since.
    Failed(Failure),
}

/// A running operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracked {
    /// The kind of operation.
    pub kind: OperationKind,
    /// Its id, if the marketplace gives one.
    pub id: Option<String>,
    /// The release it works on, if known.
    pub release: Option<Release>,
    /// Who started it.
    pub origin: Origin,
    /// Its progress as text, e.g. `Live, 42 %`.
    pub at: Option<String>,
}

/// Who started a running operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// golive started or adopted it: the operation is in the record.
    Recorded,
    /// golive sent the request but lost the answer: the record has the intent.
    Found,
    /// Someone else started it.
    Elsewhere,
}

/// The state of an offer that is in sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncState {
    /// The offer is in production, as desired.
    Live(Release),
    /// The offer is in production although the manifest asks for preview.
    AlreadyLive(Release),
    /// The offer is in preview, as desired.
    Preview(Option<Release>),
}

/// Why an offer is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The manifest says `suspend: true`.
    Suspended,
    /// `notBefore` is in the future.
    Scheduled(Timestamp),
    /// The offers in `after` that are not live yet.
    WaitingForDependency(Vec<OfferId>),
}

/// Why an offer is blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// golive could not see the offer, with the message for people.
    Unavailable(Unavailable, String),
    /// The pinned version is not the one in preview.
    VersionMismatch {
        /// The release that the manifest pins.
        pinned: Release,
        /// The release in preview.
        found: Release,
    },
    /// Nothing was ever published to preview.
    NotInPreview,
    /// The marketplace's answer has a value that this golive doesn't know, or contradicts itself.
    UnknownStatus(String),
    /// The same request was refused before, and nothing has changed since.
    Refused(String),
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureStatus {
    /// The operation failed.
    Failed,
    /// Someone canceled the operation.
    Canceled,
}

impl FailureStatus {
    /// The value for an operation's status; `None` unless it failed or was canceled.
    #[must_use]
    pub fn of(status: &OperationStatus) -> Option<Self> {
        match status {
            OperationStatus::Failed => Some(Self::Failed),
            OperationStatus::Canceled => Some(Self::Canceled),
            OperationStatus::NotStarted
            | OperationStatus::Running
            | OperationStatus::Succeeded
            | OperationStatus::Refused
            | OperationStatus::Unknown(_) => None,
        }
    }
}

/// An attempt that failed or was canceled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Whether it failed or was canceled.
    pub status: FailureStatus,
    /// The kind of operation.
    pub kind: OperationKind,
    /// Its id, if known.
    pub id: Option<String>,
    /// The release it was for, if known.
    pub release: Option<Release>,
    /// Its steps, with their messages.
    pub steps: Vec<Step>,
    /// Messages about the operation as a whole.
    pub messages: Vec<Message>,
}

impl Failure {
    /// The failure of an attempt; `None` unless it failed or was canceled.
    #[must_use]
    pub fn of(attempt: &Attempt) -> Option<Self> {
        Some(Self {
            status: FailureStatus::of(&attempt.status)?,
            kind: attempt.kind.clone(),
            id: attempt.id.clone(),
            release: attempt.release.clone(),
            steps: attempt.steps.clone(),
            messages: attempt.messages.clone(),
        })
    }

    /// The failure of a recorded operation.
    pub(crate) fn of_operation(operation: &OperationRecord, status: FailureStatus) -> Self {
        Self {
            status,
            kind: operation.kind.clone(),
            id: operation.id.clone(),
            release: operation.release.clone(),
            steps: operation.steps.clone(),
            messages: operation.messages.clone(),
        }
    }

    /// Whether this is the failure of the intent's request: same kind and release.
    #[must_use]
    pub fn is_of(&self, intent: &Intent) -> bool {
        self.kind == intent.kind && self.release.as_ref() == Some(&intent.release)
    }
}

impl Decision {
    /// The stable name of the decision.
    #[must_use]
    pub fn action(&self) -> &'static str {
        match self {
            Self::GoLive { .. } => "GoLive",
            Self::Publish { .. } => "Publish",
            Self::Track(_) => "Track",
            Self::InSync(_) => "InSync",
            Self::Held(_) => "Held",
            Self::Blocked(_) => "Blocked",
            Self::Failed(_) => "Failed",
        }
    }

    /// The kind of operation and the release that the decision would start; `None` if it sends
    /// nothing.
    #[must_use]
    pub fn launch(&self) -> Option<(OperationKind, &Release)> {
        match self {
            Self::GoLive { release } => Some((OperationKind::GoLive, release)),
            Self::Publish { release } => Some((OperationKind::Publish, release)),
            Self::Track(_)
            | Self::InSync(_)
            | Self::Held(_)
            | Self::Blocked(_)
            | Self::Failed(_) => None,
        }
    }

    /// Whether the decision sends a request that changes something.
    #[must_use]
    pub fn is_trigger(&self) -> bool {
        self.launch().is_some()
    }

    /// Whether the offer is in production and needs no action.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.phase() == Phase::Live
    }

    /// Whether the offer is exactly where the intent's request should have brought it.
    #[must_use]
    pub fn achieves(&self, intent: &Intent) -> bool {
        let Self::InSync(state) = self else { return false };
        match state {
            SyncState::Live(release) | SyncState::AlreadyLive(release) => {
                intent.kind == OperationKind::GoLive && *release == intent.release
            }
            // The release a publish brings to preview has another name than the draft.
            SyncState::Preview(_) => intent.kind == OperationKind::Publish,
        }
    }

    /// The operation to follow, if the decision is to follow one.
    #[must_use]
    pub fn tracked(&self) -> Option<&Tracked> {
        if let Self::Track(tracked) = self { Some(tracked) } else { None }
    }

    /// The phase of an offer with this decision.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self {
            Self::GoLive { .. } | Self::Publish { .. } => Phase::Triggering,
            Self::Track(_) => Phase::InProgress,
            Self::InSync(SyncState::Live(_) | SyncState::AlreadyLive(_)) => Phase::Live,
            Self::InSync(SyncState::Preview(_)) => Phase::Preview,
            Self::Held(_) => Phase::Held,
            Self::Blocked(_) => Phase::Blocked,
            Self::Failed(_) => Phase::Failed,
        }
    }

    /// The stable code for the decision's reason.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::GoLive { .. } => Reason::GoLivePending,
            Self::Publish { .. } => Reason::PublishPending,
            Self::Track(Tracked { kind, .. }) => match kind {
                OperationKind::GoLive => Reason::GoLiveRunning,
                OperationKind::Publish => Reason::PublishRunning,
                OperationKind::Cancel | OperationKind::Unknown(_) => Reason::OperationRunning,
            },
            Self::InSync(SyncState::Live(_)) => Reason::InProduction,
            Self::InSync(SyncState::AlreadyLive(_)) => Reason::AlreadyLive,
            Self::InSync(SyncState::Preview(_)) => Reason::InPreview,
            Self::Held(Hold::Suspended) => Reason::Suspended,
            Self::Held(Hold::Scheduled(_)) => Reason::Scheduled,
            Self::Held(Hold::WaitingForDependency(_)) => Reason::WaitingForDependency,
            Self::Blocked(block) => block.reason(),
            Self::Failed(failure) => match failure.status {
                FailureStatus::Failed => Reason::OperationFailed,
                FailureStatus::Canceled => Reason::OperationCanceled,
            },
        }
    }

    /// The reason as a sentence for people.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::GoLive { release } => format!("version {release} is in preview and will go live"),
            Self::Publish { .. } => {
                "the offer was never published and will be published to preview".to_owned()
            }
            Self::Track(tracked) => tracked.message(),
            Self::InSync(state) => state.message(),
            Self::Held(hold) => hold.message(),
            Self::Blocked(block) => block.message(),
            Self::Failed(failure) => failure.message(),
        }
    }
}

impl Tracked {
    fn message(&self) -> String {
        let what = if self.kind.as_str().is_empty() { "an operation" } else { self.kind.as_str() };
        let at = self.at.as_ref().map(|at| format!(": {at}")).unwrap_or_default();
        let origin = match self.origin {
            Origin::Recorded => "",
            Origin::Found => " (found again: the answer to the request was lost)",
            Origin::Elsewhere => " (started elsewhere; golive follows it)",
        };
        format!("{what} runs{at}{origin}")
    }
}

impl SyncState {
    fn message(&self) -> String {
        match self {
            Self::Live(release) => format!("version {release} is live"),
            Self::AlreadyLive(release) => format!(
                "version {release} is live already; the manifest asks for preview, but a live offer can't be taken back"
            ),
            Self::Preview(Some(release)) => format!("version {release} is in preview"),
            Self::Preview(None) => "the offer is in preview".to_owned(),
        }
    }
}

impl Hold {
    fn message(&self) -> String {
        match self {
            Self::Suspended => "the manifest says suspend: true".to_owned(),
            Self::Scheduled(until) => format!("the manifest says notBefore: {until}"),
            Self::WaitingForDependency(offers) => {
                let names: Vec<_> = offers.iter().map(ToString::to_string).collect();
                format!(
                    "waits until {} {} live",
                    names.join(", "),
                    if names.len() == 1 { "is" } else { "are" }
                )
            }
        }
    }
}

impl Block {
    fn reason(&self) -> Reason {
        match self {
            Self::Unavailable(why, _) => why.reason(),
            Self::VersionMismatch { .. } => Reason::VersionMismatch,
            Self::NotInPreview => Reason::NotInPreview,
            Self::UnknownStatus(_) => Reason::UnknownStatus,
            Self::Refused(_) => Reason::Refused,
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Unavailable(_, message) => message.clone(),
            Self::VersionMismatch { pinned, found } => format!(
                "the manifest pins version {pinned}, but version {found} is in preview; \
                 publish version {pinned}, or pin {found}"
            ),
            Self::NotInPreview => {
                "the offer is not in preview; publish it to preview first (state: preview does that)".to_owned()
            }
            Self::UnknownStatus(text) => format!(
                "the offer's state is unclear, so nothing is sent: {text}"
            ),
            Self::Refused(message) => format!(
                "{}; not repeated until the manifest or the offer changes, or --retry is given",
                message.trim_end_matches('.')
            ),
        }
    }
}

impl Failure {
    /// The step that stopped the operation, if the marketplace shows one.
    #[must_use]
    pub fn step(&self) -> Option<&Step> {
        crate::status::stopped_step(&self.steps)
    }

    fn message(&self) -> String {
        let what = if self.kind.as_str().is_empty() { "operation" } else { self.kind.as_str() };
        let release = self.release.as_ref();
        let version = release.map(|release| format!(" of version {release}")).unwrap_or_default();
        let ended = match self.status {
            FailureStatus::Failed => "failed",
            FailureStatus::Canceled => "was canceled",
        };
        let step = self.step();
        let at = step.map(|step| format!(" at {}", step.name)).unwrap_or_default();
        let mut messages = step.iter().flat_map(|step| &step.messages).chain(&self.messages);
        let message = messages.next().map(|it| format!(": {}", it.text)).unwrap_or_default();
        format!("the last {what}{version} {ended}{at}{message}")
    }
}
