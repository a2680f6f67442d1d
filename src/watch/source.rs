//! The source of manifests, as the daemon sees it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use async_trait::async_trait;

use crate::status::SourceRecord;

/// A source of manifests.
///
/// The daemon reads the files only between the end of one [`Source::changed`] and its next call. So
/// a source that writes them itself (a checkout) does so within `changed`, and a reader never sees
/// half of a change.
#[async_trait]
pub trait Source: Send {
    /// Waits until the files may have changed; the first call returns as soon as there is anything
    /// to read. A burst of changes counts as one. The future may be dropped at any time, and
    /// `changed` called again.
    async fn changed(&mut self) -> Changed;

    /// Asks for a check now: [`Source::changed`] returns as soon as it can, whether or not anything
    /// has changed.
    fn check_now(&mut self);

    /// Sets the folders (real paths) of the manifests that were last read, links followed, and
    /// single names in other folders, such as links on the way (see [`super::Refreshed::folders`]).
    /// Returns whether one of them is new to the source, so that the files must be read again: a
    /// change before it was watched went unnoticed.
    fn watch(&mut self, folders: &BTreeSet<PathBuf>) -> bool;
}

/// The files may have changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Files that must be read again even if they look unchanged.
    pub suspects: BTreeSet<PathBuf>,
    /// Whether nothing else can have changed, so that the other files need no check.
    pub is_all: bool,
    /// The version of the files, if the source has one: the commit.
    pub source: Option<SourceRecord>,
}
