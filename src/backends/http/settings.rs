//! How a client behaves.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::retry::RetryPolicy;

/// How a client behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long one request may take, from its first byte to the last of its answer. *Get offer*,
    /// which is known to be slow, may take 5 minutes where this is less.
    pub request_timeout: Duration,
    /// The most requests in flight at once. One that waits, for its turn, for a pause to end or
    /// before it is repeated, is not in flight. Publishers share them: those that are slow have
    /// at most half of them together, unless all are slow.
    pub concurrency: NonZeroUsize,
    /// When reads are repeated.
    pub retry: RetryPolicy,
    /// The longest time a read waits because the marketplace says so. Where it says longer, the
    /// read fails at once, with what the marketplace said, so that a CI job does not hang. What
    /// changes something does not wait at all.
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
