//! Where the configuration is.

use std::path::{Path, PathBuf};

use crate::manifest::CONFIG_FILE;

/// The configuration for manifests in a folder: in the folder itself or the nearest one above it, up
/// to the root of the repository. Outside of a repository only the folder itself counts: a file that
/// somebody else put further up must not decide where tokens go.
#[must_use]
pub fn find(folder: &Path) -> Option<PathBuf> {
    let own = join(folder, Path::new(CONFIG_FILE));
    if own.exists() || own.is_symlink() {
        return Some(own);
    }
    let real = folder.canonicalize().ok()?;
    let top = real.ancestors().find(|folder| folder.join(".git").exists())?;
    let above = real.ancestors().skip(1).take_while(|folder| folder.starts_with(top));
    above.map(|folder| folder.join(CONFIG_FILE)).find(|file| file.exists() || file.is_symlink())
}

/// A path in a folder; without a leading `./`.
pub(super) fn join(folder: &Path, path: &Path) -> PathBuf {
    if folder == Path::new(".") { path.to_owned() } else { folder.join(path) }
}
