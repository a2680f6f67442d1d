//! The APIs behind [`Backend`](crate::marketplace::Backend), and how golive talks to them. Only
//! [`commands`](crate::commands) names one of them.
//!
//! | module | what it is |
//! |---|---|
//! | [`http`] | one request and its answer, whatever the API: tokens, permits, pauses, retries |
//! | [`portal`] | the Cloud Partner Portal API |

pub mod http;
pub mod portal;
