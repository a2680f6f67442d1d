//! Stopping on request.

use tokio_util::sync::CancellationToken;

use super::CommandError;

/// Canceled by the first SIGINT or SIGTERM; a second one ends the process at once.
pub(super) fn stop_on_signal() -> Result<CancellationToken, CommandError> {
    let stop = CancellationToken::new();
    let mut signals = Signals::new()
        .map_err(|error| CommandError::because("cannot listen for signals", error))?;
    let stopper = stop.clone();
    tokio::spawn(async move {
        signals.next().await;
        stopper.cancel();
        signals.next().await;
        // 128 + SIGINT, as a shell reports it.
        std::process::exit(130);
    });
    Ok(stop)
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
