//! What the page of all offers shows, looked up in one go.

use std::collections::BTreeMap;

use super::Serving;
use super::filter::Filter;
use super::row::Row;
use crate::marketplace::{OfferId, PublisherId};
use crate::status::{OfferRecord, Phase, StatusFile};

/// The most offers of which a page has rows. Who has more narrows them down.
pub(super) const MAX_ROWS: usize = 5_000;

/// How many offers there are, and of which kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// All offers.
    pub(super) known: usize,
    /// Those that the filter lets through, whatever their phase.
    pub(super) admitted: usize,
    /// Those that it lets through.
    pub(super) shown: usize,
    /// Those of `admitted`, by phase.
    pub(super) by_phase: BTreeMap<Phase, usize>,
    /// Those that have a manifest and were not looked at yet; they are none of `known`.
    pub(super) unseen: usize,
}

/// How many offers have a manifest in force, and no record yet.
pub(super) fn unseen(serving: &Serving) -> usize {
    let desired = serving.service_state.service().desired;
    serving.store.with(|file| {
        // Both in the order of their names.
        let mut known = file.offers.keys().peekable();
        let is_unseen = |offer: &&OfferId| {
            while known.next_if(|it| it < offer).is_some() {}
            known.next_if(|it| it == offer).is_none()
        };
        desired.keys().filter(is_unseen).count()
    })
}

/// The offers that a filter admits, whatever their phase. Kept by what changes, so that a change of
/// one offer is no look at all of them.
#[derive(Debug, Default)]
pub(super) struct FilteredCounts {
    filter: Filter,
    admitted: BTreeMap<OfferId, Phase>,
    counts: Counts,
}

/// What a change of an offer is to a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// It has a row now.
    Now,
    /// It had one.
    Before,
    /// It has none, and had none.
    Never,
}

impl FilteredCounts {
    /// Counts the offers, and returns with them those that have a row, as many as a page lists.
    fn of(file: &StatusFile, filter: &Filter) -> (Self, Vec<Row>) {
        let mut rows = Vec::new();
        let mut admitted = Vec::new();
        let mut counts = Counts { known: file.offers.len(), ..Counts::default() };
        for (offer, record) in &file.offers {
            if !filter.admits_but_phase(offer, record) {
                continue;
            }
            admitted.push((offer.clone(), record.phase));
            *counts.by_phase.entry(record.phase).or_default() += 1;
            if filter.has_phase(record.phase) && rows.len() < MAX_ROWS {
                rows.push(Row::of(offer, record));
            }
        }
        let admitted = admitted.into_iter().collect();
        let mut tally = Self { filter: filter.clone(), admitted, counts };
        tally.sum_up();
        (tally, rows)
    }

    /// Takes in how an offer stands now; `None` where it is forgotten.
    pub(super) fn take_in(&mut self, offer: &OfferId, record: Option<&OfferRecord>) -> Shown {
        let record = record.filter(|record| self.filter.admits_but_phase(offer, record));
        let after = record.map(|record| record.phase);
        let before = match after {
            Some(phase) => self.admitted.insert(offer.clone(), phase),
            None => self.admitted.remove(offer),
        };
        if let Some(count) = before.and_then(|phase| self.counts.by_phase.get_mut(&phase)) {
            *count = count.saturating_sub(1);
        }
        if let Some(phase) = after {
            *self.counts.by_phase.entry(phase).or_default() += 1;
        }
        let is_shown = |phase: Option<Phase>| phase.is_some_and(|it| self.filter.has_phase(it));
        match (is_shown(before), is_shown(after)) {
            (_, true) => Shown::Now,
            (true, false) => Shown::Before,
            (false, false) => Shown::Never,
        }
    }

    /// Whether there were offers that nobody had looked at.
    pub(super) fn has_unseen(&self) -> bool {
        self.counts.unseen > 0
    }

