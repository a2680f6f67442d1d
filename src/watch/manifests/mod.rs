//! The manifests in force: the last good version of each file.

mod entry;
mod index;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use entry::{Entry, Merged, Unseen, merge};
use index::Index;

use crate::manifest::{self, Accounts, Diagnostic, FileManifests, Found, Loaded};
use crate::marketplace::OfferId;

/// From this many suspects on, checking all files is quicker.
const MOST_SUSPECTS: usize = 32;

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
    index: Index,
    desired: Arc<BTreeMap<OfferId, Arc<Loaded>>>,
    problems: Arc<Vec<Diagnostic>>,
    /// The paths that the last walk could not read.
    unseen: Unseen,
    /// Whether a walk was done.
    has_walked: bool,
    /// Whether a place without any manifest counts as empty.
    nothing_is_an_answer: bool,
    /// The folders to watch after the last walk.
    folders: BTreeSet<PathBuf>,
    /// The files that a `.goliveignore` excluded from it.
    ignored: Vec<PathBuf>,
    /// Which offers are one product.
    accounts: Accounts,
    /// The offers that are one product with another one.
    shared: BTreeSet<OfferId>,
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
            index: Index::default(),
            desired: Arc::default(),
            problems: Arc::default(),
            unseen: Unseen::default(),
            has_walked: false,
            nothing_is_an_answer: false,
            folders: BTreeSet::new(),
            ignored: Vec::new(),
            accounts: Accounts::default(),
            shared: BTreeSet::new(),
        }
    }

    /// Accepts a place without any manifest as empty. A folder isn't: an unmounted volume is more
    /// likely than the removal of all offers.
    #[must_use]
    pub fn allow_empty(mut self) -> Self {
        self.nothing_is_an_answer = true;
        self
    }

    /// Leaves alone offers that are one product by these accounts.
    #[must_use]
    pub fn with_accounts(mut self, accounts: Accounts) -> Self {
        self.accounts = accounts;
        self
    }

    /// Checks all files, and reads those that are new, look changed, or are suspects.
    pub fn refresh(&mut self, suspects: &BTreeSet<PathBuf>) -> Refreshed {
        let found = manifest::find(&self.roots);
        let suspects = with_real_paths(suspects);
        let unseen = Unseen::of(&found, self.nothing_is_an_answer);
        let was_whole = mem::replace(&mut self.has_walked, true) && self.unseen.is_empty();
        let before = mem::take(&mut self.entries);
        let Merged { entries, affected, is_same } =
            merge(before, &found, &unseen, |real| suspects.contains(real));
        self.unseen = unseen;
        self.entries = entries;
        if !is_same {
            self.index = Index::new(&self.entries);
        }
        let stale: Vec<usize> =
            (0..self.entries.len()).filter(|at| self.entries[*at].is_stale).collect();
        let (mut refreshed, is_alike) = self.take_in(&stale, affected);
        if !is_same || !is_alike || !found.problems.is_empty() || !was_whole {
            self.judge(&found, &mut refreshed);
        }
        self.ignored = found.ignored;
        self.folders = found.folders;
        self.folders.extend(found.names);
        refreshed.folders = self.folders.clone();
        refreshed
    }

    /// Reads only these files, when nothing else can have changed. If one of them is unknown, or no
    /// longer a file, all are checked.
    pub fn refresh_only(&mut self, suspects: &BTreeSet<PathBuf>) -> Refreshed {
        let is_whole = self.has_walked && self.unseen.is_empty();
        if !is_whole || suspects.len() > MOST_SUSPECTS {
            return self.refresh(suspects);
        }
        let known = |real: &PathBuf| {
            let is_file = real.symlink_metadata().is_ok_and(|found| found.is_file());
            self.index.at(&self.entries, real).filter(|_| is_file)
        };
        let Some(stale) = suspects.iter().map(known).collect::<Option<Vec<usize>>>() else {
            return self.refresh(suspects);
        };
        for (at, real) in stale.iter().zip(suspects) {
            self.entries[*at].look(real, true);
        }
        let (mut refreshed, is_alike) = self.take_in(&stale, HashSet::new());
        if !is_alike {
            self.judge(&Found::default(), &mut refreshed);
        }
        refreshed.folders = self.folders.clone();
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

    /// Whether a recorded offer's manifest is gone for good: no manifest declares it, and `file`, its
    /// last known place, was read without problems, is excluded, or no longer exists. Always false
    /// while that file can't be read or has problems, or while the manifest, wherever it is now,
    /// has problems.
    #[must_use]
    pub fn is_gone(&self, offer: &OfferId, file: &Path) -> bool {
        let is_named = self.index.naming(offer).next().is_some();
        if !self.has_walked || self.unseen.covers(file) || is_named {
            return false;
        }
        let shown = plain(file);
        let mut here = self.entries.iter().filter(|entry| plain(entry.path()) == shown);
        if here.any(|entry| !entry.latest.problems().is_empty()) {
            return false;
        }
        if self.ignored.iter().any(|ignored| shown.starts_with(plain(ignored))) {
            return true;
        }
        match file.canonicalize() {
            // A folder has taken its name.
            Ok(real) if real.is_dir() => true,
            Ok(real) => self
                .index
                .at(&self.entries, &real)
                .is_some_and(|at| self.entries[at].latest.problems().is_empty()),
            Err(error) => {
                matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
            }
        }
    }

    /// Reads files, and settles the manifests in force of the offers that they named or name, and
    /// of the other affected ones. Returns the changed offers, and whether the set of problems is
    /// certainly unchanged.
    fn take_in(&mut self, stale: &[usize], mut affected: HashSet<OfferId>) -> (Refreshed, bool) {
        let paths: Vec<&Path> = stale.iter().map(|at| self.entries[*at].path()).collect();
        let files: Vec<FileManifests> = manifest::load_files(&paths);
        let problems = Arc::clone(&self.problems);
        let told: HashSet<&Path> = problems.iter().flat_map(Diagnostic::files).collect();
        let mut is_alike = true;
        for (at, file) in stale.iter().zip(files) {
            let entry = &mut self.entries[*at];
            affected.extend(entry.names().into_iter().cloned());
            self.index.forget(*at, entry);
            let before = entry.take_in(file);
            self.index.take_in(*at, entry);
            affected.extend(entry.names().into_iter().cloned());
            is_alike = is_alike
                && manifest::are_checked_alike(&before, &entry.latest)
                && !told.contains(entry.path());
        }
        let changed = self.settle(&affected);
        (Refreshed { read: stale.len(), changed, ..Refreshed::default() }, is_alike)
    }

    /// Determines which manifest of each of these offers is in force. Returns the offers for which
    /// it changed.
    fn settle(&mut self, affected: &HashSet<OfferId>) -> BTreeSet<OfferId> {
        let shared = self.accounts.shared(self.index.offers());
        let shared: BTreeSet<OfferId> = shared.into_iter().cloned().collect();
        let shared_before = mem::replace(&mut self.shared, shared);
        let newly_affected = self.shared.symmetric_difference(&shared_before);
        let affected: HashSet<&OfferId> = affected.iter().chain(newly_affected).collect();
        let mut changed = BTreeSet::new();
        let mut updates: Vec<(&OfferId, Option<Arc<Loaded>>)> = Vec::new();
        for offer in affected {
            let before = self.desired.get(offer);
            let after = self.only(offer).filter(|_| !self.shared.contains(offer));
            if before != after {
                updates.push((offer, after.cloned()));
            }
            let seen = |it: &Arc<Loaded>| (it.digest.clone(), it.file.clone());
            if before.map(seen) != after.map(seen) {
                changed.insert(offer.clone());
            }
        }
        if updates.is_empty() {
            return changed;
        }
        if self.desired.is_empty() {
            let all = updates.into_iter().filter_map(|(_, after)| after);
            self.desired = Arc::new(all.map(|it| (it.id.clone(), it)).collect());
            return changed;
        }
        let desired = Arc::make_mut(&mut self.desired);
        for (offer, after) in updates {
            // Remove the old key, too: it may be spelled in another case.
            desired.remove(offer);
            if let Some(after) = after {
                desired.insert(after.id.clone(), after);
            }
        }
        changed
    }

    /// The manifest of an offer, if it has exactly one.
    fn only(&self, offer: &OfferId) -> Option<&Arc<Loaded>> {
        let mut entries = self.index.naming(offer).map(|at| &self.entries[at]);
        let entry = entries.next().filter(|entry| entry.claims(offer) == 1)?;
        if entries.next().is_some() {
            return None;
        }
        entry.in_force().loaded().find(|loaded| loaded.id == *offer)
    }

    /// Reports the problems: all, new ones and fixed ones.
    fn judge(&mut self, found: &Found, refreshed: &mut Refreshed) {
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

/// A file may be reported under another name than its real path.
fn with_real_paths(suspects: &BTreeSet<PathBuf>) -> HashSet<PathBuf> {
    let real = suspects.iter().filter_map(|suspect| suspect.canonicalize().ok());
    real.chain(suspects.iter().cloned()).collect()
}

/// An absolute path without `.` and `..`, which need not exist.
fn plain(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut plain = PathBuf::new();
    for component in std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => {
                plain.push(component);
            }
        }
    }
    plain
}

/// Far quicker than comparing by components, which is needed only for paths that are written
/// differently.
fn is_same_text(one: &Path, two: &Path) -> bool {
    let (one, two): (&OsStr, &OsStr) = (one.as_os_str(), two.as_os_str());
    one == two
}
