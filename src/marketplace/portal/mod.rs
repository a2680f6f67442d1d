//! The Cloud Partner Portal API (`api-version=2017-10-31`), golive's default marketplace.

pub mod wire;
