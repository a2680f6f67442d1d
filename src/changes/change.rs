//! The change set: every offer's decision, its current position and its target position.

use std::fmt;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::decision::Decision;
use crate::marketplace::{OfferId, ProductPage, Release};

/// An offer's current or target position. The diff compares two of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OfferPosition {
    /// `draft`, `preview` or `live`; `None` if unknown.
    pub state: Option<&'static str>,
    /// The release in preview.
    pub preview_version: Option<Release>,
    /// The release in production.
    pub live_version: Option<Release>,
}

/// One offer's decision, with its current and target positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The id of the offer.
    pub offer: OfferId,
    /// The decision, with its reason.
    pub decision: Decision,
    /// The current position.
    pub from: OfferPosition,
    /// The target position.
    pub to: OfferPosition,
    /// Whether such a request may already have been sent: an intent without an operation is on
    /// disk. golive inspects the offer before it sends anything.
    pub in_doubt: bool,
    /// The offer's product, where it is known; see
    /// [`OfferState::product`](crate::marketplace::OfferState::product).
    pub product: Option<String>,
}

/// All changes, sorted by offer id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeSet {
    /// One change per offer.
    pub changes: Vec<Change>,
}

/// The number of offers for each decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// All offers.
    pub offers: usize,
    /// Offers whose golive would be sent.
    pub go_live: usize,
    /// Offers that would be published to preview.
    pub publish: usize,
    /// Offers with a running operation.
    pub track: usize,
    /// Offers in the desired state.
    pub in_sync: usize,
    /// Offers that their manifest holds.
    pub held: usize,
    /// Offers that need a person.
    pub blocked: usize,
    /// Offers whose last attempt failed or was canceled.
    pub failed: usize,
}

impl Change {
    /// The reason for the decision as a sentence for people.
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

impl Change {
    /// The page of the marketplace where a person sees more: none for an offer that needs nothing.
    #[must_use]
    pub fn page(&self) -> Option<String> {
        let has_failed = match self.decision {
            Decision::InSync(_) => return None,
            Decision::Failed(_) => true,
            Decision::GoLive { .. }
            | Decision::Publish { .. }
            | Decision::Track(_)
            | Decision::Held(_)
            | Decision::Blocked(_) => false,
        };
        Some(ProductPage::of(self.product.as_deref()?)?.next(has_failed))
    }
}

impl ChangeSet {
    /// A digest of the changes: independent of the time and of message wording. `--expect` takes
    /// the digest of the reviewed plan.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for change in &self.changes {
            // Decisions that send nothing enter without details, which depend on how much the
            // record still knows.
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
            // Serializing plain data to a string can't fail. If it did, the empty text would only
            // change the digest, and a changed digest is refused.
            hash.update(serde_json::to_string(&item).unwrap_or_default());
            hash.update(b"\n");
        }
        format!("sha256:{}", hex::encode(hash.finalize()))
    }

    /// Counts the offers by decision.
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

    /// The change of one offer; `None` if the set has none.
    #[must_use]
    pub fn get(&self, offer: &OfferId) -> Option<&Change> {
        let found = self.changes.binary_search_by(|change| change.offer.cmp(offer));
        found.ok().and_then(|index| self.changes.get(index))
    }

    /// The number of requests this change set would send that change something.
    #[must_use]
    pub fn triggers(&self) -> usize {
        self.changes.iter().filter(|change| change.decision.is_trigger()).count()
    }
}

impl Summary {
    /// Whether the change set would send a request.
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
