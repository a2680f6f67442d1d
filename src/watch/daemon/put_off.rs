//! Records of offers that can't be checked for the first time yet, because the marketplace asked
//! golive to pause their publisher. The inspection waits for the end of the pause, up to an hour,
//! and until then gives no result to record.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Daemon;
use crate::manifest::Loaded;
use crate::marketplace::{OfferId, Pause, PausedUntil, PublisherId};
use crate::report::{Event, Reporter as _};
use crate::status::{ErrorRecord, ManifestRecord, OfferRecord, Phase, Reason};

/// Shorter pauses are not recorded: most are those between two tries of one read.
const WORTH_A_WORD: Duration = Duration::from_secs(5);

/// Ends of a pause closer together than this are the same: each is computed from two clocks.
const SAME: SignedDuration = SignedDuration::from_secs(1);

impl Daemon {
    /// Records why offers of paused publishers haven't been checked. Known facts about an offer
    /// stay.
    pub(super) fn put_off(&mut self) {
        let paused = self.parts.service_state.paused_until();
        if paused.is_empty() {
            return;
        }
        let now = self.parts.clock.now();
        let desired = self.engine.desired();
        let unseen = self.progress.unseen().filter_map(|offer| {
            let pause = worth_a_word(&paused, offer.publisher(), now)?;
            Some((offer, &**desired.get(offer)?, pause))
        });
        let mut is_new = false;
        for (offer, loaded, pause) in unseen {
            is_new |= self.note_pause(offer, loaded, pause, now);
        }
        if is_new {
            self.engine.flush_soon();
        }
    }

    /// Whether a publisher's offers can't be checked for long enough to record it.
    pub(super) fn is_paused(&self, paused: &PausedUntil, publisher: &PublisherId) -> bool {
        worth_a_word(paused, publisher, self.parts.clock.now()).is_some()
    }

    fn note_pause(&self, offer: &OfferId, loaded: &Loaded, pause: &Pause, now: Timestamp) -> bool {
        let Pause { until, why } = pause;
        let store = &self.parts.store;
        if store.get(offer).is_some_and(|known| !is_open(&known, loaded, *until)) {
            return false;
        }
        let message = format!("the marketplace asked golive to wait until {until:.0}: {why}");
        let manifest = ManifestRecord {
            digest: loaded.digest.clone(),
            file: self.parts.reconciler.paths().name(&loaded.file),
            state: loaded.manifest.state,
        };
        let record = OfferRecord {
            attempts: 0,
            error: Some(ErrorRecord::new(now, message.clone())),
            history: Vec::new(),
            intent: None,
            manifest,
            message,
            next_check_at: Some(*until),
            observed: None,
            operation: None,
            phase: Phase::Blocked,
            reason: Reason::Throttled,
            refused: None,
            since: now,
        };
        let edited = store.edit(
            offer,
            || record.clone(),
            |known| {
                let since = if known.reason == record.reason { known.since } else { now };
                *known = OfferRecord { since, ..record.clone() };
            },
        );
        let before = edited.before.as_deref();
        self.parts.service_state.report(&Event::Changed { offer, before, record: &edited.after });
        self.parts.service_state.schedule(offer, Some(*until));
        true
    }
}

/// The pause of a publisher, unless it is short.
fn worth_a_word<'a>(
    paused: &'a PausedUntil,
    publisher: &PublisherId,
    now: Timestamp,
) -> Option<&'a Pause> {
    let is_long = |pause: &&Pause| {
        Duration::try_from(pause.until.duration_since(now)).is_ok_and(|left| left >= WORTH_A_WORD)
    };
    paused.of(publisher).filter(is_long)
}

/// Whether an offer's record holds nothing but a failed check, and doesn't yet say that the offer
/// can't be checked until then.
fn is_open(record: &OfferRecord, loaded: &Loaded, until: Timestamp) -> bool {
    let is_same = |at: Timestamp| until.duration_since(at).abs() < SAME;
    let could_not_ask = match record.reason {
        Reason::Throttled => {
            record.manifest.digest != loaded.digest || !record.next_check_at.is_some_and(is_same)
        }
        Reason::Unauthorized | Reason::Unreachable => true,
        Reason::InProduction
        | Reason::AlreadyLive
        | Reason::InPreview
        | Reason::GoLivePending
        | Reason::PublishPending
        | Reason::GoLiveRunning
        | Reason::PublishRunning
        | Reason::OperationRunning
        | Reason::Suspended
        | Reason::Scheduled
        | Reason::WaitingForDependency
        | Reason::Forbidden
        | Reason::NotFound
        | Reason::VersionMismatch
        | Reason::NotInPreview
        | Reason::UnknownStatus
        | Reason::Refused
        | Reason::Conflict
        | Reason::OperationFailed
        | Reason::OperationCanceled => false,
    };
    could_not_ask
        && record.phase == Phase::Blocked
        && record.observed.is_none()
        && record.intent.is_none()
        && record.operation.is_none()
        && record.history.is_empty()
}
