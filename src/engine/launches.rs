//! Launches: which run, which wait for their turn, and how they end.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Desired;
use super::steps::Evaluation;
use crate::marketplace::{OfferId, PublisherId};

/// The launches per publisher for each concurrent request: while some wait for the disk, others
/// have requests to send. The client limits how many requests are sent at once.
const LAUNCHES_PER_REQUEST: usize = 4;

/// The result of a launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Triggered {
    /// An operation runs.
    Running,
    /// An operation already ran, or production holds the version.
    Over,
    /// The marketplace refused the request; an operation that runs there may be the reason.
    Refused,
    /// The offer has changed: observe and decide again.
    Changed(Option<String>),
    /// The offer has changed, and the new decision, which is recorded, sends no such request.
    Revised,
    /// Nothing more can be done in this run.
    Stopped,
}

/// A launch that has ended.
#[derive(Debug)]
pub(super) struct Tried {
    pub(super) outcome: Triggered,
    /// Whether a request was sent that may have been accepted.
    pub(super) sent: bool,
    /// How long the marketplace asks to wait before the first poll.
    pub(super) poll_after: Option<Duration>,
    /// Until when the marketplace accepts no requests of the publisher, if that is longer than the
    /// launch waited.
    pub(super) paused_until: Option<Instant>,
}

impl Tried {
    pub(super) fn nothing() -> Self {
        let outcome = Triggered::Stopped;
        Self { outcome, sent: false, poll_after: None, paused_until: None }
    }
}

/// The limits of one launch.
#[derive(Debug)]
pub(super) struct Limits {
    /// When the launch stops waiting for pauses and doubts to end.
    pub(super) deadline: Option<Instant>,
    /// Until when the publisher accepts no requests, by another launch's `Retry-After`.
    pub(super) paused_until: Option<Instant>,
    /// Canceled when the user stops golive, or when another manifest comes into force.
    pub(super) stop: CancellationToken,
    /// Whether this process launches the offer for the first time. An intent on record is then one
    /// that an earlier process left.
    pub(super) is_first: bool,
}

impl Limits {
    /// How much longer the publisher accepts no requests.
    pub(super) fn pause_left(&self) -> Option<Duration> {
        let left = self.paused_until?.checked_duration_since(Instant::now())?;
        (!left.is_zero()).then_some(left)
    }
}

/// A launch that was decided on.
#[derive(Debug)]
pub(super) struct QueuedLaunch {
    pub(super) offer: OfferId,
    pub(super) evaluation: Arc<Evaluation>,
    /// When the launch stops waiting for pauses and doubts to end.
    pub(super) deadline: Option<Instant>,
}

#[derive(Debug, Default)]
struct OfPublisher {
    running: usize,
    waiting: VecDeque<QueuedLaunch>,
    /// Until when the marketplace accepts no requests, if that is longer than a launch waits.
    paused_until: Option<Instant>,
}

#[derive(Debug)]
struct Running {
    /// The digest of the manifest that the launch was decided for.
    digest: String,
    stop: CancellationToken,
}

/// The running and waiting launches. Each publisher has a limit of its own, so that a publisher
/// whose launches hang delays no other.
#[derive(Debug)]
pub(super) struct Launches {
    width: usize,
    publishers: BTreeMap<PublisherId, OfPublisher>,
    running: BTreeMap<OfferId, Running>,
}

impl Launches {
    /// Launches for a client that sends `concurrency` requests at once.
    pub(super) fn new(concurrency: usize) -> Self {
        let width = concurrency.max(1) * LAUNCHES_PER_REQUEST;
        Self { width, publishers: BTreeMap::new(), running: BTreeMap::new() }
    }

    pub(super) fn queue(&mut self, launch: QueuedLaunch) {
        let publisher = launch.offer.publisher().clone();
        self.publishers.entry(publisher).or_default().waiting.push_back(launch);
    }

    /// Takes the next launch of a publisher if one may start, with the end of the publisher's pause.
    /// `stop` is canceled once the manifest in force is another one than the launch was decided for.
    pub(super) fn start(
        &mut self,
        publisher: &PublisherId,
        desired: &Desired,
        stop: &CancellationToken,
    ) -> Option<(QueuedLaunch, Option<Instant>)> {
        let known = self.publishers.get_mut(publisher)?;
        if known.running >= self.width {
            return None;
        }
        let launch = known.waiting.pop_front()?;
        known.running += 1;
        let digest = launch.evaluation.known.desired.get(&launch.offer);
        let digest = digest.map(|manifest| manifest.digest.clone()).unwrap_or_default();
        let running = Running { digest, stop: stop.clone() };
        running.stop_if_outdated(&launch.offer, desired);
        self.running.insert(launch.offer.clone(), running);
        Some((launch, known.paused_until))
    }

    pub(super) fn end(&mut self, offer: &OfferId, paused_until: Option<Instant>) {
        self.running.remove(offer);
        if let Some(known) = self.publishers.get_mut(offer.publisher()) {
            known.running = known.running.saturating_sub(1);
            known.paused_until = known.paused_until.max(paused_until);
        }
    }

    /// Stops the launches whose manifest is no longer in force.
    pub(super) fn stop_outdated(&self, desired: &Desired) {
        for (offer, running) in &self.running {
            running.stop_if_outdated(offer, desired);
        }
    }
}

impl Running {
    fn stop_if_outdated(&self, offer: &OfferId, desired: &Desired) {
        if desired.get(offer).is_none_or(|manifest| manifest.digest != self.digest) {
            self.stop.cancel();
        }
    }
}
