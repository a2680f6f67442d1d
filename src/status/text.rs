//! The status file as text, without writing out again what has not changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{OfferRecord, StatusFile, to_bytes};
use crate::marketplace::OfferId;

/// How many writes pass before the texts are kept: what is written once or twice and ends is not
/// worth the memory of another copy.
const FIRST_WRITES: u32 = 2;

/// What a record's lines begin with, besides their own indentation.
const INDENT: &str = "  ";

/// Writes status files, one after the other. The text of a record is kept, and goes along as long as
/// the record is the same: of a large file of which little changes, most is.
#[derive(Debug)]
pub(super) struct Text {
    /// How many writes are to pass before the texts are kept.
    unkept: u32,
    kept: Kept,
}

/// What is to be written.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    /// The file; without its records, where only some are told.
    pub(super) file: StatusFile,
    /// The records that are others since the last time; `None` where all are in the file.
    pub(super) changed: Option<Changed>,
}

/// Records that are new, are others, or are none any more (`None`).
pub(super) type Changed = Vec<(OfferId, Option<Arc<OfferRecord>>)>;

/// A text, in parts.
#[derive(Debug)]
pub(super) enum Parts<'a> {
    /// All of it.
    Whole(Vec<u8>),
    /// What stands before the records, and behind them.
    Around(Vec<u8>, Vec<u8>, &'a Kept),
}

/// Records as they stand in the file, each from a line break to a comma.
#[derive(Debug, Default)]
pub(super) struct Kept(BTreeMap<OfferId, Box<str>>);

impl Default for Text {
    fn default() -> Self {
        Self { unkept: FIRST_WRITES, kept: Kept::default() }
    }
}

impl Text {
    /// Of a process that stays: all texts are kept.
    pub(super) fn lasting() -> Self {
        Self { unkept: 0, kept: Kept::default() }
    }

    /// Whether the next text is kept, so that from then on it is enough to tell what changes.
    pub(super) fn is_to_be_kept(&self) -> bool {
        self.unkept == 0
    }

    /// The file as [`to_bytes`] has it.
    pub(super) fn of(&mut self, draft: Draft) -> serde_json::Result<Parts<'_>> {
        let Draft { mut file, changed } = draft;
        if self.is_to_be_kept() {
            let all = std::mem::take(&mut file.offers).into_iter();
            let all = || all.map(|(offer, record)| (offer, Some(record))).collect();
            let changed = changed.unwrap_or_else(all);
            if let Err(error) = self.kept.take_in(changed) {
                // What is kept is not all there is; the next time all is told.
                *self = Self { unkept: 1, kept: Kept::default() };
                return Err(error);
            }
        }
        self.unkept = self.unkept.saturating_sub(1);
        let mut before = to_bytes(&file)?;
        if self.kept.0.is_empty() {
            return Ok(Parts::Whole(before));
        }
        // Keys are sorted, so that the first empty braces are those of the offers.
        let at = before.windows(2).position(|it| it == b"{}").map_or(0, |brace| brace + 1);
        let behind = [b"\n  ", before.split_off(at).as_slice()].concat();
        Ok(Parts::Around(before, behind, &self.kept))
    }
}

impl Kept {
    fn take_in(&mut self, changed: Changed) -> serde_json::Result<()> {
        for (offer, record) in changed {
            match record {
                Some(record) => {
                    let text = text(&offer, &record)?;
                    self.0.insert(offer, text);
                }
                None => drop(self.0.remove(&offer)),
            }
        }
        Ok(())
    }
}

/// A record with its name.
fn text(offer: &OfferId, record: &OfferRecord) -> serde_json::Result<Box<str>> {
    let text = serde_json::to_string_pretty(&BTreeMap::from([(offer, record)]))?;
    let inner = text.trim_matches(['{', '}']).trim_end();
    // A line break is none of a text's own: there it is written as an escape.
    let mut text = inner.replace('\n', &format!("\n{INDENT}"));
    text.push(',');
    Ok(text.into_boxed_str())
}

