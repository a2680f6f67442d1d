//! The service: it holds manifests and marketplace together, all the time.
//!
//! | file | what it is |
//! |---|---|
//! | `source` | where manifests come from, as the daemon sees it |
//! | `folder` | a [`Source`]: folders of this machine, watched |
//! | `git` | a [`Source`]: a branch of a remote repository |
//! | `manifests` | which manifests are in force: the last good version of each file |
//! | `queue` | what is to be done about which offer, and when; one thing at a time for each |
//! | `tries` | how long an offer is left alone that could not be settled |
//! | `seen` | what was seen of the offers: who is live, who waits, how far a resync is |
//! | `daemon` | the loop, and the one owner of all that |
//! | `board` | what the daemon shows of itself |
//! | `systemd` | what a service tells systemd |

mod board;
mod daemon;
mod folder;
mod git;
mod manifests;
mod queue;
mod seen;
mod source;
pub mod systemd;
mod tries;

pub use board::{Board, Ping, Service, Trouble, Update};
pub use daemon::{Daemon, Heartbeat, Herald, Parts};
pub use folder::FolderSource;
pub use git::{GitError, GitSettings, GitSource};
pub use manifests::{Manifests, Refreshed};
pub use source::{Changed, Source};
