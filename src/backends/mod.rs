//! The APIs behind [`Backend`](crate::marketplace::Backend), and how golive talks to them. Only
//! [`commands`](crate::commands) names one of them.
//!
//! | module | what it is |
//! |---|---|
//! | [`http`] | one request and its answer, whatever the API: tokens, permits, pauses, retries |
//! | [`portal`] | the Cloud Partner Portal API |
//! | [`ingestion`] | the Product Ingestion API |
//! | `router` | several of them as one: each publisher's calls go to its own client |

pub mod http;
pub mod ingestion;
pub mod portal;
mod router;
#[cfg(test)]
mod scripted_server;

pub use router::Router;
