//! The one place that reads the time. Everything else gets it as an argument.

use std::fmt::Debug;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Returns the wall-clock time. Waiting goes through [`tokio::time`], so with a [`RuntimeClock`] a paused
/// runtime moves both together.
pub trait Clock: Debug + Send + Sync {
    /// The time now, in UTC.
    fn now(&self) -> Timestamp;
}

/// Waits for a moment, or for ever if there is none.
pub(crate) async fn reached(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where the time is read")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that starts at a chosen moment and advances with the tokio runtime's time, so a paused
/// runtime pauses it. For tests.
#[derive(Clone, Copy, Debug)]
pub struct RuntimeClock {
    base: Timestamp,
    started: Instant,
}

impl RuntimeClock {
    /// A clock that reads `base` now. Must be called inside a tokio runtime.
    #[must_use]
    pub fn starting_at(base: Timestamp) -> Self {
        Self { base, started: Instant::now() }
    }
}

impl Clock for RuntimeClock {
    fn now(&self) -> Timestamp {
        let elapsed =
            SignedDuration::try_from(self.started.elapsed()).unwrap_or(SignedDuration::MAX);
        self.base.checked_add(elapsed).unwrap_or(Timestamp::MAX)
    }
}
