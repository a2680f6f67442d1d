//! One pause for the whole host: where it asks one request to wait, all wait.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::marketplace::{MAX_RETRY_AFTER, MarketplaceError, Refusal};

/// The pause, shared by all requests of a client.
#[derive(Debug, Default)]
pub(super) struct HostPause(Mutex<Option<Paused>>);

/// Until when nothing is sent, and because of which answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Paused {
    pub(super) until: Instant,
    /// 429 or 503.
    pub(super) status: u16,
}

impl Paused {
    /// The request was not sent, because an earlier answer asked for a longer wait than is allowed.
    pub(super) fn told_to_wait(&self, request: String) -> MarketplaceError {
        let wait = self.until - Instant::now();
        let message = format!(
            "not sent: an earlier answer asks to wait another {}, longer than this request waits",
            seconds(wait)
        );
        MarketplaceError::Refused(Refusal {
            request,
            status: self.status,
            code: None,
            message: Some(message),
            retry_after: Some(wait),
            request_id: None,
        })
    }
}

impl HostPause {
    /// Pauses for `wait` from now, at most [`MAX_RETRY_AFTER`]. A pause is never shortened: a
    /// later answer with a shorter wait does not take back an earlier one. Tells whether there was
    /// none.
    pub(super) fn extend(&self, wait: Duration, status: u16) -> bool {
        let now = Instant::now();
        let until = now + wait.min(MAX_RETRY_AFTER);
        let mut paused = self.lock();
        let is_first = paused.is_none_or(|paused| paused.until <= now);
        if paused.is_none_or(|paused| paused.until < until) {
            *paused = Some(Paused { until, status });
        }
        is_first
    }

    /// The pause that holds now, if any.
    pub(super) fn current(&self) -> Option<Paused> {
        (*self.lock()).filter(|paused| paused.until > Instant::now())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Paused>> {
        // No code that could panic holds it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `60 s`, `1.5 s`.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{} s", f64::from(u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)) / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pause_only_grows_and_is_bounded() {
        let pause = HostPause::default();
        assert_eq!(pause.current(), None);
        assert!(pause.extend(Duration::from_secs(10), 429));
        assert!(!pause.extend(Duration::from_secs(5), 503));
        let paused = pause.current().unwrap();
        assert_eq!((paused.until - Instant::now(), paused.status), (Duration::from_secs(10), 429));
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(pause.current(), None);
        assert!(pause.extend(Duration::MAX, 503));
        assert_eq!(pause.current().unwrap().until - Instant::now(), MAX_RETRY_AFTER);
    }
}
