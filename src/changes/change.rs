//! The change set: every offer's decision, where it stands and where it should.

use std::fmt;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::decision::Decision;
use crate::marketplace::{OfferId, Release};

/// Where an offer stands, or should: what a diff is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OfferPosition {
    /// `draft`, `preview`, `live`, or nothing where it is not known.
    pub state: Option<&'static str>,
    /// The release in preview.
    pub preview_version: Option<Release>,
    /// The release in production.
    pub live_version: Option<Release>,
}

/// One offer's decision, with where it stands and where it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The offer.
    pub offer: OfferId,
    /// What is to be done.
    pub decision: Decision,
    /// Where it stands.
    pub from: OfferPosition,
    /// Where it should stand.
    pub to: OfferPosition,
    /// Whether such a request may have been sent already: an intent without an operation is on
    /// disk, and is looked into before anything is sent.
    pub in_doubt: bool,
}

/// All changes, in the order of the offers' names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeSet {
    /// One change an offer.
    pub changes: Vec<Change>,
}

/// How many offers there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// All offers.
    pub offers: usize,
    /// To be sent to production.
    pub go_live: usize,
    /// To be published to preview.
    pub publish: usize,
    /// With an operation that runs.
    pub track: usize,
    /// Where they should be.
    pub in_sync: usize,
    /// Held on purpose.
    pub held: usize,
    /// In need of a person.
    pub blocked: usize,
    /// Whose last attempt ended badly.
    pub failed: usize,
}

impl Change {
    /// Why, as a sentence for people.
    #[must_use]
    pub fn message(&self) -> String {
        let mut message = self.decision.message();
        if self.in_doubt && self.decision.is_trigger() {
            message.push_str(
                "; a request may have been sent already, which is looked into before another one",
            );
        }
        message
    }
}

impl ChangeSet {
    /// A digest of what is to be done: the same for the same changes, whatever the time and the
    /// wording. A reviewed digest is what `--expect` takes.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for change in &self.changes {
            // Of what is not sent, how much is known depends on what the record still knows.
            let is_to_be_sent = match change.decision {
                Decision::GoLive { .. } | Decision::Publish { .. } | Decision::Held(_) => true,
                Decision::Track(_)
                | Decision::InSync(_)
                | Decision::Blocked(_)
                | Decision::Failed(_) => false,
            };
            let item = (
                change.offer.to_string().to_ascii_lowercase(),
                change.decision.action(),
                change.decision.reason(),
                is_to_be_sent.then_some(&change.to),
            );
            // Writing plain data to a string can't fail; an empty text would only make the
            // digest differ, which refuses.
            hash.update(serde_json::to_string(&item).unwrap_or_default());
            hash.update(b"\n");
        }
        format!("sha256:{}", hex::encode(hash.finalize()))
    }

    /// Counts the changes.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut summary = Summary { offers: self.changes.len(), ..Summary::default() };
        for change in &self.changes {
            *match change.decision {
                Decision::GoLive { .. } => &mut summary.go_live,
                Decision::Publish { .. } => &mut summary.publish,
                Decision::Track(_) => &mut summary.track,
                Decision::InSync(_) => &mut summary.in_sync,
                Decision::Held(_) => &mut summary.held,
                Decision::Blocked(_) => &mut summary.blocked,
                Decision::Failed(_) => &mut summary.failed,
            } += 1;
        }
        summary
    }

    /// The change of one offer.
    #[must_use]
    pub fn get(&self, offer: &OfferId) -> Option<&Change> {
        let found = self.changes.binary_search_by(|change| change.offer.cmp(offer));
        found.ok().and_then(|index| self.changes.get(index))
    }

    /// How many requests that change something this would send.
    #[must_use]
    pub fn triggers(&self) -> usize {
        self.changes.iter().filter(|change| change.decision.is_trigger()).count()
    }
}

impl Summary {
    /// Whether anything is to be sent.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        self.go_live + self.publish > 0
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.go_live, "to go live"),
            (self.publish, "to publish"),
            (self.track, "in progress"),
            (self.in_sync, "in sync"),
            (self.held, "held"),
            (self.blocked, "blocked"),
            (self.failed, "failed"),
        ];
        write!(f, "{} offer{}", self.offers, if self.offers == 1 { "" } else { "s" })?;
        let mut separator = ": ";
        for (count, name) in counts.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{separator}{count} {name}")?;
            separator = ", ";
        }
        Ok(())
    }
}
