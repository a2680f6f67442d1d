use std::collections::BTreeSet;
use std::fs::{File, create_dir, create_dir_all, remove_dir_all, remove_file};
use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use notify::event::{AccessKind, AccessMode, CreateKind, Flag};
use notify::{Event, EventKind, RecursiveMode, Watcher as _};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::timeout;

use super::scope::Meaning;
use super::watches::Watcher;
use super::*;
use crate::disk::{Disk as _, RealDisk, replace};
use crate::marketplace::OfferId;
use crate::status::lock_path;
use crate::watch::Manifests;

/// Nothing takes that long, short of what never comes.
const PATIENCE: Duration = Duration::from_mins(2);

/// A real watcher whose events are seen by the test as well.
struct Tapped(notify::RecommendedWatcher);

impl Watcher for Tapped {
    fn watch(&mut self, folder: &Path) -> notify::Result<()> {
        self.0.watch(folder, RecursiveMode::NonRecursive)
    }

    fn unwatch(&mut self, folder: &Path) {
        drop(self.0.unwatch(folder));
    }

    fn silent(&self, _: &Path) -> Option<&'static str> {
        // Wherever the test's folder is: nobody else changes it.
        None
    }
}

fn text(name: &str, version: u64) -> String {
    format!("publisher: contoso\noffer: {name}\nstate: live\nversion: {version}\n")
}

fn ids(names: &[&str]) -> BTreeSet<OfferId> {
    names.iter().map(|name| format!("contoso/{name}").parse().unwrap()).collect()
}

