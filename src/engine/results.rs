//! Takes in the results of tasks: what is recorded, and what comes next.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::RunError;
use super::launches::{Tried, Triggered};
use super::next::NextWork;
use super::polls::Polling;
use super::queue::{Now, When, Work};
use super::record::{RecordEvent, is_unobserved};
use super::runner::{Engine, Extent};
use super::steps::Evaluation;
use super::tasks::{Done, TaskResult};
use crate::changes::{Change, Retry};
use crate::marketplace::OfferId;
use crate::status::{Edited, Phase, Reason};

/// How long after a failed write the next one is tried.
const FLUSH_AGAIN: Duration = Duration::from_secs(5);

/// How long the ends of several operations are collected before one evaluation of all their offers.
const GATHERING: Duration = Duration::from_secs(5);

/// How often in a row an offer may change while golive tries to launch it.
const MAX_CONFLICTS: u32 = 3;

/// How many more evaluations of an offer a run makes without a wait in between, so that a
/// marketplace that contradicts itself can't keep the run busy.
const MAX_HURRIED: u32 = 6;

/// Ends of a pause closer together than this are the same: each is computed from two clocks.
const SAME: SignedDuration = SignedDuration::from_secs(1);

/// The result of a task, as far as callers of the engine need it.
#[derive(Debug)]
pub enum Taken {
    /// Some offers were evaluated; [`Engine::carry_out`] acts on the decisions.
    Evaluation(Box<Evaluation>),
    /// The evaluation of these offers gave no result. Carries the error, unless the user stopped golive or
    /// the time is up.
    Missed(BTreeSet<OfferId>, Option<RunError>),
    /// A launch has ended.
    Launched {
        /// The launched offer.
        offer: OfferId,
        /// Whether an operation was started or found.
        has_operation: bool,
        /// Whether a request was sent that may have been accepted.
        sent: bool,
    },
    /// An offer's running operation was asked for.
    Asked(OfferId),
    /// The result matters to the engine alone.
    Nothing,
}

impl Engine {
    /// Takes in the result of a task.
    pub fn take_in(&mut self, done: Done) -> Taken {
        match done.0 {
            TaskResult::Evaluation { offers, result: Ok(Some(evaluation)) } => {
                // These offers are undecided, so no task works on them either.
                let undecided = offers.iter().filter(|offer| {
                    evaluation.changes.get(offer).is_none()
                        && !evaluation.open.iter().any(|open| open.offers.contains(*offer))
                });
                undecided.for_each(|offer| self.turn(offer, NextWork::Rest));
                Taken::Evaluation(evaluation)
            }
            TaskResult::Evaluation { offers, result } => {
                for offer in &offers {
                    self.turn(offer, NextWork::Retry);
                }
                Taken::Missed(offers, result.err())
            }
            TaskResult::Launched { offer, evaluation, tried } => {
                self.launches.end(&offer, tried.paused_until);
                self.start_launches(offer.publisher());
                self.flush_soon();
                let next = self.after_launch(&offer, &evaluation, &tried);
                self.turn(&offer, next);
                let has_operation = matches!(tried.outcome, Triggered::Running | Triggered::Over);
                Taken::Launched { offer, has_operation, sent: tried.sent }
            }
            TaskResult::Polled { offer, polling, asks_offer } => {
                self.polls.put(&offer, polling);
                let next = if asks_offer { NextWork::EvaluateSoon } else { self.next(&offer) };
                self.asked(offer, next)
            }
            TaskResult::Orphan { offer, polling, is_gone } => {
                let next = self.after_orphan(&offer, polling, is_gone);
                self.asked(offer, next)
            }
            TaskResult::OutOfTime(offer) => self.asked(offer, NextWork::Rest),
            TaskResult::Flushed(written) => {
                // The store has logged why the write failed.
                if written.is_err() {
                    self.flush_at = Some(Instant::now() + FLUSH_AGAIN);
                }
                Taken::Nothing
            }
        }
    }

    fn asked(&mut self, offer: OfferId, next: NextWork) -> Taken {
        self.flush_soon();
        self.turn(&offer, next);
        Taken::Asked(offer)
    }

