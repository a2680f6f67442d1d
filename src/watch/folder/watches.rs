//! The existing watches, and their update to the wanted ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::{ErrorKind, RecursiveMode, Watcher as _};

use super::events::{Events, Failure};
use super::remote::silent_file_system;

/// Creates watches. Tests replace it with one that fails or records.
pub(super) trait Watcher: Send {
    fn watch(&mut self, folder: &Path) -> notify::Result<()>;
    fn unwatch(&mut self, folder: &Path);
    /// The kind of a folder's file system, if that doesn't report all changes.
    fn silent(&self, folder: &Path) -> Option<&'static str>;
}

/// Creates a [`Watcher`] that sends to these [`Events`].
pub(super) type MakeWatcher =
    Box<dyn Fn(Arc<Events>) -> notify::Result<Box<dyn Watcher>> + Send + Sync>;

struct System(notify::RecommendedWatcher);

/// The system's own watcher.
pub(super) fn system(events: Arc<Events>) -> notify::Result<Box<dyn Watcher>> {
    let watcher = notify::recommended_watcher(move |event| events.receive(event))?;
    Ok(Box::new(System(watcher)))
}

impl Watcher for System {
    fn watch(&mut self, folder: &Path) -> notify::Result<()> {
        self.0.watch(folder, RecursiveMode::NonRecursive)
    }

    fn unwatch(&mut self, folder: &Path) {
        // The watch may have ended with its folder.
        drop(self.0.unwatch(folder));
    }

    fn silent(&self, folder: &Path) -> Option<&'static str> {
        silent_file_system(folder)
    }
}

/// Why golive polls instead of relying on events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The limit on watched folders is reached.
    Watches,
    /// The limit on watcher instances is reached.
    Instances,
    /// A folder can't be watched.
    Folder(PathBuf, String),
    /// Nothing can be watched.
    Nothing(String),
    /// A folder's file system doesn't report all changes.
    Silent(PathBuf, &'static str),
    /// Events were lost.
    Missed(Failure),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Watches => f.write_str(
                "the system watches no more folders for this user; \
                 raise the limit: sysctl fs.inotify.max_user_watches=1048576",
            ),
            Self::Instances => f.write_str(
                "the system lets no more programs of this user watch folders, or open files; \
                 raise the limit: sysctl fs.inotify.max_user_instances=1024, or ulimit -n",
            ),
            Self::Folder(folder, error) => {
                write!(f, "the folder {:?} can't be watched: {error}", folder.display())
            }
            Self::Nothing(error) => write!(f, "folders can't be watched: {error}"),
            Self::Silent(folder, kind) => write!(
                f,
                "the folder {:?} is on a file system ({kind}) that doesn't report changes by others",
                folder.display()
            ),
            Self::Missed(Failure::Overflow) => f.write_str(
                "more changed at once than the system reports; \
                 if this happens often, raise fs.inotify.max_queued_events by sysctl",
            ),
            Self::Missed(Failure::Error(error)) => {
                write!(f, "the system failed to report changes: {error}")
            }
        }
    }
}

/// The result of an update.
#[derive(Debug, Default)]
pub(super) struct Updated {
    /// Whether a new watch was made.
    pub(super) is_new: bool,
    /// Whether a folder has disappeared, so that another walk is needed.
    pub(super) is_behind: bool,
    pub(super) trouble: Option<Trouble>,
}

/// The existing watches.
pub(super) struct Watches {
    make: MakeWatcher,
    events: Arc<Events>,
    watcher: Option<Box<dyn Watcher>>,
    made: BTreeMap<PathBuf, Made>,
    is_outdated: bool,
}

#[derive(Debug)]
struct Made {
    /// Identifies the watched folder; another one may have taken its name.
    identity: Option<Identity>,
    /// The kind of its file system, if that doesn't report all changes.
    silent: Option<&'static str>,
}

impl Watches {
    pub(super) fn new(make: MakeWatcher, events: Arc<Events>) -> Self {
        Self { make, events, watcher: None, made: BTreeMap::new(), is_outdated: false }
    }

