//! The requests that the emulated marketplace got.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::model::submission::number;

/// Older entries are dropped: a server that runs for weeks must not fill the memory.
const MAX_ENTRIES: usize = 200_000;

/// A golive that was asked for, judged when it arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GoliveRequest {
    /// The offer, `publisher/offer`, in lower case.
    pub offer: String,
    /// The version that was in preview, if one was; that of the submission that a *configure* names.
    pub release: Option<u64>,
    /// Whether the offer waited for sign-off and nothing ran. Only the marketplace's refusal stops
    /// a request that is not legitimate, if anything does.
    pub legitimate: bool,
}

/// One request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
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
    /// Its `x-ms-client-request-id`, or `client-request-id`.
    pub request_id: Option<String>,
    /// The notification e-mail addresses in its body, as they were written.
    pub notify: Option<String>,
    /// Whether it changed something: a publish, golive, cancel or PUT that was done. True also
    /// where the answer was lost.
    pub accepted: bool,
    /// What it asked for, where it is a golive.
    pub golive: Option<GoliveRequest>,
}

/// How often something was asked of an offer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Requests that came, whatever became of them.
    pub received: u64,
    /// Requests that were done, whatever became of the answer.
    pub accepted: u64,
}

impl Count {
    fn and(self, other: Self) -> Self {
        Self { received: self.received + other.received, accepted: self.accepted + other.accepted }
    }
}

/// Every request, in the order of arrival, and how often each release was asked to go live.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    entries: VecDeque<Entry>,
    /// How many entries were dropped.
    dropped: usize,
    /// By offer, in lower case, and by the version in preview, if one was.
    golives: BTreeMap<String, BTreeMap<Option<u64>, Count>>,
}

impl Journal {
    /// The requests, oldest first. Beyond 200,000 the oldest are dropped.
    #[must_use]
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// How often golive was received and accepted for an offer, `publisher/offer`, any case.
    #[must_use]
    pub fn golives(&self, offer: &str) -> Count {
        self.releases(offer).fold(Count::default(), |sum, (_, count)| sum.and(count))
    }

    /// The same for each of its releases, by the version that was in preview; `None` where none
    /// was.
    pub fn releases(&self, offer: &str) -> impl Iterator<Item = (Option<u64>, Count)> {
        let own = self.golives.get(&offer.to_ascii_lowercase());
        own.into_iter().flatten().map(|(release, count)| (*release, *count))
    }

    /// How often golive was received and accepted for all offers together.
    #[must_use]
    pub fn all_golives(&self) -> Count {
        let counts = self.golives.values().flat_map(BTreeMap::values);
        counts.fold(Count::default(), |sum, count| sum.and(*count))
    }

    /// The golives that no sign-off waited for when they arrived, accepted or not.
    pub fn illegitimate(&self) -> impl Iterator<Item = &Entry> {
        let stray = |entry: &&Entry| entry.golive.as_ref().is_some_and(|own| !own.legitimate);
        self.entries.iter().filter(stray)
    }

    /// Adds a request; the number is its ticket.
    pub(super) fn begin(&mut self, entry: Entry) -> usize {
        if let Some(GoliveRequest { offer, release, .. }) = &entry.golive {
            self.count(offer, *release).received += 1;
        }
        if self.entries.len() == MAX_ENTRIES {
            self.entries.pop_front();
            self.dropped += 1;
        }
        self.entries.push_back(entry);
        self.dropped + self.entries.len() - 1
    }

    /// A request turned out to ask for a golive.
    pub(super) fn received(&mut self, ticket: usize, golive: GoliveRequest) {
        self.count(&golive.offer, golive.release).received += 1;
        self.amend(ticket, |entry| entry.golive = Some(golive));
    }

    fn count(&mut self, offer: &str, release: Option<u64>) -> &mut Count {
        self.golives.entry(offer.to_owned()).or_default().entry(release).or_default()
    }

    /// The request was done; a golive on this release of an offer.
    pub(super) fn accepted(&mut self, ticket: usize, golive: Option<(&str, Option<u64>)>) {
        if let Some((offer, release)) = golive {
            self.count(offer, release).accepted += 1;
        }
        self.amend(ticket, |entry| entry.accepted = true);
    }

    /// All of it, for `GET /_journal`.
    pub(super) fn report(&self) -> Value {
        let golives = self.golives.iter().flat_map(|(offer, releases)| {
            releases.iter().map(move |(release, count)| {
                let Count { received, accepted } = count;
                json!({
                    "offer": offer,
                    "release": release,
                    "submission": release.map(|version| number(version).to_string()),
                    "received": received,
                    "accepted": accepted
                })
            })
        });
        json!({ "golives": golives.collect::<Vec<_>>(), "requests": self.entries })
    }

    /// Adds to what is known of a request.
    pub(super) fn amend(&mut self, ticket: usize, amend: impl FnOnce(&mut Entry)) {
        let index = ticket.checked_sub(self.dropped);
        if let Some(entry) = index.and_then(|index| self.entries.get_mut(index)) {
            amend(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entries_are_dropped_and_tickets_stay_valid() {
        let mut journal = Journal::default();
        let first = journal.begin(Entry::default());
        let mut last = first;
        for _ in 0..MAX_ENTRIES {
            last = journal.begin(Entry::default());
        }
        journal.amend(first, |_| panic!("the entry was dropped"));
        journal.amend(last, |entry| entry.status = Some(200));
        assert_eq!(journal.entries().len(), MAX_ENTRIES);
        assert_eq!(journal.entries().last().unwrap().status, Some(200));
    }
}