/// Writes into the file that is there, as many editors do.
fn write(path: &Path, text: &str) {
    File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// A folder, what watches it, and what reads it: as in the service, without the rest of it.
struct Place {
    _folder: TempDir,
    top: PathBuf,
    service_state: Arc<ServiceState>,
    source: FolderSource,
    manifests: Manifests,
    /// The markers that were closed so far.
    markers: watch::Receiver<BTreeSet<PathBuf>>,
    marked: &'static str,
    next: usize,
}

impl Place {
    /// With `prepare` done before anything is watched; the root is given below the folder.
    async fn new(root: &str, prepare: impl FnOnce(&Path)) -> Self {
        Self::with_markers_in("", root, prepare).await
    }

    /// The markers lie in a folder that is watched whatever happens.
    async fn with_markers_in(
        marked: &'static str,
        root: &str,
        prepare: impl FnOnce(&Path),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        prepare(&top);
        let (heard, markers) = watch::channel(BTreeSet::new());
        let heard = Arc::new(heard);
        let make = move |inbox: Arc<Inbox>| {
            let heard = Arc::clone(&heard);
            let tap = move |event: notify::Result<Event>| {
                let path = event.as_ref().ok().and_then(|event| {
                    let closed = EventKind::Access(AccessKind::Close(AccessMode::Write));
                    event.paths.first().filter(|_| event.kind == closed).cloned()
                });
                inbox.hear(event);
                heard.send_if_modified(|all| path.is_some_and(|path| all.insert(path)));
            };
            let watcher = notify::recommended_watcher(tap)?;
            Ok(Box::new(Tapped(watcher)) as Box<dyn Watcher>)
        };
        let (service_state, _) = ServiceState::new();
        let roots = [top.join(root)];
        let status = top.join("offers/golive.status.json");
        let quiet = Duration::from_millis(10);
        let source =
            FolderSource::with(&roots, &status, quiet, Arc::clone(&service_state), Box::new(make));
        let manifests = Manifests::new(roots.to_vec());
        let mut place = Self {
            _folder: folder,
            top,
            service_state,
            source,
            manifests,
            markers,
            marked,
            next: 0,
        };
        assert_eq!(place.source.changed().await, Changed::default());
        place.refresh(&BTreeSet::new());
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.top.join(name)
    }

    fn refresh(&mut self, suspects: &BTreeSet<PathBuf>) -> BTreeSet<OfferId> {
        let mut refreshed = self.manifests.refresh(suspects);
        let mut changed = refreshed.changed;
        let mut rounds = 0;
        while self.source.watch(&refreshed.folders) {
            refreshed = self.manifests.refresh(&BTreeSet::new());
            changed.extend(refreshed.changed);
            rounds += 1;
            assert!(rounds < 10, "it is never done");
        }
        assert_eq!(self.service_state.service().source_problem, None);
        changed
    }

    /// Does something, and waits until all of its events are told: events come in order.
    async fn act(&mut self, deed: impl FnOnce(&Path)) {
        deed(&self.top);
        self.next += 1;
        let marker = self.path(self.marked).join(format!("marker{}", self.next));
        write(&marker, "");
        let told = self.markers.wait_for(|all| all.contains(&marker));
        timeout(PATIENCE, told).await.unwrap().unwrap();
    }

    /// What changes by a deed, and which files are suspected: all in one change.
    async fn told(&mut self, deed: impl FnOnce(&Path)) -> (BTreeSet<OfferId>, BTreeSet<PathBuf>) {
        self.act(deed).await;
        let changed = timeout(PATIENCE, self.source.changed()).await.unwrap();
        let told = self.source.inbox.take().meaning;
        assert!(!told.counts && self.source.debounce.due().is_none(), "{told:?}");
        (self.refresh(&changed.suspects), changed.suspects)
    }

    /// The offers that change by a deed.
    async fn changes(&mut self, deed: impl FnOnce(&Path)) -> BTreeSet<OfferId> {
        self.told(deed).await.0
    }

    /// Nothing that a deed does counts.
    async fn ignores(&mut self, deed: impl FnOnce(&Path)) {
        self.act(deed).await;
        let told = self.source.inbox.take().meaning;
        assert_eq!(told, Meaning::default());
    }

    fn in_force(&self) -> BTreeSet<OfferId> {
        self.manifests.desired().keys().cloned().collect()
    }
}

/// A folder `offers` with one manifest.
async fn place() -> Place {
    let prepare = |top: &Path| {
        create_dir(top.join("offers")).unwrap();
        write(&top.join("offers/a.yaml"), &text("a", 1));
    };
    let place = Place::new("offers", prepare).await;
    assert_eq!(place.in_force(), ids(&["a"]));
    place
}

#[tokio::test]
async fn saves_in_place_and_by_rename_are_told() {
    let mut place = place().await;
    let file = place.path("offers/a.yaml");
    let (changed, suspects) = place.told(|_| write(&file, &text("a", 2))).await;
    assert_eq!((changed, suspects), (ids(&["a"]), [file.clone()].into()));

    let renamed = |top: &Path| {
        let other = top.join("offers/.a.yaml.tmp");
        write(&other, &text("a", 3));
        RealDisk.rename(&other, &top.join("offers/a.yaml")).unwrap();
    };
    let (changed, suspects) = place.told(renamed).await;
    assert_eq!((changed, suspects), (ids(&["a"]), [file].into()));
}

#[tokio::test]
async fn saves_by_vim_are_told() {
    let mut place = place().await;
    let vim = |top: &Path| {
        let name = |name: &str| top.join("offers").join(name);
        write(&name(".a.yaml.swp"), "swap");
        write(&name("4913"), "");
        remove_file(name("4913")).unwrap();
        RealDisk.rename(&name("a.yaml"), &name("a.yaml~")).unwrap();
        write(&name("a.yaml"), &text("a", 2));
        remove_file(name("a.yaml~")).unwrap();
        remove_file(name(".a.yaml.swp")).unwrap();
    };
    assert_eq!(place.changes(vim).await, ids(&["a"]));
}

#[tokio::test]
async fn what_is_no_manifest_is_not_told() {
    let mut place = place().await;
    let log = |top: &Path| write(&top.join("offers/log.txt"), "a new file may be a folder");
    assert_eq!(place.changes(log).await, ids(&[]));
    place
        .ignores(|top| {
            write(&top.join("offers/log.txt"), "one line more");
            std::fs::read(top.join("offers/a.yaml")).unwrap();
            std::fs::read_dir(top.join("offers")).unwrap().count();
            write(&top.join("neighbour.yaml"), &text("n", 1));
            create_dir(top.join("offers/.git")).unwrap();
            write(&top.join("offers/.git/index"), "");
        })
        .await;
}

#[tokio::test]
async fn folders_that_come_and_go_are_told() {
    let mut place = place().await;
    let made = |top: &Path| {
        create_dir_all(top.join("offers/new/deep")).unwrap();
        write(&top.join("offers/new/b.yaml"), &text("b", 1));
        write(&top.join("offers/new/deep/c.yaml"), &text("c", 1));
    };
    assert_eq!(place.changes(made).await, ids(&["b", "c"]));
    let edited = |top: &Path| write(&top.join("offers/new/deep/c.yaml"), &text("c", 2));
    assert_eq!(place.changes(edited).await, ids(&["c"]));

    // Another folder in its place, in one go.
    let replaced = |top: &Path| {
        RealDisk.rename(&top.join("offers/new"), &top.join("old")).unwrap();
        create_dir_all(top.join("offers/new/deep")).unwrap();
        write(&top.join("offers/new/deep/c.yaml"), &text("c", 3));
    };
    assert_eq!(place.changes(replaced).await, ids(&["b", "c"]));
    let edited = |top: &Path| write(&top.join("offers/new/deep/c.yaml"), &text("c", 4));
    assert_eq!(place.changes(edited).await, ids(&["c"]));
    place.ignores(|top| write(&top.join("old/b.yaml"), &text("b", 9))).await;

    let removed = |top: &Path| remove_dir_all(top.join("offers/new")).unwrap();
    assert_eq!(place.changes(removed).await, ids(&["c"]));
    assert_eq!(place.in_force(), ids(&["a"]));
}

#[tokio::test]
async fn folders_that_are_moved_out_in_and_within_are_told() {
    let mut place = Place::new("offers", |top| {
        create_dir_all(top.join("offers/sub")).unwrap();
        write(&top.join("offers/a.yaml"), &text("a", 1));
        write(&top.join("offers/sub/b.yaml"), &text("b", 1));
    })
    .await;
    let rename = |from: &'static str, to: &'static str| {
        move |top: &Path| RealDisk.rename(&top.join(from), &top.join(to)).unwrap()
    };
    assert_eq!(place.changes(rename("offers/sub", "out")).await, ids(&["b"]));
    place.ignores(|top| write(&top.join("out/b.yaml"), &text("b", 2))).await;
    assert_eq!(place.changes(rename("out", "offers/in")).await, ids(&["b"]));
    let edited = |top: &Path| write(&top.join("offers/in/b.yaml"), &text("b", 3));
    assert_eq!(place.changes(edited).await, ids(&["b"]));
    assert_eq!(place.changes(rename("offers/in", "offers/other")).await, ids(&["b"]));
    let edited = |top: &Path| write(&top.join("offers/other/b.yaml"), &text("b", 4));
    assert_eq!(place.changes(edited).await, ids(&["b"]));
}

#[tokio::test]
async fn another_folder_in_the_place_of_the_root_is_told() {
    let mut place = place().await;
    let replaced = |top: &Path| {
        create_dir(top.join("next")).unwrap();
        write(&top.join("next/b.yaml"), &text("b", 1));
        RealDisk.rename(&top.join("offers"), &top.join("before")).unwrap();
        RealDisk.rename(&top.join("next"), &top.join("offers")).unwrap();
    };
    assert_eq!(place.changes(replaced).await, ids(&["a", "b"]));
    let edited = |top: &Path| write(&top.join("offers/b.yaml"), &text("b", 2));
    assert_eq!(place.changes(edited).await, ids(&["b"]));
}

#[tokio::test]
async fn a_root_that_is_removed_keeps_what_was_in_force_until_it_is_back() {
    let mut place = place().await;
    let removed = |top: &Path| remove_dir_all(top.join("offers")).unwrap();
    assert_eq!(place.changes(removed).await, ids(&[]));
    assert_eq!(place.manifests.problems().len(), 1);
    assert_eq!(place.in_force(), ids(&["a"]));
    let back = |top: &Path| {
        create_dir(top.join("offers")).unwrap();
        write(&top.join("offers/b.yaml"), &text("b", 1));
    };
    assert_eq!(place.changes(back).await, ids(&["a", "b"]));
    let edited = |top: &Path| write(&top.join("offers/b.yaml"), &text("b", 2));
    assert_eq!(place.changes(edited).await, ids(&["b"]));
}

#[tokio::test]
async fn a_root_that_is_a_file_of_any_name_is_followed() {
    let prepare = |top: &Path| write(&top.join("offer.text"), &text("a", 1));
    let mut place = Place::new("offer.text", prepare).await;
    let edited = |top: &Path| write(&top.join("offer.text"), &text("a", 2));
    assert_eq!(place.changes(edited).await, ids(&["a"]));
    let replaced = |top: &Path| {
        write(&top.join("other"), &text("a", 3));
        RealDisk.rename(&top.join("other"), &top.join("offer.text")).unwrap();
    };
    assert_eq!(place.changes(replaced).await, ids(&["a"]));
    place.ignores(|top| write(&top.join("other.yaml"), &text("b", 1))).await;
}

#[tokio::test]
async fn what_golive_writes_is_not_told() {
    let mut place = place().await;
    let own = |top: &Path| {
        let status = top.join("offers/golive.status.json");
        let mut lock = RealDisk.open_lock(&lock_path(&status)).unwrap();
        lock.write(b"golive watch").unwrap();
        for path in [status.clone(), status.with_extension("emulator.json")] {
            for content in ["one", "two"] {
                replace(&RealDisk, &path, content.as_bytes()).unwrap();
            }
        }
    };
    place.ignores(own).await;
    let file = place.path("offers/b.yaml");
    let both = |top: &Path| {
        own(top);
        write(&top.join("offers/b.yaml"), &text("b", 1));
        own(top);
    };
    assert_eq!(place.told(both).await, (ids(&["b"]), [file].into()));
}

#[tokio::test]
async fn a_broken_manifest_is_told_and_mended() {
    let mut place = place().await;
    let broken = |top: &Path| write(&top.join("offers/a.yaml"), "publisher: [");
    assert_eq!(place.changes(broken).await, ids(&[]));
    assert_eq!((place.in_force(), place.manifests.problems().len()), (ids(&["a"]), 1));
    let mended = |top: &Path| write(&top.join("offers/a.yaml"), &text("a", 2));
    assert_eq!(place.changes(mended).await, ids(&["a"]));
    assert_eq!(place.manifests.problems().len(), 0);
}

#[tokio::test]
async fn many_files_at_once_are_one_change() {
    let mut place = place().await;
    let names: Vec<String> = (0..500).map(|number| format!("o{number}")).collect();
    let many = |top: &Path| {
        create_dir(top.join("offers/many")).unwrap();
        for name in &names {
            write(&top.join(format!("offers/many/{name}.yaml")), &text(name, 1));
        }
    };
    let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(place.changes(many).await, ids(&wanted));
    let again = |top: &Path| {
        for name in &names {
            write(&top.join(format!("offers/many/{name}.yaml")), &text(name, 2));
        }
    };
    let (changed, suspects) = place.told(again).await;
    assert_eq!((changed, suspects.len()), (ids(&wanted), 500));
}

#[tokio::test]
async fn a_checkout_is_one_change_however_long_it_takes() {
    let mut place = Place::with_markers_in("tree", "tree/offers", |top| {
        create_dir_all(top.join("tree/offers")).unwrap();
        create_dir_all(top.join("tree/.git")).unwrap();
        write(&top.join("tree/offers/a.yaml"), &text("a", 1));
    })
    .await;
    let lock = place.path("tree/.git/index.lock");
    write(&lock, "");
    place.act(|top| write(&top.join("tree/offers/a.yaml"), &text("a", 2))).await;
    let mut changed = Box::pin(place.source.changed());
    // Many times as long as it waits for quiet.
    assert!(timeout(Duration::from_millis(300), &mut changed).await.is_err());
    write(&place.top.join("tree/offers/b.yaml"), &text("b", 1));
    remove_file(lock).unwrap();
    let changed = timeout(PATIENCE, changed).await.unwrap();
    assert_eq!(place.refresh(&changed.suspects), ids(&["a", "b"]));
}

#[cfg(unix)]
mod links {
    use super::*;
    use std::os::unix::fs::symlink;

    /// Puts another link in the place of one, in one step.
    fn swap(link: &Path, target: &str) {
        let new = link.with_file_name("..swap");
        symlink(target, &new).unwrap();
        RealDisk.rename(&new, link).unwrap();
    }

    #[tokio::test]
    async fn a_config_map_is_swapped() {
        let mount = |top: &Path, number: u64| {
            let folder = top.join(format!("offers/..{number}"));
            create_dir_all(&folder).unwrap();
            write(&folder.join("a.yaml"), &text("a", number));
            write(&folder.join("b.yaml"), &text("b", 1));
        };
        let mut place = Place::new("offers", |top| {
            mount(top, 1);
            symlink("..1", top.join("offers/..data")).unwrap();
            symlink("..data/a.yaml", top.join("offers/a.yaml")).unwrap();
            symlink("..data/b.yaml", top.join("offers/b.yaml")).unwrap();
        })
        .await;
        for number in 2..5 {
            let update = |top: &Path| {
                mount(top, number);
                swap(&top.join("offers/..data"), &format!("..{number}"));
                remove_dir_all(top.join(format!("offers/..{}", number - 1))).unwrap();
            };
            assert_eq!(place.changes(update).await, ids(&["a"]));
        }
        let removed = |top: &Path| remove_file(top.join("offers/b.yaml")).unwrap();
        assert_eq!(place.changes(removed).await, ids(&["b"]));
    }

    #[tokio::test]
    async fn a_root_behind_links_is_swapped() {
        let mut place = Place::with_markers_in("links", "links/current/offers", |top| {
            for number in 1..4 {
                create_dir_all(top.join(format!("trees/{number}/offers"))).unwrap();
                write(&top.join(format!("trees/{number}/offers/a.yaml")), &text("a", number));
            }
            create_dir(top.join("links")).unwrap();
            symlink("../trees/now", top.join("links/current")).unwrap();
            symlink("1", top.join("trees/now")).unwrap();
        })
        .await;
        let inner = |top: &Path| swap(&top.join("trees/now"), "2");
        assert_eq!(place.changes(inner).await, ids(&["a"]));
        let outer = |top: &Path| swap(&top.join("links/current"), "../trees/3");
        assert_eq!(place.changes(outer).await, ids(&["a"]));
        place.ignores(|top| write(&top.join("trees/2/offers/a.yaml"), &text("a", 7))).await;
        let edited = |top: &Path| write(&top.join("trees/3/offers/a.yaml"), &text("a", 8));
        assert_eq!(place.changes(edited).await, ids(&["a"]));
    }

    #[tokio::test]
    async fn a_file_outside_of_the_root_is_followed() {
        let mut place = Place::new("offers", |top| {
            create_dir_all(top.join("offers")).unwrap();
            create_dir_all(top.join("outside")).unwrap();
            write(&top.join("outside/a.yaml"), &text("a", 1));
            write(&top.join("outside/b.text"), &text("b", 1));
            symlink("../outside/a.yaml", top.join("offers/a.yaml")).unwrap();
            symlink("../outside/b.text", top.join("offers/b.yaml")).unwrap();
        })
        .await;
        let edited = |top: &Path| write(&top.join("outside/a.yaml"), &text("a", 2));
        assert_eq!(place.changes(edited).await, ids(&["a"]));
        let edited = |top: &Path| write(&top.join("outside/b.text"), &text("b", 2));
        assert_eq!(place.changes(edited).await, ids(&["b"]));
        let removed = |top: &Path| remove_file(top.join("outside/b.text")).unwrap();
        assert_eq!(place.changes(removed).await, ids(&[]));
        assert_eq!(place.in_force(), ids(&["a", "b"]));
        let back = |top: &Path| write(&top.join("outside/b.text"), &text("b", 3));
        assert_eq!(place.changes(back).await, ids(&["b"]));
    }
}

/// A source without a real watcher: watches are made, or not, as the test wants.
struct Dry {
    source: FolderSource,
    service_state: Arc<ServiceState>,
    folder: TempDir,
    fails: Arc<AtomicBool>,
    made: Arc<AtomicUsize>,
}

struct Double {
    fails: Arc<AtomicBool>,
    made: Arc<AtomicUsize>,
}

impl Watcher for Double {
    fn watch(&mut self, _: &Path) -> notify::Result<()> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(notify::Error::new(notify::ErrorKind::MaxFilesWatch));
        }
        self.made.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn unwatch(&mut self, _: &Path) {}

    fn silent(&self, folder: &Path) -> Option<&'static str> {
        folder.ends_with("nfs").then_some("NFS")
    }
}

