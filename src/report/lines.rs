//! A line in the log for every change of state.

use super::event::{Event, LATE, Reporter};
use crate::marketplace::OfferId;
use crate::status::{OfferRecord, Phase, Reason};

/// Writes to the log: one line when an offer's phase, reason, step or error changes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lines;

/// What of a record makes a new line.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    phase: Phase,
    reason: Reason,
    step: Option<String>,
    error: Option<String>,
}

impl Shown {
    fn of(record: &OfferRecord) -> Self {
        // One that has just ended is where it was, until it is decided what that means.
        let operation = record.operation.as_ref().filter(|_| record.phase == Phase::InProgress);
        let step = operation.and_then(|operation| operation.current_step());
        Self {
            phase: record.phase,
            reason: record.reason,
            step: step.map(|step| step.id.clone()),
            error: record.error.as_ref().map(|error| without_figures(&error.message)),
        }
    }
}

/// A text without what is another one each time: how long to wait, a date, a request's id. An error
/// that differs in these alone is no news.
fn without_figures(text: &str) -> String {
    let is_figure = |word: &str| word.chars().any(|c| c.is_ascii_digit());
    let words = text.split(' ').filter(|word| !is_figure(word));
    words.collect::<Vec<_>>().join(" ")
}

impl Lines {
    fn changed(offer: &OfferId, before: Option<&OfferRecord>, record: &OfferRecord) {
        let shown = Shown::of(record);
        if before.is_some_and(|before| Shown::of(before) == shown) {
            return;
        }
        let operation = record.operation.as_ref();
        let id = operation.and_then(|operation| operation.id.as_deref());
        let request = record.intent.as_ref().map(|intent| &intent.request_id);
        let request = request.or(operation.and_then(|operation| operation.request_id.as_ref()));
        let (phase, reason) = (record.phase.as_str(), record.reason);
        // An error that the message repeats is told once.
        let error = record.error.as_ref().map(|error| error.message.as_str());
        let error = error.filter(|error| *error != record.message);
        match record.phase {
            Phase::Failed | Phase::Blocked => tracing::error!(
                %offer, phase, ?reason, operation = id, request = request.map(tracing::field::display),
                error, "{offer}: {}", record.message
            ),
            Phase::Live | Phase::Preview | Phase::Held | Phase::Triggering | Phase::InProgress
                if error.is_some() =>
            {
                tracing::warn!(
                    %offer, phase, ?reason, operation = id,
                    request = request.map(tracing::field::display), error, "{offer}: {}", record.message
                );
            }
            // That an offer turns out to be where it should be is no news.
            Phase::Live | Phase::Preview if before.is_none() => {
                tracing::debug!(%offer, phase, ?reason, "{offer}: {}", record.message);
            }
            Phase::Live | Phase::Preview | Phase::Held | Phase::Triggering | Phase::InProgress => {
                tracing::info!(
                    %offer, phase, ?reason, operation = id,
                    request = request.map(tracing::field::display), "{offer}: {}", record.message
                );
            }
        }
    }
}

impl Reporter for Lines {
    fn report(&self, event: &Event<'_>) {
        match event {
            Event::Observing { publishers, offers } => {
                tracing::debug!(publishers, offers, "looking at the marketplace");
            }
            Event::Planned(set) => {
                tracing::info!(digest = set.digest(), "{}", set.summary());
            }
            Event::Changed { offer, before, record } => Self::changed(offer, *before, record),
            Event::Forgotten(offer) => {
                tracing::info!(%offer, "{offer}: the manifest is gone, so that the offer leaves the status file");
            }
            Event::Doubt { offer, why } => {
                tracing::warn!(%offer, "{offer}: it is not known whether the request was accepted: {why}");
            }
            Event::Waiting { offer, pause, why } => {
                tracing::info!(%offer, "{offer}: waiting {pause:.1?} {why}");
            }
            Event::Late { publisher } => {
                tracing::warn!(%publisher, "{publisher}: {LATE}");
            }
            // The change of the record tells of it.
            Event::Answered { .. } | Event::Polled { .. } | Event::NotListed { .. } => {}
            Event::Stopping => tracing::warn!("stopping: nothing more is sent"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_differs_in_figures_alone_is_no_news() {
        let one = "GET /x was answered 503; it asks to wait for 2m 58s; request 7f4061ca-3c3f";
        let two = "GET /x was answered 503; it asks to wait for 1h; request 518ff742-cfa0";
        assert_eq!(without_figures(one), without_figures(two));
        assert_ne!(without_figures(one), without_figures("GET /x was answered 403 Forbidden"));
    }
}
