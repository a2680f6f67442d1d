//! From the paths of a command line to the manifest files below them.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::diagnostic::Diagnostic;
use super::hint::InputKind;
use super::ignored::{self, Ignores};
use super::input;
use super::symlink_trace::SymlinkTrace;

/// The name of golive's configuration, which is never a manifest.
pub(crate) const CONFIG_FILE: &str = "golive.yaml";

/// What the given paths hold.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The manifest files, sorted, each real file once, without a leading `./`.
    pub files: Vec<PathBuf>,
    /// The real paths of the files, in the same order.
    pub real: Vec<PathBuf>,
    /// The real paths of the folders that were entered, and of the folders of manifests behind
    /// links.
    pub folders: BTreeSet<PathBuf>,
    /// Paths outside of these folders on which the result depends, each in the real path of its
    /// folder: links on the way, files behind links that have no manifest's name, and for a dangling
    /// link the first missing name.
    pub names: BTreeSet<PathBuf>,
    /// The manifest files and the folders that a `.goliveignore` leaves out, as they would be shown.
    pub ignored: Vec<PathBuf>,
    /// Those of the files that are named on the command line.
    pub named: BTreeSet<PathBuf>,
    /// Whether everything could be looked at, and there is no manifest.
    pub is_nothing: bool,
    /// What could not be looked at, or that there is no manifest at all.
    pub problems: Vec<Diagnostic>,
}

/// Finds the manifests. A path that is a file or a pipe is one, whatever its name; `-` is standard
/// input. In a folder, every `*.yaml` and `*.yml` below it is one, except for hidden files and those
/// that a `.goliveignore` leaves out. Symbolic links are followed, but each real folder is entered
/// once, so that links can't make a walk endless.
pub(crate) fn find(paths: &[PathBuf]) -> Found {
    let roots = if paths.is_empty() { &[PathBuf::from(".")] } else { paths };
    let mut walk = Walk::default();
    // In sorted order, so that which of two paths to a file wins doesn't depend on the caller.
    for root in roots.iter().collect::<BTreeSet<_>>() {
        walk.root(root);
    }
    let Walk { mut found, mut files, named, .. } = walk;
    files.sort();
    let is_named = |(_, real): &&(PathBuf, PathBuf)| named.contains(real);
    found.named = files.iter().filter(is_named).map(|(path, _)| path.clone()).collect();
    (found.files, found.real) = files.into_iter().unzip();
    found.names.retain(|name| is_apart(name, &found.folders));
    found.is_nothing = found.files.is_empty() && found.problems.is_empty();
    if found.is_nothing {
        let hint = if found.ignored.is_empty() {
            "name a folder that holds manifests, or a manifest file"
        } else {
            "a .goliveignore leaves out what is there"
        };
        let given: Vec<String> = roots.iter().map(|root| root.display().to_string()).collect();
        let first = roots.first().map_or(Path::new("."), PathBuf::as_path);
        found.problems.push(Diagnostic::whole(
            first,
            format!("there is no manifest (*.yaml, *.yml) in {:?}", given.join(", ")),
            Some(hint.to_owned()),
        ));
    }
    found
}

#[derive(Default)]
struct Walk {
    /// `files`, `real` and `named` are filled in at the end.
    found: Found,
    /// Each file as it is shown, and its real path.
    files: Vec<(PathBuf, PathBuf)>,
    /// The real paths of the files that are named on the command line.
    named: BTreeSet<PathBuf>,
    /// The real paths of folders entered and of files found.
    seen: HashSet<PathBuf>,
    /// The folder of the last entry and its real path, to spare a look-up per file.
    folder: (PathBuf, PathBuf),
}

impl Walk {
    fn root(&mut self, root: &Path) {
        if input::is_pipe(root) {
            if self.seen.insert(root.to_owned()) {
                self.files.push((root.to_owned(), root.to_owned()));
                self.named.insert(root.to_owned());
            }
            return;
        }
        let mut ignores = match Ignores::above(root) {
            Ok((ignores, names)) => {
                self.found.names.extend(names);
                ignores
            }
            Err(problem) => return self.found.problems.push(*problem),
        };
        let mut entries = WalkDir::new(root).follow_links(true).sort_by_file_name().into_iter();
        while let Some(entry) = entries.next() {
            match entry {
                Ok(entry) if entry.file_type().is_dir() => {
                    if !self.enters(&entry, &mut ignores) {
                        entries.skip_current_dir();
                    }
                }
                Ok(entry) => self.file(&entry, &mut ignores),
                Err(error) => self.error(root, &error, &mut ignores),
            }
        }
    }

    /// Whether the walk goes into this folder.
    fn enters(&mut self, entry: &DirEntry, ignores: &mut Ignores) -> bool {
        let Some(real) = self.real_unless_left_out(entry, ignores) else { return false };
        if !self.seen.insert(real.clone()) {
            return false;
        }
        self.found.folders.insert(real);
        let entered = ignores.enter(entry.path(), entry.depth());
        entered.map_err(|problem| self.found.problems.push(*problem)).is_ok()
    }

