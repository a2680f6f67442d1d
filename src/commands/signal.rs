//! Signals: SIGINT and SIGTERM stop golive, SIGHUP makes a service look again.

use std::io::Write as _;
use std::process::exit;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::CommandError;

/// The target of log lines about signals, which are shown with `--quiet` too.
pub(super) const TARGET: &str = "golive::signal";

/// Handles SIGINT and SIGTERM on a thread of its own, so that they work whatever the other threads
/// wait for, and also as process 1.
///
/// The first one ends the process, as nothing was sent or written. After
/// [`Signals::stop_in_order`] it cancels a token instead, and the second one ends the process.
pub(super) struct Signals(Arc<Mutex<Option<CancellationToken>>>);

impl Signals {
    /// Listens from now on. A process that is stopped before it did anything exits with `code`.
    pub(super) fn listen(code: u8) -> Result<Self, CommandError> {
        let cannot = |error| CommandError::because("cannot listen for signals", error);
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_io().build().map_err(cannot)?;
        let signals = {
            let _entered = runtime.enter();
            StopSignals::new().map_err(cannot)?
        };
        let stop = Arc::default();
        let shared = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("signals".to_owned());
        thread.spawn(move || runtime.block_on(handle(signals, &shared, code))).map_err(cannot)?;
        Ok(Self(stop))
    }

    /// From now on the first signal cancels this token instead of ending the process.
    pub(super) fn stop_in_order(&self) -> CancellationToken {
        lock(&self.0).get_or_insert_default().clone()
    }
}

fn lock(stop: &Mutex<Option<CancellationToken>>) -> MutexGuard<'_, Option<CancellationToken>> {
    stop.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn handle(mut signals: StopSignals, stop: &Mutex<Option<CancellationToken>>, code: u8) {
    let first = signals.next().await;
    {
        // Locked until the exit, so that no command can call `stop_in_order` meanwhile.
        let stop = lock(stop);
        let Some(stop) = &*stop else {
            print(&format!("stopped by {}; nothing was changed", first.name));
            exit(code.into());
        };
        stop.cancel();
    }
    print(&format!(
        "{}: nothing more is sent, waiting for the requests in flight; again to end now",
        first.name
    ));
    let second = signals.next().await;
    print(&format!("ended by {}; the next run looks into what was under way", second.name));
    exit(second.code);
}

/// Prints to standard error: as a line of the log, or plainly if there is no log yet.
fn print(text: &str) {
    if tracing::enabled!(target: TARGET, tracing::Level::WARN) {
        tracing::warn!(target: TARGET, "{text}");
    } else {
        // Where standard error is closed, the exit code is all that is left to tell.
        drop(writeln!(anstream::stderr(), "golive: {text}"));
    }
}

struct StopSignal {
    name: &'static str,
    /// The exit code of a process that it ended, as a shell reports it: 128 and its number.
    code: i32,
}

const INTERRUPT: StopSignal = StopSignal { name: "SIGINT", code: 130 };

/// Receives SIGHUP; several at once count as one.
#[cfg(unix)]
pub(super) fn hangups() -> Result<mpsc::Receiver<()>, CommandError> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut signals = signal(SignalKind::hangup())
        .map_err(|error| CommandError::because("cannot listen for signals", error))?;
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        while signals.recv().await.is_some() {
            // If it is full, one that was not received yet stands for this one too.
            let _ = sender.try_send(());
        }
    });
    Ok(receiver)
}

/// Other systems have no such signal.
#[cfg(not(unix))]
pub(super) fn hangups() -> Result<mpsc::Receiver<()>, CommandError> {
    Ok(mpsc::channel(1).1)
}

#[cfg(unix)]
struct StopSignals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl StopSignals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> StopSignal {
        tokio::select! {
            _ = self.interrupt.recv() => INTERRUPT,
            _ = self.terminate.recv() => StopSignal { name: "SIGTERM", code: 143 },
        }
    }
}

#[cfg(not(unix))]
struct StopSignals;

#[cfg(not(unix))]
impl StopSignals {
    #[expect(clippy::unnecessary_wraps, reason = "as on Unix, where it can fail")]
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> StopSignal {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        INTERRUPT
    }
}
