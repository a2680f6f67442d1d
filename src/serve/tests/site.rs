//! Paths, methods, headers, and what is on the pages.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Method, StatusCode, header};
use jiff::SignedDuration;

use super::{Fixture, body, get, header_of, invented};
use crate::changes::{Change, ChangeSet, Decision, OfferPosition};
use crate::disk::{Disk as _, RealDisk};
use crate::marketplace::{PublisherId, Release};
use crate::serve::assets::ASSETS;
use crate::status::{Phase, Reason, SourceRecord, to_bytes};
use crate::watch::Trouble;

/// Every path that is served, streams aside.
fn paths() -> Vec<String> {
    let fixed = ["/", "/offers/contoso/vm", "/api/status", "/metrics", "/readyz", "/healthz"];
    fixed
        .into_iter()
        .map(str::to_owned)
        .chain(ASSETS.iter().map(|it| format!("/{}", it.address())))
        .collect()
}

/// A site that is ready, with one offer, whose loop is alive.
fn ready() -> Fixture {
    let mut fixture = Fixture::new();
    fixture.set("contoso/vm", invented::running("Live", Some(42)));
    fixture.serving.service_state.update(|service| service.ready = true);
    let (_, never) = tokio::sync::mpsc::channel(1);
    let mut pings = std::mem::replace(&mut fixture.pings, never);
    tokio::spawn(async move {
        while let Some(ping) = pings.recv().await {
            ping.send(()).unwrap();
        }
    });
    fixture
}

