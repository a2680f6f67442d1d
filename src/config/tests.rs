use std::path::Path;

use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use super::*;
use crate::disk::{self, RealDisk};
use crate::marketplace::Api;

/// Reads a text as the configuration of a folder of its own.
fn read_text(text: &str) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("golive.yaml");
    disk::replace(&RealDisk, &path, text.as_bytes()).unwrap();
    let shown = folder.path().display().to_string();
    read(&path).map_err(|problems| problems.to_string().replace(&format!("{shown}/"), ""))
}

#[track_caller]
fn refused(text: &str) -> String {
    read_text(text).unwrap_err()
}

const FULL: &str = "\
# yaml-language-server: $schema=…/config.schema.json
api: cloud-partner-portal
publishers:
  contoso: {api: product-ingestion, credential: {kind: token, env: CONTOSO_TOKEN}}
  Fabrikam: {endpoint: 'https://example.com', credential: {kind: token, file: ../token}}
  northwind: {}
maxChanges: 5
concurrency: 16
timeout: 90s
settle: 20m
poll: 10s
pollMax: 10m
lockTimeout: 0s
resync: 1h
debounce: 50ms
";

#[test]
fn everything_that_it_may_say_is_read() {
    let config = read_text(FULL).unwrap();
    let of = |name: &str| {
        config.publishers[&crate::marketplace::PublisherId::new(name).unwrap()].clone()
    };
    assert_eq!(config.publishers.len(), 3);
    assert_eq!(of("contoso").api, Some(Api::ProductIngestion));
    let variable = CredentialConfig::TokenVariable("CONTOSO_TOKEN".to_owned());
    assert_eq!(of("contoso").credential, Some(variable));
    assert_eq!(of("fabrikam").endpoint.as_deref(), Some("https://example.com"));
    assert_eq!(of("fabrikam").credential, Some(CredentialConfig::TokenFile("../token".into())));
    assert_eq!(config.path(Path::new("../token")), config.folder.join("../token"));
    assert_eq!(of("northwind"), PublisherConfig::default());
    let defaults: Vec<_> =
        config.defaults().into_iter().map(|(id, value)| format!("{id}={value}")).collect();
    assert_eq!(
        defaults.join(" "),
        "api=cloud-partner-portal max_changes=5 concurrency=16 timeout=90s settle=20m poll=10s \
         poll_max=10m lock_timeout=0s resync=1h debounce=50ms"
    );
}

#[test]
fn an_empty_one_says_nothing() {
    for text in ["", "\n", "# nothing yet\n", "---\n"] {
        let config = read_text(text).unwrap();
        assert_eq!(config, Config { folder: config.folder.clone(), ..Config::default() });
    }
}

