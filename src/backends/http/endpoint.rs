//! The only origin that golive sends requests to.

use std::fmt;
use std::str::FromStr;

use url::Url;

use crate::net::is_loopback;

/// Why a text isn't a valid endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not an absolute URL.
    #[error("the endpoint is not a URL: write it like https://cloudpartner.azure.com")]
    NotAUrl,
    /// Neither `https` nor `http`.
    #[error("the endpoint begins with {0:?}: it must begin with https://")]
    Scheme(String),
    /// `http` to another machine: the token would travel in the clear.
    #[error(
        "the endpoint {0} is not on this machine, so it must begin with https://: \
         over http:// anyone on the way could read the token"
    )]
    Insecure(String),
    /// A user name or password.
    #[error(
        "the endpoint has a user name or password in it: leave them out, \
         the token comes from GOLIVE_TOKEN"
    )]
    Credentials,
    /// A query or a fragment.
    #[error("the endpoint has a '?' or '#' in it: it ends with the host, or with a path")]
    Tail,
    /// White space, a backslash or a control character inside.
    #[error("the endpoint has {0:?} in it, which no URL has: remove it")]
    Character(char),
}

/// The base URL of the marketplace: scheme, host, port and optionally a path. The token is sent
/// nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Url);

impl Endpoint {
    /// The marketplace's own address.
    pub const DEFAULT: &'static str = "https://cloudpartner.azure.com";

    /// Scheme, host and port, e.g. `https://cloudpartner.azure.com`.
    #[must_use]
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// Whether it is scheme, host and port alone, without a path.
    #[must_use]
    pub fn is_origin(&self) -> bool {
        self.0.path() == "/"
    }

    /// Whether the host is this machine: `localhost`, `127.0.0.0/8` or `[::1]`.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }

    /// The base of all other URLs.
    pub(crate) fn url(&self) -> &Url {
        &self.0
    }

    /// The URL of a path. Each segment is percent-encoded, so that none can change the path's
    /// structure; `.` and `..`, which percent-encoding can't neutralize, aren't valid ids.
    pub(crate) fn at(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        // Only URLs like `mailto:` have no path segments, and those aren't valid endpoints.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// Resolves a URL from outside against `base`. It must keep scheme, host and port, because the
    /// token is sent along. The error says what is wrong.
    pub(crate) fn same_origin(&self, base: &Url, text: &str) -> Result<Url, String> {
        if text.is_empty() {
            return Err("is empty".to_owned());
        }
        // The URL parser would drop tabs and line ends, and turn backslashes into slashes.
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
            return Err("has a character that no URL has".to_owned());
        }
        let url = base.join(text).map_err(|error| format!("is not a URL: {error}"))?;
        let ours = &self.0;
        if url.scheme() != ours.scheme()
            || url.host() != ours.host()
            || url.port_or_known_default() != ours.port_or_known_default()
        {
            return Err(format!("leads away from the marketplace at {}", self.origin()));
        }
        if has_userinfo(text) || !url.username().is_empty() || url.password().is_some() {
            return Err("has a user name in it".to_owned());
        }
        Ok(url)
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let text = text.trim();
        // The URL parser would silently fix these.
        let odd = |c: &char| c.is_whitespace() || c.is_control() || *c == '\\';
        if let Some(bad) = text.chars().find(odd) {
            return Err(EndpointError::Character(bad));
        }
        let url = Url::parse(text).map_err(|_| EndpointError::NotAUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(EndpointError::Scheme(url.scheme().to_owned()));
        }
        let authority = text.split_once("://").map_or(text, |(_, rest)| rest);
        let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') || !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::Credentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(EndpointError::Tail);
        }
        if url.scheme() == "http" && !is_loopback(&url) {
            return Err(EndpointError::Insecure(url.origin().ascii_serialization()));
        }
        Ok(Self(url))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.as_str().trim_end_matches('/'))
    }
}

/// `https://@host/` has an empty user name, which the parser drops.
fn has_userinfo(text: &str) -> bool {
    let after = text.find("//").map_or("", |at| &text[at + 2..]);
    let before_slashes = text.find("//").map_or("", |at| &text[..at]);
    // Only if the slashes begin an authority, not inside a path or a query.
    let authority = (before_slashes.is_empty() || before_slashes.ends_with(':'))
        && !before_slashes.contains(['/', '?', '#']);
    authority && after.split(['/', '?', '#']).next().unwrap_or_default().contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_https_or_on_this_machine() {
        for (text, shown) in [
            (Endpoint::DEFAULT, "https://cloudpartner.azure.com"),
            (" HTTPS://CloudPartner.Azure.com:443/ ", "https://cloudpartner.azure.com"),
            ("http://localhost:8080", "http://localhost:8080"),
            ("http://127.8.9.1", "http://127.8.9.1"),
            ("http://[::1]:1/base/", "http://[::1]:1/base"),
        ] {
            assert_eq!(text.parse::<Endpoint>().map(|e| e.to_string()), Ok(shown.to_owned()));
        }
    }

    #[test]
    fn an_invalid_endpoint_says_what_to_do() {
        use EndpointError as E;
        for (text, error) in [
            ("", E::NotAUrl),
            ("cloudpartner.azure.com", E::NotAUrl),
            ("https://", E::NotAUrl),
            ("localhost:8080", E::Scheme("localhost".to_owned())),
            ("ftp://localhost", E::Scheme("ftp".to_owned())),
            ("file:///etc", E::Scheme("file".to_owned())),
            ("http://cloudpartner.azure.com", E::Insecure("http://cloudpartner.azure.com".into())),
            ("http://localhost.evil.example", E::Insecure("http://localhost.evil.example".into())),
            ("http://10.0.0.1:80", E::Insecure("http://10.0.0.1".into())),
            ("http://[::ffff:127.0.0.1]", E::Insecure("http://[::ffff:7f00:1]".into())),
            ("https://user:secret@host", E::Credentials),
            ("https://@host", E::Credentials),
            ("https://host/?a=b", E::Tail),
            ("https://host/#x", E::Tail),
            ("https://ho\\st", E::Character('\\')),
            ("https://ho\nst", E::Character('\n')),
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(error), "{text}");
        }
    }

    #[test]
    fn ids_stay_in_their_segment() {
        let endpoint: Endpoint = "http://localhost:1/base/".parse().unwrap();
        let url = endpoint.at(&["api", "publishers", "a/../b?c#d@e%", "offers", ""]);
        let path = "/base/api/publishers/a%2F..%2Fb%3Fc%23d@e%25/offers/";
        assert_eq!(url.as_str(), format!("http://localhost:1{path}"));
    }
}
