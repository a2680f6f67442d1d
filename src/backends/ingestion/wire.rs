//! The JSON of the Product Ingestion API: every field is optional, unknown fields are ignored, and
//! statuses are text. Keys are read without case. The client translates it into golive's own types;
//! an emulator writes it.
//!
//! The reference prints `externalID` and `jobID`; on the wire they are `externalId` and `jobId`
//! (seen by clients).

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::backends::http::lenient;

/// The version that golive reads and writes, always both: a submission that was read with a newer
/// version and sent back in its schema was refused (seen by clients).
pub const API_VERSION: &str = "2022-03-01-preview2";

/// The query parameter that names the version. Documented as required.
pub const VERSION_PARAMETER: &str = "$version";

/// The schema of a [`ConfigureWire`]. Bodies that name the host of before 2024 are refused since
/// March 2025 (seen by clients).
pub const CONFIGURE_SCHEMA: &str =
    "https://schema.mp.microsoft.com/schema/configure/2022-03-01-preview2";

/// The schema of a submission in a [`ConfigureWire`].
pub const SUBMISSION_SCHEMA: &str =
    "https://schema.mp.microsoft.com/schema/submission/2022-03-01-preview2";

/// A product: an element of *list products*.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProductWire {
    /// `product/{guid}`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub id: Option<String>,
    /// The name that the publisher gave it.
    pub identity: IdentityWire,
    /// E.g. `azureVirtualMachine`.
    #[serde(
        rename = "type",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::text"
    )]
    pub kind: Option<String>,
    /// Its name for people.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub alias: Option<String>,
    /// `generallyAvailable`, `deprecated` or `deleted`; often missing.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub lifecycle_state: Option<String>,
}

/// A product's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IdentityWire {
    /// The offer's id.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub external_id: Option<String>,
}

/// A submission: an element of *list submissions*, and the one resource that golive sends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubmissionWire {
    /// The schema of this object.
    #[serde(
        rename = "$schema",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::text"
    )]
    pub schema: Option<String>,
    /// `submission/{guid}/{number}`. The number is 0 for the draft, else up to 19 digits.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub id: Option<String>,
    /// `product/{guid}`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub product: Option<String>,
    /// Where it goes.
    pub target: TargetWire,
    /// `notStarted`, `running` or `completed`; the draft has none.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub status: Option<String>,
    /// `pending`, `succeeded` or `failed`; the draft has none.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub result: Option<String>,
    /// When it was made, or went live (UTC).
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub created: Option<String>,
    /// `generallyAvailable` or `deprecated`. golive never sends it: on a live submission,
    /// `deprecated` takes the product off the marketplace (documented).
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub lifecycle_state: Option<String>,
}

/// The target of a submission.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TargetWire {
    /// `draft`, `preview` or `live`, among others.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub target_type: Option<String>,
}

/// The body of *configure*.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConfigureWire {
    /// The schema of this object.
    #[serde(
        rename = "$schema",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::text"
    )]
    pub schema: Option<String>,
    /// golive sends exactly one: further ones beside a preview make it a partial publish
    /// (documented).
    pub resources: Vec<SubmissionWire>,
}

/// A job: the answer to *configure*, *job status* and *cancel*.
///
/// `jobStart` and `jobEnd` are left out: an unfinished job was seen with a real end date, so that
/// nothing can rest on them. So is `resourceUri`, which leads to another host.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JobWire {
    /// A GUID.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub job_id: Option<String>,
    /// `notStarted`, `running` or `completed`; pages on private offers print it capitalised.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub job_status: Option<String>,
    /// `pending`, `succeeded`, `failed` or `cancelled`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::text")]
    pub job_result: Option<String>,
    /// A list of `code`, `message` and `details`, which nest without bound; kept as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<Box<RawValue>>,
}
