//! The service: it keeps the marketplace in line with the manifests.
//!
//! | file | what it is |
//! |---|---|
//! | `source` | the source of manifests, as the daemon sees it |
//! | `folder` | a [`Source`]: folders of this machine, watched |
//! | `git` | a [`Source`]: a branch of a remote repository |
//! | `manifests` | which manifests are in force: the last good version of each file |
//! | `progress` | the progress of the first check and of a resync |
//! | `daemon` | the loop around the engine |
//! | `board` | the daemon's state for the page and the metrics |
//! | `systemd` | notifies systemd: ready, alive, stopping |

mod daemon;
mod folder;
mod git;
mod manifests;
mod progress;
mod service_state;
mod source;
pub mod systemd;

pub use daemon::{Daemon, Heartbeat, OnManifests, Parts};
pub use folder::FolderSource;
pub use git::{GitError, GitSettings, GitSource};
pub use manifests::{Manifests, Refreshed};
pub use service_state::{Ping, Service, ServiceState, Trouble, Update};
pub use source::{Changed, Source};
