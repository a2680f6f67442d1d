//! What people see of an offer: phase, reason, message, error and next check.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::changes::{
    Block, Decision, DecisionTime, Failure, FailureStatus, Hold, Origin, SyncState, Tracked,
};
use crate::engine::dependents::could_not_ask;
use crate::manifest::DesiredState;
use crate::marketplace::{MAX_RETRY_AFTER, OperationKind, OperationStatus};
use crate::status::{ErrorRecord, Intent, OfferRecord, OperationRecord, Phase, Reason};

/// What an event does to one part of a record.
#[derive(Debug, Default)]
pub(super) enum Update<T> {
    #[default]
    Keep,
    To(T),
}

impl<T> Update<T> {
    pub(super) fn to_if(changes: bool, value: T) -> Self {
        if changes { Self::To(value) } else { Self::Keep }
    }
}

/// What an event does to the parts of a record that people see.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// Phase, reason and message.
    pub(super) headline: Update<(Phase, Reason, String)>,
    pub(super) error: Update<Option<String>>,
    pub(super) next_check: Update<Option<Timestamp>>,
}

impl Summary {
    pub(super) fn of(decision: &Decision) -> Self {
        let headline = (decision.phase(), decision.reason(), decision.message());
        Self { headline: Update::To(headline), ..Self::default() }
    }

    /// The summary of a decision. If the offer could not be asked about, that says nothing about
    /// its state, so the observed state stands.
    pub(super) fn of_change(record: &OfferRecord, decision: &Decision, was_observed: bool) -> Self {
        let could_ask = !could_not_ask(decision);
        let error = match decision {
            Decision::Blocked(Block::Refused(why)) => Some(why.clone()),
            Decision::Blocked(Block::Unavailable(kind, why)) if !kind.is_answer() => {
                Some(why.clone())
            }
            // The retry of the failed operation was refused.
            Decision::Failed(_) => record.refused.as_ref().map(|it| it.message.clone()),
            Decision::Blocked(_)
            | Decision::GoLive { .. }
            | Decision::Publish { .. }
            | Decision::Track(_)
            | Decision::InSync(_)
            | Decision::Held(_) => None,
        };
        let next_check = match decision {
            Decision::Held(Hold::Scheduled(until)) => Some(*until),
            Decision::Held(_)
            | Decision::GoLive { .. }
            | Decision::Publish { .. }
            | Decision::Track(_)
            | Decision::InSync(_)
            | Decision::Blocked(_)
            | Decision::Failed(_) => None,
        };
        let shows = could_ask || !was_observed;
        let headline = if shows { Self::of(decision).headline } else { Update::Keep };
        Self { headline, error: Update::To(error), next_check: Update::To(next_check) }
    }

    pub(super) fn blocked(reason: Reason, why: String) -> Self {
        let headline = Update::To((Phase::Blocked, reason, why.clone()));
        Self { headline, ..Self::error(why) }
    }

    pub(super) fn error(why: String) -> Self {
        Self { error: Update::To(Some(why)), ..Self::default() }
    }

    pub(super) fn pending(intent: &Intent) -> Self {
        let reason = match intent.kind {
            OperationKind::Publish => Reason::PublishPending,
            OperationKind::GoLive | OperationKind::Cancel | OperationKind::Unknown(_) => {
                Reason::GoLivePending
            }
        };
        let message = format!(
            "{} of version {} is being sent, or may have been (request {})",
            intent.kind, intent.release, intent.request_id
        );
        let headline = Update::To((Phase::Triggering, reason, message));
        Self { headline, ..Self::default() }
    }

    /// The summary while an operation runs.
    pub(super) fn running(operation: Option<&OperationRecord>) -> Self {
        let Some(operation) = operation else { return Self::default() };
        Self::of(&Decision::Track(Tracked {
            kind: operation.kind.clone(),
            id: operation.id.clone(),
            release: operation.release.clone(),
            origin: Origin::Recorded,
            at: operation.place(),
        }))
    }

    /// The summary of an offer without a manifest in force whose operation has ended.
    pub(super) fn concluded(record: &OfferRecord) -> Self {
        let Some(operation) = record.operation.as_ref() else { return Self::default() };
        let wants_live = record.manifest.state == DesiredState::Live;
        match (&operation.status, &operation.kind, operation.release.clone()) {
            (OperationStatus::Succeeded, OperationKind::Publish, release) if !wants_live => {
                Self::of(&Decision::InSync(SyncState::Preview(release)))
            }
            (OperationStatus::Succeeded, OperationKind::GoLive, Some(release)) if wants_live => {
                Self::of(&Decision::InSync(SyncState::Live(release)))
            }
            (status, _, _) => FailureStatus::of(status).map_or_else(Self::default, |status| {
                Self::of(&Decision::Failed(Failure::of_operation(operation, status)))
            }),
        }
    }

    /// The summary of a request whose result is still unknown when the protocol ends. A known cause
    /// is not replaced by a less specific one.
    pub(super) fn in_doubt(record: &OfferRecord, why: Option<&str>, at: DecisionTime) -> Self {
        let Some(intent) = record.intent.as_deref() else {
            return Self { next_check: Update::To(None), ..Self::default() };
        };
        let again = at.settles_at(intent).filter(|settled| *settled > at.now);
        let is_known = why.is_none() && record.error.is_some();
        let why = why.unwrap_or("golive was stopped while it was under way");
        let until = match again.filter(|_| intent.attempt == 1) {
            Some(settled) => format!("; if nothing shows until {settled:.0}, it is sent once more"),
            None => String::new(),
        };
        let text = format!("it is not known whether the request was accepted: {why}{until}");
        let error = Update::to_if(!is_known, Some(text));
        Self { headline: Update::Keep, error, next_check: Update::To(again) }
    }

    pub(super) fn phase(&self) -> Option<Phase> {
        match &self.headline {
            Update::Keep => None,
            Update::To((phase, _, _)) => Some(*phase),
        }
    }

    /// Writes the summary. A phase and an error that stay the same keep their date.
    pub(super) fn write(self, record: &mut OfferRecord, now: Timestamp) {
        if let Update::To((phase, reason, message)) = self.headline {
            if (record.phase, record.reason) != (phase, reason) {
                record.since = now;
            }
            (record.phase, record.reason, record.message) = (phase, reason, message);
        }
        match self.error {
            Update::Keep => {}
            Update::To(None) => record.error = None,
            Update::To(Some(why)) => {
                if record.error.as_ref().is_none_or(|error| error.message != why) {
                    record.error = Some(ErrorRecord::new(now, why));
                }
            }
        }
        if let Update::To(next_check) = self.next_check {
            record.next_check_at = next_check;
        }
    }
}

/// The pause that the marketplace asks for, as text, to the second. [`MAX_RETRY_AFTER`] stands for
/// every longer pause.
pub(in crate::engine) fn spell(pause: Duration) -> String {
    let seconds = i64::try_from(pause.as_secs()).unwrap_or(i64::MAX);
    let at_least = if pause > MAX_RETRY_AFTER { "at least " } else { "" };
    format!("{at_least}{:#}", SignedDuration::from_secs(seconds))
}
