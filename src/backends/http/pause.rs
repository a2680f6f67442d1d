//! Pauses: a publisher whose request was answered 429 or 503, and the whole host while two
//! publishers are paused.
//!
//! One publisher may be throttled alone, for an hour, which must not stop the others. If two
//! are throttled, the host itself is in trouble.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::marketplace::{MAX_RETRY_AFTER, MarketplaceError, Pause, PublisherId, Refusal};

/// The pauses of all publishers, shared by all requests of a client.
#[derive(Debug, Default)]
pub(crate) struct Pauses(Mutex<HashMap<PublisherId, Paused>>);

/// The end of a pause, and the answer that asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Paused {
    pub(crate) until: Instant,
    /// The answer that asked for it: 429 or 503.
    refusal: Arc<Refusal>,
}

/// The publisher or host that an answer has newly paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    Nobody,
    Publisher,
    Host,
}

impl Paused {
    /// The error for a request that isn't sent: the marketplace asked for a longer wait than the
    /// request may take. `now` is the wall clock time.
    pub(crate) fn error(&self, request: &str, now: Timestamp) -> MarketplaceError {
        let (wait, until) = self.left(now);
        let why =
            format!("the marketplace asked golive to wait until {until:.0}: {}", self.refusal);
        let unsent = self.refusal.unsent(request, why);
        MarketplaceError::Refused(Box::new(Refusal { retry_after: Some(wait), ..unsent }))
    }

    /// The form for the report. `now` is the wall clock time.
    pub(crate) fn shown(&self, now: Timestamp) -> Pause {
        let (_, until) = self.left(now);
        Pause { until, why: self.refusal.to_string() }
    }

    /// The time left, and the wall clock time of the end.
    fn left(&self, now: Timestamp) -> (Duration, Timestamp) {
        let wait = self.until.saturating_duration_since(Instant::now());
        (wait, now.checked_add(wait).unwrap_or(now))
    }
}

impl Pauses {
    /// Pauses a publisher for `wait` from now, at most [`MAX_RETRY_AFTER`]. A pause is never
    /// shortened: a later answer with a shorter wait doesn't take back an earlier one.
    pub(crate) fn extend(
        &self,
        publisher: &PublisherId,
        wait: Duration,
        refusal: &Refusal,
    ) -> Stopped {
        let now = Instant::now();
        let until = now + wait.min(MAX_RETRY_AFTER);
        let mut pauses = self.lock();
        pauses.retain(|_, paused| paused.until > now);
        let before = pauses.len();
        let known = pauses.get(publisher);
        if known.is_none_or(|paused| paused.until < until) && until > now {
            pauses.insert(publisher.clone(), Paused { until, refusal: Arc::new(refusal.clone()) });
        }
        match (before, pauses.len()) {
            (0, 1) => Stopped::Publisher,
            (1, 2) => Stopped::Host,
            (_, _) => Stopped::Nobody,
        }
    }

    /// The current pause of a publisher, if any: its own or the host's, whichever is longer.
    pub(crate) fn current(&self, publisher: &PublisherId) -> Option<Paused> {
        let now = Instant::now();
        let pauses = self.lock();
        let own = pauses.get(publisher).filter(|paused| paused.until > now);
        let longest = own.into_iter().chain(host(&pauses, now)).max_by_key(|paused| paused.until);
        longest.cloned()
    }

