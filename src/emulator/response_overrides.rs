//! What a seed can say about the form of the answers: the profile, and what differs from it.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use super::scalar::Length;
use super::stage::Stage;

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

/// Words for an offer's status, by stage. A stage without a word keeps the profile's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Words {
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

impl Words {
    /// The word for a stage.
    pub(super) fn of(&self, stage: Stage) -> Option<&str> {
        let word = match stage {
            Stage::NeverPublished => &self.never_published,
            Stage::NotStarted => &self.not_started,
            Stage::Publish => &self.publish,
            Stage::SignOff => &self.sign_off,
            Stage::GoLive => &self.golive,
            Stage::Live => &self.live,
            Stage::Canceled => &self.canceled,
            Stage::Failed => &self.failed,
        };
        word.as_deref()
    }

    /// These words, and those of `others` where there is none here.
    pub(super) fn or(self, others: Self) -> Self {
        Self {
            never_published: self.never_published.or(others.never_published),
            not_started: self.not_started.or(others.not_started),
            publish: self.publish.or(others.publish),
            sign_off: self.sign_off.or(others.sign_off),
            golive: self.golive.or(others.golive),
            live: self.live.or(others.live),
            canceled: self.canceled.or(others.canceled),
            failed: self.failed.or(others.failed),
        }
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

/// For how long an old answer is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// For so long.
    For(Length),
    /// For so many answers.
    ResponseOverrides(u32),
}

/// How far answers lag behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Lag {
    /// *List offers* shows what was so long ago.
    pub list: Option<Length>,
    /// Slots show what was so long ago.
    pub slots: Option<Length>,
}

/// How answers differ from the profile. At the seed's top level for all offers, in an offer's
/// entry for that offer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ResponseOverrides {
    /// Words of *offer status*.
    pub status_words: Words,
    /// Words of *get offer*, slots and versions.
    pub document_words: Words,
    /// Words of *list offers*. Default: those of *get offer*.
    pub list_words: Words,
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
    pub stale_after_publish: Option<Stale>,
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

impl ResponseOverrides {
    /// This, and what `others` says where this says nothing.
    pub(super) fn or(self, others: Self) -> Self {
        Self {
            status_words: self.status_words.or(others.status_words),
            document_words: self.document_words.or(others.document_words),
            list_words: self.list_words.or(others.list_words),
            step_names: self.step_names.or(others.step_names),
            numbers: self.numbers.or(others.numbers),
            publishing_version: self.publishing_version.or(others.publishing_version),
            etags: self.etags.or(others.etags),
            after_failure: self.after_failure.or(others.after_failure),
            stale_after_publish: self.stale_after_publish.or(others.stale_after_publish),
            lag: Lag {
                list: self.lag.list.or(others.lag.list),
                slots: self.lag.slots.or(others.lag.slots),
            },
            slots: self.slots.or(others.slots),
            shared_id: self.shared_id.or(others.shared_id),
            golive_type: self.golive_type.or(others.golive_type),
            publish_in_sign_off: self.publish_in_sign_off.or(others.publish_in_sign_off),
            offer_ids: self.offer_ids.or(others.offer_ids),
            second_golive: self.second_golive.or(others.second_golive),
            cancel_golive: self.cancel_golive.or(others.cancel_golive),
            unchanged_publish: self.unchanged_publish.or(others.unchanged_publish),
        }
    }
}

impl<'de> Deserialize<'de> for SecondGolive {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = SecondGolive;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the word accept, 400 or 409")
            }
            fn visit_u64<E: de::Error>(self, status: u64) -> Result<SecondGolive, E> {
                match status {
                    400 => Ok(SecondGolive::Refuse(400)),
                    409 => Ok(SecondGolive::Refuse(409)),
                    _ => Err(E::invalid_value(de::Unexpected::Unsigned(status), &self)),
                }
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<SecondGolive, E> {
                if text == "accept" {
                    return Ok(SecondGolive::Accept);
                }
                Err(E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Either)
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

impl<'de> Deserialize<'de> for Stale {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Stale;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 90s, 5m or 2h, or a number of answers")
            }
            fn visit_u64<E: de::Error>(self, answers: u64) -> Result<Stale, E> {
                u32::try_from(answers)
                    .map(Stale::ResponseOverrides)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(answers), &self))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Stale, E> {
                let length = Length::parse(text).map(Stale::For);
                length.ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for Stale {
    fn schema_name() -> Cow<'static, str> {
        "Stale".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A duration, or a number of answers.",
            "oneOf": [
                generator.subschema_for::<Length>(),
                {"type": "integer", "minimum": 0, "maximum": u32::MAX}
            ]
        })
    }
}
