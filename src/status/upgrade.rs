//! Reads status files of schema 1 as schema 2. In schema 1 releases were numbers, and an intent had an
//! entity tag, no deadline, and only the last attempt before it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::Error as _;
use serde_json::{Map, Value};

use super::record::{SCHEMA_VERSION, SourceRecord, StatusFile, each_once};
use crate::marketplace::OfferId;

/// How long a request could be under way in schema 1: twice the default timeout of then. Longer
/// timeouts were possible; the settling time of 15 minutes covers them.
const LONGEST_REQUEST: SignedDuration = SignedDuration::from_mins(2);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Old {
    #[serde(deserialize_with = "each_once")]
    offers: BTreeMap<OfferId, Value>,
    #[serde(rename = "schema")]
    _schema: u32,
    #[serde(default)]
    source: Option<SourceRecord>,
    updated_at: Timestamp,
}

/// Reads a file of schema 1.
pub(super) fn from_schema_1(json: &[u8]) -> serde_json::Result<StatusFile> {
    let old: Old = serde_json::from_slice(json)?;
    let mut file = StatusFile { source: old.source, ..StatusFile::empty(old.updated_at) };
    file.schema = SCHEMA_VERSION;
    for (offer, mut record) in old.offers {
        if let Value::Object(record) = &mut record {
            upgrade(record);
        }
        // The value has no position in the file any more, so the error names the offer.
        let record = serde_json::from_value(record)
            .map_err(|error| serde_json::Error::custom(format!("{offer}: {error}")))?;
        file.offers.insert(offer, Arc::new(record));
    }
    Ok(file)
}

fn upgrade(record: &mut Map<String, Value>) {
    if let Some(observed) = object(record, "observed") {
        let part = |name: &str| match observed.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        // There is no fingerprint: the first check asks the marketplace.
        let status = part("status");
        observed.insert("status".to_owned(), status.into());
        rename(observed, "liveVersion", "live");
        rename(observed, "previewVersion", "preview");
        for gone in ["version", "etag"] {
            observed.remove(gone);
        }
    }
    if let Some(intent) = object(record, "intent") {
        rename(intent, "etag", "fence");
        rename(intent, "version", "release");
        let at = intent.get("at").and_then(Value::as_str).and_then(|at| at.parse().ok());
        let deadline = at.and_then(|at: Timestamp| at.checked_add(LONGEST_REQUEST).ok());
        if let Some(deadline) = deadline {
            intent.insert("deadline".to_owned(), deadline.to_string().into());
        }
        for gone in ["lastChanged", "lastSubmission"] {
            intent.remove(gone);
        }
    }
    if let Some(refused) = object(record, "refused") {
        rename(refused, "version", "release");
        refused.remove("changedTime");
    }
    if let Some(operation) = object(record, "operation") {
        rename(operation, "version", "release");
    }
    for operation in record.get_mut("history").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Value::Object(operation) = operation {
            rename(operation, "version", "release");
        }
    }
}

fn object<'a>(
    record: &'a mut Map<String, Value>,
    name: &str,
) -> Option<&'a mut Map<String, Value>> {
    record.get_mut(name)?.as_object_mut()
}

fn rename(object: &mut Map<String, Value>, old: &str, new: &str) {
    if let Some(value) = object.remove(old) {
        object.insert(new.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::marketplace::{Fence, Release};

    #[test]
    fn what_was_known_is_still_known() {
        let old = r#"{"schema": 1, "updatedAt": "2026-11-01T00:00:00Z", "offers": {"contoso/vm": {
            "attempts": 1, "error": null, "history": [], "message": "", "nextCheckAt": null,
            "intent": {"at": "2026-11-01T00:00:00Z", "etag": "\"1\"", "kind": "golive",
                "lastSubmission": null, "requestId": "07070707-0707-4707-8707-070707070707",
                "manifestDigest": "sha256:00", "version": 9007199254740993},
            "manifest": {"digest": "sha256:00", "file": "vm.yaml", "state": "live"},
            "observed": {"at": "2026-11-01T00:00:00Z", "changedTime": null, "etag": null,
                "liveVersion": 1, "previewVersion": 2, "status": "Running", "version": 2},
            "operation": {"adopted": false, "finishedAt": null, "id": "a", "kind": "golive",
                "location": null, "manifestDigest": "sha256:00", "messages": [], "polledAt": null,
                "progress": null, "requestId": null, "startedAt": "2026-11-01T00:00:00Z",
                "status": "running", "steps": [], "version": 2},
            "phase": "InProgress", "reason": "GoLiveRunning", "since": "2026-11-01T00:00:00Z"}}}"#;
        let mut file = from_schema_1(old.as_bytes()).unwrap();
        assert_eq!(file.schema, 2);
        let record = file.offers.remove(&"contoso/vm".parse::<OfferId>().unwrap()).unwrap();
        let intent = record.intent.as_ref().unwrap();
        assert_eq!(intent.release, Release::new("9007199254740993"));
        assert_eq!(intent.fence, Some(Fence("\"1\"".to_owned())));
        assert_eq!(intent.deadline, "2026-11-01T00:02:00Z".parse().unwrap());
        assert_eq!((intent.attempt, &intent.known), (1, &None));
        let observed = record.observed.as_ref().unwrap();
        let releases = [&observed.live, &observed.preview, &record.running().unwrap().release];
        assert_eq!(releases.map(|it| it.as_ref().unwrap().as_str()), ["1", "2", "2"]);
        assert_eq!((observed.status.as_str(), &observed.fingerprint), ("Running", &None));
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_offer() {
        let file = |rest: &str, record: &str| {
            let head = r#"{"schema": 1, "updatedAt": "2026-11-01T00:00:00Z""#;
            let text = format!("{head}{rest}, \"offers\": {{\"contoso/vm\": {record}}}}}");
            from_schema_1(text.as_bytes()).unwrap_err().to_string()
        };
        let unknown = file(", \"new\": 1", "{}");
        assert!(unknown.contains("unknown field `new`"), "{unknown}");
        let incomplete = file("", "{\"attempts\": 1}");
        assert!(incomplete.contains("contoso/vm: missing field"), "{incomplete}");
    }
}
