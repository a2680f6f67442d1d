//! What `golive.yaml` may say.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::find::join;
use super::flags::{self, FLAGS};
use crate::manifest::FieldList;
use crate::marketplace::{Api, PublisherId};

/// golive's configuration: how each publisher is reached, and defaults for flags.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(title = "golive configuration", deny_unknown_fields, transform = flags::add_to)]
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
    /// Values that stand for flags which are not given, by the ids of their arguments.
    #[schemars(skip)]
    pub flags: Vec<(&'static str, String)>,
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

fn publishers_example() -> serde_json::Value {
    serde_json::json!({"contoso": {
        "api": "product-ingestion",
        "credential": {"kind": "token", "env": "CONTOSO_TOKEN"}
    }})
}

impl Config {
    /// The fields of the file, each with an example.
    pub(super) fn fields() -> Vec<(&'static str, &'static str)> {
        let own = [
            ("api", "api: product-ingestion"),
            ("publishers", "publishers: {contoso: {api: product-ingestion}}"),
        ];
        own.into_iter().chain(FLAGS.iter().map(|flag| (flag.name(), flag.line))).collect()
    }

    /// The values that stand for flags which are not given, by the ids of their arguments.
    #[must_use]
    pub fn defaults(&self) -> Vec<(&'static str, String)> {
        let api = self.api.map(|api| ("api", api.as_str().to_owned()));
        api.into_iter().chain(self.flags.iter().cloned()).collect()
    }

    /// A path of the file, as it is from the current folder.
    #[must_use]
    pub fn path(&self, path: &Path) -> PathBuf {
        join(&self.folder, path)
    }
}

impl PublisherConfig {
    /// The fields of a publisher.
    pub(super) const FIELDS: FieldList<'static> = FieldList {
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
    pub(super) const FIELDS: FieldList<'static> = FieldList {
        all: &[("kind", "kind: token"), ("env", "env: CONTOSO_TOKEN"), ("file", "file: token")],
        required: 1,
        later: &[],
    };
}
