//! Fault rules: which requests are hit, and by what.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::scalar::{RetryAfter, SeedDuration, Times};

/// Whether a request is hit before the marketplace acts on it, or after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
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

/// A fault, and when it happens.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "ActionEntry")]
pub struct Action {
    /// Whether the request is acted on.
    pub when: When,
    /// What happens to it.
    pub fault: Fault,
}

/// What a rule does: exactly one of `status`, `delay`, `reset`, `cutBody`, `html`, `redirect` and
/// `endlessBody`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
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
    delay: Option<SeedDuration>,
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

/// Which requests are hit, and by what. Rules are asked in order; the first that hits does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
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
