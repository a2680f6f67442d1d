//! Which publishers' offers are found by their names alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::marketplace::{OfferId, PublisherId};

/// The accounts of publishers whose API names no publisher: offers of one name are one product
/// there, whatever publisher their manifests name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// The account's number; `None` for a publisher that has a namespace of its own.
    by_publisher: BTreeMap<PublisherId, Option<usize>>,
    /// The same for all other publishers.
    others: Option<usize>,
}

impl Accounts {
    /// The accounts of these publishers, and of all others.
    #[must_use]
    pub fn new(by_publisher: BTreeMap<PublisherId, Option<usize>>, others: Option<usize>) -> Self {
        Self { by_publisher, others }
    }

    /// Whether every publisher has a namespace of its own.
    pub(super) fn is_none(&self) -> bool {
        self.others.is_none() && self.by_publisher.values().all(Option::is_none)
    }

    /// The account of a publisher, and the name by which an offer is found in it.
    pub(super) fn product<'a>(&self, offer: &'a OfferId) -> Option<(usize, &'a str)> {
        let account = self.by_publisher.get(offer.publisher()).copied();
        Some((account.unwrap_or(self.others)?, offer.offer()))
    }

    /// The offers among these that are one product with another of them.
    pub(crate) fn shared<'a>(
        &self,
        offers: impl Iterator<Item = &'a OfferId>,
    ) -> BTreeSet<&'a OfferId> {
        let mut shared = BTreeSet::new();
        if self.is_none() {
            return shared;
        }
        let mut firsts: HashMap<(usize, String), &'a OfferId> = HashMap::new();
        for offer in offers {
            let Some((account, name)) = self.product(offer) else { continue };
            let first = *firsts.entry((account, name.to_ascii_lowercase())).or_insert(offer);
            if first != offer {
                shared.extend([first, offer]);
            }
        }
        shared
    }
}
