//! What `golive.yaml` may say.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::find::join;
use crate::manifest::FieldList;
use crate::marketplace::{Api, PublisherId};

/// golive's configuration: how each publisher is reached, and defaults for flags.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(title = "golive configuration", deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    /// The API of publishers that say nothing else.
    #[schemars(
        title = "API",
        with = "Api",
        default,
        skip_serializing_if = "Option::is_none",
        example = "product-ingestion"
    )]
    pub api: Option<Api>,
    /// The publishers that need something of their own, by their ids.
    #[schemars(title = "Publishers", default, skip_serializing_if = "BTreeMap::is_empty", example = publishers_example())]
    pub publishers: BTreeMap<PublisherId, PublisherConfig>,
    /// Refuse to send more than this many requests that change something: `apply --max-changes`.
    #[schemars(
        title = "Most changes",
        with = "u64",
        default,
        skip_serializing_if = "Option::is_none",
        example = 5
    )]
    pub max_changes: Option<u64>,
    /// How many requests may be under way at once: `--concurrency`.
    #[schemars(
        title = "Concurrency",
        with = "u64",
        default,
        skip_serializing_if = "Option::is_none",
        range(min = 1, max = 1024),
        example = 8
    )]
    pub concurrency: Option<u64>,
    /// How long one request may take: `--timeout`.
    #[schemars(
        title = "Timeout",
        with = "Duration",
        default,
        skip_serializing_if = "Option::is_none",
        example = "60s"
    )]
    pub timeout: Option<String>,
    /// How long an offer must be unchanged before a request without an answer may be sent again:
    /// `--settle`.
    #[schemars(
        title = "Settle",
        with = "Duration",
        default,
        skip_serializing_if = "Option::is_none",
        example = "15m"
    )]
    pub settle: Option<String>,
    /// The first interval between two polls of an operation: `--poll`.
    #[schemars(
        title = "Poll",
        with = "Duration",
        default,
        skip_serializing_if = "Option::is_none",
        example = "30s"
    )]
    pub poll: Option<String>,
    /// The longest interval between two polls: `--poll-max`.
    #[schemars(
        title = "Longest poll",
        with = "Duration",
        default,
        skip_serializing_if = "Option::is_none",
        example = "5m"
    )]
    pub poll_max: Option<String>,
    /// How long to wait for another golive that holds the lock: `--lock-timeout`.
    #[schemars(
        title = "Lock timeout",
        with = "Duration",
        default,
        skip_serializing_if = "Option::is_none",
        example = "10s"
    )]
    pub lock_timeout: Option<String>,
    /// How often a service looks at every publisher: `watch --resync`.
    #[schemars(
        title = "Resync",
        with = "Duration",
        default,
        skip_serializing_if = "Option::is_none",
        example = "5m"
    )]
    pub resync: Option<String>,
    /// How long files must be left alone before a service reads them: `watch --debounce`.
    #[schemars(
        title = "Debounce",
        with = "Duration",
        default,
        skip_serializing_if = "Option::is_none",
        example = "100ms"
    )]
    pub debounce: Option<String>,
    /// The folder of the file, from which paths in it are taken.
    #[schemars(skip)]
    pub folder: PathBuf,
}

/// What a publisher has of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields, rename_all = "camelCase")]
pub struct PublisherConfig {
    /// The API of its offers.
    #[schemars(
        title = "API",
        with = "Api",
        default,
        skip_serializing_if = "Option::is_none",
        example = "product-ingestion"
    )]
    pub api: Option<Api>,
    /// Where that API is, as an origin: scheme, host and port.
    #[schemars(
        title = "Endpoint",
        with = "String",
        default,
        skip_serializing_if = "Option::is_none",
        regex(pattern = r"^https?://[^/?#@\s]+/?$"),
        example = "https://graph.microsoft.com"
    )]
    pub endpoint: Option<String>,
    /// Where its token comes from.
    #[schemars(
        title = "Credential",
        with = "CredentialConfig",
        default, skip_serializing_if = "Option::is_none",
        example = BTreeMap::from([("kind", "token"), ("env", "CONTOSO_TOKEN")])
    )]
    pub credential: Option<CredentialConfig>,
}