    fn file(&mut self, entry: &DirEntry, ignores: &mut Ignores) {
        let path = entry.path();
        if entry.depth() > 0 && !is_manifest(path) {
            return;
        }
        if is_config(path) {
            let what = "this is golive's configuration, not a manifest";
            let hint = "name the folder of the manifests; --config names a configuration";
            let problem = Diagnostic::whole(shown(path), what, Some(hint.to_owned()));
            self.found.problems.push(problem);
            return;
        }
        let Some(real) = self.real_unless_left_out(entry, ignores) else { return };
        if entry.depth() == 0 {
            // Even if a folder's walk found it before: a named file can't be left out.
            self.named.insert(real.clone());
        }
        if !self.seen.insert(real.clone()) {
            return;
        }
        if entry.file_type().is_file() {
            self.files.push((shown(path).to_owned(), real));
        } else {
            // Reading it could wait for ever.
            let what = format!("this is {}, not a file", input::kind(entry.file_type()));
            let hint = "name a file, a pipe, or a folder that holds manifests".to_owned();
            self.found.problems.push(Diagnostic::whole(shown(path), what, Some(hint)));
        }
    }

    /// The real path of an entry; `None` if it is hidden, ignored or can't be looked at.
    fn real_unless_left_out(&mut self, entry: &DirEntry, ignores: &mut Ignores) -> Option<PathBuf> {
        let (path, depth) = (entry.path(), entry.depth());
        if depth > 0 && is_hidden(path) {
            return None;
        }
        if depth > 0 && ignores.covers(path, depth, entry.file_type().is_dir()) {
            self.found.ignored.push(shown(path).to_owned());
            return None;
        }
        let real = self.real_path(entry);
        real.map_err(|e| self.found.problems.push(Diagnostic::unreadable(shown(path), &e))).ok()
    }

    fn real_path(&mut self, entry: &DirEntry) -> io::Result<PathBuf> {
        let path = entry.path();
        match (path.parent(), path.file_name()) {
            (Some(folder), Some(name)) if entry.depth() > 0 => {
                if entry.path_is_symlink() {
                    return self.follow(folder, name);
                }
                Ok(self.real_folder(folder)?.join(name))
            }
            (Some(_) | None, _) => path.canonicalize(),
        }
    }

    fn real_folder(&mut self, folder: &Path) -> io::Result<&Path> {
        if self.folder.0 != folder {
            self.folder = (folder.to_owned(), folder.canonicalize()?);
        }
        Ok(&self.folder.1)
    }

    /// Follows a link, and notes the paths on which its target depends.
    fn follow(&mut self, folder: &Path, name: &OsStr) -> io::Result<PathBuf> {
        let folder = self.real_folder(folder)?.to_owned();
        let SymlinkTrace { end, links } = SymlinkTrace::from(&folder, Path::new(name));
        // A change of a link in the folder itself shows in the folder.
        self.found.names.extend(links.into_iter().filter(|link| link.parent() != Some(&folder)));
        match end.parent() {
            Some(behind) if is_seen(&end) => drop(self.found.folders.insert(behind.to_owned())),
            Some(_) | None => drop(self.found.names.insert(end.clone())),
        }
        Ok(end)
    }

    fn error(&mut self, root: &Path, error: &walkdir::Error, ignores: &mut Ignores) {
        if error.loop_ancestor().is_some() {
            return; // A link to a folder above, which is walked already.
        }
        let path = error.path().unwrap_or(root);
        let depth = error.depth();
        if depth > 0 && (is_hidden(path) || ignores.covers(path, depth, path.is_dir())) {
            return;
        }
        if depth > 0
            && path.is_symlink()
            && let (Some(folder), Some(name)) = (path.parent(), path.file_name())
        {
            // The missing target may be created later.
            drop(self.follow(folder, name));
        }
        let other = io::ErrorKind::Other.into();
        let input = if depth == 0 { InputKind::Named } else { InputKind::InFolder };
        let error = error.io_error().unwrap_or(&other);
        self.found.problems.push(Diagnostic::unreadable(shown(path), error).for_input(input));
    }
}

/// Whether changes of a path don't show in the watched folders by themselves. A folder shows what is
/// created and removed in it, and changes within manifests, but not within other files.
fn is_apart(path: &Path, folders: &BTreeSet<PathBuf>) -> bool {
    let is_inside = path.parent().is_some_and(|folder| folders.contains(folder));
    !folders.contains(path) && (!is_inside || path.is_file())
}

/// Whether a file counts by its name alone: as a manifest, or for what it leaves out.
pub(crate) fn is_seen(path: &Path) -> bool {
    is_manifest(path) && !is_hidden(path) || path.file_name().is_some_and(|it| it == ignored::NAME)
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn is_config(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == CONFIG_FILE)
}

fn is_manifest(path: &Path) -> bool {
    if is_config(path) {
        return false;
    }
    let extension = path.extension().unwrap_or_default();
    extension.eq_ignore_ascii_case("yaml") || extension.eq_ignore_ascii_case("yml")
}

/// A path without a leading `./`.
fn shown(path: &Path) -> &Path {
    match path.strip_prefix(".") {
        Ok(rest) if !rest.as_os_str().is_empty() => rest,
        Ok(_) | Err(_) => path,
    }
}

#[cfg(test)]
mod tests;
