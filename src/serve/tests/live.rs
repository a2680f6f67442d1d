//! Events, in virtual time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::BodyDataStream;
use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::Value;
use tokio::time::{Instant, advance, timeout};

use super::{Fixture, invented};
use crate::disk::{Disk as _, RealDisk};
use crate::marketplace::PausedUntil;
use crate::serve::events::STREAMS;
use crate::status::{Phase, Reason};

/// A page that listens.
struct Page(BodyDataStream);

impl Page {
    async fn open(fixture: &Fixture, path: &str) -> Self {
        let response = fixture.get(path).await;
        assert_eq!(response.status(), 200, "{path}");
        let mut page = Self(response.into_body().into_data_stream());
        let (name, _) = page.event().await;
        assert_eq!(name, "hello");
        page
    }

    async fn chunk(&mut self) -> String {
        let chunk = self.0.next().await.unwrap().unwrap();
        String::from_utf8(chunk.to_vec()).unwrap()
    }

    /// The next event's name and data.
    async fn event(&mut self) -> (String, Value) {
        let chunk = self.chunk().await;
        assert!(chunk.ends_with("\n\n"), "{chunk:?}");
        let chunk = chunk.strip_prefix("retry: 2000\n").unwrap_or(&chunk);
        let (name, data) = chunk.trim_end().split_once('\n').unwrap();
        let data = data.strip_prefix("data: ").unwrap();
        (name.strip_prefix("event: ").unwrap().to_owned(), serde_json::from_str(data).unwrap())
    }

    /// The rows of the next event, with what they say.
    async fn rows(&mut self) -> Vec<(String, Option<String>)> {
        let (name, data) = self.event().await;
        assert_eq!(name, "update", "{data}");
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let rows = data["rows"].as_array().unwrap();
        rows.iter().map(|row| (text(&row[0]).unwrap(), text(&row[1]))).collect()
    }

    fn is_silent(&mut self) -> bool {
        self.0.next().now_or_never().is_none()
    }
}

fn live() -> crate::status::OfferRecord {
    invented::record(Phase::Live, Reason::InProduction, "version 5 is live")
}

