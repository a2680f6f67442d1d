//! What outlives the process: offers that changed, and the seed.

use std::io;
use std::path::Path;
use std::sync::Arc;

use pretty_assertions::assert_eq;

use super::*;
use crate::disk::{Disk, RealDisk};
use crate::emulator::{Memory, StoredSeed};

const VM: &str = "contoso/offers/vm";

#[derive(Debug, Default)]
struct CountingDisk(std::sync::atomic::AtomicUsize);

impl Disk for CountingDisk {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        RealDisk.read(path)
    }
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        RealDisk.write(path, bytes)
    }
    fn flush(&self, path: &Path) -> io::Result<()> {
        RealDisk.flush(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn flush_folder(&self, path: &Path) -> io::Result<()> {
        RealDisk.flush_folder(path)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
    fn open_lock(&self, path: &Path) -> io::Result<Box<dyn crate::disk::LockFile>> {
        RealDisk.open_lock(path)
    }
}

#[tokio::test(start_paused = true)]
async fn many_changes_at_once_are_few_writes_and_none_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.emulator.json");
    let disk = Arc::new(CountingDisk::default());
    let time = clock();
    let open = || Emulator::remembered(None, time.clone(), disk.clone(), path.clone()).unwrap();
    let first = open();
    let offers: Vec<String> = (0..40).map(|number| format!("o{number}")).collect();
    first.add_missing(offers.iter().map(|offer| ("contoso", offer, None)));
    let paths: Vec<String> = offers.iter().map(|o| format!("contoso/offers/{o}/golive")).collect();
    let answers = futures_util::future::join_all(paths.iter().map(|path| post(&first, path))).await;
    assert!(answers.iter().all(|answer| answer.status == 202));
    let writes = disk.0.load(std::sync::atomic::Ordering::Relaxed);
    // How many there are depends on how fast the disk is beside forty changes.
    assert!((1..=20).contains(&writes), "{writes}");
    assert_eq!(open().snapshot(), first.snapshot());
}

#[tokio::test(start_paused = true)]
async fn a_second_run_finds_the_world_that_the_first_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.emulator.json");
    let seed = "{profile: documented, offers: {contoso/vm: {}, contoso/still: {}}}";
    let time = clock();
    let open = || {
        let disk = Arc::new(RealDisk);
        let seed = StoredSeed::parse(seed).unwrap();
        Emulator::remembered(Some(seed), time.clone(), disk, path.clone())
    };
    let first = open().unwrap();
    first.add_missing([("contoso", "extra", Some(4)), ("Contoso", "VM", Some(9))]);
    let location = post(&first, &format!("{VM}/golive")).await;
    let location = location.header("location").unwrap().to_owned();
    post(&first, "contoso/offers/extra/golive").await;
    assert_eq!(put(&first, "contoso/offers/new", &[], "{}").await.status, 201);
    pass(1).await;
    let before = (first.snapshot(), get(&first, "contoso/offers").await.json);

    let second = open().unwrap();
    second.add_missing([("contoso", "extra", Some(4))]);
    assert_eq!(text(&second, VM, "/status").await, "Succeeded");
    assert_eq!(get(&second, "contoso/offers").await.json, before.1);
    assert_eq!(text(&second, "contoso/offers/extra/slot/production", "/version").await, "4");
    let path_of_it = location.strip_prefix("/api/publishers/").unwrap();
    let path_of_it = path_of_it.split('?').next().unwrap();
    assert_eq!(text(&second, path_of_it, "/status").await, "succeeded");

    let json = serde_json::to_string(&second.snapshot()).unwrap();
    let memory: Memory = serde_json::from_str(&json).unwrap();
    assert_eq!(memory, second.snapshot());
    let third = Emulator::restore(seed_of(seed), memory, clock());
    assert_eq!(get(&third, "contoso/offers").await.json, before.1);

    for (content, expected) in
        [("{", "EOF"), (r#"{"schema": 9, "x": 1}"#, "has schema 9"), (r#"{"schema": 1}"#, "offers")]
    {
        std::fs::File::create(&path).unwrap();
        crate::disk::replace(&RealDisk, &path, content.as_bytes()).unwrap();
        let error = problem(&open().unwrap_err());
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_seed_is_remembered_until_another_one_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.emulator.json");
    let time = clock();
    let open = |seed: Option<&str>| {
        let seed = seed.map(|seed| StoredSeed::parse(seed).unwrap());
        Emulator::remembered(seed, time.clone(), Arc::new(RealDisk), path.clone()).unwrap()
    };
    let none = open(None);
    get(&none, "contoso/offers").await;
    assert!(!path.exists(), "nothing to remember");

    // A read is enough for the seed to be remembered, and its behaviours with it.
    let seed = "# a comment\ntoken: t\noffers:\n  contoso/vm: {previewVersion: 7, succeededAs: complete}\n  contoso/b: {}";
    let first = open(Some(seed));
    assert_eq!(text(&first, VM, "/version").await, "7");
    let again = open(None);
    assert_eq!(text(&again, VM, "/version").await, "7");
    post(&again, &format!("{VM}/golive")).await;
    pass(5).await;
    let id = text(&open(None), &format!("{VM}/submissions"), "/0/id").await;
    let operation = format!("{VM}/operations/{id}");
    assert_eq!(text(&open(None), &operation, "/status").await, "complete");

    // Another seed says how offers behave; what has happened to them stays.
    let other = open(Some("offers: {contoso/vm: {previewVersion: 9}, contoso/c: {}}"));
    assert_eq!(text(&other, &format!("{VM}/slot/production"), "/version").await, "7");
    assert_eq!(text(&other, &operation, "/status").await, "succeeded");
    assert_eq!(get(&other, "contoso/offers/b").await.status, 404);
    assert_eq!(get(&open(None), "contoso/offers/c").await.status, 200);
    let read = Emulator::recalled(None, time.clone(), &RealDisk, &path).unwrap();
    assert_eq!(get(&read, "contoso/offers/c").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_not_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.emulator.json");
    let open = |seed: Option<&str>| {
        let seed = seed.map(|seed| StoredSeed::parse(seed).unwrap());
        Emulator::remembered(seed, clock(), Arc::new(RealDisk), path.clone()).unwrap()
    };
    let seed = "{token: \"hush hush\", strict: true, offers: {contoso/vm: {}}}";
    assert_eq!(get(&open(Some(seed)), VM).await.status, 401);
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(kept.contains("strict") && !kept.contains("hush"), "{kept}");
    assert!(!kept.contains("token"), "{kept}");
    assert_eq!(get(&open(None), VM).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_memory_without_a_seed_is_one_of_schema_1() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.emulator.json");
    let first = emulator("{profile: documented, offers: {contoso/vm: {previewVersion: 3}}}");
    post(&first, &format!("{VM}/golive")).await;
    let mut old = serde_json::to_value(first.snapshot()).unwrap();
    let fields = old.as_object_mut().unwrap();
    fields.remove("seed");
    fields.insert("schema".to_owned(), 1.into());
    old["offers"][0].as_object_mut().unwrap().remove("stale_answers").unwrap();
    crate::disk::replace(&RealDisk, &path, old.to_string().as_bytes()).unwrap();
    let second = Emulator::remembered(None, clock(), Arc::new(RealDisk), path.clone()).unwrap();
    assert_eq!(text(&second, VM, "/version").await, "3");
    pass(5).await;
    post(&second, &format!("{VM}/publish")).await;
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(kept.contains("\"schema\": 2"), "{kept}");
}
