//! The Product Ingestion API, for every offer that Partner Center makes today.
//!
//! | module | what it is |
//! |---|---|
//! | `backend` | [`IngestionClient`] is a [`Backend`](crate::marketplace::Backend): it reads until it knows the state |
//! | `interpret` | pure: from answers to the state of an offer |
//! | `model` | what the API answers, in types |
//! | `products` | which product an offer is |
//! | `client` | the calls |
//! | `errors` | what its refusals mean |
//! | `translate` | wire types → golive's types, every text cleaned, every length bounded |
//! | [`wire`] | the JSON |
//!
//! Comments name the source of each fact about the service: *documented* (the public reference and
//! the published schemas), *seen by clients* (what clients that ran against the service sent, got or
//! logged), *inferred* (from how several clients are written), *open* (no source says; then the
//! cautious answer). Observed behavior takes precedence over the documentation.

mod backend;
mod client;
mod errors;
mod interpret;
mod model;
mod products;
mod translate;
pub mod wire;

#[cfg(test)]
mod tests;

/// The resource of its tokens, as `az account get-access-token --resource` takes it.
pub const TOKEN_RESOURCE: &str = DEFAULT_ENDPOINT;

/// What a reviewer must know of a publisher: nothing in this API names one (documented).
pub const PUBLISHER_NOT_CHECKED: &str = "the publisher's name was not checked: the Product Ingestion API names no publisher, so the \
     token alone decides whose offers these are";

/// Why a manifest's `notify` has no effect: no field of *configure* takes addresses (documented).
pub const NOTIFY_UNUSED: &str = "the Product Ingestion API takes no e-mail addresses";

pub use client::{Cancellation, DEFAULT_ENDPOINT, IngestionClient, TOKEN_SCOPE};
