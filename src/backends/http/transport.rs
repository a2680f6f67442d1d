//! How a request is sent: over a socket, or to a router in this process.

use std::error::Error;
use std::fmt;
use std::sync::Once;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::header::HOST;
use http::response::Parts;
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use tower::ServiceExt;

use super::endpoint::Endpoint;

/// Limit for a response body, in bytes, after decompression.
pub const MAX_BODY: usize = 32 * 1024 * 1024;

/// Timeout for connecting, TLS handshake included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an idle connection is kept. Shorter than servers commonly do, so that few requests meet
/// a connection that was just closed: a POST would then have an unknown outcome.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

type Source = Box<dyn Error + Send + Sync>;

/// Why no complete answer came.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// No connection was made (name, refusal, timeout, TLS), so nothing was sent.
    #[error("no connection")]
    NotSent {
        /// The lower layer's error.
        source: Source,
    },
    /// The request may have arrived: a timeout, a reset.
    #[error("{what}")]
    Lost {
        /// What happened.
        what: String,
        /// The lower layer's error.
        #[source]
        source: Option<Source>,
    },
    /// The request arrived and the response head is complete, but the body broke off or can't be
    /// decoded.
    #[error("the connection broke inside the answer")]
    Cut {
        /// Status and headers.
        head: Box<Parts>,
        /// The lower layer's error.
        source: Source,
    },
    /// The request arrived, but the response body exceeds [`MAX_BODY`].
    #[error("the body is longer than {MAX_BODY} bytes")]
    TooLong,
}

impl TransportError {
    fn lost(what: &str, source: Option<Source>) -> Self {
        Self::Lost { what: what.to_owned(), source }
    }

    /// The status of the answer, if its head came.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        if let Self::Cut { head, .. } = self { Some(head.status) } else { None }
    }
}

/// Sends one request and collects its answer, whatever its status.
///
/// An implementation follows no redirect, retries nothing, and bounds the body it reads. It sets no
/// timeout: its caller does.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends `request`, whose URI is absolute.
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError>;
}

/// A connection that failed and was to go through a proxy.
#[derive(Debug, thiserror::Error)]
#[error("through the proxy {proxy}: {}", first_cause(&**inner))]
struct ThroughProxy {
    /// Scheme, host and port. Never a user's name or password.
    proxy: String,
    /// The lower layer's error. It is part of the message, so it isn't a `source`.
    inner: Source,
}

/// The message of the innermost error.
fn first_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// Marks an in-process answer (as a response extension) that stands for a connection dropped before
/// any answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped;

/// Over HTTP/1.1 or HTTP/2, with keep-alive, gzip and TLS.
#[derive(Clone, Debug)]
pub struct HttpTransport {
    client: reqwest::Client,
    /// The proxy that the environment names for the endpoint.
    proxy: Option<String>,
}

impl HttpTransport {
    /// Prepares connections to the endpoint; none is made yet. Uses the environment's proxies,
    /// except to reach this machine.
    ///
    /// # Errors
    ///
    /// If the system's trusted certificates can't be loaded.
    pub fn new(endpoint: &Endpoint) -> Result<Self, TransportError> {
        install_crypto();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("golive/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .gzip(true);
        let proxy = if endpoint.is_loopback() {
            builder = builder.no_proxy();
            None
        } else {
            // By the same rules as reqwest, which is built on this matcher.
            proxy(&Matcher::from_system(), endpoint)
        };
        if endpoint.url().scheme() == "http" {
            // Loading the system's certificates takes time, and `http` doesn't need them.
            builder = builder.tls_certs_only([]);
        } else {
            builder = builder.https_only(true);
        }
        let client =
            builder.build().map_err(|error| TransportError::NotSent { source: error.into() })?;
        Ok(Self { client, proxy })
    }

    /// No connection was made. If a proxy is configured, it is the likely cause, so the error names
    /// it.
    fn not_sent(&self, error: reqwest::Error) -> TransportError {
        let source: Source = error.without_url().into();
        let source = match &self.proxy {
            Some(proxy) => ThroughProxy { proxy: proxy.clone(), inner: source }.into(),
            None => source,
        };
        TransportError::NotSent { source }
    }
}

/// The proxy on the way to the endpoint: scheme, host and port.
fn proxy(matcher: &Matcher, endpoint: &Endpoint) -> Option<String> {
    let intercept = matcher.intercept(&endpoint.url().as_str().parse().ok()?)?;
    let uri = intercept.uri();
    let authority = uri.authority()?.as_str();
    // The user info before the host is for the proxy alone.
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    Some(format!("{}://{host}", uri.scheme_str().unwrap_or("http")))
}

/// rustls wants one provider for the whole process. If another one is installed already (by an
/// embedding program, say), it stays.
pub(crate) fn install_crypto() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let request = reqwest::Request::try_from(request)
            .map_err(|error| TransportError::NotSent { source: error.without_url().into() })?;
        let mut response = self.client.execute(request).await.map_err(|error| {
            if error.is_connect() || error.is_builder() {
                return self.not_sent(error);
            }
            let source: Source = error.without_url().into();
            TransportError::lost("the connection broke before an answer came", Some(source))
        })?;
        let (mut head, ()) = Response::new(()).into_parts();
        head.status = response.status();
        head.headers = std::mem::take(response.headers_mut());
        let mut body = BytesMut::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => append(&mut body, &chunk)?,
                Ok(None) => break,
                Err(error) => return Err(cut(head, error.without_url().into())),
            }
        }
        Ok(Response::from_parts(head, body.freeze()))
    }
}

