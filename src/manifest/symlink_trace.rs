//! Where a path really leads, link by link: what would have to change for it to lead elsewhere.

use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

/// As many links as the kernel follows.
const MAX_LINKS: usize = 40;

/// The way to a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SymlinkTrace {
    /// Where it ends, without a link in it. Where it leads nowhere, the first name that is missing.
    pub(crate) end: PathBuf,
    /// The links on it, each in the real path of its folder.
    pub(crate) links: Vec<PathBuf>,
}

impl SymlinkTrace {
    /// Goes from a real folder along a path; an absolute path starts anew at its root.
    pub(crate) fn from(folder: &Path, path: &Path) -> Self {
        let mut way = Self { end: folder.to_owned(), links: Vec::new() };
        let mut rest = Vec::new();
        way.turn(path, &mut rest);
        while let Some(step) = rest.pop() {
            if step == Step::Up {
                way.end.pop();
                continue;
            }
            let Step::Into(name) = step else { continue };
            way.end.push(name);
            match std::fs::read_link(&way.end) {
                Ok(target) if way.links.len() < MAX_LINKS => {
                    way.links.push(way.end.clone());
                    way.end.pop();
                    way.turn(&target, &mut rest);
                }
                // Too many links are a circle.
                Ok(_) => break,
                Err(error) if leads_nowhere(&error) => break,
                // It is no link.
                Err(_) => {}
            }
        }
        way
    }

    /// Puts a path before what is still to be gone.
    fn turn(&mut self, path: &Path, rest: &mut Vec<Step>) {
        let mut start: Option<PathBuf> = None;
        let before = rest.len();
        for component in path.components() {
            match component {
                Component::Prefix(_) | Component::RootDir => {
                    start.get_or_insert_default().push(component);
                }
                Component::CurDir => {}
                Component::ParentDir => rest.push(Step::Up),
                Component::Normal(name) => rest.push(Step::Into(name.to_owned())),
            }
        }
        if let Some(start) = start {
            self.end = start;
        }
        // What comes first is taken from the end.
        if let Some(new) = rest.get_mut(before..) {
            new.reverse();
        }
    }
}

#[derive(PartialEq, Eq)]
enum Step {
    Up,
    Into(OsString),
}

fn leads_nowhere(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    matches!(error.kind(), NotFound | NotADirectory | PermissionDenied)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::fs::{File, create_dir_all};
    use std::os::unix::fs::symlink;

    #[test]
    fn every_link_is_named_and_the_end_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        create_dir_all(top.join("releases/2/offers")).unwrap();
        File::create(top.join("releases/2/offers/a.yaml")).unwrap();
        symlink("2", top.join("releases/current")).unwrap();
        symlink("releases/./current/../current/offers", top.join("offers")).unwrap();
        symlink(top.join("offers/a.yaml"), top.join("z.yaml")).unwrap();
        let way = SymlinkTrace::from(&top, Path::new("z.yaml"));
        assert_eq!(way.end, top.join("releases/2/offers/a.yaml"));
        let current = top.join("releases/current");
        let links = [top.join("z.yaml"), top.join("offers"), current.clone(), current];
        assert_eq!(way.links, links);
        assert_eq!(SymlinkTrace::from(Path::new("/"), &top.join("z.yaml")).end, way.end);
    }

    #[test]
    fn a_way_that_leads_nowhere_ends_at_the_missing_name() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        symlink("no/such/file", top.join("a")).unwrap();
        assert_eq!(SymlinkTrace::from(&top, Path::new("a")).end, top.join("no"));
        symlink("round", top.join("round")).unwrap();
        let round = SymlinkTrace::from(&top, Path::new("round"));
        assert_eq!((round.end, round.links.len()), (top.join("round"), MAX_LINKS));
    }
}
