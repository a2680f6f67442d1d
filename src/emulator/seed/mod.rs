//! The seed: what the emulated marketplace is like at first, as a YAML document.

pub(crate) mod answers;
pub(crate) mod fault;
pub(crate) mod ingestion;
pub(crate) mod initial_state;
pub(crate) mod offer;
pub(crate) mod scalar;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

pub(crate) use answers::{AnswerOverrides, Profile};
pub(crate) use fault::Rule;
pub(crate) use ingestion::IngestionOverrides;
pub(crate) use offer::{Kind, OfferSeed};
pub(crate) use scalar::SeedDuration;

/// Why a seed is invalid: what is wrong, where, and what is allowed there.
#[derive(Debug, thiserror::Error)]
#[error("the seed is not valid")]
pub struct SeedError(#[from] serde_yaml::Error);

impl SeedError {
    /// The line and the column, both from 1, where they are known.
    #[must_use]
    pub fn location(&self) -> Option<(usize, usize)> {
        self.0.location().map(|at| (at.line(), at.column()))
    }
}

/// A token that `Debug` does not show.
#[derive(Clone, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// Takes a token.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    pub(crate) fn is(&self, token: &str) -> bool {
        self.0 == token
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The emulated marketplace at first. Everything has a default; the empty document is a
/// marketplace without offers.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Seed {
    /// The bearer token that is accepted. Without it and `accounts`, any is.
    pub token: Option<Token>,
    /// The token of a publisher's account, by publisher: no other one opens it. A publisher that is
    /// not named here is open to every token that is accepted.
    pub accounts: BTreeMap<String, Token>,
    /// `If-Match` is asked for. Field: a PUT of an offer that exists is answered 409 without it.
    /// Documented: publish, golive, cancel and PUT are answered 400.
    pub strict: bool,
    /// Whose picture of the API the answers follow.
    pub profile: Profile,
    /// How answers differ from the profile, for all offers.
    pub answers: AnswerOverrides,
    /// How the Product Ingestion API answers, for all offers.
    #[serde(deserialize_with = "ingestion::checked")]
    pub ingestion: IngestionOverrides,
    /// Publishers whose every call is answered 403. In the Product Ingestion API their products
    /// aren't there, and a token that opens no other publisher is answered 403.
    pub forbidden: Vec<String>,
    /// Publishers that exist without offers.
    pub publishers: Vec<String>,
    /// How long each step of an operation takes, e.g. `90s`, `5m`, `2h`. Default: `1s`.
    #[schemars(extend("default" = "1s"))]
    pub step_time: SeedDuration,
    /// Operations advance with polls instead: each ends with its n-th.
    pub polls: Option<u32>,
    /// The offers, by `publisher/offer`.
    pub offers: Offers,
    /// What goes wrong.
    pub faults: Vec<Rule>,
}

impl Default for Seed {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            answers: AnswerOverrides::default(),
            token: None,
            accounts: BTreeMap::new(),
            ingestion: IngestionOverrides::default(),
            strict: false,
            forbidden: Vec::new(),
            publishers: Vec::new(),
            step_time: SeedDuration(Duration::from_secs(1)),
            polls: None,
            offers: Offers::default(),
            faults: Vec::new(),
        }
    }
}

impl Seed {
    /// Adds or replaces an offer. The error is a message: the name isn't `publisher/offer`, or the
    /// entry contradicts itself.
    pub fn insert(&mut self, name: &str, offer: OfferSeed) -> Result<(), String> {
        self.offers.0.remove(&name.to_ascii_lowercase());
        self.offers.add(name, offer)
    }
}

/// The offers of a seed. Names compare without case.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Offers(pub(crate) BTreeMap<String, Entry>);

/// One offer of a seed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub publisher: String,
    pub offer: String,
    pub seed: Arc<OfferSeed>,
}

impl Offers {
    fn add(&mut self, name: &str, seed: OfferSeed) -> Result<(), String> {
        let (publisher, offer) = split(name)?;
        if let Some(problem) = seed.problem() {
            return Err(format!("{name}: {problem}"));
        }
        let entry = Entry { publisher, offer, seed: Arc::new(seed) };
        match self.0.insert(name.to_ascii_lowercase(), entry) {
            Some(_) => Err(format!("{name} is there twice (names compare without case)")),
            None => Ok(()),
        }
    }
}

/// Splits `publisher/offer`.
fn split(name: &str) -> Result<(String, String), String> {
    let usable = |part: &str| !part.is_empty() && !part.contains(['/', '$']);
    match name.split_once('/') {
        Some((publisher, offer)) if usable(publisher) && usable(offer) => {
            Ok((publisher.to_owned(), offer.to_owned()))
        }
        Some(_) | None => Err(format!("`{name}` is no offer, expected publisher/offer")),
    }
}

impl<'de> Deserialize<'de> for Offers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Offers;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("offers by their names, publisher/offer")
            }
            fn visit_unit<E: de::Error>(self) -> Result<Offers, E> {
                Ok(Offers::default())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Offers, A::Error> {
                let mut offers = Offers::default();
                while let Some((name, seed)) = map.next_entry::<String, Option<OfferSeed>>()? {
                    offers.add(&name, seed.unwrap_or_default()).map_err(de::Error::custom)?;
                }
                Ok(offers)
            }
        }
        deserializer.deserialize_map(Map)
    }
}

impl JsonSchema for Offers {
    fn schema_name() -> Cow<'static, str> {
        "Offers".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["object", "null"],
            "description": "The offers, by publisher/offer.",
            "propertyNames": {"pattern": "^[^/$]+/[^/$]+$"},
            "additionalProperties": generator.subschema_for::<Option<OfferSeed>>()
        })
    }
}

/// Reads a seed. An empty document is the default one.
pub fn parse(yaml: &str) -> Result<Seed, SeedError> {
    // An empty document is YAML's null, which serde does not read as a struct.
    let seed: Option<Seed> = serde_yaml::from_str(yaml)?;
    Ok(seed.unwrap_or_default())
}

/// The JSON schema of a seed, for editors.
#[must_use]
pub fn schema() -> Schema {
    schemars::schema_for!(Seed)
}
