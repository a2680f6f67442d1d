//! How far the service is: which offers it has yet to look at before it is ready, and in the resync
//! under way. Pure.

use std::collections::BTreeSet;

use crate::marketplace::{OfferId, PublisherId};

/// How far the first look and the resync are.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The offers that are expected, and were not looked at so far.
    unseen: BTreeSet<OfferId>,
    /// The offers that the resync under way has yet to look at.
    open: BTreeSet<OfferId>,
    /// Whether all offers that it has looked at could be seen.
    resync: Option<bool>,
}

impl Progress {
    /// An offer is to be looked at; before it was, the service does not become ready.
    pub(super) fn expect(&mut self, offer: &OfferId) {
        self.unseen.insert(offer.clone());
    }

    /// An offer is no more, or was looked at.
    pub(super) fn seen(&mut self, offer: &OfferId) {
        self.unseen.remove(offer);
        self.open.remove(offer);
    }

    /// A look at an offer came to nothing.
    pub(super) fn missed(&mut self, offer: &OfferId) {
        self.unseen.remove(offer);
        if self.open.remove(offer) {
            self.resync = self.resync.map(|_| false);
        }
    }

    /// A resync of these offers begins, or goes on with them.
    pub(super) fn begin_resync(&mut self, offers: impl Iterator<Item = OfferId>) {
        self.open.extend(offers);
        self.resync.get_or_insert(true);
    }

    /// Whether the resync under way has come to an end, and if so, whether all could be seen. True
    /// once for each.
    pub(super) fn end_resync(&mut self) -> Option<bool> {
        if self.open.is_empty() { self.resync.take() } else { None }
    }

    /// The expected offers that were not looked at so far.
    pub(super) fn unseen(&self) -> impl Iterator<Item = &OfferId> {
        self.unseen.iter()
    }

    /// Whether each expected offer was looked at once, or could not be, which is shown with its
    /// reason: a service that waits for its marketplace is as ready as it can be. Those of a paused
    /// publisher can't be looked at.
    pub(super) fn is_ready(&self, is_paused: impl Fn(&PublisherId) -> bool) -> bool {
        self.unseen.iter().all(|offer| is_paused(offer.publisher()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(name: &str) -> OfferId {
        format!("contoso/{name}").parse().unwrap()
    }

    fn nobody(_: &PublisherId) -> bool {
        false
    }

    #[test]
    fn only_the_offers_of_a_paused_publisher_need_not_be_looked_at() {
        let mut progress = Progress::default();
        progress.expect(&offer("a"));
        progress.expect(&"fabrikam/b".parse().unwrap());
        let contoso = |publisher: &PublisherId| publisher.as_str() == "contoso";
        assert!(!progress.is_ready(contoso) && progress.is_ready(|_| true));
        progress.missed(&"fabrikam/b".parse().unwrap());
        assert!(progress.is_ready(contoso) && !progress.is_ready(nobody));
    }

    #[test]
    fn it_is_ready_once_all_were_tried_and_a_resync_succeeds_only_where_all_were_seen() {
        let mut progress = Progress::default();
        assert!(progress.is_ready(nobody), "there is nothing to wait for");
        for name in ["a", "b"] {
            progress.expect(&offer(name));
        }
        let all = || [offer("a"), offer("b")].into_iter();
        progress.begin_resync(all());
        progress.seen(&offer("a"));
        assert_eq!((progress.is_ready(nobody), progress.end_resync()), (false, None));
        progress.missed(&offer("b"));
        assert_eq!((progress.is_ready(nobody), progress.end_resync()), (true, Some(false)));
        assert_eq!(progress.end_resync(), None, "told once");
        progress.missed(&offer("b"));
        assert_eq!((progress.is_ready(nobody), progress.end_resync()), (true, None));
        progress.begin_resync(all());
        progress.seen(&offer("a"));
        // Another one begins while the first is under way, with the offers that are idle.
        progress.begin_resync([offer("a")].into_iter());
        progress.seen(&offer("a"));
        assert_eq!(progress.end_resync(), None);
        progress.seen(&offer("b"));
        assert_eq!(progress.end_resync(), Some(true));
    }
}
