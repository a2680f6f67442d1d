//! Carries out the commands of the trigger protocol ([`crate::operation::step`]).

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

use super::answers::{answer, obstacle, out_of_time};
use super::look::refreshed;
use super::{Job, Reconciler, heard, record};
use crate::changes::{Change, Decision, Moment, Observation, Policy, Seen, newest};
use crate::manifest::Loaded;
use crate::marketplace::{
    Accepted, Action, OfferId, OperationKind, OperationStatus, Post, Precondition, Version,
};
use crate::operation::{
    Answer, Command, Event as Step, Fresh, Next, Patience, Sent, Standstill, Trigger, step,
};
use crate::report::Event;
use crate::status::Intent;

/// What came of a trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Triggered {
    /// An operation runs.
    Running,
    /// An operation has run already, or production holds the version.
    Over,
    /// The marketplace refused; what runs there may tell why.
    Refused,
    /// The offer is not what it was: observe and decide again.
    Changed(Option<String>),
    /// The offer is not what it was, and what is to be done about it now needs no request of the
    /// kind. Tells whether an operation that was found ended at once.
    Revised {
        /// Whether it did.
        ended: bool,
    },
    /// Nothing more can be done in this run.
    Stopped,
}

/// A trigger that was carried out.
pub(super) struct Tried {
    /// What came of it.
    pub(super) outcome: Triggered,
    /// Whether a request was sent that may have been accepted.
    pub(super) sent: bool,
}

/// What a trigger works with.
pub(super) struct Target<'a> {
    pub(super) job: &'a Job,
    pub(super) policy: &'a Policy,
    pub(super) change: &'a Change,
    pub(super) desired: &'a Loaded,
    pub(super) observed: &'a BTreeMap<OfferId, Seen>,
    pub(super) action: Action,
    pub(super) kind: OperationKind,
    pub(super) version: Version,
}

/// What is to be done about an offer that is not what it was.
struct Revised {
    change: Change,
    observation: Observation,
    /// When the look began.
    moment: Moment,
}

impl Reconciler {
    /// Sends what a change asks for, by the protocol, and polls the operation once.
    pub(super) async fn trigger(
        &self,
        job: &Job,
        policy: &Policy,
        change: &Change,
        observed: &BTreeMap<OfferId, Seen>,
        deadline: Option<Instant>,
    ) -> Tried {
        let not_tried = Tried { outcome: Triggered::Stopped, sent: false };
        let (action, kind, version) = match &change.decision {
            Decision::GoLive { version } => (Action::GoLive, OperationKind::GoLive, *version),
            Decision::Publish { version } => (Action::Publish, OperationKind::Publish, *version),
            Decision::Track(_)
            | Decision::InSync(_)
            | Decision::Held(_)
            | Decision::Blocked(_)
            | Decision::Failed(_) => return not_tried,
        };
        let Some(desired) = job.desired.get(&change.offer) else { return not_tried };
        let target = Target { job, policy, change, desired, observed, action, kind, version };
        let mut sent = false;
        let outcome = self.carry_through(&target, deadline, &mut sent).await;
        Tried { outcome, sent }
    }

    /// Steps through the protocol to its end. `sent` becomes true where a request was sent that may
    /// have been accepted.
    async fn carry_through(
        &self,
        target: &Target<'_>,
        deadline: Option<Instant>,
        sent: &mut bool,
    ) -> Triggered {
        let change = target.change;
        let pending = self.store.get(&change.offer).and_then(|record| record.intent.clone());
        let (mut trigger, mut next) = match pending {
            // Not every offer is to wait for as long as the first that was put off.
            None if let Some(pause) = self.put_off() => {
                return self.stop_at(target, Standstill::Throttled(pause), None).await;
            }
            None => Trigger::fresh(),
            Some(intent) => {
                if self.is_of_another_run(&intent) {
                    let why =
                        format!("request {} was left open by a run before", intent.request_id);
                    self.reporter.report(&Event::Doubt { offer: &change.offer, why: &why });
                }
                // Whoever sent it may have been killed just now.
                let since = self.moment().latest_end(&intent);
                Trigger::in_doubt(*intent, since)
            }
        };
        let mut attempt = None;
        let mut revised = None;
        loop {
            let command = match next {
                Next::Follow(sent) => return self.follow_sent(target, &sent, deadline).await,
                Next::Stop(Standstill::ObserveAgain(_)) if revised.is_some() => {
                    return self.revise(target, revised, deadline).await;
                }
                Next::Stop(end) => return self.stop_at(target, end, attempt.as_ref()).await,
                Next::Do(command) => command,
            };
            if let Command::Send(intent) = &command {
                attempt = Some(intent.clone());
            }
            let Some(event) = self.carry_out(target, command, &mut revised).await else {
                return Triggered::Stopped;
            };
            *sent |= matches!(&event, Step::Answered(Answer::Accepted(_) | Answer::Unclear(_), _));
            tracing::trace!(offer = %change.offer, ?event, "trigger protocol");
            (trigger, next) = step(trigger, event, self.patience_until(deadline));
            if let Next::Do(Command::Wait(pause)) = next
                && deadline.is_some_and(|deadline| Instant::now() + pause > deadline)
            {
                // What is on disk lets the next run go on from here.
                next = Next::Stop(out_of_time(&trigger.state));
            }
        }
    }

