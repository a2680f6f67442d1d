//! The scope: the folders to watch, and the names in them that may be about manifests.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use crate::disk::{folder_of, temporary_path};
use crate::manifest::{SymlinkTrace, is_seen};
use crate::status::lock_path;

/// What to watch, by real path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scope {
    /// Folders in which every name counts.
    walked: BTreeSet<PathBuf>,
    /// Single names that count, such as links on the way to a manifest.
    names: BTreeSet<PathBuf>,
    /// The folders of all these.
    folders: BTreeSet<PathBuf>,
    /// Files that golive itself writes.
    own: HashSet<PathBuf>,
}

impl Scope {
    /// The scope for these roots (absolute paths), and for the folders and names that a walk
    /// through them visited.
    pub(super) fn new(roots: &[PathBuf], visited: &BTreeSet<PathBuf>, status_path: &Path) -> Self {
        // A real folder isn't a link; a name may be one, even to a folder.
        let is_folder = |path: &PathBuf| path.symlink_metadata().is_ok_and(|found| found.is_dir());
        let (walked, mut names): (BTreeSet<_>, BTreeSet<_>) =
            visited.iter().cloned().partition(is_folder);
        for root in roots {
            let SymlinkTrace { end, links } = SymlinkTrace::from(Path::new(""), root);
            names.extend(links.into_iter().chain([end]));
        }
        let parents = names.iter().filter_map(|name| name.parent());
        let folders = parents.map(Path::to_owned).chain(walked.iter().cloned()).collect();
        Self { walked, names, folders, own: own_files(status_path) }
    }

    /// The folders to watch.
    pub(super) fn folders(&self) -> &BTreeSet<PathBuf> {
        &self.folders
    }

    /// Whether everything that counts in `other` counts here.
    pub(super) fn contains(&self, other: &Self) -> bool {
        self.walked.is_superset(&other.walked) && self.names.is_superset(&other.names)
    }

    /// Whether a change of this path may be one of the manifests. `is_content`: only its content
    /// changed, which is of interest in manifests only.
    pub(super) fn is_relevant(&self, path: &Path, is_content: bool) -> bool {
        if self.own.contains(path) {
            return false;
        }
        let is_in_walked = path.parent().is_some_and(|folder| self.walked.contains(folder));
        self.names.contains(path) || (is_in_walked && (!is_content || is_seen(path)))
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
