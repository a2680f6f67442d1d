//! Values of the seed that YAML has no type for.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};

/// Reads a scalar that is a number or a text. `expected` is for the error where it is neither, or
/// where `number` or `text` doesn't take it.
pub(crate) fn number_or_text<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &'static str,
    number: fn(u64) -> Option<T>,
    text: fn(&str) -> Option<T>,
) -> Result<T, D::Error> {
    struct NumberOrText<T> {
        expected: &'static str,
        number: fn(u64) -> Option<T>,
        text: fn(&str) -> Option<T>,
    }
    impl<T> Visitor<'_> for NumberOrText<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.expected)
        }
        fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
            let unexpected = de::Unexpected::Unsigned(number);
            (self.number)(number).ok_or_else(|| E::invalid_value(unexpected, &self))
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            (self.text)(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
        }
    }
    deserializer.deserialize_any(NumberOrText { expected, number, text })
}

/// A duration with its unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(rename = "Duration", with = "String", example = "90s", example = "5m", example = "2h")]
pub struct SeedDuration(pub Duration);

impl SeedDuration {
    pub(crate) fn signed(self) -> SignedDuration {
        SignedDuration::try_from(self.0).unwrap_or(SignedDuration::MAX)
    }

    /// Reads `90s`, `5m` or `2h 30m`; not a negative duration.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let duration = text.parse::<SignedDuration>().ok()?;
        Duration::try_from(duration).ok().map(Self)
    }
}

impl<'de> Deserialize<'de> for SeedDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            let expected = "a duration such as 90s, 5m or 2h";
            de::Error::invalid_value(de::Unexpected::Str(&text), &expected)
        })
    }
}

/// How many times: a number, or `always`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Times {
    /// Every time.
    #[default]
    Always,
    /// So many times, then no more.
    Number(u32),
}

impl Times {
    /// Whether it may happen once more after it happened so often.
    pub(crate) fn allows(self, happened: u32) -> bool {
        match self {
            Self::Always => true,
            Self::Number(number) => happened < number,
        }
    }
}

impl<'de> Deserialize<'de> for Times {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        number_or_text(
            deserializer,
            "a number of times, or the word always",
            |number| u32::try_from(number).ok().map(Self::Number),
            |text| (text == "always").then_some(Self::Always),
        )
    }
}

impl JsonSchema for Times {
    fn schema_name() -> Cow<'static, str> {
        "Times".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "How many times: a number, or `always`.",
            "oneOf": [{"type": "integer", "minimum": 0, "maximum": u32::MAX}, {"const": "always"}]
        })
    }
}

/// The value of `Retry-After`: seconds, or an HTTP date.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(untagged)]
pub enum RetryAfter {
    /// So many seconds.
    Seconds(u64),
    /// Until then, e.g. `Wed, 21 Oct 2026 07:28:00 GMT`.
    Date(String),
}

impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seconds(seconds) => seconds.fmt(f),
            Self::Date(date) => date.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for RetryAfter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        number_or_text(
            deserializer,
            "seconds, or an HTTP date such as Wed, 21 Oct 2026 07:28:00 GMT",
            |seconds| Some(Self::Seconds(seconds)),
            |text| httpdate::parse_http_date(text).is_ok().then(|| Self::Date(text.to_owned())),
        )
    }
}
