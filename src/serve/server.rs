//! The server: its listener, its connections, its limits.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::Serving;
use super::site::{Site, router};
use super::slow_reader::SlowReaderGuard;
use crate::http_server::{self, Limits};

const LIMITS: Limits = Limits { connections: 256, grace: Duration::from_secs(1) };
/// How long a request's head may take to arrive, also on a connection that is kept open.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// The most bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1024;
/// The most headers of a request.
const HEADERS: usize = 64;

/// Serves pages, metrics and health, read-only, until `shutdown` completes; then ends event streams,
/// lets other responses finish for up to a second, and returns. A connection's error doesn't stop
/// the server; an error means that the listener itself can't be used.
///
/// Whoever can connect can read. Requests for a name that is neither an address, nor this machine's
/// own, nor among [`Serving::hosts`] are refused.
pub async fn serve(
    serving: Serving,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    let stopping = CancellationToken::new();
    let router = router(Arc::new(Site::new(serving, address, stopping.clone())));
    let serve_one = |stream| connection(router.clone(), stream, stopping.clone());
    http_server::serve(listener, LIMITS, shutdown, stopping.clone(), serve_one).await;
    Ok(())
}

/// Serves one connection to its end. Requests must arrive in time, and responses must be read in
/// time.
pub(super) async fn connection(
    router: Router,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    stopping: CancellationToken,
) {
    let service = service_fn(move |request| router.clone().oneshot(request));
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(HEADERS)
        .max_buf_size(HEAD_BYTES);
    http_server::connection(&builder, SlowReaderGuard::new(stream), service, stopping).await;
}