    /// Records the decisions and starts the work they ask for: launches that `may_launch` allows,
    /// and questions about the offers that a list was not enough for.
    pub fn carry_out(
        &mut self,
        mut evaluation: Box<Evaluation>,
        may_launch: impl Fn(&Change) -> bool,
    ) {
        let open = std::mem::take(&mut evaluation.open);
        let evaluation: Arc<Evaluation> = Arc::from(evaluation);
        if evaluation.changes.triggers() < evaluation.changes.changes.len() {
            // A launch flushes its intent before it sends, and every other change with it. Changes
            // that send nothing need a flush of their own.
            self.flush_soon();
        }
        for change in &evaluation.changes.changes {
            let offer = &change.offer;
            if !evaluation.is_listed(offer) && self.extent == Extent::Always {
                // If the publisher could not be listed, nothing new is known about its offers, and
                // their records stand.
                if self.is_news(change, &evaluation) {
                    self.record(&evaluation, change);
                }
                let next = self.next(offer).poll_or(NextWork::Retry);
                self.turn(offer, next);
                continue;
            }
            self.record(&evaluation, change);
            for other in self.dependents.note(change) {
                self.evaluate_again(&other);
            }
            if change.decision.tracked().is_some() {
                // `--retry` applies to what had failed when the user asked, not to what runs now.
                self.attempted(offer);
            }
            if change.decision.is_trigger() && may_launch(change) {
                self.attempted(offer);
                self.launch(&evaluation, offer);
            } else {
                self.conflicts.remove(offer);
                self.turn(offer, self.next(offer));
            }
        }
        for open in open {
            self.inspect(open);
        }
    }

    /// Records a decision.
    fn record(&mut self, evaluation: &Evaluation, change: &Change) {
        let known = &evaluation.known;
        if let Some(manifest) = known.desired.get(&change.offer) {
            let seen = known.observed.get(&change.offer);
            self.reconciler.note_decision(manifest, change, seen, known.time);
        }
        if self.reconciler.store.get(&change.offer).is_none_or(|record| record.running().is_none())
        {
            self.polls.forget(&change.offer);
        }
    }

    /// Whether the record has nothing on an offer, or only that it could not be asked about, for
    /// another reason than now. An error that differs only in its wording is not news.
    fn is_news(&self, change: &Change, evaluation: &Evaluation) -> bool {
        let Some(record) = self.reconciler.store.get(&change.offer) else { return true };
        let manifest = evaluation.known.desired.get(&change.offer);
        let is_same = record.reason == change.decision.reason()
            && manifest.is_none_or(|manifest| manifest.digest == record.manifest.digest);
        is_unobserved(&record) && !is_same
    }

    /// Records that an offer which was never observed can't be asked about before the end of its
    /// publisher's pause. `None` if it is known already. The reporter isn't notified: a pause is one event
    /// for all offers of a publisher.
    pub fn record_pause(&mut self, offer: &OfferId, until: Timestamp, why: &str) -> Option<Edited> {
        let manifest = self.desired.get(offer)?;
        let reconciler = &self.reconciler;
        let is_open = reconciler.store.get(offer).is_none_or(|record| {
            let is_known = record.reason == Reason::Throttled
                && record.manifest.digest == manifest.digest
                && record.next_check_at.is_some_and(|at| until.duration_since(at).abs() < SAME);
            is_unobserved(&record) && !is_known
        });
        if !is_open {
            return None;
        }
        let file = reconciler.paths.name(&manifest.file);
        let event = RecordEvent::PublisherPaused { until, why, manifest, file };
        let edited = reconciler.record(offer, manifest, event, reconciler.decision_time(offer));
        self.flush_soon();
        Some(edited)
    }

    /// The next step for an offer, by its record.
    pub(super) fn next(&self, offer: &OfferId) -> NextWork {
        let record = self.reconciler.store.get(offer);
        let intervals = self.reconciler.settings.intervals;
        NextWork::of(offer, record.as_deref(), &self.polls, self.now(), intervals)
    }

    fn attempted(&mut self, offer: &OfferId) {
        if self.policy.retry != Retry::None {
            self.policy.attempted.insert(offer.clone());
        }
    }

    /// Evaluates an offer because of a change in another one.
    fn evaluate_again(&mut self, offer: &OfferId) {
        if self.extent == Extent::Always || self.may_evaluate(offer) {
            self.ask(offer);
        }
    }

    fn may_evaluate(&self, offer: &OfferId) -> bool {
        self.policy.covers(offer)
            && self.evaluations.get(offer).is_none_or(|count| *count <= MAX_HURRIED)
    }

