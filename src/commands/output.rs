//! Standard output and standard error: what goes where, and whether in color.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;

use anstream::ColorChoice;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::{CommandError, signal};
use crate::cli::{Access, Color, LogFormat, Logging};
use crate::clock::Clock;
use crate::report::{EMULATOR_NOTICE, LogReporter, Progress, ProgressLog, Reporter};

/// Decides once for the whole process. `NO_COLOR` and the terminal are looked at for `auto`.
pub(super) fn choose_color(color: Color) {
    let choice = match color {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    };
    choice.write_global();
}

/// Whether standard error shows colors.
pub(super) fn stderr_has_color() -> bool {
    anstream::AutoStream::choice(&io::stderr()) != ColorChoice::Never
}

/// Prints data. A reader that has gone away (`| head`) is no error.
pub(super) fn print(text: &str) -> Result<(), CommandError> {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CommandError::because("cannot write to standard output", error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The narrowest terminal for which a table is arranged.
const NARROWEST: u16 = 40;

/// The width of the terminal on standard output; `None` where it is none.
pub(super) fn width() -> Option<u16> {
    if !io::stdout().is_terminal() {
        return None;
    }
    // A terminal that claims next to no width (a pipe in disguise) is one that has none.
    comfy_table::Table::new().width().filter(|width| *width >= NARROWEST)
}

/// Sets up the log, and who is told of a run: progress on a terminal, lines elsewhere.
/// That a run is a rehearsal is told before anything else.
pub(super) fn reporter(
    logging: &Logging,
    access: &Access,
    clock: &Arc<dyn Clock>,
) -> Arc<dyn Reporter> {
    let live = io::stderr().is_terminal()
        && logging.log_format == LogFormat::Text
        && logging.verbose == 0
        && !logging.quiet;
    if live {
        let progress = Progress::new(Arc::clone(clock));
        let log = progress.log();
        start_log(logging, LevelFilter::WARN, clock, move || -> ProgressLog { log.clone() });
        if access.emulator {
            progress.print_line(EMULATOR_NOTICE);
        }
        return Arc::new(progress);
    }
    log_lines(logging, clock);
    tell_rehearsal(access);
    Arc::new(LogReporter::default())
}

/// Sets up the log for a service: a line for each change of state.
pub(super) fn log_lines(logging: &Logging, clock: &Arc<dyn Clock>) {
    start_log(logging, LevelFilter::INFO, clock, io::stderr);
}

/// Sets up the log alone.
pub(super) fn log_only(logging: &Logging, clock: &Arc<dyn Clock>) {
    start_log(logging, LevelFilter::WARN, clock, io::stderr);
}

/// Tells, once the log is set up, that a run is a rehearsal.
pub(super) fn tell_rehearsal(access: &Access) {
    if access.emulator {
        tracing::info!("{EMULATOR_NOTICE}");
    }
}

fn start_log<W>(logging: &Logging, usual: LevelFilter, clock: &Arc<dyn Clock>, writer: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let level = match (logging.quiet, logging.verbose) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) => usual,
        (false, 1) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    };
    // golive's own words up to the level; its libraries' only where everything is asked for.
    let libraries = if logging.verbose > 2 { LevelFilter::TRACE } else { LevelFilter::WARN };
    let filter = tracing_subscriber::filter::Targets::new()
        .with_target("golive", level)
        // Who asks for the end is answered, however quiet it is.
        .with_target(signal::TARGET, level.max(LevelFilter::WARN))
        .with_default(libraries.min(level));
    let log = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        // Where standard error is closed or full, there is nobody to tell that the log is lost.
        .log_internal_errors(false)
        .with_target(logging.verbose > 0)
        .with_timer(Timer(Arc::clone(clock)));
    let log = match logging.log_format {
        LogFormat::Text => log.with_ansi(stderr_has_color()).boxed(),
        LogFormat::Json => log.json().flatten_event(true).boxed(),
    };
    let subscriber = tracing_subscriber::registry().with(log.with_filter(filter));
    #[cfg(feature = "otlp")]
    let subscriber = subscriber.with(super::otlp::layer());
    // A second call in one process (a test's) leaves the first log in place.
    drop(subscriber.try_init());
}

/// Log lines carry the time in UTC, to the millisecond.
struct Timer(Arc<dyn Clock>);

impl FormatTime for Timer {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        write!(writer, "{:.3}", self.0.now())
    }
}
