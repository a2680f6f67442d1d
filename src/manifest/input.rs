//! Reads files and pipes, up to the size that a manifest may have.
//!
//! A pipe (`golive validate <(envsubst < vm.yaml)`, `… | golive apply -`) can be read once, but golive
//! reads a manifest again to show the line of an error, and after `apply` waited for the lock. So the
//! content is kept while the process lives.

use std::collections::BTreeMap;
use std::fs::{File, FileType, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::diagnostic::Diagnostic;
use super::hint::FileHint;

/// The largest manifest file that is read, in bytes.
pub(super) const MAX_FILE_BYTES: u64 = 1 << 20;

/// The path that means standard input.
const STDIN: &str = "-";

/// What came through each pipe, by path, device and inode: at most one byte more than a file may
/// have.
static READ: Mutex<BTreeMap<(PathBuf, u64, u64), Vec<u8>>> = Mutex::new(BTreeMap::new());

/// Whether any pipe was named. Without one, reading spares a system call for each file.
static IS_ANY: AtomicBool = AtomicBool::new(false);

/// Whether a path on the command line is standard input or a pipe.
pub(crate) fn is_pipe(path: &Path) -> bool {
    let is_pipe = is_stdin(path) || path.metadata().is_ok_and(|found| is_fifo(found.file_type()));
    IS_ANY.fetch_or(is_pipe, Ordering::Relaxed);
    is_pipe
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == STDIN
}

/// Reads a file or a pipe, but never more of it than is allowed.
pub(super) fn read_bounded(path: &Path) -> Result<Vec<u8>, Box<Diagnostic>> {
    let read = || {
        if let Some(bytes) = read_pipe(path) {
            return bytes;
        }
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        bounded(file, length)
    };
    let bytes = read().map_err(|error| Box::new(Diagnostic::unreadable(path, &error)))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let what = format!("larger than {} MiB", MAX_FILE_BYTES >> 20);
        return Err(Box::new(Diagnostic::of_file(path, what, FileHint::TooLarge)));
    }
    Ok(bytes)
}

/// The content of a pipe that [`is_pipe`] was asked about, up to one byte more than a file may have;
/// `None` if the path isn't a pipe.
fn read_pipe(path: &Path) -> Option<io::Result<Vec<u8>>> {
    if !IS_ANY.load(Ordering::Relaxed) {
        return None;
    }
    let (device, inode) = if is_stdin(path) {
        (0, 0)
    } else {
        identity(&path.metadata().ok().filter(|found| is_fifo(found.file_type()))?)
    };
    let key = (path.to_owned(), device, inode);
    let mut all = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(bytes) = all.get(&key) {
        return Some(Ok(bytes.clone()));
    }
    let bytes = if is_stdin(path) {
        bounded(io::stdin().lock(), 0)
    } else {
        File::open(path).and_then(|pipe| bounded(pipe, 0))
    };
    Some(bytes.inspect(|bytes| drop(all.insert(key, bytes.clone()))))
}

/// Reads up to one byte more than a file may have; `length` is only a guess.
fn bounded(from: impl Read, length: u64) -> io::Result<Vec<u8>> {
    // One byte more, to see the end without another allocation.
    let capacity = usize::try_from(length.min(MAX_FILE_BYTES)).unwrap_or(0) + 1;
    let mut bytes = Vec::with_capacity(capacity);
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

/// The kind of something that is neither a file nor a folder.
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
