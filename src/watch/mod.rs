//! The service: it holds manifests and marketplace together, all the time.
//!
//! | file | what it is |
//! |---|---|
//! | `source` | where manifests come from, as the daemon sees it |
//! | `folder` | a [`Source`]: folders of this machine, watched |
//! | `git` | a [`Source`]: a branch of a remote repository |
//! | `manifests` | which manifests are in force: the last good version of each file |
//! | `queue` | what is to be done about which offer, and when; one thing at a time for each |
//! | `daemon` | the loop, and the one owner of all that |
//! | `board` | what the daemon shows of itself |

mod board;
mod source;

pub use board::{Board, Ping, Service, Update};
pub use source::{Changed, Source};
