//! The lock beside the status file: a lock of the operating system, so that a dead holder never
//! blocks.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Clock;
use crate::disk::{Disk, LockFile};

/// How often a held lock is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// The longest description of a holder that is read.
const MAX_HOLDER_LENGTH: u64 = 1024;

/// Why the lock could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// A living process holds it.
    #[error(
        "another golive holds the lock {}: {holder}; wait for it to end, or give --lock-timeout a longer time",
        path.display()
    )]
    Held {
        /// The lock file.
        path: PathBuf,
        /// The holder's description of itself.
        holder: String,
    },
    /// The lock file can't be opened or locked.
    #[error(
        "cannot lock {}; golive needs to write in this folder{}, or give the status file another place \
         with --status FILE or GOLIVE_STATUS", path.display(), remedy(source)
    )]
    Io {
        /// The lock file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
}

/// The end of the advice about the folder.
fn remedy(source: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::{NotADirectory, NotFound, QuotaExceeded, StorageFull};
    let kind = source.kind();
    if kind == NotFound {
        ": create it"
    } else if kind == NotADirectory {
        ", which is not one: correct the path"
    } else if matches!(kind, StorageFull | QuotaExceeded) {
        ": make room there"
    } else {
        ": let it"
    }
}

/// The right to write the status file, for as long as it lives.
#[derive(Debug)]
pub struct StatusLock {
    // Closing the file releases the lock. The file isn't removed: otherwise two processes could lock
    // two files of the same name.
    _file: Box<dyn LockFile>,
}

impl StatusLock {
    /// Takes the lock of the status file at `status_path`, and waits for its holder for at most
    /// `timeout`. `command` describes this process to others.
    pub async fn acquire(
        disk: &dyn Disk,
        status_path: &Path,
        timeout: Duration,
        command: &str,
        clock: &dyn Clock,
    ) -> Result<Self, LockError> {
        let path = lock_path(status_path);
        let failed = |source| LockError::Io { path: path.clone(), source };
        let mut file = disk.open_lock(&path).map_err(failed)?;
        let deadline = Instant::now() + timeout;
        let mut is_logged = false;
        while !file.try_lock().map_err(failed)? {
            if Instant::now() >= deadline {
                let holder = read_holder(&mut *file);
                return Err(LockError::Held { path, holder });
            }
            if !is_logged {
                is_logged = true;
                let (lock, holder) = (path.display(), read_holder(&mut *file));
                tracing::warn!("waiting for at most {timeout:?} for the lock {lock}: {holder}");
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
        let holder =
            format!("{command}, process {}, since {:.0}\n", std::process::id(), clock.now());
        file.write(holder.as_bytes()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

fn read_holder(file: &mut dyn LockFile) -> String {
    let text = file.read(MAX_HOLDER_LENGTH).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let line = text.map(|text| crate::marketplace::clean_line(text.trim()));
    line.filter(|line| !line.is_empty())
        .unwrap_or_else(|| "a process that did not say which".to_owned())
}

/// The path of a status file's lock.
pub(crate) fn lock_path(status_path: &Path) -> PathBuf {
    let mut name = status_path.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::disk::RealDisk;

    #[tokio::test(start_paused = true)]
    async fn a_held_lock_names_its_holder_and_a_released_one_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("golive.status.json");
        let take = |command: &'static str| {
            let path = path.clone();
            async move {
                StatusLock::acquire(&RealDisk, &path, Duration::from_secs(5), command, &SystemClock)
                    .await
            }
        };
        let first = take("golive apply").await.unwrap();
        let error = take("golive watch").await.unwrap_err().to_string();
        assert!(error.contains("golive apply, process"), "{error}");
        drop(first);
        take("golive watch").await.unwrap();
    }

    #[tokio::test]
    async fn a_missing_folder_is_an_error() {
        let path = Path::new("/no/such/folder/golive.status.json");
        let error =
            StatusLock::acquire(&RealDisk, path, Duration::ZERO, "golive apply", &SystemClock)
                .await;
        assert!(matches!(error, Err(LockError::Io { .. })));
    }
}
