//! Manifests: what people commit, read, checked and explained.
//!
//! [`load()`] is all that a command needs. `watch` keeps one [`FileManifests`] per file
//! (`load_file`), reads only changed files again, and checks all of them together with `check`.
//!
//! | file | what it is |
//! |---|---|
//! | `offer`, `desired_state`, `labels` | the manifest's types |
//! | `schema` | the JSON Schema, for editors |
//! | `rules` | what each value must look like; the only place that says so |
//! | `strict` | the rules for serde: the fast path |
//! | `find`, `ignored`, `symlink_trace` | from paths to the manifest files below them, without those that a `.goliveignore` leaves out |
//! | `input` | reads files and pipes, up to a size |
//! | `load`, `file` | from a file to its manifests, with a single parse if there are no errors |
//! | `screen` | the checks before any parser runs |
//! | `foreign` | recognizes other tools' files |
//! | `disguise` | recognizes what stands in for a manifest: a Git LFS pointer, a link as text, gzip |
//! | `tree` | the slow path: a document with positions, within bounds |
//! | `walk` | walks a tree, and collects every error in it |
//! | `explain` | from a tree to a manifest |
//! | `document` | reads another kind of YAML file with the same diagnostics |
//! | `syntax`, `lookalike` | the usual causes of invalid YAML |
//! | `characters` | which characters are allowed, and their names |
//! | `validate` | checks across files |
//! | `accounts` | which publishers' offers are found by their names alone |
//! | `source`, `diagnostic`, `hint` | from a place in a text to the error that people read |

mod accounts;
mod characters;
mod desired_state;
mod diagnostic;
mod disguise;
mod document;
mod explain;
mod file;
mod find;
mod foreign;
mod hint;
mod ignored;
mod input;
mod labels;
mod load;
mod lookalike;
mod offer;
mod rules;
mod schema;
mod screen;
mod source;
mod strict;
mod symlink_trace;
mod syntax;
#[cfg(test)]
mod tests;
mod tree;
mod validate;
mod walk;

pub use accounts::Accounts;
pub use desired_state::DesiredState;
pub use diagnostic::{Diagnostic, Diagnostics, Related};
pub(crate) use document::read_document;
pub use file::{FileManifests, Loaded};
pub use find::Found;
pub(crate) use find::{CONFIG_FILE, find, is_seen};
pub(crate) use ignored::missed;
pub(crate) use input::is_pipe;
pub use labels::Labels;
pub use load::load;
pub(crate) use load::{load_checked, load_file, load_files};
pub use offer::Manifest;
pub(crate) use rules::{Problem, publisher, quoted, unknown};
pub use schema::manifest_schema;
pub(crate) use symlink_trace::SymlinkTrace;
pub(crate) use tree::{NodeId, Scalar};
pub use validate::{ManifestSet, assemble};
pub(crate) use validate::{are_checked_alike, check};
pub(crate) use walk::{FieldList, Fields, Walk};
