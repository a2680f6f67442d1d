//! Live progress on a terminal: one line for each offer that is on its way.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::event::{Event, Reporter};
use super::style::{of_phase, paint};
use crate::clock::Clock;
use crate::marketplace::OfferId;
use crate::status::{OfferRecord, Phase};

/// How many offers are shown at once; a terminal has only so many lines.
const MAX_BARS: usize = 16;

/// An offer's line.
const BAR: &str = "{spinner:.cyan} {prefix}  {bar:16.cyan/dim} {pos:>3} %  {elapsed}  {wide_msg}";

/// How much of an offer's name is shown, in characters.
const MAX_NAME: usize = 36;

/// The lines on the terminal.
#[derive(Default)]
struct Bars {
    shown: HashMap<OfferId, ProgressBar>,
    /// Offers on their way that have no line.
    hidden: HashSet<OfferId>,
    /// The line with their number.
    hidden_bar: Option<ProgressBar>,
}

/// Draws to standard error.
pub(crate) struct Progress {
    all: MultiProgress,
    bars: Mutex<Bars>,
    clock: Arc<dyn Clock>,
}

impl Progress {
    /// Progress on standard error, which must be a terminal.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        Self { all, bars: Mutex::default(), clock }
    }

    /// Prints a line that stays, above the progress.
    pub(crate) fn print_line(&self, line: &str) {
        drop(self.all.println(line));
    }

    /// Where the log goes, so that its lines and the progress don't write over each other.
    pub(crate) fn log(&self) -> ProgressLog {
        ProgressLog { all: self.all.clone() }
    }

    fn changed(&self, offer: &OfferId, record: &OfferRecord) {
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(record.phase, Phase::Triggering | Phase::InProgress) {
            let was_hidden = bars.hidden.remove(offer);
            let bar = bars.shown.remove(offer);
            if let Some(bar) = &bar {
                bar.finish_and_clear();
            }
            if bar.is_some() || was_hidden {
                let phase = paint(of_phase(record.phase), record.phase.as_str());
                self.print_line(&format!("{offer}  {phase}  {}", record.message));
            }
            self.show_hidden(&mut bars);
            return;
        }
        if !bars.shown.contains_key(offer) && bars.shown.len() >= MAX_BARS {
            bars.hidden.insert(offer.clone());
            self.show_hidden(&mut bars);
            return;
        }
        bars.hidden.remove(offer);
        let bar = bars.shown.entry(offer.clone()).or_insert_with(|| self.begin(offer, record));
        let operation = record.operation.as_ref().filter(|_| record.intent.is_none());
        let percent = operation.and_then(|operation| operation.progress).unwrap_or_default();
        bar.set_position(u64::from(percent));
        let step = operation.and_then(|operation| operation.current_step());
        let step = step.map_or(record.phase.as_str(), |step| &step.name);
        bar.set_message(step.to_owned());
    }

    fn show_hidden(&self, bars: &mut Bars) {
        let hidden = bars.hidden.len();
        if hidden == 0 {
            if let Some(bar) = bars.hidden_bar.take() {
                bar.finish_and_clear();
            }
            return;
        }
        let bar = bars.hidden_bar.get_or_insert_with(|| {
            self.all.add(ProgressBar::no_length().with_style(style("  {wide_msg}")))
        });
        bar.set_message(format!("… and {hidden} more on their way"));
    }

    fn begin(&self, offer: &OfferId, record: &OfferRecord) -> ProgressBar {
        let started =
            record.operation.as_ref().map_or(record.since, |operation| operation.started_at);
        let so_far =
            Duration::try_from(self.clock.now().duration_since(started)).unwrap_or_default();
        let bar = self.all.insert(0, ProgressBar::new(100).with_elapsed(so_far));
        bar.set_style(style(BAR));
        bar.set_prefix(shortened(&offer.to_string()));
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }
}

/// A name that leaves room for the rest of the line on a narrow terminal: its beginning and its
/// end, where names differ.
fn shortened(name: &str) -> String {
    let length = name.chars().count();
    if length <= MAX_NAME {
        return name.to_owned();
    }
    let (head, tail) = (MAX_NAME / 3, MAX_NAME - MAX_NAME / 3 - 1);
    let start: String = name.chars().take(head).collect();
    let end: String = name.chars().skip(length - tail).collect();
    format!("{start}…{end}")
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants; should one be wrong, a plain bar still shows the progress.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Reporter for Progress {
    fn report(&self, event: &Event<'_>) {
        match event {
            Event::Changed { offer, record, .. } => self.changed(offer, record),
            Event::Doubt { offer, why } => {
                self.print_line(&format!(
                    "{offer}  it is not known whether the request was accepted: {why}"
                ));
            }
            Event::Waiting { offer, pause, why } => {
                let bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(bar) = bars.shown.get(offer) {
                    bar.set_message(format!("waiting {pause:.0?} {why}"));
                }
            }
            Event::Stopping => self.print_line("stopping: nothing more is sent"),
            Event::Observing { .. }
            | Event::Planned(_)
            | Event::Forgotten(_)
            | Event::Answered { .. }
            | Event::Polled { .. }
            | Event::NotListed { .. } => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.all.clear());
    }
}

/// Writes log lines above the progress.
#[derive(Clone, Debug)]
pub(crate) struct ProgressLog {
    all: MultiProgress,
}

impl Write for ProgressLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.all.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
