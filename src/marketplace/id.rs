//! Publisher and offer ids, and request ids.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

/// Limit for a publisher or offer id, in characters (Partner Center's limit).
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
    /// A character that isn't allowed in an id.
    #[error("{0:?} is not allowed in an id: use letters, digits, '-', '_' and '.'")]
    Character(char),
    /// A first character that is neither a letter nor a digit.
    #[error("an id starts with a letter or a digit, not {0:?}")]
    Start(char),
    /// Not of the form `publisher/offer`.
    #[error("an offer is named publisher/offer, with one slash")]
    NotAPair,
}

/// A name that compares without case and keeps its spelling. Names are the keys of every map, so
/// cloning only counts a reference, and comparing reads each text once.
#[derive(Clone)]
struct Name {
    /// The lower-cased name, used for comparison.
    folded: Arc<str>,
    /// The original spelling, if it differs.
    written: Option<Arc<str>>,
}

impl Name {
    fn new(text: &str) -> Self {
        let has_capitals = text.bytes().any(|byte| byte.is_ascii_uppercase());
        let folded = if has_capitals { text.to_ascii_lowercase().into() } else { text.into() };
        Self { folded, written: has_capitals.then(|| text.into()) }
    }

    fn as_str(&self) -> &str {
        self.written.as_ref().unwrap_or(&self.folded)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.folded == other.folded
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        self.folded.cmp(&other.folded)
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded.hash(state);
    }
}

/// The id of a publisher. Compares without case, keeps its spelling.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct PublisherId(Name);

impl PublisherId {
    /// Checks an id.
    pub fn new(text: impl AsRef<str>) -> Result<Self, IdError> {
        let text = text.as_ref();
        check(text)?;
        Ok(Self(Name::new(text)))
    }

    /// The id as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// The name of an offer, `publisher/offer`. Compares without case, keeps its spelling.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct OfferId {
    /// The whole `publisher/offer` name. It comes first, so that comparing it alone decides.
    name: Name,
    publisher: PublisherId,
}

impl OfferId {
    /// Names an offer of a publisher.
    pub fn new(publisher: PublisherId, offer: impl AsRef<str>) -> Result<Self, IdError> {
        let offer = offer.as_ref();
        check(offer)?;
        let name = Name::new(&format!("{}/{offer}", publisher.as_str()));
        Ok(Self { name, publisher })
    }

    /// The publisher that owns the offer.
    #[must_use]
    pub fn publisher(&self) -> &PublisherId {
        &self.publisher
    }

    /// The offer's own id, without its publisher.
    #[must_use]
    pub fn offer(&self) -> &str {
        &self.as_str()[self.publisher.as_str().len() + 1..]
    }

    /// The whole name, `publisher/offer`, in its original spelling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.name.as_str()
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

/// Ids are written and shown as they were spelled.
macro_rules! as_spelled {
    ($($id:ty),+) => {
        $(
            impl Serialize for $id {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.serialize_str(self.as_str())
                }
            }

            impl fmt::Display for $id {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.pad(self.as_str())
                }
            }

            impl fmt::Debug for $id {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(self.as_str())
                }
            }
        )+
    };
}

as_spelled!(OfferId, PublisherId);

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
    fn an_invalid_id_says_why() {
        let error = |text: &str| text.parse::<OfferId>().unwrap_err();
        assert_eq!(error("contoso"), IdError::NotAPair);
        assert_eq!(error("a/b/c"), IdError::NotAPair);
        assert_eq!(error("a/"), IdError::Empty);
        assert_eq!(error("a/b c"), IdError::Character(' '));
        assert_eq!(error("../b"), IdError::Start('.'));
        assert_eq!(error(&format!("a/{}", "x".repeat(51))), IdError::TooLong(51));
    }
}