#[tokio::test(start_paused = true)]
async fn an_update_has_every_part_that_changed() {
    let fixture = Fixture::new();
    fixture.set("contoso/vm", invented::running("Live", Some(42)));
    let mut page = Page::open(&fixture, "/events").await;
    assert!(page.is_silent());
    fixture.set("contoso/vm", live());
    let (name, data) = page.event().await;
    assert_eq!(name, "update");
    let html = data["rows"][0][1].as_str().unwrap();
    assert!(html.starts_with("<tr id=\"contoso/vm\">") && html.contains("InProduction"), "{html}");
    assert!(data["parts"]["phases"].as_str().unwrap().contains("<b>1</b> Live"));
    let names: Vec<_> = data["parts"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["phases"], "what stays the same is not told");
    fixture.serving.service_state.update(|service| service.ready = true);
    let (_, data) = page.event().await;
    assert_eq!(data["rows"], serde_json::json!([]));
    assert!(!data["parts"]["source"].as_str().unwrap().contains("first look"));
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_the_marketplace_comes_and_goes_by_itself() {
    let fixture = Fixture::new();
    let paused = Arc::new(Mutex::new(PausedUntil::default()));
    let asked = Arc::clone(&paused);
    fixture.serving.service_state.set_paused_until(move || asked.lock().unwrap().clone());
    let mut page = Page::open(&fixture, "/events").await;
    let mut notices = async || {
        let (name, data) = timeout(Duration::from_secs(2), page.event()).await.unwrap();
        assert_eq!(name, "update");
        data["parts"]["notices"].as_str().unwrap().to_owned()
    };
    let (soon, later) = (invented::at(), invented::at() + jiff::SignedDuration::from_mins(5));
    let (contoso, fabrikam) = (("contoso", soon), ("fabrikam", later));
    let both = "Requests about 2 publishers are paused";
    for (publishers, all, shown) in [
        (vec![contoso], None, "about contoso are paused"),
        (vec![("contoso", later)], None, "<b>contoso</b> until 2026-11-01T09:05:00Z"),
        (vec![contoso, fabrikam], None, both),
        (vec![contoso, fabrikam], Some(soon), "until 2026-11-01T09:00:00Z nothing at all is asked"),
        (vec![fabrikam], None, "about fabrikam are paused"),
        (vec![], None, ""),
    ] {
        *paused.lock().unwrap() = invented::paused(&publishers, all);
        let notices = notices().await;
        assert!(notices.contains(shown), "{notices}");
        assert_eq!(notices.contains("asks to wait"), !publishers.is_empty(), "{notices}");
        assert_eq!(notices.contains("nothing at all"), all.is_some(), "{notices}");
    }
}

#[tokio::test(start_paused = true)]
async fn many_changes_are_few_batches() {
    let fixture = Fixture::new();
    let mut page = Page::open(&fixture, "/events").await;
    advance(Duration::from_secs(5)).await;
    let began = Instant::now();
    let mut batches = 0;
    for round in 0..100_u8 {
        for offer in 0..20 {
            let record = invented::running("Live", Some(round));
            fixture.set(&format!("contoso/vm-{offer}"), record);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        while let Some(Some(Ok(chunk))) = page.0.next().now_or_never() {
            assert!(chunk.starts_with(b"event: update\n"));
            batches += 1;
        }
    }
    assert_eq!(began.elapsed(), Duration::from_secs(1));
    assert!((4..=5).contains(&batches), "{batches} batches in a second");
    let last = timeout(Duration::from_millis(250), page.rows()).await.unwrap();
    assert_eq!(last.len(), 20);
    assert!(last[0].1.as_ref().unwrap().contains("value=\"99\""), "the last state is told");
}

#[tokio::test(start_paused = true)]
async fn a_row_that_leaves_the_page_is_removed_once() {
    let fixture = Fixture::new();
    fixture.set("contoso/vm", invented::running("Live", Some(42)));
    fixture.set("contoso/db", invented::running("Live", Some(42)));
    let mut page = Page::open(&fixture, "/events?phase=InProgress").await;
    fixture.set("contoso/vm", live());
    assert_eq!(page.rows().await, [("contoso/vm".to_owned(), None)]);
    fixture.forget("contoso/db");
    assert_eq!(page.rows().await, [("contoso/db".to_owned(), None)]);
    // It is not shown, and nothing that is shown changes.
    let mut other = live();
    other.message = "version 6 is live".to_owned();
    fixture.set("contoso/vm", other);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(page.is_silent());
    fixture.set("contoso/vm", invented::running("Live", Some(1)));
    let back = page.rows().await;
    assert!(back[0].1.is_some(), "it comes back: {back:?}");
}

#[tokio::test(start_paused = true)]
async fn unseen_offers_are_counted_until_they_have_a_record() {
    let fixture = Fixture::new();
    let yaml = "publisher: contoso\noffer: vm\nstate: live\n---\n\
                publisher: contoso\noffer: db\nstate: live\n";
    let path = fixture.folder.path().join("all.yaml");
    RealDisk.write(&path, yaml.as_bytes()).unwrap();
    let desired = crate::manifest::load(&[path]).unwrap().offers;
    let mut page = Page::open(&fixture, "/events?q=db").await;
    fixture.serving.service_state.update(|service| service.desired = desired.into());
    let mut notices = async || {
        let (_, data) = page.event().await;
        data["parts"]["notices"].as_str().unwrap().to_owned()
    };
    assert!(notices().await.contains("2 offers were not checked yet"));
    fixture.set("contoso/vm", live());
    assert!(notices().await.contains("1 offer was not checked yet"));
    fixture.set("contoso/db", live());
    assert!(!notices().await.contains("looked at yet"));
    fixture.forget("contoso/db");
    assert!(notices().await.contains("1 offer was not checked yet"));
}

#[tokio::test(start_paused = true)]
async fn a_page_that_missed_updates_reloads() {
    let fixture = Fixture::new();
    let mut page = Page::open(&fixture, "/events").await;
    for round in 0..2_000_u16 {
        let percent = u8::try_from(round % 100).unwrap();
        fixture.set("contoso/vm", invented::running("Live", Some(percent)));
    }
    assert_eq!(page.event().await.0, "reload");
    fixture.set("contoso/vm", live());
    assert_eq!(page.rows().await.len(), 1, "and then goes on");
    for offer in 0..300 {
        fixture.set(&format!("contoso/vm-{offer}"), live());
    }
    assert_eq!(page.event().await.0, "reload", "the page is shorter than so many rows");
}

#[tokio::test(start_paused = true)]
async fn an_offer_s_page_hears_of_that_offer() {
    let fixture = Fixture::new();
    fixture.set("contoso/vm", invented::running("Live", Some(42)));
    let mut page = Page::open(&fixture, "/events?offer=contoso/vm").await;
    fixture.set("contoso/db", live());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(page.is_silent());
    fixture.set("contoso/vm", live());
    let (name, data) = page.event().await;
    assert_eq!((name.as_str(), &data["rows"]), ("update", &serde_json::json!([])));
    assert!(data["parts"]["offer"].as_str().unwrap().starts_with("<article id=\"offer\">"));
    fixture.forget("contoso/vm");
    let (_, data) = page.event().await;
    assert!(data["parts"]["offer"].as_str().unwrap().contains("manifest is gone"));
}

#[tokio::test(start_paused = true)]
async fn a_greeting_tells_whether_the_page_is_up_to_date() {
    let fixture = Fixture::new();
    fixture.set("contoso/vm", invented::running("Live", Some(42)));
    for (path, events) in [
        ("/?phase=InProgress", "/events?phase=InProgress"),
        ("/offers/contoso/vm", "/events?offer=contoso/vm"),
    ] {
        let page = fixture.text(path).await;
        // Time that passes changes nothing.
        advance(Duration::from_hours(3)).await;
        let hello = async || {
            let response = fixture.get(events).await;
            Page(response.into_body().into_data_stream()).event().await.1
        };
        let same = hello().await;
        assert!(page.contains(&format!("data-digest={same}")), "{same} {page}");
        fixture.set("contoso/vm", invented::running("Live", Some(50)));
        assert_ne!(hello().await, same);
        fixture.set("contoso/vm", invented::running("Live", Some(42)));
    }
}

#[tokio::test(start_paused = true)]
async fn comments_break_silence_and_shutdown_ends_the_stream() {
    let fixture = Fixture::new();
    let mut page = Page::open(&fixture, "/events").await;
    let began = Instant::now();
    for beats in 1..=3 {
        assert_eq!(page.chunk().await, ": still here\n\n");
        assert_eq!(began.elapsed(), Duration::from_secs(15) * beats);
    }
    let Fixture { stop, .. } = fixture;
    stop.cancel();
    assert!(page.0.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_number_of_streams_is_limited() {
    let fixture = Fixture::new();
    let mut pages = Vec::new();
    for _ in 0..STREAMS {
        pages.push(Page::open(&fixture, "/events").await);
    }
    assert_eq!(fixture.get("/events").await.status(), 503);
    assert_eq!(fixture.get("/").await.status(), 200);
    pages.pop();
    assert_eq!(fixture.get("/events").await.status(), 200);
}
