//! The status file, as a person, a merge or a newer golive may have left it.

use std::path::Path;

use golive::backends::portal::Operation;
use golive::manifest::DesiredState;
use golive::marketplace::{OperationKind, Release, RequestId};
use golive::status::{
    ManifestRecord, OfferRecord, OperationRecord, Phase, Reason, SCHEMA_VERSION, StatusFile,
    StoreError, parse, to_bytes,
};
use jiff::Timestamp;
use serde_json::Value;

use super::text::assert_clean;

pub fn status_file(data: &[u8]) {
    match read(data) {
        Ok(file) => {
            assert_eq!(file.schema, SCHEMA_VERSION);
            assert_survives(&file);
        }
        Err(StoreError::Broken { line, column, what, .. }) => {
            assert_clean(&what);
            assert!(!what.is_empty(), "an error says something");
            assert_within(data, line, column);
            assert!(!is_newer(data), "a newer file isn't a broken one");
        }
        Err(StoreError::Newer { found, .. }) => assert!(found > u64::from(SCHEMA_VERSION)),
        Err(other) => panic!("{other:?}"),
    }
}

fn read(data: &[u8]) -> Result<StatusFile, StoreError> {
    parse(Path::new("golive.status.json"), data)
}

/// A written file parses as the same, and is written as the same again.
fn assert_survives(file: &StatusFile) {
    let written = to_bytes(file).expect("it can be written");
    let again = read(&written).expect("what was written is read");
    assert_eq!(&again, file);
    assert_eq!(to_bytes(&again).expect("it can be written"), written);
}

/// Lines and columns count from 1; an error may be at the end of a line, or of the text.
fn assert_within(data: &[u8], line: usize, column: usize) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let text = line.checked_sub(1).and_then(|before| lines.nth(before));
    let text = text.unwrap_or_else(|| panic!("there is no line {line}"));
    let characters = String::from_utf8_lossy(text).chars().count();
    assert!((1..=characters + 1).contains(&column), "line {line} has no column {column}");
}

/// Whether a newer golive wrote the text.
fn is_newer(data: &[u8]) -> bool {
    let once = data.windows(8).filter(|word| word == b"\"schema\"").count() == 1;
    let plain = once && !data.contains(&b'\\');
    let schema =
        serde_json::from_slice(data).ok().and_then(|file: Value| file.get("schema")?.as_u64());
    plain && schema.is_some_and(|schema| schema > u64::from(SCHEMA_VERSION))
}

/// Fails unless an operation survives writing and reading.
pub(super) fn assert_kept(operation: &Operation) {
    let mut record = record(None);
    record.messages.clone_from(&operation.messages);
    record.status = operation.status.clone();
    record.steps.clone_from(&operation.steps);
    record.release = operation.offer_version.map(Release::from);
    assert_survives(&file(record));
}

/// Writes a location to a status file and reads it back.
pub(super) fn stored_location(location: &str) -> String {
    let written = to_bytes(&file(record(Some(location)))).expect("it can be written");
    let read = read(&written).expect("what was written is read");
    let offer = read.offers.into_values().next().expect("an offer");
    let operation = offer.operation.clone();
    operation.and_then(|operation| operation.location).expect("a location")
}

fn record(location: Option<&str>) -> OperationRecord {
    OperationRecord {
        id: Some("1".to_owned()),
        location: location.map(str::to_owned),
        request_id: Some(RequestId::from_random([7; 16])),
        ..OperationRecord::new(OperationKind::GoLive, "running".into(), Timestamp::UNIX_EPOCH)
    }
}

fn file(operation: OperationRecord) -> StatusFile {
    let manifest = ManifestRecord {
        digest: String::new(),
        file: "vm.yaml".to_owned(),
        state: DesiredState::Live,
    };
    let (reason, now) = (Reason::GoLiveRunning, Timestamp::UNIX_EPOCH);
    let offer = OfferRecord {
        attempts: 1,
        operation: Some(operation.into()),
        ..OfferRecord::new(manifest, Phase::InProgress, reason, "", now)
    };
    let mut file = StatusFile::empty(now);
    file.offers.insert("contoso/vm".parse().expect("an offer"), offer.into());
    file
}
