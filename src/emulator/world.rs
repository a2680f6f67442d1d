//! All publishers and offers. Names compare without case.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::ids::guid;
use super::model::{Behaviour, Moment, Offer, start};
use super::seed::Seed;

/// The name of an offer, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    publisher: String,
    offer: String,
}

impl Key {
    pub(super) fn publisher(&self) -> &str {
        &self.publisher
    }

    pub(super) fn new(publisher: &str, offer: &str) -> Self {
        Self { publisher: publisher.to_ascii_lowercase(), offer: offer.to_ascii_lowercase() }
    }

    /// Reads `publisher/offer`.
    pub(super) fn parse(name: &str) -> Option<Self> {
        name.split_once('/').map(|(publisher, offer)| Self::new(publisher, offer))
    }
}

/// `publisher/offer`, in lower case.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.publisher, self.offer)
    }
}

/// A product of the Product Ingestion API: an offer, or the twin that has its id, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Product {
    pub key: Key,
    pub is_twin: bool,
}

impl Product {
    /// The products that an offer is.
    fn all_of(key: &Key, behaviour: &Behaviour) -> impl Iterator<Item = Self> {
        let has_twin = behaviour.ingestion.twin == Some(true);
        let product = Self { key: key.clone(), is_twin: false };
        let twin = has_twin.then(|| Self { key: key.clone(), is_twin: true });
        std::iter::once(product).chain(twin)
    }

    /// Its GUID follows from the offer's name: the same in every run.
    pub(super) fn guid(&self) -> String {
        let word = if self.is_twin { "twin" } else { "product" };
        guid(&format!("{word} {}", self.key))
    }
}

#[derive(Clone, Debug)]
struct OfferEntry {
    offer: Offer,
    behaviour: Arc<Behaviour>,
}

impl OfferEntry {
    /// Brings the offer up to `now`, keeping what it was before where that is still answered, and
    /// lets it be looked at or changed.
    fn visit<R>(
        &mut self,
        now: Timestamp,
        last_number: &mut u64,
        generation: &mut u64,
        visitor: impl FnOnce(&mut Offer, Moment<'_>) -> R,
    ) -> R {
        let Self { offer, behaviour } = self;
        let moment = Moment { now, behaviour, last_number: *last_number };
        let before = offer.changes;
        let snapshot = offer.snapshot(behaviour);
        offer.settle(moment);
        offer.keep_snapshot(snapshot);
        let snapshot = offer.snapshot(behaviour);
        let result = visitor(offer, moment);
        offer.keep_snapshot(snapshot);
        *generation += u64::from(offer.changes != before);
        *last_number = (*last_number).max(offer.last_number());
        result
    }
}

#[derive(Clone, Debug)]
pub(super) struct World {
    /// For offers that the seed doesn't name.
    default_behaviour: Arc<Behaviour>,
    /// The last number of the large space that all offers share.
    pub last_number: u64,
    /// By id in lower case, the id as it was written.
    publishers: BTreeMap<String, String>,
    offers: BTreeMap<Key, OfferEntry>,
    /// The products of the offers, by GUID.
    products: HashMap<String, Product>,
    /// The offers that jobs are about, by the job's id.
    jobs: HashMap<String, Key>,
    /// Grows with every change.
    pub generation: u64,
}

impl World {
    pub(super) fn new(seed: &Seed, now: Timestamp) -> Self {
        let mut world = Self {
            default_behaviour: Arc::new(Behaviour::new(seed, Arc::default())),
            last_number: 0,
            publishers: BTreeMap::new(),
            offers: BTreeMap::new(),
            products: HashMap::new(),
            jobs: HashMap::new(),
            generation: 0,
        };
        for publisher in seed.publishers.iter().chain(&seed.forbidden) {
            world.add_publisher(publisher);
        }
        for entry in seed.offers.0.values() {
            let behaviour = Arc::new(Behaviour::new(seed, Arc::clone(&entry.seed)));
            let offer = start::offer(&entry.publisher, &entry.offer, &behaviour, now);
            world.add(offer, behaviour);
        }
        world
    }

