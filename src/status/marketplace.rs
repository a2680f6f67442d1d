//! Which marketplace a status file is about: records of one say nothing about another.

use std::collections::{BTreeMap, BTreeSet};
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

    /// Refuses a run if offers of one of these publishers are on record at another marketplace than
    /// the run is about. A publisher without offers in the file may change its marketplace; one without a
    /// marketplace on record, as in files of schema 1, may have any. `path` is for the error.
    pub fn refuse_other_marketplace(
        &self,
        path: &Path,
        wanted: &BTreeMap<PublisherId, MarketplaceRecord>,
    ) -> Result<(), StoreError> {
        let mut elsewhere = self.marketplace.iter().filter_map(|(publisher, recorded)| {
            let wanted = wanted.get(publisher).filter(|wanted| *wanted != recorded)?;
            self.has_offers_of(publisher).then_some((publisher, recorded, wanted))
        });
        match elsewhere.next() {
            None => Ok(()),
            Some((publisher, recorded, wanted)) => Err(StoreError::OtherMarketplace {
                path: path.to_owned(),
                elsewhere: Box::new(Elsewhere {
                    publisher: publisher.clone(),
                    recorded: recorded.clone(),
                    wanted: wanted.clone(),
                }),
            }),
        }
    }

    /// Records at which marketplaces these publishers' offers are. Other publishers keep theirs while
    /// they have offers.
    pub(super) fn set_marketplaces(
        &mut self,
        marketplaces: &BTreeMap<PublisherId, MarketplaceRecord>,
    ) {
        for (publisher, marketplace) in marketplaces {
            self.marketplace.insert(publisher.clone(), marketplace.clone());
        }
        self.drop_unused_marketplaces(&marketplaces.keys().cloned().collect());
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
