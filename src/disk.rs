//! The one place that opens files to write or lock them. A file is replaced whole and flushed, or not
//! at all.

use std::ffi::OsString;
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// The effects on files that a crash can separate. Each is a method of its own, so that a test can
/// fail, lose or reorder exactly one.
pub trait Disk: std::fmt::Debug + Send + Sync {
    /// Reads a whole file; `None` if there is none.
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>>;
    /// Writes a new file in the place of one that may be there. It isn't flushed yet.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Like [`Self::write`], with the mode of the file that this one will replace, and its owner if
    /// the system allows that. The default is for disks that have neither.
    fn write_like(&self, path: &Path, _replaced: &Path, bytes: &[u8]) -> io::Result<()> {
        self.write(path, bytes)
    }
    /// Flushes a file's content to the device.
    fn flush(&self, path: &Path) -> io::Result<()>;
    /// Renames a file; another one of that name is replaced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Flushes a folder, so that a rename in it lasts.
    fn flush_folder(&self, path: &Path) -> io::Result<()>;
    /// Removes a file, if it is there.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Opens a lock file, and creates it if it is missing.
    fn open_lock(&self, path: &Path) -> io::Result<Box<dyn LockFile>>;
}

/// A file that at most one process has locked at a time. The lock ends with the value, and with
/// the process, however that ends.
pub trait LockFile: std::fmt::Debug + Send + Sync {
    /// Takes the lock if it is free. Returns whether it was.
    fn try_lock(&mut self) -> io::Result<bool>;
    /// Reads at most this many bytes from the beginning of the file.
    fn read(&mut self, at_most: u64) -> io::Result<Vec<u8>>;
    /// Replaces the content. It isn't flushed: it describes a process, and is worthless after a crash.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// Replaces `path` whole: a temporary file in the same folder, flush, rename, flush the folder. It
/// keeps its mode, since its owner decides who may read it. On an error the old file stays as it was.
pub fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = temporary_path(path);
    let written = disk
        .write_like(&temporary, path, bytes)
        .and_then(|()| disk.flush(&temporary))
        .and_then(|()| disk.rename(&temporary, path));
    if let Err(error) = written {
        // The first error is the one to report.
        drop(disk.remove(&temporary));
        return Err(error);
    }
    disk.flush_folder(folder_of(path))
}

/// The folder a file is in; the current one for a bare name.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

/// A hidden name beside the file. The holder of the lock is the only writer, so one name is enough,
/// and the next write overwrites what a crash left.
pub(crate) fn temporary_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    path.with_file_name(name)
}

/// The machine's own files.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        // Reading a pipe may block for ever, and a device may have no end.
        if std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            return Err(io::Error::other("it isn't a regular file"));
        }
        match std::fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        write_new(path, None, bytes)
    }

    fn write_like(&self, path: &Path, replaced: &Path, bytes: &[u8]) -> io::Result<()> {
        let replaced = std::fs::symlink_metadata(replaced).ok().filter(Metadata::is_file);
        write_new(path, replaced.as_ref(), bytes)
    }

    fn flush(&self, path: &Path) -> io::Result<()> {
        // Windows flushes only files that are open for writing; elsewhere the mode may forbid that.
        OpenOptions::new().read(true).write(cfg!(windows)).open(path)?.sync_all()?;
        tracing::trace!(path = %path.display(), "flushed");
        Ok(())
    }

    #[expect(clippy::disallowed_methods, reason = "this is where files are replaced")]
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn flush_folder(&self, path: &Path) -> io::Result<()> {
        if cfg!(windows) {
            return Ok(()); // Windows has no such flush; NTFS journals the rename.
        }
        File::open(path)?.sync_all()?;
        tracing::trace!(path = %path.display(), "flushed");
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn open_lock(&self, path: &Path) -> io::Result<Box<dyn LockFile>> {
        Ok(Box::new(OsLock(open_lock_file(path)?)))
    }
}

/// Opens a lock file, and creates it if it is missing. For locks that child processes inherit.
pub(crate) fn open_lock_file(path: &Path) -> io::Result<File> {
    // The file is written to: a link that came with a commit must not redirect that.
    if std::fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(io::Error::other("it isn't a regular file; remove it"));
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).open(path)
}

fn write_new(path: &Path, like: Option<&Metadata>, bytes: &[u8]) -> io::Result<()> {
    // Not followed if it is a link.
    RealDisk.remove(path)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if let Some(like) = like {
        use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
        // Set at creation, so that other users can never read it.
        options.mode(like.mode() & 0o777);
    }
    let mut file = options.open(path)?;
    #[cfg(unix)]
    if let Some(like) = like {
        copy_permissions(&file, like);
    }
    file.write_all(bytes)?;
    tracing::trace!(path = %path.display(), bytes = bytes.len(), "written");
    Ok(())
}

