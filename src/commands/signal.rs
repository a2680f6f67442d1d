//! Stopping on request, in whatever phase.

use std::io::Write as _;
use std::process::exit;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::CommandError;

/// The target of what is told about signals: the log shows it even where it is quiet.
pub(super) const TARGET: &str = "golive::signal";

/// SIGINT and SIGTERM, heard from the beginning on a thread of their own, so that they are answered
/// whatever the others wait for, and as process 1, too.
///
/// As long as nothing is sent or written, the first one ends the process. After
/// [`Signals::stop_in_order`] it asks for an end, and the second one ends the process.
pub(super) struct Signals(Arc<Mutex<Option<CancellationToken>>>);

impl Signals {
    /// Listens from now on. A process that is ended before it did anything exits with `code`.
    pub(super) fn listen(code: u8) -> Result<Self, CommandError> {
        let cannot = |error| CommandError::because("cannot listen for signals", error);
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_io().build().map_err(cannot)?;
        let received = {
            let _entered = runtime.enter();
            Received::new().map_err(cannot)?
        };
        let stop = Arc::default();
        let attended = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("signals".to_owned());
        thread
            .spawn(move || runtime.block_on(attend(received, &attended, code)))
            .map_err(cannot)?;
        Ok(Self(stop))
    }

    /// From now on the process is not ended by the first signal: it cancels this token.
    pub(super) fn stop_in_order(&self) -> CancellationToken {
        lock(&self.0).get_or_insert_default().clone()
    }
}

fn lock(stop: &Mutex<Option<CancellationToken>>) -> MutexGuard<'_, Option<CancellationToken>> {
    stop.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn attend(mut received: Received, stop: &Mutex<Option<CancellationToken>>, code: u8) {
    let first = received.next().await;
    {
        // Held until the end, so that nothing can begin meanwhile that must not be cut short.
        let stop = lock(stop);
        let Some(stop) = &*stop else {
            say(&format!("stopped by {}; nothing was changed", first.name));
            exit(code.into());
        };
        stop.cancel();
    }
    let name = first.name;
    say(&format!(
        "{name}: nothing more is sent, what is under way is waited for; again to end now"
    ));
    let second = received.next().await;
    say(&format!("ended by {}; the next run looks into what was under way", second.name));
    exit(second.code);
}

/// On standard error, at once: as a line of the log, or as it is where there is no log.
fn say(text: &str) {
    if tracing::enabled!(target: TARGET, tracing::Level::WARN) {
        tracing::warn!(target: TARGET, "{text}");
    } else {
        // Where standard error is closed, the exit code is all that is left to tell.
        drop(writeln!(anstream::stderr(), "golive: {text}"));
    }
}

/// A signal that asks for the end.
struct Ask {
    name: &'static str,
    /// What a process exits with that it ended, as a shell reports it: 128 and its number.
    code: i32,
}

const INTERRUPT: Ask = Ask { name: "SIGINT", code: 130 };

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
struct Received {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Received {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> Ask {
        tokio::select! {
            _ = self.interrupt.recv() => INTERRUPT,
            _ = self.terminate.recv() => Ask { name: "SIGTERM", code: 143 },
        }
    }
}

#[cfg(not(unix))]
struct Received;

#[cfg(not(unix))]
impl Received {
    // As on Unix, where it can fail.
    #[expect(clippy::unnecessary_wraps, reason = "as on Unix, where it can fail")]
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Ask {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        INTERRUPT
    }
}
