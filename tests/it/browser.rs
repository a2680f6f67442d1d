//! The service's page in a real browser. Needs Chromium, chromedriver, and axe-core in the file that
//! `GOLIVE_AXE` names; without them the tests are skipped, unless `GOLIVE_BROWSER` is `required`.

mod driver;

use driver::{Tab, Tools, browse};
use fantoccini::Locator;
use fantoccini::key::Key;
use golive::marketplace::OfferId;
use golive::status::{Phase, Reason};
use serde_json::json;

use crate::page_server::PageServer;
use crate::sample_records;

/// Returns the tools, or skips the test.
macro_rules! tools {
    () => {
        match Tools::find() {
            Ok(tools) => tools,
            Err(missing) => {
                let required = std::env::var("GOLIVE_BROWSER").is_ok_and(|it| it == "required");
                assert!(!required, "{missing}");
                println!("SKIPPED: no test in a browser: {missing}");
                return;
            }
        }
    };
}

fn offer(name: &str) -> OfferId {
    name.parse().unwrap()
}

fn row(name: &str) -> String {
    format!("document.getElementById('{name}')")
}

/// The ids of the rows, in order.
async fn rows(tab: &Tab) -> Vec<String> {
    let rows =
        tab.run("return [...document.querySelectorAll('#rows > tr')].map(it => it.id)").await;
    serde_json::from_value(rows).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_shows_an_offer_going_live() {
    let tools = tools!();
    let server = PageServer::with_offers(5).await;
    let vault = offer("contoso/backup-vault");
    let in_preview = sample_records::record(
        Phase::Preview,
        Reason::InPreview,
        "version 5 is in preview",
        server.now,
    );
    server.set(&vault, in_preview);
    browse(&tools, true, async |tab| {
        tab.0.goto(&server.url("/")).await.unwrap();
        tab.connected().await;
        tab.run("window.still = true; document.querySelector('#rows a').focus()").await;
        let phase = format!("{}.querySelector('.ph').textContent", row("contoso/backup-vault"));

        let runs = |percent| {
            let (phase, reason) = (Phase::InProgress, Reason::GoLiveRunning);
            let mut record = sample_records::record(phase, reason, "golive runs", server.now);
            record.operation.as_mut().unwrap().steps[3].progress = Some(percent);
            record
        };
        server.set(&vault, runs(10));
        tab.until(&format!("{phase} === 'InProgress'")).await;
        server.set(&vault, runs(77));
        let bar = format!("{}.querySelector('progress').value", row("contoso/backup-vault"));
        tab.until(&format!("{bar} === 77")).await;
        let said = "document.getElementById('say').textContent";
        tab.until(&format!("{said} === 'contoso/backup-vault is InProgress'")).await;

        let (phase_now, reason) = (Phase::Live, Reason::InProduction);
        server.set(
            &vault,
            sample_records::record(phase_now, reason, "version 5 is live", server.now),
        );
        tab.until(&format!("{phase} === 'Live'")).await;
        tab.until(&format!("{said} === 'contoso/backup-vault is Live'")).await;
        tab.until("document.querySelector('#phases .live').textContent === '3 Live'").await;
        let kept = "window.still && document.activeElement.getAttribute('href')";
        assert_eq!(tab.run(&format!("return {kept}")).await, "offers/contoso/backup-vault");

        // A new offer appears at its sorted position, and disappears.
        server.set(&offer("contoso/cache"), runs(1));
        tab.until("document.querySelectorAll('#rows > tr').length === 6").await;
        assert_eq!(rows(&tab).await[..2], ["contoso/backup-vault", "contoso/cache"]);
        server.remove(&offer("contoso/cache"));
        tab.until("document.querySelectorAll('#rows > tr').length === 5").await;
        assert_eq!(tab.console_errors().await, [json!(null); 0]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_catches_up_after_missed_events() {
    let tools = tools!();
    let server = PageServer::with_offers(5).await;
    let address = server.address;
    browse(&tools, true, async |tab| {
        tab.0.goto(&server.url("/")).await.unwrap();
        tab.connected().await;
        tab.run("window.still = true").await;
        // More changes than the page sends as single events.
        for (offer, record) in sample_records::offers(300, server.now) {
            server.set(&offer, record);
        }
        tab.until("document.querySelectorAll('#rows > tr').length === 300").await;
        let shown = rows(&tab).await;
        assert!(shown.is_sorted(), "{shown:?}");
        assert_eq!(tab.console_errors().await, [json!(null); 0]);

        // The service restarts with a new state.
        server.stop().await;
        tab.until("document.getElementById('link').className === 'lost'").await;
        let again = PageServer::at(address).await;
        for (offer, record) in sample_records::offers(3, again.now) {
            again.set(&offer, record);
        }
        tab.until("document.querySelectorAll('#rows > tr').length === 3").await;
        tab.connected().await;
        assert_eq!(tab.run("return window.still").await, true);
        assert_eq!(
            tab.run("return document.getElementById('caption').textContent").await,
            "3 offers"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_filters_and_opens() {
    let tools = tools!();
    let server = PageServer::with_offers(10).await;
    browse(&tools, true, async |tab| {
        tab.0.goto(&server.url("/")).await.unwrap();
        let press = async |keys: &str| {
            tab.0.active_element().await.unwrap().send_keys(keys).await.unwrap();
        };
        let tab_key = Key::Tab.to_string();
        press(&tab_key).await;
        assert_eq!(tab.run("return document.activeElement.className").await, "skip");
        for _ in 0..30 {
            if tab.run("return document.activeElement.name === 'q'").await == json!(true) {
                break;
            }
            press(&tab_key).await;
        }
        press(&format!("sql{}", char::from(Key::Enter))).await;
        tab.until("location.search.includes('q=sql')").await;
        assert_eq!(rows(&tab).await, ["contoso/sql-accelerator"]);
        tab.connected().await;
        tab.run("document.querySelector('#rows a').focus()").await;
        press(&Key::Enter.to_string()).await;
        tab.until("location.pathname === '/offers/contoso/sql-accelerator'").await;
        tab.connected().await;

        // The page gets events again.
        let live = sample_records::record(
            Phase::Live,
            Reason::InProduction,
            "version 5 is live",
            server.now,
        );
        server.set(&offer("contoso/sql-accelerator"), live);
        tab.until("document.querySelector('#offer .ph').textContent === 'Live'").await;
        assert_eq!(tab.console_errors().await, [json!(null); 0]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_and_its_filters_work_without_scripts() {
    let tools = tools!();
    let server = PageServer::with_offers(10).await;
    browse(&tools, false, async |tab| {
        tab.0.goto(&server.url("/")).await.unwrap();
        let count = async || tab.0.find_all(Locator::Css("#rows > tr")).await.unwrap().len();
        let link = tab.0.find(Locator::Id("link")).await.unwrap();
        assert_eq!((count().await, link.text().await.unwrap().as_str()), (10, ""));
        let form = tab.0.form(Locator::Css("form")).await.unwrap();
        form.set(Locator::Css("[name=q]"), "identity").await.unwrap();
        tab.0.find(Locator::Css("form button")).await.unwrap().click().await.unwrap();
        tab.0.wait().for_element(Locator::Css("form > a")).await.unwrap();
        assert_eq!(count().await, 1);
        tab.0.find(Locator::Css("#rows a")).await.unwrap().click().await.unwrap();
        let title = tab.0.wait().for_element(Locator::Css("h1 b")).await.unwrap();
        assert_eq!(title.text().await.unwrap(), "identity-bridge");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_accessible() {
    let tools = tools!();
    let server = PageServer::with_offers(10).await;
    server.manifests("offers/firewall.yaml", "publisher: contoso\nstat: live\n");
    server.service_state.update(|service| service.source_problem = Some("no answer".to_owned()));
    server.decide(&offer("contoso/backup-vault"), 5);
    browse(&tools, true, async |tab| {
        for path in [
            "/",
            "/?phase=Failed&q=zzz",
            "/offers/contoso/backup-vault",
            "/offers/contoso/sql-accelerator",
            "/offers/contoso/render-farm",
            "/offers/contoso/nothing",
        ] {
            tab.0.goto(&server.url(path)).await.unwrap();
            tab.run(&tools.axe).await;
            for (width, scheme) in [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]
            {
                tab.look(width, scheme).await;
                let wide = tab.run("return document.documentElement.scrollWidth").await;
                assert!(wide.as_u64().unwrap() <= u64::from(width), "{path} at {width}: {wide}");
                let found = tab.0.execute_async(AXE, Vec::new()).await.unwrap();
                assert_eq!(found, json!([]), "{path} at {width}, {scheme}");
            }
        }
        let complaints = tab.console_errors().await;
        // The browser logs the 404 of the last page.
        assert!(
            complaints.iter().all(|it| it["message"].to_string().contains("404")),
            "{complaints:?}"
        );
    })
    .await;
}

/// Runs axe-core, and returns its violations with their elements.
const AXE: &str = "const done = arguments[arguments.length - 1];
    axe.run().then(
        (found) => done(found.passes.length < 10 ? 'it looked at nothing' : found.violations.map((it) => [it.id, it.help, it.nodes.map((node) => node.html)])),
        (error) => done(String(error)),
    );";
