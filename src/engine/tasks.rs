//! The engine's tasks: each works on its offers alone, and reports what it found.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::task::JoinError;
use tokio::time::Instant;

use super::RunError;
use super::launches::{Limits, QueuedLaunch, Tried};
use super::polls::Polling;
use super::runner::{Engine, Extent, GRACE};
use super::steps::{Evaluation, Open};
use crate::clock::reached;
use crate::marketplace::{OfferId, PublisherId};
use crate::status::StoreError;

/// The result of a task that has ended.
#[derive(Debug)]
pub struct Done(pub(super) TaskResult);

#[derive(Debug)]
pub(super) enum TaskResult {
    Evaluation {
        offers: BTreeSet<OfferId>,
        result: Result<Option<Box<Evaluation>>, RunError>,
    },
    Launched {
        offer: OfferId,
        evaluation: Arc<Evaluation>,
        tried: Tried,
    },
    Polled {
        offer: OfferId,
        polling: Polling,
        asks_offer: bool,
    },
    Orphan {
        offer: OfferId,
        polling: Polling,
        is_gone: bool,
    },
    /// The run's time was up before the marketplace answered about the offer.
    OutOfTime(OfferId),
    Flushed(Result<(), StoreError>),
}

impl Engine {
    pub(super) fn evaluate(&mut self, offers: BTreeSet<OfferId>) {
        let mut is_first = false;
        if self.extent != Extent::Always {
            for offer in &offers {
                let evaluations = self.evaluations.entry(offer.clone()).or_default();
                is_first |= *evaluations == 0;
                *evaluations += 1;
            }
        }
        let policy = self.policy.about(offers.clone());
        let reports = self.polls.reports(&self.desired, &policy);
        let until = self.give_up_at(is_first);
        let (reconciler, desired) = (Arc::clone(&self.reconciler), Arc::clone(&self.desired));
        self.tasks.spawn(async move {
            let evaluation = Box::pin(reconciler.evaluate(desired, policy, reports));
            TaskResult::Evaluation { offers, result: in_time(evaluation, until).await }
        });
    }

    /// When an evaluation is given up. The first one of an offer may take as long as it needs, even
    /// if the run waits only briefly.
    fn give_up_at(&self, is_first: bool) -> Option<Instant> {
        let deadline = self.deadline.filter(|_| !is_first)?;
        Some(deadline.max(Instant::now() + GRACE))
    }

    /// Asks the marketplace about the offers that an evaluation could not decide by lists alone.
    pub(super) fn inspect(&mut self, open: Open) {
        let reconciler = Arc::clone(&self.reconciler);
        let offers = open.offers.clone();
        let is_first = offers.iter().any(|offer| self.evaluations.get(offer) == Some(&1));
        let until = self.give_up_at(is_first);
        self.tasks.spawn(async move {
            let inspection = Box::pin(reconciler.inspect(open));
            TaskResult::Evaluation { offers, result: in_time(inspection, until).await }
        });
    }

    /// Starts a launch, or queues it behind the publisher's others.
    pub(super) fn launch(&mut self, evaluation: &Arc<Evaluation>, offer: &OfferId) {
        let deadline = match self.extent {
            // A run that does not wait for operations does not wait for a doubt to settle either.
            Extent::Once => Instant::now().checked_add(self.reconciler.settings.pause),
            Extent::ToTheEnd | Extent::Always => self.deadline,
        };
        let (offer, evaluation) = (offer.clone(), Arc::clone(evaluation));
        let publisher = offer.publisher().clone();
        self.launches.queue(QueuedLaunch { offer, evaluation, deadline });
        self.start_launches(&publisher);
    }

    pub(super) fn start_launches(&mut self, publisher: &PublisherId) {
        loop {
            let stop = self.reconciler.stop.child_token();
            let started = self.launches.start(publisher, &self.desired, &stop);
            let Some((launch, paused_until)) = started else { return };
            let QueuedLaunch { offer, evaluation, deadline } = launch;
            let is_first = self.launched.insert(offer.clone());
            let limits = Limits { deadline, paused_until, stop, is_first };
            let (reconciler, random) = (Arc::clone(&self.reconciler), self.random.fork());
            self.tasks.spawn(async move {
                let launch = reconciler.launch(&evaluation, &offer, &limits, random);
                let tried = Box::pin(launch).await;
                TaskResult::Launched { offer, evaluation, tried }
            });
        }
    }

    pub(super) fn poll(&mut self, offer: OfferId) {
        let (reconciler, deadline) = (Arc::clone(&self.reconciler), self.deadline);
        let mut polling = self.polls.take(&offer);
        self.tasks.spawn(async move {
            tokio::select! {
                biased;
                asks_offer = reconciler.poll(&offer, &mut polling) => {
                    TaskResult::Polled { offer, polling, asks_offer }
                }
                () = reached(deadline) => TaskResult::OutOfTime(offer),
            }
        });
    }

    /// Handles an offer without a manifest in force. If the manifest was removed, the offer leaves
    /// the status file. If the manifest can't be read, golive still follows a running operation and
    /// looks for the result of a request in doubt.
    pub(super) fn handle_orphan(&mut self, offer: OfferId, is_gone: impl Fn(&OfferId) -> bool) {
        let is_gone = is_gone(&offer);
        let (reconciler, deadline) = (Arc::clone(&self.reconciler), self.deadline);
        let mut polling = self.polls.take(&offer);
        self.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = reconciler.handle_orphan(&offer, &mut polling) => {
                    TaskResult::Orphan { offer, polling, is_gone }
                }
                () = reached(deadline) => TaskResult::OutOfTime(offer),
            }
        });
    }
}

/// The result of an evaluation; `Ok(None)` if its time is up first.
async fn in_time(
    evaluation: impl Future<Output = Result<Option<Evaluation>, RunError>>,
    until: Option<Instant>,
) -> Result<Option<Box<Evaluation>>, RunError> {
    tokio::select! {
        biased;
        result = evaluation => result.map(|evaluation| evaluation.map(Box::new)),
        () = reached(until) => Ok(None),
    }
}

/// The result of a task; `None` if it was aborted. A panic in a task continues in this process:
/// what is on disk is enough for the next one to recover.
pub(super) fn unharmed(ended: Result<TaskResult, JoinError>) -> Option<Done> {
    match ended {
        Ok(done) => Some(Done(done)),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_canceled) => None,
        },
    }
}
