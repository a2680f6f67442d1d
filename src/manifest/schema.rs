//! The JSON Schema of a manifest, for completion and checks in an editor.

use schemars::Schema;
use schemars::generate::SchemaSettings;

use super::offer::Manifest;

/// The JSON Schema (2020-12) of one manifest. It accepts what [`load`](super::load()) accepts in
/// a single document, as far as a schema can say it.
#[must_use]
pub fn manifest_schema() -> Schema {
    // Editors show the description of a field better where nothing is behind a reference.
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<Manifest>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn schema() -> Value {
        manifest_schema().to_value()
    }

    #[test]
    fn each_field_has_a_title_a_description_and_an_example() {
        let schema = schema();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["required"], json!(["publisher", "offer", "state"]));
        let fields = schema["properties"].as_object().unwrap();
        assert_eq!(fields.len(), 9);
        for (name, field) in fields {
            for part in ["title", "description", "examples"] {
                assert!(field.get(part).is_some(), "{name} has no {part}: {field:#}");
            }
        }
    }

    #[test]
    fn the_schema_and_the_reader_agree() {
        let validator =
            jsonschema::options().should_validate_formats(true).build(&schema()).unwrap();
        let good = json!({
            "publisher": "contoso", "offer": "vm", "state": "live", "version": 5,
            "notBefore": "2030-01-01T10:00:00+01:00", "suspend": true, "after": ["contoso/base"],
            "notify": ["a@example.com"], "labels": {"team": "compute", "empty": ""}
        });
        let mut cases = vec![(true, good.clone())];
        for (field, value) in [
            ("publisher", json!("-a")),
            ("publisher", json!("a".repeat(51))),
            ("offer", json!("a/b")),
            ("offer", json!(5)),
            ("state", json!("Live")),
            ("version", json!(0)),
            ("version", json!("5")),
            ("version", json!(null)),
            ("notBefore", json!("2030-01-01")),
            ("notBefore", json!(null)),
            ("suspend", json!("yes")),
            ("after", json!("contoso/base")),
            ("after", json!(["base"])),
            ("notify", json!(["a@b@c"])),
            ("notify", json!(["a b@c"])),
            ("labels", json!({"a": 1})),
            ("labels", json!({"a=b": "c"})),
            ("labels", json!({"<<": "c"})),
            ("labels", json!({"a": " b"})),
            ("labels", json!({"a": "b,c"})),
            ("stat", json!("live")),
        ] {
            let mut bad = good.clone();
            bad[field] = value;
            cases.push((false, bad));
        }
        for (expected, manifest) in cases {
            assert_eq!(validator.is_valid(&manifest), expected, "{manifest}");
            let read = serde_json::from_value::<Manifest>(manifest.clone());
            assert_eq!(read.is_ok(), expected, "{manifest} {read:?}");
        }
    }

    #[test]
    fn the_examples_are_valid_and_follow_the_schema() {
        let validator =
            jsonschema::options().should_validate_formats(true).build(&schema()).unwrap();
        let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        for (name, offers) in [("quickstart", 3), ("launch-train", 3), ("monorepo", 6)] {
            let set = crate::manifest::load(&[examples.join(name)]).unwrap();
            assert_eq!(set.offers.len(), offers, "{name}");
            for file in &set.files {
                let text = std::fs::read_to_string(file).unwrap();
                let first = text.lines().next().unwrap();
                let link = first.strip_prefix("# yaml-language-server: $schema=").unwrap();
                let depth = link.matches("../").count();
                let root = file.ancestors().nth(depth + 1).unwrap();
                assert_eq!(root, examples.parent().unwrap(), "{}", file.display());
                for document in crate::manifest::load::values(&text) {
                    let errors: Vec<_> = validator.iter_errors(&document).collect();
                    assert!(errors.is_empty(), "{}: {errors:?}", file.display());
                }
            }
        }
    }
}