#[tokio::test(start_paused = true)]
async fn all_is_read_and_nothing_is_written() {
    let fixture = ready();
    for path in paths() {
        for method in [Method::GET, Method::HEAD] {
            let request = get(&path).method(method.clone()).body(Body::empty()).unwrap();
            assert_eq!(fixture.send(request).await.status(), 200, "{method} {path}");
        }
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"] {
            let request = get(&path).method(method).body(Body::from("{}")).unwrap();
            let response = fixture.send(request).await;
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            assert_eq!(header_of(&response, header::ALLOW), Some("GET, HEAD"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn unknown_paths_are_not_found() {
    let fixture = ready();
    for path in [
        "/x",
        "//",
        "/index.html",
        "/offers",
        "/offers/contoso",
        "/offers/contoso/vm/x",
        "/offers/contoso/absent",
        "/offers/contoso/%2e%2e",
        "/offers/../x",
        "/api",
        "/api/status/",
        "/assets/",
        "/assets/page.css",
        "/assets/../Cargo.toml",
        "/metrics/x",
    ] {
        assert_eq!(fixture.get(path).await.status(), 404, "{path}");
    }
    assert_eq!(fixture.get("/?phase=Alive").await.status(), 400);
    assert_eq!(fixture.get("/events?offer=vm").await.status(), 400);
}

#[tokio::test(start_paused = true)]
async fn every_answer_forbids_what_no_page_needs() {
    let fixture = ready();
    let mut paths = paths();
    paths.extend(["/events".to_owned(), "/x".to_owned(), "/?phase=x".to_owned()]);
    for (path, host) in paths.iter().flat_map(|it| [(it, "127.0.0.1"), (it, "evil.example")]) {
        let mut request = get(path).body(Body::empty()).unwrap();
        request.headers_mut().insert(header::HOST, host.parse().unwrap());
        let response = fixture.send(request).await;
        let value = |name: &'static str| {
            header_of(&response, header::HeaderName::from_static(name)).unwrap().to_owned()
        };
        let policy = value("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"));
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(policy.ends_with("frame-ancestors 'none'"), "{policy}");
        assert_eq!(value("x-content-type-options"), "nosniff");
        assert_eq!(value("referrer-policy"), "no-referrer");
        assert_eq!(value("cross-origin-resource-policy"), "same-origin");
        assert_eq!(response.status() == 421, host == "evil.example", "{path}");
        let cache = value("cache-control");
        let kept = path.starts_with("/assets/") && host != "evil.example";
        assert_eq!(cache.contains("immutable"), kept, "{path}: {cache}");
        assert!(kept || cache == "no-store" || path == "/api/status", "{path}: {cache}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_not_known_says_how_to_allow_it() {
    let fixture = ready();
    for (host, status) in [("golive.contoso.com", 200), ("localhost:1", 200), ("evil.example", 421)]
    {
        let mut request = get("/").body(Body::empty()).unwrap();
        request.headers_mut().insert(header::HOST, host.parse().unwrap());
        let response = fixture.send(request).await;
        assert_eq!(response.status(), status, "{host}");
        if status == 421 {
            assert!(body(response).await.contains("golive watch --allow-host NAME"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_status_is_that_of_the_file_and_has_a_tag() {
    let fixture = ready();
    let response = fixture.get("/api/status").await;
    let tag = header_of(&response, header::ETAG).unwrap().to_owned();
    assert_eq!(header_of(&response, header::CACHE_CONTROL), Some("no-cache"));
    assert_eq!(header_of(&response, header::CONTENT_TYPE), Some("application/json"));
    let bytes = to_bytes(&fixture.serving.store.snapshot()).unwrap();
    assert_eq!(body(response).await.as_bytes(), bytes);

    let asked = |tags: &str| {
        let request = get("/api/status").header(header::IF_NONE_MATCH, tags);
        fixture.send(request.body(Body::empty()).unwrap())
    };
    for tags in [tag.clone(), format!("\"x\", {tag}"), format!("W/{tag}"), "*".to_owned()] {
        let response = asked(&tags).await;
        assert_eq!(response.status(), 304, "{tags}");
        assert_eq!(header_of(&response, header::ETAG), Some(&*tag));
        assert_eq!(body(response).await, "");
    }
    assert_eq!(asked("\"x\"").await.status(), 200);
    fixture.set("contoso/vm", invented::running("Live", Some(43)));
    assert_eq!(asked(&tag).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn compressed_responses_have_a_tag_of_their_own() {
    let fixture = ready();
    let asked = |path: &str, tag: &str| {
        let request =
            get(path).header(header::ACCEPT_ENCODING, "gzip").header(header::IF_NONE_MATCH, tag);
        fixture.send(request.body(Body::empty()).unwrap())
    };
    for path in ["/", "/metrics", "/api/status"] {
        let response = asked(path, "\"x\"").await;
        assert_eq!(header_of(&response, header::CONTENT_ENCODING), Some("gzip"), "{path}");
        assert_eq!(header_of(&response, header::VARY), Some("accept-encoding"), "{path}");
    }
    let plain = fixture.get("/api/status").await;
    let compressed = asked("/api/status", "\"x\"").await;
    let tag = header_of(&compressed, header::ETAG).unwrap();
    assert_ne!(header_of(&plain, header::ETAG), Some(tag));
    assert_eq!(asked("/api/status", tag).await.status(), 304);
    let events = asked("/events", "\"x\"").await;
    assert_eq!(header_of(&events, header::CONTENT_ENCODING), None);
}

#[tokio::test(start_paused = true)]
async fn health_is_that_of_the_loop_and_ready_comes_with_the_first_look() {
    let fixture = Fixture::new();
    let began = tokio::time::Instant::now();
    assert_eq!(fixture.get("/healthz").await.status(), 503);
    assert_eq!(began.elapsed(), Duration::from_secs(5), "a loop has some seconds to answer");
    let response = fixture.get("/readyz").await;
    assert_eq!(response.status(), 503);
    assert!(body(response).await.contains("not ready: manifests were not read yet"));

    let fixture = ready();
    assert_eq!(fixture.text("/healthz").await, "ok\n");
    assert_eq!(fixture.text("/readyz").await, "ready\n");
}

#[tokio::test(start_paused = true)]
async fn the_page_shows_offers_and_the_service() {
    let fixture = ready();
    fixture.set("fabrikam/db", invented::record(Phase::Blocked, Reason::Forbidden, "no access"));
    let offer = "contoso/vm".parse().unwrap();
    let next = invented::at() + SignedDuration::from_mins(4);
    fixture.serving.service_state.schedule(&offer, Some(next));
    fixture.serving.service_state.update(|service| {
        "offers/".clone_into(&mut service.place);
        service.last_resync = Some(invented::at() - SignedDuration::from_mins(7));
        service.source_problem = Some("no answer from git.contoso.com".to_owned());
        service.source = Some(SourceRecord {
            branch: Some("main".to_owned()),
            commit: "8c1f0c7b64cc7e9a2d1a".to_owned(),
            url: "https://git.contoso.com/offers".to_owned(),
        });
    });
    let page = fixture.text("/").await;
    for part in [
        "contoso/<wbr><b>vm</b>",
        "GoLiveRunning",
        "<td>5</td><td>4</td>",
        "<progress max=\"100\" value=\"42\" aria-label=\"Live\"></progress>",
        "estimate &lt; 5 day",
        ">in 4 min</time>",
        "next resync",
        "no access",
        "2 offers",
        "<b>1</b> Blocked",
        "<b>0</b> Failed",
        "offers/",
        "main at",
        ">8c1f0c7b64<",
        "7 min ago",
        "no answer from git.contoso.com",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    assert!(!page.contains("first look under way"));
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_the_service_itself_stands_first() {
    let fixture = ready();
    let writable = async || {
        let text = fixture.text("/metrics").await;
        text.lines().find_map(|it| it.strip_prefix("golive_status_writable ").map(str::to_owned))
    };
    let full = Trouble::Unwritable("no space: <b>\u{1b}[31m".to_owned());
    for (trouble, told, is_writable) in [
        (full, "status file can't be written", "0"),
        (Trouble::Unsound("rule 3".to_owned()), "golive made a mistake", "1"),
    ] {
        fixture.serving.service_state.update(|service| {
            service.source_problem = Some("no answer".to_owned());
            service.trouble = Some(trouble.clone());
        });
        let page = fixture.text("/").await;
        let notices = page.split_once("id=\"notices\"").unwrap().1;
        let heading = notices.find(told).unwrap_or_else(|| panic!("{notices}"));
        assert!(heading < notices.find("no answer").unwrap(), "{notices}");
        let shown = if is_writable == "0" { "no space: &lt;b&gt;" } else { "rule 3" };
        assert!(notices.contains(shown) && !notices.contains('\u{1b}'), "{notices}");
        assert_eq!(writable().await.as_deref(), Some(is_writable));
    }
    fixture.serving.service_state.update(|service| service.trouble = None);
    assert!(!fixture.text("/").await.contains("id=\"trouble\""));
    assert_eq!(writable().await.as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn a_marketplace_that_gives_no_answer_is_a_notice() {
    let fixture = ready();
    fixture.serving.service_state.update(|service| {
        let publisher = PublisherId::new("contoso").unwrap();
        service.unlisted = Arc::new([(publisher, "no route <i>".to_owned())].into());
    });
    let page = fixture.text("/").await;
    assert!(page.contains("A publisher can't be listed") && page.contains("no route &lt;i&gt;"));
}

#[tokio::test(start_paused = true)]
async fn a_pause_names_its_publisher_and_says_that_others_go_on() {
    let fixture = ready();
    let until = invented::at() + SignedDuration::from_mins(30);
    let paused = invented::paused(&[("contoso", until)], None);
    fixture.serving.service_state.set_paused_until(move || paused.clone());
    let page = fixture.text("/").await;
    for part in [
        "Requests about contoso are paused",
        "Other publishers' offers go on.",
        "<b>contoso</b> until 2026-11-01T09:30:00Z: GET / was answered 429 &lt;i&gt;",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    assert!(!page.contains("nothing at all") && !page.contains("it is not asked"), "{page}");
}

#[tokio::test(start_paused = true)]
async fn an_offer_that_was_not_looked_at_says_why() {
    let fixture = ready();
    let path = fixture.folder.path().join("all.yaml");
    let yaml = ["contoso", "fabrikam", "tailspin"]
        .map(|publisher| format!("publisher: {publisher}\noffer: new\nstate: live\n"));
    RealDisk.write(&path, yaml.join("---\n").as_bytes()).unwrap();
    let desired = crate::manifest::load(&[path]).unwrap().offers;
    let paused = invented::paused(&[("contoso", invented::at())], None);
    fixture.serving.service_state.set_paused_until(move || paused.clone());
    fixture.serving.service_state.update(|service| {
        service.desired = desired.into();
        let publisher = PublisherId::new("fabrikam").unwrap();
        service.unlisted = Arc::new([(publisher, "no route <i>".to_owned())].into());
    });
    for (offer, why) in [
        ("contoso/new", ": the marketplace asks to wait until 2026-11-01T09:00:00Z: GET / was"),
        ("fabrikam/new", ": fabrikam can't be listed: no route &lt;i&gt;"),
        ("tailspin/new", "."),
    ] {
        let page = fixture.text(&format!("/offers/{offer}")).await;
        assert!(page.contains(&format!("This offer was not checked yet{why}")), "{page}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_page_shows_what_its_address_asks_for() {
    let fixture = ready();
    fixture.set("fabrikam/db", invented::record(Phase::Blocked, Reason::Forbidden, "no access"));
    for (query, vm, db, caption) in [
        ("", true, true, ">2 offers<"),
        ("?phase=Blocked", false, true, ">1 of 2 offers<"),
        ("?publisher=Contoso&phase=&q=", true, false, ">1 of 2 offers<"),
        ("?q=no+access", false, true, ">1 of 2 offers<"),
        ("?q=%3Cb%3E", false, false, ">0 of 2 offers<"),
    ] {
        let page = fixture.text(&format!("/{query}")).await;
        assert_eq!(page.contains("id=\"contoso/vm\""), vm, "{query}");
        assert_eq!(page.contains("id=\"fabrikam/db\""), db, "{query}");
        assert!(page.contains(caption), "{query}");
        assert_eq!(page.contains("No offers match"), !vm && !db, "{query}");
    }
    let page = fixture.text("/?publisher=contoso&phase=Live&q=a%22b").await;
    assert!(page.contains("value=\"a&quot;b\""), "{page}");
    assert!(page.contains("<option selected>Live</option>"), "{page}");
    assert!(page.contains("href=\"./?phase=Held&amp;publisher=contoso&amp;q=a%22b\""), "{page}");
    assert!(page.contains("data-events=\"./events?phase=Live&amp;publisher=contoso&amp;q=a%22b\""));
}

#[tokio::test(start_paused = true)]
async fn an_offer_has_a_page_of_its_own() {
    let fixture = ready();
    let offer = "contoso/vm".parse().unwrap();
    let mut record = invented::running("Live", Some(42));
    let mut ended = record.operation.clone().unwrap();
    ended.status = crate::marketplace::OperationStatus::Canceled;
    ended.finished_at = Some(invented::at() + SignedDuration::from_hours(30));
    ended.adopted = true;
    ended.request_id = None;
    record.history.push(*ended);
    fixture.set("contoso/vm", record);
    let to = OfferPosition {
        state: Some("live"),
        live_version: Some(Release::from(5)),
        ..OfferPosition::default()
    };
    let from = OfferPosition { state: Some("preview"), ..OfferPosition::default() };
    let decision = Decision::GoLive { release: Release::from(5) };
    let change = Change { offer, decision, from, to, in_doubt: false, product: None };
    fixture.serving.service_state.decided(&ChangeSet { changes: vec![change] });

    let page = fixture.text("/offers/Contoso/VM").await;
    for part in [
        "golive runs",
        "under way",
        "estimate &lt; 5 day",
        "d138eccc",
        "07070707-0707",
        "offers/vm.yaml",
        "sha256:00",
        "canceled",
        "another client",
        "2026-11-02 15:00:00 UTC",
        "<span class=\"del\">-state: preview\n</span>",
        "<span class=\"add\">+state: live\n</span>",
        "<span class=\"at\">--- observed\n</span>",
        "data-events=\"../../events?offer=Contoso/VM\"",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_product_has_a_link_to_partner_center() {
    let fixture = ready();
    let guid = "5d3a7f2e-0b1c-4c6e-9a52-1f2e3d4c5b6a";
    let mut record = invented::running("Live", Some(42));
    if let Some(observed) = &mut record.observed {
        observed.product = Some(guid.to_owned());
    }
    let mut failed = record.clone();
    failed.phase = Phase::Failed;
    fixture.set("contoso/vm", record);
    let offers = "https://partner.microsoft.com/dashboard/commercial-marketplace/offers";
    let page = fixture.text("/offers/contoso/vm").await;
    assert!(page.contains(&format!("href=\"{offers}/{guid}/overview\"")), "{page}");
    assert!(!page.contains("/history"), "{page}");
    fixture.set("contoso/vm", failed.clone());
    let page = fixture.text("/offers/contoso/vm").await;
    assert!(page.contains(&format!("href=\"{offers}/{guid}/history\"")), "{page}");
    // One of a file that was tampered with is none.
    if let Some(observed) = &mut failed.observed {
        observed.product = Some("../../../evil".to_owned());
    }
    fixture.set("contoso/vm", failed);
    let page = fixture.text("/offers/contoso/vm").await;
    assert!(!page.contains("partner.microsoft.com") && !page.contains("evil"), "{page}");
}

#[tokio::test(start_paused = true)]
async fn pages_have_no_code_and_no_style_in_them() {
    let fixture = ready();
    for path in ["/", "/offers/contoso/vm"] {
        let page = fixture.text(path).await;
        assert!(!page.contains("style=") && !page.contains("<style"), "{page}");
        assert!(!page.contains("javascript:") && !page.contains(" onclick"), "{page}");
        assert_eq!(page.matches("<script").count(), 1, "{page}");
        for asset in &*ASSETS {
            assert!(page.contains(&asset.address()), "{}", asset.name);
        }
    }
}
