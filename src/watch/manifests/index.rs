//! Finds entries without scanning all of them.

use std::collections::BTreeSet;
use std::path::Path;

use super::entry::Entry;
use crate::marketplace::OfferId;

/// The indexes of entries, by key.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    /// All of them, in the order of their real paths.
    by_real: Vec<usize>,
    /// A pair for each offer that an entry names.
    by_offer: BTreeSet<(OfferId, usize)>,
}

impl Index {
    pub(super) fn new(entries: &[Entry]) -> Self {
        let mut by_real: Vec<usize> = (0..entries.len()).collect();
        by_real.sort_by_key(|at| entries[*at].real.as_os_str());
        let named = |(at, entry): (usize, &Entry)| -> Vec<(OfferId, usize)> {
            entry.names().into_iter().map(|offer| (offer.clone(), at)).collect()
        };
        Self { by_real, by_offer: entries.iter().enumerate().flat_map(named).collect() }
    }

    /// The entry with this real path.
    pub(super) fn at(&self, entries: &[Entry], real: &Path) -> Option<usize> {
        let real = real.as_os_str();
        let found = self.by_real.binary_search_by_key(&real, |at| entries[*at].real.as_os_str());
        found.ok().map(|place| self.by_real[place])
    }

    /// The offers that entries name, several times where several do.
    pub(super) fn offers(&self) -> impl Iterator<Item = &OfferId> {
        self.by_offer.iter().map(|(offer, _)| offer)
    }

    /// The entries that name an offer, in order.
    pub(super) fn naming(&self, offer: &OfferId) -> impl Iterator<Item = usize> {
        let all = (offer.clone(), 0)..=(offer.clone(), usize::MAX);
        self.by_offer.range(all).map(|(_, at)| *at)
    }

    /// Removes the offers of an entry that will be read again.
    pub(super) fn forget(&mut self, at: usize, entry: &Entry) {
        for offer in entry.names() {
            self.by_offer.remove(&(offer.clone(), at));
        }
    }

    /// Adds the offers of an entry.
    pub(super) fn take_in(&mut self, at: usize, entry: &Entry) {
        self.by_offer.extend(entry.names().into_iter().map(|offer| (offer.clone(), at)));
    }
}