/// Where a publisher's token comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialConfig {
    /// A token in an environment variable, by its name.
    TokenVariable(String),
    /// A token in a file, which may be replaced at any time. A relative path is taken from the
    /// folder of the configuration.
    TokenFile(PathBuf),
}

impl JsonSchema for CredentialConfig {
    fn schema_name() -> Cow<'static, str> {
        "Credential".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let kind = json_schema!({
            "title": "Kind",
            "description": "A token that another program gets.",
            "const": "token"
        });
        json_schema!({
            "description": "A token, from an environment variable or from a file. The secret itself never stands here.",
            "type": "object",
            "properties": {
                "kind": kind,
                "env": {
                    "title": "Variable",
                    "description": "The name of the environment variable that holds the token.",
                    "type": "string",
                    "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,63}$"
                },
                "file": {
                    "title": "File",
                    "description": "The file that holds the token. It is read again when it was replaced. A relative path is taken from the folder of golive.yaml.",
                    "type": "string",
                    "minLength": 1
                }
            },
            "required": ["kind"],
            "oneOf": [{"required": ["env"]}, {"required": ["file"]}],
            "additionalProperties": false
        })
    }
}

/// A duration as on the command line.
struct Duration;

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": r"^[0-9].*[a-zA-Z]$"})
    }
}

fn publishers_example() -> serde_json::Value {
    serde_json::json!({"contoso": {
        "api": "product-ingestion",
        "credential": {"kind": "token", "env": "CONTOSO_TOKEN"}
    }})
}

impl Config {
    /// The fields of the file. `notifications` is for a later golive.
    pub(super) const FIELDS: FieldList = FieldList {
        all: &[
            ("api", "api: product-ingestion"),
            ("publishers", "publishers: {contoso: {api: product-ingestion}}"),
            ("maxChanges", "maxChanges: 5"),
            ("concurrency", "concurrency: 8"),
            ("timeout", "timeout: 60s"),
            ("settle", "settle: 15m"),
            ("poll", "poll: 30s"),
            ("pollMax", "pollMax: 5m"),
            ("lockTimeout", "lockTimeout: 10s"),
            ("resync", "resync: 5m"),
            ("debounce", "debounce: 100ms"),
        ],
        required: 0,
        later: &["notifications"],
    };

    /// The values that stand for flags which are not given, by the ids of their arguments.
    #[must_use]
    pub fn defaults(&self) -> Vec<(&'static str, String)> {
        let api = self.api.map(|api| api.as_str().to_owned());
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        let all = [
            ("api", api),
            ("max_changes", number(self.max_changes)),
            ("concurrency", number(self.concurrency)),
            ("timeout", self.timeout.clone()),
            ("settle", self.settle.clone()),
            ("poll", self.poll.clone()),
            ("poll_max", self.poll_max.clone()),
            ("lock_timeout", self.lock_timeout.clone()),
            ("resync", self.resync.clone()),
            ("debounce", self.debounce.clone()),
        ];
        all.into_iter().filter_map(|(id, value)| Some((id, value?))).collect()
    }

    /// A path of the file, as it is from the current folder.
    #[must_use]
    pub fn path(&self, path: &Path) -> PathBuf {
        join(&self.folder, path)
    }
}

impl PublisherConfig {
    /// The fields of a publisher.
    pub(super) const FIELDS: FieldList = FieldList {
        all: &[
            ("api", "api: product-ingestion"),
            ("endpoint", "endpoint: https://graph.microsoft.com"),
            ("credential", "credential: {kind: token, env: CONTOSO_TOKEN}"),
        ],
        required: 0,
        later: &[],
    };
}

impl CredentialConfig {
    /// The fields of a token.
    pub(super) const FIELDS: FieldList = FieldList {
        all: &[("kind", "kind: token"), ("env", "env: CONTOSO_TOKEN"), ("file", "file: token")],
        required: 1,
        later: &[],
    };
}
