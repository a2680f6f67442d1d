//! Which product an offer is: what this process has learned, and what a file remembers.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::model::{Lifecycle, ListedProduct, Product};
use crate::marketplace::{OfferId, PublisherId};

/// What is known of an offer's product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is this one.
    One(Product),
    /// Several products have the offer's name: golive can't know which one is meant. The name is
    /// documented as unique within an account; clients that take the first one were seen.
    Several(Vec<String>),
}

/// The products that this process knows.
#[derive(Debug, Default)]
pub(super) struct Products(Mutex<HashMap<OfferId, Found>>);

impl Products {
    pub(super) fn get(&self, offer: &OfferId) -> Option<Found> {
        self.lock().get(offer).cloned()
    }

    /// Takes in the whole list of a publisher's account: what isn't listed is forgotten.
    pub(super) fn learn_all(&self, publisher: &PublisherId, found: &BTreeMap<OfferId, Found>) {
        let mut known = self.lock();
        known.retain(|offer, _| offer.publisher() != publisher);
        known.extend(found.iter().map(|(offer, found)| (offer.clone(), found.clone())));
    }

    pub(super) fn learn(&self, offer: &OfferId, found: Found) {
        self.lock().insert(offer.clone(), found);
    }

    pub(super) fn forget(&self, offer: &OfferId) {
        self.lock().remove(offer);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<OfferId, Found>> {
        // No code under the lock can panic, so it is never poisoned.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The products by offer. One that stands on two pages is one; a deleted one gives way to another
/// of its name.
pub(super) fn by_offer(list: Vec<ListedProduct>) -> BTreeMap<OfferId, Found> {
    let mut all = BTreeMap::<OfferId, Vec<Product>>::new();
    for ListedProduct { offer, product } in list {
        let known = all.entry(offer).or_default();
        if known.iter().all(|it| !it.guid.eq_ignore_ascii_case(&product.guid)) {
            known.push(product);
        }
    }
    let found = all.into_iter().filter_map(|(offer, mut products)| {
        if products.iter().any(|it| it.lifecycle != Lifecycle::Deleted) {
            products.retain(|it| it.lifecycle != Lifecycle::Deleted);
        }
        let found = match products.len() {
            1 => Found::One(products.pop()?),
            _ => Found::Several(products.into_iter().map(|it| it.guid).collect()),
        };
        Some((offer, found))
    });
    found.collect()
}
