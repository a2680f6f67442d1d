//! Names of releases in preview or production, and the fence of a request.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

/// What stands in preview or in production, by the marketplace's opaque id: the publishing version
/// of the Cloud Partner Portal. A text, since such numbers exceed 2^53.
// Shared: a decision names a release several times, and there may be very many offers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Release(Arc<str>);

impl Release {
    /// The release with this id.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }

    /// Its id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<u64> for Release {
    fn from(number: u64) -> Self {
        Self(number.to_string().into())
    }
}

impl From<Version> for Release {
    fn from(version: Version) -> Self {
        version.0.into()
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Accepts numbers, too, which status files of schema 1 contain.
impl<'de> Deserialize<'de> for Release {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Id;

        impl Visitor<'_> for Id {
            type Value = Release;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the id of a release")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Release, E> {
                Ok(number.into())
            }

            fn visit_str<E: de::Error>(self, id: &str) -> Result<Release, E> {
                // Most ids need no cleaned copy.
                if super::is_harmful(id) {
                    return Ok(Release::new(super::clean_line(id)));
                }
                Ok(Release::new(id))
            }
        }

        deserializer.deserialize_any(Id)
    }
}

/// The version that a manifest pins: an integer.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Version(pub u64);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string())
    }
}

/// What a request carries so that the marketplace refuses it if the offer changed meanwhile; opaque.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Fence(pub String);

/// When an offer or an attempt last changed, as the marketplace wrote it (UTC, with three to seven
/// fractional digits, with or without `Z`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ChangedTime(pub String);

impl ChangedTime {
    /// The parsed time, if the text is a timestamp. A text without an offset is taken as UTC.
    #[must_use]
    pub fn timestamp(&self) -> Option<Timestamp> {
        let with_offset = self.0.parse::<Timestamp>().ok();
        with_offset.or_else(|| {
            let civil: jiff::civil::DateTime = self.0.parse().ok()?;
            Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
        })
    }
}
