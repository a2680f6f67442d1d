//! The retry policy of reads.

use std::time::Duration;

use crate::backoff::Backoff;

/// How often, how long and with which pauses a read is retried. Mutations are never retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Limit for the attempts of one read, the first included.
    pub tries: u32,
    /// Limit for the attempts of a read whose answers are broken: not JSON, or without end.
    pub broken_tries: u32,
    /// The pauses between attempts.
    pub backoff: Backoff,
    /// The time from the first attempt within which golive may decide to retry. Pauses that the
    /// marketplace asks for don't count. A retry decided in time may still wait in the queue.
    pub budget: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            tries: 5,
            broken_tries: 3,
            backoff: Backoff { base: Duration::from_millis(500), cap: Duration::from_secs(30) },
            budget: Duration::from_mins(5),
        }
    }
}
