//! What the daemon has seen of its offers: which are live, which wait for one that is not, and how
//! far a resync is. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::changes::{Block, Change, Decision, Hold};
use crate::marketplace::OfferId;

/// What was seen of the offers.
#[derive(Debug, Default)]
pub(super) struct SeenOffers {
    /// The offers that are expected, and were not looked at so far.
    unseen: BTreeSet<OfferId>,
    live: BTreeSet<OfferId>,
    /// The offers that wait for others, and for which.
    held: BTreeMap<OfferId, Vec<OfferId>>,
    /// The offers that the resync under way has yet to look at.
    open: BTreeSet<OfferId>,
    /// Whether all offers that it has looked at could be seen.
    resync: Option<bool>,
}

/// What a look at an offer means for others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Noted {
    /// The offers that waited for this one, and are to be looked at.
    pub(super) released: Vec<OfferId>,
    /// The offers that it waits for although they were seen to be live: one of the two looks was
    /// overtaken, and these are to be looked at again.
    pub(super) contradicted: Vec<OfferId>,
}

impl SeenOffers {
    /// An offer is to be looked at before the service is ready.
    pub(super) fn expect(&mut self, offer: &OfferId) {
        self.unseen.insert(offer.clone());
    }

    /// An offer is no more.
    pub(super) fn forget(&mut self, offer: &OfferId) {
        self.unseen.remove(offer);
        self.live.remove(offer);
        self.held.remove(offer);
        self.open.remove(offer);
    }

    /// A resync of these offers begins, or goes on with them.
    pub(super) fn begin_resync(&mut self, offers: impl Iterator<Item = OfferId>) {
        self.open.extend(offers);
        self.resync.get_or_insert(true);
    }

    /// Whether the resync under way has come to an end, and if so, whether all could be seen. Tells
    /// it once.
    pub(super) fn end_resync(&mut self) -> Option<bool> {
        if self.open.is_empty() { self.resync.take() } else { None }
    }

    /// Whether each expected offer was looked at once, or could not be, which is shown with its
    /// reason: a service that waits for its marketplace is as ready as it can be.
    pub(super) fn is_ready(&self) -> bool {
        self.unseen.is_empty()
    }

    /// A look at these offers came to nothing.
    pub(super) fn missed<'a>(&mut self, offers: impl Iterator<Item = &'a OfferId>) {
        for offer in offers {
            self.unseen.remove(offer);
            if self.open.remove(offer) {
                self.resync = self.resync.map(|_| false);
            }
        }
    }

    /// Takes in what was decided about an offer, and whether its publisher could be listed.
    pub(super) fn note(&mut self, change: &Change, is_listed: bool) -> Noted {
        let offer = &change.offer;
        if !is_listed {
            self.missed(std::iter::once(offer));
            return Noted::default();
        }
        self.unseen.remove(offer);
        self.open.remove(offer);
        if !was_seen(&change.decision) {
            return Noted::default();
        }
        let is_live = change.decision.is_live();
        let released = if is_live && self.live.insert(offer.clone()) {
            let waiting = self.held.iter().filter(|(_, before)| before.contains(offer));
            waiting.map(|(offer, _)| offer.clone()).collect()
        } else {
            if !is_live {
                self.live.remove(offer);
            }
            Vec::new()
        };
        let contradicted = match &change.decision {
            Decision::Held(Hold::WaitingForDependency(before)) => {
                self.held.insert(offer.clone(), before.clone());
                // Whoever turns out to be live after all releases those that wait.
                before.iter().filter(|before| self.live.remove(*before)).cloned().collect()
            }
            Decision::Held(Hold::Suspended | Hold::Scheduled(_))
            | Decision::GoLive { .. }
            | Decision::Publish { .. }
            | Decision::Track(_)
            | Decision::InSync(_)
            | Decision::Blocked(_)
            | Decision::Failed(_) => {
                self.held.remove(offer);
                Vec::new()
            }
        };
        Noted { released, contradicted }
    }
}

