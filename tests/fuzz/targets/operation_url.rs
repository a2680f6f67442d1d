//! Operation URLs, from a header or from a status file that anyone may have written. golive sends the
//! token there.

use bytes::Bytes;
use golive::backends::http::Endpoint;
use golive::backends::portal::OperationUrl;
use golive::marketplace::{MarketplaceError, OfferId, OperationRef};
use http::{Response, Uri};

use super::portal::{Portal, answer, block_on};
use super::status_file::stored_location;
use super::text::assert_clean;

/// A marketplace, an offer there, and the prefix of its operations' URLs.
pub(super) struct Place {
    pub(super) endpoint: &'static str,
    offer: &'static str,
    scheme: &'static str,
    host: &'static str,
    port: u16,
    base: &'static str,
}

impl Place {
    pub(super) fn offer(&self) -> OfferId {
        self.offer.parse().expect("an offer")
    }
}

/// With and without a port and a path; a host name and two kinds of IP addresses.
pub(super) const PLACES: [Place; 3] = [
    Place {
        endpoint: Endpoint::DEFAULT,
        offer: "contoso/vm",
        scheme: "https",
        host: "cloudpartner.azure.com",
        port: 443,
        base: "",
    },
    Place {
        endpoint: "http://127.0.0.1:8080/emulator/",
        offer: "Contoso.2/vm_1-x",
        scheme: "http",
        host: "127.0.0.1",
        port: 8080,
        base: "/emulator",
    },
    Place {
        endpoint: "http://[::1]",
        offer: "contoso/vm",
        scheme: "http",
        host: "[::1]",
        port: 80,
        base: "",
    },
];

pub fn operation_url(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    CLIENTS.with(|clients| {
        for (place, client) in PLACES.iter().zip(clients) {
            named(place, client, &text);
            by_id(place, client, &text);
        }
    });
}

/// A client for a marketplace.
struct Client {
    endpoint: Endpoint,
    offer: OfferId,
    portal: Portal,
}

thread_local! {
    static CLIENTS: Vec<Client> = PLACES.iter().map(|place| Client {
        endpoint: place.endpoint.parse().expect("an endpoint"),
        offer: place.offer(),
        portal: Portal::new(place.endpoint, running()),
    }).collect();
}

fn running() -> Response<Bytes> {
    answer(b"{\"status\": \"running\"}", 200)
}

/// The text as a header's value, or as a location in the status file.
fn named(place: &Place, client: &Client, text: &str) {
    let Client { endpoint, offer, portal } = client;
    let found = match OperationUrl::resolve(endpoint, offer, text) {
        Ok(found) => found,
        Err(MarketplaceError::ForeignOperationUrl(why)) => return assert_clean(&why),
        Err(other) => panic!("{other:?}"),
    };
    assert!(!has_user(text), "a user name, even an empty one, is never honest");
    let reference = found.reference();
    let location = reference.location.clone().expect("a URL has a location");
    assert_clean(&location);

    let stored = stored_location(&location);
    let again = OperationUrl::resolve(endpoint, offer, &stored).map_err(|e| e.to_string());
    assert_eq!(again, Ok(found), "what was stored is taken again");

    let as_given = OperationRef { location: Some(text.to_owned()), ..reference.clone() };
    let asked = [as_given, reference].map(|reference| {
        let polled = block_on(portal.client.operation(offer, &reference));
        assert!(polled.is_ok(), "{polled:?}");
        portal.asked()
    });
    assert_eq!(asked[0], asked[1], "what was stored leads to the same URL");
    assert_ours(place, &asked[0]);
}

/// Whether there is an `@` between `//` and the path.
fn has_user(text: &str) -> bool {
    let text = text.trim();
    let scheme = text.find("//").filter(|at| !text[..*at].contains(['/', '?', '#']));
    let behind = scheme.map_or("", |at| &text[at + 2..]);
    behind.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
}

/// The text as an operation's id, from the status file or a list.
fn by_id(place: &Place, client: &Client, text: &str) {
    let reference = OperationRef { id: text.to_owned(), location: None };
    match block_on(client.portal.client.operation(&client.offer, &reference)) {
        Ok(_) => assert_ours(place, &client.portal.asked()),
        Err(MarketplaceError::ForeignOperationUrl(why)) => assert_clean(&why),
        Err(other) => panic!("{other:?}"),
    }
}

/// Fails unless one request was made, to the configured origin, for an operation of the offer.
pub(super) fn assert_ours(place: &Place, asked: &[Uri]) {
    let [uri] = asked else { panic!("one request, not {asked:?}") };
    let authority = uri.authority().expect("an absolute URL").as_str();
    assert!(!authority.contains('@'), "{uri} has a user name");
    assert_eq!(uri.scheme_str(), Some(place.scheme), "{uri}");
    assert_eq!(uri.host(), Some(place.host), "{uri}");
    let usual = if place.scheme == "https" { 443 } else { 80 };
    assert_eq!(uri.port_u16().unwrap_or(usual), place.port, "{uri}");
    let query = decoded(uri.query().unwrap_or_default()).to_ascii_lowercase();
    assert!(query.contains("api-version"), "{uri}");

    let path = decoded(uri.path()).to_ascii_lowercase();
    let path = path.strip_prefix(place.base).unwrap_or(&path);
    let offer = place.offer.to_ascii_lowercase();
    let (publisher, name) = offer.split_once('/').expect("a pair");
    let of_offer = format!("/api/publishers/{publisher}/offers/{name}/operations/");
    let of_version = format!("/api/operations/{publisher}${name}$");
    let id = path.strip_prefix(&of_offer).or_else(|| path.strip_prefix(&of_version));
    let id = id.unwrap_or_else(|| panic!("{uri} is not of {offer}"));
    let id = id.strip_suffix('/').unwrap_or(id);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"$-_.~".contains(&byte);
    assert!(!id.is_empty() && id.bytes().all(plain) && id != "." && id != "..", "{uri}");
}

/// Percent-decoded until nothing changes, as servers on the way may do.
fn decoded(text: &str) -> String {
    (0..4).fold(text.to_owned(), |text, _| {
        percent_encoding::percent_decode_str(&text).map(char::from).collect()
    })
}
