//! Texts that are meant for a terminal or a log, not for a reader.

use serde_json::Value;

use crate::place::Ran;

/// Whatever harms a reader of a text: controls (C0, DEL, C1), line separators, and characters that
/// turn the direction or show nothing.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{61c}' | '\u{feff}')
}

/// Lines without harm. The colors that golive itself gives are taken out first.
#[track_caller]
pub(super) fn is_clean(text: &str, what: &str) {
    let mut plain = text.to_owned();
    for color in ["0", "1", "2", "3", "22", "31", "32", "33", "34", "35", "36", "39", "38;5;10"] {
        plain = plain.replace(&format!("\u{1b}[{color}m"), "");
    }
    if let Some(bad) = plain.chars().find(|c| *c != '\n' && is_harmful(*c)) {
        panic!("{what} has {bad:?}: {text:?}");
    }
    if let Ok(value) = serde_json::from_str(text) {
        has_clean_strings(&value, what);
    }
}

/// Escapes in JSON hide harm from the eye, not from the program that shows it.
#[track_caller]
fn has_clean_strings(value: &Value, what: &str) {
    match value {
        Value::String(text) => {
            assert!(!text.chars().any(is_harmful), "{what}: {text:?}");
        }
        Value::Array(values) => values.iter().for_each(|value| has_clean_strings(value, what)),
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            assert!(!key.chars().any(is_harmful), "{what}: {key:?}");
            has_clean_strings(value, what);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Both outputs are clean, and each line of the log is one that golive began.
#[track_caller]
pub(super) fn are_clean(ran: &Ran, line: &str) {
    is_clean(&ran.raw_stdout, line);
    is_clean(&ran.stderr, line);
    for text in ran.stderr.lines() {
        if line.contains("--log-format json") && !text.starts_with("error: ") {
            let value: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"));
            has_clean_strings(&value, line);
            continue;
        }
        let plain = text.replace("\u{1b}[2m", "").replace("\u{1b}[1m\u{1b}[31m", "");
        let begins = ["[TIME]", "error: ", "  caused by: "];
        assert!(begins.iter().any(|begin| plain.starts_with(begin)), "{line}: {text:?}");
    }
}