/// Whether the marketplace said something of the offer, be it that it is not there.
fn was_seen(decision: &Decision) -> bool {
    match decision {
        Decision::Blocked(Block::Unauthorized(_) | Block::Throttled(_) | Block::Unreachable(_)) => {
            false
        }
        Decision::Blocked(
            Block::Forbidden(_)
            | Block::NotFound(_)
            | Block::VersionMismatch { .. }
            | Block::NotInPreview
            | Block::UnknownStatus(_)
            | Block::Refused(_),
        )
        | Decision::GoLive { .. }
        | Decision::Publish { .. }
        | Decision::Track(_)
        | Decision::InSync(_)
        | Decision::Held(_)
        | Decision::Failed(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::changes::{Place, Standing};

    fn offer(name: &str) -> OfferId {
        format!("contoso/{name}").parse().unwrap()
    }

    fn change(name: &str, decision: Decision) -> Change {
        let (from, to) = (Standing::default(), Standing::default());
        Change { offer: offer(name), decision, from, to, in_doubt: false }
    }

    fn live(name: &str) -> Change {
        change(name, Decision::InSync(Place::Live(1.into())))
    }

    fn waits(name: &str, before: &str) -> Change {
        change(name, Decision::Held(Hold::WaitingForDependency(vec![offer(before)])))
    }

    fn unreachable(name: &str) -> Change {
        change(name, Decision::Blocked(Block::Unreachable("no route".to_owned())))
    }

    #[test]
    fn who_waits_is_released_once_when_the_other_is_live() {
        let mut seen = SeenOffers::default();
        assert_eq!(seen.note(&waits("b", "a"), true), Noted::default());
        assert_eq!(seen.note(&live("a"), true).released, [offer("b")]);
        assert_eq!(seen.note(&live("a"), true).released, []);
        // A newer version in preview, which then goes live.
        seen.note(&change("a", Decision::GoLive { release: 2.into() }), true);
        assert_eq!(seen.note(&live("a"), true).released, [offer("b")]);
        seen.note(&live("b"), true);
        seen.note(&change("a", Decision::GoLive { release: 3.into() }), true);
        assert_eq!(seen.note(&live("a"), true).released, []);
    }

    #[test]
    fn a_look_that_was_overtaken_is_known() {
        let mut seen = SeenOffers::default();
        seen.note(&live("a"), true);
        assert_eq!(seen.note(&waits("b", "a"), true).contradicted, [offer("a")]);
        assert_eq!(seen.note(&waits("b", "a"), true).contradicted, []);
        assert_eq!(seen.note(&live("a"), true).released, [offer("b")]);
        assert_eq!(seen.note(&waits("b", "c"), true).contradicted, []);
    }

    #[test]
    fn ready_is_who_has_tried_all_and_a_resync_succeeds_only_where_all_were_seen() {
        let mut seen = SeenOffers::default();
        assert!(seen.is_ready(), "there is nothing to wait for");
        for name in ["a", "b"] {
            seen.expect(&offer(name));
        }
        let all = || [offer("a"), offer("b")].into_iter();
        seen.begin_resync(all());
        seen.note(&live("a"), true);
        assert_eq!((seen.is_ready(), seen.end_resync()), (false, None));
        seen.note(&unreachable("b"), false);
        assert_eq!((seen.is_ready(), seen.end_resync()), (true, Some(false)));
        assert_eq!(seen.end_resync(), None, "told once");
        // One that can't be asked about is a matter of its own, once its publisher is listed.
        seen.note(&unreachable("b"), true);
        assert_eq!((seen.is_ready(), seen.end_resync()), (true, None));
        seen.begin_resync(all());
        seen.note(&live("a"), true);
        // Another one begins while the first is under way, with the offers that are idle.
        seen.begin_resync([offer("a")].into_iter());
        seen.note(&live("a"), true);
        assert_eq!(seen.end_resync(), None);
        seen.forget(&offer("b"));
        assert_eq!(seen.end_resync(), Some(true));
    }
}
