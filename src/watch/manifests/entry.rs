//! The state of one file, and how a walk's files are matched with the known ones.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fs::Metadata;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::{is_same_text, normalized};
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
    /// Its fingerprint just before it was last read; `None` if a later change need not show in it.
    fingerprint: Option<Fingerprint>,
    /// Whether the last walk found it. If not, the walk had a problem.
    pub(super) is_found: bool,
    /// Whether it must be read again.
    pub(super) is_stale: bool,
}

impl Entry {
    fn new(path: &Path, real: &Path, now: Timestamp) -> Self {
        Self {
            latest: FileManifests::unread(path),
            good: None,
            real: real.to_owned(),
            fingerprint: Fingerprint::of(path, now),
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
    fn check(&mut self, real: &Path, now: Timestamp) -> bool {
        let fingerprint = Fingerprint::of(self.path(), now);
        self.is_stale =
            !self.latest.was_read() || fingerprint.is_none() || fingerprint != self.fingerprint;
        self.is_found = true;
        self.fingerprint = fingerprint;
        let is_same = is_same_text(&self.real, real);
        if !is_same {
            real.clone_into(&mut self.real);
        }
        is_same
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
    pub(super) fn replace(&mut self, file: FileManifests) -> FileManifests {
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

/// How coarse a file system's times may be: those of FAT are.
const COARSEST_TIME: SignedDuration = SignedDuration::from_secs(2);

/// A file's metadata, in which every later change shows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fingerprint {
    length: u64,
    modified: Timestamp,
    identity: Identity,
}

impl Fingerprint {
    /// `None` if it is unavailable, or if the file has changed so recently that it may have the same
    /// one after another change.
    fn of(path: &Path, now: Timestamp) -> Option<Self> {
        let found = std::fs::metadata(path).ok()?;
        let modified = Timestamp::try_from(found.modified().ok()?).ok()?;
        let is_settled = now.duration_since(modified) >= COARSEST_TIME;
        is_settled.then(|| Self { length: found.len(), modified, identity: identity(&found) })
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
type Identity = Option<std::time::SystemTime>;

#[cfg(not(unix))]
fn identity(found: &Metadata) -> Identity {
    found.created().ok()
}

/// The paths that a walk could not read.
#[derive(Debug, Default)]
pub(super) struct Unreadable {
    paths: Vec<PathBuf>,
}

impl Unreadable {
    /// From a walk's problems. A walk that found nothing counts as having read nothing, unless
    /// `may_be_empty`.
    pub(super) fn of(found: &Found, may_be_empty: bool) -> Self {
        let is_empty = found.files.is_empty() && found.ignored.is_empty();
        if found.is_nothing && (may_be_empty || !is_empty) {
            return Self::default();
        }
        let everywhere = PathBuf::new();
        let paths = found.problems.iter().map(|problem| normalized(manifest::missed(problem)));
        Self { paths: if is_empty { vec![everywhere] } else { paths.collect() } }
    }

    /// Whether the walk could not read a path.
    pub(super) fn covers(&self, path: &Path) -> bool {
        let path = normalized(path);
        self.paths.iter().any(|unreadable| path.starts_with(unreadable))
    }

    /// Whether the walk could read everything.
    pub(super) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }
}

/// Merges the files found with the known ones; both are sorted, so one pass suffices. A file not
/// found is kept if the walk could not read its place. Returns the files, sorted by path, and whether
/// none was added, removed or moved.
pub(super) fn merge(
    before: Vec<Entry>,
    found: &Found,
    unreadable: &Unreadable,
    now: Timestamp,
) -> (Vec<Entry>, bool) {
    let mut entries = Vec::with_capacity(found.files.len());
    let mut is_same = true;
    let kept = |mut lost: Entry| {
        (lost.is_found, lost.is_stale) = (false, false);
        unreadable.covers(lost.path()).then_some(lost)
    };
    let mut before = before.into_iter().peekable();
    for (path, real) in found.files.iter().zip(&found.real) {
        while let Some(lost) = before.next_if(|it| order(it.path(), path) == Ordering::Less) {
            is_same = false;
            entries.extend(kept(lost));
        }
        if let Some(mut known) = before.next_if(|it| is_same_text(it.path(), path)) {
            is_same &= known.check(real, now);
            entries.push(known);
        } else {
            is_same = false;
            entries.push(Entry::new(path, real, now));
        }
    }
    is_same &= before.peek().is_none();
    entries.extend(before.filter_map(kept));
    (entries, is_same)
}

fn order(one: &Path, two: &Path) -> Ordering {
    if is_same_text(one, two) { Ordering::Equal } else { one.cmp(two) }
}
