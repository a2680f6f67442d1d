//! An embedded Azure Marketplace: the Cloud Partner Portal API on a pure model of offers.
//!
//! It serves `golive emulator`, `golive apply --emulator` and the tests, through the same router
//! in process and on a socket, and clients of the real API work against it unchanged. It knows
//! only the wire types, the clock and the disk: nothing of what golive decides.
//!
//! | file | what it is |
//! |---|---|
//! | `model`, `stage`, `operation` | pure: the life of one offer; where it stands; one publish or golive |
//! | `past` | what an offer was, for answers that lag |
//! | `ids` | ids that follow from names |
//! | `seed`, `behaviour`, `answers`, `scalar` | the seed, as YAML |
//! | `dialect` | the profiles: every choice about answers, in one place |
//! | `beyond` | fields that the reference doesn't have |
//! | `numbers` | how releases are numbered |
//! | `start` | an offer as the seed says it stands, with its history |
//! | `truth` | what is true of an offer, whatever the API shows |
//! | `world` | publishers and their offers |
//! | `hand` | what people do to offers without golive |
//! | `view` | pure: the model as the API writes it |
//! | `route`, `calls`, `answer` | requests taken apart, done, answered |
//! | `fault`, `faulty` | what goes wrong: the rules, and the harm |
//! | `http`, `server` | the router; the router on a socket |
//! | `journal` | what was asked |
//! | `memory` | what outlives the process |
//!
//! It takes nothing from chance: ids and entity tags follow from the names of offers and from how
//! often they changed, so that the same requests get the same answers in every run.

mod faults;
mod http;
mod ids;
mod journal;
mod memory;
mod model;
mod portal;
mod reply;
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
    /// The seed as it is remembered.
    document: Option<Value>,
    clock: Arc<dyn Clock>,
    state: Mutex<Changing>,
    memory_file: Option<MemoryFile>,
}

/// Everything that requests change.
#[derive(Debug)]
struct Changing {
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

    /// A marketplace as a snapshot left it, under this seed. What runs by time has gone on
    /// meanwhile.
    #[must_use]
    pub fn restore(seed: Seed, memory: Memory, clock: Arc<dyn Clock>) -> Self {
        let seed = StoredSeed { seed, document: memory.seed.clone() };
        Self::build(seed, Some(memory), clock, None)
    }

    /// A marketplace that remembers: it begins as the file left it, if there is one, and the file
    /// is replaced after each request that changed something, before its answer goes out. Without
    /// a seed it has the one that the file remembers; another seed takes that one's place, and
    /// the offers stay as they were left. A seed's token is not remembered.
    pub fn remembered(
        seed: Option<StoredSeed>,
        clock: Arc<dyn Clock>,
        disk: Arc<dyn Disk>,
        path: PathBuf,
    ) -> Result<Self, MemoryError> {
        let memory = memory::read(disk.as_ref(), &path)?;
        let seed = StoredSeed::choose(seed, memory.as_ref(), &path)?;
        let known = memory.as_ref().and_then(|memory| memory.seed.as_ref());
        let news = known != seed.document.as_ref();
        let emulator = Self::build(seed, memory, clock, Some(MemoryFile::new(disk, path)));
        if news {
            // The first request writes the seed, also where it changes nothing.
            emulator.state().world.generation += 1;
        }
        Ok(emulator)
    }

    /// A marketplace that begins as the file left it, if there is one, and writes nothing.
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
        let state = Mutex::new(Changing { world, journal: Journal::default(), faults });
        Self { shared: Arc::new(Shared { seed, document, clock, state, memory_file }) }
    }

    /// The API. The same router serves in process (`tower::ServiceExt::oneshot`) and on a socket
    /// ([`serve`]).
    ///
    /// An absolute `Operation-Location` is made of the request's URI where that is absolute, else
    /// of its `Host` header. In process, a response that has [`Dropped`](crate::backends::http::Dropped)
    /// among its extensions
    /// stands for a dropped connection.
    pub fn router(&self) -> axum::Router {
        http::router(self.clone())
    }

    /// Everything that was asked so far.
    #[must_use]
    pub fn journal(&self) -> Journal {
        self.state().journal.clone()
    }

    /// What there is to remember now.
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

    /// Does something to an offer, `publisher/offer`, by another hand than golive's. It reaches
    /// the memory file with the next request, or with [`Emulator::save`].
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

    /// What is true of an offer now, `publisher/offer`; `None` where there is no such offer.
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

    /// Writes the memory file, if there is one and it is behind.
    pub async fn save(&self) -> std::io::Result<()> {
        let Some(memory_file) = &self.shared.memory_file else {
            return Ok(());
        };
        let generation = self.state().world.generation;
        let snapshot = || {
            let state = self.state();
            (state.world.generation, self.memory(&state.world))
        };
        memory_file.keep(generation, snapshot).await
    }

    /// Saves, and does no more than log where that fails: the request was done.
    async fn remember_changes(&self) {
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

    /// The state, held. A panic elsewhere cannot leave it half changed in a way that matters here.
    fn state(&self) -> MutexGuard<'_, Changing> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
