//! Finding manifests, with symbolic links, ignored files and what is no file.

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
fn no_manifest_at_all_is_an_error() {
    let found = find(&[PathBuf::from("no/such/path")]);
    assert_eq!(found.problems.len(), 1);
    assert_eq!(found.problems[0].file, Path::new("no/such/path"));
    assert!(found.problems[0].what.contains("cannot be read"));
    let empty = folder(&["a.json", ".hidden.yaml", ".git/b.yaml"]);
    assert!(find_in(&empty).problems[0].what.contains("there is no manifest"));
}

#[test]
fn yaml_files_are_found_at_any_depth_but_hidden_ones_are_not() {
    let folder = folder(&["b.yaml", "a/z.YML", "a/.x/y.yaml", "a.yaml", "c.yaml.orig", "D.Yaml"]);
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
}

#[test]
fn a_file_reached_by_two_ways_is_found_once() {
    let folder = folder(&["a/x.yaml", "a/y.yaml"]);
    let roots = [folder.path().join("a/x.yaml"), folder.path().to_owned(), folder.path().join("a")];
    assert_eq!(names(&find(&roots), &folder), ["a/x.yaml", "a/y.yaml"]);
}

fn put(folder: &TempDir, name: &str, text: &str) {
    let path = folder.path().join(name);
    std::io::Write::write_all(&mut File::create(path).unwrap(), text.as_bytes()).unwrap();
}

#[test]
fn a_goliveignore_leaves_out_what_it_lists() {
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
    let left_out = ["b.yaml", "chart", "deep/chart/d.yaml"].map(|name| folder.path().join(name));
    assert_eq!(found.ignored, left_out);
    assert!(found.problems.is_empty());
    // What is named is read all the same, and so is what is below it.
    let named = find(&[folder.path().join("b.yaml"), folder.path().join("chart")]);
    assert_eq!(names(&named, &folder), ["b.yaml", "chart/c.yaml"]);
}

#[test]
fn a_goliveignore_above_the_path_counts_up_to_the_repository_s_root() {
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
fn an_invalid_goliveignore_is_an_error_and_lets_nothing_in() {
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
    let folder = folder(&["p1.yaml", "zz.yaml", "{p1,zz}.yaml", "{a.yaml", "a}.yaml", "{b.yaml"]);
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
fn an_error_says_if_everything_is_left_out() {
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
    fn the_paths_that_the_walk_depends_on_are_listed() {
        let folder = folder(&["top/a/x.yaml", "top/.b/y.yaml", "z.text"]);
        let top = folder.path().canonicalize().unwrap();
        symlink("../.b/y.yaml", top.join("top/a/y.yaml")).unwrap();
        symlink("../../link", top.join("top/a/z.yaml")).unwrap();
        symlink("z.text", top.join("link")).unwrap();
        symlink("../../no/such.yaml", top.join("top/a/gone.yaml")).unwrap();
        let found = find(&[top.join("top")]);
        let paths =
            |names: &[&str]| -> Vec<PathBuf> { names.iter().map(|name| top.join(name)).collect() };
        assert_eq!(found.real, paths(&["top/a/x.yaml", "top/.b/y.yaml", "z.text"]));
        let folders: Vec<PathBuf> = found.folders.into_iter().collect();
        assert_eq!(folders, paths(&["top", "top/.b", "top/a"]));
        let names: Vec<PathBuf> = found.names.into_iter().collect();
        assert_eq!(names, paths(&["link", "no", "z.text"]));
    }

    #[test]
    fn links_between_many_folders_are_walked_in_time() {
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
        let folder = folder(&["a.yaml", "deep/b.yaml", "deeper/b.yaml", "deeper/.goliveignore"]);
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
    fn a_socket_or_device_is_an_error_and_is_not_opened() {
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
