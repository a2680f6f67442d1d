//! What is to be done about one offer, and why.

use jiff::Timestamp;

use crate::marketplace::{
    Attempt, Message, OfferId, OperationKind, OperationStatus, Release, Step,
};
use crate::status::{Intent, Phase, Reason};

/// What is to be done about one offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Send golive.
    GoLive {
        /// The release in preview.
        release: Release,
    },
    /// Send publish.
    Publish {
        /// The draft.
        release: Release,
    },
    /// Follow the operation that runs.
    Track(Tracked),
    /// Nothing: the offer is where it should be.
    InSync(Place),
    /// Nothing for now, on purpose.
    Held(Hold),
    /// Nothing: a person must mend something.
    Blocked(Block),
    /// Nothing: the last attempt ended badly, and nothing changed since.
    Failed(Failure),
}

/// An operation that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracked {
    /// What it does.
    pub kind: OperationKind,
    /// Its id, where the marketplace tells.
    pub id: Option<String>,
    /// The release it works on, where that is known.
    pub release: Option<Release>,
    /// Whose it is.
    pub origin: Origin,
    /// Where it is, in words, e.g. `Live, 42 %`.
    pub at: Option<String>,
}

/// Whose a running operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The record knows it.
    Recorded,
    /// It came of a request whose answer was lost: the record has the intent.
    Found,
    /// Somebody else started it.
    Elsewhere,
}

/// Where an offer is that is in sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In production, as desired.
    Live(Release),
    /// In production although preview is desired.
    AlreadyLive(Release),
    /// In preview, as desired.
    Preview(Option<Release>),
}

/// Why an offer is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// `suspend: true`
    Suspended,
    /// `notBefore` is ahead.
    Scheduled(Timestamp),
    /// These offers are not live yet.
    WaitingForDependency(Vec<OfferId>),
}

/// Why an offer is blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// 401.
    Unauthorized(String),
    /// 403.
    Forbidden(String),
    /// 404.
    NotFound(String),
    /// The pinned version is not the one in preview.
    VersionMismatch {
        /// What the manifest pins.
        pinned: Release,
        /// What is in preview.
        found: Release,
    },
    /// Nothing was ever published to preview.
    NotInPreview,
    /// What the marketplace says that this golive doesn't know, or that contradicts itself.
    UnknownStatus(String),
    /// The same request was refused before, and nothing changed since.
    Refused(String),
    /// The marketplace asks not to be asked for a while.
    Throttled(String),
    /// The marketplace could not be asked.
    Unreachable(String),
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It failed.
    Failed,
    /// Somebody canceled it.
    Canceled,
}

impl Outcome {
    /// The outcome an operation's status stands for, if it ended without success.
    #[must_use]
    pub fn of(status: &OperationStatus) -> Option<Self> {
        match status {
            OperationStatus::Failed => Some(Self::Failed),
            OperationStatus::Canceled => Some(Self::Canceled),
            OperationStatus::NotStarted
            | OperationStatus::Running
            | OperationStatus::Succeeded
            | OperationStatus::Unknown(_) => None,
        }
    }
}

/// The attempt that ended badly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How.
    pub outcome: Outcome,
    /// What it was to do.
    pub kind: OperationKind,
    /// Its id, where it is known.
    pub id: Option<String>,
    /// The release it was for, where that is known.
    pub release: Option<Release>,
    /// Its steps, with their messages.
    pub steps: Vec<Step>,
    /// Messages about the whole.
    pub messages: Vec<Message>,
}

impl Failure {
    /// An attempt that ended badly; `None` of any other.
    #[must_use]
    pub fn of(attempt: &Attempt) -> Option<Self> {
        Some(Self {
            outcome: Outcome::of(&attempt.status)?,
            kind: attempt.kind.clone(),
            id: attempt.id.clone(),
            release: attempt.release.clone(),
            steps: attempt.steps.clone(),
            messages: attempt.messages.clone(),
        })
    }

    /// Whether it is that of an intent's request.
    #[must_use]
    pub fn is_of(&self, intent: &Intent) -> bool {
        self.kind == intent.kind && self.release.as_ref() == Some(&intent.release)
    }
}

impl Decision {
    /// The stable word for what is to be done.
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

    /// What would be started, and of which release, where a request would be sent.
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

    /// Whether a request that changes something would be sent.
    #[must_use]
    pub fn is_trigger(&self) -> bool {
        self.launch().is_some()
    }

    /// Whether the offer is in production, and nothing is to be done about it.
    #[must_use]
    pub fn is_live(&self) -> bool {
        match self {
            Self::InSync(Place::Live(_) | Place::AlreadyLive(_)) => true,
            Self::InSync(Place::Preview(_))
            | Self::GoLive { .. }
            | Self::Publish { .. }
            | Self::Track(_)
            | Self::Held(_)
            | Self::Blocked(_)
            | Self::Failed(_) => false,
        }
    }

    /// Whether the offer stands just where an intent's request was to bring it.
    #[must_use]
    pub fn achieves(&self, intent: &Intent) -> bool {
        match self {
            Self::InSync(Place::Live(release) | Place::AlreadyLive(release)) => {
                intent.kind == OperationKind::GoLive && *release == intent.release
            }
            // What a publish brings to preview has a name of its own.
            Self::InSync(Place::Preview(_)) => intent.kind == OperationKind::Publish,
            Self::GoLive { .. }
            | Self::Publish { .. }
            | Self::Track(_)
            | Self::Held(_)
            | Self::Blocked(_)
            | Self::Failed(_) => false,
        }
    }

