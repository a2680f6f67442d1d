//! Serves HTTP/1 on a listener until shutdown: the page and the emulator have this in common.

use std::error::Error;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The pause after a failed accept, e.g. when there are no more file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// What a server allows its clients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The most open connections; others wait to be accepted.
    pub(crate) connections: usize,
    /// How long open connections may take to end after shutdown.
    pub(crate) grace: Duration,
}

/// Runs `connection` for each client until `shutdown` completes. Then cancels `stopping`, waits for
/// the open connections within their grace period, and drops those that are left. A failed accept
/// is logged and tried again.
pub(crate) async fn serve<C>(
    listener: TcpListener,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
    stopping: CancellationToken,
    connection: impl Fn(TcpStream) -> C,
) where
    C: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < limits.connections => {
                match accepted {
                    Ok((stream, _)) => {
                        // Responses and events are small: waiting to fill a packet adds latency.
                        if let Err(error) = stream.set_nodelay(true) {
                            tracing::debug!(%error, "no TCP_NODELAY");
                        }
                        connections.spawn(connection(stream));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "could not accept a connection");
                        tokio::time::sleep(ACCEPT_RETRY).await;
                    }
                }
            }
            Some(_) = connections.join_next() => {}
            () = &mut shutdown => break,
        }
    }
    drop(listener);
    stopping.cancel();
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.grace, all_ended).await.is_err() {
        connections.shutdown().await;
    }
}

/// Serves one connection to its end. Once `stopping` is cancelled it finishes the response under way
/// and takes no further request.
pub(crate) async fn connection<S>(
    builder: &http1::Builder,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    service: S,
    stopping: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<Body>>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let served = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = &mut served => ended,
        () = stopping.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
