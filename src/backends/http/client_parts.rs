//! What a client of an API is made of, whatever the API.

use std::sync::Arc;

use super::endpoint::Endpoint;
use super::permits::Permits;
use super::settings::Settings;
use super::token::TokenSource;
use super::transport::Transport;
use crate::clock::Clock;

/// What a client is made of.
pub struct ClientParts {
    /// The only origin of its requests.
    pub endpoint: Endpoint,
    /// What carries them.
    pub transport: Arc<dyn Transport>,
    /// The tokens that they bear.
    pub tokens: Arc<dyn TokenSource>,
    /// Read only for `Retry-After` and the ends of pauses.
    pub clock: Arc<dyn Clock>,
    /// Timeouts, concurrency and retries.
    pub settings: Settings,
    /// Gives backoffs and the ids of reads.
    pub rng: fastrand::Rng,
    /// The permits that it shares with other clients. Without them it has its own, as many as its
    /// settings say.
    pub permits: Option<Permits>,
}
