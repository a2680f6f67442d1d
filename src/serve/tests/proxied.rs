//! Behind a proxy that serves the page below a path, and takes that away from what it passes on.

use html5gum::{Token, Tokenizer};
use url::Url;

use super::{Fixture, invented};

/// Where a browser sees the page.
const OUTSIDE: &str = "https://tools.example.com/golive/";

/// All addresses on a page, as a browser understands them.
fn addresses(page: &str, seen_at: &Url) -> Vec<Url> {
    let mut addresses = Vec::new();
    for token in Tokenizer::new(page) {
        let Ok(Token::StartTag(tag)) = token else { continue };
        for (name, value) in &tag.attributes {
            if ["href", "src", "action", "data-events"].iter().any(|it| *name == it.as_bytes()) {
                let value = String::from_utf8(value.to_vec()).unwrap();
                addresses.push(seen_at.join(&value).unwrap());
            }
        }
    }
    addresses
}

#[tokio::test(start_paused = true)]
async fn every_address_of_every_page_is_relative_to_the_page() {
    let fixture = Fixture::new();
    fixture.set("contoso/vm", invented::running("Live", Some(42)));
    fixture.set("contoso/db", invented::running("Live", Some(42)));
    for (path, status, at_least) in [
        ("", 200, 15),
        ("?phase=InProgress&q=vm", 200, 15),
        ("?q=nothing-like-that", 200, 13),
        ("offers/contoso/vm", 200, 8),
        ("nothing", 404, 7),
        ("nothing/is//here/", 404, 7),
        ("offers/contoso/absent", 404, 7),
    ] {
        let seen_at = Url::parse(OUTSIDE).unwrap().join(path).unwrap();
        let response = fixture.get(&format!("/{path}")).await;
        assert_eq!(response.status(), status, "{path}");
        let addresses = addresses(&super::body(response).await, &seen_at);
        assert!(addresses.len() >= at_least, "{path}: {}", addresses.len());
        for address in addresses.iter().filter(|it| it.fragment().is_none()) {
            let inside = address.as_str().strip_prefix(OUTSIDE);
            let inside = inside.unwrap_or_else(|| panic!("{address} on {seen_at}"));
            let status = fixture.get(&format!("/{inside}")).await.status();
            assert_eq!(status, 200, "{address} on {seen_at}");
        }
        assert!(addresses.iter().any(|it| it.as_str() == OUTSIDE), "{path} has no way home");
    }
}

#[tokio::test(start_paused = true)]
async fn events_are_passed_on_as_they_come() {
    let response = Fixture::new().get("/events").await;
    let name = http::HeaderName::from_static("x-accel-buffering");
    assert_eq!(super::header_of(&response, name), Some("no"));
}

#[tokio::test(start_paused = true)]
async fn each_page_says_which_marketplace_it_is_about() {
    let mut fixture = Fixture::new();
    "EMULATOR <b>".clone_into(&mut fixture.serving.marketplace);
    fixture.serve_anew();
    fixture.set("contoso/vm", invented::running("Live", Some(42)));
    for (path, title) in
        [("/", "Offers"), ("/offers/contoso/vm", "contoso/vm"), ("/x", "Not found")]
    {
        let page = super::body(fixture.get(path).await).await;
        let title = format!("<title>{title} · EMULATOR &lt;b&gt; · golive</title>");
        assert!(page.contains(&title), "{page}");
        let header = page.split_once("<header").unwrap().1.split_once("</header>").unwrap().0;
        assert!(header.contains(">EMULATOR &lt;b&gt;<"), "{header}");
    }
}
