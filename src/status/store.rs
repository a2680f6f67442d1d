//! The status file on disk: read once, replaced whole, many updates in one write.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::Instant;

use super::load::{StoreError, read, refuse_unfit};
use super::text::RecordTexts;
use super::{MarketplaceRecord, OfferRecord, SourceRecord, StatusFile, StatusLock};
use crate::clock::Clock;
use crate::disk::{self, Disk};
use crate::marketplace::{OfferId, PublisherId};

/// The status file. The process that holds the lock owns it.
#[derive(Debug)]
pub struct StatusStore {
    shared: Arc<Shared>,
    /// The number of flushes under way.
    flushing: AtomicUsize,
    /// Held while the file is written: when the next write may begin.
    writer: Arc<tokio::sync::Mutex<Option<Instant>>>,
}

/// What a write needs. A write continues even if its flush is dropped.
#[derive(Debug)]
struct Shared {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    model: Mutex<Model>,
    /// Held until no write is under way.
    lock: OnceLock<StatusLock>,
}

/// The least time between the beginnings of two writes while many updates come. It is short beside a
/// request, and long enough for many of them.
const INTERVAL: Duration = Duration::from_millis(50);

/// That time is at least this many times as long as the last write took, so that a large file doesn't
/// keep the disk busy.
const WRITES_IN_INTERVAL: u32 = 2;

/// The effect of an edit on an offer's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// The record before; `None` if there was none.
    pub before: Option<Arc<OfferRecord>>,
    /// The record now.
    pub after: Arc<OfferRecord>,
}

#[derive(Debug)]
struct Model {
    file: StatusFile,
    /// The publishers of the manifests in force.
    publishers: BTreeSet<PublisherId>,
    texts: RecordTexts,
    /// The number of updates.
    generation: u64,
    /// The generation that is on disk.
    written: u64,
    /// Why the last write failed, until one succeeds.
    trouble: Option<String>,
}

impl StatusStore {
    /// Reads the file, or begins an empty one. Nothing is written yet.
    pub fn open(
        path: PathBuf,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        let file = read(&*disk, &path)?.unwrap_or_else(|| StatusFile::empty(clock.now()));
        let model = Mutex::new(Model {
            file,
            publishers: BTreeSet::new(),
            texts: RecordTexts::default(),
            generation: 0,
            written: 0,
            trouble: None,
        });
        let shared = Arc::new(Shared { path, disk, clock, model, lock: OnceLock::new() });
        Ok(Self { shared, flushing: AtomicUsize::new(0), writer: Arc::default() })
    }

    /// Adds the lock that gives the right to write. It is held while the store lives, and until a
    /// write whose flush was dropped has ended.
    #[must_use]
    pub fn holding(self, lock: StatusLock) -> Self {
        // Each store has one lock, so none is set yet.
        drop(self.shared.lock.set(lock));
        self
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// The current record of an offer.
    #[must_use]
    pub fn get(&self, offer: &OfferId) -> Option<Arc<OfferRecord>> {
        self.model().file.offers.get(offer).cloned()
    }

    /// A copy of the file; the records are shared with it.
    #[must_use]
    pub fn snapshot(&self) -> StatusFile {
        self.model().file.clone()
    }

    /// The number of updates so far: a copy is current while this stays the same.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.model().generation
    }

    /// A copy of the file, and its generation.
    #[must_use]
    pub fn numbered_snapshot(&self) -> (u64, StatusFile) {
        let model = self.model();
        (model.generation, model.file.clone())
    }

    /// Reads the file without copying it.
    pub fn with<T>(&self, read: impl FnOnce(&StatusFile) -> T) -> T {
        read(&self.model().file)
    }

    /// Changes an offer's record in memory, or that of `fresh` if there is none.
    /// [`StatusStore::flush`] puts it on disk. An edit without effect costs no write.
    pub fn edit(
        &self,
        offer: &OfferId,
        fresh: impl FnOnce() -> OfferRecord,
        change: impl FnOnce(OfferRecord) -> OfferRecord,
    ) -> Edited {
        let mut model = self.model();
        let before = model.file.offers.get(offer).cloned();
        let after = change(before.as_deref().cloned().unwrap_or_else(fresh));
        if let Some(before) = before.as_ref().filter(|before| ***before == after) {
            return Edited { before: Some(Arc::clone(before)), after: Arc::clone(before) };
        }
        let after = Arc::new(after);
        model.file.offers.insert(offer.clone(), Arc::clone(&after));
        model.generation += 1;
        Edited { before, after }
    }

    /// Removes an offer's record in memory.
    pub fn remove(&self, offer: &OfferId) {
        let mut model = self.model();
        if model.file.offers.remove(offer).is_some() {
            model.generation += 1;
        }
    }

