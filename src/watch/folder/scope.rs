//! The scope: the folders to watch, the names that count in them, and the meaning of events.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use notify::EventKind;
use notify::event::{AccessKind, AccessMode, ModifyKind};

use crate::disk::{folder_of, temporary_path};
use crate::manifest::{SymlinkTrace, is_seen};
use crate::status::lock_path;

/// The watched folders, by real path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scope {
    folders: BTreeMap<PathBuf, Names>,
    /// Files that golive itself writes.
    own: HashSet<PathBuf>,
}

/// What counts in a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Names {
    /// Whether every name that comes or goes counts, and content changes of manifests.
    all: bool,
    /// Names for which every change counts.
    some: BTreeSet<OsString>,
}

/// The meaning of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Meaning {
    /// Whether the files may have changed.
    pub(super) counts: bool,
    /// Manifests that may have changed.
    pub(super) suspects: BTreeSet<PathBuf>,
    /// Whether anything else may have changed: a folder, a link.
    pub(super) others: bool,
    /// Folders whose watch may have ended with them.
    pub(super) lost: BTreeSet<PathBuf>,
}

/// What happened to a name or its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// It was only read.
    Nothing,
    /// It was created, removed or renamed.
    Name,
    /// Its content changed.
    Content,
    /// Its permissions, owner or times changed.
    Attributes,
}

impl Deed {
    fn of(kind: EventKind) -> Self {
        match kind {
            // Writes through a memory map are reported only when the file is closed.
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

/// Whether an event reports only a read.
pub(super) fn is_a_look(kind: EventKind) -> bool {
    Deed::of(kind) == Deed::Nothing
}

impl Scope {
    /// The scope for these roots (absolute paths), and for the folders and names that a walk
    /// through them visited.
    pub(super) fn new(roots: &[PathBuf], walked: &BTreeSet<PathBuf>, status_path: &Path) -> Self {
        let mut scope = Self { folders: BTreeMap::new(), own: own_files(status_path) };
        for path in walked {
            // A real folder isn't a link; a name may be one, even to a folder.
            if path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
                scope.folders.entry(path.clone()).or_default().all = true;
            } else {
                scope.name(path);
            }
        }
        for root in roots {
            let way = SymlinkTrace::from(Path::new(""), root);
            way.links.iter().chain([&way.end]).for_each(|name| scope.name(name));
        }
        scope
    }

    /// Counts every change of this name.
    fn name(&mut self, path: &Path) {
        if let (Some(folder), Some(name)) = (path.parent(), path.file_name()) {
            self.folders.entry(folder.to_owned()).or_default().some.insert(name.to_owned());
        }
    }

    /// The folders to watch.
    pub(super) fn folders(&self) -> impl Iterator<Item = &Path> {
        self.folders.keys().map(PathBuf::as_path)
    }

    /// Whether everything that counts in `other` counts here.
    pub(super) fn covers(&self, other: &Self) -> bool {
        other.folders.iter().all(|(folder, theirs)| {
            let ours = self.folders.get(folder);
            ours.is_some_and(|ours| {
                (ours.all || !theirs.all) && ours.some.is_superset(&theirs.some)
            })
        })
    }

    /// The meaning of an event on these paths.
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
        // A walk skips hidden names, so their changes don't count: an editor's temporary file
        // before its rename, for example.
        let may_be_seen = deed == Deed::Name && !name.as_encoded_bytes().starts_with(b".");
        names.some.contains(name) || names.all && (may_be_seen || is_seen(path))
    }

    fn is_named(&self, path: &Path) -> bool {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return false };
        self.folders.get(folder).is_some_and(|names| names.some.contains(name))
    }
}

/// The status file, and the files that golive writes beside it.
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
