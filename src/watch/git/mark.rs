//! What a clone's folder tells: whose clone it is, and what a killed git left there.

use std::io;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::GitError;
use crate::disk::{Disk as _, RealDisk};

/// The file that names a clone's source.
pub(super) const MARK: &str = "golive.clone.json";

/// The source of a clone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// The branch; `None` for the repository's default branch.
    pub(super) branch: Option<String>,
    /// The repository, without user name and password.
    pub(super) url: String,
}

impl Mark {
    /// The branch, for messages.
    pub(super) fn branch_words(&self) -> String {
        match &self.branch {
            Some(branch) => format!("branch {branch}"),
            None => "HEAD".to_owned(),
        }
    }
}

/// Refuses a folder with content that golive didn't create.
pub(super) fn check_folder(folder: &Path) -> Result<(), GitError> {
    let files = |error| GitError::files("read", folder)(error);
    match std::fs::symlink_metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(files(error)),
        // A link may have come with a commit: it isn't followed to a folder elsewhere.
        Ok(found) if !found.is_dir() => return Err(GitError::Foreign(folder.to_owned())),
        Ok(_) => {}
    }
    let is_marked = std::fs::symlink_metadata(folder.join(MARK)).is_ok_and(|it| it.is_file());
    let is_empty = std::fs::read_dir(folder).map_err(files)?.next().is_none();
    if is_marked || is_empty { Ok(()) } else { Err(GitError::Foreign(folder.to_owned())) }
}

/// Removes locks left by a killed git, which nothing else removes.
pub(super) fn remove_locks(repository: &Path) -> Result<(), GitError> {
    let refs = repository.join("refs");
    for folder in [repository, &refs, &refs.join("golive")] {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let is_lock = path.extension().is_some_and(|it| it == "lock");
            if is_lock || path.file_name().is_some_and(|it| it == "gc.pid") {
                RealDisk.remove(&path).map_err(GitError::files("remove", &path))?;
            }
        }
    }
    Ok(())
}

/// Whether git's message says that clone and remote use different hashes, in any of its protocol
/// versions' wordings.
pub(super) fn is_of_another_format(said: &str) -> bool {
    said.contains("mismatched algorithms") || said.contains("repository's object format")
}

/// Checks a folder of the repository, as the user gave it. Empty for the whole repository.
pub(super) fn inside(dir: &Path) -> Result<PathBuf, GitError> {
    let mut inside = PathBuf::new();
    for part in dir.components() {
        match part {
            Component::Normal(name) => inside.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(GitError::Dir(dir.to_owned()));
            }
        }
    }
    Ok(inside)
}
