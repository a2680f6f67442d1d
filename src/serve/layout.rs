//! What all pages share.

use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, html};

use super::Serving;
use super::assets::ASSETS;
use super::time::{Tense, time};
use crate::marketplace::clean_line;

/// Parts of a page that are replaced when they change, by their elements' ids.
pub(super) type Parts = Vec<(&'static str, Markup)>;

/// What a page needs to keep itself current.
#[derive(Clone, Debug)]
pub(super) struct Live {
    /// The address of its events, relative to the page of all offers.
    pub(super) events: String,
    /// A digest of what it shows now.
    pub(super) digest: String,
}

/// A whole page. `home` is the relative address of the page of all offers, see
/// [`super::route::home`]. Without `live`, the page doesn't update itself.
pub(super) fn layout(
    serving: &Serving,
    home: &str,
    title: &str,
    live: Option<&Live>,
    content: &Markup,
) -> Markup {
    let marketplace = clean_line(&serving.marketplace);
    let from_home = |address: String| format!("{home}{address}");
    let [css, js, icon] = &*ASSETS;
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { (title) " · " (marketplace) " · golive" }
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                link rel="icon" href=(from_home(icon.address())) type="image/svg+xml";
                link rel="stylesheet" href=(from_home(css.address()));
                script src=(from_home(js.address())) defer {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header.top {
                    a.mark href=(home) { "golive" }
                    p.market title="The marketplace that golive works at" { (marketplace) }
                    (source(serving, serving.clock.now()))
                    p id="link" role="status" {}
                }
                main id="main" tabindex="-1"
                    data-events=[live.map(|live| from_home(live.events.clone()))]
                    data-digest=[live.map(|live| &live.digest)] { (content) }
                p.unseen id="say" role="status" {}
                footer {
                    p { "golive " (env!("CARGO_PKG_VERSION")) ". Read-only: offers change by their manifests." }
                    nav aria-label="For programs" {
                        a href=(from_home("api/status".to_owned())) { "Status as JSON" }
                        a href=(from_home("metrics".to_owned())) { "Metrics" }
                    }
                }
            }
        }
    }
}

/// The source of the manifests, and the last resync.
pub(super) fn source(serving: &Serving, now: Timestamp) -> Markup {
    let service = serving.service_state.service();
    html! {
        p.source id="source" {
            @if !service.place.is_empty() { span { (clean_line(&service.place)) } }
            @if let Some(source) = &service.source {
                span {
                    @if let Some(branch) = &source.branch { (clean_line(branch)) " at " } @else { "commit " }
                    code title=(clean_line(&source.commit)) { (short(&source.commit)) }
                }
            }
            span {
                @match service.last_resync {
                    Some(at) => { "resync " (time(at, now, Tense::Ago)) },
                    None => "no resync yet",
                }
            }
            @if !service.ready { span.wait { "first look under way" } }
        }
    }
}

/// A commit's id, abbreviated.
fn short(commit: &str) -> String {
    clean_line(commit).chars().take(10).collect()
}

/// A digest of what a page shows. Render the parts for a fixed time: relative times would change it.
pub(super) fn digest(parts: &Parts, rest: impl Hash) -> String {
    let mut hasher = DefaultHasher::new();
    for asset in &*ASSETS {
        asset.name.hash(&mut hasher);
    }
    for (id, part) in parts {
        (id, &part.0).hash(&mut hasher);
    }
    rest.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
