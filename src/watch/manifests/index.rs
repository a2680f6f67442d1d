//! Finds the entries that name an offer without scanning all of them.

use std::collections::BTreeSet;

use super::entry::Entry;
use crate::marketplace::OfferId;

/// A pair for each offer that an entry names, with the entry's position.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Index(BTreeSet<(OfferId, usize)>);

impl Index {
    pub(super) fn new(entries: &[Entry]) -> Self {
        let mut index = Self::default();
        entries.iter().enumerate().for_each(|(at, entry)| index.add(at, entry));
        index
    }

    /// The entries that name an offer, in order.
    pub(super) fn naming(&self, offer: &OfferId) -> impl Iterator<Item = usize> {
        let all = (offer.clone(), 0)..=(offer.clone(), usize::MAX);
        self.0.range(all).map(|(_, at)| *at)
    }

    /// Removes the offers of an entry that will be read again.
    pub(super) fn remove(&mut self, at: usize, entry: &Entry) {
        for offer in entry.names() {
            self.0.remove(&(offer.clone(), at));
        }
    }

    /// Adds the offers of an entry.
    pub(super) fn add(&mut self, at: usize, entry: &Entry) {
        self.0.extend(entry.names().into_iter().map(|offer| (offer.clone(), at)));
    }
}
