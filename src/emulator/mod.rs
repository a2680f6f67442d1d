//! An embedded Azure Marketplace: the Cloud Partner Portal API and the Product Ingestion API on one
//! pure model of offers.
//!
//! It serves `golive emulator`, `golive apply --emulator` and the tests, through the same router
//! in process and on a socket, and clients of the real API work against it unchanged. It knows
//! only the wire types, the clock and the disk: nothing of what golive decides.
//!
//! | module | what it is |
//! |---|---|
//! | `seed` | the seed's format: YAML |
//! | `model` | pure: an offer's life, under the rules of its seed; what people do to it by hand |
//! | `world` | publishers and their offers |
//! | `portal` | the Cloud Partner Portal API: routes, JSON, errors |
//! | `ingestion` | the Product Ingestion API: the same offers as products and submissions |
//! | `access` | what a token opens |
//! | `faults` | which requests go wrong, and how |
//! | `journal` | the requests so far |
//! | `memory` | the file that outlives the process |
//! | `http`, `server` | the router; the router on a socket |
//!
//! Nothing is random: ids and entity tags follow from the names of offers and from how often they
//! changed, so that the same requests get the same answers in every run.

mod access;
mod faults;
mod http;
mod ids;
mod ingestion;
mod journal;
mod memory;
mod model;
mod portal;
mod reply;
mod request;
mod seed;
mod server;
#[cfg(test)]
mod tests;
mod world;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::Value;

pub use journal::{Count, Entry, Journal};
pub use memory::{Memory, MemoryError, StoredSeed};
pub use model::ground_truth::{GroundTruth, Run};
pub use model::manual::{ManualAction, ManualActionError};
pub use model::operation::Ending;
pub use seed::answers::Profile;
pub use seed::fault::Rule;
pub use seed::offer::{Kind, OfferSeed};
pub use seed::scalar::SeedDuration;
pub use seed::{Offers, Seed, SeedError, Token, parse, schema};
pub use server::serve;

use crate::clock::Clock;
use crate::disk::Disk;
use faults::Faults;
use memory::MemoryFile;
use model::stage::Refusal;
use model::{Behaviour, Moment, Offer, manual, start};
use world::{Key, World};

/// An emulated marketplace. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Emulator {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    seed: Seed,
    /// The seed for the memory file.
    document: Option<Value>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    memory_file: Option<MemoryFile>,
}

/// Everything that requests change.
#[derive(Debug)]
struct State {
    world: World,
    journal: Journal,
    faults: Faults,
}

impl Emulator {
    /// A marketplace as the seed says, whose time is the clock's.
    #[must_use]
    pub fn new(seed: Seed, clock: Arc<dyn Clock>) -> Self {
        Self::build(StoredSeed { seed, document: None }, None, clock, None)
    }

    /// A marketplace as a snapshot left it, under this seed. Operations that time moves on have gone
    /// on meanwhile.
    #[must_use]
    pub fn restore(seed: Seed, memory: Memory, clock: Arc<dyn Clock>) -> Self {
        let seed = StoredSeed { seed, document: memory.seed.clone() };
        Self::build(seed, Some(memory), clock, None)
    }

    /// A marketplace with a memory file: it starts as the file says, if there is one, and replaces
    /// the file after each request that changed something, before the answer goes out. Without a
    /// seed it has the file's. Another seed replaces that one, and the offers stay as they were. The
    /// file has no token.
    pub fn remembered(
        seed: Option<StoredSeed>,
        clock: Arc<dyn Clock>,
        disk: Arc<dyn Disk>,
        path: PathBuf,
    ) -> Result<Self, MemoryError> {
        let memory = memory::read(disk.as_ref(), &path)?;
        let seed = StoredSeed::choose(seed, memory.as_ref(), &path)?;
        let known = memory.as_ref().and_then(|memory| memory.seed.as_ref());
        let is_new = known != seed.document.as_ref();
        let emulator = Self::build(seed, memory, clock, Some(MemoryFile::new(disk, path)));
        if is_new {
            // The first request writes the seed, even if it changes nothing.
            emulator.state().world.generation += 1;
        }
        Ok(emulator)
    }

    /// A marketplace that starts as the memory file says, if there is one, and writes nothing.
    pub fn recalled(
        seed: Option<StoredSeed>,
        clock: Arc<dyn Clock>,
        disk: &dyn Disk,
        path: &Path,
    ) -> Result<Self, MemoryError> {
        let memory = memory::read(disk, path)?;
        let seed = StoredSeed::choose(seed, memory.as_ref(), path)?;
        Ok(Self::build(seed, memory, clock, None))
    }

