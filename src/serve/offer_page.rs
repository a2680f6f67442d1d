//! The page of one offer.

use jiff::Timestamp;
use maud::{Markup, Render, html};

use super::Serving;
use super::layout::{Live, Parts, digest, layout, source};
use super::operation::{history, operation};
use super::route::{home, offer_address};
use super::table::phase;
use super::time::{Tense, time};
use crate::changes::diff;
use crate::manifest::{Loaded, Manifest};
use crate::marketplace::{OfferId, Pause, ProductPage, clean_line};
use crate::status::{Intent, ManifestRecord, ObservationRecord, OfferRecord, Phase};
use crate::watch::Service;

/// The page; `None` if the offer has neither a record nor a manifest.
pub(super) fn render(serving: &Serving, offer: &OfferId) -> Option<Markup> {
    let record = serving.store.get(offer);
    if record.is_none() && !serving.service_state.service().desired.contains_key(offer) {
        return None;
    }
    let live =
        Live { events: format!("events?offer={offer}"), digest: content_digest(serving, offer) };
    let home = home(&format!("/{}", offer_address(offer)));
    let content = html! {
        nav.crumbs aria-label="Where you are" { a href=(home) { "Offers" } }
        (article(serving, offer, serving.clock.now()))
    };
    Some(layout(serving, &home, &offer.to_string(), Some(&live), &content))
}

/// The parts that change.
pub(super) fn parts(serving: &Serving, offer: &OfferId, now: Timestamp) -> Parts {
    vec![("source", source(serving, now)), ("offer", article(serving, offer, now))]
}

/// A digest of what the page shows, apart from the relative times.
pub(super) fn content_digest(serving: &Serving, offer: &OfferId) -> String {
    digest(&parts(serving, offer, Timestamp::UNIX_EPOCH), ())
}

fn article(serving: &Serving, offer: &OfferId, now: Timestamp) -> Markup {
    let record = serving.store.get(offer);
    let service = serving.service_state.service();
    let loaded = service.desired.get(offer).map(|loaded| &**loaded);
    html! {
        article id="offer" {
            h1 { (offer.publisher()) "/" wbr; b { (offer.offer()) } }
            @match &record {
                Some(record) => {
                    (state(serving, offer, record, now))
                    @if let Some(intent) = &record.intent { (intent_card(intent, now)) }
                    @if let Some(run) = &record.operation { (operation(run, now)) }
                    div.cards {
                        (manifest_card(serving, offer, loaded, Some(&record.manifest)))
                        @if let Some(observed) = &record.observed { (observation_card(observed, record, now)) }
                    }
                    (history(&record.history))
                },
                None => {
                    p.lead {
                        @if loaded.is_some() { "This offer was not checked yet" (why_unseen(&service, offer)) }
                        @else { "This offer's manifest is gone. golive does not follow it any more." }
                    }
                    @if loaded.is_some() { div.cards { (manifest_card(serving, offer, loaded, None)) } }
                }
            }
        }
    }
}

/// Why an offer was not checked yet: the end of that sentence.
fn why_unseen(service: &Service, offer: &OfferId) -> Markup {
    let publisher = offer.publisher();
    let pause = service.paused.of(publisher);
    html! {
        @match (pause, service.unlisted.get(publisher)) {
            (Some(Pause { until, why }), _) => {
                ": the marketplace asks to wait until " (format!("{until:.0}")) ": " (clean_line(why))
            },
            (None, Some(why)) => { ": " (publisher) " can't be listed: " (clean_line(why)) },
            (None, None) => { "." },
        }
    }
}

/// Where the offer stands, and why.
fn state(serving: &Serving, offer: &OfferId, record: &OfferRecord, now: Timestamp) -> Markup {
    html! {
        p.lead { (phase(record.phase)) " " small { (record.reason) } }
        p.lead { (record.message) }
        p.quiet {
            "Since " (time(record.since, now, Tense::Ago)) ". Next check "
            @match serving.service_state.next(offer) {
                Some(next) => (time(next, now, Tense::Ahead)),
                None => "at the next resync",
            }
            "."
        }
        @if let Some(error) = &record.error {
            section.notice.bad aria-labelledby="error" {
                h2 id="error" { "Last error, " (time(error.at, now, Tense::Ago)) }
                p { (error.message) }
            }
        }
        @if let Some(refused) = &record.refused {
            section.notice.bad aria-labelledby="refused" {
                h2 id="refused" { "The marketplace refused " (refused.kind) " of version " (refused.release) }
                p { (refused.message) }
                p { "It is not repeated until the manifest or the offer changes." }
            }
        }
    }
}

