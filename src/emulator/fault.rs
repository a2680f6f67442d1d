//! Faults by rule: which requests are hit, and by what. Pure; [`super::faulty`] does the harm.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::scalar::{Length, Times};

/// The value of `Retry-After`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// So many seconds.
    Seconds(u64),
    /// Until then, an HTTP date, e.g. `Wed, 21 Oct 2026 07:28:00 GMT`.
    Date(String),
}

impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seconds(seconds) => seconds.fmt(f),
            Self::Date(date) => date.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for RetryAfter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = RetryAfter;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("seconds, or an HTTP date such as Wed, 21 Oct 2026 07:28:00 GMT")
            }
            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<RetryAfter, E> {
                Ok(RetryAfter::Seconds(seconds))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<RetryAfter, E> {
                match httpdate::parse_http_date(text) {
                    Ok(_) => Ok(RetryAfter::Date(text.to_owned())),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for RetryAfter {
    fn schema_name() -> Cow<'static, str> {
        "RetryAfter".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Seconds, or an HTTP date.",
            "oneOf": [{"type": "integer", "minimum": 0}, {"type": "string"}]
        })
    }
}

/// Whether a request is hit before the marketplace acts on it, or after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// The request is not acted on.
    #[default]
    Before,
    /// The request is acted on, and only the answer suffers.
    After,
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A JSON answer in place of the true one.
    Answer {
        /// The HTTP status.
        status: u16,
        /// `Retry-After`, where there is one.
        retry_after: Option<RetryAfter>,
        /// The body, word for word; without it, an error in the API's form.
        body: Option<String>,
    },
    /// The answer comes so much later.
    Delay(Duration),
    /// The connection ends without an answer.
    Reset,
    /// The answer's body ends after so many bytes, the connection with it.
    CutBody(usize),
    /// The HTML error page of a gateway, with this status.
    Html(u16),
    /// 302 to there.
    Redirect(String),
    /// 200, and a body that never ends.
    EndlessBody,
}

/// A fault, and on which side of the processing it strikes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// Whether the request is acted on.
    pub when: When,
    /// What happens to it.
    pub fault: Fault,
}

/// What a rule does: exactly one of `status`, `delay`, `reset`, `cutBody`, `html`, `redirect` and
/// `endlessBody`.
#[derive(Clone, Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct ActionEntry {
    /// Answers with this HTTP status.
    #[schemars(range(min = 200, max = 599))]
    status: Option<u16>,
    /// With `status`: `Retry-After`.
    retry_after: Option<RetryAfter>,
    /// With `status`: the body, word for word.
    body: Option<String>,
    /// Answers so much later.
    delay: Option<Length>,
    /// Drops the connection without an answer, before or after processing.
    reset: Option<When>,
    /// Ends the body after so many bytes.
    cut_body: Option<usize>,
    /// Answers with the HTML error page of a gateway, with this HTTP status.
    #[schemars(range(min = 200, max = 599))]
    html: Option<u16>,
    /// Answers 302 to this location.
    redirect: Option<String>,
    /// Answers with a body that never ends.
    endless_body: bool,
    /// `after`: the request is acted on all the same. Default: `before`, for `cutBody` `after`.
    when: Option<When>,
}

impl TryFrom<ActionEntry> for Action {
    type Error = String;

    fn try_from(entry: ActionEntry) -> Result<Self, String> {
        let statuses = 200..600;
        if let Some(bad) =
            entry.status.into_iter().chain(entry.html).find(|s| !statuses.contains(s))
        {
            return Err(format!("expected an HTTP status from 200 to 599, not {bad}"));
        }
        if entry.status.is_none() && (entry.retry_after.is_some() || entry.body.is_some()) {
            return Err("`retryAfter` and `body` go with `status`".to_owned());
        }
        if entry.reset.is_some() && entry.when.is_some() {
            return Err("`reset` says itself when: `reset: before` or `reset: after`".to_owned());
        }
        let when = entry.when.or(entry.reset);
        let when = when.or(entry.cut_body.map(|_| When::After)).unwrap_or_default();
        let (retry_after, body) = (entry.retry_after, entry.body);
        let mut faults = [
            entry.status.map(|status| Fault::Answer { status, retry_after, body }),
            entry.delay.map(|delay| Fault::Delay(delay.0)),
            entry.reset.map(|_| Fault::Reset),
            entry.cut_body.map(Fault::CutBody),
            entry.html.map(Fault::Html),
            entry.redirect.map(Fault::Redirect),
            entry.endless_body.then_some(Fault::EndlessBody),
        ]
        .into_iter()
        .flatten();
        match (faults.next(), faults.next()) {
            (Some(fault), None) => Ok(Self { when, fault }),
            (None, _) | (Some(_), Some(_)) => {
                Err("an action is exactly one of `status`, `delay`, \
                `reset`, `cutBody`, `html`, `redirect`, `endlessBody`"
                    .to_owned())
            }
        }
    }
}

