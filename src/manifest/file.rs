//! What one file holds, by itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::diagnostic::Diagnostic;
use super::offer::Manifest;
use crate::marketplace::OfferId;

/// One manifest, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The offer that it is about.
    pub id: OfferId,
    /// What it says.
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
    /// There is something wrong with it, and that is told already. Its name still counts, so
    /// that one error does not make others look unknown.
    Broken {
        id: OfferId,
        document: usize,
    },
}

impl Document {
    pub(super) fn whole(loaded: Loaded) -> Self {
        Self::Whole(Arc::new(loaded))
    }

    /// Which one it is: the offer, and the number of the document in its file.
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

/// What one file holds, by itself: read without a look at any other.
#[derive(Clone, Debug)]
pub struct FileManifests {
    pub(super) path: PathBuf,
    pub(super) documents: Vec<Document>,
    pub(super) problems: Vec<Diagnostic>,
    /// Whether every document could be named. Where not, an unknown offer may be among the others.
    pub(super) complete: bool,
    /// Whether the file itself could be read. Where not, it may be another time, though it looks the
    /// same.
    pub(super) was_read: bool,
}

impl FileManifests {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The manifests in it that can be read, in order. With [`problems`](Self::problems), there may
    /// be others that can't.
    pub fn manifests(&self) -> impl Iterator<Item = &Manifest> {
        self.loaded().map(|loaded| &loaded.manifest)
    }

    /// Those [`manifests`](Self::manifests), with what golive makes of them.
    pub(crate) fn loaded(&self) -> impl Iterator<Item = &Arc<Loaded>> {
        self.documents.iter().filter_map(|document| match document {
            Document::Whole(loaded) => Some(loaded),
            Document::Broken { .. } => None,
        })
    }

    /// The offers that its documents are about, those with something wrong in them included: one for
    /// each document.
    pub(crate) fn names(&self) -> impl Iterator<Item = &OfferId> {
        self.documents.iter().map(|document| document.name().0)
    }

    /// What is wrong in the file itself. With it, [`assemble`](super::assemble) fails.
    #[must_use]
    pub fn problems(&self) -> &[Diagnostic] {
        &self.problems
    }

    /// A file that nothing can be made of.
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
