//! Manifests: what people commit, read, checked and explained.
//!
//! [`load()`] is all that a command needs. `watch` keeps one [`FileManifests`] a file
//! ([`load_file`]), reads again only what changed, and looks at all together with [`check`].
//!
//! | file | what it is |
//! |---|---|
//! | `offer` | the manifest's type |
//! | `rules` | what each value must look like; the one place that says so |
//! | `strict` | the rules, as serde sees them: the fast path |
//! | `find` | from paths to the files below them |
//! | `ignored` | what a `.goliveignore` leaves out |
//! | `pipe` | a pipe in the place of a file: read once, and kept |
//! | `way` | where a path really leads, link by link |
//! | `file` | what one file holds, by itself |
//! | `load` | from a file to manifests, by one parse where all is well |
//! | `parallel` | the same for many files, on all cores |
//! | `screen` | what is looked at before any parser runs |
//! | `foreign` | what is plainly another tool's file |
//! | `disguise` | what stands in a manifest's place: a Git LFS pointer, a link as text, no text |
//! | `characters`, `lookalike` | characters by their names; those that stand for another one |
//! | `tree` | the slow path: a document with positions, within bounds |
//! | `syntax` | what is no YAML, with the usual causes told apart |
//! | `explain` | from a tree to every error in it |
//! | `validate` | what only shows across files |
//! | `source`, `diagnostic` | from a place in a text to what a person reads |
//! | `hint` | what to do about a file, by the way it is given |
//! | `schema` | the JSON Schema, for editors |

mod characters;
mod diagnostic;
mod disguise;
mod explain;
mod file;
mod find;
mod foreign;
mod hint;
mod ignored;
mod labels;
mod load;
mod lookalike;
mod offer;
mod parallel;
mod pipe;
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

pub use diagnostic::{Diagnostic, Diagnostics, Related};
pub use file::{FileManifests, Loaded};
pub(crate) use find::is_seen;
pub use find::{Found, find};
pub(crate) use ignored::missed;
pub use labels::Labels;
pub use load::{MAX_FILE_BYTES, load, load_file};
pub use offer::{DesiredState, Manifest};
pub(crate) use parallel::load_files;
pub(crate) use pipe::is_pipe;
pub use schema::manifest_schema;
pub(crate) use symlink_trace::SymlinkTrace;
pub use tree::MAX_DEPTH;
pub(crate) use validate::are_checked_alike;
pub use validate::{ManifestSet, assemble, check};
