//! How a seed changes the answers: the profile, and what differs from it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use super::scalar::{SeedDuration, number_or_text};

/// What one level of a seed leaves out comes from the next: an offer's entry, the seed, the profile.
pub(crate) trait WithDefaults {
    /// Fills the gaps in `self`.
    fn with_defaults(self, defaults: Self) -> Self;
}

impl<T> WithDefaults for Option<T> {
    fn with_defaults(self, defaults: Self) -> Self {
        self.or(defaults)
    }
}

/// A struct of the seed whose fields have defaults one by one.
macro_rules! with_defaults {
    (
        $(#[$meta:meta])* pub struct $name:ident {
            $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields, default)]
        pub struct $name { $($(#[$field_meta])* pub $field: $type,)* }

        impl WithDefaults for $name {
            fn with_defaults(self, defaults: Self) -> Self {
                Self { $($field: self.$field.with_defaults(defaults.$field),)* }
            }
        }
    };
}

pub(crate) use with_defaults;

/// Whose picture of the API the answers follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Profile {
    /// The service as clients that ran against it saw it.
    #[default]
    Field,
    /// The API as its reference describes it.
    Documented,
}

with_defaults! {
/// Words for an offer's status, by stage. A stage without a word keeps the profile's.
pub struct StatusWords {
    /// A draft that was never published.
    pub never_published: Option<String>,
    /// Nothing has begun.
    pub not_started: Option<String>,
    /// A publish runs.
    pub publish: Option<String>,
    /// The preview waits for the publisher's sign-off.
    pub sign_off: Option<String>,
    /// A golive runs.
    pub golive: Option<String>,
    /// The newest release is live.
    pub live: Option<String>,
    /// The last operation was canceled.
    pub canceled: Option<String>,
    /// The last operation failed.
    pub failed: Option<String>,
}
}

/// What stands in a step's `stepName`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StepNames {
    /// The same text as in `id`.
    Id,
    /// A title for people.
    Title,
}

/// How releases are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Numbers {
    /// One large, growing space for all offers; a release has the same number in every answer.
    One,
    /// The same, but `publishingVersion` counts in a space of its own, beyond 2^53.
    Apart,
    /// A small counter for each offer, and a `publishingVersion` for each operation.
    Small,
}

/// What *offer status* shows after a publish or golive that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AfterFailure {
    /// `failed`, and the step that failed.
    Failed,
    /// The publication before, with its `publishingVersion`: the release that failed is gone.
    Fallback,
    /// As `fallback` for a publish. After a golive, the same preview waits for sign-off again.
    SignOff,
}

/// How a golive is answered that no sign-off waits for: one runs already, or the release is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondGolive {
    /// 202, and it starts over.
    Accept,
    /// This HTTP status: 400 or 409.
    Refuse(u16),
}

/// What becomes of a golive that runs when somebody asks to cancel it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CancelGolive {
    /// It ends canceled.
    Ends,
    /// It goes on: the request is accepted and has no effect.
    Ignored,
}

/// What a publish does of a draft that did not change since the release in preview.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UnchangedPublish {
    /// The request is accepted and has no effect: every answer stays as it is.
    Ignored,
    /// It makes a new release.
    Publishes,
}

/// What a submission's `offerId` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OfferIds {
    /// The offer's name.
    Name,
    /// A GUID that is nowhere else.
    Guid,
}

/// Whether slots are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Slots {
    /// They are.
    Present,
    /// Preview and Production answer 404, whatever is in them.
    Missing,
}

/// For how long *offer status* is stale: a duration, or a number of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(untagged)]
pub enum Staleness {
    /// For so long.
    For(SeedDuration),
    /// For so many answers.
    Answers(#[schemars(range(max = u32::MAX))] u32),
}

with_defaults! {
/// How far answers lag behind.
pub struct Lag {
    /// *List offers* shows what was so long ago.
    pub list: Option<SeedDuration>,
    /// Slots show what was so long ago.
    pub slots: Option<SeedDuration>,
}
}

with_defaults! {
/// How answers differ from the profile. At the seed's top level for all offers, in an offer's
/// entry for that offer.
pub struct AnswerOverrides {
    /// Words of *offer status*.
    pub status_words: StatusWords,
    /// Words of *get offer*, slots and versions.
    pub document_words: StatusWords,
    /// Words of *list offers*. Default: those of *get offer*.
    pub list_words: StatusWords,
    /// What stands in `stepName`: `id` (field) or `title` (documented).
    pub step_names: Option<StepNames>,
    /// How releases are numbered: `one` (field), `apart` or `small` (documented).
    pub numbers: Option<Numbers>,
    /// Whether *offer status* has `publishingVersion` (field: yes; documented: no). `false` takes it
    /// from submissions and operations, too.
    pub publishing_version: Option<bool>,
    /// Whether GET answers carry an `ETag` (field: no; documented: yes). Those of PUT always do.
    pub etags: Option<bool>,
    /// What *offer status* shows after a failure: `failed`, `fallback` or `signOff`. Field:
    /// `fallback` after a publish, `failed` after a golive. Documented: `failed`.
    pub after_failure: Option<AfterFailure>,
    /// After a publish, *offer status* still shows the publication before: for this long (`10m`),
    /// or for so many answers (`3`).
    pub stale_after_publish: Option<Staleness>,
    /// How far the list and the slots lag behind.
    pub lag: Lag,
    /// `missing`: Preview and Production answer 404, whatever is in them.
    pub slots: Option<Slots>,
    /// Whether a golive is the same submission as the publish it releases, with the same id.
    pub shared_id: Option<bool>,
    /// The `submissionType` of a golive. Default: `golive`.
    pub golive_type: Option<String>,
    /// The state that a publish is listed with while its preview waits for sign-off, e.g.
    /// `running`. Default: `succeeded`.
    pub publish_in_sign_off: Option<String>,
    /// What a submission's `offerId` is: the offer's `name` (the default) or a `guid`.
    pub offer_ids: Option<OfferIds>,
    /// A golive that no sign-off waits for: `accept` (it starts over), 400 or 409. Field: 409.
    /// Documented: 409 while an operation runs, else 400.
    pub second_golive: Option<SecondGolive>,
    /// Canceling a golive that runs: it `ends` (documented), or the request is accepted and
    /// `ignored` (field).
    pub cancel_golive: Option<CancelGolive>,
    /// A publish of a draft that did not change since the release in preview: it is accepted and
    /// `ignored` (field), or it `publishes` a new release (documented).
    pub unchanged_publish: Option<UnchangedPublish>,
}
}

impl<'de> Deserialize<'de> for SecondGolive {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        number_or_text(
            deserializer,
            "the word accept, 400 or 409",
            |status| {
                u16::try_from(status).ok().filter(|s| [400, 409].contains(s)).map(Self::Refuse)
            },
            |text| (text == "accept").then_some(Self::Accept),
        )
    }
}

impl JsonSchema for SecondGolive {
    fn schema_name() -> Cow<'static, str> {
        "SecondGolive".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "`accept`, or the HTTP status of the refusal.",
            "enum": ["accept", 400, 409]
        })
    }
}

impl<'de> Deserialize<'de> for Staleness {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        number_or_text(
            deserializer,
            "a duration such as 90s, 5m or 2h, or a number of answers",
            |answers| u32::try_from(answers).ok().map(Self::Answers),
            |text| SeedDuration::parse(text).map(Self::For),
        )
    }
}
