//! Operation URLs. The token is sent along, so a URL, which comes from an answer or a file, is
//! checked before each use.

use url::{Position, Url};

use super::wire::API_VERSION;
use crate::backends::http::endpoint::Endpoint;
use crate::marketplace::{MarketplaceError, OfferId, OperationRef, clean_line};

/// Limit for an operation URL, in bytes.
const MAX_URL: usize = 2_048;

/// Limit for an operation id, in bytes.
const MAX_OPERATION_ID: usize = 200;

/// The URL of an operation of one offer at the configured marketplace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationUrl {
    url: Url,
    id: String,
}

impl OperationUrl {
    /// Checks the value of an `Operation-Location` or `Location` header, or a stored location:
    /// joined to the endpoint it must keep scheme, host and port, and its path must be that of an
    /// operation of this very offer, in one of the two known shapes. Adds `api-version` if it is
    /// missing.
    ///
    /// # Errors
    ///
    /// [`MarketplaceError::ForeignOperationUrl`]; its text is cleaned, but tokens aren't redacted.
    pub fn resolve(
        endpoint: &Endpoint,
        offer: &OfferId,
        text: &str,
    ) -> Result<Self, MarketplaceError> {
        check(endpoint, offer, text.trim()).map_err(|why| {
            let shown: String = clean_line(text).chars().take(200).collect();
            MarketplaceError::ForeignOperationUrl(format!("{shown:?} {why}"))
        })
    }

    /// The URL of an operation known by its id only; `None` if the id is invalid.
    pub(super) fn by_id(endpoint: &Endpoint, offer: &OfferId, id: &str) -> Option<Self> {
        if !is_operation_id(id) {
            return None;
        }
        let (publisher, name) = (offer.publisher().as_str(), offer.offer());
        let url = if is_unmigrated(id, offer) {
            call_url(endpoint, &["operations", id])
        } else {
            call_url(endpoint, &["publishers", publisher, "offers", name, "operations", id])
        };
        Some(Self { url, id: id.to_owned() })
    }

    /// The parts to store: the id, and path and query.
    #[must_use]
    pub fn reference(&self) -> OperationRef {
        let location = self.url[Position::BeforePath..Position::AfterQuery].to_owned();
        OperationRef { id: self.id.clone(), location: Some(location) }
    }

    /// The URL to request.
    pub(super) fn into_url(self) -> Url {
        self.url
    }
}

/// Whether a text is valid as an operation's id in a path.
pub(super) fn is_operation_id(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= MAX_OPERATION_ID
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"$-_.~".contains(&byte))
        && id.bytes().any(|byte| byte.is_ascii_alphanumeric())
}

fn check(endpoint: &Endpoint, offer: &OfferId, text: &str) -> Result<OperationUrl, String> {
    if text.len() > MAX_URL {
        return Err(format!("is longer than {MAX_URL} bytes"));
    }
    let mut url = endpoint.same_origin(endpoint.url(), text)?;
    check_dots(text)?;
    let id = operation_id(endpoint, offer, &url)
        .ok_or_else(|| format!("is not the path of an operation of {offer}"))?;
    with_version(&mut url);
    // The parser percent-encodes more than it must; the result is stored, and must pass the length
    // check when it is read back.
    if url.as_str().len() > MAX_URL {
        return Err(format!("is longer than {MAX_URL} bytes once it is encoded"));
    }
    Ok(OperationUrl { url, id })
}

/// The URL of an API call.
pub(super) fn call_url(endpoint: &Endpoint, segments: &[&str]) -> Url {
    let mut url = endpoint.at(&[&["api"], segments].concat());
    with_version(&mut url);
    url
}

/// Adds `api-version` if it is missing, and drops the parts that are never sent.
pub(super) fn with_version(url: &mut Url) {
    url.set_fragment(None);
    if !url.query_pairs().any(|(name, _)| name.eq_ignore_ascii_case("api-version")) {
        url.query_pairs_mut().append_pair("api-version", API_VERSION);
    }
}

/// The parser resolves `..`, also as `%2e%2e`. No legitimate location contains it, nor an encoded
/// slash.
fn check_dots(text: &str) -> Result<(), String> {
    let path = text.split(['?', '#']).next().unwrap_or_default();
    let path = path.to_ascii_lowercase().replace("%2e", ".");
    if path.contains("%2f") || path.contains("%5c") {
        return Err("has an encoded slash in it".to_owned());
    }
    if path.split('/').any(|segment| segment == "." || segment == "..") {
        return Err("has '.' or '..' in its path".to_owned());
    }
    Ok(())
}

