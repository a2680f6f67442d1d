//! Ids that follow from names, so that a run can be repeated.

use sha2::{Digest as _, Sha256};

/// Sixteen bytes that follow from a text and nothing else.
pub(super) fn bytes_of(text: &str) -> [u8; 16] {
    let digest = Sha256::digest(text.to_ascii_lowercase());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes
}

/// A GUID that follows from a text, so that a run can be repeated.
pub(super) fn guid(text: &str) -> String {
    uuid::Builder::from_random_bytes(bytes_of(text)).into_uuid().to_string()
}
