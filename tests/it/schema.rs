//! `golive schema`, and the committed schemas.

use pretty_assertions::assert_eq;

use crate::test_env::TestEnv;

#[track_caller]
fn is_fresh(which: &str, file: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(file);
    let committed = std::fs::read_to_string(path).unwrap();
    let ran = TestEnv::new().golive(&format!("schema {which}")).code(0).stderr("");
    assert_eq!(
        ran.raw_stdout, committed,
        "schemas/{file} is stale; make it anew: cargo run -- schema {which} > schemas/{file}"
    );
    let schema = ran.json();
    jsonschema::meta::validate(&schema).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
}

#[test]
fn the_manifest_schema_is_fresh() {
    is_fresh("manifest", "manifest.schema.json");
}

#[test]
fn the_status_schema_is_fresh() {
    is_fresh("status", "status.schema.json");
}

#[test]
fn the_seed_schema_is_fresh() {
    is_fresh("seed", "emulator-seed.schema.json");
}

#[test]
fn the_configuration_s_schema_is_fresh() {
    is_fresh("config", "config.schema.json");
}

#[test]
fn an_unknown_schema_is_a_usage_error() {
    TestEnv::new()
        .golive("schema manifesto")
        .code(64)
        .stdout("")
        .stderr_has("[possible values: manifest, status, seed, config]");
}
