//! The message in an error body, in any of the known forms: the general message first, then the
//! causes, which say what to fix.
//!
//! Seen so far: `{"error": {"code", "message", "details": […], "innererror": {…}}}`, the same
//! without `error` around it, problem details (RFC 9457), `errors` and `ModelState` as a list or a
//! map by field, OAuth's `error_description`, a JSON string with a .NET exception in it, one object
//! around another under any name, and texts or pages that aren't JSON.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::lenient;
use super::redact::Cleaner;

/// The longest message, in characters.
const MAX_MESSAGE: usize = 1_000;

/// Limit for each of several texts, in characters: a long one must not crowd out the others.
const MAX_TEXT: usize = 350;

/// Limit for a code or a label, in characters.
const MAX_WORD: usize = 100;

/// Limit for the number of texts taken from one body; the message has no room for more.
const MAX_TEXTS: usize = 20;

/// Limit for the nesting depth of causes. Azure's nest up to four levels.
const MAX_DEPTH: usize = 12;

/// Limit for the body that is searched, in bytes.
const MAX_BODY: usize = 1024 * 1024;

/// Keys whose value is a sentence, general ones first. Keys are compared by their letters and
/// digits only, without case.
const TEXTS: [&str; 14] = [
    "message",
    "messagehtml",
    "errormessage",
    "errordescription",
    "title",
    "detail",
    "messagedetail",
    "exceptionmessage",
    "description",
    "reason",
    "cause",
    "text",
    "summary",
    "error",
];

/// Keys whose value is a stable code.
const CODES: [&str; 2] = ["code", "errorcode"];

/// Keys whose value names the subject of a text.
const LABELS: [&str; 7] =
    ["target", "field", "pointer", "property", "propertyname", "parameter", "membername"];

/// Keys that hold causes, including plain-text ones.
const CAUSES: [&str; 12] = [
    "error",
    "errors",
    "modelstate",
    "validationerrors",
    "fielderrors",
    "details",
    "innererror",
    "innerexception",
    "innererrors",
    "causes",
    "messages",
    "failures",
];

/// The subset of [`CAUSES`] that may be a map from fields to texts.
const BY_FIELD: [&str; 4] = ["errors", "modelstate", "validationerrors", "fielderrors"];

/// Code and message of an error.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ErrorMessage {
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
}

impl ErrorMessage {
    /// Reads an error body. `reason` is the status's reason phrase, which the message need not
    /// repeat.
    pub(crate) fn read(body: &[u8], reason: &str, cleaner: &Cleaner) -> Self {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let body = String::from_utf8_lossy(&body[..body.len().min(MAX_BODY)]);
        let mut gathered = Gathered { cleaner, code: None, texts: Vec::new() };
        let json = lenient::with_whole_characters(Cow::Borrowed(body.trim()));
        if let Ok(value) = serde_json::from_str::<Value>(&json) {
            gathered.value(None, &value, true, 0);
            if gathered.code.is_none() && gathered.texts.is_empty() {
                gathered.unknown(&value);
            }
        } else {
            gathered.text(None, &body);
            if body.contains('<') {
                gathered.texts.iter_mut().for_each(drop_repeated_title);
            }
        }
        let message = gathered.message(reason);
        Self { code: gathered.code, message }
    }
}

struct Gathered<'a> {
    cleaner: &'a Cleaner,
    /// The first code found.
    code: Option<String>,
    /// Cleaned and deduplicated, general ones first.
    texts: Vec<String>,
}