/// The operation's id, if the path is `/api/publishers/{publisher}/offers/{offer}/operations/{id}`
/// or `/api/operations/{publisher}${offer}${version}${slot}`, optionally below the endpoint's own
/// path.
fn operation_id(endpoint: &Endpoint, offer: &OfferId, url: &Url) -> Option<String> {
    let base = endpoint.url().path().trim_end_matches('/');
    let path = url.path().strip_prefix(base).filter(|rest| rest.starts_with('/'));
    let path = path.unwrap_or(url.path()).strip_prefix('/')?;
    let path = path.strip_suffix('/').unwrap_or(path);
    let segments: Vec<String> = path.split('/').map(decoded).collect::<Option<_>>()?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let is = |segment: &str, word: &str| segment.eq_ignore_ascii_case(word);
    let id = match segments.as_slice() {
        [api, publishers, publisher, offers, name, operations, id]
            if is(api, "api")
                && is(publishers, "publishers")
                && is(publisher, offer.publisher().as_str())
                && is(offers, "offers")
                && is(name, offer.offer())
                && is(operations, "operations") =>
        {
            *id
        }
        [api, operations, id]
            if is(api, "api") && is(operations, "operations") && is_unmigrated(id, offer) =>
        {
            *id
        }
        _ => return None,
    };
    is_operation_id(id).then(|| id.to_owned())
}

