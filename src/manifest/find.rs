//! From the paths of a command line to the manifest files below them.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::diagnostic::Diagnostic;
use super::hint::InputKind;
use super::ignored::{self, Ignores};
use super::pipe;
use super::symlink_trace::SymlinkTrace;

/// What the given paths hold.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The paths as they were given; `.` where none was.
    pub roots: Vec<PathBuf>,
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
#[must_use]
pub fn find(paths: &[PathBuf]) -> Found {
    let roots = if paths.is_empty() { vec![PathBuf::from(".")] } else { paths.to_vec() };
    let mut walk = Walk::default();
    // In sorted order, so that which of two paths to a file wins doesn't depend on the caller.
    let mut sorted: Vec<&PathBuf> = roots.iter().collect();
    sorted.sort();
    for root in sorted {
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
    found.roots = roots;
    found
}

#[derive(Default)]
struct Walk {
    /// `files`, `real`, `named` and `roots` are filled in at the end.
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
        if pipe::is_pipe(root) {
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
            let what = format!("this is {}, not a file", pipe::kind(entry.file_type()));
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

fn is_manifest(path: &Path) -> bool {
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
mod tests {
    use super::*;
    use std::fs::{File, create_dir, create_dir_all};
    use tempfile::TempDir;

    fn folder(files: &[&str]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            create_dir_all(path.parent().unwrap()).unwrap();
            File::create(path).unwrap();
        }
        folder
    }

    fn names(found: &Found, folder: &TempDir) -> Vec<String> {
        let name = |file: &PathBuf| {
            file.strip_prefix(folder.path()).unwrap().display().to_string().replace('\\', "/")
        };
        found.files.iter().map(name).collect()
    }

    fn find_in(folder: &TempDir) -> Found {
        find(&[folder.path().to_owned()])
    }

    #[test]
    fn nothing_there_is_an_error() {
        let found = find(&[PathBuf::from("no/such/path")]);
        assert_eq!(found.problems.len(), 1);
        assert_eq!(found.problems[0].file, Path::new("no/such/path"));
        assert!(found.problems[0].what.contains("cannot be read"));
        let empty = folder(&["a.json", ".hidden.yaml", ".git/b.yaml"]);
        assert!(find_in(&empty).problems[0].what.contains("there is no manifest"));
    }

    #[test]
    fn yaml_in_any_case_and_depth_sorted_and_nothing_hidden() {
        let folder =
            folder(&["b.yaml", "a/z.YML", "a/.x/y.yaml", "a.yaml", "c.yaml.orig", "D.Yaml"]);
        let found = find_in(&folder);
        assert_eq!(names(&found, &folder), ["D.Yaml", "a/z.YML", "a.yaml", "b.yaml"]);
        assert!(found.problems.is_empty());
    }

    #[test]
    fn a_root_may_be_hidden_and_a_named_file_may_have_any_name() {
        let folder = folder(&[".offers/a.yaml", "b.txt"]);
        let roots = [folder.path().join("b.txt"), folder.path().join(".offers")];
        let found = find(&roots);
        assert_eq!(names(&found, &folder), [".offers/a.yaml", "b.txt"]);
        assert_eq!(found.roots, roots);
    }

    #[test]
    fn a_file_reached_by_two_ways_is_found_once() {
        let folder = folder(&["a/x.yaml", "a/y.yaml"]);
        let roots =
            [folder.path().join("a/x.yaml"), folder.path().to_owned(), folder.path().join("a")];
        assert_eq!(names(&find(&roots), &folder), ["a/x.yaml", "a/y.yaml"]);
    }

    fn put(folder: &TempDir, name: &str, text: &str) {
        let path = folder.path().join(name);
        std::io::Write::write_all(&mut File::create(path).unwrap(), text.as_bytes()).unwrap();
    }

    #[test]
    fn what_is_listed_in_a_goliveignore_is_left_out() {
        let folder = folder(&[
            "a.yaml",
            "b.yaml",
            "chart/c.yaml",
            "deep/chart/d.yaml",
            "deep/e.yaml",
            "deep/keep.yaml",
        ]);
        put(&folder, ".goliveignore", "\u{feff}# other tools\r\n/chart/\r\nb.*\r\n*e.yaml\r\n");
        put(&folder, "deep/.goliveignore", "!e.yaml\nchart/*\n");
        let found = find_in(&folder);
        assert_eq!(names(&found, &folder), ["a.yaml", "deep/e.yaml", "deep/keep.yaml"]);
        let left_out =
            ["b.yaml", "chart", "deep/chart/d.yaml"].map(|name| folder.path().join(name));
        assert_eq!(found.ignored, left_out);
        assert!(found.problems.is_empty());
        // What is named is read all the same, and so is what is below it.
        let named = find(&[folder.path().join("b.yaml"), folder.path().join("chart")]);
        assert_eq!(names(&named, &folder), ["b.yaml", "chart/c.yaml"]);
    }

    #[test]
    fn a_goliveignore_counts_below_it_up_to_the_repository_s_root() {
        let folder =
            folder(&["repo/.git/HEAD", "repo/a/b/x.yaml", "repo/a/b/y.yaml", "repo/a/b/z.yaml"]);
        put(&folder, ".goliveignore", "*\n");
        put(&folder, "repo/.goliveignore", "a/b/x.yaml\nz.yaml\n");
        put(&folder, "repo/a/.goliveignore", "!/b/z.yaml\n");
        let found = find(&[folder.path().join("repo/a/b")]);
        assert_eq!(names(&found, &folder), ["repo/a/b/y.yaml", "repo/a/b/z.yaml"]);
        let real = folder.path().canonicalize().unwrap();
        let seen = ["repo/.goliveignore", "repo/a/.goliveignore"].map(|name| real.join(name));
        assert_eq!(found.names, BTreeSet::from(seen));
    }

    #[test]
    fn a_broken_goliveignore_is_told_with_its_line_and_lets_nothing_in() {
        let folder = folder(&["a.yaml", "deep/b.yaml"]);
        put(&folder, "deep/.goliveignore", "x\n[b-a]\n");
        let found = find_in(&folder);
        assert_eq!(names(&found, &folder), ["a.yaml"]);
        let [problem] = &found.problems[..] else { panic!("{:?}", found.problems) };
        assert_eq!((problem.line, problem.column), (2, 1));
        assert!(problem.what.starts_with("invalid pattern: "), "{problem:?}");
        assert!(problem.file.ends_with("deep/.goliveignore"));
    }

    #[test]
    fn braces_are_nothing_but_braces_in_a_goliveignore() {
        let folder =
            folder(&["p1.yaml", "zz.yaml", "{p1,zz}.yaml", "{a.yaml", "a}.yaml", "{b.yaml"]);
        put(&folder, ".goliveignore", "{p1,zz}.yaml\n{a.yaml\na}.yaml\n[{x]b.yaml\n");
        let found = find_in(&folder);
        assert_eq!(names(&found, &folder), ["p1.yaml", "zz.yaml"]);
        assert!(found.problems.is_empty(), "{:?}", found.problems);
    }

    #[test]
    fn a_folder_in_the_place_of_a_goliveignore_is_an_error_and_lets_nothing_in() {
        let folder = folder(&["a.yaml", "deep/b.yaml", "deep/.goliveignore/c.yaml"]);
        let found = find_in(&folder);
        assert_eq!(names(&found, &folder), ["a.yaml"]);
        let [problem] = &found.problems[..] else { panic!("{:?}", found.problems) };
        assert_eq!(problem.what, "this is a folder, not a file");
    }

    #[test]
    fn where_all_is_left_out_it_is_said() {
        let folder = folder(&["a.yaml"]);
        put(&folder, ".goliveignore", "*\n");
        let found = find_in(&folder);
        assert!(found.problems[0].hint.as_ref().unwrap().contains(".goliveignore leaves out"));
    }

    #[test]
    fn a_leading_dot_is_not_shown() {
        assert_eq!(shown(Path::new("./a/b.yaml")), Path::new("a/b.yaml"));
        assert_eq!(shown(Path::new(".")), Path::new("."));
        assert_eq!(shown(Path::new("../a")), Path::new("../a"));
    }

    #[cfg(unix)]
    mod unix {
        use super::*;
        use std::fs::Permissions;
        use std::os::unix::fs::{PermissionsExt as _, symlink};

        #[test]
        fn a_dangling_link_is_an_error_a_hidden_one_is_not() {
            let folder = folder(&["a.yaml"]);
            symlink("nowhere", folder.path().join("b.yaml")).unwrap();
            symlink("nowhere", folder.path().join(".#a.yaml")).unwrap();
            let problems = find_in(&folder).problems;
            assert_eq!(problems.len(), 1);
            assert!(problems[0].file.ends_with("b.yaml"));
            assert_eq!(problems[0].what, "this symbolic link leads nowhere");
            let hint = |problem: &Diagnostic| problem.hint.clone().unwrap();
            assert!(hint(&problems[0]).starts_with("remove the link"));
            let named = find(&[folder.path().join("b.yaml")]).problems;
            assert_eq!(named[0].what, "this symbolic link leads nowhere");
            assert_eq!(hint(&named[0]), "restore what it points to, or name another file");
        }

        #[test]
        fn links_are_followed_and_loops_are_not_entered_again() {
            let folder = folder(&["real/a.yaml", "real/deep/b.yaml"]);
            symlink("..", folder.path().join("real/deep/up")).unwrap();
            symlink("real", folder.path().join("link")).unwrap();
            symlink("self", folder.path().join("real/self")).unwrap();
            symlink("real/a.yaml", folder.path().join("z.yaml")).unwrap();
            let found = find_in(&folder);
            assert_eq!(names(&found, &folder), ["link/a.yaml", "link/deep/b.yaml"]);
            // A link to itself leads nowhere, and says so once.
            assert_eq!(found.problems.len(), 1, "{:?}", found.problems);
        }

        #[test]
        fn what_the_walk_depends_on_is_told() {
            let folder = folder(&["top/a/x.yaml", "top/.b/y.yaml", "z.text"]);
            let top = folder.path().canonicalize().unwrap();
            symlink("../.b/y.yaml", top.join("top/a/y.yaml")).unwrap();
            symlink("../../link", top.join("top/a/z.yaml")).unwrap();
            symlink("z.text", top.join("link")).unwrap();
            symlink("../../no/such.yaml", top.join("top/a/gone.yaml")).unwrap();
            let found = find(&[top.join("top")]);
            let paths = |names: &[&str]| -> Vec<PathBuf> {
                names.iter().map(|name| top.join(name)).collect()
            };
            assert_eq!(found.real, paths(&["top/a/x.yaml", "top/.b/y.yaml", "z.text"]));
            let folders: Vec<PathBuf> = found.folders.into_iter().collect();
            assert_eq!(folders, paths(&["top", "top/.b", "top/a"]));
            let names: Vec<PathBuf> = found.names.into_iter().collect();
            assert_eq!(names, paths(&["link", "no", "z.text"]));
        }

        #[test]
        fn links_between_many_folders_take_no_exponential_time() {
            let folder = folder(&["d0/a.yaml"]);
            for from in 0..12 {
                let path = folder.path().join(format!("d{from}"));
                if from > 0 {
                    create_dir(&path).unwrap();
                }
                for to in 0..12 {
                    symlink(format!("../d{to}"), path.join(format!("to{to}"))).unwrap();
                }
            }
            assert_eq!(find_in(&folder).files.len(), 1);
        }

        #[test]
        fn a_goliveignore_that_can_t_be_read_is_an_error_and_lets_nothing_in() {
            let folder =
                folder(&["a.yaml", "deep/b.yaml", "deeper/b.yaml", "deeper/.goliveignore"]);
            symlink("nowhere", folder.path().join("deep/.goliveignore")).unwrap();
            let closed = folder.path().join("deeper/.goliveignore");
            std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
            std::fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
            let found = crate::disk::bound::by_permissions(|| find_in(&folder));
            std::fs::set_permissions(&closed, Permissions::from_mode(0o600)).unwrap();
            let Some(found) = found else { return };
            assert_eq!(names(&found, &folder), ["a.yaml"]);
            assert_eq!(found.problems.len(), 2, "{:?}", found.problems);
        }

        #[test]
        fn a_folder_without_permission_is_an_error() {
            let folder = folder(&["a/b.yaml", "c.yaml"]);
            let closed = folder.path().join("a");
            std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
            std::fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
            let found = crate::disk::bound::by_permissions(|| find_in(&folder));
            std::fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
            let Some(found) = found else { return };
            assert_eq!((found.files.len(), found.problems.len()), (1, 1));
        }

        #[test]
        fn what_is_no_file_is_an_error_and_is_not_opened() {
            let folder = folder(&["a.yaml"]);
            let path = folder.path().join("b.yaml");
            let socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
            let found = find_in(&folder);
            let named = find(std::slice::from_ref(&path));
            drop(socket);
            for found in [found, named] {
                assert_eq!(found.problems[0].what, "this is a socket, not a file");
            }
            let null = find(&[PathBuf::from("/dev/null")]);
            assert_eq!(null.problems[0].what, "this is a device, such as a terminal, not a file");
        }

        fn pipe(path: &Path) {
            use rustix::fs::{CWD, FileType, Mode, mknodat};
            mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        }

        #[test]
        fn a_pipe_is_read_where_it_is_named_and_once() {
            let folder = folder(&["a.yaml"]);
            let path = folder.path().join("p.yaml");
            pipe(&path);
            let found = find_in(&folder);
            assert_eq!(found.problems[0].what, "this is a pipe, not a file");
            assert_eq!(names(&found, &folder), ["a.yaml"]);

            let mut writer = None;
            std::thread::scope(|scope| {
                // Opening it waits for the other end.
                scope.spawn(|| {
                    let mut pipe = File::options().write(true).open(&path).unwrap();
                    let text = "publisher: contoso\noffer: vm\nstate: live\n";
                    std::io::Write::write_all(&mut pipe, text.repeat(2).as_bytes()).unwrap();
                    let text = format!("---\n{text}");
                    std::io::Write::write_all(&mut pipe, text.as_bytes()).unwrap();
                    drop(pipe);
                });
                let found = find(std::slice::from_ref(&path));
                assert_eq!((names(&found, &folder).len(), found.problems.len()), (1, 0));
                writer = Some(crate::manifest::load(std::slice::from_ref(&path)));
            });
            // Its lines are shown, for which a file is read once more; and so is all by `apply`.
            let first = writer.unwrap().unwrap_err();
            let again = crate::manifest::load(&[path]).unwrap_err();
            assert_eq!(first, again);
            let lines: Vec<usize> = first.iter().map(|problem| problem.line).collect();
            assert_eq!(lines, [4, 5, 6, 9]);
        }
    }
}
