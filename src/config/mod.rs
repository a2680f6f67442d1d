//! `golive.yaml`: which API, endpoint and credential each publisher has, and defaults for flags. It
//! names the variables and files that hold secrets, and holds none itself.
//!
//! | file | what it is |
//! |---|---|
//! | `file` | the file's types, and what they stand for |
//! | `flags` | the flags whose defaults it may give |
//! | `read` | from the file to these types, or to every error in it |
//! | `find` | where the file is |
//! | `schema` | the JSON Schema, for editors |

mod file;
mod find;
mod flags;
mod read;
mod schema;
#[cfg(test)]
mod tests;

pub use file::{Config, CredentialConfig, PublisherConfig};
pub use find::find;
pub use read::read;
pub use schema::config_schema;
