//! The JSON of the Cloud Partner Portal API, as it goes over the wire: every field optional,
//! unknown fields passed over, statuses as text. Keys are read in any case. The client translates it into golive's own
//! types; the emulator writes it.

use serde::{Deserialize, Serialize};

use crate::backends::http::lenient;

/// The API version golive speaks.
pub const API_VERSION: &str = "2017-10-31";

/// The most steps that are kept. Real offers have fewer than ten.
pub(super) const MAX_STEPS: usize = 200;

/// The most messages that are kept of one step or operation.
pub(super) const MAX_MESSAGES: usize = 100;

/// One more than is kept tells that there are more.
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
    /// The offer's status.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub status: Option<String>,
    /// The offer's id: its name, or a GUID.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub id: Option<String>,
    /// The offer's name, where the id is another one.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub offer_id: Option<String>,
    /// The version, growing with each publish.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::integer")]
    pub version: Option<u64>,
    /// Texts and plans; golive only looks whether it is there.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::definition")]
    pub definition: Option<serde_json::Value>,
    /// When it last changed (UTC, seven fractional digits).
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub changed_time: Option<String>,
    /// Whether the offer was migrated to Partner Center.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub pc_migration_status: Option<String>,
    /// The entity tag, where it is in the body.
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
    /// HTML, and not to be trusted.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub message_html: Option<String>,
    /// `information`, `warning` or `error`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub level: Option<String>,
    /// When it was written.
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
    /// Its name for people.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub step_name: Option<String>,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub description: Option<String>,
    /// How long it takes, in words.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub estimated_time_frame: Option<String>,
    /// Its status.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub status: Option<String>,
    /// 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::integer")]
    pub progress_percentage: Option<u64>,
    /// What is said about it.
    #[serde(deserialize_with = "lenient::at_most::<_, _, SOME_MESSAGES>")]
    pub messages: Vec<MessageWire>,
}

/// The answer to *offer status*.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StatusWire {
    /// The offer's status.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub status: Option<String>,
    /// The number of the publication that this is about; can exceed 2^53.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::integer")]
    pub publishing_version: Option<u64>,
    /// The version of the offer.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::integer")]
    pub offer_version: Option<u64>,
    /// Messages about the whole.
    #[serde(deserialize_with = "lenient::at_most::<_, _, SOME_MESSAGES>")]
    pub messages: Vec<MessageWire>,
    /// The steps of the current or last operation.
    #[serde(deserialize_with = "lenient::at_most::<_, _, SOME_STEPS>")]
    pub steps: Vec<StepWire>,
    /// Pages of the preview. golive passes over them.
    #[serde(skip_deserializing)]
    pub preview_links: Vec<LinkWire>,
    /// Pages of the live offer. golive passes over them.
    #[serde(skip_deserializing)]
    pub live_links: Vec<LinkWire>,
}

/// A link to an offer's page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LinkWire {
    /// What the link is called.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub display_text: Option<String>,
    /// Where it leads.
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
    /// The same under another name, where there is no `submissionState`.
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

/// The answer to *get operation*; the reference prints it inside a one-element array.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OperationWire {
    /// The operation's status.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub status: Option<String>,
    /// Messages about the whole.
    #[serde(deserialize_with = "lenient::at_most::<_, _, SOME_MESSAGES>")]
    pub messages: Vec<MessageWire>,
    /// The marketplace's number of the publishing; can exceed 2^53.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::integer")]
    pub publishing_version: Option<u64>,
    /// The version of the offer.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::integer")]
    pub offer_version: Option<u64>,
    /// Whether somebody asked to cancel.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub cancellation_request_state: Option<String>,
    /// The steps, in order.
    #[serde(deserialize_with = "lenient::at_most::<_, _, SOME_STEPS>")]
    pub steps: Vec<StepWire>,
    /// Pages of the preview. golive passes over them.
    #[serde(skip_deserializing)]
    pub preview_links: Vec<LinkWire>,
    /// Pages of the live offer. golive passes over them.
    #[serde(skip_deserializing)]
    pub live_links: Vec<LinkWire>,
}

/// One value, or an array of exactly one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrArray<T> {
    /// As it is.
    One(T),
    /// Wrapped.
    Array([T; 1]),
}

impl<T> OneOrArray<T> {
    /// The value.
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
    /// What goes with the request.
    pub metadata: PostMetadataWire,
}

/// What goes with a POST.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PostMetadataWire {
    /// Addresses, separated by commas.
    #[serde(
        rename = "notification-emails",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::text"
    )]
    pub notification_emails: Option<String>,
}

/// The body of an answer that is an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorBodyWire {
    /// The error.
    pub error: ErrorWire,
}

/// An error's code and message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorWire {
    /// A stable word.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub code: Option<String>,
    /// A sentence.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub message: Option<String>,
}