/// Gives a file the mode, owner and group of another one, as far as this user may. File systems
/// without modes refuse, and have none to keep.
#[cfg(unix)]
fn copy_permissions(file: &File, like: &Metadata) {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    let Ok(own) = file.metadata() else { return };
    if own.gid() != like.gid() {
        drop(fchown(file, None, Some(like.gid())));
    }
    if own.uid() != like.uid() {
        drop(fchown(file, Some(like.uid()), None));
    }
    // Last, since chown may clear bits. It also restores what the umask removed.
    drop(file.set_permissions(like.permissions()));
}

/// Takes the lock of a file if it is free. Returns whether it was.
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// An operating system's lock. Closing the file releases it.
#[derive(Debug)]
struct OsLock(File);

impl LockFile for OsLock {
    fn try_lock(&mut self) -> io::Result<bool> {
        try_lock(&self.0)
    }

    fn read(&mut self, at_most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.0.seek(SeekFrom::Start(0))?;
        (&self.0).take(at_most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.set_len(0)?;
        self.0.seek(SeekFrom::Start(0))?;
        self.0.write_all(bytes)
    }
}

/// Tests of files that may not be read: permissions do not bind root.
#[cfg(all(test, unix))]
pub(crate) mod bound {
    use std::io::Write as _;

    /// Runs `work` on a thread that file permissions bind: for root, as the user `nobody`, as do all threads
    /// that it starts. `None`, with a message, if that isn't possible.
    pub(crate) fn by_permissions<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
        if !rustix::process::geteuid().is_root() {
            return Some(work());
        }
        #[cfg(target_os = "linux")]
        {
            use nix::unistd::{Uid, setfsuid};
            let nobody = Uid::from_raw(65534);
            let work = move || {
                setfsuid(nobody);
                // The call returns the previous user.
                (setfsuid(nobody) == nobody).then(work)
            };
            let done = std::thread::scope(|scope| scope.spawn(work).join());
            if let Some(done) = done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
                return Some(done);
            }
        }
        // Written past the capture: a skipped test should be visible.
        drop(writeln!(std::io::stderr(), "SKIPPED: permissions do not bind root"));
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("status.json");
        for content in ["one", "two"] {
            replace(&RealDisk, &path, content.as_bytes()).unwrap();
            assert_eq!(RealDisk.read(&path).unwrap().unwrap(), content.as_bytes());
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_replaced_keeps_its_mode_and_its_owner() {
        use std::fs::{Permissions, metadata, set_permissions};
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("status.json");
        replace(&RealDisk, &path, b"new").unwrap();
        let usual = File::create(folder.path().join("usual")).unwrap().metadata().unwrap().mode();
        assert_eq!(metadata(&path).unwrap().mode(), usual, "a new one is as the umask says");
        // Only root may give a file away.
        let owner = if chown(&path, Some(12), Some(34)).is_ok() {
            (12, 34)
        } else {
            let own = metadata(&path).unwrap();
            (own.uid(), own.gid())
        };
        for mode in [0o600, 0o664, 0o640, 0o666, 0o444] {
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            replace(&RealDisk, &path, b"again").unwrap();
            let found = metadata(&path).unwrap();
            assert_eq!(found.mode() & 0o7777, mode);
            assert_eq!((found.uid(), found.gid()), owner);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_the_place_of_the_temporary_file_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("status.json"), folder.path().join("other"));
        for content in ["other", "kept"] {
            replace(&RealDisk, &other, content.as_bytes()).unwrap();
            let link = temporary_path(&path);
            std::os::unix::fs::symlink(&other, link).unwrap();
            replace(&RealDisk, &path, b"new").unwrap();
            assert_eq!(RealDisk.read(&other).unwrap().unwrap(), content.as_bytes());
            assert_eq!(RealDisk.read(&path).unwrap().unwrap(), b"new");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_the_place_of_the_lock_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("lock"), folder.path().join("other"));
        replace(&RealDisk, &other, b"kept").unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        let error = RealDisk.open_lock(&path).unwrap_err().to_string();
        assert!(error.contains("isn't a regular file"), "{error}");
        assert_eq!(RealDisk.read(&other).unwrap().unwrap(), b"kept");
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = replace(&RealDisk, &folder.path().join("no/status.json"), b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