impl Dry {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (service_state, _) = ServiceState::new();
        let (fails, made) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let double = (Arc::clone(&fails), Arc::clone(&made));
        let watcher = move |_| {
            let (fails, made) = (Arc::clone(&double.0), Arc::clone(&double.1));
            Ok(Box::new(Double { fails, made }) as Box<dyn Watcher>)
        };
        let roots = [folder.path().canonicalize().unwrap()];
        let status = folder.path().join("golive.status.json");
        let quiet = Duration::from_millis(100);
        let source = FolderSource::with(
            &roots,
            &status,
            quiet,
            Arc::clone(&service_state),
            Box::new(watcher),
        );
        let mut dry = Self { source, service_state, folder, fails, made };
        // The first call returns at once.
        assert_eq!(dry.after().await, Duration::ZERO);
        dry
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    fn watch(&mut self, names: &[&str]) -> bool {
        let folders = names.iter().map(|name| self.path(name)).collect();
        self.source.watch(&folders)
    }

    fn tell(&self, name: &str) {
        tell(&self.source.inbox, &self.path(name));
    }

    /// How long it takes until something is told.
    async fn after(&mut self) -> Duration {
        let start = Instant::now();
        self.source.changed().await;
        start.elapsed()
    }

    async fn is_quiet(&mut self) -> bool {
        timeout(Duration::from_hours(1), self.source.changed()).await.is_err()
    }

