//! The watches there are, and how they become those that are wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::{ErrorKind, RecursiveMode, Watcher as _};

use super::inbox::{Failure, Inbox};
use super::remote::silent_file_system;

/// What makes watches. A test puts another in its place: one that can't, or that remembers.
pub(super) trait Watcher: Send {
    fn watch(&mut self, folder: &Path) -> notify::Result<()>;
    fn unwatch(&mut self, folder: &Path);
    /// The kind of file system that a folder lies on, if that does not tell of all changes.
    fn silent(&self, folder: &Path) -> Option<&'static str>;
}

/// Makes a [`Watcher`] that tells an inbox.
pub(super) type MakeWatcher =
    Box<dyn Fn(Arc<Inbox>) -> notify::Result<Box<dyn Watcher>> + Send + Sync>;

struct System(notify::RecommendedWatcher);

/// The system's own way to tell.
pub(super) fn system(inbox: Arc<Inbox>) -> notify::Result<Box<dyn Watcher>> {
    let watcher = notify::recommended_watcher(move |event| inbox.hear(event))?;
    Ok(Box::new(System(watcher)))
}

impl Watcher for System {
    fn watch(&mut self, folder: &Path) -> notify::Result<()> {
        self.0.watch(folder, RecursiveMode::NonRecursive)
    }

    fn unwatch(&mut self, folder: &Path) {
        // It may have gone with its folder.
        drop(self.0.unwatch(folder));
    }

    fn silent(&self, folder: &Path) -> Option<&'static str> {
        silent_file_system(folder)
    }
}

/// Why changes are to be looked for, rather than waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// No more folders may be watched.
    Watches,
    /// No more programs may watch folders.
    Instances,
    /// A folder can't be watched.
    Folder(PathBuf, String),
    /// Nothing can be watched.
    Nothing(String),
    /// A folder's file system does not tell of all changes.
    Silent(PathBuf, &'static str),
    /// What was told is not all there was.
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
                "the folder {:?} is on a file system ({kind}) that does not tell what others change",
                folder.display()
            ),
            Self::Missed(Failure::Overflow) => f.write_str(
                "more has changed at once than the system tells; \
                 if this happens often, raise fs.inotify.max_queued_events by sysctl",
            ),
            Self::Missed(Failure::Error(error)) => {
                write!(f, "the system failed to tell what has changed: {error}")
            }
        }
    }
}

/// What came of bringing the watches up to date.
#[derive(Debug, Default)]
pub(super) struct Updated {
    /// Whether there is a watch that was not there before.
    pub(super) is_new: bool,
    /// Whether a folder is not there any more, so that it is to be looked again.
    pub(super) is_behind: bool,
    pub(super) trouble: Option<Trouble>,
}

/// The watches there are.
pub(super) struct Watches {
    make: MakeWatcher,
    inbox: Arc<Inbox>,
    watcher: Option<Box<dyn Watcher>>,
    made: BTreeMap<PathBuf, Made>,
}

#[derive(Debug)]
struct Made {
    /// Which folder it is that is watched; another may have taken its name.
    identity: Option<Identity>,
    /// Whether it was told that the folder, or one above it, came, went or was renamed.
    is_lost: bool,
    /// The kind of its file system, if that does not tell all.
    silent: Option<&'static str>,
}

impl Watches {
    pub(super) fn new(make: MakeWatcher, inbox: Arc<Inbox>) -> Self {
        Self { make, inbox, watcher: None, made: BTreeMap::new() }
    }

    /// Whatever is at or below these paths may not be watched any more.
    pub(super) fn lose(&mut self, lost: &BTreeSet<PathBuf>) {
        for path in lost {
            let below = self.made.iter_mut().filter(|(folder, _)| folder.starts_with(path));
            below.for_each(|(_, made)| made.is_lost = true);
        }
    }

    /// No watch can be relied on any more.
    pub(super) fn lose_all(&mut self) {
        self.watcher = None;
        self.made.clear();
    }

    /// Removes what is not wanted any more, and makes what is missing, as far as that is possible.
    pub(super) fn update(&mut self, wanted: &BTreeSet<PathBuf>) -> Updated {
        let mut updated = Updated::default();
        let watcher = match &mut self.watcher {
            Some(watcher) => watcher,
            none => match (self.make)(Arc::clone(&self.inbox)) {
                Ok(made) => none.insert(made),
                Err(error) => {
                    updated.trouble = Some(no_watcher(error));
                    return updated;
                }
            },
        };
        // First of all: a folder that got another name has the same watch until it is removed.
        self.made.retain(|folder, made| {
            let stays =
                !made.is_lost && wanted.contains(folder) && made.identity == identity(folder);
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
                    self.made.insert(folder.clone(), Made { identity, is_lost: false, silent });
                }
                Err(error) if is_gone(&error) => updated.is_behind = true,
                Err(error) => {
                    let trouble = no_watch(folder, error);
                    let is_limit = trouble == Trouble::Watches;
                    updated.trouble.get_or_insert(trouble);
                    // All others would fail in the same way.
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
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => {
            matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        }
        ErrorKind::Generic(_)
        | ErrorKind::WatchNotFound
        | ErrorKind::InvalidConfig(_)
        | ErrorKind::MaxFilesWatch => false,
    }
}

fn no_watch(folder: &Path, error: notify::Error) -> Trouble {
    let text = in_words(&error);
    match error.kind {
        ErrorKind::MaxFilesWatch => Trouble::Watches,
        ErrorKind::Io(error) if error.kind() == io::ErrorKind::StorageFull => Trouble::Watches,
        ErrorKind::Io(_)
        | ErrorKind::PathNotFound
        | ErrorKind::Generic(_)
        | ErrorKind::WatchNotFound
        | ErrorKind::InvalidConfig(_) => Trouble::Folder(folder.to_owned(), text),
    }
}

fn no_watcher(error: notify::Error) -> Trouble {
    let text = in_words(&error);
    match error.kind {
        ErrorKind::Io(error) if is_limit(&error) => Trouble::Instances,
        ErrorKind::MaxFilesWatch => Trouble::Watches,
        ErrorKind::Io(_)
        | ErrorKind::PathNotFound
        | ErrorKind::Generic(_)
        | ErrorKind::WatchNotFound
        | ErrorKind::InvalidConfig(_) => Trouble::Nothing(text),
    }
}

/// Whether the user has no more of what programs may have: EMFILE, ENFILE.
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
    match &error.kind {
        ErrorKind::Io(error) => error.to_string(),
        ErrorKind::Generic(text) => text.clone(),
        ErrorKind::PathNotFound
        | ErrorKind::WatchNotFound
        | ErrorKind::InvalidConfig(_)
        | ErrorKind::MaxFilesWatch => error.to_string(),
    }
}

/// Device and inode.
#[cfg(unix)]
type Identity = (u64, u64);

#[cfg(unix)]
fn identity(folder: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(folder).ok().map(|found| (found.dev(), found.ino()))
}

/// When it was created.
#[cfg(not(unix))]
type Identity = std::time::SystemTime;

#[cfg(not(unix))]
fn identity(folder: &Path) -> Option<Identity> {
    std::fs::metadata(folder).ok()?.created().ok()
}
