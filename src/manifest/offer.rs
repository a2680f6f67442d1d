//! The manifest of one offer.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::desired_state::DesiredState;
use super::labels::Labels;
use super::strict;
use super::walk::FieldList;
use crate::marketplace::{IdError, OfferId, PublisherId, Version};

/// The desired state of one offer, as a YAML document says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(title = "golive manifest")]
pub struct Manifest {
    /// The publisher that owns the offer, by the id that Partner Center shows. Compared without
    /// case.
    #[serde(deserialize_with = "strict::publisher")]
    #[schemars(with = "PublisherId", title = "Publisher", example = &"contoso")]
    pub publisher: PublisherId,
    /// The offer's id, without its publisher. Compared without case.
    #[serde(deserialize_with = "strict::offer")]
    #[schemars(
        with = "String",
        title = "Offer",
        regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,49}$"),
        length(max = 50),
        example = &"contoso-virtualmachineoffer"
    )]
    pub offer: String,
    /// Where the offer should be.
    #[serde(deserialize_with = "strict::state")]
    #[schemars(with = "DesiredState", title = "State", example = &"live")]
    pub state: DesiredState,
    /// Promote only this previewed version; another one blocks. Without it, whatever is in
    /// preview goes live.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "strict::version"
    )]
    #[schemars(with = "u64", title = "Version", range(min = 1), example = 5)]
    pub version: Option<Version>,
    /// Hold until then: a launch date, as an RFC 3339 timestamp with its time zone.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "strict::not_before"
    )]
    #[schemars(with = "Timestamp", title = "Not before", example = &"2030-01-31T09:00:00Z")]
    pub not_before: Option<Timestamp>,
    /// Leave this offer alone for now: nothing is started for it.
    #[serde(
        default,
        skip_serializing_if = "std::ops::Not::not",
        deserialize_with = "strict::suspend"
    )]
    #[schemars(with = "bool", title = "Suspend", example = true)]
    pub suspend: bool,
    /// Only once these offers are live. Each has a manifest of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "strict::after")]
    #[schemars(with = "Vec<OfferId>", title = "After", example = ["contoso/base-image"])]
    pub after: Vec<OfferId>,
    /// The e-mail addresses that the marketplace notifies.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "strict::notify")]
    #[schemars(
        with = "Vec<String>",
        title = "Notify",
        inner(regex(pattern = r#"^[^\s@,;<>"]+@[^\s@,;<>"]+$"#), length(max = 254)),
        example = ["release@example.com"]
    )]
    pub notify: Vec<String>,
    /// Free names and values, to choose offers with `--selector name=value`.
    #[serde(
        default,
        skip_serializing_if = "Labels::is_empty",
        deserialize_with = "strict::labels"
    )]
    #[schemars(
        with = "BTreeMap<String, String>",
        title = "Labels",
        extend("propertyNames" = {"pattern": r"^(?!<<$)[^\s=,!]+$"}),
        extend("additionalProperties" = {"type": "string", "pattern": r"^([^\s,]([^,]*[^\s,])?)?$"}),
        example = BTreeMap::from([("team", "compute")])
    )]
    pub labels: Labels,
}

impl Manifest {
    /// Every field with an example, in the order in which errors are reported; the required ones
    /// come first.
    pub(super) const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("publisher", "publisher: contoso"),
        ("offer", "offer: contoso-virtualmachineoffer"),
        ("state", "state: live"),
        ("version", "version: 5"),
        ("notBefore", "notBefore: 2030-01-31T09:00:00Z"),
        ("suspend", "suspend: true"),
        ("after", "after: [contoso/base-image]"),
        ("notify", "notify: [release@example.com]"),
        ("labels", "labels: {team: compute}"),
    ];

    /// The same, with what is required.
    pub(super) const FIELD_LIST: FieldList<'static> =
        FieldList { all: Self::FIELDS, required: 3, later: &[] };

    /// How to write a field.
    pub(super) fn example(name: &str) -> &'static str {
        Self::FIELDS.iter().find(|(field, _)| *field == name).map_or("", |(_, example)| *example)
    }

    /// The name of the offer. An error only if [`Manifest::offer`] was set by hand to what is
    /// no id: one that was read is checked.
    pub fn id(&self) -> Result<OfferId, IdError> {
        OfferId::new(self.publisher.clone(), self.offer.clone())
    }

    /// `sha256:` and the hexadecimal SHA-256 of the manifest as canonical JSON: keys sorted, no
    /// white space, defaults left out, times in UTC. So comments and formatting don't change it.
    #[must_use]
    pub fn digest(&self) -> String {
        let canonical = Canonical {
            after: &self.after,
            labels: &self.labels,
            not_before: self.not_before,
            notify: &self.notify,
            offer: &self.offer,
            publisher: &self.publisher,
            state: self.state,
            suspend: self.suspend,
            version: self.version,
        };
        // Writing to memory can't fail, and each of these types can be written.
        let json = serde_json::to_vec(&canonical).unwrap_or_default();
        format!("sha256:{}", hex::encode(Sha256::digest(json)))
    }
}

/// A manifest with its fields in the order of their names.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Canonical<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    after: &'a [OfferId],
    #[serde(skip_serializing_if = "Labels::is_empty")]
    labels: &'a Labels,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<Timestamp>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    notify: &'a [String],
    offer: &'a str,
    publisher: &'a PublisherId,
    state: DesiredState,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    suspend: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<Version>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn full() -> Value {
        json!({
            "publisher": "contoso", "offer": "vm", "state": "live", "version": 5,
            "notBefore": "2030-01-01T10:00:00+01:00", "suspend": true, "after": ["contoso/base"],
            "notify": ["a@example.com"], "labels": {"team": "compute", "a": "b"}
        })
    }

    #[test]
    fn the_digest_is_over_sorted_json() {
        let manifest: Manifest = serde_json::from_value(full()).unwrap();
        let fields = serde_json::to_value(&manifest).unwrap();
        let sorted: BTreeMap<&String, &Value> = fields.as_object().unwrap().iter().collect();
        let text = serde_json::to_string(&sorted).unwrap();
        assert!(text.contains("2030-01-01T09:00:00Z"), "{text}");
        assert_eq!(manifest.digest(), format!("sha256:{}", hex::encode(Sha256::digest(text))));
    }

    #[test]
    fn another_value_is_another_digest() {
        let manifest: Manifest = serde_json::from_value(full()).unwrap();
        let mut other = manifest.clone();
        other.suspend = false;
        assert_ne!(manifest.digest(), other.digest());
    }

    #[test]
    fn values_that_serde_would_accept_are_refused() {
        for (field, value) in [
            ("publisher", json!(5)),
            ("publisher", json!("a b")),
            ("offer", json!("a/b")),
            ("state", json!("Live")),
            ("version", json!(0)),
            ("version", json!(-1)),
            ("version", json!("5")),
            ("version", json!(null)),
            ("notBefore", json!("2030-01-01")),
            ("suspend", json!("true")),
            ("after", json!(null)),
            ("after", json!(["vm"])),
            ("notify", json!(["a"])),
            ("labels", json!({"a": 1})),
            ("labels", json!({"a=b": "c"})),
        ] {
            let mut manifest = full();
            manifest[field] = value;
            assert!(serde_json::from_value::<Manifest>(manifest.clone()).is_err(), "{manifest}");
        }
    }
}
