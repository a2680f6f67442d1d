//! Names of publishers and offers, and request ids.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The longest publisher or offer id, in characters (Partner Center's limit).
pub(super) const MAX_ID_LENGTH: usize = 50;

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing was given.
    #[error("an id must not be empty")]
    Empty,
    /// More than 50 characters, Partner Center's limit.
    #[error("an id has at most {MAX_ID_LENGTH} characters, this one has {0}")]
    TooLong(usize),
    /// A character that no id has.
    #[error("{0:?} is not allowed in an id: use letters, digits, '-', '_' and '.'")]
    Character(char),
    /// A first character that is neither a letter nor a digit.
    #[error("an id starts with a letter or a digit, not {0:?}")]
    Start(char),
    /// Not of the form `publisher/offer`.
    #[error("an offer is named publisher/offer, with one slash")]
    NotAPair,
}

/// The id of a publisher. Compared without case, shown as it was written.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublisherId(String);

impl PublisherId {
    /// Checks and takes an id.
    pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
        let text = text.into();
        check(&text)?;
        Ok(Self(text))
    }

    /// The id as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of an offer, `publisher/offer`. Compared without case, shown as it was written.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OfferId {
    publisher: PublisherId,
    offer: String,
}

impl OfferId {
    /// Names an offer of a publisher.
    pub fn new(publisher: PublisherId, offer: impl Into<String>) -> Result<Self, IdError> {
        let offer = offer.into();
        check(&offer)?;
        Ok(Self { publisher, offer })
    }

    /// The publisher that owns the offer.
    #[must_use]
    pub fn publisher(&self) -> &PublisherId {
        &self.publisher
    }

    /// The offer's own id, without its publisher.
    #[must_use]
    pub fn offer(&self) -> &str {
        &self.offer
    }

    fn folded(&self) -> impl Iterator<Item = u8> {
        let bytes = self.publisher.0.bytes().chain(std::iter::once(b'/')).chain(self.offer.bytes());
        bytes.map(|byte| byte.to_ascii_lowercase())
    }
}

fn check(text: &str) -> Result<(), IdError> {
    let first = text.chars().next().ok_or(IdError::Empty)?;
    if let Some(bad) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !"-_.".contains(*c)) {
        return Err(IdError::Character(bad));
    }
    if !first.is_ascii_alphanumeric() {
        return Err(IdError::Start(first));
    }
    if text.len() > MAX_ID_LENGTH {
        return Err(IdError::TooLong(text.len()));
    }
    Ok(())
}

impl FromStr for OfferId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (publisher, offer) = text.split_once('/').ok_or(IdError::NotAPair)?;
        if offer.contains('/') {
            return Err(IdError::NotAPair);
        }
        Self::new(PublisherId::new(publisher)?, offer)
    }
}

impl TryFrom<String> for OfferId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl TryFrom<String> for PublisherId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        Self::new(text)
    }
}

impl From<OfferId> for String {
    fn from(id: OfferId) -> Self {
        id.to_string()
    }
}

impl From<PublisherId> for String {
    fn from(id: PublisherId) -> Self {
        id.0
    }
}

impl fmt::Display for OfferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.publisher.0, self.offer))
    }
}

impl fmt::Debug for OfferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for PublisherId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for PublisherId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Ord for OfferId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.folded().cmp(other.folded())
    }
}

impl PartialOrd for OfferId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for OfferId {
    fn eq(&self, other: &Self) -> bool {
        self.publisher == other.publisher && self.offer.eq_ignore_ascii_case(&other.offer)
    }
}

impl Eq for OfferId {}

impl Hash for OfferId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded().for_each(|byte| state.write_u8(byte));
    }
}

impl Ord for PublisherId {
    fn cmp(&self, other: &Self) -> Ordering {
        let fold = |id: &Self| id.0.to_ascii_lowercase();
        fold(self).cmp(&fold(other))
    }
}

impl PartialOrd for PublisherId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for PublisherId {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for PublisherId {}

impl Hash for PublisherId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.bytes().for_each(|byte| state.write_u8(byte.to_ascii_lowercase()));
        state.write_u8(0xff);
    }
}

/// The pattern of one id, for JSON Schema.
const ID_PATTERN: &str = "[A-Za-z0-9][A-Za-z0-9._-]{0,49}";

impl JsonSchema for OfferId {
    fn schema_name() -> Cow<'static, str> {
        "OfferId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "The name of an offer: its publisher's id, a slash, its own id. Compared without case.",
            "pattern": format!("^{ID_PATTERN}/{ID_PATTERN}$"),
            "examples": ["contoso/contoso-virtualmachineoffer"]
        })
    }
}

impl JsonSchema for PublisherId {
    fn schema_name() -> Cow<'static, str> {
        "PublisherId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "The id of a publisher, as Partner Center shows it. Compared without case.",
            "pattern": format!("^{ID_PATTERN}$"),
            "maxLength": MAX_ID_LENGTH,
            "examples": ["contoso"]
        })
    }
}

/// The id golive gives to one request (`x-ms-client-request-id`): a random UUID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct RequestId(String);

impl RequestId {
    /// Makes an id of 16 random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(uuid::Builder::from_random_bytes(bytes).into_uuid().to_string())
    }

    /// The id as it is sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_compare_without_case_and_keep_their_spelling() {
        let (one, two): (OfferId, OfferId) =
            ("Contoso/VM".parse().unwrap(), "contoso/vm".parse().unwrap());
        assert_eq!(one, two);
        assert_eq!(one.cmp(&two), Ordering::Equal);
        assert_eq!(std::collections::HashSet::from([one.clone(), two]).len(), 1);
        assert_eq!(one.to_string(), "Contoso/VM");
    }

    #[test]
    fn what_is_no_id_says_why() {
        let error = |text: &str| text.parse::<OfferId>().unwrap_err();
        assert_eq!(error("contoso"), IdError::NotAPair);
        assert_eq!(error("a/b/c"), IdError::NotAPair);
        assert_eq!(error("a/"), IdError::Empty);
        assert_eq!(error("a/b c"), IdError::Character(' '));
        assert_eq!(error("../b"), IdError::Start('.'));
        assert_eq!(error(&format!("a/{}", "x".repeat(51))), IdError::TooLong(51));
    }
}
