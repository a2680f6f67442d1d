//! The service's progress: the offers still to be checked before it is ready, and those in the
//! current resync. Pure.

use std::collections::BTreeSet;

use crate::marketplace::{OfferId, PublisherId};

/// The progress of the first check and of the resync.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The expected offers that haven't been checked yet.
    unseen: BTreeSet<OfferId>,
    /// The offers that the current resync has yet to check.
    open: BTreeSet<OfferId>,
    /// Whether the resync could read all offers so far.
    resync: Option<bool>,
}

impl Progress {
    /// Expects a check of an offer; the service isn't ready before that.
    pub(super) fn expect(&mut self, offer: &OfferId) {
        self.unseen.insert(offer.clone());
    }

    /// The offer was checked, or is gone.
    pub(super) fn seen(&mut self, offer: &OfferId) {
        self.unseen.remove(offer);
        self.open.remove(offer);
    }

    /// The check of an offer failed.
    pub(super) fn missed(&mut self, offer: &OfferId) {
        self.unseen.remove(offer);
        if self.open.remove(offer) {
            self.resync = self.resync.map(|_| false);
        }
    }

    /// Starts a resync of these offers, or adds them to the current one.
    pub(super) fn begin_resync(&mut self, offers: impl Iterator<Item = OfferId>) {
        self.open.extend(offers);
        self.resync.get_or_insert(true);
    }

    /// Whether the current resync has ended, and if so, whether all offers could be read. Reports
    /// each end once.
    pub(super) fn end_resync(&mut self) -> Option<bool> {
        if self.open.is_empty() { self.resync.take() } else { None }
    }

    /// The expected offers that haven't been checked yet.
    pub(super) fn unseen(&self) -> impl Iterator<Item = &OfferId> {
        self.unseen.iter()
    }

    /// Whether each expected offer was checked once, or couldn't be for a reason that is shown: a
    /// service that waits for its marketplace is as ready as it can be. Offers of a paused
    /// publisher can't be checked.
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
