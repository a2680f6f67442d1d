//! A pipe in the place of a file: `golive validate <(envsubst < vm.yaml)`, `… | golive apply -`.
//!
//! It can be read once, but errors are shown with their lines, and `apply` reads its manifests again
//! once it had to wait for the lock. So what came through is kept for as long as the process lives.

use std::collections::HashMap;
use std::fs::{File, FileType, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::load::MAX_FILE_BYTES;

/// What names standard input.
const STDIN: &str = "-";

/// What came through each pipe, by its name and identity: at most one byte more than a file may have.
static READ: Mutex<Option<HashMap<Key, Vec<u8>>>> = Mutex::new(None);

type Key = (PathBuf, (u64, u64));

/// Whether there is any pipe: of files there can be many, and one more look at each would be felt.
static IS_ANY: AtomicBool = AtomicBool::new(false);

/// Whether a path on the command line is read as a pipe is.
pub(crate) fn is_pipe(path: &Path) -> bool {
    let is_pipe = is_stdin(path) || path.metadata().is_ok_and(|found| is_fifo(found.file_type()));
    IS_ANY.fetch_or(is_pipe, Ordering::Relaxed);
    is_pipe
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == STDIN
}

/// What came through a pipe that [`is_pipe`] was asked about, up to one byte more than a file may have.
/// `None` where it is none.
pub(super) fn read(path: &Path) -> Option<io::Result<Vec<u8>>> {
    if !IS_ANY.load(Ordering::Relaxed) {
        return None;
    }
    let identity = if is_stdin(path) {
        (0, 0)
    } else {
        let found = path.metadata().ok().filter(|found| is_fifo(found.file_type()))?;
        identity(&found)
    };
    let key = (path.to_owned(), identity);
    let mut all = READ.lock().unwrap_or_else(PoisonError::into_inner);
    let all = all.get_or_insert_default();
    if let Some(bytes) = all.get(&key) {
        return Some(Ok(bytes.clone()));
    }
    let bytes = if is_stdin(path) {
        bounded(io::stdin().lock())
    } else {
        File::open(path).and_then(bounded)
    };
    if let Ok(bytes) = &bytes {
        all.insert(key, bytes.clone());
    }
    Some(bytes)
}

fn bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(unix)]
fn is_fifo(kind: FileType) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&kind)
}

#[cfg(not(unix))]
fn is_fifo(_: FileType) -> bool {
    false
}

#[cfg(unix)]
fn identity(found: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    (found.dev(), found.ino())
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> (u64, u64) {
    (0, 0)
}

/// What something is that is neither a file nor a folder.
#[cfg(unix)]
pub(super) fn kind(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;
    if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_char_device() {
        "a device, such as a terminal"
    } else if kind.is_block_device() {
        "a disk"
    } else {
        "neither a file nor a folder"
    }
}

#[cfg(not(unix))]
pub(super) fn kind(_: FileType) -> &'static str {
    "neither a file nor a folder"
}
