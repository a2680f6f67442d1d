//! The log: one line for each change of an offer's state.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::event::{Event, Reporter};
use crate::marketplace::{OfferId, PublisherId};
use crate::status::{OfferRecord, Phase, Reason};

/// Logs one line when an offer's phase, reason, step or error changes. An error that all offers of a
/// publisher share, because the publisher can't be listed, is one line, and so is its end.
#[derive(Debug, Default)]
pub(crate) struct LogReporter {
    /// The last line about each publisher: an error, or `None` once it could be listed again.
    publishers: Mutex<BTreeMap<PublisherId, Option<String>>>,
}

/// The parts of a record whose change makes a new line.
#[derive(PartialEq, Eq)]
struct LoggedState<'a> {
    phase: Phase,
    reason: Reason,
    step: Option<&'a str>,
    error: Option<String>,
}

impl<'a> LoggedState<'a> {
    fn of(record: &'a OfferRecord) -> Self {
        // The operation of another phase has just ended; what that means is decided next.
        let operation = record.operation.as_ref().filter(|_| record.phase == Phase::InProgress);
        let step = operation.and_then(|operation| operation.current_step());
        Self {
            phase: record.phase,
            reason: record.reason,
            step: step.map(|step| &*step.id),
            error: record.error.as_ref().map(|error| without_figures(&error.message)),
        }
    }
}

/// A text without durations, dates and ids: an error that differs only in these is not logged again.
fn without_figures(text: &str) -> String {
    let is_figure = |word: &str| word.chars().any(|c| c.is_ascii_digit());
    let words = text.split(' ').filter(|word| !is_figure(word));
    words.collect::<Vec<_>>().join(" ")
}

/// The record's error, if it is about the publisher: an error of a request about one offer has the
/// offer's path in its text.
fn publisher_error(record: &OfferRecord) -> Option<&str> {
    let error = record.error.as_ref().map(|error| &*error.message);
    error.filter(|error| !is_launching(record) && !error.contains("/offers/"))
}

/// Whether something was sent for the offer, or was about to be, that could have gone wrong.
fn is_launching(record: &OfferRecord) -> bool {
    match record.phase {
        Phase::Triggering | Phase::InProgress | Phase::Failed => true,
        Phase::Live | Phase::Preview | Phase::Held | Phase::Blocked => false,
    }
}

impl LogReporter {
    fn changed(&self, offer: &OfferId, before: Option<&OfferRecord>, record: &OfferRecord) {
        if before.is_some_and(|before| LoggedState::of(before) == LoggedState::of(record)) {
            return;
        }
        let publisher = offer.publisher();
        // The outcome of a launch is logged for its offer.
        let error = publisher_error(record).filter(|_| !before.is_some_and(is_launching));
        let error_before = before.and_then(publisher_error);
        match (error_before, error) {
            (_, Some(error)) if self.is_news(publisher, Some(error)) => {
                tracing::error!(%publisher, "{publisher} can't be listed: {error}");
            }
            (Some(_), None) if self.is_news(publisher, None) => {
                tracing::info!(%publisher, "{publisher} can be listed again");
            }
            (_, _) => {}
        }
        let is_in_place = matches!(record.phase, Phase::Live | Phase::Preview);
        if error.is_some() || (error_before.is_some() && is_in_place) {
            let (phase, reason) = (record.phase.as_str(), record.reason);
            tracing::debug!(%offer, phase, %reason, error, "{offer}: {}", record.message);
        } else {
            log_offer(offer, before, record);
        }
    }

    /// Whether the last line about the publisher said something else. Keeps the new one.
    fn is_news(&self, publisher: &PublisherId, error: Option<&str>) -> bool {
        let error = error.map(without_figures);
        let mut publishers = self.publishers.lock().unwrap_or_else(PoisonError::into_inner);
        publishers.insert(publisher.clone(), error.clone()) != Some(error)
    }
}

fn log_offer(offer: &OfferId, before: Option<&OfferRecord>, record: &OfferRecord) {
    let operation = record.operation.as_ref();
    let id = operation.and_then(|operation| operation.id.as_deref());
    let request = record.intent.as_ref().map(|intent| &intent.request_id);
    let request = request.or(operation.and_then(|operation| operation.request_id.as_ref()));
    let request = request.map(tracing::field::display);
    let (phase, reason) = (record.phase.as_str(), record.reason);
    // Not if the message repeats it.
    let error = record.error.as_ref().map(|error| error.message.as_str());
    let error = error.filter(|error| *error != record.message);
    macro_rules! log {
        ($level:ident) => {
            tracing::$level!(
                %offer, phase, %reason, operation = id, request, error, "{offer}: {}", record.message
            )
        };
    }
    match record.phase {
        Phase::Failed | Phase::Blocked => log!(error),
        _ if error.is_some() => log!(warn),
        // An offer that turns out to be in sync isn't logged.
        Phase::Live | Phase::Preview if before.is_none() => log!(debug),
        Phase::Live | Phase::Preview | Phase::Held | Phase::Triggering | Phase::InProgress => {
            log!(info);
        }
    }
}

