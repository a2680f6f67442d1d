//! Which marketplace a status file is about: records of one say nothing about another.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::load::{Elsewhere, StoreError};
use super::record::StatusFile;
use crate::marketplace::{OfferId, PublisherId};

/// Replaces the origin of the embedded marketplace, which has none.
const EMULATOR: &str = "emulator";

/// A marketplace: which API at which origin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MarketplaceRecord {
    /// The API, e.g. `cloud-partner-portal`.
    pub api: String,
    /// Scheme, host and port; `emulator` for the embedded marketplace.
    pub origin: String,
}

impl MarketplaceRecord {
    /// The embedded marketplace with this API.
    #[must_use]
    pub fn emulator(api: &str) -> Self {
        Self { api: api.to_owned(), origin: EMULATOR.to_owned() }
    }

    /// Whether it is the embedded marketplace.
    #[must_use]
    pub fn is_emulator(&self) -> bool {
        self.origin == EMULATOR
    }
}

impl fmt::Display for MarketplaceRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_emulator() {
            return write!(f, "the emulator ({})", self.api);
        }
        write!(f, "{} ({})", self.origin, self.api)
    }
}

/// The publishers of offers.
pub(crate) fn publishers<'a>(offers: impl Iterator<Item = &'a OfferId>) -> BTreeSet<PublisherId> {
    let mut publishers = BTreeSet::new();
    for offer in offers {
        if !publishers.contains(offer.publisher()) {
            publishers.insert(offer.publisher().clone());
        }
    }
    publishers
}

impl StatusFile {
    /// The publishers that have offers in it.
    #[must_use]
    pub fn publishers(&self) -> BTreeSet<PublisherId> {
        publishers(self.offers.keys())
    }

    /// Refuses a run against a marketplace if offers of one of these publishers are on record at
    /// another one. A publisher without offers in the file may change its marketplace; one without a
    /// marketplace on record, as in files of schema 1, may have any. `path` is for the error.
    pub fn refuse_other_marketplace(
        &self,
        path: &Path,
        publishers: &BTreeSet<PublisherId>,
        wanted: &MarketplaceRecord,
    ) -> Result<(), StoreError> {
        let mut elsewhere = self.marketplace.iter().filter(|(publisher, recorded)| {
            *recorded != wanted && publishers.contains(publisher) && self.has_offers_of(publisher)
        });
        match elsewhere.next() {
            None => Ok(()),
            Some((publisher, recorded)) => Err(StoreError::OtherMarketplace {
                path: path.to_owned(),
                elsewhere: Box::new(Elsewhere {
                    publisher: publisher.clone(),
                    recorded: recorded.clone(),
                    wanted: wanted.clone(),
                }),
            }),
        }
    }

    /// Records that these publishers' offers are at this marketplace. Other publishers keep theirs while
    /// they have offers.
    pub(super) fn set_marketplace(
        &mut self,
        publishers: &BTreeSet<PublisherId>,
        marketplace: &MarketplaceRecord,
    ) {
        for publisher in publishers {
            self.marketplace.insert(publisher.clone(), marketplace.clone());
        }
        self.drop_unused_marketplaces(publishers);
    }

    /// Removes publishers that have neither manifests nor offers.
    pub(super) fn drop_unused_marketplaces(&mut self, in_manifests: &BTreeSet<PublisherId>) {
        let offers = &self.offers;
        self.marketplace.retain(|publisher, _| {
            in_manifests.contains(publisher) || offers.keys().any(|it| it.publisher() == publisher)
        });
    }

    fn has_offers_of(&self, publisher: &PublisherId) -> bool {
        self.offers.keys().any(|offer| offer.publisher() == publisher)
    }
}
