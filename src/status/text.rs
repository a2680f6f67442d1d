//! The text of the status file. A record is serialized once for each change: at 10,000 offers, all
//! records together would take most of the time between a decision and its request.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::{MarketplaceRecord, OfferRecord, SourceRecord, StatusFile};
use crate::marketplace::{OfferId, PublisherId};

/// The bytes that an offer's record takes, roughly. A buffer that grows would be copied over and over.
const RECORD_LENGTH: usize = 1024;

/// A status file's content, for [`super::parse`]. It has sorted keys, an indentation of two spaces and
/// a final newline, so that a committed status file diffs well.
pub fn to_bytes(file: &StatusFile) -> serde_json::Result<Vec<u8>> {
    pretty(file, file.offers.len())
}

fn pretty(file: &impl Serialize, offers: usize) -> serde_json::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(RECORD_LENGTH * (offers + 1));
    serde_json::to_writer_pretty(&mut bytes, file)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The texts of the records that were written last, by offer.
#[derive(Debug, Default)]
pub(super) struct RecordTexts(Vec<RecordText>);

#[derive(Debug)]
struct RecordText {
    offer: OfferId,
    record: Arc<OfferRecord>,
    text: Box<RawValue>,
}

/// [`StatusFile`] with its records as text.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileText<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    marketplace: &'a BTreeMap<PublisherId, MarketplaceRecord>,
    offers: &'a RecordTexts,
    schema: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: &'a Option<SourceRecord>,
    updated_at: Timestamp,
}

impl RecordTexts {
    /// The same as [`to_bytes`].
    pub(super) fn bytes_of(&mut self, file: &StatusFile) -> serde_json::Result<Vec<u8>> {
        let StatusFile { marketplace, offers, schema, source, updated_at } = file;
        let mut before = std::mem::take(&mut self.0).into_iter().peekable();
        self.0.reserve(offers.len());
        for (offer, record) in offers {
            while before.next_if(|it| it.offer < *offer).is_some() {}
            let same = |it: &RecordText| it.offer == *offer && Arc::ptr_eq(&it.record, record);
            let text = match before.next_if(same) {
                Some(text) => text,
                None => RecordText::new(offer, record)?,
            };
            self.0.push(text);
        }
        let (schema, updated_at) = (*schema, *updated_at);
        let text = FileText { marketplace, offers: self, schema, source, updated_at };
        pretty(&text, offers.len())
    }
}

impl RecordText {
    fn new(offer: &OfferId, record: &Arc<OfferRecord>) -> serde_json::Result<Self> {
        // JSON has line breaks only between its parts, not inside of texts.
        let text = serde_json::to_string_pretty(record)?.replace('\n', "\n    ");
        let text = RawValue::from_string(text)?;
        Ok(Self { offer: offer.clone(), record: Arc::clone(record), text })
    }
}

impl Serialize for RecordTexts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|it| (&it.offer, &it.text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::record::tests::record;

    #[test]
    fn kept_texts_give_the_same_bytes_as_a_new_serialization() {
        let offer = |name: &str| format!("contoso/{name}").parse::<OfferId>().unwrap();
        let with_message =
            |message: &str| Arc::new(OfferRecord { message: message.to_owned(), ..record() });
        let mut file = StatusFile::empty(Timestamp::UNIX_EPOCH);
        let mut texts = RecordTexts::default();
        let mut check = |file: &StatusFile| {
            let bytes = texts.bytes_of(file).unwrap();
            assert_eq!(String::from_utf8(bytes), String::from_utf8(to_bytes(file).unwrap()));
        };
        check(&file);
        for name in ["b", "d", "c"] {
            file.offers.insert(offer(name), with_message("two\nlines, \"quoted\""));
            check(&file);
        }
        file.offers.insert(offer("c"), with_message("changed"));
        check(&file);
        file.offers.remove(&offer("b"));
        file.offers.insert(offer("a"), with_message("first"));
        file.offers.insert(offer("e"), with_message("last"));
        check(&file);
        file.offers.clear();
        check(&file);
    }
}
