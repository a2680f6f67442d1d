//! Resolves a path link by link, to know what would have to change for it to lead elsewhere.

use std::io;
use std::path::{Component, Path, PathBuf};

/// As many links as the kernel follows.
const MAX_LINKS: usize = 40;

/// A resolved path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SymlinkTrace {
    /// The real path. For a path that leads nowhere: the real path up to the first missing name.
    pub(crate) end: PathBuf,
    /// The links that were followed, each in the real path of its folder.
    pub(crate) links: Vec<PathBuf>,
}

impl SymlinkTrace {
    /// Resolves a path, which is relative to a real folder unless it is absolute.
    pub(crate) fn from(folder: &Path, path: &Path) -> Self {
        let mut trace = Self { end: folder.to_owned(), links: Vec::new() };
        let mut rest = path.to_owned();
        loop {
            let mut components = rest.components();
            let Some(next) = components.next() else { break };
            let mut after = components.as_path().to_owned();
            match next {
                // Pushing a root or a prefix replaces the path.
                Component::Prefix(_) | Component::RootDir => trace.end.push(next),
                Component::CurDir => {}
                Component::ParentDir => drop(trace.end.pop()),
                Component::Normal(name) => {
                    trace.end.push(name);
                    match std::fs::read_link(&trace.end) {
                        Ok(target) if trace.links.len() < MAX_LINKS => {
                            trace.links.push(trace.end.clone());
                            trace.end.pop();
                            after = target.join(after);
                        }
                        // So many links are a loop.
                        Ok(_) => break,
                        Err(error) if leads_nowhere(&error) => break,
                        // It is not a link.
                        Err(_) => {}
                    }
                }
            }
            rest = after;
        }
        trace
    }
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
    fn every_link_is_listed_and_the_end_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        create_dir_all(top.join("releases/2/offers")).unwrap();
        File::create(top.join("releases/2/offers/a.yaml")).unwrap();
        symlink("2", top.join("releases/current")).unwrap();
        symlink("releases/./current/../current/offers", top.join("offers")).unwrap();
        symlink(top.join("offers/a.yaml"), top.join("z.yaml")).unwrap();
        let trace = SymlinkTrace::from(&top, Path::new("z.yaml"));
        assert_eq!(trace.end, top.join("releases/2/offers/a.yaml"));
        let current = top.join("releases/current");
        let links = [top.join("z.yaml"), top.join("offers"), current.clone(), current];
        assert_eq!(trace.links, links);
        assert_eq!(SymlinkTrace::from(Path::new("/"), &top.join("z.yaml")).end, trace.end);
    }

    #[test]
    fn a_dangling_link_ends_at_the_missing_name() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        symlink("no/such/file", top.join("a")).unwrap();
        assert_eq!(SymlinkTrace::from(&top, Path::new("a")).end, top.join("no"));
        symlink("round", top.join("round")).unwrap();
        let round = SymlinkTrace::from(&top, Path::new("round"));
        assert_eq!((round.end, round.links.len()), (top.join("round"), MAX_LINKS));
    }
}