    /// The next step for an offer after a launch.
    fn after_launch(
        &mut self,
        offer: &OfferId,
        evaluation: &Evaluation,
        tried: &Tried,
    ) -> NextWork {
        let is_owed = !evaluation.known.policy.attempted.contains(offer);
        match &tried.outcome {
            Triggered::Running => {
                let record = self.reconciler.store.get(offer);
                let operation = record.as_ref().and_then(|record| record.running());
                if let (Some(operation), Some(pause)) = (operation, tried.poll_after) {
                    self.polls.begin(offer, operation, pause);
                }
                self.next(offer)
            }
            Triggered::Revised => self.next(offer),
            Triggered::Stopped => {
                if is_owed && !tried.sent && !self.reconciler.has_intent(offer) {
                    self.policy.attempted.remove(offer);
                }
                self.next(offer)
            }
            Triggered::Over | Triggered::Refused => NextWork::EvaluateNow,
            Triggered::Changed(why) => {
                // Nothing was accepted, so the retry is still owed.
                if is_owed {
                    self.policy.attempted.remove(offer);
                }
                let conflicts = self.conflicts.entry(offer.clone()).or_default();
                *conflicts += 1;
                if *conflicts < MAX_CONFLICTS {
                    return NextWork::EvaluateNow;
                }
                self.conflicts.remove(offer);
                if let Some(manifest) = evaluation.known.desired.get(offer) {
                    self.reconciler.give_up_on(offer, manifest, why.as_deref());
                }
                NextWork::Retry
            }
        }
    }

    /// The next step for an offer without a manifest. It leaves the status file once its manifest is
    /// gone, no operation runs and no request is in doubt.
    fn after_orphan(&mut self, offer: &OfferId, polling: Polling, is_gone: bool) -> NextWork {
        if is_gone && self.reconciler.forget_if_idle(offer) {
            return NextWork::Rest;
        }
        self.polls.put(offer, polling);
        let next = self.next(offer);
        if is_gone {
            return next;
        }
        let is_in_doubt = self.reconciler.has_intent(offer);
        next.poll_or(if is_in_doubt { NextWork::Retry } else { NextWork::Rest })
    }

    /// Ends the work on an offer and queues its next step.
    pub(super) fn turn(&mut self, offer: &OfferId, next: NextWork) {
        let now = self.now();
        let next = if self.goes_on(offer, next, now) { next } else { NextWork::Rest };
        if next == NextWork::Retry {
            self.retried.insert(offer.clone());
        } else {
            self.retried.remove(offer);
        }
        let launch = self.desired.get(offer).and_then(|loaded| loaded.manifest.not_before);
        let next = match next {
            NextWork::EvaluateSoon => Some((Work::Evaluate, When::At(self.gather(now.instant)))),
            NextWork::Poll(_)
            | NextWork::EvaluateOn(_)
            | NextWork::EvaluateNow
            | NextWork::Retry
            | NextWork::Rest => self.backoffs.follow(offer, next, launch, now),
        };
        if matches!(next, Some((Work::Poll, _) | (Work::Evaluate, When::On(_))))
            && let Some(evaluations) = self.evaluations.get_mut(offer)
        {
            *evaluations = 1;
        }
        self.queue.done(offer, next, now.instant);
    }

    /// Whether the next step belongs to this run.
    fn goes_on(&self, offer: &OfferId, next: NextWork, now: Now) -> bool {
        match (self.extent, next) {
            (Extent::Always, _) | (_, NextWork::Rest) => true,
            (_, NextWork::EvaluateNow | NextWork::EvaluateSoon) => self.may_evaluate(offer),
            (_, NextWork::Poll(_) | NextWork::EvaluateOn(_) | NextWork::Retry)
                if self.is_time_up() =>
            {
                false
            }
            // Retries continue while the run waits for other offers.
            (Extent::ToTheEnd, NextWork::Retry) => true,
            (Extent::Once, NextWork::Poll(at)) => at <= now.instant,
            (Extent::Once, NextWork::EvaluateOn(_) | NextWork::Retry) => false,
            (Extent::ToTheEnd, NextWork::Poll(_)) => !self.polls.has_given_up(offer),
            (Extent::ToTheEnd, NextWork::EvaluateOn(date)) => {
                // A date in the past was already waited for once.
                date > now.date && self.waits(offer)
            }
        }
    }

    /// Whether an offer waits for a pause to end or a doubt to settle.
    fn waits(&self, offer: &OfferId) -> bool {
        self.reconciler.store.get(offer).is_some_and(|record| {
            record.reason == Reason::Throttled || record.phase == Phase::Triggering
        })
    }

    /// When to evaluate the offers whose operations end about now.
    fn gather(&mut self, now: Instant) -> Instant {
        if self.extent == Extent::Once {
            return now;
        }
        if let Some(until) = self.gathering.filter(|until| *until > now) {
            return until;
        }
        let window = self.reconciler.settings.intervals.first.min(GATHERING);
        let until =
            self.deadline.map_or(now + window, |deadline| deadline.min(now + window)).max(now);
        self.gathering = Some(until);
        until
    }
}
