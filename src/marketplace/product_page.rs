//! Where people see a product: its pages in Partner Center.

/// Where offers of Partner Center have their pages.
const OFFERS: &str = "https://partner.microsoft.com/dashboard/commercial-marketplace/offers";

/// The pages of a product ([`OfferState::product`](super::OfferState::product)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProductPage<'a>(&'a str);

impl<'a> ProductPage<'a> {
    /// The pages of this product; `None` if it is no GUID: a file that names products may have been
    /// tampered with.
    #[must_use]
    pub fn of(product: &'a str) -> Option<Self> {
        let is_guid = product.len() == 36 && uuid::Uuid::try_parse(product).is_ok();
        is_guid.then_some(Self(product))
    }

    /// What the product is, and how its submissions stand.
    #[must_use]
    pub fn overview(self) -> String {
        format!("{OFFERS}/{}/overview", self.0)
    }

    /// What became of its submissions. The API doesn't say why one failed; this page does.
    #[must_use]
    pub fn history(self) -> String {
        format!("{OFFERS}/{}/history", self.0)
    }

    /// The page to read next: the history where something failed.
    #[must_use]
    pub fn next(self, has_failed: bool) -> String {
        if has_failed { self.history() } else { self.overview() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_guid_has_pages() {
        let guid = "5d3a7f2e-0b1c-4c6e-9a52-1f2e3d4c5b6a";
        let page = ProductPage::of(guid).unwrap();
        assert_eq!(
            page.overview(),
            format!(
                "https://partner.microsoft.com/dashboard/commercial-marketplace/offers/{guid}/overview"
            )
        );
        assert!(page.next(true).ends_with("/history") && page.next(false).ends_with("/overview"));
        for no in [
            "",
            "guid-1",
            "../../x",
            "5d3a7f2e0b1c4c6e9a521f2e3d4c5b6a",
            "{5d3a7f2e-0b1c-4c6e-9a52-1f2e3d4c5b}",
        ] {
            assert_eq!(ProductPage::of(no), None, "{no}");
        }
    }
}
