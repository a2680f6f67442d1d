//! When a read is asked again.

use std::time::Duration;

use crate::backoff::Backoff;

/// How often, how long and with which pauses a read is repeated. Changes are never repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The most times one read is sent, the first time included.
    pub tries: u32,
    /// The most times a read is sent whose answers are broken: no JSON, or without end.
    pub broken_tries: u32,
    /// The pauses between.
    pub backoff: Backoff,
    /// From its first attempt on, a read is not decided to be asked again later than this. Pauses that
    /// the marketplace asks for don't count. What is decided may still stand in line.
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
