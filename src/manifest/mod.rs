//! Manifests: what people commit.

mod offer;

pub use offer::{DesiredState, Manifest};
