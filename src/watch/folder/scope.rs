//! What counts: the folders to watch, the names in them, and what events about these mean.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use notify::EventKind;
use notify::event::{AccessKind, AccessMode, ModifyKind};

use crate::disk::{folder_of, temporary_path};
use crate::manifest::{Way, is_seen};
use crate::status::lock_path;

/// What is watched, by real paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scope {
    folders: BTreeMap<PathBuf, Names>,
    /// What golive itself writes.
    own: HashSet<PathBuf>,
}

/// What counts in a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Names {
    /// Whether all that comes and goes does, and what changes in manifests.
    all: bool,
    /// The names of which everything does.
    some: BTreeSet<OsString>,
}

/// What an event means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Meaning {
    /// Whether the files may have changed.
    pub(super) counts: bool,
    /// Manifests that may have changed.
    pub(super) suspects: BTreeSet<PathBuf>,
    /// Whether something else may have: a folder, a link.
    pub(super) others: bool,
    /// Folders whose watch may have gone with them.
    pub(super) lost: BTreeSet<PathBuf>,
}

/// What happened to a name, or behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// It was looked at.
    Nothing,
    /// It came, went, or got another name.
    Name,
    /// Something else was written into it.
    Content,
    /// Its permissions changed, its owner or its times.
    Attributes,
}

impl Deed {
    fn of(kind: EventKind) -> Self {
        match kind {
            // What is written through a memory map is told of when the file is closed, and only then.
            EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any | ModifyKind::Other) => {
                Self::Content
            }
            EventKind::Access(_) => Self::Nothing,
            EventKind::Modify(ModifyKind::Metadata(_)) => Self::Attributes,
            EventKind::Create(_)
            | EventKind::Remove(_)
            | EventKind::Modify(ModifyKind::Name(_))
            | EventKind::Any
            | EventKind::Other => Self::Name,
        }
    }
}

/// Whether an event says only that something was looked at.
pub(super) fn is_a_look(kind: EventKind) -> bool {
    Deed::of(kind) == Deed::Nothing
}

impl Scope {
    /// What is to be watched for these roots (absolute paths), and for the folders and names that
    /// a walk through them came by.
    pub(super) fn new(roots: &[PathBuf], walked: &BTreeSet<PathBuf>, status_path: &Path) -> Self {
        let mut scope = Self { folders: BTreeMap::new(), own: own_files(status_path) };
        for path in walked {
            // A real folder is no link; a name may be one, even to a folder.
            if path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
                scope.folders.entry(path.clone()).or_default().all = true;
            } else {
                scope.name(path);
            }
        }
        for root in roots {
            let way = Way::from(Path::new(""), root);
            way.links.iter().chain([&way.end]).for_each(|name| scope.name(name));
        }
        scope
    }

    /// Everything that happens to this name counts.
    fn name(&mut self, path: &Path) {
        if let (Some(folder), Some(name)) = (path.parent(), path.file_name()) {
            self.folders.entry(folder.to_owned()).or_default().some.insert(name.to_owned());
        }
    }

    /// The folders to watch.
    pub(super) fn folders(&self) -> impl Iterator<Item = &Path> {
        self.folders.keys().map(PathBuf::as_path)
    }

    /// Whether all that counts in the other does here.
    pub(super) fn covers(&self, other: &Self) -> bool {
        other.folders.iter().all(|(folder, theirs)| {
            let ours = self.folders.get(folder);
            ours.is_some_and(|ours| {
                (ours.all || !theirs.all) && ours.some.is_superset(&theirs.some)
            })
        })
    }

    /// What it means that something happened to these paths.
    pub(super) fn meaning(&self, kind: EventKind, paths: &[PathBuf]) -> Meaning {
        let deed = Deed::of(kind);
        let mut meaning = Meaning::default();
        if deed == Deed::Nothing {
            return meaning;
        }
        for path in paths {
            let is_watched = self.folders.contains_key(path);
            if is_watched && deed == Deed::Name {
                meaning.lost.insert(path.clone());
            }
            if !(is_watched && deed != Deed::Content || self.counts(deed, path)) {
                continue;
            }
            meaning.counts = true;
            let is_named = self.is_named(path);
            meaning.others |= is_watched || is_named || !is_seen(path);
            if !is_watched && (is_seen(path) || is_named) {
                meaning.suspects.insert(path.clone());
            }
        }
        meaning
    }

    fn counts(&self, deed: Deed, path: &Path) -> bool {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return false };
        let Some(names) = self.folders.get(folder) else { return false };
        let is_git = |name| name == ".git";
        if self.own.contains(path) || is_git(name) || folder.file_name().is_some_and(is_git) {
            return false;
        }
        // A walk passes by what is hidden, so that it makes no difference: an editor's new file before
        // it takes its name, for one.
        let may_be_seen = deed == Deed::Name && !name.as_encoded_bytes().starts_with(b".");
        names.some.contains(name) || names.all && (may_be_seen || is_seen(path))
    }

    fn is_named(&self, path: &Path) -> bool {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return false };
        self.folders.get(folder).is_some_and(|names| names.some.contains(name))
    }
}

