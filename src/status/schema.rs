//! The JSON Schema of the status file.

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};

use super::StatusFile;

/// The schema of `golive.status.json` (JSON Schema 2020-12).
#[must_use]
pub fn status_schema() -> Schema {
    let mut schema =
        SchemaGenerator::new(SchemaSettings::draft2020_12()).into_root_schema_for::<StatusFile>();
    schema.insert("title".to_owned(), "golive status file".into());
    schema
}
