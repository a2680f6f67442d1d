//! Where manifests come from, as the daemon sees it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use async_trait::async_trait;

use crate::status::SourceRecord;

/// A place that manifests come from.
///
/// The daemon reads the files only between the end of one [`Source::changed`] and its next call, so
/// that a source that writes them itself (a checkout) does so while it is waited for, and never
/// shows half of a change.
#[async_trait]
pub trait Source: Send {
    /// Waits until the files may have changed; the first call returns as soon as there is anything to
    /// read. Changes that come in a bunch are one. May be dropped at any time, and called again.
    async fn changed(&mut self) -> Changed;

    /// Asks to look now: [`Source::changed`] is to return as soon as it can, whether or not something
    /// has changed.
    fn look_now(&mut self);

    /// Tells in which folders (real paths) the manifests that were read last lie, links followed; and
    /// single names in other folders, such as links on the way (see [`super::Refreshed::folders`]).
    /// Returns whether one of them is new to the source, so that the files are to be read once more:
    /// what changed before it was watched went unnoticed.
    fn follow(&mut self, folders: &BTreeSet<PathBuf>) -> bool;
}

/// The files may have changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Files that are to be read again even where they look the same as before.
    pub suspects: BTreeSet<PathBuf>,
    /// Whether nothing else can have changed, so that the other files need not be looked at.
    pub is_all: bool,
    /// What the files now are, where that has a name: the commit.
    pub source: Option<SourceRecord>,
}
