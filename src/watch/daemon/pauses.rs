//! Offers that can't be evaluated for the first time yet, because the marketplace asked golive to
//! pause their publisher. The inspection waits for the end of the pause, up to an hour, and until
//! then gives no result to record.

use std::time::Duration;

use jiff::Timestamp;

use super::Daemon;
use crate::marketplace::{OfferId, Pause, PausedUntil, PublisherId};
use crate::report::{Event, Reporter as _};

/// Shorter pauses are not recorded: most are those between two tries of one read.
const SHORTEST: Duration = Duration::from_secs(5);

impl Daemon {
    /// Records why offers of paused publishers haven't been evaluated. Known facts about an offer
    /// stay.
    pub(super) fn record_pauses(&mut self) {
        let paused = self.parts.service_state.paused_until();
        if paused.is_empty() {
            return;
        }
        let now = self.parts.clock.now();
        let unseen: Vec<OfferId> = self.progress.unseen().cloned().collect();
        for offer in &unseen {
            let Some(Pause { until, why }) = long_pause(&paused, offer.publisher(), now) else {
                continue;
            };
            if let Some(edited) = self.engine.record_pause(offer, *until, why) {
                let (before, record) = (edited.before.as_deref(), &*edited.after);
                self.parts.service_state.report(&Event::Changed { offer, before, record });
                self.parts.service_state.schedule(offer, Some(*until));
            }
        }
    }

    /// Whether a publisher's offers can't be evaluated for long enough to record it.
    pub(super) fn is_paused(&self, paused: &PausedUntil, publisher: &PublisherId) -> bool {
        long_pause(paused, publisher, self.parts.clock.now()).is_some()
    }
}

/// The pause of a publisher, unless it is short.
fn long_pause<'a>(
    paused: &'a PausedUntil,
    publisher: &PublisherId,
    now: Timestamp,
) -> Option<&'a Pause> {
    let is_long = |pause: &&Pause| {
        Duration::try_from(pause.until.duration_since(now)).is_ok_and(|left| left >= SHORTEST)
    };
    paused.of(publisher).filter(is_long)
}
