//! The rules for serde, with which `Manifest` is deserialized.
//!
//! Serde's own implementations are too lenient: `5` would be a text, a field without a value an empty
//! list, and of two equal labels the last would win.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Unexpected, Visitor};

use super::desired_state::DesiredState;
use super::labels::Labels;
use super::rules::{self, Problem};
use crate::marketplace::{OfferId, PublisherId, Version};

/// Reads a text by a rule; a number or boolean isn't a text.
struct Text<T>(fn(&str) -> Result<T, Problem>);

impl<'de, T> DeserializeSeed<'de> for Text<T> {
    type Value = T;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<T> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
}

/// Reads a list of texts.
struct List<T>(fn(&str) -> Result<T, Problem>);

impl<'de, T> Visitor<'de> for List<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Text(self.0))? {
            list.push(item);
        }
        Ok(list)
    }
}

struct LabelsVisitor;

impl<'de> Visitor<'de> for LabelsVisitor {
    type Value = Labels;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping of labels")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut labels = BTreeMap::new();
        while let Some(key) = entries.next_key::<String>()? {
            let key = rules::label_key(&key).map_err(A::Error::custom)?;
            let value = entries.next_value_seed(Text(rules::label_value))?;
            if labels.insert(key, value).is_some() {
                return Err(A::Error::custom("the same label is given twice"));
            }
        }
        Ok(labels.into())
    }
}

struct BoolVisitor;

impl Visitor<'_> for BoolVisitor {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true or false")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<bool, E> {
        Ok(value)
    }
}

struct VersionVisitor;

impl Visitor<'_> for VersionVisitor {
    type Value = Version;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Version, E> {
        rules::version(number).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Version, E> {
        // Some formats pass every number as a signed one.
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }
}

pub(super) fn publisher<'de, D: Deserializer<'de>>(d: D) -> Result<PublisherId, D::Error> {
    d.deserialize_any(Text(rules::publisher))
}

pub(super) fn offer<'de, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    d.deserialize_any(Text(rules::offer))
}

pub(super) fn state<'de, D: Deserializer<'de>>(d: D) -> Result<DesiredState, D::Error> {
    d.deserialize_any(Text(rules::state))
}

pub(super) fn version<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Version>, D::Error> {
    d.deserialize_any(VersionVisitor).map(Some)
}

pub(super) fn not_before<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Timestamp>, D::Error> {
    d.deserialize_any(Text(rules::not_before)).map(Some)
}

pub(super) fn suspend<'de, D: Deserializer<'de>>(d: D) -> Result<bool, D::Error> {
    d.deserialize_any(BoolVisitor)
}

pub(super) fn after<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<OfferId>, D::Error> {
    d.deserialize_any(List(rules::offer_id))
}

pub(super) fn notify<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    d.deserialize_any(List(rules::email))
}

pub(super) fn labels<'de, D: Deserializer<'de>>(d: D) -> Result<Labels, D::Error> {
    d.deserialize_any(LabelsVisitor)
}
