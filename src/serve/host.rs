//! Host names that the server answers to: protection against DNS rebinding.
//!
//! A hostile web page can have its own name resolved to this machine, and then read what is served
//! here as if it were its own. The browser sends that name in `Host`, so names must be allowed; an
//! address can't be rebound. The port is ignored: it doesn't identify the page, and differs behind a
//! forwarded port.

use std::net::{IpAddr, SocketAddr};

use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, Version, header};

#[derive(Clone, Debug)]
pub(super) struct Hosts {
    listening: IpAddr,
    names: Vec<String>,
}

impl Hosts {
    /// For a server that listens on an address, with these names allowed.
    pub(super) fn new(listening: SocketAddr, names: &[String]) -> Self {
        // A port that was copied with the name is dropped.
        let host = |name: &String| match Authority::try_from(name.as_str()) {
            Ok(authority) => normalized(authority.host()),
            Err(_) => normalized(name),
        };
        let names = names.iter().map(host).collect();
        Self { listening: listening.ip().to_canonical(), names }
    }

    /// Whether a request is for this server: by its only `Host`, and by its target if that is an
    /// absolute URL.
    pub(super) fn admit(&self, request: &Parts) -> bool {
        let target = request.uri.authority().is_none_or(|target| self.admit_authority(target));
        if request.version == Version::HTTP_10 && !request.headers.contains_key(header::HOST) {
            // No browser sends that, but health checks of some load balancers do.
            return target;
        }
        target && only_host(&request.headers).is_some_and(|host| self.admit_authority(&host))
    }

    fn admit_authority(&self, authority: &Authority) -> bool {
        if authority.as_str().contains('@') {
            return false;
        }
        let host = authority.host();
        let name = normalized(host);
        if self.names.contains(&name) {
            return true;
        }
        let literal =
            host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = literal.parse::<IpAddr>() {
            // A server on loopback is reached by loopback addresses only.
            return !self.listening.is_loopback() || address.to_canonical().is_loopback();
        }
        let is_local = self.listening.is_loopback() || self.listening.is_unspecified();
        is_local && name == "localhost"
    }
}

/// A name in lower case, without a dot at its end.
fn normalized(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// The `Host` of a request; `None` unless there is exactly one.
fn only_host(headers: &HeaderMap) -> Option<Authority> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next()?;
    if hosts.next().is_some() {
        return None;
    }
    Authority::try_from(host.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn admits(listening: &str, names: &[&str], target: &str, hosts: &[&str]) -> bool {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut request = Request::builder().uri(target);
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Hosts::new(listening.parse().unwrap(), &names).admit(&parts)
    }

    #[test]
    fn on_loopback_only_this_machine_is_known() {
        for host in [
            "127.0.0.1:8080",
            "127.0.0.1",
            "127.1.2.3:1",
            "[::1]:8080",
            "[::ffff:127.0.0.1]",
            "localhost",
            "LOCALHOST:9",
            "localhost.:8080",
        ] {
            for listening in ["127.0.0.1:8080", "[::1]:8080"] {
                assert!(admits(listening, &[], "/", &[host]), "{host} at {listening}");
            }
        }
        for host in [
            "evil.example",
            "evil.example:8080",
            "192.0.2.1:8080",
            "[2001:db8::1]",
            "0.0.0.0:8080",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "x@127.0.0.1",
            "127.0.0.1@evil.example",
            "",
            ":8080",
            "127.1",
            "2130706433",
            "[::1",
            "a b",
            "localhost..",
        ] {
            assert!(!admits("127.0.0.1:8080", &[], "/", &[host]), "{host}");
        }
    }

    #[test]
    fn elsewhere_any_address_is_known_and_localhost_only_where_it_leads_here() {
        for listening in ["0.0.0.0:80", "[::]:80", "192.0.2.1:80"] {
            for host in ["192.0.2.1:80", "10.0.0.7", "[2001:db8::1]:80", "127.0.0.1"] {
                assert!(admits(listening, &[], "/", &[host]), "{host} at {listening}");
            }
            assert!(!admits(listening, &[], "/", &["evil.example"]));
        }
        assert!(admits("0.0.0.0:80", &[], "/", &["localhost"]));
        assert!(admits("[::]:80", &[], "/", &["localhost"]));
        assert!(!admits("192.0.2.1:80", &[], "/", &["localhost"]));
    }

    #[test]
    fn names_are_known_when_they_are_given() {
        let names = ["golive.contoso.com", "Monitor.", "with-port:8080", "192.0.2.7"];
        for host in [
            "golive.contoso.com",
            "GoLive.Contoso.com:443",
            "monitor:80",
            "monitor.",
            "with-port:1",
            "192.0.2.7",
        ] {
            assert!(admits("127.0.0.1:80", &names, "/", &[host]), "{host}");
        }
        for host in ["contoso.com", "x.golive.contoso.com", "golive.contoso.com.evil.example"] {
            assert!(!admits("127.0.0.1:80", &names, "/", &[host]), "{host}");
        }
    }

    #[test]
    fn there_is_one_host_and_the_target_has_no_other() {
        let admits = |target: &str, hosts: &[&str]| admits("127.0.0.1:80", &[], target, hosts);
        assert!(!admits("/", &[]));
        let old = |target: &str| {
            let request = Request::builder().version(Version::HTTP_10).uri(target);
            let (parts, ()) = request.body(()).unwrap().into_parts();
            Hosts::new("127.0.0.1:80".parse().unwrap(), &[]).admit(&parts)
        };
        assert!(old("/readyz") && !old("http://evil.example/"));
        assert!(!admits("/", &["127.0.0.1", "127.0.0.1"]));
        assert!(admits("http://localhost/", &["localhost"]));
        assert!(!admits("http://evil.example/", &["localhost"]));
        assert!(!admits("http://localhost/", &["evil.example"]));
    }
}
