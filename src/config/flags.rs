//! The flags whose defaults `golive.yaml` may give.

use std::time::Duration;

use schemars::{Schema, json_schema};
use serde_json::Value;

use crate::cli;

/// A flag, as the file gives its default.
pub(super) struct Flag {
    /// The line that gives it, as an example.
    pub(super) line: &'static str,
    /// The id of its argument.
    pub(super) argument: &'static str,
    title: &'static str,
    about: &'static str,
    pub(super) kind: Kind,
}

/// What a flag's value is.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Number,
    Concurrency,
    /// With the rule of the command line.
    Duration(fn(&str) -> Result<Duration, String>),
}

/// Any duration, one that isn't zero, and one between requests.
const DURATION: Kind = Kind::Duration(cli::duration);
const POSITIVE: Kind = Kind::Duration(cli::positive_duration);
const INTERVAL: Kind = Kind::Duration(cli::request_interval);

pub(super) const FLAGS: [Flag; 9] = [
    Flag::new("maxChanges: 5", "max_changes", "Most changes", Kind::Number).about(
        "Refuse to send more than this many requests that change something: `apply --max-changes`.",
    ),
    Flag::new("concurrency: 8", "concurrency", "Concurrency", Kind::Concurrency)
        .about("How many requests may be under way at once: `--concurrency`."),
    Flag::new("timeout: 60s", "timeout", "Timeout", POSITIVE)
        .about("How long one request may take: `--timeout`."),
    Flag::new("settle: 15m", "settle", "Settle", DURATION).about(
        "How long an offer must be unchanged before a request without an answer may be sent \
         again: `--settle`.",
    ),
    Flag::new("poll: 30s", "poll", "Poll", POSITIVE)
        .about("The first interval between two polls of an operation: `--poll`."),
    Flag::new("pollMax: 5m", "poll_max", "Longest poll", POSITIVE)
        .about("The longest interval between two polls: `--poll-max`."),
    Flag::new("lockTimeout: 10s", "lock_timeout", "Lock timeout", DURATION)
        .about("How long to wait for another golive that holds the lock: `--lock-timeout`."),
    Flag::new("resync: 5m", "resync", "Resync", INTERVAL)
        .about("How often a service looks at every publisher: `watch --resync`."),
    Flag::new("debounce: 100ms", "debounce", "Debounce", POSITIVE).about(
        "How long files must be left alone before a service reads them: `watch --debounce`.",
    ),
];

impl Flag {
    const fn new(
        line: &'static str,
        argument: &'static str,
        title: &'static str,
        kind: Kind,
    ) -> Self {
        Self { line, argument, title, about: "", kind }
    }

    const fn about(self, about: &'static str) -> Self {
        Self { about, ..self }
    }

    pub(super) fn name(&self) -> &'static str {
        self.line.split(':').next().unwrap_or_default()
    }

    fn schema(&self) -> Schema {
        let example = self.line.split(": ").nth(1).unwrap_or_default();
        let mut schema = match self.kind {
            Kind::Number => json_schema!({"type": "integer", "format": "uint64", "minimum": 0}),
            Kind::Concurrency => {
                json_schema!({"type": "integer", "format": "uint64", "minimum": 1, "maximum": 1024})
            }
            Kind::Duration(_) => json_schema!({"type": "string", "pattern": "^[0-9].*[a-zA-Z]$"}),
        };
        schema.insert("title".to_owned(), self.title.into());
        schema.insert("description".to_owned(), self.about.into());
        let example = example.parse().map_or_else(|_| example.into(), |number: u64| number.into());
        schema.insert("examples".to_owned(), Value::Array(vec![example]));
        schema
    }
}

impl Kind {
    /// What is wanted, in words.
    pub(super) fn wanted(self) -> &'static str {
        match self {
            Self::Number => "a whole number",
            Self::Concurrency => "a number from 1 to 1024",
            Self::Duration(_) => "a duration",
        }
    }

    /// The rule of the command line.
    pub(super) fn check(self, text: &str) -> Result<(), String> {
        match self {
            Self::Number => Ok(()),
            Self::Concurrency => cli::concurrency(text).map(drop),
            Self::Duration(rule) => rule(text).map(drop),
        }
    }
}

/// Adds the flags to the schema of the file.
pub(super) fn add_to(schema: &mut Schema) {
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        let flags = FLAGS.iter().map(|flag| (flag.name().to_owned(), flag.schema().to_value()));
        properties.extend(flags);
    }
}
