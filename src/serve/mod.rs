//! The read-only page, its JSON, metrics and health: what the service shows to people and programs.
//!
//! All is read from the [`ServiceState`] and the [`StatusStore`]; nothing here can change anything, and
//! nothing is kept that could be read again.
//!
//! | file | what it is |
//! |---|---|
//! | `server` | listener, connections, shutdown |
//! | `slow_reader` | cuts off clients that do not read their response |
//! | `host` | which names of the server are answered |
//! | `site` | the one handler: every request, every answer's headers |
//! | `route` | paths |
//! | `filter` | which offers a page shows |
//! | `overview`, `row` | what is shown, read from record and board |
//! | `page`, `notices`, `table` | the page of all offers |
//! | `offer_page`, `operation` | the page of one offer |
//! | `renderer` | where what is long is rendered, and how much of it at once |
//! | `layout`, `time` | what all pages share |
//! | `events` | the same, live, as server-sent events |
//! | `api` | the status as JSON, with its entity tag |
//! | `metrics`, `gauges`, `measured` | Prometheus: what is counted, what is looked up, what is timed |
//! | `assets` | style sheet, script and icon, embedded |

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

/// All that is shown, and to whom.
#[derive(Clone, Debug)]
pub struct Serving {
    /// What the daemon shows of itself.
    pub service_state: Arc<ServiceState>,
    /// The records of the offers.
    pub store: Arc<StatusStore>,
    /// What was counted.
    pub metrics: Arc<Metrics>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Which marketplace it is about, in a word: the host of its address, or `EMULATOR`.
    pub marketplace: String,
    /// The names under which the server may be asked for, addresses aside: what a browser has in
    /// its address bar. Compared without case, and without a port.
    pub hosts: Vec<String>,
}
