//! The emulated marketplace: publishers and their offers. Names compare without case.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::behaviour::OfferSeed;
use super::model::Offer;
use super::seed::Seed;
use super::start;

/// The name of an offer, folded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    publisher: String,
    offer: String,
}

impl Key {
    pub(super) fn new(publisher: &str, offer: &str) -> Self {
        Self { publisher: publisher.to_ascii_lowercase(), offer: offer.to_ascii_lowercase() }
    }
}

#[derive(Clone, Debug)]
struct Resident {
    offer: Offer,
    behaviour: Arc<OfferSeed>,
}

/// Every publisher and every offer.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    /// Folded id to the id as it was written.
    publishers: BTreeMap<String, String>,
    offers: BTreeMap<Key, Resident>,
    /// Grows with every change.
    pub generation: u64,
}

impl World {
    pub(super) fn new(seed: &Seed, now: Timestamp) -> Self {
        let mut world = Self::default();
        for publisher in seed.publishers.iter().chain(&seed.forbidden) {
            world.add_publisher(publisher);
        }
        for entry in seed.offers.0.values() {
            let pace = seed.pace(&entry.seed);
            let offer = start::offer(&entry.publisher, &entry.offer, &entry.seed, pace, now);
            world.add(offer, Arc::clone(&entry.seed));
        }
        world
    }

    fn add_publisher(&mut self, publisher: &str) {
        let folded = publisher.to_ascii_lowercase();
        self.publishers.entry(folded).or_insert_with(|| publisher.to_owned());
    }

    /// Adds or replaces an offer.
    pub(super) fn add(&mut self, offer: Offer, behaviour: Arc<OfferSeed>) {
        self.add_publisher(&offer.publisher);
        let key = Key::new(&offer.publisher, &offer.id);
        if offer.stamp > 0 {
            self.generation += 1;
        }
        self.offers.insert(key, Resident { offer, behaviour });
    }

    /// Puts a remembered offer in the place of the seeded one, whose behaviour it takes.
    pub(super) fn recall(&mut self, mut offer: Offer) {
        let known = self.offers.get(&Key::new(&offer.publisher, &offer.id));
        let behaviour = known.map(|known| Arc::clone(&known.behaviour)).unwrap_or_default();
        offer.stamp = 1;
        self.add(offer, behaviour);
    }

    pub(super) fn remove(&mut self, key: &Key) -> bool {
        self.generation += 1;
        self.offers.remove(key).is_some()
    }

    pub(super) fn contains(&self, key: &Key) -> bool {
        self.offers.contains_key(key)
    }

    pub(super) fn publishers(&self) -> impl Iterator<Item = &str> {
        self.publishers.values().map(String::as_str)
    }

    pub(super) fn has_publisher(&self, publisher: &str) -> bool {
        self.publishers.contains_key(&publisher.to_ascii_lowercase())
    }

    /// Brings an offer up to `now` and lets it be looked at or changed.
    pub(super) fn visit<R>(
        &mut self,
        key: &Key,
        now: Timestamp,
        visitor: impl FnOnce(&mut Offer, &OfferSeed) -> R,
    ) -> Option<R> {
        let Resident { offer, behaviour } = self.offers.get_mut(key)?;
        let before = offer.stamp;
        offer.settle(now, behaviour);
        let result = visitor(offer, behaviour);
        self.generation += u64::from(offer.stamp != before);
        Some(result)
    }

    /// Visits every offer of a publisher, in order of their ids.
    pub(super) fn visit_publisher<R>(
        &mut self,
        publisher: &str,
        now: Timestamp,
        mut visitor: impl FnMut(&Offer, &OfferSeed) -> R,
    ) -> Vec<R> {
        let from = Key::new(publisher, "");
        let mut results = Vec::new();
        for (key, Resident { offer, behaviour }) in self.offers.range_mut(from.clone()..) {
            if key.publisher != from.publisher {
                break;
            }
            let before = offer.stamp;
            offer.settle(now, behaviour);
            self.generation += u64::from(offer.stamp != before);
            results.push(visitor(offer, behaviour));
        }
        results
    }

    /// The offers that are not as the seed says.
    pub(super) fn changed(&self) -> Vec<Offer> {
        let offers = self.offers.values().map(|resident| &resident.offer);
        let changed = offers.filter(|offer| offer.stamp > 0 || offer.running().is_some());
        // The count is of this run: it says nothing to the next one.
        changed.map(|offer| Offer { stamp: 0, ..offer.clone() }).collect()
    }
}
