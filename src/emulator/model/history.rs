//! What an offer was before, for answers that lag behind.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Behaviour, Moment, Offer};
use crate::emulator::seed::Kind;
use crate::emulator::seed::answers::Staleness;

/// How many snapshots are kept of an offer: enough for what a test does within a lag.
const MAX_SNAPSHOTS: usize = 32;

/// An offer as it was until a moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    until: Timestamp,
    offer: Offer,
}

impl Offer {
    /// A copy to keep, if some answers show what the offer was before.
    pub(crate) fn snapshot(&self, behaviour: &Behaviour) -> Option<Self> {
        behaviour.shows_the_past().then(|| Self { past: Vec::new(), ..self.clone() })
    }

    /// Keeps a snapshot if the offer has changed since it was taken.
    pub(crate) fn keep_snapshot(&mut self, snapshot: Option<Self>) {
        if let Some(offer) = snapshot.filter(|snapshot| snapshot.revision != self.revision) {
            if self.past.len() == MAX_SNAPSHOTS {
                self.past.remove(0);
            }
            self.past.push(Snapshot { until: self.changed, offer });
        }
    }

    /// The offer as it was at a moment.
    pub(crate) fn as_of(&self, moment: Timestamp) -> &Self {
        let past = self.past.iter().find(|past| moment < past.until);
        past.map_or(self, |past| &past.offer)
    }

    /// The offer as it was before its last publish, if *offer status* still shows that.
    pub(crate) fn stale(&self, moment: Moment<'_>) -> Option<&Self> {
        let index = self.operations.iter().rposition(|own| own.kind == Kind::Publish)?;
        let began = self.operations.get(index)?.started;
        let is_stale = match moment.behaviour.answers.stale_after_publish? {
            Staleness::For(duration) => began.duration_until(moment.now) < duration.signed(),
            Staleness::Answers(answers) => self.stale_answers < answers,
        };
        let before = self.past.iter().rev().find(|past| past.offer.operations.len() <= index);
        before.filter(|_| is_stale).map(|past| &past.offer)
    }
}
