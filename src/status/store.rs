//! The status file on disk: read once, replaced whole, many updates in one write.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::Instant;

use super::load::{StoreError, read, refuse_unfit};
use super::text::{Draft, Text};
use super::{MarketplaceRecord, OfferRecord, SourceRecord, StatusFile, StatusLock};
use crate::clock::Clock;
use crate::disk::{self, Disk};
use crate::marketplace::{OfferId, PublisherId};

/// The status file, in the possession of the process that holds the lock.
#[derive(Debug)]
pub struct StatusStore {
    shared: Arc<Shared>,
    /// How many commits are under way.
    committing: AtomicUsize,
    /// Held while the file is written; whoever waits here finds its update written by the next.
    writer: Arc<tokio::sync::Mutex<Writer>>,
}

/// What a write needs, which may go on by itself where its commit is given up.
#[derive(Debug)]
struct Shared {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    model: Mutex<Model>,
    /// Not released while a write goes on.
    lock: OnceLock<StatusLock>,
}

/// What the writer knows of the last write.
#[derive(Debug, Default)]
struct Writer {
    /// When the next one may begin.
    rested: Option<Instant>,
    text: Text,
}

/// From the beginning of a write to the next one, where many updates come at once. It is short
/// beside a request, and long enough for many of them.
const INTERVAL: Duration = Duration::from_millis(50);

/// How many times as long as a write took that interval is at least, so that a large file does not
/// keep the disk busy.
const WRITES_IN_INTERVAL: u32 = 2;

/// What an edit made of an offer's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// The record before; `None` where there was none.
    pub before: Option<Arc<OfferRecord>>,
    /// The record now.
    pub after: Arc<OfferRecord>,
}