    fn problem(&self) -> Option<String> {
        self.service_state.service().source_problem
    }
}

fn tell(inbox: &Inbox, path: &Path) {
    inbox.hear(Ok(Event::new(EventKind::Create(CreateKind::Any)).add_path(path.to_owned())));
}

const MS: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn a_change_is_told_once_it_is_quiet_and_whoever_asks_again_gets_it() {
    let mut dry = Dry::new().await;
    assert!(dry.watch(&[""]));
    assert!(!dry.watch(&[""]));
    assert!(dry.is_quiet().await);
    let inbox = Arc::clone(&dry.source.inbox);
    let path = dry.path("a.yaml");
    let teller = tokio::spawn(async move {
        for _ in 0..5 {
            tokio::time::sleep(60 * MS).await;
            tell(&inbox, &path);
        }
    });
    // Dropped and called again all the time.
    let start = Instant::now();
    let changed = loop {
        if let Ok(changed) = timeout(7 * MS, dry.source.changed()).await {
            break changed;
        }
    };
    assert_eq!(start.elapsed(), 400 * MS);
    assert_eq!(changed.suspects, [dry.path("a.yaml")].into());
    teller.await.unwrap();
    assert!(dry.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn what_never_stops_is_told_after_ten_seconds() {
    let mut dry = Dry::new().await;
    dry.watch(&[""]);
    let (inbox, path) = (Arc::clone(&dry.source.inbox), dry.path("a.yaml"));
    dry.tell("a.yaml");
    let teller = tokio::spawn(async move {
        loop {
            tokio::time::sleep(50 * MS).await;
            tell(&inbox, &path);
        }
    });
    assert_eq!(dry.after().await, Duration::from_secs(10));
    teller.abort();
}

#[tokio::test(start_paused = true)]
async fn who_wants_to_look_now_waits_for_nothing() {
    let mut dry = Dry::new().await;
    dry.watch(&[""]);
    dry.tell("a.yaml");
    dry.source.check_now();
    assert_eq!(dry.source.changed().await.suspects, [dry.path("a.yaml")].into());
    assert!(dry.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_git_left_is_waited_for_once() {
    let mut dry = Dry::new().await;
    dry.watch(&[""]);
    create_dir(dry.path(".git")).unwrap();
    write(&dry.path(".git/index.lock"), "");
    dry.tell("a.yaml");
    assert_eq!(dry.after().await, Duration::from_mins(1));
    dry.tell("a.yaml");
    assert_eq!(dry.after().await, 100 * MS);
}

#[tokio::test(start_paused = true)]
async fn where_nothing_can_be_watched_the_files_are_looked_at() {
    let mut dry = Dry::new().await;
    let mut updates = dry.service_state.subscribe();
    dry.fails.store(true, Ordering::SeqCst);
    assert!(dry.watch(&[""]), "what counts is new");
    let problem = dry.problem().unwrap();
    assert!(problem.starts_with("changes are found by looking every 2 s"), "{problem}");
    assert!(problem.contains("fs.inotify.max_user_watches"), "{problem}");
    assert!(updates.try_recv().is_ok());
    for _ in 0..3 {
        assert_eq!(dry.after().await, LOOK_INTERVAL);
        assert!(!dry.watch(&[""]));
    }
    // Whoever asks again and again does not put the look off.
    let start = Instant::now();
    while timeout(300 * MS, dry.source.changed()).await.is_err() {}
    assert_eq!(start.elapsed(), LOOK_INTERVAL);
    assert!(updates.try_recv().is_err(), "it is said once");

    dry.fails.store(false, Ordering::SeqCst);
    assert!(dry.watch(&[""]));
    assert_eq!(dry.problem(), None);
    assert!(dry.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn a_look_waits_for_git_too() {
    let mut dry = Dry::new().await;
    dry.fails.store(true, Ordering::SeqCst);
    dry.watch(&[""]);
    create_dir(dry.path(".git")).unwrap();
    let lock = dry.path(".git/index.lock");
    write(&lock, "");
    let git = tokio::spawn(async move {
        tokio::time::sleep(4950 * MS).await;
        remove_file(lock).unwrap();
    });
    assert_eq!(dry.after().await, Duration::from_secs(5));
    git.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_file_system_that_does_not_tell_all_is_looked_at_and_watched() {
    let mut dry = Dry::new().await;
    create_dir(dry.path("nfs")).unwrap();
    assert!(dry.watch(&["", "nfs"]));
    assert!(dry.problem().unwrap().contains("(NFS)"));
    assert_eq!(dry.after().await, LOOK_INTERVAL);
    dry.tell("nfs/a.yaml");
    assert_eq!(dry.after().await, 100 * MS);
    dry.watch(&[""]);
    assert_eq!(dry.problem(), None);
    assert!(dry.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn after_an_overflow_or_an_error_all_watches_are_made_anew() {
    let mut dry = Dry::new().await;
    dry.watch(&[""]);
    let made = dry.made.load(Ordering::SeqCst);
    let overflow = || Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan));
    let error = || Err(notify::Error::generic("it broke"));
    for (round, what) in [overflow(), error()].into_iter().enumerate() {
        dry.source.inbox.hear(what);
        assert_eq!(dry.after().await, 100 * MS);
        assert!(dry.problem().is_some());
        // As long as it is not followed again, it is looked at.
        assert_eq!(dry.after().await, LOOK_INTERVAL);
        assert!(dry.watch(&[""]));
        assert_eq!(dry.made.load(Ordering::SeqCst), made * (round + 2));
        assert_eq!(dry.problem(), None);
        assert!(dry.is_quiet().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_programs_is_told_with_what_mends_it() {
    let (service_state, _) = ServiceState::new();
    let folder = tempfile::tempdir().unwrap();
    let tries = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&tries);
    let make = move |_| {
        *counted.lock().unwrap() += 1;
        Err(notify::Error::io(std::io::Error::from_raw_os_error(24)))
    };
    let roots = [folder.path().to_owned()];
    let status = folder.path().join("golive.status.json");
    let mut source =
        FolderSource::with(&roots, &status, MS, Arc::clone(&service_state), Box::new(make));
    source.watch(&roots.iter().cloned().collect());
    source.watch(&roots.into());
    let problem = service_state.service().source_problem.unwrap();
    assert_eq!(problem.contains("max_user_instances"), cfg!(unix), "{problem}");
    assert_eq!(*tries.lock().unwrap(), 2);
}
