//! Stopping on request.

use tokio::sync::mpsc;
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

/// Hears of each SIGHUP; several that come at once are one.
#[cfg(unix)]
pub(super) fn hangups() -> Result<mpsc::Receiver<()>, CommandError> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut signals = signal(SignalKind::hangup())
        .map_err(|error| CommandError::because("cannot listen for signals", error))?;
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        while signals.recv().await.is_some() {
            // One that is not heard of yet stands for this one, too.
            let _ = sender.try_send(());
        }
    });
    Ok(receiver)
}

/// Where there is no such signal, there is none to hear of.
#[cfg(not(unix))]
pub(super) fn hangups() -> Result<mpsc::Receiver<()>, CommandError> {
    Ok(mpsc::channel(1).1)
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