    /// The patience that is left: no pause is longer than the run, and once an offer was given up
    /// because of pauses, no other one waits them out.
    fn patience_until(&self, deadline: Option<Instant>) -> Patience {
        let patience = self.settings.patience;
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.map_or(patience.left, |left| patience.left.min(left));
        let was_put_off = self.put_off.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        let pause = if was_put_off { Duration::ZERO } else { patience.pause };
        Patience { pause, left, ..patience }
    }

    /// Carries out one command; `None` where the user stopped golive instead. A request that is
    /// under way is never given up for that: its answer is what must not be lost.
    async fn carry_out(
        &self,
        target: &Target<'_>,
        command: Command,
        revised: &mut Option<Revised>,
    ) -> Option<Step> {
        let offer = &target.change.offer;
        match command {
            Command::WriteIntent(_) if self.must_not_send(target) => None,
            Command::Check => {
                *revised = None;
                tokio::select! {
                    biased;
                    () = self.stop.cancelled() => None,
                    checked = self.check_again(target, revised) => Some(checked),
                }
            }
            Command::WriteIntent(intent) => {
                let before = self.store.get(offer);
                self.is_of_another_run(&intent);
                self.edit(offer, target.desired, |record| record::intended(record, &intent));
                let written = self.flush().await;
                if let (Step::NotWritten, Some(before)) = (&written, before) {
                    // Nothing is sent, so that what was known before stands, a doubt included.
                    self.edit(offer, target.desired, |record| (*record).clone_from(&before));
                }
                Some(written)
            }
            Command::Send(_) if self.must_not_send(target) => {
                // It was not handed over yet, so that there is nothing to be in doubt about.
                self.drop_intent(target).await;
                None
            }
            Command::Send(intent) => {
                let answer = self.send(target, &intent).await;
                let kind = &intent.kind;
                self.reporter.report(&Event::Answered { offer, kind, answer: &answer });
                Some(Step::Answered(answer, self.clock.now()))
            }
            Command::Look => {
                let at = self.clock.now();
                let look = tokio::select! {
                    biased;
                    () = self.stop.cancelled() => return None,
                    look = self.look_at(target) => look,
                };
                let manifest_digest = target.desired.digest.clone();
                let (at_last, request_id) = (self.clock.now(), self.request_id());
                let fresh = Fresh { at: at_last, request_id, manifest_digest };
                Some(Step::Looked { look, at, fresh })
            }
            Command::WriteOperation(sent) => {
                let now = self.clock.now();
                self.edit(offer, target.desired, |record| {
                    heard::accepted(record, &sent, &target.desired.digest, now);
                });
                Some(self.flush().await)
            }
            Command::DropIntent => Some(self.drop_intent(target).await),
            Command::Wait(pause) => {
                let why = "before the offer is looked at again";
                self.reporter.report(&Event::Waiting { offer, pause, why });
                tokio::select! {
                    biased;
                    () = self.stop.cancelled() => None,
                    () = tokio::time::sleep(pause) => Some(Step::Elapsed),
                }
            }
        }
    }

    /// Whether an intent was written by a process before this one. It is told once.
    fn is_of_another_run(&self, intent: &Intent) -> bool {
        let mut known = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(intent.request_id.clone())
    }

    /// Whether the user stops golive, or the manifest has come to say something else.
    fn must_not_send(&self, target: &Target<'_>) -> bool {
        self.stop.is_cancelled() || self.is_outdated(target.desired)
    }

    async fn drop_intent(&self, target: &Target<'_>) -> Step {
        let (offer, decision) = (&target.change.offer, &target.change.decision);
        let now = self.clock.now();
        self.edit(offer, target.desired, |record| record::dropped(record, decision, now));
        self.flush().await
    }

    async fn flush(&self) -> Step {
        // Why it can't be written is told there, once for all offers.
        match self.store.commit().await {
            Ok(()) => Step::Written,
            Err(_) => Step::NotWritten,
        }
    }

