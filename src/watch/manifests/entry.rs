//! The state of one file, and how a walk's files are matched with the known ones.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashSet};
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{is_same_text, plain};
use crate::manifest::{self, FileManifests, Found};
use crate::marketplace::OfferId;

/// One manifest file.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its content when it was last read.
    pub(super) latest: FileManifests,
    /// Its last valid content, if the latest has problems.
    good: Option<FileManifests>,
    /// Its real path.
    pub(super) real: PathBuf,
    /// Its fingerprint just before it was last read; `None` if that is unavailable.
    print: Option<Fingerprint>,
    /// Whether the last walk found it. If not, the walk had a problem.
    pub(super) is_found: bool,
    /// Whether it must be read again.
    pub(super) is_stale: bool,
}

impl Entry {
    fn new(path: &Path, real: &Path) -> Self {
        Self {
            latest: FileManifests::unread(path),
            good: None,
            real: real.to_owned(),
            print: Fingerprint::of(path),
            is_found: true,
            is_stale: true,
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.latest.path()
    }

    /// The version in force.
    pub(super) fn in_force(&self) -> &FileManifests {
        self.good.as_ref().unwrap_or(&self.latest)
    }

    /// Checks whether the file must be read again. Returns whether its real path is unchanged.
    pub(super) fn look(&mut self, real: &Path, is_suspect: bool) -> bool {
        let print = Fingerprint::of(self.path());
        self.is_stale =
            is_suspect || !self.latest.was_read() || print.is_none() || print != self.print;
        self.is_found = true;
        self.print = print;
        let is_there = is_same_text(&self.real, real);
        if !is_there {
            real.clone_into(&mut self.real);
        }
        is_there
    }

    /// The offers that the file names: in the version in force, and in the latest one, even if that
    /// has problems.
    pub(super) fn names(&self) -> BTreeSet<&OfferId> {
        let good = self.good.iter().flat_map(FileManifests::names);
        good.chain(self.latest.names()).collect()
    }

    /// The number of its manifests of an offer, in whichever of these two versions has more.
    pub(super) fn claims(&self, offer: &OfferId) -> usize {
        let count = |file: &FileManifests| file.names().filter(|id| *id == offer).count();
        count(&self.latest).max(self.good.as_ref().map_or(0, count))
    }

    /// Stores the file's new content, and returns the old one.
    pub(super) fn take_in(&mut self, file: FileManifests) -> FileManifests {
        self.is_stale = false;
        let before = std::mem::replace(&mut self.latest, file);
        if self.latest.problems().is_empty() {
            self.good = None;
        } else if self.good.is_none() && before.was_read() && before.problems().is_empty() {
            self.good = Some(before.clone());
        }
        before
    }
}

/// A file's metadata: every change shows in it, except two changes within one tick of the file
/// system's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fingerprint {
    length: u64,
    modified: Option<SystemTime>,
    identity: Identity,
}

impl Fingerprint {
    fn of(path: &Path) -> Option<Self> {
        let found = std::fs::metadata(path).ok()?;
        Some(Self {
            length: found.len(),
            modified: found.modified().ok(),
            identity: identity(&found),
        })
    }
}

/// Identifies the file, and when its inode last changed: device, inode, seconds, nanoseconds.
#[cfg(unix)]
type Identity = (u64, u64, i64, i64);

#[cfg(unix)]
fn identity(found: &Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt as _;
    (found.dev(), found.ino(), found.ctime(), found.ctime_nsec())
}

/// When the file was created, which distinguishes it from another one that took its name.
#[cfg(not(unix))]
type Identity = Option<SystemTime>;

#[cfg(not(unix))]
fn identity(found: &Metadata) -> Identity {
    found.created().ok()
}

/// The paths that a walk could not read.
#[derive(Debug, Default)]
pub(super) struct Unseen {
    paths: Vec<PathBuf>,
}

impl Unseen {
    /// From a walk's problems. A walk that found nothing counts as having read nothing, unless
    /// `nothing_is_an_answer`.
    pub(super) fn of(found: &Found, nothing_is_an_answer: bool) -> Self {
        let is_empty = found.files.is_empty() && found.ignored.is_empty();
        if found.is_nothing && (nothing_is_an_answer || !is_empty) {
            return Self::default();
        }
        let everywhere = PathBuf::new();
        let paths = found.problems.iter().map(|problem| plain(manifest::missed(problem)));
        Self { paths: if is_empty { vec![everywhere] } else { paths.collect() } }
    }

    /// Whether the walk could not read a path.
    pub(super) fn covers(&self, path: &Path) -> bool {
        let path = plain(path);
        self.paths.iter().any(|unseen| path.starts_with(unseen))
    }

    /// Whether the walk could read everything.
    pub(super) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }
}

/// The files after a walk.
#[derive(Debug)]
pub(super) struct Merged {
    /// Sorted by path.
    pub(super) entries: Vec<Entry>,
    /// The offers of files that are gone.
    pub(super) affected: HashSet<OfferId>,
    /// Whether no file was added, removed or moved.
    pub(super) is_same: bool,
}

/// Merges the files found with the known ones; both are sorted, so one pass suffices. A file not
/// found is kept if the walk could not read its place.
pub(super) fn merge(
    before: Vec<Entry>,
    found: &Found,
    unseen: &Unseen,
    is_suspect: impl Fn(&Path) -> bool,
) -> Merged {
    let mut merged = Merged {
        entries: Vec::with_capacity(found.files.len()),
        affected: HashSet::new(),
        is_same: true,
    };
    let mut before = before.into_iter().peekable();
    for (path, real) in found.files.iter().zip(&found.real) {
        while let Some(lost) = before.next_if(|it| order(it.path(), path) == Ordering::Less) {
            merged.lose(lost, unseen);
        }
        let known = before.next_if(|it| is_same_text(it.path(), path));
        let entry = if let Some(mut known) = known {
            merged.is_same &= known.look(real, is_suspect(real) || is_suspect(path));
            known
        } else {
            merged.is_same = false;
            Entry::new(path, real)
        };
        merged.entries.push(entry);
    }
    for lost in before {
        merged.lose(lost, unseen);
    }
    merged
}

impl Merged {
    fn lose(&mut self, mut entry: Entry, unseen: &Unseen) {
        self.is_same = false;
        if unseen.covers(entry.path()) {
            entry.is_found = false;
            entry.is_stale = false;
            self.entries.push(entry);
        } else {
            self.affected.extend(entry.names().into_iter().cloned());
        }
    }
}

fn order(one: &Path, two: &Path) -> Ordering {
    if is_same_text(one, two) { Ordering::Equal } else { one.cmp(two) }
}