#[derive(Debug)]
struct Model {
    file: StatusFile,
    /// The offers whose records are others than when the file was last written; `None` where
    /// nobody wants to know.
    changed: Option<BTreeSet<OfferId>>,
    /// The publishers of the manifests in force.
    publishers: BTreeSet<PublisherId>,
    /// Counts updates.
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
        let model = Mutex::new(Model::new(file));
        let shared = Arc::new(Shared { path, disk, clock, model, lock: OnceLock::new() });
        Ok(Self { shared, committing: AtomicUsize::new(0), writer: Arc::default() })
    }

    /// The same, with the lock that gives the right to write: it is held for as long as this lives,
    /// and as long as a write goes on whose commit was given up.
    #[must_use]
    pub fn holding(self, lock: StatusLock) -> Self {
        // There is one lock for each store, so that none is there yet.
        drop(self.shared.lock.set(lock));
        self
    }

    /// The same, for a process that stays: what it writes first is worth keeping, as it writes again.
    #[must_use]
    pub fn lasting(self) -> Self {
        let writer = Writer { rested: None, text: Text::lasting() };
        Self { writer: Arc::new(tokio::sync::Mutex::new(writer)), ..self }
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// One offer's record, as it is now.
    #[must_use]
    pub fn get(&self, offer: &OfferId) -> Option<Arc<OfferRecord>> {
        self.model().file.offers.get(offer).cloned()
    }

    /// A copy of all.
    #[must_use]
    pub fn snapshot(&self) -> StatusFile {
        self.model().file.clone()
    }

    /// Counts all that was ever updated: what a copy shows is current as long as this is the same.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.model().generation
    }

    /// A copy of all, and the generation that it is of.
    #[must_use]
    pub fn numbered_snapshot(&self) -> (u64, StatusFile) {
        let model = self.model();
        (model.generation, model.file.clone())
    }

    /// Looks at the model without copying it.
    pub fn with<T>(&self, look: impl FnOnce(&StatusFile) -> T) -> T {
        look(&self.model().file)
    }

    /// Changes an offer's record in memory, beginning with `fresh` where there is none.
    /// [`StatusStore::commit`] puts it on disk; a change that changes nothing costs no write.
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
        model.note(offer);
        Edited { before, after }
    }

    /// Forgets an offer, in memory.
    pub fn remove(&self, offer: &OfferId) {
        let mut model = self.model();
        if model.file.offers.remove(offer).is_some() {
            model.note(offer);
        }
    }

    /// Notes where the manifests came from, in memory.
    pub fn set_source(&self, source: Option<SourceRecord>) {
        let mut model = self.model();
        if model.file.source != source {
            model.file.source = source;
            model.generation += 1;
        }
    }

    /// Takes note, in memory, that these publishers, those of the manifests, are at this marketplace.
    /// Refuses where what is on record of one of them is about another one. That alone costs no
    /// write: it goes to the disk with the next one.
    pub fn claim(
        &self,
        publishers: BTreeSet<PublisherId>,
        marketplace: &MarketplaceRecord,
    ) -> Result<(), StoreError> {
        let mut model = self.model();
        model.file.refuse_other_marketplace(self.path(), &publishers, marketplace)?;
        let before = model.file.marketplace.clone();
        model.file.set_marketplace(&publishers, marketplace);
        model.publishers = publishers;
        if model.file.marketplace != before {
            let is_written = model.written == model.generation;
            model.generation += 1;
            if is_written {
                model.written = model.generation;
            }
        }
        Ok(())
    }

    /// Returns once everything updated so far is on disk and flushed. Concurrent commits share
    /// one write, and where there are many, writes keep apart: each writes the whole file, so that
    /// what an update costs is that file's size divided by how many share it.
    pub async fn commit(&self) -> Result<(), StoreError> {
        let wanted = self.model().generation;
        let _under_way = UnderWay::new(&self.committing);
        let mut writer = Arc::clone(&self.writer).lock_owned().await;
        if self.model().written >= wanted {
            return Ok(());
        }
        if let Some(rested) = writer.rested {
            tokio::time::sleep_until(rested).await;
        }
        // Whoever is ready to update now goes along in this write.
        tokio::task::yield_now().await;
        let is_shared = self.committing.load(Ordering::Relaxed) > 1;
        let shared = Arc::clone(&self.shared);
        beside_the_runtime(move || {
            let began = Instant::now();
            let written = shared.write(&mut writer.text);
            // What fails is not waited for: all that stand behind it come to the same end.
            let apart = INTERVAL.max(began.elapsed() * WRITES_IN_INTERVAL);
            writer.rested = (is_shared && written.is_ok()).then_some(began + apart);
            written
        })
        .await
    }

    /// Why the file could not be written last, until it is written again.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.model().trouble.clone()
    }

    fn model(&self) -> MutexGuard<'_, Model> {
        self.shared.model()
    }
}

impl Model {
    fn new(file: StatusFile) -> Self {
        let publishers = BTreeSet::new();
        Self { file, changed: None, publishers, generation: 0, written: 0, trouble: None }
    }

    /// An offer's record was changed.
    fn note(&mut self, offer: &OfferId) {
        self.generation += 1;
        if let Some(changed) = &mut self.changed {
            changed.insert(offer.clone());
        }
    }

    /// What is to be written now; and from then on, if so, only what changes.
    fn draft(&mut self, is_to_be_kept: bool) -> Draft {
        let from_now_on = is_to_be_kept.then(BTreeSet::new);
        let known = std::mem::replace(&mut self.changed, from_now_on).filter(|_| is_to_be_kept);
        let Some(changed) = known else {
            return Draft { file: self.file.clone(), changed: None };
        };
        let now = |offer: OfferId| match self.file.offers.get_key_value(&offer) {
            // The name may be spelled otherwise there.
            Some((offer, record)) => (offer.clone(), Some(Arc::clone(record))),
            None => (offer, None),
        };
        let changed = Some(changed.into_iter().map(now).collect());
        let (schema, source) = (self.file.schema, self.file.source.clone());
        let (offers, updated_at) = (BTreeMap::new(), self.file.updated_at);
        let marketplace = self.file.marketplace.clone();
        Draft { file: StatusFile { marketplace, offers, schema, source, updated_at }, changed }
    }
}

