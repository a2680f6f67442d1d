//! What the page of all offers shows, looked up in one go.

use std::collections::BTreeMap;

use super::Serving;
use super::filter::Filter;
use super::row::Row;
use crate::marketplace::{OfferId, PublisherId};
use crate::status::{Phase, StatusFile};

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
}

impl Counts {
    /// Counts the offers.
    pub(super) fn of(serving: &Serving, filter: &Filter) -> Self {
        serving.store.with(|file| Self::in_file(file, filter, |_| ()))
    }

    fn in_file(file: &StatusFile, filter: &Filter, mut shown: impl FnMut(&OfferId)) -> Self {
        let mut counts = Self { known: file.offers.len(), ..Self::default() };
        for (offer, record) in &file.offers {
            if filter.admits_but_phase(offer, record) {
                counts.admitted += 1;
                *counts.by_phase.entry(record.phase).or_default() += 1;
                if filter.phase.is_none_or(|phase| phase == record.phase) {
                    counts.shown += 1;
                    shown(offer);
                }
            }
        }
        counts
    }
}

/// The page's content.
#[derive(Clone, Debug, Default)]
pub(super) struct Overview {
    pub(super) counts: Counts,
    /// Every publisher that has an offer.
    pub(super) publishers: Vec<PublisherId>,
    /// The offers that are shown, in the order of their names.
    pub(super) rows: Vec<Row>,
}

impl Overview {
    /// Looks everything up.
    pub(super) fn of(serving: &Serving, filter: &Filter) -> Self {
        let mut overview = serving.store.with(|file| {
            let mut rows = Vec::new();
            let counts = Counts::in_file(file, filter, |offer| {
                if rows.len() < MAX_ROWS
                    && let Some(record) = file.offers.get(offer)
                {
                    rows.push(Row::of(offer, record));
                }
            });
            let mut publishers: Vec<PublisherId> = Vec::new();
            for offer in file.offers.keys() {
                // Sorted by name, so that those of one publisher stand together.
                if publishers.last() != Some(offer.publisher()) {
                    publishers.push(offer.publisher().clone());
                }
            }
            Self { counts, publishers, rows }
        });
        for row in &mut overview.rows {
            row.next = serving.board.next(&row.offer);
        }
        overview
    }
}
