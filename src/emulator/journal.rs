//! What the emulated marketplace was asked.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;

/// Older entries are let go: a server that runs for weeks must not fill the memory.
const MOST_ENTRIES: usize = 200_000;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it came.
    pub at: Timestamp,
    /// Its method.
    pub method: String,
    /// Its path, as it was sent.
    pub path: String,
    /// Its query, as it was sent, without the question mark.
    pub query: String,
    /// The HTTP status it was answered with; `None` while it is not answered, and where it never
    /// is: the connection was dropped, or the client went away.
    pub status: Option<u16>,
    /// Its `If-Match`.
    pub if_match: Option<String>,
    /// Its `x-ms-client-request-id`.
    pub request_id: Option<String>,
    /// The notification e-mail addresses in its body, as they were written.
    pub notify: Option<String>,
    /// Whether it changed something: a publish, golive, cancel or PUT that was done. True also
    /// where the answer was lost.
    pub accepted: bool,
}

/// How often something was asked of an offer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Requests that came, whatever became of them.
    pub received: u64,
    /// Requests that were done, whatever became of the answer.
    pub accepted: u64,
}

/// Every request, in the order of arrival, and how often each offer was asked to go live.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    entries: VecDeque<Entry>,
    /// How many entries were let go.
    forgotten: usize,
    golives: BTreeMap<String, Count>,
}

impl Journal {
    /// The requests, oldest first. Beyond 200,000 the oldest are let go.
    #[must_use]
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// How often golive was received and accepted for an offer, `publisher/offer`, any case.
    #[must_use]
    pub fn golives(&self, offer: &str) -> Count {
        self.golives.get(&offer.to_ascii_lowercase()).copied().unwrap_or_default()
    }

    /// How often golive was received and accepted for all offers together.
    #[must_use]
    pub fn all_golives(&self) -> Count {
        self.golives.values().fold(Count::default(), |sum, count| Count {
            received: sum.received + count.received,
            accepted: sum.accepted + count.accepted,
        })
    }

    /// Writes a request down; the number is its ticket.
    pub(super) fn begin(&mut self, entry: Entry, golive_of: Option<&str>) -> usize {
        if let Some(offer) = golive_of {
            self.golives.entry(offer.to_ascii_lowercase()).or_default().received += 1;
        }
        if self.entries.len() == MOST_ENTRIES {
            self.entries.pop_front();
            self.forgotten += 1;
        }
        self.entries.push_back(entry);
        self.forgotten + self.entries.len() - 1
    }

    /// The request was done.
    pub(super) fn accepted(&mut self, ticket: usize, golive_of: Option<&str>) {
        if let Some(offer) = golive_of {
            self.golives.entry(offer.to_ascii_lowercase()).or_default().accepted += 1;
        }
        self.amend(ticket, |entry| entry.accepted = true);
    }

    /// Adds to what is known of a request.
    pub(super) fn amend(&mut self, ticket: usize, amend: impl FnOnce(&mut Entry)) {
        let index = ticket.checked_sub(self.forgotten);
        if let Some(entry) = index.and_then(|index| self.entries.get_mut(index)) {
            amend(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entries_are_let_go_and_tickets_stay_true() {
        let entry = || Entry {
            at: Timestamp::UNIX_EPOCH,
            method: "GET".into(),
            path: "/".into(),
            query: String::new(),
            status: None,
            if_match: None,
            request_id: None,
            notify: None,
            accepted: false,
        };
        let mut journal = Journal::default();
        let first = journal.begin(entry(), None);
        let mut last = first;
        for _ in 0..MOST_ENTRIES {
            last = journal.begin(entry(), None);
        }
        journal.amend(first, |_| panic!("it is gone"));
        journal.amend(last, |entry| entry.status = Some(200));
        assert_eq!(journal.entries().len(), MOST_ENTRIES);
        assert_eq!(journal.entries().last().unwrap().status, Some(200));
    }
}