impl Shared {
    /// Writes the file as it is now.
    fn write(&self, text: &mut Text) -> Result<(), StoreError> {
        let before;
        let (draft, generation) = {
            let mut model = self.model();
            before = std::mem::replace(&mut model.file.updated_at, self.clock.now());
            model.generation += 1;
            let Model { file, publishers, .. } = &mut *model;
            file.drop_unused_marketplaces(publishers);
            // The records are shared with it: nobody waits while it is written out.
            (model.draft(text.is_to_be_kept()), model.generation)
        };
        // Whatever comes of it: the text is told of each change just once.
        let text = text.of(draft).map_err(std::io::Error::from);
        // It may have been marked read-only, or replaced by a link, while golive runs.
        let written = refuse_unfit(&self.path).and_then(|()| {
            let written = text.and_then(|text| disk::replace(&*self.disk, &self.path, &text.all()));
            written.map_err(|source| StoreError::Write { path: self.path.clone(), source })
        });
        self.take_note(&written);
        let mut model = self.model();
        if written.is_ok() {
            model.written = generation;
        } else {
            model.file.updated_at = before;
            // That is another content than what could be seen meanwhile.
            model.generation += 1;
        }
        written
    }

    /// Tells once that the file can't be written, however many wait for it, and once that it can.
    fn take_note(&self, written: &Result<(), StoreError>) {
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
        // The model is never left half changed across a panic point that matters: a panic ends
        // the process.
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A status file's content, as [`super::parse`] reads it. Sorted keys, two spaces, a final newline: a
/// committed status file diffs well.
pub fn to_bytes(file: &StatusFile) -> serde_json::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(file)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Counts a commit for as long as it is under way.
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

/// Does what blocks. Where the runtime has threads for that, on one of them, so that meanwhile
/// everything else goes on; and to its end, even where nobody waits for it any more.
async fn beside_the_runtime<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let flavor = Handle::try_current().map(|runtime| runtime.runtime_flavor());
    if !matches!(flavor, Ok(RuntimeFlavor::MultiThread)) {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // What blocks is never canceled once it has begun; before, the runtime has ended, and
            // with it everything that could wait here.
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::disk::RealDisk;
    use crate::status::record::tests::record;

    fn open(path: &Path) -> StatusStore {
        StatusStore::open(path.to_owned(), Arc::new(RealDisk), Arc::new(SystemClock)).unwrap()
    }

    #[tokio::test]
    async fn what_is_committed_is_read_again_and_has_its_keys_sorted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("golive.status.json");
        let offer: OfferId = "contoso/vm".parse().unwrap();
        let store = open(&path);
        store.commit().await.unwrap();
        assert!(!path.exists(), "nothing was updated, so nothing is written");
        store.edit(&offer, record, |record| record);
        store.commit().await.unwrap();
        assert_eq!(open(&path).get(&offer), Some(Arc::new(record())));

        let text = std::fs::read_to_string(&path).unwrap();
        let sorted: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(text, format!("{}\n", serde_json::to_string_pretty(&sorted).unwrap()));
    }

    #[tokio::test]
    async fn a_change_that_changes_nothing_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("golive.status.json");
        let offer: OfferId = "contoso/vm".parse().unwrap();
        let store = open(&path);
        store.edit(&offer, record, |record| record);
        store.commit().await.unwrap();
        let before = std::fs::read(&path).unwrap();
        store.edit(&offer, record, |record| record);
        store.commit().await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    /// A disk whose writes wait until they are let go.
    #[derive(Debug)]
    struct SlowDisk {
        began: std::sync::mpsc::Sender<()>,
        go_on: Mutex<std::sync::mpsc::Receiver<()>>,
    }

    impl Disk for SlowDisk {
        fn read(&self, path: &Path) -> std::io::Result<Option<Vec<u8>>> {
            RealDisk.read(path)
        }
        fn write(&self, path: &Path, parts: &[&[u8]]) -> std::io::Result<()> {
            self.began.send(()).unwrap();
            self.go_on.lock().unwrap().recv().unwrap();
            RealDisk.write(path, parts)
        }
        fn flush(&self, path: &Path) -> std::io::Result<()> {
            RealDisk.flush(path)
        }
        fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
            RealDisk.rename(from, to)
        }
        fn flush_folder(&self, path: &Path) -> std::io::Result<()> {
            RealDisk.flush_folder(path)
        }
        fn remove(&self, path: &Path) -> std::io::Result<()> {
            RealDisk.remove(path)
        }
        fn open_lock(&self, path: &Path) -> std::io::Result<Box<dyn disk::LockFile>> {
            RealDisk.open_lock(path)
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_write_whose_commit_is_given_up_goes_on_and_keeps_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("golive.status.json");
        let try_lock =
            || StatusLock::acquire(&RealDisk, &path, Duration::ZERO, "golive apply", &SystemClock);
        let (began, has_begun) = std::sync::mpsc::channel();
        let (let_go, go_on) = std::sync::mpsc::channel();
        let slow = Arc::new(SlowDisk { began, go_on: Mutex::new(go_on) });
        let store = StatusStore::open(path.clone(), slow, Arc::new(SystemClock)).unwrap();
        let store = store.holding(try_lock().await.unwrap());
        let offer: OfferId = "contoso/vm".parse().unwrap();
        store.edit(&offer, record, |record| record);
        let commit = tokio::spawn(async move { store.commit().await });
        tokio::task::block_in_place(|| has_begun.recv().unwrap());
        commit.abort();
        assert!(commit.await.unwrap_err().is_cancelled());
        // The store is gone, and the write is not.
        try_lock().await.unwrap_err();
        let_go.send(()).unwrap();
        while try_lock().await.is_err() {
            tokio::task::yield_now().await;
        }
        assert_eq!(open(&path).get(&offer), Some(Arc::new(record())));
    }

    #[tokio::test]
    async fn what_could_not_be_written_is_written_the_next_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("golive.status.json");
        let ids = ["contoso/vm", "contoso/app", "fabrikam/vm"].map(|id| id.parse().unwrap());
        let store = open(&path).lasting();
        for attempt in 0..12 {
            for id in &ids[attempt % 2..] {
                store.edit(id, record, |it| OfferRecord {
                    message: format!("attempt {attempt}"),
                    ..it
                });
            }
            if attempt % 4 == 3 {
                store.remove(&ids[attempt % 3]);
            }
            // A folder in its place can't be replaced.
            std::fs::remove_file(&path).ok();
            std::fs::create_dir(&path).unwrap();
            store.commit().await.unwrap_err();
            store.edit(&ids[2], record, |it| OfferRecord {
                message: format!("{attempt} again"),
                ..it
            });
            std::fs::remove_dir(&path).unwrap();
            store.commit().await.unwrap();
            assert_eq!(read(&RealDisk, &path).unwrap(), Some(store.snapshot()));
        }
    }

    #[tokio::test]
    async fn a_generation_is_that_of_what_a_copy_shows() {
        let folder = tempfile::tempdir().unwrap();
        let offer: OfferId = "contoso/vm".parse().unwrap();
        let store = open(&folder.path().join("golive.status.json"));
        let mut seen = vec![store.numbered_snapshot()];
        store.edit(&offer, record, |record| record);
        seen.push(store.numbered_snapshot());
        // It changes when the file was written, which is in it.
        store.commit().await.unwrap();
        seen.push(store.numbered_snapshot());
        store.remove(&offer);
        seen.push(store.numbered_snapshot());
        assert!(seen.windows(2).all(|it| it[0].0 < it[1].0 && it[0].1 != it[1].1), "{seen:?}");
        let before = store.generation();
        store.remove(&offer);
        store.set_source(None);
        assert_eq!(store.generation(), before);
        store.commit().await.unwrap();
        let written = store.generation();
        store.commit().await.unwrap();
        assert_eq!(store.generation(), written, "there was nothing to write");
    }
}
