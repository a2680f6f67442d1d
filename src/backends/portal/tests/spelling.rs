//! Keys are found in any case.

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::wire::{OfferWire, OperationWire, SubmissionWire};
use crate::backends::http::any_case::from_str;

/// All the keys of a value in another case.
fn respelled(value: Value, spell: &mut impl FnMut(&str) -> String) -> Value {
    match value {
        Value::Object(map) => {
            map.into_iter().map(|(key, value)| (spell(&key), respelled(value, spell))).collect()
        }
        Value::Array(all) => all.into_iter().map(|value| respelled(value, spell)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

fn step() -> Value {
    json!({
        "id": "live", "stepName": "Live", "description": "d", "estimatedTimeFrame": "1 day",
        "status": "complete", "progressPercentage": 100,
        "messages": [{"messageHtml": "m", "level": "error", "timestamp": "t"}],
    })
}

fn offer() -> Value {
    json!({
        "offerTypeId": "t", "publisherId": "contoso", "status": "running", "id": "vm",
        "version": 3, "definition": {"displayText": "A VM"}, "changedTime": "c",
        "pcMigrationStatus": "none", "eTag": "W/\"1\"",
    })
}

fn operation() -> Value {
    json!({
        "status": "running", "messages": [], "publishingVersion": 4, "offerVersion": 3,
        "cancellationRequestState": "none", "steps": [step()],
        "previewLinks": [{"displayText": "p", "uri": "https://p.example"}],
    })
}

fn submission() -> Value {
    json!({
        "id": "1", "offerId": "vm", "publisherId": "contoso", "submissionType": "golive",
        "submissionState": "running", "slot": "production", "publishingVersion": 4,
        "offerVersion": 3, "changedTime": "c", "status": "running",
    })
}

fn assert_same<T>(value: &Value, respelled: &Value) -> Result<(), TestCaseError>
where
    T: for<'de> Deserialize<'de> + PartialEq + std::fmt::Debug,
{
    let plain: T = serde_json::from_str(&value.to_string()).unwrap();
    prop_assert_eq!(from_str::<T>(&respelled.to_string()).unwrap(), plain);
    Ok(())
}

proptest! {
    #[test]
    fn every_key_of_every_answer_is_found_in_any_case(bits in any::<u64>()) {
        let mut bits = bits;
        let mut spell = |key: &str| -> String {
            key.chars()
                .map(|c| {
                    bits = bits.rotate_left(7).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 1;
                    if bits >> 63 == 0 { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() }
                })
                .collect()
        };
        assert_same::<OfferWire>(&offer(), &respelled(offer(), &mut spell))?;
        assert_same::<OperationWire>(&operation(), &respelled(operation(), &mut spell))?;
        assert_same::<SubmissionWire>(&submission(), &respelled(submission(), &mut spell))?;
        let status = json!({"status": "running", "steps": [step(), step()], "messages": [{}]});
        assert_same::<OperationWire>(&status, &respelled(status.clone(), &mut spell))?;
    }
}

#[test]
fn two_spellings_of_one_key_are_an_error_and_other_keys_are_not() {
    let error = from_str::<OfferWire>(r#"{"eTag": "a", "Etag": "b"}"#).unwrap_err();
    assert!(error.to_string().starts_with("duplicate field `eTag`"), "{error}");
    let text = r#"{"x": {"status": [1, {"status": 2}]}, "X": 7, "ID": "vm", "été": 1, "": 0}"#;
    assert_eq!(from_str::<OfferWire>(text).unwrap().id.as_deref(), Some("vm"));
    assert!(from_str::<OfferWire>(r#"{"id": "vm"} {}"#).is_err());
}
