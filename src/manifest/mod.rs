//! Manifests: what people commit.

mod offer;

pub use offer::{DesiredState, Manifest};

/// A manifest, read and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The offer.
    pub id: crate::marketplace::OfferId,
    /// What the document says.
    pub manifest: Manifest,
    /// A digest of what it says.
    pub digest: String,
    /// The file it stands in.
    pub file: std::path::PathBuf,
}
