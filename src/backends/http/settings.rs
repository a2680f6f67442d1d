//! The settings of a client.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::retry::RetryPolicy;

/// The timeouts, concurrency and retries of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The timeout of one request, from its first byte to the last of its answer. *Get offer*,
    /// which is known to be slow, gets 5 minutes if this is less.
    pub request_timeout: Duration,
    /// Limit for the requests in flight. A request that waits for a permit, a pause or its retry
    /// isn't in flight. Publishers share the limit: slow ones have at most half of it together,
    /// unless all are slow.
    pub concurrency: NonZeroUsize,
    /// When reads are retried.
    pub retry: RetryPolicy,
    /// The longest time a read waits because the marketplace asks for it. If it asks for longer,
    /// the read fails at once with the marketplace's message, so that a CI job doesn't hang.
    /// Mutations don't wait at all.
    pub max_wait: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_mins(1),
            concurrency: NonZeroUsize::MIN.saturating_add(7),
            retry: RetryPolicy::default(),
            max_wait: Duration::from_mins(2),
        }
    }
}