    /// The counts, once all changes are taken in.
    pub(super) fn counts(&mut self, serving: &Serving, unseen: Option<usize>) -> &Counts {
        self.counts.known = serving.store.with(|file| file.offers.len());
        self.counts.unseen = unseen.unwrap_or(self.counts.unseen);
        self.sum_up();
        &self.counts
    }

    fn sum_up(&mut self) {
        self.counts.admitted = self.admitted.len();
        self.counts.shown = match self.filter.phase {
            Some(phase) => self.counts.by_phase.get(&phase).copied().unwrap_or_default(),
            None => self.counts.admitted,
        };
    }
}

/// The page's content.
#[derive(Debug, Default)]
pub(super) struct Overview {
    pub(super) tally: FilteredCounts,
    /// Every publisher that has an offer.
    pub(super) publishers: Vec<PublisherId>,
    /// The offers that are shown, in the order of their names.
    pub(super) rows: Vec<Row>,
}

impl Overview {
    /// Looks everything up.
    pub(super) fn of(serving: &Serving, filter: &Filter) -> Self {
        let mut overview = serving.store.with(|file| {
            let (tally, rows) = FilteredCounts::of(file, filter);
            let mut publishers: Vec<PublisherId> = Vec::new();
            for offer in file.offers.keys() {
                // Sorted by name, so that those of one publisher stand together.
                if publishers.last() != Some(offer.publisher()) {
                    publishers.push(offer.publisher().clone());
                }
            }
            Self { tally, publishers, rows }
        });
        overview.tally.counts.unseen = unseen(serving);
        for row in &mut overview.rows {
            row.next = serving.service_state.next(&row.offer);
        }
        overview
    }

    /// The counts, as of the look.
    pub(super) fn counts(&self) -> &Counts {
        &self.tally.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::tests::invented;
    use crate::status::Reason;

    /// A count that is kept by changes is that of a look at all.
    #[test]
    fn a_tally_is_kept_by_what_changes() {
        let mut random = fastrand::Rng::with_seed(3);
        for query in ["", "phase=Live", "q=vm-1", "phase=Held&publisher=contoso&q=good"] {
            let filter = Filter::parse(query).unwrap();
            let mut file = StatusFile::empty(invented::at());
            let (mut tally, _) = FilteredCounts::of(&file, &filter);
            for _ in 0..500 {
                let publisher = if random.bool() { "contoso" } else { "fabrikam" };
                let offer = format!("{publisher}/vm-{}", random.u8(0..20)).parse().unwrap();
                let phase = Phase::ALL[random.usize(0..Phase::ALL.len())];
                let message = if random.bool() { "good" } else { "bad" };
                let was_shown = tally.admitted.get(&offer).is_some_and(|it| filter.has_phase(*it));
                if random.u8(0..4) == 0 {
                    file.offers.remove(&offer);
                } else {
                    let record = invented::record(phase, Reason::InProduction, message);
                    file.offers.insert(offer.clone(), record.into());
                }
                let shown = tally.take_in(&offer, file.offers.get(&offer).map(|record| &**record));
                tally.sum_up();
                let (anew, rows) = FilteredCounts::of(&file, &filter);
                assert_eq!(tally.admitted, anew.admitted, "{query}");
                let without_zeros = |counts: &Counts| {
                    let mut counts = Counts { known: 0, ..counts.clone() };
                    counts.by_phase.retain(|_, count| *count > 0);
                    counts
                };
                assert_eq!(without_zeros(&tally.counts), without_zeros(&anew.counts), "{query}");
                assert_eq!(rows.len(), anew.counts.shown, "{query}");
                let is_listed = rows.iter().any(|row| row.offer == offer);
                let expected = match (was_shown, is_listed) {
                    (_, true) => Shown::Now,
                    (true, false) => Shown::Before,
                    (false, false) => Shown::Never,
                };
                assert_eq!(shown, expected, "{query}");
            }
        }
    }
}