impl Parts<'_> {
    /// What follows each other.
    pub(super) fn all(&self) -> Vec<&[u8]> {
        let (before, behind, kept) = match self {
            Self::Whole(text) => return vec![text],
            Self::Around(before, behind, kept) => (before, behind, kept),
        };
        let mut parts = Vec::with_capacity(kept.0.len() + 2);
        parts.push(before.as_slice());
        parts.extend(kept.0.values().map(|text| text.as_bytes()));
        if let Some(last) = parts.last_mut() {
            // No comma behind the last one.
            *last = &last[..last.len() - 1];
        }
        parts.push(behind);
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::SourceRecord;
    use crate::status::record::tests::record;

    /// A file, and what changes in it.
    struct Pair {
        file: StatusFile,
        text: Text,
    }

    impl Pair {
        fn new(text: Text) -> Self {
            let file = StatusFile::empty("2026-11-22T12:00:00Z".parse().unwrap());
            Self { file, text }
        }

        /// Writes it, having changed these, and looks that it is what would be written anew.
        fn write(&mut self, changed: &[&OfferId]) {
            let is_kept = self.text.is_to_be_kept() && !self.text.kept.0.is_empty();
            let now = |id: &&OfferId| {
                let known = self.file.offers.get_key_value(*id);
                let name = known.map_or_else(|| (*id).clone(), |(name, _)| name.clone());
                (name, known.map(|(_, record)| Arc::clone(record)))
            };
            let draft = if is_kept {
                let offers = BTreeMap::new();
                let file = StatusFile { offers, ..self.file.clone() };
                Draft { file, changed: Some(changed.iter().map(now).collect()) }
            } else {
                Draft { file: self.file.clone(), changed: None }
            };
            let written = self.text.of(draft).unwrap().all().concat();
            let anew = to_bytes(&self.file).unwrap();
            assert_eq!(String::from_utf8(written).unwrap(), String::from_utf8(anew).unwrap());
        }
    }

    #[test]
    fn what_is_kept_is_what_would_be_written_anew() {
        change_and_write(Text::default());
        change_and_write(Text::lasting());
    }

    fn change_and_write(text: Text) {
        let id = |number: usize| -> OfferId { format!("contoso/vm-{number}").parse().unwrap() };
        let mut pair = Pair::new(text);
        pair.write(&[]);
        for number in 0..40 {
            let mut new = record();
            new.message = format!("line\nline {number} {{}} \"quoted\" \u{2028} }}");
            let (changed, removed) = (id(number % 9), id(number % 7));
            pair.file.offers.insert(changed.clone(), Arc::new(new));
            if number % 5 == 4 {
                pair.file.offers.remove(&removed);
            }
            let other: OfferId = "Contoso/VM-1".parse().unwrap();
            if number == 20 {
                pair.file.offers.insert(other.clone(), Arc::new(record()));
                pair.file.source = Some(SourceRecord {
                    branch: None,
                    commit: "c0ffee".to_owned(),
                    url: "https://example.com/offers/{}".to_owned(),
                });
            }
            pair.file.updated_at += jiff::SignedDuration::from_secs(1);
            pair.write(&[&changed, &removed, &other]);
        }
        let all: Vec<OfferId> = std::mem::take(&mut pair.file.offers).into_keys().collect();
        pair.write(&all.iter().collect::<Vec<_>>());
    }

    #[test]
    fn only_what_changes_is_written_out_again() {
        let mut pair = Pair::new(Text::default());
        let ids = ["a/x", "b/x", "c/x"].map(|id| id.parse::<OfferId>().unwrap());
        for id in &ids {
            pair.file.offers.insert(id.clone(), Arc::new(record()));
        }
        let places = |pair: &Pair| ids.each_ref().map(|id| pair.text.kept.0[id].as_ptr());
        (0..=FIRST_WRITES).for_each(|_| pair.write(&[]));
        let before = places(&pair);
        pair.file.offers.insert(ids[1].clone(), Arc::new(record()));
        pair.write(&[&ids[1]]);
        let after = places(&pair);
        assert_eq!((before[0], before[2]), (after[0], after[2]));
        assert_ne!(before[1], after[1]);
    }
}
