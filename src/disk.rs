//! The one place that replaces files, whole, flushed, or not at all, and that locks them.

use std::ffi::OsString;
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// The effects on files that a crash can fall between. Each is a method of its own, so that a
/// test can fail, lose or reorder exactly one.
pub trait Disk: std::fmt::Debug + Send + Sync {
    /// Reads a whole file; `None` where there is none.
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>>;
    /// Writes a new file, in the place of one that may be there, not yet flushed. The parts follow
    /// each other without anything between them.
    fn write(&self, path: &Path, parts: &[&[u8]]) -> io::Result<()>;
    /// The same, with the mode of the file that this one will replace, and its owner where the system
    /// allows that. A disk that knows neither has nothing to keep.
    fn write_like(&self, path: &Path, _replaced: &Path, parts: &[&[u8]]) -> io::Result<()> {
        self.write(path, parts)
    }
    /// Flushes a file's content to the device.
    fn flush(&self, path: &Path) -> io::Result<()>;
    /// Puts one file in the place of another.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Flushes a folder, so that a rename in it lasts.
    fn flush_folder(&self, path: &Path) -> io::Result<()>;
    /// Removes a file, if it is there.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Opens a file that processes exclude each other with, creating it where it is not there.
    fn open_lock(&self, path: &Path) -> io::Result<Box<dyn LockFile>>;
}

/// A file that at most one process has locked at a time. The lock ends with the value, and with
/// the process, however that ends.
pub trait LockFile: std::fmt::Debug + Send + Sync {
    /// Takes the lock, if nobody has it. Tells whether it was to be had.
    fn try_lock(&mut self) -> io::Result<bool>;
    /// The first so many bytes of the file.
    fn read(&mut self, at_most: u64) -> io::Result<Vec<u8>>;
    /// Replaces what is in the file. No flush: it speaks of a process, and ends with it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// Replaces `path` whole: a temporary file in the same folder, flush, rename, flush the folder. It
/// keeps its mode: who may read a status file is for its owner to say. On an error the old file stands as it was.
pub fn replace(disk: &dyn Disk, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let temporary = temporary_path(path);
    let written = disk
        .write_like(&temporary, path, parts)
        .and_then(|()| disk.flush(&temporary))
        .and_then(|()| disk.rename(&temporary, path));
    if let Err(error) = written {
        // What is left of the attempt is of no use; the error that is told is the first one.
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

/// A hidden name beside the file. The holder of the lock is the only writer, so that one name is
/// enough, and what a crash leaves is overwritten by the next write.
pub(crate) fn temporary_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    path.with_file_name(name)
}

/// How much of a file of many parts is written at once: more than a part, and less than what
/// processors have at hand.
const BUFFER: usize = 256 << 10;

/// The machine's own files.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        // To read a pipe may take for ever, and a device may have no end.
        if std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            return Err(io::Error::other("it is no regular file"));
        }
        match std::fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
        write_new(path, None, parts)
    }

    fn write_like(&self, path: &Path, replaced: &Path, parts: &[&[u8]]) -> io::Result<()> {
        let replaced = std::fs::symlink_metadata(replaced).ok().filter(Metadata::is_file);
        write_new(path, replaced.as_ref(), parts)
    }

    fn flush(&self, path: &Path) -> io::Result<()> {
        // Windows flushes only what is open for writing; elsewhere the mode may not allow that.
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
        // The file is written to: a link that came with a commit must not lead to another one.
        if std::fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(io::Error::other("it is no regular file; remove it"));
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        Ok(Box::new(OsLock(file)))
    }
}

fn write_new(path: &Path, like: Option<&Metadata>, parts: &[&[u8]]) -> io::Result<()> {
    // What is there may be a link that somebody put there: it is not followed.
    RealDisk.remove(path)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if let Some(like) = like {
        use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
        // From the beginning, so that at no time more may read it.
        options.mode(like.mode() & 0o777);
    }
    let file = options.open(path)?;
    #[cfg(unix)]
    if let Some(like) = like {
        resemble(&file, like);
    }
    let mut file = BufWriter::with_capacity(BUFFER, file);
    parts.iter().try_for_each(|part| file.write_all(part))?;
    file.flush()?;
    let bytes: usize = parts.iter().map(|part| part.len()).sum();
    tracing::trace!(path = %path.display(), bytes, "written");
    Ok(())
}

/// Gives a file the mode of another one, and its owner and group, as far as the system lets this user.
/// File systems without modes refuse; there is nothing to keep there.
#[cfg(unix)]
fn resemble(file: &File, like: &Metadata) {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    let Ok(own) = file.metadata() else { return };
    if own.gid() != like.gid() {
        drop(fchown(file, None, Some(like.gid())));
    }
    if own.uid() != like.uid() {
        drop(fchown(file, Some(like.uid()), None));
    }
    // After that, which may take bits away; and what the umask took is given back.
    drop(file.set_permissions(like.permissions()));
}

/// A lock of the operating system's. Closing the file releases it.
#[derive(Debug)]
struct OsLock(File);

impl LockFile for OsLock {
    fn try_lock(&mut self) -> io::Result<bool> {
        match self.0.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
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

    /// Does something on a thread whom permissions bind: for root, one that is nobody where files are
    /// concerned, with all threads that it starts. `None` where that can't be, which is said aloud.
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
                // It tells who one was before.
                (setfsuid(nobody) == nobody).then(work)
            };
            let done = std::thread::scope(|scope| scope.spawn(work).join());
            if let Some(done) = done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
                return Some(done);
            }
        }
        // Past what the harness captures: a test that tests nothing is to be seen.
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
            replace(&RealDisk, &path, &[content.as_bytes()]).unwrap();
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
        replace(&RealDisk, &path, &[b"new"]).unwrap();
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
            replace(&RealDisk, &path, &[b"again"]).unwrap();
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
            replace(&RealDisk, &other, &[content.as_bytes()]).unwrap();
            let link = temporary_path(&path);
            std::os::unix::fs::symlink(&other, link).unwrap();
            replace(&RealDisk, &path, &[b"ne", b"", b"w"]).unwrap();
            assert_eq!(RealDisk.read(&other).unwrap().unwrap(), content.as_bytes());
            assert_eq!(RealDisk.read(&path).unwrap().unwrap(), b"new");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_the_place_of_the_lock_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("lock"), folder.path().join("other"));
        replace(&RealDisk, &other, &[b"kept"]).unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        let error = RealDisk.open_lock(&path).unwrap_err().to_string();
        assert!(error.contains("no regular file"), "{error}");
        assert_eq!(RealDisk.read(&other).unwrap().unwrap(), b"kept");
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = replace(&RealDisk, &folder.path().join("no/status.json"), &[b"x"]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
