//! The manifests in force: the last good version of each file.

mod entry;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use entry::{Entry, Unreadable, merge};

use crate::clock::{Clock as _, SystemClock};
use crate::manifest::{self, Accounts, Diagnostic, FileManifests, Found, Loaded};
use crate::marketplace::OfferId;

/// The manifests below some paths, read again as they change.
///
/// A file with a problem keeps its last good version in force as a whole; if it never had one, its
/// valid documents are in force. While an offer has more than one manifest, even an invalid one,
/// none is in force: golive can't know which is meant, and an operation once started can't be
/// undone. A path that could not be read doesn't count as gone. Nor does any file if the walk finds
/// none: an unmounted volume isn't a commit that deletes all offers.
#[derive(Debug)]
pub struct Manifests {
    roots: Vec<PathBuf>,
    /// Sorted by path.
    entries: Vec<Entry>,
    /// How many manifests each offer has, invalid ones included.
    claims: HashMap<OfferId, usize>,
    desired: Arc<BTreeMap<OfferId, Arc<Loaded>>>,
    problems: Arc<Vec<Diagnostic>>,
    /// The paths that the last walk could not read.
    unreadable: Unreadable,
    /// Whether a walk was done.
    has_walked: bool,
    /// Whether a place without any manifest counts as empty.
    may_be_empty: bool,
    /// The files that a `.goliveignore` excluded from it.
    ignored: Vec<PathBuf>,
    /// Which offers are one product.
    accounts: Accounts,
}

/// The result of a refresh.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refreshed {
    /// The offers whose manifest is new, changed, moved to another file, or gone.
    pub changed: BTreeSet<OfferId>,
    /// The problems that are new since this refresh. A problem that only moved to another line
    /// isn't new.
    pub news: Vec<Diagnostic>,
    /// The files and paths whose problems are all fixed.
    pub mended: Vec<PathBuf>,
    /// The paths to watch, for [`super::Source::watch`]: the real paths of folders, and of single
    /// names in other folders, such as links on the way to a manifest.
    pub folders: BTreeSet<PathBuf>,
    /// The number of files read.
    pub read: usize,
}

impl Manifests {
    /// The manifests in the given files and folders (`.` if none is given). Nothing is read yet.
    #[must_use]
    pub fn new(roots: Vec<PathBuf>) -> Self {
        Self {
            roots,
            entries: Vec::new(),
            claims: HashMap::new(),
            desired: Arc::default(),
            problems: Arc::default(),
            unreadable: Unreadable::default(),
            has_walked: false,
            may_be_empty: false,
            ignored: Vec::new(),
            accounts: Accounts::default(),
        }
    }

    /// Accepts a place without any manifest as empty. A folder isn't: an unmounted volume is more
    /// likely than the removal of all offers.
    #[must_use]
    pub fn allow_empty(mut self) -> Self {
        self.may_be_empty = true;
        self
    }

    /// Leaves alone offers that are one product by these accounts.
    #[must_use]
    pub fn with_accounts(mut self, accounts: Accounts) -> Self {
        self.accounts = accounts;
        self
    }

    /// Checks all files by their metadata, and reads those that are new or may have changed.
    pub fn refresh(&mut self) -> Refreshed {
        let found = manifest::find(&self.roots);
        let unreadable = Unreadable::of(&found, self.may_be_empty);
        let was_whole = mem::replace(&mut self.has_walked, true) && self.unreadable.is_empty();
        let before = mem::take(&mut self.entries);
        let (entries, is_same) = merge(before, &found, &unreadable, SystemClock.now());
        self.unreadable = unreadable;
        self.entries = entries;
        let (read, same_problems) = self.read_stale();
        let mut refreshed = Refreshed { read, ..Refreshed::default() };
        if read > 0 || !is_same {
            refreshed.changed = self.update_desired();
        }
        if !is_same || !same_problems || !found.problems.is_empty() || !was_whole {
            self.update_problems(&found, &mut refreshed);
        }
        self.ignored = found.ignored;
        refreshed.folders = found.folders;
        refreshed.folders.extend(found.names);
        refreshed
    }

    /// The manifests in force.
    #[must_use]
    pub fn desired(&self) -> Arc<BTreeMap<OfferId, Arc<Loaded>>> {
        Arc::clone(&self.desired)
    }

    /// The current problems, in the format of `golive validate`.
    #[must_use]
    pub fn problems(&self) -> Arc<Vec<Diagnostic>> {
        Arc::clone(&self.problems)
    }

    /// The number of files, those with problems included.
    #[must_use]
    pub fn files(&self) -> usize {
        self.entries.len()
    }

