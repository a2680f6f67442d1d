//! A line in the log for every change of state.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::event::{Event, Reporter};
use crate::marketplace::{OfferId, PublisherId};
use crate::status::{OfferRecord, Phase, Reason};

/// Writes to the log: one line when an offer's phase, reason, step or error changes. An error that
/// all offers of a publisher have, as its list could not be had, is one line, and so is its end.
#[derive(Debug, Default)]
pub struct LogReporter {
    /// The last of what was told of a publisher: an error, or that there is none any more.
    publishers: Mutex<BTreeMap<PublisherId, Option<String>>>,
}

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

/// What is wrong with a record, where that is not about its offer alone: no text about a request for one
/// offer is without the path of it.
fn shared_error(record: &OfferRecord) -> Option<&str> {
    let error = record.error.as_ref().map(|error| &*error.message);
    error.filter(|error| is_calm(record) && !error.contains("/offers/"))
}

/// Whether nothing was sent for an offer, or was to be, that could have gone wrong.
fn is_calm(record: &OfferRecord) -> bool {
    match record.phase {
        Phase::Live | Phase::Preview | Phase::Held | Phase::Blocked => true,
        Phase::Triggering | Phase::InProgress | Phase::Failed => false,
    }
}

impl LogReporter {
    fn changed(&self, offer: &OfferId, before: Option<&OfferRecord>, record: &OfferRecord) {
        let shown = Shown::of(record);
        if before.is_some_and(|before| Shown::of(before) == shown) {
            return;
        }
        let publisher = offer.publisher();
        // What becomes of a launch is told of its offer.
        let is = shared_error(record).filter(|_| before.is_none_or(is_calm));
        let was = before.and_then(shared_error);
        match (was, is) {
            (_, Some(error)) if self.is_news(publisher, Some(error)) => {
                tracing::error!(%publisher, "{publisher}: nothing new is known of its offers: {error}");
            }
            (Some(_), None) if self.is_news(publisher, None) => {
                tracing::info!(%publisher, "{publisher}: its offers are known again");
            }
            (_, _) => {}
        }
        let is_in_place = matches!(record.phase, Phase::Live | Phase::Preview);
        if is.is_some() || (was.is_some() && is_in_place) {
            let (phase, reason) = (record.phase.as_str(), record.reason);
            tracing::debug!(%offer, phase, ?reason, error = is, "{offer}: {}", record.message);
        } else {
            Self::line(offer, before, record);
        }
    }

    /// Whether that was not told of the publisher last. Keeps it.
    fn is_news(&self, publisher: &PublisherId, error: Option<&str>) -> bool {
        let error = error.map(without_figures);
        let mut publishers = self.publishers.lock().unwrap_or_else(PoisonError::into_inner);
        publishers.insert(publisher.clone(), error.clone()) != Some(error)
    }

    fn line(offer: &OfferId, before: Option<&OfferRecord>, record: &OfferRecord) {
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
            // The change of the record tells of it.
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

    /// What is logged of these, one after the other, each with its phase and its error.
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
            let lines = LogReporter::default();
            for (offer, phase, error) in steps {
                let offer: OfferId = offer.parse().unwrap();
                let mut now = record();
                (now.phase, now.message) = (*phase, "as it was".to_owned());
                now.operation = None;
                now.intent = None;
                let at = now.since;
                now.error = error.map(|error| ErrorRecord::new(at, error.to_owned()));
                let before = known.get(&offer);
                lines.report(&Event::Changed { offer: &offer, before, record: &now });
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
    fn what_a_whole_publisher_has_is_one_line() {
        let down = Some("GET /api/publishers/a/offers was answered 500; request 1");
        let also = Some("GET /api/publishers/a/offers was answered 500; request 2");
        let (live, blocked) = (Phase::Live, Phase::Blocked);
        let told = log(&[
            ("a/x", blocked, down),
            ("a/y", live, also),
            ("a/z", Phase::Held, down),
            ("a/x", live, None),
            ("a/y", live, None),
            ("a/z", Phase::Held, None),
            ("a/y", live, also),
        ]);
        let error = "ERROR a: nothing new is known of its offers: GET /api/publishers/a/offers was \
                     answered 500; request";
        assert_eq!(told.len(), 4, "{told:#?}");
        assert_eq!(told[0], format!("{error} 1"));
        assert_eq!(told[1], "INFO a: its offers are known again");
        assert!(told[2].starts_with("INFO a/z: as it was"), "{told:#?}");
        assert_eq!(told[3], format!("{error} 2"));
    }

    #[test]
    fn what_one_offer_has_is_told_of_that_one() {
        let error = Some("GET /api/publishers/a/offers/x was answered 500");
        let told = log(&[
            ("a/x", Phase::Blocked, error),
            ("a/y", Phase::Blocked, error),
            ("a/z", Phase::InProgress, Some("no connection")),
            ("a/v", Phase::InProgress, Some("no connection")),
            ("a/u", Phase::Triggering, None),
            ("a/u", Phase::Blocked, Some("no connection")),
        ]);
        assert_eq!(told.len(), 6, "{told:#?}");
        assert!(told[5].starts_with("ERROR a/u: "), "{told:#?}");
    }

    #[test]
    fn an_error_that_differs_in_figures_alone_is_no_news() {
        let one = "GET /x was answered 503; it asks to wait for 2m 58s; request 7f4061ca-3c3f";
        let two = "GET /x was answered 503; it asks to wait for 1h; request 518ff742-cfa0";
        assert_eq!(without_figures(one), without_figures(two));
        assert_ne!(without_figures(one), without_figures("GET /x was answered 403 Forbidden"));
    }
}