/// Whether an id is `publisher$offer$version$slot` of this offer.
fn is_unmigrated(id: &str, offer: &OfferId) -> bool {
    let parts: Vec<&str> = id.split('$').collect();
    let [publisher, name, version, slot] = parts.as_slice() else { return false };
    publisher.eq_ignore_ascii_case(offer.publisher().as_str())
        && name.eq_ignore_ascii_case(offer.offer())
        && !version.is_empty()
        && version.bytes().all(|byte| byte.is_ascii_digit())
        && !slot.is_empty()
        && slot.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// A percent-decoded path segment, if the encoding is valid. The text is ASCII, and a segment still
/// encoded after one round can't be a valid id.
fn decoded(segment: &str) -> Option<String> {
    let mut out = String::with_capacity(segment.len());
    let mut rest = segment;
    while let Some((plain, encoded)) = rest.split_once('%') {
        out.push_str(plain);
        let byte = u8::from_str_radix(encoded.get(..2)?, 16).ok()?;
        out.push(Some(char::from(byte)).filter(char::is_ascii_graphic)?);
        rest = &encoded[2..];
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GUID: &str = "0c1f7ee2-4a6b-4b3e-9d53-0a1c1f2e3d4c";

    fn resolve(endpoint: &str, text: &str) -> Result<OperationRef, String> {
        let (endpoint, offer) = (endpoint.parse().unwrap(), "contoso/vm".parse().unwrap());
        let url = OperationUrl::resolve(&endpoint, &offer, text).map_err(|e| e.to_string())?;
        assert_eq!(url.url.origin(), endpoint.url().origin());
        Ok(url.reference())
    }

    #[test]
    fn the_three_shapes_are_taken() {
        let ours = format!("/api/publishers/contoso/offers/vm/operations/{GUID}");
        let version = "?api-version=2017-10-31";
        for (text, id, location) in [
            (format!("https://cloudpartner.azure.com{ours}"), GUID, format!("{ours}{version}")),
            (format!("HTTPS://CLOUDPARTNER.azure.com:443{ours}"), GUID, format!("{ours}{version}")),
            (format!("{ours}{version}"), GUID, format!("{ours}{version}")),
            (format!("  {ours}?x=1&API-Version=9#frag"), GUID, format!("{ours}?x=1&API-Version=9")),
            (format!("{ours}?x=1"), GUID, format!("{ours}?x=1&api-version=2017-10-31")),
            (
                format!("/API/Publishers/Contoso/offers/VM/operations/{GUID}/"),
                GUID,
                format!("/API/Publishers/Contoso/offers/VM/operations/{GUID}/{version}"),
            ),
            (
                format!("/api/operations/contoso$vm$2$preview{version}"),
                "contoso$vm$2$preview",
                format!("/api/operations/contoso$vm$2$preview{version}"),
            ),
            (
                "/api/operations/Contoso%24VM%242%24preview".to_owned(),
                "Contoso$VM$2$preview",
                format!("/api/operations/Contoso%24VM%242%24preview{version}"),
            ),
            (format!("//cloudpartner.azure.com{ours}"), GUID, format!("{ours}{version}")),
        ] {
            let expected = OperationRef { id: id.to_owned(), location: Some(location.clone()) };
            assert_eq!(resolve(Endpoint::DEFAULT, &text).as_ref(), Ok(&expected), "{text}");
            // What was stored is taken again, unchanged.
            assert_eq!(resolve(Endpoint::DEFAULT, &location).as_ref(), Ok(&expected), "{text}");
        }
    }

    #[test]
    fn the_endpoints_own_path_may_lead() {
        let base = "http://127.0.0.1:8080/emulator/";
        for text in [
            format!("/emulator/api/publishers/contoso/offers/vm/operations/{GUID}"),
            format!("/api/publishers/contoso/offers/vm/operations/{GUID}"),
            format!("api/publishers/contoso/offers/vm/operations/{GUID}"),
            format!(
                "http://127.1:8080/emulator/api/publishers/contoso/offers/vm/operations/{GUID}"
            ),
        ] {
            assert_eq!(resolve(base, &text).map(|found| found.id).as_deref(), Ok(GUID), "{text}");
        }
        for text in [
            format!("/emulatorapi/publishers/contoso/offers/vm/operations/{GUID}"),
            format!("/other/api/publishers/contoso/offers/vm/operations/{GUID}"),
            format!("http://127.0.0.1:8081/api/publishers/contoso/offers/vm/operations/{GUID}"),
            format!("http://localhost:8080/api/publishers/contoso/offers/vm/operations/{GUID}"),
        ] {
            assert!(resolve(base, &text).is_err(), "{text}");
        }
    }

    fn assert_foreign(texts: impl IntoIterator<Item = String>) {
        for text in texts {
            let error = resolve(Endpoint::DEFAULT, &text).expect_err(&text);
            assert!(error.starts_with("ForeignOperationUrl: "), "{error}");
            assert!(!error.chars().any(char::is_control), "{error:?}");
        }
    }

    #[test]
    fn another_origin_is_foreign() {
        let ours = format!("/api/publishers/contoso/offers/vm/operations/{GUID}");
        let host = "cloudpartner.azure.com";
        assert_foreign([
            format!("https://evil.example{ours}"),
            format!("//evil.example{ours}"),
            format!("///evil.example{ours}"),
            format!("https:///evil.example{ours}"),
            format!("https:evil.example{ours}"),
            format!("/\\evil.example{ours}"),
            format!("\\\\evil.example{ours}"),
            format!("https:\\\\evil.example{ours}"),
            format!("https://{host}.evil.example{ours}"),
            format!("https://{host}.{ours}"),
            format!("https://evil-{host}{ours}"),
            format!("https://{host}:8443{ours}"),
            format!("https://{host}:80{ours}"),
            format!("http://{host}{ours}"),
            format!("http://{host}:443{ours}"),
            format!("ftp://{host}{ours}"),
            format!("wss://{host}{ours}"),
            format!("file://{ours}"),
            format!("file://{host}{ours}"),
            format!("javascript:fetch('{ours}')"),
            format!("data:,{ours}"),
            format!("blob:https://{host}{ours}"),
            // A user name, which the eye takes for the host.
            format!("@evil.example{ours}"),
            format!("https://{host}@evil.example{ours}"),
            format!("https://user@{host}{ours}"),
            format!("https://user:pass@{host}{ours}"),
            format!("https://@{host}{ours}"),
            format!("https://:@{host}{ours}"),
            format!("//x@{host}{ours}"),
            format!("https://{host}%40evil.example{ours}"),
        ]);
    }

    #[test]
    fn another_path_is_foreign() {
        let ours = format!("/api/publishers/contoso/offers/vm/operations/{GUID}");
        assert_foreign([
            // Another thing at the marketplace.
            "/".to_owned(),
            "/api".to_owned(),
            "/api/publishers/contoso/offers/vm".to_owned(),
            "/api/publishers/contoso/offers/vm/operations".to_owned(),
            "/api/publishers/contoso/offers/vm/operations/".to_owned(),
            "/api/publishers/contoso/offers/vm/operations//".to_owned(),
            "/api/publishers/contoso/offers/vm/golive".to_owned(),
            format!("/api/publishers/other/offers/vm/operations/{GUID}"),
            format!("/api/publishers/contoso/offers/vm2/operations/{GUID}"),
            format!("{ours}/extra"),
            format!("/{ours}"),
            format!("/x{ours}"),
            format!("/api//publishers/contoso/offers/vm/operations/{GUID}"),
            "/api/operations/contoso$vm$2".to_owned(),
            "/api/operations/contoso$vm$2$".to_owned(),
            "/api/operations/contoso$vm$x$preview".to_owned(),
            "/api/operations/contoso$vm$2$preview$3".to_owned(),
            "/api/operations/contoso$other$2$preview".to_owned(),
            format!("/api/operations/{GUID}"),
            // Around the corner.
            format!("/api/publishers/evil/../contoso/offers/vm/operations/{GUID}"),
            format!("/api/publishers/evil/%2e%2e/contoso/offers/vm/operations/{GUID}"),
            format!("/api/publishers/evil/.%2E/contoso/offers/vm/operations/{GUID}"),
            format!("/./api/publishers/contoso/offers/vm/operations/{GUID}"),
            "/api/publishers/contoso/offers/vm/operations/..".to_owned(),
            "/api/publishers/contoso/offers/vm/operations/...".to_owned(),
            "/api/publishers/contoso/offers/vm/operations/a%2Fb".to_owned(),
            "/api/publishers/contoso/offers/vm/operations/a%5Cb".to_owned(),
            "/api/publishers/contoso/offers/vm/operations/%252e%252e".to_owned(),
            "/api/publishers/contoso/offers/vm/operations/a%00b".to_owned(),
            "/api/publishers/contoso/offers/vm/operations/a%0d%0aX:b".to_owned(),
            "/api/publishers/contoso/offers/vm/operations/%zz".to_owned(),
            "/api/publishers/contoso/offers/vm/operations/a%".to_owned(),
            "/api/publishers/contoso/offers/vm/operations/%E2%80%AE".to_owned(),
            "/api/publishers/contoso/offers/vm/operations/a;b".to_owned(),
            // Not even a URL.
            String::new(),
            "  ".to_owned(),
            "not a url".to_owned(),
            GUID.to_owned(),
            "https://".to_owned(),
            "https://[::1".to_owned(),
            format!("{ours}\r\nX-Evil: 1"),
            format!("{ours}\u{0}"),
            format!("/api/publi\tshers/contoso/offers/vm/operations/{GUID}"),
            format!("{ours}?é"),
            format!("{ours}?{}", "x".repeat(MAX_URL)),
            format!("{ours}?{}", "'".repeat(MAX_URL / 2)),
            format!("/api/publishers/contoso/offers/vm/operations/{}", "x".repeat(201)),
        ]);
    }

    #[test]
    fn without_a_location_the_id_is_asked_for() {
        let (endpoint, offer) = (Endpoint::DEFAULT.parse().unwrap(), "contoso/vm".parse().unwrap());
        let path = |id: &str| {
            OperationUrl::by_id(&endpoint, &offer, id).map(|url| url.into_url().path().to_owned())
        };
        let ours = |id: &str| Some(format!("/api/publishers/contoso/offers/vm/operations/{id}"));
        assert_eq!(path(GUID), ours(GUID));
        assert_eq!(path("a$b"), ours("a$b"));
        let unmigrated = "contoso$vm$2$preview";
        assert_eq!(path(unmigrated), Some(format!("/api/operations/{unmigrated}")));
        for id in ["", ".", "..", "a/b", "a b", "é", "a?b"] {
            assert_eq!(path(id), None, "{id}");
        }
    }

    proptest! {
        #[test]
        fn accepted_urls_are_of_this_offer(
            text in prop_oneof![
                ".{0,80}",
                proptest::collection::vec(prop_oneof![
                    Just("/"), Just("\\"), Just("@"), Just(":"), Just("https:"), Just("evil.example"),
                    Just("cloudpartner.azure.com"), Just("api"), Just("publishers"), Just("contoso"),
                    Just("/api/publishers/contoso/offers/vm/operations/x"), Just("?"), Just("#"),
                    Just("%2e"), Just("%2f"), Just(".."), Just("\t"), Just("443"),
                ], 0..8).prop_map(|pieces| pieces.concat()),
            ],
        ) {
            if let Ok(found) = resolve(Endpoint::DEFAULT, &text) {
                let location = found.location.clone().unwrap();
                prop_assert!(location.to_ascii_lowercase().starts_with("/api/"), "{location}");
                prop_assert_eq!(resolve(Endpoint::DEFAULT, &location), Ok(found));
            }
        }
    }
}
