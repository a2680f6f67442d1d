//! The emulator on a socket.

use std::io;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::Emulator;
use crate::backends::http::Dropped;
use crate::http_server::{self, Limits};

/// An endless body never ends by itself, so that connections are cut two seconds after shutdown.
const LIMITS: Limits = Limits { connections: usize::MAX, grace: Duration::from_secs(2) };

/// Serves the emulator until `shutdown` completes; then accepts no more, lets requests that are
/// under way finish for up to two seconds, and returns. A connection's error doesn't stop the
/// server; an error means that the listener itself can't be used.
pub async fn serve(
    emulator: Emulator,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    listener.local_addr()?;
    let stopping = CancellationToken::new();
    let serve_one = |stream| connection(emulator.clone(), stream, stopping.clone());
    http_server::serve(listener, LIMITS, shutdown, stopping.clone(), serve_one).await;
    Ok(())
}

async fn connection(emulator: Emulator, stream: TcpStream, stopping: CancellationToken) {
    let router = emulator.router();
    let service = service_fn(move |request| {
        let response = router.clone().oneshot(request);
        async move {
            let response = response.await.unwrap_or_else(|never| match never {});
            // An error of the service ends the connection without a byte: that is the fault.
            match response.extensions().get::<Dropped>() {
                Some(Dropped) => Err(io::Error::from(io::ErrorKind::ConnectionReset)),
                None => Ok(response),
            }
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new());
    http_server::connection(&builder, stream, service, stopping).await;
}