impl Gathered<'_> {
    /// Collects what a value says about `label`. Plain texts count only if `texts` is set: most are
    /// names and ids.
    fn value(&mut self, label: Option<&str>, value: &Value, texts: bool, depth: usize) {
        if depth > MAX_DEPTH || self.texts.len() >= MAX_TEXTS {
            return;
        }
        match value {
            Value::String(text) if texts => match within(text) {
                Some(inner) => self.value(label, &inner, true, depth + 1),
                None => self.text(label, text),
            },
            Value::Array(all) => {
                for value in all {
                    self.value(label, value, texts, depth + 1);
                }
            }
            Value::Object(map) => self.object(label, map, depth),
            Value::Number(number) if texts && depth == 0 => self.text(label, &number.to_string()),
            Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {}
        }
    }

    fn object(&mut self, label: Option<&str>, map: &Map<String, Value>, depth: usize) {
        let entries: Vec<_> = map.iter().map(|(key, value)| (letters(key), value)).collect();
        let found =
            |name: &str| entries.iter().find(|(key, _)| key == name).map(|(_, value)| *value);
        let text_of =
            |names: &[&str]| names.iter().filter_map(|name| found(name)).find_map(sentence);
        let own = text_of(&LABELS);
        let label = own.as_deref().or(label);
        let mut code = text_of(&CODES);
        let error = found("error").and_then(Value::as_str);
        let is_described = TEXTS[..4].iter().any(|name| found(name).is_some());
        if let Some(error) = error.filter(|_| code.is_none() && is_described) {
            code = Some(error.to_owned());
        }
        if self.code.is_none() && self.texts.is_empty() {
            let code = code.take().map(|code| self.cleaner.html(&code, MAX_WORD));
            self.code = code.filter(|code| !code.is_empty());
        }
        // The content of `error` is more specific than its siblings.
        if let Some(inner @ Value::Object(_)) = found("error") {
            self.value(label, inner, true, depth + 1);
        }
        let before = self.texts.len();
        let about = label.or(code.as_deref());
        for name in TEXTS {
            let Some(value) = found(name) else { continue };
            let is_code = name == "error" && is_described;
            if !is_code && let Some(text) = sentence(value) {
                self.value(about, &Value::String(text), true, depth + 1);
            } else if value.is_array() {
                self.value(about, value, true, depth + 1);
            }
        }
        if let Some(code) = code.as_ref().filter(|_| self.texts.len() == before) {
            self.text(label, code);
        }
        self.causes(label, entries, depth);
    }

    /// Collects nested causes.
    fn causes(&mut self, label: Option<&str>, mut rest: Vec<(String, &Value)>, depth: usize) {
        let rank = |key: &str| CAUSES.iter().position(|name| *name == key).unwrap_or(CAUSES.len());
        rest.retain(|(key, value)| {
            let is_read = TEXTS.contains(&key.as_str())
                && (key == "error" || !value.is_object() || sentence(value).is_some());
            !is_read && !LABELS.contains(&key.as_str()) && !key.contains("stack")
        });
        rest.sort_by_key(|(key, _)| rank(key));
        for (key, value) in rest {
            let named = CAUSES.contains(&key.as_str());
            match value {
                Value::Object(fields)
                    if BY_FIELD.contains(&key.as_str()) && is_by_field(fields) =>
                {
                    for (field, value) in fields {
                        let field = Some(field.as_str()).filter(|field| !field.is_empty());
                        self.value(field, value, true, depth + 1);
                    }
                }
                Value::String(_) | Value::Array(_) | Value::Object(_) => {
                    self.value(label, value, named, depth + 1);
                }
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
    }

    fn text(&mut self, label: Option<&str>, raw: &str) {
        if self.texts.len() >= MAX_TEXTS {
            return;
        }
        let text = self.cleaner.html(&without_stack(raw), MAX_MESSAGE);
        let is_known = |known: &String| known.contains(&text);
        if text.is_empty() || self.texts.iter().chain(&self.code).any(is_known) {
            return;
        }
        let label = label.map(|label| self.cleaner.html(label, MAX_WORD));
        self.texts.push(match label.filter(|label| !label.is_empty() && !text.contains(label)) {
            Some(label) => format!("{label}: {text}"),
            None => text,
        });
    }

    /// If nothing in the JSON was understood, shows it raw rather than dropping it.
    fn unknown(&mut self, value: &Value) {
        let is_empty = match value {
            Value::Null => true,
            Value::Array(all) => all.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        };
        if !is_empty {
            let text = self.cleaner.html(&value.to_string(), MAX_TEXT);
            self.texts.extend(Some(text).filter(|text| !text.is_empty()));
        }
    }

    /// Joins the texts into one line.
    fn message(&mut self, reason: &str) -> Option<String> {
        if self.texts.len() > 1 {
            self.texts.retain(|text| letters(text) != letters(reason));
        }
        let cut = |text: &String, max| crate::marketplace::text::cut(text.clone(), max);
        match self.texts.as_slice() {
            [] => None,
            [one] => Some(cut(one, MAX_MESSAGE)),
            many => {
                let texts: Vec<_> = many.iter().map(|text| cut(text, MAX_TEXT)).collect();
                Some(cut(&texts.join(" • "), MAX_MESSAGE))
            }
        }
    }
}

/// Removes a page heading that repeats the title.
fn drop_repeated_title(text: &mut String) {
    let words: Vec<&str> = text.split(' ').collect();
    let repeated = (1..=words.len() / 2).rev().find(|title| {
        let (first, rest) = words.split_at(*title);
        rest.starts_with(first)
    });
    if let Some(title) = repeated {
        *text = words.get(title..).unwrap_or_default().join(" ");
    }
}

/// The letters and digits of a key, lower-cased, so that `error_description` equals
/// `errorDescription`; without the prefix `odata.`, so that `odata.error` equals `error`.
fn letters(key: &str) -> String {
    let key = key.strip_prefix("odata.").unwrap_or(key);
    key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// A text, or the `value` of `{"lang": …, "value": …}`.
fn sentence(value: &Value) -> Option<String> {
    let text = value.as_str().or_else(|| value.get("value")?.as_str());
    text.filter(|text| !text.trim().is_empty()).map(str::to_owned)
}

/// Whether an object is a map from fields to texts rather than an error.
fn is_by_field(map: &Map<String, Value>) -> bool {
    !map.iter().any(|(key, value)| {
        value.is_string() && matches!(letters(key).as_str(), "message" | "code" | "errormessage")
    })
}

/// Parses JSON inside a string: gateways wrap the answers they pass on.
fn within(text: &str) -> Option<Value> {
    let text = text.trim();
    let value = text.starts_with(['{', '[', '"']).then(|| serde_json::from_str::<Value>(text));
    value?.ok().filter(|value| !value.as_array().is_some_and(Vec::is_empty))
}

/// The text of a .NET exception without its stack trace.
fn without_stack(text: &str) -> Cow<'_, str> {
    let is_frame = |line: &str| {
        let line = line.trim_start();
        (line.starts_with("at ") && line.contains('(')) || line.starts_with("--- End of ")
    };
    if !text.contains('\n') || !text.lines().any(is_frame) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.lines().filter(|line| !is_frame(line)).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> (Option<String>, Option<String>) {
        let error = ErrorMessage::read(body.as_bytes(), "Bad Request", &Cleaner::default());
        (error.code, error.message)
    }

    fn assert_read(cases: &[(&str, &str, &str)]) {
        for (body, code, message) in cases {
            let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            assert_eq!(read(body), (some(code), some(message)), "{body}");
        }
    }

    #[test]
    fn the_cause_is_shown_after_the_general_message() {
        assert_read(&[
            (
                r#"{"error":{"code":"BadRequest","message":"One or more errors.","details":[
                    {"code":"InvalidLogo","target":"logo","message":"It is too small."},
                    {"code":"InvalidPrice","message":"<b>No</b> price.",
                     "details":[{"message":"USD is missing."}]}]}}"#,
                "BadRequest",
                "One or more errors. • logo: It is too small. • InvalidPrice: No price. • \
                 USD is missing.",
            ),
            (
                r#"{"error":{"code":"BadRequest","message":"Bad.","innererror":{"code":"LogoSize",
                    "innerError":{"message":"216 px","stackTrace":"at x()"}}}}"#,
                "BadRequest",
                "Bad. • LogoSize • 216 px",
            ),
            (
                r#"{"message":"Invalid.","errors":["no logo",{"message":"no price"}]}"#,
                "",
                "Invalid. • no logo • no price",
            ),
            (
                r#"{"title":"One or more validation errors occurred.","status":400,
                    "traceId":"00-1","errors":{"Logo":["is too small","is no PNG"],"":["x y"]}}"#,
                "",
                "One or more validation errors occurred. • x y • Logo: is too small • \
                 Logo: is no PNG",
            ),
            (
                r#"{"Message":"The request is invalid.","ModelState":{"plan.price":["is missing"]}}"#,
                "",
                "The request is invalid. • plan.price: is missing",
            ),
            (r#"[{"code":"A","message":"one"},{"code":"B","message":"two"}]"#, "A", "one • B: two"),
            (r#"["one","two"]"#, "", "one • two"),
        ]);
    }

    #[test]
    fn a_page_s_title_is_read_once() {
        let page = "<html><head><title>Service Unavailable</title></head><body>\
                    <h1>Service Unavailable</h1><p>Try again.</p></body></html>";
        assert_read(&[
            (page, "", "Service Unavailable Try again."),
            ("<title>Error</title><h1>Error</h1>", "", "Error"),
            ("<title>502</title><h1>Bad Gateway</h1>", "", "502 Bad Gateway"),
            ("no no", "", "no no"),
        ]);
    }

    #[test]
    fn all_known_forms_are_understood() {
        assert_read(&[
            (
                r#"{"type":"about:blank","title":"Bad Request","detail":"The logo.","instance":"/1"}"#,
                "",
                "The logo.",
            ),
            (
                r#"{"error":"invalid_client","error_description":"AADSTS7000215: wrong secret"}"#,
                "invalid_client",
                "AADSTS7000215: wrong secret",
            ),
            (r#"{"Variant":{"serviceName":"Offers","error":"Retry is OK"}}"#, "", "Retry is OK"),
            (
                r#""Microsoft.Api.Http404Exception: no offer\r\n   at A.B(C d) in x.cs:line 1\r\n""#,
                "",
                "Microsoft.Api.Http404Exception: no offer",
            ),
            (
                r#"{"Message":"An error has occurred.","ExceptionMessage":"No logo.",
                    "ExceptionType":"X","InnerException":{"ExceptionMessage":"Not found."}}"#,
                "",
                "An error has occurred. • No logo. • Not found.",
            ),
            (
                r#"{"error":{"code":"Bad","message":"{\"error\":{\"message\":\"No logo.\"}}"}}"#,
                "Bad",
                "No logo.",
            ),
            (
                r#"{"odata.error":{"code":"Bad","message":{"lang":"en","value":"No logo."}}}"#,
                "Bad",
                "No logo.",
            ),
            (
                r#"{"jobStatus":"completed","errors":[{"code":"x","message":"Job failed.",
                    "details":[{"code":"y","message":"No logo."}]}]}"#,
                "x",
                "Job failed. • y: No logo.",
            ),
            (
                r#"{"error":{"code":"Bad","message":"No logo.","details":[{"message":"No logo."}]}}"#,
                "Bad",
                "No logo.",
            ),
            (
                r#"{"error":{"message":"See <a href=\"https://x.example/1\">it</a>."}}"#,
                "",
                "See it (https://x.example/1).",
            ),
            (r#"{"what":"ever"}"#, "", r#"{"what":"ever"}"#),
            ("", "", ""),
            ("{}", "", ""),
            ("[]", "", ""),
            ("null", "", ""),
            ("plain", "", "plain"),
            ("\u{feff}{\"message\":\"mark\"}", "", "mark"),
            (r#"{"message":"cut \ud83d"}"#, "", "cut \u{fffd}"),
        ]);
    }

    #[test]
    fn much_text_leaves_room_for_the_causes() {
        let long = "x".repeat(5_000);
        let body = format!(r#"{{"message":"{long}","details":[{{"message":"the logo"}}]}}"#);
        let message = read(&body).1.unwrap();
        assert!(message.ends_with("… • the logo"), "{message}");
        let alone = read(&format!(r#"{{"message":"{long}"}}"#)).1.unwrap();
        assert_eq!(alone.chars().count(), MAX_MESSAGE);
        let many: Vec<_> =
            (0..5_000).map(|at| format!(r#"{{"message":"cause {at} {long}"}}"#)).collect();
        let message = read(&format!("[{}]", many[..50].join(","))).1.unwrap();
        assert_eq!(message.chars().count(), MAX_MESSAGE);
        let deep = format!("{}{}", r#"{"error":"#.repeat(100), "1".to_owned() + &"}".repeat(100));
        assert!(read(&deep).1.is_some());
    }
}