    /// Asks for the offer's `ETag` and decides again on what it says.
    async fn check_again(&self, target: &Target<'_>, revised: &mut Option<Revised>) -> Step {
        let (offer, moment) = (&target.change.offer, self.moment());
        let answer = match self.observer.marketplace.offer(offer).await {
            Ok(answer) => answer,
            Err(error) => return Step::CheckFailed(obstacle(&error)),
        };
        let Some(Seen::Offer(before)) = target.observed.get(offer) else { return Step::Changed };
        let observation = refreshed(before, answer);
        let (observation, change) = self.decide_alone(target, observation, moment).await;
        let Some(change) = change else { return Step::Changed };
        if change.decision != target.change.decision {
            if !change.decision.is_trigger() {
                *revised = Some(Revised { change, observation, moment });
            }
            return Step::Changed;
        }
        let recorded = self.store.get(offer).and_then(|record| record.operation.clone());
        let recorded = recorded.filter(|operation| {
            operation.kind == target.kind && operation.version == Some(target.version)
        });
        // Whoever tries again must be able to tell the new attempt from the old ones.
        let is_again = target.policy.retries(offer) || recorded.is_some();
        let asked = if is_again && observation.submissions.is_none() {
            match self.observer.submissions(offer).await {
                Ok(submissions) => Some(submissions),
                Err(error) => return Step::CheckFailed(obstacle(&error)),
            }
        } else {
            None
        };
        let submissions = asked.or(observation.submissions).unwrap_or_default();
        let newest = newest(&submissions, &target.kind, target.version);
        Step::Confirmed(Intent {
            at: self.clock.now(),
            etag: observation.etag,
            kind: target.kind.clone(),
            last_changed: newest.and_then(|it| it.changed_time.clone()),
            last_submission: newest.map(|it| it.id.clone()).or(recorded.and_then(|it| it.id)),
            manifest_digest: target.desired.digest.clone(),
            request_id: self.request_id(),
            version: target.version,
        })
    }

    async fn send(&self, target: &Target<'_>, intent: &Intent) -> Answer {
        let post = Post {
            action: target.action,
            precondition: intent.etag.clone().map_or(Precondition::Any, Precondition::Matches),
            request_id: intent.request_id.clone(),
            notify: target.desired.manifest.notify.clone(),
        };
        match self.observer.marketplace.post(&target.change.offer, &post).await {
            Ok(Accepted::Started { operation, .. }) => Answer::Accepted(operation),
            Ok(Accepted::Done) => Answer::Unclear("accepted without an operation".to_owned()),
            // To give no usable URL is one of the marketplace's ways.
            Ok(Accepted::Unlocated { why }) => Answer::Unclear(why),
            Err(error) => {
                let answer = answer(&error);
                if let Answer::Unclear(why) = &answer {
                    let offer = &target.change.offer;
                    self.reporter.report(&Event::Doubt { offer, why });
                }
                answer
            }
        }
    }

    /// Writes down what the offer turned out to be, instead of asking a list that lags behind.
    async fn revise(
        &self,
        target: &Target<'_>,
        revised: Option<Revised>,
        deadline: Option<Instant>,
    ) -> Triggered {
        let Some(Revised { change, observation, moment }) = revised else {
            return Triggered::Changed(None);
        };
        let seen = Seen::Offer(Box::new(observation));
        self.write_down(target.job, &change, Some(&seen), moment);
        self.flush().await;
        let runs = change.decision.tracked().is_some();
        let ended = runs && self.poll_in_time(&change.offer, deadline).await;
        Triggered::Revised { ended }
    }

    async fn follow_sent(
        &self,
        target: &Target<'_>,
        sent: &Sent,
        deadline: Option<Instant>,
    ) -> Triggered {
        let over = sent.status.as_ref().is_some_and(OperationStatus::is_finished);
        if over {
            return Triggered::Over;
        }
        if self.poll_in_time(&target.change.offer, deadline).await {
            Triggered::Over
        } else {
            Triggered::Running
        }
    }

    /// For how much longer the marketplace takes no requests, where this run does not wait for it.
    fn put_off(&self) -> Option<Duration> {
        let until = *self.put_off.lock().unwrap_or_else(PoisonError::into_inner);
        until?.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    async fn stop_at(
        &self,
        target: &Target<'_>,
        end: Standstill,
        attempt: Option<&Intent>,
    ) -> Triggered {
        let (offer, desired) = (&target.change.offer, target.desired);
        let now = self.clock.now();
        if let Standstill::Throttled(pause) = &end {
            let until = Instant::now() + *pause;
            let mut put_off = self.put_off.lock().unwrap_or_else(PoisonError::into_inner);
            *put_off = (*put_off).max(Some(until));
        }
        self.edit(offer, desired, |record| record::stopped(record, &end, attempt, desired, now));
        self.flush().await;
        match end {
            Standstill::ObserveAgain(why) => Triggered::Changed(why),
            Standstill::Refused(_) => Triggered::Refused,
            Standstill::Unsent(_)
            | Standstill::Throttled(_)
            | Standstill::Unwritten
            | Standstill::InDoubt(_) => Triggered::Stopped,
        }
    }
}
