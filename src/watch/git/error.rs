//! Why a repository can't be followed.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// The oldest git that will do: it knows `GIT_CONFIG_GLOBAL`.
pub(super) const OLDEST: (u32, u32) = (2, 32);

/// What to do where git is missing or too old.
const INSTALL: &str = "install git 2.32 or later";

/// Why a repository can't be followed, or not at the moment. No text has a user name or a password.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The URL is none that golive follows.
    #[error("--git: {0}")]
    Url(&'static str),
    /// The branch has a name that no branch can have.
    #[error("--branch: {0:?} is no name of a branch; write it as `git branch --list` does")]
    Branch(String),
    /// The folder lies outside of the repository.
    #[error("--dir: {} leads out of the repository; name a folder in it, e.g. offers", .0.display())]
    Dir(PathBuf),
    /// There is no git.
    #[error(
        "there is no {}; {INSTALL}, and make sure that it is on the PATH", .0.display()
    )]
    Missing(PathBuf),
    /// This git is too old.
    #[error("{0:?} is too old; {INSTALL}")]
    Old(String),
    /// Git could not be started.
    #[error("cannot start git")]
    Start(#[source] io::Error),
    /// The folder that the clone is to be in holds something else.
    #[error(
        "{} is no clone that golive made; move it away, or give --status another place", .0.display()
    )]
    Foreign(PathBuf),
    /// Somebody else works in the clone.
    #[error(
        "another golive, or a git that one left behind, works in {}; wait for it to end", .0.display()
    )]
    Busy(PathBuf),
    /// The files of the clone can't be written.
    #[error("cannot {what} {}; check its permissions and the space on the disk", path.display())]
    Files {
        /// What was to be done.
        what: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// Why it could not be.
        #[source]
        source: io::Error,
    },
    /// The repository has no such branch.
    #[error("{url} has no {branch}; create it, or name another one with --branch")]
    NoBranch {
        /// The repository, without user name and password.
        url: String,
        /// The branch, as words.
        branch: String,
    },
    /// The repository could not be asked.
    #[error(
        "cannot fetch from {url}: git says: {said}; try `git ls-remote {url}` as the user that golive \
         runs as"
    )]
    Fetch {
        /// The repository, without user name and password.
        url: String,
        /// What git said.
        said: String,
    },
    /// The repository does not answer as soon as golive starts. It is still waited for.
    #[error("{url} has not answered within {after:?}, and is still waited for")]
    Slow {
        /// The repository, without user name and password.
        url: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The commit has no such folder.
    #[error("commit {commit} has no folder {}; restore it, or name another one with --dir", dir.display())]
    NoFolder {
        /// The folder.
        dir: PathBuf,
        /// The commit's id.
        commit: String,
    },
    /// Something on this machine failed.
    #[error("git {what} failed: {said}")]
    Failed {
        /// Git's command.
        what: &'static str,
        /// What git said.
        said: String,
    },
    /// A command took too long, and was ended.
    #[error("git {what} took longer than {after:?}; check the network, and the remote's health")]
    TimedOut {
        /// Git's command.
        what: &'static str,
        /// How long it may take.
        after: Duration,
    },
}

impl GitError {
    /// Whether it is the command line that must be mended.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Url(_) | Self::Branch(_) | Self::Dir(_))
    }

    /// An error of the file system.
    pub(super) fn files(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Files { what, path, source }
    }

    /// All of it in one line, with what caused it.
    pub(super) fn line(&self) -> String {
        let mut line = self.to_string();
        if let Some(source) = self.source() {
            line = format!("{line}: {source}");
        }
        crate::marketplace::clean_line(&line)
    }
}
