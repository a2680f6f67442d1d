//! The read-only page, its JSON, metrics and health: what the service shows to people and programs.
//!
//! Everything is read from the [`ServiceState`] and the [`StatusStore`]; nothing here can change
//! anything.
//!
//! | file | what it is |
//! |---|---|
//! | `server`, `slow_reader` | the listener and its limits; cuts off clients that don't read |
//! | `site`, `route`, `host` | the one handler, with every response's headers; paths; allowed host names |
//! | `page`, `notices`, `table` | the page of all offers |
//! | `filter`, `overview`, `row` | which offers it shows, and what of them |
//! | `offer_page`, `operation` | the page of one offer |
//! | `layout`, `time`, `assets` | what all pages share |
//! | `renderer` | limits how many long pages are rendered at once |
//! | `events` | updates of an open page, as server-sent events |
//! | `api` | the status as JSON, with its entity tag |
//! | `metrics`, `gauges` | Prometheus: counters; what is read at each scrape |

mod api;
mod assets;
mod events;
mod filter;
mod gauges;
mod host;
mod layout;
mod metrics;
mod notices;
mod offer_page;
mod operation;
mod overview;
mod page;
mod renderer;
mod route;
mod row;
mod server;
mod site;
mod slow_reader;
mod table;
#[cfg(test)]
mod tests;
mod time;

use std::sync::Arc;

use crate::clock::Clock;
use crate::status::StatusStore;
use crate::watch::ServiceState;

pub use metrics::Metrics;
pub use server::serve;

/// What the server shows, and under which names.
#[derive(Clone, Debug)]
pub struct Serving {
    /// The state of the daemon.
    pub service_state: Arc<ServiceState>,
    /// The records of the offers.
    pub store: Arc<StatusStore>,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The marketplace in a word: the host of its address, or `EMULATOR`.
    pub marketplace: String,
    /// The host names that the server answers to, besides addresses. Compared without case and
    /// port.
    pub hosts: Vec<String>,
}
