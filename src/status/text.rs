//! The status file as text, without writing out again what has not changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{OfferRecord, SourceRecord, StatusFile};
use crate::marketplace::OfferId;

/// From which write on the texts are kept: what is written once or twice and ends is not worth the
/// memory of another copy.
const KEPT_FROM: u32 = 3;

/// What a record's lines begin with, as deep as they stand in the file.
const INDENT: &str = "    ";

/// Writes status files, one after the other. The text of a record is kept and copied as long as the
/// record is the same: of a large file of which little changes, most is.
#[derive(Debug, Default)]
pub(super) struct Text {
    writes: u32,
    /// Each with the record that it is of.
    records: BTreeMap<OfferId, (Arc<OfferRecord>, Box<RawValue>)>,
    /// How long the last text was.
    length: usize,
}

/// A [`StatusFile`] whose records are written out.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    offers: BTreeMap<&'a OfferId, &'a RawValue>,
    schema: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a SourceRecord>,
    updated_at: Timestamp,
}

impl Text {
    /// The file as [`to_bytes`](super::to_bytes) has it.
    pub(super) fn of(&mut self, file: &StatusFile) -> serde_json::Result<Vec<u8>> {
        self.writes = self.writes.saturating_add(1);
        // A buffer that grows by itself is twice as large.
        let mut bytes = Vec::with_capacity(self.length + self.length / 16);
        if self.writes < KEPT_FROM {
            serde_json::to_writer_pretty(&mut bytes, file)?;
        } else {
            self.keep_up(&file.offers)?;
            let records = self.records.iter();
            let written = Written {
                offers: records.map(|(offer, (_, text))| (offer, &**text)).collect(),
                schema: file.schema,
                source: file.source.as_ref(),
                updated_at: file.updated_at,
            };
            serde_json::to_writer_pretty(&mut bytes, &written)?;
        }
        bytes.push(b'\n');
        self.length = bytes.len();
        Ok(bytes)
    }

    /// Writes out the records that are not those of the last time.
    fn keep_up(&mut self, offers: &BTreeMap<OfferId, Arc<OfferRecord>>) -> serde_json::Result<()> {
        let mut before = std::mem::take(&mut self.records).into_iter().peekable();
        let mut records = Vec::with_capacity(offers.len());
        for (offer, record) in offers {
            while before.next_if(|(known, _)| known < offer).is_some() {}
            let known = before.next_if(|(known, _)| known == offer);
            let text = match known {
                // The name may be spelled otherwise now, which is not a part of the text.
                Some((_, (known, text))) if Arc::ptr_eq(&known, record) => text,
                Some(_) | None => {
                    let text = serde_json::to_string_pretty(record)?;
                    // A line break is none of a text's own: there it is written as an escape.
                    RawValue::from_string(text.replace('\n', &format!("\n{INDENT}")))?
                }
            };
            records.push((offer.clone(), (Arc::clone(record), text)));
        }
        self.records = records.into_iter().collect();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::record::tests::record;
    use crate::status::to_bytes;

    #[test]
    fn what_is_kept_is_what_would_be_written_anew() {
        let id = |number: usize| -> OfferId { format!("contoso/vm-{number}").parse().unwrap() };
        let mut file = StatusFile::empty("2026-11-22T12:00:00Z".parse().unwrap());
        let mut text = Text::default();
        assert_eq!(text.of(&file).unwrap(), to_bytes(&file).unwrap());
        for number in 0..40 {
            let mut new = record();
            new.message = format!("line\nline {number} \"quoted\" \u{2028}");
            file.offers.insert(id(number % 9), Arc::new(new));
            if number % 5 == 4 {
                file.offers.remove(&id(number % 7));
            }
            if number == 20 {
                file.offers.insert("Contoso/VM-1".parse().unwrap(), Arc::new(record()));
                file.source = Some(SourceRecord {
                    branch: None,
                    commit: "c0ffee".to_owned(),
                    url: "https://example.com/offers".to_owned(),
                });
            }
            file.updated_at += jiff::SignedDuration::from_secs(1);
            let kept = String::from_utf8(text.of(&file).unwrap()).unwrap();
            assert_eq!(kept, String::from_utf8(to_bytes(&file).unwrap()).unwrap());
        }
        assert_eq!(text.records.len(), file.offers.len());
    }

    #[test]
    fn only_what_changes_is_written_out_again() {
        let mut file = StatusFile::empty("2026-11-22T12:00:00Z".parse().unwrap());
        let ids = ["a/x", "b/x", "c/x"].map(|id| id.parse::<OfferId>().unwrap());
        for id in &ids {
            file.offers.insert(id.clone(), Arc::new(record()));
        }
        let mut text = Text::default();
        let place = |text: &Text, id| text.records.get(id).map(|(_, raw)| raw.get().as_ptr());
        (0..KEPT_FROM).for_each(|_| drop(text.of(&file).unwrap()));
        let before = ids.each_ref().map(|id| place(&text, id));
        file.offers.insert(ids[1].clone(), Arc::new(record()));
        text.of(&file).unwrap();
        let after = ids.each_ref().map(|id| place(&text, id));
        assert_eq!((before[0], before[2]), (after[0], after[2]));
        assert_ne!(before[1], after[1]);
    }
}
