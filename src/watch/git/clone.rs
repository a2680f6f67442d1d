//! The clone: a folder of golive's own, with the repository and one checkout in it.
//!
//! | in it | what it is |
//! |---|---|
//! | `golive.clone.json` | the mark that golive made the folder, and of which repository and branch |
//! | `lock` | held by the process that changes files here |
//! | `gitconfig` | replaces the user's `~/.gitconfig`: which local repositories are safe |
//! | `repository` | the repository, bare, with the newest commit only |
//! | `.tree` | the checkout in force. Hidden, so that a walk from above the folder skips it |
//! | `.next` | the next checkout, until it is complete and replaces `.tree` |
//! | `.last` | that of the commit in force when golive last ran, to stand in while the remote does not answer |
//! | `.gone` | the previous checkout, to be removed |

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use walkdir::WalkDir;

use super::error::GitError;
use super::mark::{MARK, Mark, check_folder, is_of_another_format, remove_locks};
use super::run::Git;
use crate::disk::{self, Disk as _, RealDisk};

const TREE: &str = ".tree";
const NEXT: &str = ".next";
const LAST: &str = ".last";
const GONE: &str = ".gone";

/// The newest fetched commit.
const FETCHED: &str = "refs/golive/fetched";

/// The commit in force: that of the last complete checkout.
pub(super) const WATCHED: &str = "refs/golive/watched";

/// A complete checkout that is ready to replace the one in force.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ready {
    pub(super) commit: String,
    /// The manifests in it, relative to the watched folder.
    pub(super) manifests: Vec<PathBuf>,
}

/// The result of checking the repository.
#[derive(Debug)]
pub(super) struct FetchResult {
    /// A checkout to put in force.
    pub(super) ready: Option<Ready>,
    /// Why the repository could not be reached, or its newest commit could not be checked out.
    pub(super) problem: Option<GitError>,
}

/// The clone. `&mut self` ensures that only one of its methods runs at a time.
pub(super) struct Clone {
    pub(super) git: Git,
    folder: PathBuf,
    mark: Mark,
    /// The address that git fetches from.
    address: String,
    /// The watched folder in the repository; empty for all of it.
    dir: PathBuf,
    lock: Option<Arc<File>>,
}

impl Clone {
    /// `folder` is absolute.
    pub(super) fn new(
        git: Git,
        folder: PathBuf,
        mark: Mark,
        address: String,
        dir: PathBuf,
    ) -> Self {
        Self { git, folder, mark, address, dir, lock: None }
    }

    /// The path of the repository in a clone's folder.
    pub(super) fn repository(folder: &Path) -> PathBuf {
        folder.join("repository")
    }

    /// The file that replaces the user's `~/.gitconfig`.
    pub(super) fn global(folder: &Path) -> PathBuf {
        folder.join("gitconfig")
    }

    /// The path of the checkout in force in a clone's folder.
    pub(super) fn tree(folder: &Path) -> PathBuf {
        folder.join(TREE)
    }

    /// Fetches, and checks out a new commit. If that fails and no commit is in force yet, it checks
    /// out the one that was in force when golive last ran.
    pub(super) async fn look(&mut self, in_force: Option<&str>) -> FetchResult {
        // A user may have removed the checkout.
        let in_force = in_force.filter(|_| Self::tree(&self.folder).is_dir());
        match self.newest(in_force).await {
            Ok(ready) => FetchResult { ready, problem: None },
            Err(error) => {
                let ready = if in_force.is_none() { self.former().await } else { None };
                FetchResult { ready, problem: Some(error) }
            }
        }
    }

    /// Replaces the checkout in force: a reader between two calls sees the files of one commit
    /// only.
    pub(super) fn put_in_force(&self) -> Result<(), GitError> {
        Self::put(&self.folder, NEXT)
    }

    /// Puts the stand-in in force while other work runs in the clone. If that work has just made
    /// its own checkout, the stand-in is gone, and that is an error.
    pub(super) fn put_stand_in(folder: &Path) -> Result<(), GitError> {
        Self::put(folder, LAST)
    }