    fn build(
        seed: StoredSeed,
        memory: Option<Memory>,
        clock: Arc<dyn Clock>,
        memory_file: Option<MemoryFile>,
    ) -> Self {
        let StoredSeed { seed, document } = seed;
        let mut world = World::new(&seed, clock.now());
        for offer in memory.into_iter().flat_map(|memory| memory.offers) {
            world.recall(offer);
        }
        let faults = Faults::new(seed.faults.iter().cloned());
        let state = Mutex::new(State { world, journal: Journal::default(), faults });
        Self { shared: Arc::new(Shared { seed, document, clock, state, memory_file }) }
    }

    /// The APIs. The same router serves in process (`tower::ServiceExt::oneshot`) and on a socket
    /// ([`serve`]).
    ///
    /// An absolute `Operation-Location` is made of the request's URI where that is absolute, else
    /// of its `Host` header. In process, a response that has [`Dropped`](crate::backends::http::Dropped)
    /// among its extensions
    /// stands for a dropped connection.
    pub fn router(&self) -> axum::Router {
        http::router(self.clone())
    }

    /// The requests so far.
    #[must_use]
    pub fn journal(&self) -> Journal {
        self.state().journal.clone()
    }

    /// What the memory file would hold now.
    #[must_use]
    pub fn snapshot(&self) -> Memory {
        self.memory(&self.state().world)
    }

    /// Adds the offers that are not there yet: in preview with this version (`None`: a
    /// number of the profile's), waiting for the publisher's sign-off. Those that are there stay as they are.
    pub fn add_missing<P: AsRef<str>, O: AsRef<str>>(
        &self,
        offers: impl IntoIterator<Item = (P, O, Option<u64>)>,
    ) {
        let now = self.now();
        let mut state = self.state();
        for (publisher, offer, preview_version) in offers {
            let (publisher, offer) = (publisher.as_ref(), offer.as_ref());
            if state.world.contains(&Key::new(publisher, offer)) {
                continue;
            }
            let entry = OfferSeed { preview_version, ..OfferSeed::default() };
            let behaviour = Behaviour::new(self.seed(), Arc::new(entry));
            let new = start::offer(publisher, offer, &behaviour, now);
            state.world.add(new, Arc::new(behaviour));
        }
    }

    /// Does to an offer, `publisher/offer`, what somebody else than golive would. The memory file
    /// has it after the next request, or after [`Emulator::save`].
    pub fn by_hand(&self, offer: &str, action: ManualAction) -> Result<(), ManualActionError> {
        let no_offer = || ManualActionError::NoOffer(offer.to_owned());
        let key = Key::parse(offer).ok_or_else(no_offer)?;
        let now = self.now();
        let mut state = self.state();
        if action == ManualAction::Delete {
            return if state.world.remove(&key) { Ok(()) } else { Err(no_offer()) };
        }
        let acted =
            state.world.visit(&key, now, |offer, moment| manual::act(action, offer, moment));
        let refused = |refusal: Refusal| ManualActionError::Refused(refusal.to_string());
        acted.ok_or_else(no_offer)?.map_err(refused)
    }

    /// The state of an offer now, `publisher/offer`; `None` if there is no such offer.
    #[must_use]
    pub fn truth(&self, offer: &str) -> Option<GroundTruth> {
        let (key, now) = (Key::parse(offer)?, self.now());
        let truth =
            |offer: &mut Offer, moment: Moment<'_>| GroundTruth::of(offer, moment.behaviour);
        self.state().world.visit(&key, now, truth)
    }

    /// Adds a fault rule, asked after those that are there. It counts requests from now on.
    pub fn add_fault(&self, rule: Rule) {
        self.state().faults.add(rule);
    }

    /// Writes the memory file, if there is one and it is out of date.
    pub async fn save(&self) -> std::io::Result<()> {
        let Some(memory_file) = &self.shared.memory_file else {
            return Ok(());
        };
        let generation = self.state().world.generation;
        let snapshot = || {
            let state = self.state();
            (state.world.generation, self.memory(&state.world))
        };
        memory_file.save(generation, snapshot).await
    }

    /// Saves, and only logs a failure: the request was done.
    async fn save_or_log(&self) {
        if let Err(error) = self.save().await {
            tracing::error!(%error, "the emulator's memory could not be document");
        }
    }

    fn memory(&self, world: &World) -> Memory {
        Memory::new(self.shared.document.clone(), world.changed())
    }

    fn seed(&self) -> &Seed {
        &self.shared.seed
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Locks the state. A panic elsewhere may leave it half changed, which an emulator can bear.
    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
