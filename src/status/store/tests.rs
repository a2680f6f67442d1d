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
    store.flush().await.unwrap();
    assert!(!path.exists(), "nothing was updated, so nothing is written");
    store.edit(&offer, record, |it| it);
    store.flush().await.unwrap();
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
    store.edit(&offer, record, |it| it);
    store.flush().await.unwrap();
    let before = std::fs::read(&path).unwrap();
    store.edit(&offer, record, |it| it);
    store.flush().await.unwrap();
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
    fn write(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        self.began.send(()).unwrap();
        self.go_on.lock().unwrap().recv().unwrap();
        RealDisk.write(path, bytes)
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
    store.edit(&offer, record, |it| it);
    let commit = tokio::spawn(async move { store.flush().await });
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
    let store = open(&path);
    for attempt in 0..12 {
        for id in &ids[attempt % 2..] {
            store
                .edit(id, record, |it| OfferRecord { message: format!("attempt {attempt}"), ..it });
        }
        if attempt % 4 == 3 {
            store.remove(&ids[attempt % 3]);
        }
        // A folder in its place can't be replaced.
        std::fs::remove_file(&path).ok();
        std::fs::create_dir(&path).unwrap();
        store.flush().await.unwrap_err();
        store.edit(&ids[2], record, |it| OfferRecord { message: format!("{attempt} again"), ..it });
        std::fs::remove_dir(&path).unwrap();
        store.flush().await.unwrap();
        assert_eq!(read(&RealDisk, &path).unwrap(), Some(store.snapshot()));
    }
}

#[tokio::test]
async fn a_generation_is_that_of_what_a_copy_shows() {
    let folder = tempfile::tempdir().unwrap();
    let offer: OfferId = "contoso/vm".parse().unwrap();
    let store = open(&folder.path().join("golive.status.json"));
    let mut seen = vec![store.numbered_snapshot()];
    store.edit(&offer, record, |it| it);
    seen.push(store.numbered_snapshot());
    // It changes when the file was written, which is in it.
    store.flush().await.unwrap();
    seen.push(store.numbered_snapshot());
    store.remove(&offer);
    seen.push(store.numbered_snapshot());
    assert!(seen.windows(2).all(|it| it[0].0 < it[1].0 && it[0].1 != it[1].1), "{seen:?}");
    let before = store.generation();
    store.remove(&offer);
    store.set_source(None);
    assert_eq!(store.generation(), before);
    store.flush().await.unwrap();
    let written = store.generation();
    store.flush().await.unwrap();
    assert_eq!(store.generation(), written, "there was nothing to write");
}
