//! Detects whether git is changing the files.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The lock that git holds while it changes a work tree.
const INDEX_LOCK: &str = "index.lock";

/// The work trees that contain some paths.
#[derive(Debug, Default)]
pub(super) struct Checkouts {
    /// Locks that golive no longer waits for. Git creates a new file each time, so the time
    /// identifies it.
    stale: Vec<(PathBuf, Option<SystemTime>)>,
}

impl Checkouts {
    /// Whether git holds the index lock of a work tree that contains one of the paths: a checkout
    /// or a merge is under way.
    pub(super) fn is_busy(&self, roots: &[PathBuf]) -> bool {
        locks(roots).any(|lock| !self.stale.contains(&lock))
    }

    /// Gives up waiting for the current locks: their git process has died. Returns them.
    pub(super) fn give_up(&mut self, roots: &[PathBuf]) -> Vec<PathBuf> {
        self.stale = locks(roots).collect();
        self.stale.iter().map(|(lock, _)| lock.clone()).collect()
    }
}

fn locks(roots: &[PathBuf]) -> impl Iterator<Item = (PathBuf, Option<SystemTime>)> {
    let folders = roots.iter().filter_map(|root| git_folder(&root.canonicalize().ok()?));
    folders.filter_map(|folder| {
        let lock = folder.join(INDEX_LOCK);
        let found = lock.symlink_metadata().ok()?;
        Some((lock, found.modified().ok()))
    })
}

/// The git folder of the work tree around a path, which holds the index.
fn git_folder(path: &Path) -> Option<PathBuf> {
    let tree = path.ancestors().find(|folder| folder.join(".git").exists())?;
    let git = tree.join(".git");
    if git.is_dir() {
        return Some(git);
    }
    // In a linked work tree or a submodule, `.git` is a file that names the folder.
    if !git.is_file() {
        return None;
    }
    let text = std::fs::read_to_string(&git).ok()?;
    Some(tree.join(text.strip_prefix("gitdir:")?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, create_dir_all, remove_file};
    use std::io::Write as _;

    #[test]
    fn the_lock_of_the_work_tree_around_a_path_counts() {
        let top = tempfile::tempdir().unwrap();
        let (tree, linked) = (top.path().join("tree"), top.path().join("linked"));
        let roots = [tree.join("offers/a"), linked.join("offers")];
        for root in &roots {
            create_dir_all(root).unwrap();
        }
        let checkouts = Checkouts::default();
        assert!(!checkouts.is_busy(&roots));

        create_dir_all(tree.join(".git/worktrees/linked")).unwrap();
        let text = "gitdir: ../tree/.git/worktrees/linked\n";
        File::create(linked.join(".git")).unwrap().write_all(text.as_bytes()).unwrap();
        assert!(!checkouts.is_busy(&roots));

        for folder in [".git", ".git/worktrees/linked"] {
            let lock = tree.join(folder).join("index.lock");
            File::create(&lock).unwrap();
            assert!(checkouts.is_busy(&roots), "{folder}");
            remove_file(&lock).unwrap();
            assert!(!checkouts.is_busy(&roots), "{folder}");
        }
    }

    #[test]
    fn a_lock_that_was_given_up_counts_no_more_another_one_does() {
        let top = tempfile::tempdir().unwrap();
        let roots = [top.path().to_owned()];
        create_dir_all(top.path().join(".git")).unwrap();
        let lock = top.path().join(".git/index.lock");
        File::create(&lock).unwrap();
        let mut checkouts = Checkouts::default();
        let given_up = checkouts.give_up(&roots);
        assert_eq!(given_up, [lock.canonicalize().unwrap()]);
        assert!(!checkouts.is_busy(&roots));
        let later = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1);
        File::options().write(true).open(&lock).unwrap().set_modified(later).unwrap();
        assert!(checkouts.is_busy(&roots));
    }
}