    /// Sets in memory where the manifests came from.
    pub fn set_source(&self, source: Option<SourceRecord>) {
        let mut model = self.model();
        if model.file.source != source {
            model.file.source = source;
            model.generation += 1;
        }
    }

    /// Records in memory that the publishers of the manifests are at this marketplace. It is an error
    /// if one of them is on record at another one. This alone costs no write: the next one includes
    /// it.
    pub fn claim(
        &self,
        marketplaces: &BTreeMap<PublisherId, MarketplaceRecord>,
    ) -> Result<(), StoreError> {
        let mut model = self.model();
        model.file.refuse_other_marketplace(self.path(), marketplaces)?;
        let before = model.file.marketplace.clone();
        model.file.set_marketplaces(marketplaces);
        model.publishers = marketplaces.keys().cloned().collect();
        if model.file.marketplace != before {
            let is_written = model.written == model.generation;
            model.generation += 1;
            if is_written {
                model.written = model.generation;
            }
        }
        Ok(())
    }

    /// Returns once all updates so far are on disk and flushed. Concurrent flushes share one write.
    /// While there are many, writes keep apart: each writes the whole file, so an update costs the
    /// file's size divided by the number of updates that share the write.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let wanted = self.model().generation;
        let _under_way = UnderWay::new(&self.flushing);
        let mut next_write = Arc::clone(&self.writer).lock_owned().await;
        if self.model().written >= wanted {
            return Ok(());
        }
        if let Some(next_write) = *next_write {
            tokio::time::sleep_until(next_write).await;
        }
        // Lets all tasks that are ready to update share this write.
        tokio::task::yield_now().await;
        let is_shared = self.flushing.load(Ordering::Relaxed) > 1;
        let shared = Arc::clone(&self.shared);
        run_blocking(move || {
            let began = Instant::now();
            let written = shared.write();
            // After an error, don't wait: all later flushes fail the same way.
            let interval = INTERVAL.max(began.elapsed() * WRITES_IN_INTERVAL);
            *next_write = (is_shared && written.is_ok()).then_some(began + interval);
            written
        })
        .await
    }

    /// Why the last write failed, until one succeeds.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.model().trouble.clone()
    }

    fn model(&self) -> MutexGuard<'_, Model> {
        self.shared.model()
    }
}

impl Shared {
    fn write(&self) -> Result<(), StoreError> {
        let (bytes, generation, before) = {
            let mut model = self.model();
            let before = std::mem::replace(&mut model.file.updated_at, self.clock.now());
            model.generation += 1;
            let Model { file, publishers, texts, .. } = &mut *model;
            file.drop_unused_marketplaces(publishers);
            (texts.bytes_of(file), model.generation, before)
        };
        // The file may have been marked read-only, or replaced by a link, while golive runs.
        let written = refuse_unfit(&self.path).and_then(|()| {
            let bytes = bytes.map_err(std::io::Error::from);
            let written = bytes.and_then(|bytes| disk::replace(&*self.disk, &self.path, &bytes));
            written.map_err(|source| StoreError::Write { path: self.path.clone(), source })
        });
        self.log_trouble(&written);
        let mut model = self.model();
        if written.is_ok() {
            model.written = generation;
        } else {
            model.file.updated_at = before;
            // A copy made meanwhile shows the other time.
            model.generation += 1;
        }
        written
    }

    /// Logs once that the file can't be written, and once that it can again.
    fn log_trouble(&self, written: &Result<(), StoreError>) {
        let trouble = written.as_ref().err().map(|error| {
            let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
            format!("{error}{}", cause.unwrap_or_default())
        });
        let before = std::mem::replace(&mut self.model().trouble, trouble.clone());
        match (before, trouble) {
            (None, Some(trouble)) => tracing::error!("{trouble}"),
            (Some(_), None) => {
                tracing::info!("the status file {} is written again", self.path.display());
            }
            (None, None) | (Some(_), Some(_)) => {}
        }
    }

    fn model(&self) -> MutexGuard<'_, Model> {
        // A panic while it is locked ends the process.
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a flush for as long as it is under way.
struct UnderWay<'a>(&'a AtomicUsize);

impl<'a> UnderWay<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs blocking work on a thread for that, if the runtime has some, so that everything else goes on.
/// It runs to its end even if the future is dropped.
async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let flavor = Handle::try_current().map(|runtime| runtime.runtime_flavor());
    if !matches!(flavor, Ok(RuntimeFlavor::MultiThread)) {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Canceled before it began: the runtime has ended, and nothing can wait here.
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests;