/// To a router in this process: no socket, so that tests can pause time.
#[derive(Clone)]
pub struct InProcessTransport(Router);

impl InProcessTransport {
    /// Sends every request to this router.
    #[must_use]
    pub fn new(router: Router) -> Self {
        Self(router)
    }
}

impl fmt::Debug for InProcessTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcessTransport")
    }
}

#[async_trait]
impl Transport for InProcessTransport {
    async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        as_a_server_sees_it(&mut request)
            .map_err(|error| TransportError::NotSent { source: error.into() })?;
        let Ok(response) = self.0.clone().oneshot(request.map(axum::body::Body::from)).await;
        let (parts, stream) = response.into_parts();
        if parts.extensions.get::<Dropped>().is_some() {
            return Err(TransportError::lost("the connection was reset", None));
        }
        let mut stream = stream.into_data_stream();
        let mut body = BytesMut::new();
        while let Some(chunk) = stream.next().await {
            match chunk {
                Ok(chunk) => append(&mut body, &chunk)?,
                Err(error) => return Err(cut(parts, error.into())),
            }
        }
        Ok(Response::from_parts(parts, body.freeze()))
    }
}

/// Rewrites the request as a server gets it: path and query in the request line, the authority in
/// `Host`.
fn as_a_server_sees_it(request: &mut Request<Bytes>) -> Result<(), http::Error> {
    let uri = std::mem::take(request.uri_mut());
    if let Some(authority) = uri.authority() {
        let host = HeaderValue::from_str(authority.as_str())?;
        request.headers_mut().insert(HOST, host);
    }
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = Uri::builder().path_and_query(path).build()?;
    Ok(())
}

fn append(body: &mut BytesMut, chunk: &Bytes) -> Result<(), TransportError> {
    if body.len().saturating_add(chunk.len()) > MAX_BODY {
        return Err(TransportError::TooLong);
    }
    body.extend_from_slice(chunk);
    Ok(())
}

fn cut(head: Parts, source: Source) -> TransportError {
    TransportError::Cut { head: Box::new(head), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_on_the_way_is_named_without_its_password() {
        let endpoint: Endpoint = "https://cloudpartner.azure.com".parse().unwrap();
        let named = |https: &str, no: &str| {
            let matcher = Matcher::builder().https(https.to_owned()).no(no.to_owned()).build();
            proxy(&matcher, &endpoint)
        };
        let plain = Some("http://127.0.0.1:9".to_owned());
        assert_eq!(named("http://127.0.0.1:9", ""), plain);
        assert_eq!(named("127.0.0.1:9", "example.com"), plain);
        assert_eq!(named("http://user:secret@127.0.0.1:9/", ""), plain);
        assert_eq!(named("http://127.0.0.1:9", "azure.com"), None);
        assert_eq!(named("http://127.0.0.1:9", "*"), None);
        assert_eq!(named("", ""), None);
    }

    #[test]
    fn a_connection_that_failed_names_the_proxy_and_the_cause() {
        let inner = std::io::Error::other("Connection refused").into();
        let error = ThroughProxy { proxy: "http://127.0.0.1:9".to_owned(), inner };
        assert_eq!(error.to_string(), "through the proxy http://127.0.0.1:9: Connection refused");
    }
}
