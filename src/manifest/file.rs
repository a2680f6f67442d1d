//! The manifests and errors of one file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::diagnostic::Diagnostic;
use super::offer::Manifest;
use crate::marketplace::OfferId;

/// One manifest, with its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The offer that it declares.
    pub id: OfferId,
    /// Its content.
    pub manifest: Manifest,
    /// `sha256:<hex>`, see [`Manifest::digest`].
    pub digest: String,
    /// The file, as it was found from the given paths.
    pub file: PathBuf,
    /// Which document of the file, from 0, blank ones counted.
    pub(super) document: usize,
}

impl Loaded {
    pub(super) fn new(path: &Path, document: usize, manifest: Manifest) -> Option<Self> {
        // A manifest that was read has checked ids, so that none is lost here.
        let id = manifest.id().ok()?;
        let digest = manifest.digest();
        Some(Self { id, manifest, digest, file: path.to_owned(), document })
    }
}

/// One document that is not blank.
#[derive(Clone, Debug)]
pub(super) enum Document {
    Whole(Arc<Loaded>),
    /// It has errors, which are reported. Its name still counts, so that offers that come after it
    /// don't get another one.
    Broken {
        id: OfferId,
        document: usize,
    },
}

impl Document {
    pub(super) fn whole(loaded: Loaded) -> Self {
        Self::Whole(Arc::new(loaded))
    }

    /// The offer, and the number of the document in its file.
    pub(super) fn name(&self) -> (&OfferId, usize) {
        match self {
            Self::Whole(loaded) => (&loaded.id, loaded.document),
            Self::Broken { id, document } => (id, *document),
        }
    }

    /// The offers that it comes after.
    pub(super) fn after(&self) -> &[OfferId] {
        match self {
            Self::Whole(loaded) => &loaded.manifest.after,
            Self::Broken { .. } => &[],
        }
    }
}

/// The manifests and errors of one file, without the checks across files.
#[derive(Clone, Debug)]
pub struct FileManifests {
    pub(super) path: PathBuf,
    pub(super) documents: Vec<Document>,
    pub(super) problems: Vec<Diagnostic>,
    /// Whether the offer of every document is known. If not, an unknown offer may be in this file.
    pub(super) complete: bool,
    /// Whether the file itself could be read. If not, it is read again even if it looks unchanged.
    pub(super) was_read: bool,
}

impl FileManifests {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The manifests without errors, in order.
    pub fn manifests(&self) -> impl Iterator<Item = &Manifest> {
        self.loaded().map(|loaded| &loaded.manifest)
    }

    /// The manifests without errors, with their ids and digests.
    pub(crate) fn loaded(&self) -> impl Iterator<Item = &Arc<Loaded>> {
        self.documents.iter().filter_map(|document| match document {
            Document::Whole(loaded) => Some(loaded),
            Document::Broken { .. } => None,
        })
    }

    /// The offer of each document, those with errors included.
    pub(crate) fn names(&self) -> impl Iterator<Item = &OfferId> {
        self.documents.iter().map(|document| document.name().0)
    }

    /// The errors in the file. With any, [`assemble`](super::assemble) fails.
    #[must_use]
    pub fn problems(&self) -> &[Diagnostic] {
        &self.problems
    }

    /// A file with an error that leaves nothing to read.
    pub(super) fn unreadable(path: &Path, problem: Diagnostic) -> Self {
        Self { problems: vec![problem], was_read: true, ..Self::unread(path) }
    }

    /// A file that is not read yet.
    pub(crate) fn unread(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            documents: Vec::new(),
            problems: Vec::new(),
            complete: false,
            was_read: false,
        }
    }

    /// Whether the file itself could be read, whatever is in it.
    pub(crate) fn was_read(&self) -> bool {
        self.was_read
    }
}