    /// Has the next update recreate all watches. Until then the current ones keep reporting.
    pub(super) fn renew(&mut self) {
        self.is_outdated = true;
    }

    /// Removes unwanted watches, and makes the missing ones as far as possible.
    pub(super) fn update(&mut self, wanted: &BTreeSet<PathBuf>) -> Updated {
        let mut updated = Updated::default();
        if mem::take(&mut self.is_outdated) {
            self.watcher = None;
            self.made.clear();
        }
        let watcher = match &mut self.watcher {
            Some(watcher) => watcher,
            none => match (self.make)(Arc::clone(&self.events)) {
                Ok(made) => none.insert(made),
                Err(error) => {
                    updated.trouble = Some(no_watcher(&error));
                    return updated;
                }
            },
        };
        // Remove first: a renamed folder keeps the same watch until it is removed.
        self.made.retain(|folder, made| {
            let stays = wanted.contains(folder) && made.identity == identity(folder);
            if !stays {
                watcher.unwatch(folder);
            }
            stays
        });
        for folder in wanted {
            if self.made.contains_key(folder) {
                continue;
            }
            match watcher.watch(folder) {
                Ok(()) => {
                    updated.is_new = true;
                    let (identity, silent) = (identity(folder), watcher.silent(folder));
                    self.made.insert(folder.clone(), Made { identity, silent });
                }
                Err(error) if is_gone(&error) => updated.is_behind = true,
                Err(error) => {
                    let trouble = no_watch(folder, &error);
                    let is_limit = trouble == Trouble::Watches;
                    updated.trouble.get_or_insert(trouble);
                    // All other watches would fail the same way.
                    if is_limit {
                        break;
                    }
                }
            }
        }
        let mut silent = self.made.iter().filter_map(|(folder, made)| Some((folder, made.silent?)));
        let silent = silent.next().map(|(folder, kind)| Trouble::Silent(folder.clone(), kind));
        updated.trouble = updated.trouble.or(silent);
        updated
    }
}

fn is_gone(error: &notify::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    let kind = io_error(error).map(io::Error::kind);
    matches!(error.kind, ErrorKind::PathNotFound) || matches!(kind, Some(NotFound | NotADirectory))
}

fn no_watch(folder: &Path, error: &notify::Error) -> Trouble {
    let is_full = io_error(error).is_some_and(|it| it.kind() == io::ErrorKind::StorageFull);
    if is_full || matches!(error.kind, ErrorKind::MaxFilesWatch) {
        return Trouble::Watches;
    }
    Trouble::Folder(folder.to_owned(), in_words(error))
}

fn no_watcher(error: &notify::Error) -> Trouble {
    if io_error(error).is_some_and(is_limit) {
        return Trouble::Instances;
    }
    if matches!(error.kind, ErrorKind::MaxFilesWatch) {
        return Trouble::Watches;
    }
    Trouble::Nothing(in_words(error))
}

fn io_error(error: &notify::Error) -> Option<&io::Error> {
    if let ErrorKind::Io(error) = &error.kind { Some(error) } else { None }
}

/// Whether the limit on open files is reached: EMFILE, ENFILE.
fn is_limit(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        let errno = Errno::from_io_error(error);
        errno == Some(Errno::MFILE) || errno == Some(Errno::NFILE)
    }
    #[cfg(not(unix))]
    {
        let _ = error;
        false
    }
}

/// The error without the paths that its own text adds.
fn in_words(error: &notify::Error) -> String {
    if let ErrorKind::Generic(text) = &error.kind {
        return text.clone();
    }
    io_error(error).map_or_else(|| error.to_string(), io::Error::to_string)
}

/// Device and inode.
#[cfg(unix)]
type Identity = (u64, u64);

#[cfg(unix)]
fn identity(folder: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(folder).ok().map(|found| (found.dev(), found.ino()))
}

/// Creation time.
#[cfg(not(unix))]
type Identity = std::time::SystemTime;

#[cfg(not(unix))]
fn identity(folder: &Path) -> Option<Identity> {
    std::fs::metadata(folder).ok()?.created().ok()
}
