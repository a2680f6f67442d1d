//! Paged lists. A list is read whole or not at all: golive takes an unlisted offer as nonexistent,
//! and an unlisted operation as one that never ran.

use std::collections::HashSet;

use url::Url;

use super::call::Call;
use super::endpoint::Endpoint;
use super::executor::RequestExecutor;
use super::response::{ApiResponse, Failure, MAX_ELEMENTS, Page};
use crate::marketplace::MarketplaceError;

/// Limit for the pages of one list. With a hundred offers a page, the largest publishers have some
/// fifty.
const MAX_PAGES: usize = 1_000;

/// Limit for a link to a page, in bytes. Such links carry tokens of some hundred bytes.
const MAX_LINK: usize = 16 * 1024;

impl RequestExecutor {
    /// Reads all pages of a list, each like any other read. `complete` adds the query parameters
    /// that the link to a page may lack.
    pub(crate) async fn list<T>(
        &self,
        mut call: Call,
        complete: impl Fn(&mut Url),
        parse: impl Fn(&ApiResponse) -> Result<Page<T>, Failure>,
    ) -> Result<Vec<T>, MarketplaceError> {
        let (mut elements, mut count) = (Vec::new(), 0_usize);
        let mut seen = HashSet::new();
        loop {
            seen.insert(call.url.clone());
            let page = self.read(&call, &parse).await?;
            count = count.saturating_add(page.count);
            elements.extend(page.elements);
            let lost = |what: String| Err(MarketplaceError::lost(call.title(), what));
            if count > MAX_ELEMENTS {
                return lost(format!("the list has more than {MAX_ELEMENTS} elements"));
            }
            let Some(link) = page.next else { return Ok(elements) };
            let cleaner = self.cleaner();
            let shown = || cleaner.line(&link, 200);
            if cleaner.finds(&link) {
                return lost("the link to the next page has the token in it".to_owned());
            }
            let mut next = match next_page(&self.endpoint, &call.url, &link) {
                Ok(next) => next,
                Err(why) => {
                    return lost(format!("the link to the next page, {:?}, {why}", shown()));
                }
            };
            complete(&mut next);
            if seen.contains(&next) {
                return lost(format!("the next page, {:?}, was read before", shown()));
            }
            if seen.len() == MAX_PAGES {
                return lost(format!("the list has more than {MAX_PAGES} pages"));
            }
            call.url = next;
        }
    }
}

/// The URL of the next page, from the link in the page at `from`.
fn next_page(endpoint: &Endpoint, from: &Url, link: &str) -> Result<Url, String> {
    let link = link.trim();
    if link.len() > MAX_LINK {
        return Err(format!("is longer than {MAX_LINK} bytes"));
    }
    endpoint.same_origin(from, link)
}