    /// The operation to follow, if that is what is to be done.
    #[must_use]
    pub fn tracked(&self) -> Option<&Tracked> {
        match self {
            Self::Track(tracked) => Some(tracked),
            Self::GoLive { .. }
            | Self::Publish { .. }
            | Self::InSync(_)
            | Self::Held(_)
            | Self::Blocked(_)
            | Self::Failed(_) => None,
        }
    }

    /// The phase of an offer about which this was decided.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self {
            Self::GoLive { .. } | Self::Publish { .. } => Phase::Triggering,
            Self::Track(_) => Phase::InProgress,
            Self::InSync(Place::Live(_) | Place::AlreadyLive(_)) => Phase::Live,
            Self::InSync(Place::Preview(_)) => Phase::Preview,
            Self::Held(_) => Phase::Held,
            Self::Blocked(_) => Phase::Blocked,
            Self::Failed(_) => Phase::Failed,
        }
    }

    /// The stable word for why.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::GoLive { .. } => Reason::GoLivePending,
            Self::Publish { .. } => Reason::PublishPending,
            Self::Track(tracked) => running_reason(&tracked.kind),
            Self::InSync(Place::Live(_)) => Reason::InProduction,
            Self::InSync(Place::AlreadyLive(_)) => Reason::AlreadyLive,
            Self::InSync(Place::Preview(_)) => Reason::InPreview,
            Self::Held(Hold::Suspended) => Reason::Suspended,
            Self::Held(Hold::Scheduled(_)) => Reason::Scheduled,
            Self::Held(Hold::WaitingForDependency(_)) => Reason::WaitingForDependency,
            Self::Blocked(block) => block.reason(),
            Self::Failed(failure) => match failure.outcome {
                Outcome::Failed => Reason::OperationFailed,
                Outcome::Canceled => Reason::OperationCanceled,
            },
        }
    }

    /// Why, as a sentence for people.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::GoLive { release } => format!("version {release} is in preview and will go live"),
            Self::Publish { .. } => {
                "the offer was never published and will be published to preview".to_owned()
            }
            Self::Track(tracked) => tracked.message(),
            Self::InSync(place) => place.message(),
            Self::Held(hold) => hold.message(),
            Self::Blocked(block) => block.message(),
            Self::Failed(failure) => failure.message(),
        }
    }
}

/// The reason of an offer on which an operation of this kind runs.
fn running_reason(kind: &OperationKind) -> Reason {
    match kind {
        OperationKind::GoLive => Reason::GoLiveRunning,
        OperationKind::Publish => Reason::PublishRunning,
        OperationKind::Cancel | OperationKind::Unknown(_) => Reason::OperationRunning,
    }
}

impl Tracked {
    fn message(&self) -> String {
        let nameless = self.kind.as_str().is_empty();
        let mut text =
            format!("{} runs", if nameless { "an operation" } else { self.kind.as_str() });
        if let Some(at) = &self.at {
            text = format!("{text}: {at}");
        }
        text.push_str(match self.origin {
            Origin::Recorded => "",
            Origin::Found => " (found again: the answer to the request was lost)",
            Origin::Elsewhere => " (started elsewhere; golive follows it)",
        });
        text
    }
}

impl Place {
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
            Self::Unauthorized(_) => Reason::Unauthorized,
            Self::Forbidden(_) => Reason::Forbidden,
            Self::NotFound(_) => Reason::NotFound,
            Self::VersionMismatch { .. } => Reason::VersionMismatch,
            Self::NotInPreview => Reason::NotInPreview,
            Self::UnknownStatus(_) => Reason::UnknownStatus,
            Self::Refused(_) => Reason::Refused,
            Self::Throttled(_) => Reason::Throttled,
            Self::Unreachable(_) => Reason::Unreachable,
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Unauthorized(said)
            | Self::Forbidden(said)
            | Self::NotFound(said)
            | Self::Throttled(said)
            | Self::Unreachable(said) => said.clone(),
            Self::VersionMismatch { pinned, found } => format!(
                "the manifest pins version {pinned}, but version {found} is in preview; \
                 publish version {pinned}, or pin {found}"
            ),
            Self::NotInPreview => {
                "the offer is not in preview; publish it to preview first (state: preview does that)".to_owned()
            }
            Self::UnknownStatus(text) => format!(
                "it is not clear how the offer stands, so that nothing is sent: {text}"
            ),
            Self::Refused(message) => format!(
                "{}; not repeated until the manifest or the offer changes, or --retry is given",
                message.trim_end_matches('.')
            ),
        }
    }
}

impl Failure {
    /// The step that ended it, where one shows.
    #[must_use]
    pub fn step(&self) -> Option<&Step> {
        crate::status::stopped_step(&self.steps)
    }

    fn message(&self) -> String {
        let nameless = self.kind.as_str().is_empty();
        let what = format!("the last {}", if nameless { "operation" } else { self.kind.as_str() });
        let release = self.release.as_ref();
        let version = release.map(|release| format!(" of version {release}")).unwrap_or_default();
        let outcome = match self.outcome {
            Outcome::Failed => "failed",
            Outcome::Canceled => "was canceled",
        };
        let mut text = format!("{what}{version} {outcome}");
        if let Some(step) = self.step() {
            text = format!("{text} at {}", step.name);
        }
        let said = self.step().map(|step| step.messages.as_slice()).unwrap_or_default();
        if let Some(message) = said.iter().chain(&self.messages).next() {
            text = format!("{text}: {}", message.text);
        }
        text
    }
}