fn intent_card(intent: &Intent, now: Timestamp) -> Markup {
    html! {
        section.card aria-labelledby="intent" {
            h2 id="intent" { "A request may be under way" }
            dl {
                (fact("What", html! { (intent.kind) " of version " (intent.release) }))
                (fact("Written down", time(intent.at, now, Tense::Ago)))
                (fact("Request id", html! { code { (intent.request_id) } }))
                @if let Some(fence) = &intent.fence { (fact("Expects", html! { code { (fence.0) } })) }
            }
        }
    }
}

fn observation_card(observed: &ObservationRecord, record: &OfferRecord, now: Timestamp) -> Markup {
    html! {
        section.card aria-labelledby="observed" {
            h2 id="observed" { "What the marketplace says" }
            dl {
                (fact("Status", maud::display(&observed.status)))
                @if let Some(version) = &observed.preview { (fact("In preview", maud::display(version))) }
                @if let Some(version) = &observed.live { (fact("Live", maud::display(version))) }
                @if let Some(changed) = &observed.changed_time {
                    @match changed.timestamp() {
                        Some(at) => (fact("Changed", time(at, now, Tense::Ago))),
                        None => (fact("Changed", clean_line(&changed.0))),
                    }
                }
                (fact("Observation", time(observed.at, now, Tense::Ago)))
                (fact("Attempts", record.attempts))
                @if let Some(page) = observed.product.as_deref().and_then(ProductPage::of) {
                    (fact("Partner Center", html! {
                        a href=(page.overview()) rel="noreferrer" { "Overview" }
                        @if record.phase == Phase::Failed {
                            " · " a href=(page.history()) rel="noreferrer" { "History" }
                        }
                    }))
                }
            }
        }
    }
}

/// The manifest in force, or what the record knows of it, and how the offer differs from it.
fn manifest_card(
    serving: &Serving,
    offer: &OfferId,
    loaded: Option<&Loaded>,
    recorded: Option<&ManifestRecord>,
) -> Markup {
    let checkout = serving.service_state.service().checkout.unwrap_or_default();
    let file = recorded.map(|recorded| recorded.file.clone()).or_else(|| {
        let file = &loaded?.file;
        Some(file.strip_prefix(checkout).unwrap_or(file).display().to_string())
    });
    let digest = loaded.map(|loaded| &loaded.digest).or(recorded.map(|recorded| &recorded.digest));
    let diff = serving.service_state.change(offer).map(|change| diff(&change)).unwrap_or_default();
    html! {
        section.card aria-labelledby="manifest" {
            h2 id="manifest" { "Manifest" }
            dl {
                @if let Some(file) = file { (fact("File", html! { code { (clean_line(&file)) } })) }
                @if let Some(digest) = digest { (fact("Digest", html! { code { (clean_line(digest)) } })) }
                @match (loaded, recorded) {
                    (Some(loaded), _) => (fields(&loaded.manifest)),
                    (None, Some(recorded)) => (fact("state", recorded.state.as_str())),
                    (None, None) => {},
                }
            }
            @if !diff.is_empty() {
                h3 { "From observed to desired" }
                pre.diff tabindex="0" aria-label="Difference" {
                    @for line in diff.lines() { span class=[diff_class(line)] { (line) "\n" } }
                }
            }
        }
    }
}

fn fields(manifest: &Manifest) -> Markup {
    let list = |items: Vec<String>| clean_line(&items.join(", "));
    html! {
        (fact("state", manifest.state.as_str()))
        @if let Some(version) = manifest.version { (fact("version", maud::display(version))) }
        @if let Some(at) = manifest.not_before { (fact("notBefore", maud::display(at))) }
        @if manifest.suspend { (fact("suspend", "true")) }
        @if !manifest.after.is_empty() {
            (fact("after", list(manifest.after.iter().map(ToString::to_string).collect())))
        }
        @if !manifest.notify.is_empty() { (fact("notify", list(manifest.notify.clone()))) }
        @if !manifest.labels.is_empty() {
            (fact("labels", list(manifest.labels.iter().map(|(k, v)| format!("{k}={v}")).collect())))
        }
    }
}

/// The CSS class of a line of a diff.
fn diff_class(line: &str) -> Option<&'static str> {
    if line.starts_with("---") || line.starts_with("+++") {
        return Some("at");
    }
    match line.as_bytes().first() {
        Some(b'+') => Some("add"),
        Some(b'-') => Some("del"),
        Some(b'@') => Some("at"),
        Some(_) | None => None,
    }
}

/// An entry of a description list.
pub(super) fn fact(name: &str, value: impl Render) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}