    fn add_publisher(&mut self, publisher: &str) {
        let lower_case = publisher.to_ascii_lowercase();
        self.publishers.entry(lower_case).or_insert_with(|| publisher.to_owned());
    }

    /// Adds or replaces an offer.
    pub(super) fn add(&mut self, offer: Offer, behaviour: Arc<Behaviour>) {
        self.add_publisher(&offer.publisher);
        let key = Key::new(&offer.publisher, &offer.id);
        if offer.changes > 0 {
            self.generation += 1;
        }
        self.last_number = self.last_number.max(offer.last_number());
        for product in Product::all_of(&key, &behaviour) {
            self.products.insert(product.guid(), product);
        }
        for job in &offer.jobs {
            self.jobs.insert(job.id.clone(), key.clone());
        }
        self.offers.insert(key, OfferEntry { offer, behaviour });
    }

    /// Replaces a seeded offer by the one of the memory file. The behaviour stays the seeded one.
    pub(super) fn recall(&mut self, mut offer: Offer) {
        let known = self.offers.get(&Key::new(&offer.publisher, &offer.id));
        let behaviour = Arc::clone(known.map_or(&self.default_behaviour, |known| &known.behaviour));
        offer.changes = 1;
        self.add(offer, behaviour);
    }

    pub(super) fn remove(&mut self, key: &Key) -> bool {
        self.generation += 1;
        self.offers.remove(key).is_some()
    }

    /// The product with this GUID.
    pub(super) fn product(&self, guid: &str) -> Option<Product> {
        let product = self.products.get(&guid.to_ascii_lowercase())?;
        self.contains(&product.key).then(|| product.clone())
    }

    /// The products of a publisher, in order of their offers' ids; with a name, those of that name.
    pub(super) fn products_of(&self, publisher: &str, name: Option<&str>) -> Vec<Product> {
        let first = Key::new(publisher, name.unwrap_or_default());
        let own = self.offers.range(first.clone()..).take_while(|(key, _)| {
            key.publisher == first.publisher && (name.is_none() || key.offer == first.offer)
        });
        own.flat_map(|(key, entry)| Product::all_of(key, &entry.behaviour)).collect()
    }

    /// The offer that a job is about.
    pub(super) fn offer_of_job(&self, id: &str) -> Option<Key> {
        self.jobs.get(&id.to_ascii_lowercase()).cloned()
    }

    /// Remembers which offer a job is about.
    pub(super) fn add_job(&mut self, id: &str, key: &Key) {
        self.jobs.insert(id.to_owned(), key.clone());
    }

    /// The behaviour for an offer of this name, even if there is none.
    pub(super) fn behaviour(&self, key: Option<&Key>) -> Arc<Behaviour> {
        let known = key.and_then(|key| self.offers.get(key));
        Arc::clone(known.map_or(&self.default_behaviour, |known| &known.behaviour))
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
        visitor: impl FnOnce(&mut Offer, Moment<'_>) -> R,
    ) -> Option<R> {
        let entry = self.offers.get_mut(key)?;
        Some(entry.visit(now, &mut self.last_number, &mut self.generation, visitor))
    }

    /// Visits every offer of a publisher, in order of their ids.
    pub(super) fn visit_publisher<R>(
        &mut self,
        publisher: &str,
        now: Timestamp,
        mut visitor: impl FnMut(&Offer, Moment<'_>) -> R,
    ) -> Vec<R> {
        let first = Key::new(publisher, "");
        let mut results = Vec::new();
        for (key, entry) in self.offers.range_mut(first.clone()..) {
            if key.publisher != first.publisher {
                break;
            }
            let (last_number, generation) = (&mut self.last_number, &mut self.generation);
            let visitor = |offer: &mut Offer, moment: Moment<'_>| visitor(offer, moment);
            results.push(entry.visit(now, last_number, generation, visitor));
        }
        results
    }

    /// The offers that are not as the seed says.
    pub(super) fn changed(&self) -> Vec<Offer> {
        let offers = self.offers.values().map(|entry| &entry.offer);
        let changed = offers.filter(|offer| offer.changes > 0 || offer.running().is_some());
        // The next run counts its own changes.
        changed.map(|offer| Offer { changes: 0, ..offer.clone() }).collect()
    }
}