/// The status file, and what golive writes beside it.
fn own_files(status_path: &Path) -> HashSet<PathBuf> {
    let folder = folder_of(status_path);
    let folder = folder.canonicalize().or_else(|_| std::path::absolute(folder));
    let folder = folder.unwrap_or_else(|_| folder_of(status_path).to_owned());
    let status = folder.join(status_path.file_name().unwrap_or_default());
    let emulator = status.with_extension("emulator.json");
    let temporary = [temporary_path(&status), temporary_path(&emulator)];
    let lock = lock_path(&status);
    [status, emulator, lock].into_iter().chain(temporary).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{CreateKind, DataChange, MetadataKind, RemoveKind};

    const CREATED: EventKind = EventKind::Create(CreateKind::Any);
    const REMOVED: EventKind = EventKind::Remove(RemoveKind::Any);
    const WRITTEN: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    const CHMOD: EventKind = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
    const OPENED: EventKind = EventKind::Access(AccessKind::Open(AccessMode::Any));
    const CLOSED: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));

    fn scope() -> (tempfile::TempDir, PathBuf, Scope) {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(top.join("offers/deep")).unwrap();
        let walked = [top.join("offers"), top.join("offers/deep"), top.join("link")].into();
        let status = folder.path().join("offers/golive.status.json");
        let scope = Scope::new(&[top.join("offers")], &walked, &status);
        (folder, top, scope)
    }

    #[test]
    fn what_comes_and_goes_counts_and_what_changes_in_manifests() {
        let (_folder, top, scope) = scope();
        let counts = |kind, path: &str| scope.meaning(kind, &[top.join(path)]).counts;
        for name in ["offers/a.yaml", "offers/x", "offers/deep/4913", "link"] {
            assert!(counts(CREATED, name) && counts(REMOVED, name), "{name}");
        }
        for name in ["offers/a.yaml", "offers/deep/a.YML", "link", "offers"] {
            assert!(counts(CHMOD, name) && counts(WRITTEN, name), "{name}");
        }
        assert!(counts(CLOSED, "offers/a.yaml") && !counts(OPENED, "offers/a.yaml"));
        for kind in [CREATED, REMOVED, WRITTEN, CHMOD] {
            assert!(!counts(kind, "offers/.hidden") && !counts(kind, "offers/.a.yaml"));
        }
        for name in ["offers/x", "offers/x.log"] {
            assert!(!counts(WRITTEN, name) && !counts(CHMOD, name), "{name}");
        }
    }

    #[test]
    fn neighbours_of_a_root_git_and_golive_s_own_files_do_not_count() {
        let (_folder, top, scope) = scope();
        let own = [
            "golive.status.json",
            "golive.status.json.lock",
            ".golive.status.json.new",
            "golive.status.emulator.json",
            ".golive.status.emulator.json.new",
        ];
        let own = own.map(|name| format!("offers/{name}"));
        let others = ["neighbour", "a.yaml", "offers/.git", "offers/.git/index", "elsewhere/x"];
        for name in own.iter().map(String::as_str).chain(others) {
            for kind in [CREATED, REMOVED, WRITTEN, CHMOD] {
                assert!(!scope.meaning(kind, &[top.join(name)]).counts, "{name}");
            }
        }
    }

    #[test]
    fn manifests_are_suspects_and_folders_lose_their_watch() {
        let (_folder, top, scope) = scope();
        let meaning = scope.meaning(CREATED, &[top.join("offers/a.yaml"), top.join("offers/x")]);
        assert_eq!(meaning.suspects, [top.join("offers/a.yaml")].into());
        assert!(meaning.lost.is_empty() && meaning.others);
        assert!(!scope.meaning(CREATED, &[top.join("offers/a.yaml")]).others);
        for name in ["link", "offers", "offers/deep"] {
            assert!(scope.meaning(CREATED, &[top.join(name)]).others, "{name}");
        }
        let meaning = scope.meaning(REMOVED, &[top.join("offers/deep")]);
        assert!(meaning.counts && meaning.suspects.is_empty());
        assert_eq!(meaning.lost, [top.join("offers/deep")].into());
    }
}
