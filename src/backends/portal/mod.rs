//! The Cloud Partner Portal API (`api-version=2017-10-31`), golive's default marketplace.
//!
//! | module | what it is |
//! |---|---|
//! | `backend` | [`PortalClient`] is a [`Backend`](crate::marketplace::Backend): it reads until it knows the state |
//! | `interpret`, `stage` | pure: from answers to the state of an offer |
//! | `model` | what the portal answers, in types |
//! | `client` | the calls |
//! | `location` | operation URLs |
//! | `translate` | wire types → golive's types, every text cleaned, every length bounded |
//! | [`wire`] | the JSON |

mod backend;
mod client;
mod interpret;
mod location;
mod model;
mod stage;
mod translate;
pub mod wire;

#[cfg(test)]
mod tests;

/// The resource of its tokens, as `az account get-access-token --resource` takes it.
pub const TOKEN_RESOURCE: &str = crate::backends::http::Endpoint::DEFAULT;

pub use client::PortalClient;
pub use location::OperationUrl;
pub use model::{
    Offer, OfferStatus, OfferSummary, Operation, PolledOperation, Publication, Slot, StatusReport,
    Submission,
};