    fn put(folder: &Path, next: &str) -> Result<(), GitError> {
        let [tree, next, gone] = [TREE, next, GONE].map(|name| folder.join(name));
        // Move nothing away unless there is a replacement.
        std::fs::symlink_metadata(&next).map_err(GitError::files("find", &next))?;
        match RealDisk.rename(&tree, &gone) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other.map_err(GitError::files("move away", &tree))?,
        }
        RealDisk.rename(&next, &tree).map_err(|error| {
            // Restores the former one.
            RealDisk.rename(&gone, &tree).ok();
            GitError::files("put in place", &next)(error)
        })
    }

    async fn newest(&mut self, in_force: Option<&str>) -> Result<Option<Ready>, GitError> {
        self.prepare().await?;
        self.make_repository().await?;
        let error = match self.fetch_and_check_out(in_force).await {
            Err(error) => error,
            found => return found,
        };
        if self.is_sound(&error).await {
            return Err(error);
        }
        tracing::warn!("the clone in {} is damaged; creating it again", self.folder.display());
        self.remove(&["repository"]).await?;
        self.make_repository().await?;
        self.fetch_and_check_out(in_force).await
    }

    /// Creates the folder, its mark and the lock if they are missing. Uses no network.
    async fn prepare(&mut self) -> Result<(), GitError> {
        check_folder(&self.folder)?;
        std::fs::create_dir_all(&self.folder).map_err(GitError::files("make", &self.folder))?;
        let path = self.folder.join(MARK);
        let mark = RealDisk.read(&path).map_err(GitError::files("read", &path))?;
        let known = mark.as_ref().and_then(|bytes| serde_json::from_slice::<Mark>(bytes).ok());
        if mark.is_none() {
            self.write_mark(&path)?;
        }
        self.lock()?;
        if known.as_ref() != Some(&self.mark) {
            // A clone of something else. The mark is changed last: until then it names the old
            // source.
            self.remove(&[TREE, NEXT, LAST, GONE, "repository"]).await?;
            self.write_mark(&path)?;
        }
        Ok(())
    }

    /// Creates an empty repository if there is none.
    async fn make_repository(&mut self) -> Result<(), GitError> {
        let repository = Self::repository(&self.folder);
        if !repository.join("HEAD").is_file() {
            let format = format!("--object-format={}", self.object_format().await?);
            self.remove(&["repository"]).await?;
            let lock = self.lock()?;
            let options = ["--quiet", "--bare", "--template=", "--initial-branch=none", &format];
            let mut arguments = vec![OsStr::new("init")];
            arguments.extend(options.map(OsStr::new));
            arguments.push(repository.as_os_str());
            self.git.run_locked("init", &arguments, &lock).await?;
        }
        remove_locks(&repository)
    }

    /// The remote's object format, by git's name. The clone must use the same one.
    async fn object_format(&self) -> Result<&'static str, GitError> {
        let name = match &self.mark.branch {
            Some(branch) => format!("refs/heads/{branch}"),
            None => "HEAD".to_owned(),
        };
        let arguments = ["ls-remote", "--quiet", "--", &self.address, &name];
        let listed = self.ask_remote("ls-remote", &arguments).await?;
        let id = listed.split_whitespace().next().unwrap_or_default();
        // No option of git prints the format, but each has its own id length.
        match id.len() {
            0 => Err(self.no_branch()),
            64 => Ok("sha256"),
            _ => Ok("sha1"),
        }
    }

    fn write_mark(&self, path: &Path) -> Result<(), GitError> {
        let mark = serde_json::to_vec(&self.mark).unwrap_or_default();
        RealDisk.write(path, &mark).map_err(GitError::files("write", path))
    }

    fn lock(&mut self) -> Result<Arc<File>, GitError> {
        if let Some(lock) = &self.lock {
            return Ok(Arc::clone(lock));
        }
        let path = self.folder.join("lock");
        let file = disk::open_lock_file(&path).map_err(GitError::files("open", &path))?;
        if !disk::try_lock(&file).map_err(GitError::files("lock", &path))? {
            return Err(GitError::Busy(self.folder.clone()));
        }
        let lock = Arc::new(file);
        self.lock = Some(Arc::clone(&lock));
        Ok(lock)
    }

    async fn fetch_and_check_out(
        &mut self,
        in_force: Option<&str>,
    ) -> Result<Option<Ready>, GitError> {
        self.fetch().await?;
        let commit = self.commit(FETCHED).await?;
        if in_force == Some(commit.as_str()) {
            return Ok(None);
        }
        self.check_out(commit, NEXT).await.map(Some)
    }

    async fn fetch(&self) -> Result<(), GitError> {
        let from = match &self.mark.branch {
            Some(branch) => format!("+refs/heads/{branch}:{FETCHED}"),
            None => format!("+HEAD:{FETCHED}"),
        };
        let arguments = [
            "fetch",
            "--quiet",
            "--depth=1",
            "--no-tags",
            "--no-prune",
            "--no-recurse-submodules",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--",
            &self.address,
            &from,
        ];
        self.ask_remote("fetch", &arguments).await.map(drop)
    }

    async fn ask_remote(&self, what: &'static str, arguments: &[&str]) -> Result<String, GitError> {
        match self.git.run_remote(what, arguments).await {
            Err(GitError::Failed { what: failed, said }) if failed == what => {
                if said.contains("couldn't find remote ref") {
                    return Err(self.no_branch());
                }
                Err(GitError::Fetch { url: self.mark.url.clone(), said })
            }
            other => other,
        }
    }

    fn no_branch(&self) -> GitError {
        GitError::NoBranch { url: self.mark.url.clone(), branch: self.mark.branch_words() }
    }

    async fn commit(&self, name: &str) -> Result<String, GitError> {
        let name = format!("{name}^{{commit}}");
        let commit =
            self.git.run("rev-parse", &["rev-parse", "--verify", "--quiet", &name]).await?;
        Ok(commit.trim().to_owned())
    }

    /// Checks out again, from the clone's objects, the commit in force when golive last ran: the
    /// old checkout may be incomplete.
    async fn former(&mut self) -> Option<Ready> {
        self.last_commit(NEXT).await
    }

    /// The same, made before the repository is asked, as a stand-in while it doesn't answer.
    pub(super) async fn stand_in(&mut self) -> Option<Ready> {
        // A failure is reported by the fetch that follows.
        self.prepare().await.ok()?;
        self.last_commit(LAST).await
    }

    async fn last_commit(&mut self, name: &str) -> Option<Ready> {
        self.lock.as_ref()?;
        let commit = self.commit(WATCHED).await.ok()?;
        let ready = self.check_out(commit, name).await;
        ready.inspect_err(|error| tracing::debug!("no commit of an earlier run: {error}")).ok()
    }

    /// Creates a checkout from scratch, beside the one in force.
    async fn check_out(&mut self, commit: String, name: &str) -> Result<Ready, GitError> {
        let lock = self.lock()?;
        self.remove(&[NEXT, LAST, GONE]).await?;
        let (next, repository) = (self.folder.join(name), Self::repository(&self.folder));
        remove_locks(&repository)?;
        let index = repository.join("index");
        RealDisk.remove(&index).map_err(GitError::files("remove", &index))?;
        std::fs::create_dir(&next).map_err(GitError::files("make", &next))?;
        let mut tree = std::ffi::OsString::from("--work-tree=");
        tree.push(&next);
        let arguments: [&OsStr; 5] =
            [&tree, "read-tree".as_ref(), "--reset".as_ref(), "-u".as_ref(), commit.as_ref()];
        self.git.run_locked("read-tree", &arguments, &lock).await?;
        let manifests = self.manifests(&next, &commit)?;
        self.git.run("update-ref", &["update-ref", WATCHED, &commit]).await?;
        self.tidy().await;
        Ok(Ready { commit, manifests })
    }

    /// The manifests below the watched folder of a checkout.
    fn manifests(&self, tree: &Path, commit: &str) -> Result<Vec<PathBuf>, GitError> {
        let mut folder = tree.to_owned();
        for part in self.dir.components() {
            folder.push(part);
            // Never through a link.
            if !std::fs::symlink_metadata(&folder).is_ok_and(|it| it.is_dir()) {
                let (dir, commit) = (self.dir.clone(), commit.to_owned());
                return Err(GitError::NoFolder { dir, commit });
            }
        }
        let is_manifest = |path: &Path| {
            let extension = path.extension().unwrap_or_default();
            extension.eq_ignore_ascii_case("yaml") || extension.eq_ignore_ascii_case("yml")
        };
        let files = WalkDir::new(&folder).into_iter().filter_map(Result::ok);
        let paths = files.filter(|it| it.file_type().is_file() && is_manifest(it.path()));
        let seen = |it: walkdir::DirEntry| Some(it.path().strip_prefix(&folder).ok()?.to_owned());
        Ok(paths.filter_map(seen).collect())
    }

    /// Drops old commits now and then. A failure costs only disk space.
    async fn tidy(&self) {
        let arguments = ["-c", "gc.auto=1000", "gc", "--auto", "--quiet", "--prune=now"];
        if let Err(error) = self.git.run("gc", &arguments).await {
            tracing::debug!("{}", error.line());
        }
    }

    /// Whether the clone's repository is intact, as far as the error casts doubt on it.
    async fn is_sound(&self, error: &GitError) -> bool {
        let check: &[&str] = match error {
            // The remote was recreated with another hash.
            GitError::Fetch { said, .. } if is_of_another_format(said) => return false,
            GitError::Fetch { .. } => &["fsck", "--connectivity-only", "--no-dangling"],
            GitError::Failed { .. } => &["fsck", "--no-dangling"],
            GitError::Url(_)
            | GitError::Branch(_)
            | GitError::Dir(_)
            | GitError::Missing(_)
            | GitError::Old(_)
            | GitError::Start(_)
            | GitError::Foreign(_)
            | GitError::Busy(_)
            | GitError::Files { .. }
            | GitError::NoBranch { .. }
            | GitError::NoFolder { .. }
            | GitError::Slow { .. }
            | GitError::TimedOut { .. } => return true,
        };
        !matches!(self.git.run("fsck", check).await, Err(GitError::Failed { .. }))
    }

    /// Removes folders of the clone.
    async fn remove(&mut self, names: &[&str]) -> Result<(), GitError> {
        // Continues even if the caller is dropped, and holds the lock until it is done.
        let lock = self.lock()?;
        let paths: Vec<PathBuf> = names.iter().map(|name| self.folder.join(name)).collect();
        let removed = tokio::task::spawn_blocking(move || {
            let _lock = lock;
            paths.into_iter().try_for_each(|path| match std::fs::remove_dir_all(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(GitError::files("remove", path)(error))
                }
                _ => Ok(()),
            })
        });
        removed.await.unwrap_or(Ok(()))
    }
}