    /// The pauses of all publishers, and the host's, if it is paused.
    pub(crate) fn all(&self) -> (Vec<(PublisherId, Paused)>, Option<Paused>) {
        let now = Instant::now();
        let pauses = self.lock();
        let held = pauses.iter().filter(|(_, paused)| paused.until > now);
        let held = held.map(|(publisher, paused)| (publisher.clone(), paused.clone())).collect();
        (held, host(&pauses, now).cloned())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PublisherId, Paused>> {
        // No code under the lock can panic, so it is never poisoned.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pause of the whole host: it lasts while two publishers are paused, so it ends with the
/// second longest pause.
fn host(pauses: &HashMap<PublisherId, Paused>, now: Instant) -> Option<&Paused> {
    let mut latest = [None, None];
    for paused in pauses.values().filter(|paused| paused.until > now) {
        let later = |other: Option<&Paused>| other.is_none_or(|other| other.until < paused.until);
        if later(latest[0]) {
            latest = [Some(paused), latest[0]];
        } else if later(latest[1]) {
            latest[1] = Some(paused);
        }
    }
    latest[1]
}

/// Formats a duration in seconds: `60 s`, `1.5 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{} s", f64::from(u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)) / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::marketplace::RefusalKind;

    fn id(name: &str) -> PublisherId {
        PublisherId::new(name).unwrap()
    }

    /// How many seconds are left of the pause of a publisher.
    fn left(pauses: &Pauses, name: &str) -> Option<u64> {
        let until = pauses.current(&id(name))?.until;
        Some((until - Instant::now()).as_secs())
    }

    /// Who is said to be paused, and for how many seconds; the host's pause comes last.
    fn listed(pauses: &Pauses) -> (Vec<(String, u64)>, Option<u64>) {
        let seconds = |paused: &Paused| (paused.until - Instant::now()).as_secs();
        let (publishers, host) = pauses.all();
        let listed = publishers.iter().map(|(id, paused)| (id.to_string(), seconds(paused)));
        let mut listed: Vec<_> = listed.collect();
        listed.sort();
        (listed, host.as_ref().map(seconds))
    }

    fn busy() -> Refusal {
        Refusal {
            request: "GET /".to_owned(),
            kind: RefusalKind::Throttled,
            answer: "429 Too Many Requests".to_owned(),
            code: None,
            message: None,
            retry_after: None,
            request_id: None,
            is_unsent: false,
            is_final: false,
            advice: None,
        }
    }

    fn extend(pauses: &Pauses, name: &str, seconds: u64) -> Stopped {
        pauses.extend(&id(name), Duration::from_secs(seconds), &busy())
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_only_grows_and_is_bounded() {
        let pauses = Pauses::default();
        assert_eq!((left(&pauses, "a"), listed(&pauses)), (None, (vec![], None)));
        assert_eq!(extend(&pauses, "a", 10), Stopped::Publisher);
        assert_eq!(extend(&pauses, "A", 5), Stopped::Nobody);
        assert_eq!((left(&pauses, "a"), left(&pauses, "b")), (Some(10), None));
        assert_eq!(listed(&pauses), (vec![("a".to_owned(), 10)], None), "one publisher is not all");
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!((left(&pauses, "a"), listed(&pauses)), (None, (vec![], None)));
        assert_eq!(extend(&pauses, "a", u64::MAX), Stopped::Publisher);
        assert_eq!(left(&pauses, "a"), Some(MAX_RETRY_AFTER.as_secs()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_host_is_paused_while_two_publishers_are() {
        let pauses = Pauses::default();
        extend(&pauses, "a", 100);
        assert_eq!(extend(&pauses, "b", 30), Stopped::Host);
        assert_eq!(extend(&pauses, "c", 20), Stopped::Nobody);
        let all = |names: [&str; 4]| names.map(|name| left(&pauses, name));
        let names = ["a", "b", "c", "d"];
        assert_eq!(all(names), [Some(100), Some(30), Some(30), Some(30)]);
        let expected = [("a", 100), ("b", 30), ("c", 20)].map(|(id, left)| (id.to_owned(), left));
        assert_eq!(listed(&pauses), (expected.into(), Some(30)));
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(all(names), [Some(70), None, None, None]);
        assert_eq!(listed(&pauses), (vec![("a".to_owned(), 70)], None));
        assert_eq!(extend(&pauses, "d", 70), Stopped::Host);
        assert_eq!(all(names), [Some(70); 4]);
    }
}
