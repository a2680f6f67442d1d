//! Paths.

use super::assets::{ASSETS, Asset};
use crate::marketplace::{OfferId, PublisherId};

/// What a path leads to.
#[derive(Clone, Debug)]
pub(super) enum Route {
    /// The page of all offers.
    Page,
    /// The page of one offer.
    Offer(OfferId),
    /// What changes on a page, as it changes.
    Events,
    /// The status file, as JSON.
    Status,
    /// Metrics.
    Metrics,
    /// Whether the loop is alive.
    Health,
    /// Whether the first observation is in.
    Ready,
    /// A file that pages use.
    Asset(&'static Asset),
}

impl Route {
    /// What a path leads to; `None` where nothing is. No id has a character that is to be decoded.
    pub(super) fn parse(path: &str) -> Option<Self> {
        Some(match path {
            "/" => Self::Page,
            "/events" => Self::Events,
            "/api/status" => Self::Status,
            "/metrics" => Self::Metrics,
            "/healthz" => Self::Health,
            "/readyz" => Self::Ready,
            _ => {
                if let Some(name) = path.strip_prefix("/assets/") {
                    return ASSETS.iter().find(|asset| asset.name == name).map(Self::Asset);
                }
                let (publisher, offer) = path.strip_prefix("/offers/")?.split_once('/')?;
                Self::Offer(OfferId::new(PublisherId::new(publisher).ok()?, offer).ok()?)
            }
        })
    }
}

/// The address of an offer's page, from the page of all offers. No address begins with a slash: a
/// proxy may serve the page below a path that golive does not know.
pub(super) fn offer_address(offer: &OfferId) -> String {
    format!("offers/{offer}")
}

/// The address of the page of all offers, from the page with this path.
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
    fn the_way_home_is_as_long_as_the_path() {
        for (path, home_from_there) in [
            ("/", "./"),
            ("/x", "./"),
            ("/offers/contoso/vm", "../../"),
            ("/offers/", "../"),
            ("/a//b", "../../"),
            ("*", "./"),
        ] {
            assert_eq!(home(path), home_from_there, "{path}");
        }
    }
}
