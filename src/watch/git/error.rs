//! Errors of following a repository.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// The oldest supported git: it knows `GIT_CONFIG_GLOBAL`.
pub(super) const OLDEST: (u32, u32) = (2, 32);

/// The hint if git is missing or too old.
const INSTALL: &str = "install git 2.32 or later";

/// Why a repository can't be followed, permanently or at the moment. No text contains a user name
/// or a password.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// golive can't follow this URL.
    #[error("--git: {0}")]
    Url(&'static str),
    /// An invalid branch name.
    #[error("--branch: {0:?} isn't a valid branch name; write it as `git branch --list` does")]
    Branch(String),
    /// The folder lies outside of the repository.
    #[error("--dir: {} leads out of the repository; name a folder in it, e.g. offers", .0.display())]
    Dir(PathBuf),
    /// git isn't installed.
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
    /// The folder for the clone contains something else.
    #[error(
        "{} isn't a clone that golive made; move it away, or give --status another place", .0.display()
    )]
    Foreign(PathBuf),
    /// Another process uses the clone.
    #[error(
        "another golive, or a git that one left behind, works in {}; wait for it to end", .0.display()
    )]
    Busy(PathBuf),
    /// The files of the clone can't be written.
    #[error("cannot {what} {}; check its permissions and the space on the disk", path.display())]
    Files {
        /// The action that failed.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The repository has no such branch.
    #[error("{url} has no {branch}; create it, or name another one with --branch")]
    NoBranch {
        /// The repository, without user name and password.
        url: String,
        /// The branch, for messages.
        branch: String,
    },
    /// Fetching from the repository failed.
    #[error(
        "cannot fetch from {url}: git says: {said}; try `git ls-remote {url}` as the user that golive \
         runs as"
    )]
    Fetch {
        /// The repository, without user name and password.
        url: String,
        /// git's message.
        said: String,
    },
    /// The repository didn't answer soon after golive's start. golive keeps waiting for it.
    #[error("{url} has not answered within {after:?}, and is still waited for")]
    Slow {
        /// The repository, without user name and password.
        url: String,
        /// How long golive has waited.
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
    /// A local git command failed.
    #[error("git {what} failed: {said}")]
    Failed {
        /// The git command.
        what: &'static str,
        /// git's message.
        said: String,
    },
    /// A command timed out and was killed.
    #[error("git {what} took longer than {after:?}; check the network, and the remote's health")]
    TimedOut {
        /// The git command.
        what: &'static str,
        /// The timeout.
        after: Duration,
    },
}

impl GitError {
    /// Whether the user must fix the command line.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Url(_) | Self::Branch(_) | Self::Dir(_))
    }

    /// Makes a file system error.
    pub(super) fn files(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Files { what, path, source }
    }

    /// The error and its causes, in one line.
    pub(super) fn line(&self) -> String {
        let mut line = self.to_string();
        if let Some(source) = self.source() {
            line = format!("{line}: {source}");
        }
        crate::marketplace::clean_line(&line)
    }
}
