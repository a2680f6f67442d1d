//! What an offer was before: for answers that lag behind what is true.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::behaviour::Kind;
use super::dialect::Behaviour;
use super::model::Offer;
use super::response_overrides::Stale;

/// How many pictures are kept of an offer. Enough for what a test does within a lag.
const MOST: usize = 32;

/// An offer as it was until a moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Snapshot {
    until: Timestamp,
    offer: Offer,
}

impl Offer {
    /// A picture to keep, where answers about this offer lag behind.
    pub(super) fn picture(&self, behaviour: &Behaviour) -> Option<Self> {
        let dialect = &behaviour.dialect;
        let lags = dialect.lag.list.or(dialect.lag.slots).is_some() || dialect.stale.is_some();
        lags.then(|| Self { past: Vec::new(), ..self.clone() })
    }

    /// Keeps a picture if the offer has changed since it was taken.
    pub(super) fn keep(&mut self, picture: Option<Self>) {
        if let Some(offer) = picture.filter(|picture| picture.revision != self.revision) {
            if self.past.len() == MOST {
                self.past.remove(0);
            }
            self.past.push(Snapshot { until: self.changed, offer });
        }
    }

    /// The offer as it was so long ago.
    pub(super) fn before_now(&self, now: Timestamp, lag: SignedDuration) -> &Self {
        let then = now.checked_sub(lag).unwrap_or(Timestamp::MIN);
        let past = self.past.iter().find(|past| then < past.until);
        past.map_or(self, |past| &past.offer)
    }

    /// The offer as it was before its last publish, while *offer status* still shows that.
    pub(super) fn stale(&self, now: Timestamp, behaviour: &Behaviour) -> Option<&Self> {
        let index = self.operations.iter().rposition(|own| own.kind == Kind::Publish)?;
        let began = self.operations.get(index)?.started;
        let shown = match behaviour.dialect.stale? {
            Stale::For(length) => began.duration_until(now) < length.signed(),
            Stale::ResponseOverrides(answers) => self.stale_answers < answers,
        };
        let before = self.past.iter().rev().find(|past| past.offer.operations.len() <= index);
        before.filter(|_| shown).map(|past| &past.offer)
    }
}