    /// Whether a recorded offer's manifest is gone for good: no manifest names it, and `file`, its
    /// last known place, was read without problems, is excluded, or no longer exists. Always false
    /// while that file can't be read or has problems, or while the manifest, wherever it is now,
    /// has problems.
    #[must_use]
    pub fn is_gone(&self, offer: &OfferId, file: &Path) -> bool {
        if !self.has_walked || self.unreadable.covers(file) || self.claims.contains_key(offer) {
            return false;
        }
        let shown = normalized(file);
        let mut here = self.entries.iter().filter(|entry| normalized(entry.path()) == shown);
        if here.any(|entry| !entry.latest.problems().is_empty()) {
            return false;
        }
        if self.ignored.iter().any(|ignored| shown.starts_with(normalized(ignored))) {
            return true;
        }
        match file.canonicalize() {
            // A folder has taken its name.
            Ok(real) if real.is_dir() => true,
            Ok(real) => {
                let entry = self.entries.iter().find(|entry| is_same_text(&entry.real, &real));
                entry.is_some_and(|entry| entry.latest.problems().is_empty())
            }
            Err(error) => {
                matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
            }
        }
    }

    /// Reads the files that may have changed. Returns their number, and whether the set of problems is
    /// certainly unchanged.
    fn read_stale(&mut self) -> (usize, bool) {
        let stale: Vec<&mut Entry> = self.entries.iter_mut().filter(|it| it.is_stale).collect();
        let paths: Vec<&Path> = stale.iter().map(|entry| entry.path()).collect();
        let files: Vec<FileManifests> = manifest::load_files(&paths);
        let read = files.len();
        let reported: HashSet<&Path> = self.problems.iter().flat_map(Diagnostic::files).collect();
        let mut same_problems = true;
        for (entry, file) in stale.into_iter().zip(files) {
            let before = entry.replace(file);
            same_problems = same_problems
                && manifest::are_checked_alike(&before, &entry.latest)
                && !reported.contains(entry.path());
        }
        (read, same_problems)
    }

    /// Determines which manifests are in force. Returns the offers for which that changed.
    fn update_desired(&mut self) -> BTreeSet<OfferId> {
        self.claims.clear();
        for entry in &self.entries {
            for offer in entry.names() {
                *self.claims.entry(offer.clone()).or_default() += entry.claims(offer);
            }
        }
        let all = self.entries.iter().flat_map(|entry| entry.in_force().loaded());
        let shared = self.accounts.shared(self.claims.keys());
        let only = all.filter(|loaded| {
            self.claims.get(&loaded.id) == Some(&1) && !shared.contains(&loaded.id)
        });
        let desired: BTreeMap<OfferId, Arc<Loaded>> =
            only.map(|loaded| (loaded.id.clone(), Arc::clone(loaded))).collect();
        let shown = |it: &Arc<Loaded>| (it.digest.clone(), it.file.clone());
        let has_changed = |offer: &&OfferId| match (self.desired.get(offer), desired.get(offer)) {
            (Some(before), Some(after)) => {
                !Arc::ptr_eq(before, after) && shown(before) != shown(after)
            }
            (before, after) => before.is_some() || after.is_some(),
        };
        let offers = self.desired.keys().chain(desired.keys());
        let changed = offers.filter(has_changed).cloned().collect();
        if *self.desired != desired {
            self.desired = Arc::new(desired);
        }
        changed
    }

    /// Reports the problems: all, new ones and fixed ones.
    fn update_problems(&mut self, found: &Found, refreshed: &mut Refreshed) {
        let files = self.entries.iter().filter(|entry| entry.is_found);
        let latest = files.map(|entry| &entry.latest);
        let problems = manifest::check(found, latest, &self.accounts);
        let mut known: HashMap<(&Path, &str), usize> = HashMap::new();
        for problem in &*self.problems {
            *known.entry((&problem.file, &problem.what)).or_default() += 1;
        }
        for problem in &problems {
            match known.get_mut(&(&*problem.file, &*problem.what)) {
                Some(count) if *count > 0 => *count -= 1,
                Some(_) | None => refreshed.news.push(problem.clone()),
            }
        }
        let broken: HashSet<&Path> = problems.iter().map(|problem| &*problem.file).collect();
        let mended = self.problems.iter().map(|problem| &problem.file);
        let mended: BTreeSet<&PathBuf> = mended.filter(|file| !broken.contains(&***file)).collect();
        refreshed.mended = mended.into_iter().cloned().collect();
        if *self.problems != problems {
            self.problems = Arc::new(problems);
        }
    }
}

/// An absolute path without `.` and `..`, which need not exist.
fn normalized(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut normalized = PathBuf::new();
    for component in std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).components() {
        match component {
            Component::ParentDir => {
                normalized.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => {
                normalized.push(component);
            }
        }
    }
    normalized
}

/// Far quicker than comparing by components, which is needed only for paths that are written
/// differently.
fn is_same_text(one: &Path, two: &Path) -> bool {
    let (one, two): (&OsStr, &OsStr) = (one.as_os_str(), two.as_os_str());
    one == two
}
