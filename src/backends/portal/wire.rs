//! The JSON of the Cloud Partner Portal API: every field is optional, unknown fields are ignored,
//! and statuses are text. Keys are case-insensitive. The client translates it into golive's own
//! types; the emulator writes it.

use serde::{Deserialize, Serialize};

use crate::backends::http::lenient;

/// The API version that golive uses.
pub const API_VERSION: &str = "2017-10-31";

/// Limit for the steps kept. Real offers have fewer than ten.
pub(super) const MAX_STEPS: usize = 200;

/// Limit for the messages kept of one step or operation.
pub(super) const MAX_MESSAGES: usize = 100;

/// One more than the limit shows that some were dropped.
const SOME_STEPS: usize = MAX_STEPS + 1;
const SOME_MESSAGES: usize = MAX_MESSAGES + 1;

/// An element of *list offers*, and the whole of *get offer*, of a slot and of a version: the
/// full offer has more in `definition`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OfferWire {
    /// The kind of offer, e.g. `microsoft-azure-virtualmachines`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub offer_type_id: Option<String>,
    /// The publisher's id.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub publisher_id: Option<String>,
    /// The status, spelled differently in *list offers* and *offer status*.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub status: Option<String>,
    /// The offer's id: its name, or a GUID.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub id: Option<String>,
    /// The offer's name, if `id` is a GUID.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub offer_id: Option<String>,
    /// The version, which grows with each publish.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::integer")]
    pub version: Option<u64>,
    /// Texts and plans; golive checks only that it is present.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::definition")]
    pub definition: Option<serde_json::Value>,
    /// When it last changed (UTC, seven fractional digits).
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub changed_time: Option<String>,
    /// Whether the offer was migrated to Partner Center.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub pc_migration_status: Option<String>,
    /// The entity tag, if it is in the body.
    #[serde(
        rename = "eTag",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::text"
    )]
    pub etag: Option<String>,
}

/// A message of a step or an operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MessageWire {
    /// HTML; untrusted.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub message_html: Option<String>,
    /// `information`, `warning` or `error`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub level: Option<String>,
    /// Time of the message (UTC).
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub timestamp: Option<String>,
}

/// A step of an operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StepWire {
    /// Its id, e.g. `displaycertify`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub id: Option<String>,
    /// The display name, e.g. `Certification`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub step_name: Option<String>,
    /// What the step does, in words.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub description: Option<String>,
    /// The estimated duration, as text.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub estimated_time_frame: Option<String>,
    /// A [`StepStatus`](crate::marketplace::StepStatus) as text.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub status: Option<String>,
    /// Progress in percent, 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::integer")]
    pub progress_percentage: Option<u64>,
    /// Messages about the step.
    #[serde(deserialize_with = "lenient::at_most::<_, _, SOME_MESSAGES>")]
    pub messages: Vec<MessageWire>,
}

/// A link to an offer's page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LinkWire {
    /// The link's text.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub display_text: Option<String>,
    /// The link's URL.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub uri: Option<String>,
}

/// An element of *list operations*.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubmissionWire {
    /// The operation's id.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub id: Option<String>,
    /// The offer's id.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub offer_id: Option<String>,
    /// The publisher's id.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub publisher_id: Option<String>,
    /// `publish` or `golive`, any case.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub submission_type: Option<String>,
    /// The operation's status.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub submission_state: Option<String>,
    /// The status under another name, if `submissionState` is missing.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub status: Option<String>,
    /// `staging` or `production`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub slot: Option<String>,
    /// The marketplace's number of the publishing; can exceed 2^53.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::integer")]
    pub publishing_version: Option<u64>,
    /// The version of the offer.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::integer")]
    pub offer_version: Option<u64>,
    /// When it last changed.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub changed_time: Option<String>,
}

/// The answer to *offer status* and *get operation*; the reference prints the latter inside a
/// one-element array.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OperationWire {
    /// The overall status.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub status: Option<String>,
    /// Messages about the operation as a whole.
    #[serde(deserialize_with = "lenient::at_most::<_, _, SOME_MESSAGES>")]
    pub messages: Vec<MessageWire>,
    /// The marketplace's number of the publishing; can exceed 2^53.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::integer")]
    pub publishing_version: Option<u64>,
    /// The version of the offer.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::integer")]
    pub offer_version: Option<u64>,
    /// Whether a cancellation was requested.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub cancellation_request_state: Option<String>,
    /// The steps, in order.
    #[serde(deserialize_with = "lenient::at_most::<_, _, SOME_STEPS>")]
    pub steps: Vec<StepWire>,
    /// Links to the preview. golive ignores them.
    #[serde(skip_deserializing)]
    pub preview_links: Vec<LinkWire>,
    /// Links to the live offer. golive ignores them.
    #[serde(skip_deserializing)]
    pub live_links: Vec<LinkWire>,
}

/// One value, or an array of exactly one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrArray<T> {
    /// The bare value.
    One(T),
    /// The value in a one-element array.
    Array([T; 1]),
}

impl<T> OneOrArray<T> {
    /// Returns the value, wrapped or not.
    pub fn into_inner(self) -> T {
        match self {
            Self::One(value) | Self::Array([value]) => value,
        }
    }
}

/// The body of publish, golive and cancel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PostWire {
    /// The metadata of the request.
    pub metadata: PostMetadataWire,
}

/// The metadata of a POST.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PostMetadataWire {
    /// E-mail addresses to notify, separated by commas.
    #[serde(
        rename = "notification-emails",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::text"
    )]
    pub notification_emails: Option<String>,
}

/// An error body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorBodyWire {
    /// Code and message.
    pub error: ErrorWire,
}

/// An error's code and message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorWire {
    /// A stable code for programs.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub code: Option<String>,
    /// A sentence for people.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub message: Option<String>,
}