impl Reporter for LogReporter {
    fn report(&self, event: &Event<'_>) {
        match event {
            Event::Observing { publishers, offers } => {
                tracing::debug!(publishers, offers, "looking at the marketplace");
            }
            Event::Planned(set) => {
                tracing::info!(digest = set.digest(), "{}", set.summary());
            }
            Event::Changed { offer, before, record } => self.changed(offer, *before, record),
            Event::Forgotten(offer) => {
                tracing::info!(%offer, "{offer}: the manifest is gone, so that the offer leaves the status file");
            }
            Event::Doubt { offer, why } => {
                tracing::warn!(%offer, "{offer}: it is not known whether the request was accepted: {why}");
            }
            Event::Waiting { offer, pause, why } => {
                tracing::info!(%offer, "{offer}: waiting {pause:.1?} {why}");
            }
            // The record's change is logged.
            Event::Answered { .. } | Event::Polled { .. } | Event::NotListed { .. } => {}
            Event::Stopping => tracing::warn!("stopping: nothing more is sent"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::status::{ErrorRecord, record};

    /// The lines for records with these phases and errors, one after the other.
    fn log(steps: &[(&str, Phase, Option<&str>)]) -> Vec<String> {
        let written = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&written);
        let subscriber = tracing_subscriber::fmt()
            .without_time()
            .with_target(false)
            .with_ansi(false)
            .with_writer(move || Written(Arc::clone(&writer)))
            .finish();
        let mut known: BTreeMap<OfferId, OfferRecord> = BTreeMap::new();
        tracing::subscriber::with_default(subscriber, || {
            let reporter = LogReporter::default();
            for (offer, phase, error) in steps {
                let offer: OfferId = offer.parse().unwrap();
                let mut now = record();
                (now.phase, now.message) = (*phase, "as it was".to_owned());
                now.operation = None;
                now.intent = None;
                let at = now.since;
                now.error = error.map(|error| ErrorRecord::new(at, error.to_owned()));
                let before = known.get(&offer);
                reporter.report(&Event::Changed { offer: &offer, before, record: &now });
                known.insert(offer, now);
            }
        });
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        text.lines()
            .map(|line| line.split(" publisher=").next().unwrap().trim().to_owned())
            .collect()
    }

    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_error_of_a_whole_publisher_is_one_line() {
        let down = Some("GET /api/publishers/a/offers was answered 500; request 1");
        let also = Some("GET /api/publishers/a/offers was answered 500; request 2");
        let (live, blocked) = (Phase::Live, Phase::Blocked);
        let lines = log(&[
            ("a/x", blocked, down),
            ("a/y", live, also),
            ("a/z", Phase::Held, down),
            ("a/x", live, None),
            ("a/y", live, None),
            ("a/z", Phase::Held, None),
            ("a/y", live, also),
        ]);
        let error =
            "ERROR a can't be listed: GET /api/publishers/a/offers was answered 500; request";
        assert_eq!(lines.len(), 4, "{lines:#?}");
        assert_eq!(lines[0], format!("{error} 1"));
        assert_eq!(lines[1], "INFO a can be listed again");
        assert!(lines[2].starts_with("INFO a/z: as it was"), "{lines:#?}");
        assert_eq!(lines[3], format!("{error} 2"));
    }

    #[test]
    fn an_error_of_one_offer_is_logged_for_that_offer() {
        let error = Some("GET /api/publishers/a/offers/x was answered 500");
        let lines = log(&[
            ("a/x", Phase::Blocked, error),
            ("a/y", Phase::Blocked, error),
            ("a/z", Phase::InProgress, Some("no connection")),
            ("a/v", Phase::InProgress, Some("no connection")),
            ("a/u", Phase::Triggering, None),
            ("a/u", Phase::Blocked, Some("no connection")),
        ]);
        assert_eq!(lines.len(), 6, "{lines:#?}");
        assert!(lines[5].starts_with("ERROR a/u: "), "{lines:#?}");
    }

    #[test]
    fn an_error_that_differs_only_in_figures_is_not_logged_again() {
        let one = "GET /x was answered 503; it asks to wait for 2m 58s; request 7f4061ca-3c3f";
        let two = "GET /x was answered 503; it asks to wait for 1h; request 518ff742-cfa0";
        assert_eq!(without_figures(one), without_figures(two));
        assert_ne!(without_figures(one), without_figures("GET /x was answered 403 Forbidden"));
    }
}
