//! The server: its listener, its connections, its end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use super::Serving;
use super::paced::Paced;
use super::site::{Site, router};

/// The most connections at once. Others wait to be accepted.
const CONNECTIONS: usize = 256;
/// How long the head of a request may take to come, also where a connection is kept for it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// The most bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1024;
/// The most headers of a request.
const HEADERS: usize = 64;
/// How long connections may take to end once the server is told to.
const GRACE: Duration = Duration::from_secs(1);
/// How long to wait after a failed accept, e.g. when there are no more file descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves pages, metrics and health, read-only, until `shutdown` is done; then ends event streams,
/// lets other answers finish for up to a second, and ends. Errors of single connections are no
/// errors of the server; an error is returned where the listener itself is of no use.
///
/// Whoever can connect can read. Requests for a name that is neither an address, nor this machine's
/// own, nor among [`Serving::hosts`] are refused.
pub async fn serve(
    serving: Serving,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    let (stop, stopped) = watch::channel(());
    let router = router(Arc::new(Site::new(serving, address, stopped.clone())));
    let turns = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            (accepted, turn) = accept(&listener, &turns) => match accepted {
                Ok(stream) => {
                    connections.spawn(connection(router.clone(), stream, turn, stopped.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "the page's server could not accept a connection");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = &mut shutdown => break,
        }
    }
    drop(listener);
    drop(stop);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, all).await.is_err() {
        connections.shutdown().await;
    }
    Ok(())
}

/// The next connection, once there is room for it.
async fn accept(
    listener: &TcpListener,
    turns: &Arc<Semaphore>,
) -> (io::Result<TcpStream>, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed, so that there is always a turn.
    let turn = Arc::clone(turns).acquire_owned().await.ok();
    let accepted = listener.accept().await.map(|(stream, _)| stream);
    if let Ok(stream) = &accepted
        // Events are small: waiting to fill a packet would only add latency.
        && let Err(error) = stream.set_nodelay(true)
    {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    (accepted, turn)
}

/// Serves one connection to its end. Each side has its bounds: a request must come in time, and an
/// answer must be taken in time.
pub(super) async fn connection(
    router: Router,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    _turn: Option<OwnedSemaphorePermit>,
    mut stopped: watch::Receiver<()>,
) {
    let service = service_fn(move |request| router.clone().oneshot(request));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(HEADERS)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(Paced::new(stream)), service);
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = &mut served => ended,
        // The sender sends nothing; it is dropped when the server stops.
        _ = stopped.changed() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