#[test]
fn all_errors_are_told_at_once_with_their_places() {
    let text = "\
apii: product-ingestion
publishers:
  contoso: {api: product-injection, endpont: https://x}
  -bad: {}
  Contoso: {}
  fabrikam:
  northwind: {endpoint: http://example.com, credential: {kind: tokens, env: A}}
  adatum: {endpoint: https://example.com/base}
maxChanges: '5'
concurrency: 0
timeout: 90
settle: [15m]
resync: 10ms
notifications: [{kind: slack, urlEnv: SLACK_URL}]
";
    insta::assert_snapshot!(refused(text));
}

#[test]
fn a_credential_of_a_later_version_is_one_error() {
    let kinds = ["client-secret", "workload-identity", "azure-cli", "managed-identity"];
    for kind in kinds {
        let text = format!(
            "publishers:\n  contoso:\n    credential: {{kind: {kind}, tenant: t, client: c, secretEnv: S}}\n"
        );
        let told = refused(&text);
        let first = told.lines().next().unwrap();
        assert_eq!(
            first,
            format!(
                "golive.yaml:3:24: credentials of the kind \"{kind}\" are not supported yet by this \
                 version of golive"
            )
        );
        assert!(told.contains("{kind: token, env: NAME}"), "{told}");
        assert_eq!(told.matches("golive.yaml:").count(), 1, "{told}");
    }
}

#[test]
fn a_secret_that_was_written_into_it_is_not_shown() {
    let secret = format!("s3cr3t{}", "A1b.".repeat(12));
    for text in [
        "publishers: {contoso: {credential: {kind: token, env: SECRET}}}",
        "publishers: {contoso: {credential: {kind: token, token: SECRET}}}",
        "publishers: {contoso: {credential: {kind: token, SECRET: x}}}",
        "publishers: {contoso: {credential: {env: SECRET}}}",
        "publishers: {contoso: {credential: {token: SECRET}}}",
        "publishers: {contoso: {credential: SECRET}}",
        "publishers: {contoso: SECRET}",
        "publishers: SECRET",
        "SECRET",
        "SECRET: x",
        "api: SECRET",
        "timeout: SECRET",
        "token: [SECRET",
        "publishers: {contoso: {endpoint: 'https://user:SECRET@example.com'}}",
    ] {
        let told = refused(&text.replace("SECRET", &secret));
        assert!(!told.contains("s3cr3t") && told.contains("golive.yaml:"), "{text}: {told}");
    }
    // One that is short, where a secret may be expected.
    for text in [
        "publishers: {contoso: {credential: {kind: token, env: s3cr3t-s3cr3t}}}",
        "publishers: {contoso: {credential: {kind: token, token: s3cr3t-s3cr3t}}}",
        "publishers: {contoso: {credential: s3cr3t-s3cr3t}}",
        "publishers: {contoso: {endpoint: 'https://user:s3cr3t@example.com'}}",
    ] {
        let told = refused(text);
        assert!(!told.contains("s3cr3t"), "{told}");
    }
}

#[test]
fn a_file_that_is_no_configuration_gets_one_error() {
    for (text, what) in [
        ("- a\n", "golive.yaml:1:1: the configuration must be a mapping of fields"),
        ("api: [\n", "golive.yaml:2:1: invalid YAML"),
        ("publishers:\n\tcontoso: {}\n", "a tab is used for indentation"),
        ("api: a\u{200b}b\n", "golive.yaml:1:7: the invisible character U+200B"),
        ("<<<<<<< HEAD\napi: x\n", "golive.yaml:1:1: a merge conflict is not resolved"),
        ("api: cloud-partner-portal\n---\napi: x\n", "this file has one document"),
        ("publisher: contoso\n", "unknown field \"publisher\""),
    ] {
        let told = refused(text);
        assert!(told.contains(what), "{text:?}: {told}");
        assert_eq!(told.matches("golive.yaml:").count(), 1, "{told}");
    }
    let gone = read(Path::new("no/such/golive.yaml")).unwrap_err().to_string();
    assert!(gone.starts_with("no/such/golive.yaml: cannot be read: "), "{gone}");
}

#[test]
fn the_nearest_one_within_the_repository_counts() {
    let top = tempfile::tempdir().unwrap();
    let folder = top.path().join("repository/offers/compute");
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str| {
        disk::replace(&RealDisk, &top.path().join(name), b"").unwrap();
    };
    let found = || {
        let path = find(&folder)?.canonicalize().unwrap();
        let top = top.path().canonicalize().unwrap();
        Some(path.strip_prefix(top).unwrap().display().to_string())
    };
    write("golive.yaml");
    assert_eq!(found(), None);
    write("repository/golive.yaml");
    assert_eq!(found(), None, "without a repository, only the folder itself counts");
    std::fs::create_dir(top.path().join("repository/.git")).unwrap();
    assert_eq!(found().as_deref(), Some("repository/golive.yaml"));
    write("repository/offers/golive.yaml");
    assert_eq!(found().as_deref(), Some("repository/offers/golive.yaml"));
    write("repository/offers/compute/golive.yaml");
    assert_eq!(found().as_deref(), Some("repository/offers/compute/golive.yaml"));
}

#[test]
fn the_schema_and_the_reader_agree() {
    let schema = config_schema().to_value();
    assert_eq!(schema["additionalProperties"], false);
    for (name, field) in schema["properties"].as_object().unwrap() {
        for part in ["title", "description", "examples"] {
            assert!(field.get(part).is_some(), "{name} has no {part}: {field:#}");
        }
    }
    let fields = schema["properties"].as_object().unwrap().keys().map(String::as_str);
    let mut known: Vec<_> = Config::fields().into_iter().map(|(name, _)| name).collect();
    known.sort_unstable();
    assert_eq!(fields.collect::<Vec<_>>(), known);
    let validator = jsonschema::validator_for(&schema).unwrap();
    let contoso = |value: Value| json!({"publishers": {"contoso": value}});
    for (expected, config) in [
        (true, json!({})),
        (true, json!({"api": "product-ingestion", "maxChanges": 0, "timeout": "1h30m"})),
        (false, json!({"api": "portal"})),
        (false, json!({"concurrency": 0})),
        (false, json!({"concurrency": 1025})),
        (false, json!({"timeout": 90})),
        (false, json!({"timeout": "90"})),
        (false, json!({"maxChanges": "5"})),
        (false, json!({"maxChanges": -1})),
        (false, json!({"notifications": []})),
        (false, json!({"publishers": {"-a": {}}})),
        (true, contoso(json!({}))),
        (true, contoso(json!({"endpoint": "https://example.com/"}))),
        (false, contoso(json!({"endpoint": "https://example.com/base"}))),
        (false, contoso(json!({"endpoint": "https://a@example.com"}))),
        (false, contoso(json!({"end": "https://example.com"}))),
        (true, contoso(json!({"credential": {"kind": "token", "env": "A_1"}}))),
        (true, contoso(json!({"credential": {"kind": "token", "file": "a b"}}))),
        (false, contoso(json!({"credential": {"kind": "token"}}))),
        (false, contoso(json!({"credential": {"env": "A"}}))),
        (false, contoso(json!({"credential": {"kind": "token", "env": "A", "file": "b"}}))),
        (false, contoso(json!({"credential": {"kind": "token", "env": "A-B"}}))),
        (false, contoso(json!({"credential": {"kind": "client-secret", "env": "A"}}))),
    ] {
        assert_eq!(validator.is_valid(&config), expected, "{config}");
        let read = read_text(&config.to_string());
        assert_eq!(read.is_ok(), expected, "{config} {read:?}");
    }
}
