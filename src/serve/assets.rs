//! Style sheet, script and icon. Their names have a digest of their content, so that browsers may
//! cache them for ever, and a page never uses those of another version.

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

#[derive(Debug)]
pub(super) struct Asset {
    /// Its name below `/assets/`.
    pub(super) name: String,
    pub(super) content_type: &'static str,
    pub(super) content: &'static str,
}

impl Asset {
    fn new(stem: &str, extension: &str, content_type: &'static str, content: &'static str) -> Self {
        let digest = hex::encode(Sha256::digest(content));
        Self { name: format!("{stem}-{}.{extension}", &digest[..16]), content_type, content }
    }

    /// Its address, relative to the page of all offers.
    pub(super) fn address(&self) -> String {
        format!("assets/{}", self.name)
    }
}

/// The style sheet, the script, the icon.
pub(super) static ASSETS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    [
        Asset::new("page", "css", "text/css; charset=utf-8", include_str!("assets/page.css")),
        Asset::new("page", "js", "text/javascript; charset=utf-8", include_str!("assets/page.js")),
        Asset::new("icon", "svg", "image/svg+xml", include_str!("assets/icon.svg")),
    ]
});
