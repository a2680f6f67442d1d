//! The JSON Schema of the configuration, for completion and checks in an editor.

use schemars::Schema;
use schemars::generate::SchemaSettings;

use super::file::Config;

/// The JSON Schema (2020-12) of `golive.yaml`. It accepts what [`read`](super::read()) accepts, as
/// far as a schema can say it.
#[must_use]
pub fn config_schema() -> Schema {
    // Editors show the description of a field better where nothing is behind a reference.
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<Config>()
}
