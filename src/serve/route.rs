//! Paths.

use super::assets::{ASSETS, Asset};
use crate::marketplace::{OfferId, PublisherId};

/// The asset at a path.
pub(super) fn asset_at(path: &str) -> Option<&'static Asset> {
    let name = path.strip_prefix("/assets/")?;
    ASSETS.iter().find(|asset| asset.name == name)
}

/// The offer whose page is at a path. Nothing is decoded: no character of an id needs it.
pub(super) fn offer_at(path: &str) -> Option<OfferId> {
    let (publisher, offer) = path.strip_prefix("/offers/")?.split_once('/')?;
    OfferId::new(PublisherId::new(publisher).ok()?, offer).ok()
}

/// The address of an offer's page, relative to the page of all offers. No address begins with a
/// slash: a proxy may serve the page below a path that golive does not know.
pub(super) fn offer_address(offer: &OfferId) -> String {
    format!("offers/{offer}")
}

/// The address of the page of all offers, relative to the page at this path.
pub(super) fn home(path: &str) -> String {
    match path.matches('/').count().saturating_sub(1) {
        0 => "./".to_owned(),
        depth => "../".repeat(depth),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_the_home_page_depends_on_the_depth_of_the_path() {
        for (path, expected) in [
            ("/", "./"),
            ("/x", "./"),
            ("/offers/contoso/vm", "../../"),
            ("/offers/", "../"),
            ("/a//b", "../../"),
            ("*", "./"),
        ] {
            assert_eq!(home(path), expected, "{path}");
        }
    }
}
