//! Which offers were seen live, and which wait for an offer that is not live. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::changes::{Block, Change, Decision, Hold};
use crate::marketplace::OfferId;

/// The offers that were seen live, and those that wait for others.
#[derive(Debug, Default)]
pub(super) struct Dependents {
    live: BTreeSet<OfferId>,
    /// The offers that wait for others, and for which.
    held: BTreeMap<OfferId, Vec<OfferId>>,
}

impl Dependents {
    /// Forgets an offer that has left the status file.
    pub(super) fn forget(&mut self, offer: &OfferId) {
        self.live.remove(offer);
        self.held.remove(offer);
    }

    /// Records the decision about an offer. Returns the offers to evaluate because of it: those that
    /// waited for this one, and those that it waits for although they were seen live (one of the
    /// two evaluations was out of date).
    pub(super) fn note(&mut self, change: &Change) -> Vec<OfferId> {
        let offer = &change.offer;
        if could_not_ask(&change.decision) {
            return Vec::new();
        }
        let is_live = change.decision.is_live();
        let mut due = Vec::new();
        if is_live && self.live.insert(offer.clone()) {
            let waiting = self.held.iter().filter(|(_, before)| before.contains(offer));
            due.extend(waiting.map(|(offer, _)| offer.clone()));
        } else if !is_live {
            self.live.remove(offer);
        }
        if let Decision::Held(Hold::WaitingForDependency(before)) = &change.decision {
            self.held.insert(offer.clone(), before.clone());
            // If such an offer turns out to be live after all, the offers that wait for it are
            // evaluated.
            due.extend(before.iter().filter(|before| self.live.remove(*before)).cloned());
        } else {
            self.held.remove(offer);
        }
        due
    }
}

/// Whether the marketplace gave no answer about the offer. A 403 or 404 is an answer.
pub(super) fn could_not_ask(decision: &Decision) -> bool {
    matches!(decision, Decision::Blocked(Block::Unavailable(kind, _)) if !kind.is_answer())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::changes::{OfferPosition, SyncState, Unavailable};

    fn offer(name: &str) -> OfferId {
        format!("contoso/{name}").parse().unwrap()
    }

    fn change(name: &str, decision: Decision) -> Change {
        let (from, to) = (OfferPosition::default(), OfferPosition::default());
        Change { offer: offer(name), decision, from, to, in_doubt: false, product: None }
    }

    fn live(name: &str) -> Change {
        change(name, Decision::InSync(SyncState::Live(1.into())))
    }

    fn waits(name: &str, before: &str) -> Change {
        change(name, Decision::Held(Hold::WaitingForDependency(vec![offer(before)])))
    }

    #[test]
    fn a_dependent_is_released_once_when_the_other_is_live() {
        let mut dependents = Dependents::default();
        assert_eq!(dependents.note(&waits("b", "a")), []);
        assert_eq!(dependents.note(&live("a")), [offer("b")]);
        assert_eq!(dependents.note(&live("a")), []);
        // A newer version is in preview, and then goes live.
        dependents.note(&change("a", Decision::GoLive { release: 2.into() }));
        assert_eq!(dependents.note(&live("a")), [offer("b")]);
        dependents.note(&live("b"));
        dependents.note(&change("a", Decision::GoLive { release: 3.into() }));
        assert_eq!(dependents.note(&live("a")), []);
    }

    #[test]
    fn a_look_that_was_overtaken_is_made_again() {
        let mut dependents = Dependents::default();
        dependents.note(&live("a"));
        assert_eq!(dependents.note(&waits("b", "a")), [offer("a")]);
        assert_eq!(dependents.note(&waits("b", "a")), []);
        assert_eq!(dependents.note(&live("a")), [offer("b")]);
        assert_eq!(dependents.note(&waits("b", "c")), []);
    }

    #[test]
    fn an_offer_that_could_not_be_asked_about_changes_nothing() {
        let mut dependents = Dependents::default();
        dependents.note(&live("a"));
        let unreachable =
            Decision::Blocked(Block::Unavailable(Unavailable::Unreachable, "no route".to_owned()));
        assert_eq!(dependents.note(&change("a", unreachable)), []);
        dependents.note(&waits("b", "c"));
        assert_eq!(dependents.note(&live("a")), [], "it is still known to be live");
    }
}
