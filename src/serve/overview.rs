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
    /// All offers that have a record.
    pub(super) known: usize,
    /// Those that the filter admits, whatever their phase.
    pub(super) admitted: usize,
    /// Those of `admitted` in the filter's phase.
    pub(super) shown: usize,
    /// Those of `admitted`, by phase.
    pub(super) by_phase: BTreeMap<Phase, usize>,
    /// Offers that have a manifest and no record yet.
    pub(super) unseen: usize,
}

/// How many offers have a manifest in force, and no record yet.
pub(super) fn count_unseen(serving: &Serving) -> usize {
    let desired = serving.service_state.service().desired;
    serving.store.with(|file| {
        // Both are sorted by name.
        let mut known = file.offers.keys().peekable();
        let is_unseen = |offer: &&OfferId| {
            while known.next_if(|it| it < offer).is_some() {}
            known.next_if(|it| it == offer).is_none()
        };
        desired.keys().filter(is_unseen).count()
    })
}

/// The offers that a filter admits, with their phases. It is kept up to date offer by offer, because
/// filtering all records for each change would cost too much with many offers and open pages.
#[derive(Debug, Default)]
pub(super) struct FilteredOffers {
    filter: Filter,
    phases: BTreeMap<OfferId, Phase>,
}

/// What an offer's change means for the rows of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowChange {
    /// The offer has a row now.
    Listed,
    /// It had one, and has none now.
    Removed,
    /// It has none, and had none.
    None,
}

impl FilteredOffers {
    /// The offers of a file that the filter admits, and the rows that a page lists.
    fn of(file: &StatusFile, filter: &Filter) -> (Self, Vec<Row>) {
        let admitted = file.offers.iter();
        let admitted: Vec<_> =
            admitted.filter(|(offer, record)| filter.admits_but_phase(offer, record)).collect();
        let phases = admitted.iter().map(|(offer, record)| ((*offer).clone(), record.phase));
        let phases = phases.collect();
        let shown = admitted.iter().filter(|(_, record)| filter.has_phase(record.phase));
        let rows = shown.take(MAX_ROWS).map(|(offer, record)| Row::of(offer, record)).collect();
        (Self { filter: filter.clone(), phases }, rows)
    }

    /// Records an offer's current record; `None` if it was removed.
    pub(super) fn update(&mut self, offer: &OfferId, record: Option<&OfferRecord>) -> RowChange {
        let record = record.filter(|record| self.filter.admits_but_phase(offer, record));
        let before = match record {
            Some(record) => self.phases.insert(offer.clone(), record.phase),
            None => self.phases.remove(offer),
        };
        if record.is_some_and(|record| self.filter.has_phase(record.phase)) {
            RowChange::Listed
        } else if before.is_some_and(|phase| self.filter.has_phase(phase)) {
            RowChange::Removed
        } else {
            RowChange::None
        }
    }

    pub(super) fn counts(&self, known: usize, unseen: usize) -> Counts {
        let mut by_phase = BTreeMap::new();
        for phase in self.phases.values() {
            *by_phase.entry(*phase).or_default() += 1;
        }
        let admitted = self.phases.len();
        let shown = match self.filter.phase {
            Some(phase) => by_phase.get(&phase).copied().unwrap_or_default(),
            None => admitted,
        };
        Counts { known, admitted, shown, by_phase, unseen }
    }
}

/// The page's content.
#[derive(Debug, Default)]
pub(super) struct Overview {
    pub(super) offers: FilteredOffers,
    pub(super) counts: Counts,
    /// Every publisher that has an offer.
    pub(super) publishers: Vec<PublisherId>,
    /// The offers that are shown, sorted by name.
    pub(super) rows: Vec<Row>,
}

impl Overview {
    /// Looks everything up.
    pub(super) fn of(serving: &Serving, filter: &Filter) -> Self {
        let (offers, mut rows, publishers, known) = serving.store.with(|file| {
            let (offers, rows) = FilteredOffers::of(file, filter);
            let mut publishers: Vec<_> = file.offers.keys().map(OfferId::publisher).collect();
            // Offers are sorted by name, so that those of one publisher stand together.
            publishers.dedup();
            let publishers = publishers.into_iter().cloned().collect();
            (offers, rows, publishers, file.offers.len())
        });
        for row in &mut rows {
            row.next = serving.service_state.next(&row.offer);
        }
        let counts = offers.counts(known, count_unseen(serving));
        Self { offers, counts, publishers, rows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::tests::invented;
    use crate::status::Reason;

    #[test]
    fn offers_updated_one_by_one_are_those_of_the_whole_file() {
        let mut random = fastrand::Rng::with_seed(3);
        for query in ["", "phase=Live", "q=vm-1", "phase=Held&publisher=contoso&q=good"] {
            let filter = Filter::parse(query).unwrap();
            let mut file = StatusFile::empty(invented::at());
            let (mut offers, _) = FilteredOffers::of(&file, &filter);
            for _ in 0..500 {
                let publisher = if random.bool() { "contoso" } else { "fabrikam" };
                let offer = format!("{publisher}/vm-{}", random.u8(0..20)).parse().unwrap();
                let phase = Phase::ALL[random.usize(0..Phase::ALL.len())];
                let message = if random.bool() { "good" } else { "bad" };
                let was_listed = offers.phases.get(&offer).is_some_and(|it| filter.has_phase(*it));
                if random.u8(0..4) == 0 {
                    file.offers.remove(&offer);
                } else {
                    let record = invented::record(phase, Reason::InProduction, message);
                    file.offers.insert(offer.clone(), record.into());
                }
                let change = offers.update(&offer, file.offers.get(&offer).map(|record| &**record));
                let (fresh, rows) = FilteredOffers::of(&file, &filter);
                assert_eq!(offers.phases, fresh.phases, "{query}");
                let counts = offers.counts(file.offers.len(), 0);
                assert_eq!(counts.by_phase.values().sum::<usize>(), counts.admitted, "{query}");
                assert_eq!(rows.len(), counts.shown, "{query}");
                let is_listed = rows.iter().any(|row| row.offer == offer);
                let expected = match (was_listed, is_listed) {
                    (_, true) => RowChange::Listed,
                    (true, false) => RowChange::Removed,
                    (false, false) => RowChange::None,
                };
                assert_eq!(change, expected, "{query}");
            }
        }
    }
}
