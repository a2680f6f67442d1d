//! Lenient JSON deserialization: scalars of an unexpected type, and lists of any length. Nothing
//! unused is kept, because a small text can expand to a large value.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::any_case;

/// Replaces each lone surrogate escape (`\ud83d` without its other half, as where a text was cut
/// inside a character) with U+FFFD. A single one would make the whole JSON unreadable.
pub(crate) fn with_whole_characters(json: Cow<'_, str>) -> Cow<'_, str> {
    let halves = halves(json.as_bytes());
    if halves.is_empty() {
        return json;
    }
    let mut bytes = json.into_owned().into_bytes();
    for at in halves {
        bytes[at..at + 6].copy_from_slice(b"\\ufffd");
    }
    Cow::Owned(String::from_utf8(bytes).unwrap_or_default())
}

/// The positions of lone surrogate escapes.
fn halves(json: &[u8]) -> Vec<usize> {
    let unit = |at: usize| {
        let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let (mut halves, mut at) = (Vec::new(), 0);
    while let Some(next) = json[at..].iter().position(|byte| *byte == b'\\') {
        at += next;
        at += match unit(at) {
            Some(0xd800..0xdc00) if matches!(unit(at + 6), Some(0xdc00..0xe000)) => 12,
            Some(0xd800..0xe000) => {
                halves.push(at);
                6
            }
            Some(_) => 6,
            None => 2,
        };
        at = at.min(json.len());
    }
    halves
}

/// A JSON value of which only scalars are kept.
enum Scalar {
    Value(Value),
    Array,
    Object,
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?.get();
        Ok(match json.as_bytes().first() {
            Some(b'[') => Self::Array,
            Some(b'{') => Self::Object,
            _ => Self::Value(serde_json::from_str(json).map_err(D::Error::custom)?),
        })
    }
}

/// An unsigned integer, also written as text or as a whole float; anything else (negative, out of
/// range, of another type) counts as absent.
pub(crate) fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let Scalar::Value(value) = Scalar::deserialize(deserializer)? else { return Ok(None) };
    let text = || value.as_str()?.trim().parse().ok();
    let whole_float = || value.to_string().strip_suffix(".0")?.parse().ok();
    Ok(value.as_u64().or_else(text).or_else(whole_float))
}

/// A text, also written as a number or as `true` or `false`: a status unknown to this version must
/// not make the whole answer unreadable. An array or an object is an error.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Scalar::deserialize(deserializer)? {
        Scalar::Value(Value::Null) => Ok(None),
        Scalar::Value(Value::String(text)) => Ok(Some(text)),
        Scalar::Value(number_or_bool) => Ok(Some(number_or_bool.to_string())),
        Scalar::Array => Err(D::Error::custom("an array instead of a text")),
        Scalar::Object => Err(D::Error::custom("an object instead of a text")),
    }
}

/// Whether an offer has a definition. Its content is dropped: definitions are large.
pub(crate) fn definition<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Value>, D::Error> {
    let is_object = matches!(Scalar::deserialize(deserializer)?, Scalar::Object);
    Ok(is_object.then(|| Value::Object(Map::new())))
}

/// Calls back for each element of a list, as raw JSON. Returns the number of elements.
pub(crate) fn each<'de, E: fmt::Display>(
    json: &'de str,
    visit: impl FnMut(usize, &'de str) -> Result<(), E>,
) -> serde_json::Result<usize> {
    struct Each<F>(F);
    impl<'de, E: fmt::Display, F: FnMut(usize, &'de str) -> Result<(), E>> Visitor<'de> for Each<F> {
        type Value = usize;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<usize, A::Error> {
            let mut count = 0;
            while let Some(element) = elements.next_element::<&RawValue>()? {
                (self.0)(count, element.get()).map_err(A::Error::custom)?;
                count += 1;
            }
            Ok(count)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let count = deserializer.deserialize_seq(Each(visit))?;
    deserializer.end()?;
    Ok(count)
}

/// A list, of which only the first `MAX` elements are kept; `null` is an empty one.
pub(crate) fn at_most<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let mut kept = Vec::new();
    let Some(json) = Option::<&RawValue>::deserialize(deserializer)? else { return Ok(kept) };
    let keep = |at, element| {
        if at < MAX {
            kept.push(any_case::from_str(element)?);
        }
        Ok::<_, serde_json::Error>(())
    };
    each(json.get(), keep).map_err(D::Error::custom)?;
    Ok(kept)
}
