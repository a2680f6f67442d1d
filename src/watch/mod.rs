//! The service: it holds manifests and marketplace together, all the time.
//!
//! | file | what it is |
//! |---|---|
//! | `source` | where manifests come from, as the daemon sees it |
//! | `folder` | a [`Source`]: folders of this machine, watched |
//! | `git` | a [`Source`]: a branch of a remote repository |
//! | `manifests` | which manifests are in force: the last good version of each file |
//! | `progress` | how far the first look and a resync are |
//! | `daemon` | the loop around the engine |
//! | `board` | what the daemon shows of itself |
//! | `systemd` | what a service tells systemd |

mod board;
mod daemon;
mod folder;
mod git;
mod manifests;
mod progress;
mod source;
pub mod systemd;

pub use board::{Board, Ping, Service, Trouble, Update};
pub use daemon::{Daemon, Heartbeat, Herald, Parts};
pub use folder::FolderSource;
pub use git::{GitError, GitSettings, GitSource};
pub use manifests::{Manifests, Refreshed};
pub use source::{Changed, Source};
