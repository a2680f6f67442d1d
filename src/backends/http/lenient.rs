//! Lenient JSON deserialization: scalars of an unexpected type, and lists of any length. Nothing
//! unused is kept, because a small text can expand to a large value.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

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

/// A scalar; for arrays and objects, only the fact that it is one.
enum Scalar {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    Array,
    Object,
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<Scalar, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Scalar, E> {
        Ok(Scalar::Bool(truth))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar::Number(number.into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar::Number(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Scalar, E> {
        Ok(Number::from_f64(number).map_or(Scalar::Null, Scalar::Number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Scalar, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Scalar, E> {
        Ok(Scalar::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Scalar, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Array)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Scalar, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Object)
    }
}

/// An unsigned integer, also written as text or as a whole float; anything else (negative, out of
/// range, of another type) counts as absent.
pub(crate) fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(match Scalar::deserialize(deserializer)? {
        Scalar::Number(number) => {
            number.as_u64().or_else(|| number.to_string().strip_suffix(".0")?.parse().ok())
        }
        Scalar::Text(text) => text.trim().parse().ok(),
        Scalar::Null | Scalar::Bool(_) | Scalar::Array | Scalar::Object => None,
    })
}

/// A text, also written as a number or as `true` or `false`: a status unknown to this version must
/// not make the whole answer unreadable. An array or an object is an error.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Scalar::deserialize(deserializer)? {
        Scalar::Null => Ok(None),
        Scalar::Text(text) => Ok(Some(text)),
        Scalar::Number(number) => Ok(Some(number.to_string())),
        Scalar::Bool(truth) => Ok(Some(truth.to_string())),
        Scalar::Array => Err(D::Error::custom("an array instead of a text")),
        Scalar::Object => Err(D::Error::custom("an object instead of a text")),
    }
}

/// Whether an offer has a definition. Its content is dropped: definitions are large.
pub(crate) fn definition<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Value>, D::Error> {
    Ok(match Scalar::deserialize(deserializer)? {
        Scalar::Object => Some(Value::Object(Map::new())),
        Scalar::Null | Scalar::Bool(_) | Scalar::Number(_) | Scalar::Text(_) | Scalar::Array => {
            None
        }
    })
}

/// Calls back for each element of a list, as raw JSON. Returns the number of elements.
pub(crate) fn each<'de>(
    json: &'de str,
    visit: impl FnMut(usize, &'de str) -> Result<(), &'static str>,
) -> serde_json::Result<usize> {
    struct Each<F>(F);
    impl<'de, F: FnMut(usize, &'de str) -> Result<(), &'static str>> Visitor<'de> for Each<F> {
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
    struct AtMost<T, const MAX: usize>(std::marker::PhantomData<T>);
    impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for AtMost<T, MAX> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_unit<E: Error>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
            let mut kept = Vec::new();
            while kept.len() < MAX {
                let Some(element) = elements.next_element()? else { return Ok(kept) };
                kept.push(element);
            }
            while elements.next_element::<IgnoredAny>()?.is_some() {}
            Ok(kept)
        }
    }
    deserializer.deserialize_any(AtMost::<T, MAX>(std::marker::PhantomData))
}
