//! A row of the table of offers.

use jiff::Timestamp;

use crate::marketplace::{OfferId, Release};
use crate::status::{OfferRecord, OperationRecord, Phase, Reason};

/// A row of the table of offers, apart from the relative times.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Row {
    pub(super) offer: OfferId,
    pub(super) phase: Phase,
    pub(super) reason: Reason,
    pub(super) preview: Option<Release>,
    pub(super) live: Option<Release>,
    pub(super) running: Option<Running>,
    /// The record's message, if the other columns don't say as much.
    pub(super) message: Option<String>,
    /// The last error, if the message doesn't contain it.
    pub(super) error: Option<String>,
    /// When the offer is checked next; `None` means at the next resync.
    pub(super) next: Option<Timestamp>,
}

/// An operation that runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Running {
    /// The step and its error.
    pub(super) step: Option<String>,
    pub(super) percent: Option<u8>,
    /// When it was started, or first seen.
    pub(super) started_at: Timestamp,
    /// The marketplace's estimate of the step's duration, in its words.
    pub(super) estimate: Option<String>,
}

impl Row {
    /// Reads a record, which doesn't say when the offer is checked next.
    pub(super) fn of(offer: &OfferId, record: &OfferRecord) -> Self {
        let observed = record.observed.as_ref();
        let shows_message =
            !matches!(record.phase, Phase::Live | Phase::Preview | Phase::InProgress);
        let error = record.error.as_ref().map(|error| &error.message);
        let is_repeated = |error: &String| record.message.contains(error.trim_end_matches('.'));
        Self {
            offer: offer.clone(),
            phase: record.phase,
            reason: record.reason,
            preview: observed.and_then(|seen| seen.preview.clone()),
            live: observed.and_then(|seen| seen.live.clone()),
            running: record.running().map(Running::of),
            message: shows_message.then(|| record.message.clone()),
            error: error.filter(|error| !(shows_message && is_repeated(error))).cloned(),
            next: None,
        }
    }

    /// The row's id, by which the script also sorts.
    pub(super) fn key(&self) -> String {
        key(&self.offer)
    }
}

/// The id of an offer's row.
pub(super) fn key(offer: &OfferId) -> String {
    offer.to_string().to_ascii_lowercase()
}

impl Running {
    fn of(operation: &OperationRecord) -> Self {
        let step = operation.current_step();
        let percent = step.and_then(|step| step.progress);
        // The bar shows the percentage.
        let place = operation.place().map(|place| {
            let end = percent.map(|percent| format!(", {percent} %")).unwrap_or_default();
            place.strip_suffix(&end).unwrap_or(&place).to_owned()
        });
        Self {
            step: place,
            percent,
            started_at: operation.started_at,
            estimate: step.and_then(|step| step.estimate.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::tests::invented;
    use crate::status::ErrorRecord;

    #[test]
    fn a_running_step_is_shown_without_its_percentage_twice() {
        let record = invented::running("Certification", Some(42));
        let row = Row::of(&"Contoso/VM".parse().unwrap(), &record);
        let running = row.running.clone().unwrap();
        assert_eq!(running.step.as_deref(), Some("Certification"));
        assert_eq!((running.percent, running.estimate.as_deref()), (Some(42), Some("< 5 day")));
        assert_eq!((row.message.as_deref(), row.key().as_str()), (None, "contoso/vm"));
    }

    #[test]
    fn an_error_that_the_sentence_tells_is_not_repeated() {
        let mut record = invented::record(Phase::Blocked, Reason::Forbidden, "no access.");
        record.error = Some(ErrorRecord::new(invented::at(), "no access.".to_owned()));
        let offer = "contoso/vm".parse().unwrap();
        assert_eq!(Row::of(&offer, &record).error, None);
        record.error = Some(ErrorRecord::new(invented::at(), "something else".to_owned()));
        assert_eq!(Row::of(&offer, &record).error.as_deref(), Some("something else"));
    }
}
