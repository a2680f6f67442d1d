//! Permits to send a request. Their number is bounded, and publishers share them fairly, so that
//! one that is slow, hangs or throttles doesn't hold up the others.
//! [`fair_queue`](super::fair_queue) holds the rules; this module connects them to tasks.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::sync::oneshot::error::RecvError;
use tokio::time::Instant;

use super::fair_queue::{End, FairQueue, Granted, Place, Priority};
use crate::marketplace::PublisherId;

/// The permits of one client, or of several that share them.
#[derive(Clone, Debug)]
pub struct Permits(Arc<Mutex<FairQueue<oneshot::Sender<Permit>>>>);

impl Permits {
    /// At most `concurrency` permits are handed out at once.
    #[must_use]
    pub fn new(concurrency: NonZeroUsize) -> Self {
        Self(Arc::new(Mutex::new(FairQueue::new(concurrency))))
    }

    /// The position of a new request; see [`FairQueue::place`].
    pub(crate) fn place(&self, priority: Priority) -> Place {
        self.lock().place(priority)
    }

    /// Enters the queue with a request about `publisher`; with `from`, no permit is granted before
    /// that time.
    pub(crate) fn enter(
        &self,
        publisher: &PublisherId,
        place: Place,
        from: Option<Instant>,
    ) -> Waiting {
        let (sender, receiver) = oneshot::channel();
        self.lock().enter(publisher, place, from, sender);
        Waiting { permits: self.clone(), publisher: publisher.clone(), place, from, receiver }
    }

    /// Grants all free permits.
    fn grant_free(&self) {
        loop {
            let next = self.lock().next(Instant::now());
            let Some((waiting, granted)) = next else { return };
            let permit = Permit { permits: self.clone(), granted, end: End::Dropped };
            // A receiver that was just dropped on another thread returns the permit, which grants it to
            // the next one.
            drop(waiting.send(permit));
        }
    }

    fn lock(&self) -> MutexGuard<'_, FairQueue<oneshot::Sender<Permit>>> {
        // No code under the lock can panic, so it is never poisoned.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request in the queue; dropping it leaves the queue. A permit that it was granted and didn't take
/// goes to the next request.
#[derive(Debug)]
pub(crate) struct Waiting {
    permits: Permits,
    publisher: PublisherId,
    place: Place,
    from: Option<Instant>,
    receiver: oneshot::Receiver<Permit>,
}

impl Waiting {
    /// Waits for the permit. If the request entered with a time, call this after that time: the queue
    /// has no timer.
    ///
    /// The queue keeps the sender until it sends a permit, so the receiver never fails.
    pub(crate) async fn permit(mut self) -> Result<Permit, RecvError> {
        self.permits.grant_free();
        (&mut self.receiver).await
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let left = self.permits.lock().leave(&self.publisher, self.place, self.from);
        // Not under the lock: it wakes the other end.
        drop(left);
    }
}

/// The permit to send one request. Dropping it frees it for the next request; without a prior call
/// to `answered` or `unanswered`, the drop says nothing about the publisher.
#[derive(Debug)]
pub(crate) struct Permit {
    permits: Permits,
    granted: Granted,
    end: End,
}

impl Permit {
    /// The request was answered after `took`, whatever the answer says.
    pub(crate) fn answered(mut self, took: Duration) {
        self.end = End::Answered(took);
    }

    /// The request got no answer.
    pub(crate) fn unanswered(mut self) {
        self.end = End::Unanswered;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.permits.lock().end(&self.granted, self.end);
        self.permits.grant_free();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt as _;
    use tokio::task::{JoinSet, yield_now};

    use super::*;

    fn permits(concurrency: usize) -> Permits {
        Permits::new(NonZeroUsize::new(concurrency).unwrap())
    }

    fn contoso() -> PublisherId {
        PublisherId::new("contoso").unwrap()
    }

    fn enter(permits: &Permits) -> Waiting {
        permits.enter(&contoso(), permits.place(Priority::Read), None)
    }

    #[tokio::test]
    async fn a_dropped_request_leaves_the_queue() {
        let permits = permits(1);
        let held = enter(&permits).permit().await.unwrap();
        let mut gone = Box::pin(enter(&permits).permit());
        let mut next = Box::pin(enter(&permits).permit());
        assert!((&mut gone).now_or_never().is_none() && (&mut next).now_or_never().is_none());
        drop(gone);
        drop(held);
        assert!(next.now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_permit_granted_to_a_dropped_request_goes_to_the_next() {
        let permits = permits(1);
        let held = enter(&permits).permit().await.unwrap();
        let mut gone = Box::pin(enter(&permits).permit());
        let mut next = Box::pin(enter(&permits).permit());
        assert!((&mut gone).now_or_never().is_none() && (&mut next).now_or_never().is_none());
        // It is granted the permit, and is never polled again.
        drop(held);
        assert!((&mut next).now_or_never().is_none());
        drop(gone);
        assert!(next.now_or_never().is_some());
        assert!(enter(&permits).permit().now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_request_that_is_never_polled_holds_up_no_other() {
        let permits = permits(1);
        let idle = enter(&permits);
        // The permit goes to the first request, polled or not, and to the next when that one is dropped.
        let mut next = Box::pin(enter(&permits).permit());
        assert!((&mut next).now_or_never().is_none());
        drop(idle);
        assert!(next.now_or_never().is_some());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn permits_stay_constant_whichever_requests_are_dropped() {
        const LIMIT: usize = 3;
        let (permits, busy) = (permits(LIMIT), Arc::new(AtomicUsize::new(0)));
        let mut tasks = JoinSet::new();
        for seed in 0..64 {
            let (permits, busy) = (permits.clone(), Arc::clone(&busy));
            tasks.spawn(async move {
                let mut rng = fastrand::Rng::with_seed(seed);
                for _ in 0..200 {
                    let publisher = PublisherId::new(format!("p{}", rng.u8(0..5))).unwrap();
                    let waiting = permits.enter(
                        &publisher,
                        permits.place(if rng.bool() {
                            Priority::Read
                        } else {
                            Priority::ThrottledRetry
                        }),
                        None,
                    );
                    let patience = rng.u8(0..20);
                    let permit = tokio::select! {
                        permit = waiting.permit() => permit.unwrap(),
                        () = async { for _ in 0..patience { yield_now().await } } => continue,
                    };
                    assert!(busy.fetch_add(1, Ordering::SeqCst) < LIMIT);
                    yield_now().await;
                    busy.fetch_sub(1, Ordering::SeqCst);
                    match rng.u8(0..3) {
                        0 => permit.answered(Duration::ZERO),
                        1 => permit.unanswered(),
                        _ => drop(permit),
                    }
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
        // All permits are there again. No publisher may be kept to half of them.
        for publisher in 0..5 {
            let publisher = PublisherId::new(format!("p{publisher}")).unwrap();
            let waiting = permits.enter(&publisher, permits.place(Priority::Read), None);
            waiting.permit().now_or_never().unwrap().unwrap().answered(Duration::ZERO);
        }
        let held = [0; LIMIT].map(|_| enter(&permits).permit().now_or_never().unwrap().unwrap());
        assert_eq!(held.len(), LIMIT);
        assert!(enter(&permits).permit().now_or_never().is_none());
    }
}