impl<'de> Deserialize<'de> for Action {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(ActionEntry::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// Which requests are hit, and by what. Rules are asked in order; the first that hits does.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// The method; without it, every one.
    #[serde(default)]
    pub method: Option<String>,
    /// The path, without its query, compared without case; `*` stands for any text. Without it,
    /// every path.
    #[serde(default = "any_path")]
    pub path: String,
    /// The first request it hits, of those that match: 1 is the first.
    #[serde(default = "first")]
    pub nth: NonZeroU32,
    /// How many it hits from there on: a number, or `always`. Default: 1.
    #[serde(default = "once")]
    #[schemars(extend("default" = 1))]
    pub count: Times,
    /// What it does.
    #[schemars(with = "ActionEntry")]
    pub action: Action,
}

fn any_path() -> String {
    "*".to_owned()
}

fn first() -> NonZeroU32 {
    NonZeroU32::MIN
}

fn once() -> Times {
    Times::Number(1)
}

impl Rule {
    fn matches(&self, method: &str, path: &str) -> bool {
        self.method.as_deref().is_none_or(|own| own.eq_ignore_ascii_case(method))
            && glob(&self.path.to_ascii_lowercase(), &path.to_ascii_lowercase())
    }
}

/// Whether a text is as a pattern says, in which `*` stands for any text.
fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    // All but the last piece are taken where they come first; the last one must end the text.
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        match text.split_once(piece) {
            Some((_, after)) => text = after,
            None => return false,
        }
    }
    text.ends_with(last)
}

/// The rules, and how often each has matched. Kept for the life of the process only.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    rules: Vec<(Rule, u32)>,
}

impl Faults {
    pub(super) fn new(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self { rules: rules.into_iter().map(|rule| (rule, 0)).collect() }
    }

    /// Adds a rule, asked after the others.
    pub(super) fn add(&mut self, rule: Rule) {
        self.rules.push((rule, 0));
    }

    /// What hits this request. Every rule that matches counts it, whether it hits or not.
    pub(super) fn hit(&mut self, method: &str, path: &str) -> Option<Action> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut action = None;
        for (rule, seen) in &mut self.rules {
            if !rule.matches(method, path) {
                continue;
            }
            *seen = seen.saturating_add(1);
            let since = seen.checked_sub(rule.nth.get());
            let hits = since.is_some_and(|since| rule.count.allows(since));
            if hits && action.is_none() {
                action = Some(rule.action.clone());
            }
        }
        action
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "/api"),
            ("/api", "/api"),
            ("*/golive", "/api/publishers/contoso/offers/vm/golive"),
            ("/api/*/vm/*", "/api/publishers/contoso/offers/vm/status"),
            ("*/offers/*/golive", "/api/publishers/contoso/offers/vm/golive"),
        ] {
            assert!(glob(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("/api", "/api/x"), ("*/golive", "/golive/x"), ("a*b*b", "ab"), ("ab*ba", "aba")]
        {
            assert!(!glob(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_rule_hits_from_the_nth_match_and_count_times() {
        let rule: Rule = serde_json::from_value(serde_json::json!({
            "method": "post", "path": "*/GoLive", "nth": 2, "count": 2, "action": {"status": 503}
        }))
        .unwrap();
        let mut faults = Faults::new([rule]);
        assert_eq!(faults.hit("GET", "/x/golive"), None);
        let hits: Vec<bool> = (0..5).map(|_| faults.hit("POST", "/x/golive/").is_some()).collect();
        assert_eq!(hits, [false, true, true, false, false]);
    }

    #[test]
    fn an_action_is_exactly_one() {
        let parse = |value| serde_json::from_value::<Action>(value).map_err(|e| e.to_string());
        assert!(parse(serde_json::json!({})).unwrap_err().contains("exactly one of"));
        let two = serde_json::json!({"delay": "1s", "html": 502});
        assert!(parse(two).unwrap_err().contains("exactly one of"));
        assert!(parse(serde_json::json!({"status": 99})).unwrap_err().contains("200 to 599"));
        let cut = parse(serde_json::json!({"cutBody": 3})).unwrap();
        assert_eq!(cut, Action { when: When::After, fault: Fault::CutBody(3) });
        let reset = parse(serde_json::json!({"reset": "after"})).unwrap();
        assert_eq!(reset, Action { when: When::After, fault: Fault::Reset });
    }
}
