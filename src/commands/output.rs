//! Standard output and standard error: results, the log, progress, colors.

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

/// Sets the color choice of the process. `auto` looks at `NO_COLOR` and the terminal.
pub(super) fn choose_color(color: Color) {
    let choice = match color {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    };
    choice.write_global();
}

pub(super) fn stderr_has_color() -> bool {
    anstream::AutoStream::choice(&io::stderr()) != ColorChoice::Never
}

/// Prints to standard output. A closed pipe (`| head`) isn't an error.
pub(super) fn print(text: &str) -> Result<(), CommandError> {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CommandError::because("cannot write to standard output", error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The least width for which tables are arranged. A pipe in disguise claims next to none.
const MIN_WIDTH: u16 = 40;

/// The width of the terminal on standard output, if it is one.
pub(super) fn width() -> Option<u16> {
    if !io::stdout().is_terminal() {
        return None;
    }
    comfy_table::Table::new().width().filter(|width| *width >= MIN_WIDTH)
}

/// Sets up the log and returns the reporter of a run: progress on a terminal, log lines elsewhere.
/// The first line is the emulator's notice.
pub(super) fn reporter(
    logging: &Logging,
    access: &Access,
    clock: &Arc<dyn Clock>,
) -> Arc<dyn Reporter> {
    let shows_progress = io::stderr().is_terminal()
        && logging.log_format == LogFormat::Text
        && logging.verbose == 0
        && !logging.quiet;
    if shows_progress {
        let progress = Progress::new(Arc::clone(clock));
        let log = progress.log();
        start_log(logging, LevelFilter::WARN, clock, move || -> ProgressLog { log.clone() });
        if access.emulator {
            progress.print_line(EMULATOR_NOTICE);
        }
        return Arc::new(progress);
    }
    log_lines(logging, clock);
    log_emulator_notice(access);
    Arc::new(LogReporter::default())
}

/// Sets up the log with a line for each change of state.
pub(super) fn log_lines(logging: &Logging, clock: &Arc<dyn Clock>) {
    start_log(logging, LevelFilter::INFO, clock, io::stderr);
}

/// Sets up the log with warnings and errors.
pub(super) fn log_only(logging: &Logging, clock: &Arc<dyn Clock>) {
    start_log(logging, LevelFilter::WARN, clock, io::stderr);
}

/// Logs that a run uses the emulator, if it does.
pub(super) fn log_emulator_notice(access: &Access) {
    if access.emulator {
        tracing::info!("{EMULATOR_NOTICE}");
    }
}

fn start_log<W>(logging: &Logging, default_level: LevelFilter, clock: &Arc<dyn Clock>, writer: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let level = match logging.verbose {
        _ if logging.quiet => LevelFilter::ERROR,
        0 => default_level,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    // Libraries log everything only with -vvv.
    let libraries = if logging.verbose > 2 { LevelFilter::TRACE } else { LevelFilter::WARN };
    let filter = tracing_subscriber::filter::Targets::new()
        .with_target("golive", level)
        // Signals are answered with --quiet too.
        .with_target(signal::TARGET, level.max(LevelFilter::WARN))
        .with_default(libraries.min(level));
    let log = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        // If standard error is closed or full, there is nowhere to report that.
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
    // In a process that has a log already (a test), that one stays.
    drop(subscriber.try_init());
}

/// Log lines carry the time in UTC, to the millisecond.
struct Timer(Arc<dyn Clock>);

impl FormatTime for Timer {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        write!(writer, "{:.3}", self.0.now())
    }
}
