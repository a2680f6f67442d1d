//! Carries out the commands of the trigger protocol ([`crate::operation::step`]).

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::answers::{answer, obstacle_of, out_of_time};
use super::steps::Scope;
use super::{Reconciler, heard, record};
use crate::changes::{Change, DecisionTime, Observation, ObservedOffer};
use crate::manifest::Loaded;
use crate::marketplace::{
    Accepted, Launch, OfferId, OfferState, OperationKind, OperationStatus, PublisherId,
};
use crate::operation::{
    Command, Event as Step, Fresh, Next, Patience, RequestOutcome, Sent, State, StopReason,
    Trigger, step,
};
use crate::report::Event;
use crate::status::Intent;

/// The maximum number of attempts for a request that was certainly not accepted.
const ATTEMPTS: u32 = 3;

/// How many looks at an offer in doubt may fail before the doubt is left to the next run.
const LOOKS: u32 = 12;

/// How many times golive looks for the operation that a conflict points to: twice a minute for a
/// day.
const SEARCHES: u32 = 2 * 60 * 24;

/// How old an inspection may be and still count as made right before the request.
const RIGHT_BEFORE: SignedDuration = SignedDuration::from_secs(3);

/// The result of a trigger.
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
    /// The offer has changed, and the new decision sends no such request. `ended` is true if an
    /// operation runs there, and a poll showed that it had ended.
    Revised {
        /// Whether the operation that was found had ended.
        ended: bool,
    },
    /// Nothing more can be done in this run.
    Stopped,
}

/// A trigger that was carried out.
#[derive(Debug)]
pub(super) struct Tried {
    pub(super) outcome: Triggered,
    /// Whether a request was sent that may have been accepted.
    pub(super) sent: bool,
}

/// The input of one trigger.
pub(super) struct Target<'a> {
    pub(super) scope: &'a Scope,
    pub(super) change: &'a Change,
    pub(super) desired: &'a Loaded,
    pub(super) observed: &'a BTreeMap<OfferId, Observation>,
    pub(super) kind: OperationKind,
}

/// The new decision about an offer that has changed.
struct Revised {
    change: Change,
    seen_offer: ObservedOffer,
    /// When the look began.
    moment: DecisionTime,
}

/// The state that the steps of one trigger share.
#[derive(Default)]
struct Progress {
    revised: Option<Revised>,
    /// The longest time that writing an intent took. The next intent's deadline leaves time for a
    /// write that takes twice as long.
    write_took: Duration,
    /// Whether no release waits for sign-off: the user asked to retry a failed one.
    is_retried: bool,
    /// The intent that the last one replaced.
    before: Option<Intent>,
    /// How long the marketplace asks to wait before the first poll.
    retry_after: Option<Duration>,
}

impl Reconciler {
    /// Sends the request of a change by the trigger protocol, and polls the operation once.
    pub(super) async fn trigger(
        &self,
        scope: &Scope,
        change: &Change,
        observed: &BTreeMap<OfferId, Observation>,
        deadline: Option<Instant>,
    ) -> Tried {
        let not_tried = Tried { outcome: Triggered::Stopped, sent: false };
        let Some((kind, _)) = change.decision.launch() else { return not_tried };
        let Some(desired) = scope.desired.get(&change.offer) else { return not_tried };
        let target = Target { scope, change, desired, observed, kind };
        let mut sent = false;
        let outcome = self.carry_through(&target, deadline, &mut sent).await;
        Tried { outcome, sent }
    }

    /// Runs the protocol to its end. Sets `sent` if a request was sent that may have been accepted.
    async fn carry_through(
        &self,
        target: &Target<'_>,
        deadline: Option<Instant>,
        sent: &mut bool,
    ) -> Triggered {
        let change = target.change;
        let pending = self.store.get(&change.offer).and_then(|record| record.intent.clone());
        let (mut trigger, mut next) = match pending {
            // Once the publisher was throttled, don't wait the same time again for each of its
            // offers.
            None if let Some(pause) = self.put_off(change.offer.publisher()) => {
                return self.stop_at(target, StopReason::Throttled(pause), None).await;
            }
            None => Trigger::fresh(),
            Some(intent) => {
                if self.is_of_another_run(&intent) {
                    let why =
                        format!("request {} was left open by a run before", intent.request_id);
                    self.reporter.report(&Event::Doubt { offer: &change.offer, why: &why });
                }
                // `--retry` allows one more attempt for a request in doubt.
                let is_retried = target.scope.policy.retries(&change.offer);
                let attempt = if is_retried { 1 } else { intent.attempt };
                Trigger::in_doubt(Intent { attempt, ..*intent })
            }
        };
        let mut attempt = None;
        let mut progress = Progress::default();
        loop {
            let command = match next {
                Next::Follow(sent) => {
                    return self.follow_sent(target, &sent, progress.retry_after, deadline).await;
                }
                Next::Stop(StopReason::ObserveAgain(_)) if progress.revised.is_some() => {
                    return self.revise(target, progress.revised, deadline).await;
                }
                Next::Stop(end) => return self.stop_at(target, end, attempt.as_ref()).await,
                Next::Do(command) => command,
            };
            if let Command::Send(intent) = &command {
                attempt = Some(intent.clone());
            }
            let Some(event) = self.carry_out(target, command, &mut progress).await else {
                if self.stop.is_cancelled() {
                    let now = self.clock.now();
                    self.edit(&change.offer, target.desired, |record| record::unsent(record, now));
                }
                return Triggered::Stopped;
            };
            *sent |= matches!(
                &event,
                Step::Answered(RequestOutcome::Accepted(_) | RequestOutcome::Unclear(_))
            );
            tracing::trace!(offer = %change.offer, ?event, "trigger protocol");
            (trigger, next) =
                step(trigger, event, self.patience_until(change.offer.publisher(), deadline));
            if let Next::Do(Command::Wait(pause)) = next
                && deadline.is_some_and(|deadline| Instant::now() + pause > deadline)
            {
                // The next run can continue from what is on disk.
                next = Next::Stop(out_of_time(&trigger.state));
            }
        }
    }

    /// The limits that apply now: no pause outlasts the run, and once an offer was given up because
    /// of a pause, the publisher's other offers don't wait out pauses either.
    fn patience_until(&self, publisher: &PublisherId, deadline: Option<Instant>) -> Patience {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.unwrap_or(Duration::MAX);
        let was_put_off = self.put_off.lock().unwrap_or_else(PoisonError::into_inner);
        let was_put_off = was_put_off.contains_key(publisher);
        let pause = if was_put_off { Duration::ZERO } else { self.settings.pause };
        let settling = self.observer.settling();
        Patience { settling, attempts: ATTEMPTS, looks: LOOKS, searches: SEARCHES, pause, left }
    }

    /// Carries out one command; `None` if the user stopped golive or the manifest changed instead.
    /// A request that was sent is never aborted for that: its answer must not be lost.
    async fn carry_out(
        &self,
        target: &Target<'_>,
        command: Command,
        progress: &mut Progress,
    ) -> Option<Step> {
        let offer = &target.change.offer;
        match command {
            Command::WriteIntent(_) if self.must_not_send(target) => None,
            Command::Check => {
                progress.revised = None;
                tokio::select! {
                    biased;
                    () = self.stop.cancelled() => None,
                    checked = self.check_again(target, progress) => Some(checked),
                }
            }
            Command::WriteIntent(intent) => Some(self.write_intent(target, intent, progress).await),
            Command::Send(_) if self.must_not_send(target) => {
                // The request was not sent yet: the previous attempt is in doubt again.
                self.drop_intent(target, progress.before.take()).await;
                None
            }
            // A process that finds the intent relies on its deadline.
            Command::Send(intent) if self.can_not_be_over_by(intent.deadline) => {
                Some(Step::DeadlineMissed)
            }
            Command::Send(intent) => {
                let answer = self.send(target, &intent, progress).await;
                let kind = &intent.kind;
                self.reporter.report(&Event::Answered { offer, kind, answer: &answer });
                Some(Step::Answered(answer))
            }
            Command::CheckDoubt => {
                let at = self.clock.now();
                let look = tokio::select! {
                    biased;
                    () = self.stop.cancelled() => return None,
                    look = self.check_offer(target) => look,
                };
                let manifest_digest = target.desired.digest.clone();
                let (at_last, request_id) = (self.clock.now(), self.request_id());
                let deadline = self.deadline(at_last, progress.write_took);
                let fresh = Fresh { at: at_last, deadline, request_id, manifest_digest };
                Some(Step::DoubtChecked { look, at, fresh })
            }
            Command::WriteOperation(sent) => {
                let now = self.clock.now();
                self.edit(offer, target.desired, |record| {
                    heard::accepted(record, &sent, &target.desired.digest, now);
                });
                self.forget_request(&sent.intent);
                Some(self.flush().await)
            }
            Command::DropIntent(before) => Some(self.drop_intent(target, before).await),
            Command::Wait(pause) => {
                let why = "before the offer is inspected again";
                self.reporter.report(&Event::Waiting { offer, pause, why });
                tokio::select! {
                    biased;
                    () = self.stop.cancelled() => None,
                    // If the manifest changed meanwhile, leave the offer to the new one.
                    () = tokio::time::sleep(pause) => {
                        (!self.is_outdated(target.desired)).then_some(Step::Elapsed)
                    }
                }
            }
        }
    }

    /// Writes an intent to disk. If that fails, nothing is sent and the previous record stays in
    /// force, including any doubt.
    async fn write_intent(
        &self,
        target: &Target<'_>,
        intent: Intent,
        progress: &mut Progress,
    ) -> Step {
        let offer = &target.change.offer;
        let before = self.store.get(offer);
        self.is_of_another_run(&intent);
        self.edit(offer, target.desired, |record| record::intended(record, &intent));
        let begun = Instant::now();
        let written = self.flush().await;
        progress.write_took = progress.write_took.max(begun.elapsed());
        if let (Step::NotWritten, Some(before)) = (&written, &before) {
            self.edit(offer, target.desired, |record| record.clone_from(before));
        }
        progress.before = before.and_then(|record| record.intent.as_deref().cloned());
        written
    }

    /// Whether an earlier process wrote the intent. Marks the request id, so that this is true only
    /// once per intent.
    fn is_of_another_run(&self, intent: &Intent) -> bool {
        let mut known = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(intent.request_id.clone())
    }

    /// Whether the user stopped golive, or the manifest has changed.
    fn must_not_send(&self, target: &Target<'_>) -> bool {
        self.stop.is_cancelled() || self.is_outdated(target.desired)
    }

    async fn drop_intent(&self, target: &Target<'_>, before: Option<Intent>) -> Step {
        let (offer, decision) = (&target.change.offer, &target.change.decision);
        let now = self.clock.now();
        let dropped = self.store.get(offer).and_then(|record| record.intent.clone());
        self.edit(offer, target.desired, |record| record::dropped(record, before, decision, now));
        if let Some(intent) = dropped {
            self.forget_request(&intent);
        }
        self.flush().await
    }

    fn forget_request(&self, intent: &Intent) {
        let mut known = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(&intent.request_id);
    }

    async fn flush(&self) -> Step {
        // The store logs why the write failed, once for all offers.
        match self.store.commit().await {
            Ok(()) => Step::Written,
            Err(_) => Step::NotWritten,
        }
    }

    /// The deadline of a request that must be written to disk first and then sent. The write gets
    /// half the longest request time, or twice the longest write so far if that is more.
    fn deadline(&self, at: Timestamp, write_took: Duration) -> Timestamp {
        let request = self.observer.backend.longest_request();
        let time = request.saturating_add((request / 2).max(write_took.saturating_mul(2)));
        at.checked_add(time).unwrap_or(Timestamp::MAX)
    }

    fn can_not_be_over_by(&self, deadline: Timestamp) -> bool {
        let end = self.clock.now().checked_add(self.observer.backend.longest_request());
        end.is_ok_and(|end| end > deadline)
    }

    /// Inspects the offer and decides about it again.
    async fn check_again(&self, target: &Target<'_>, progress: &mut Progress) -> Step {
        let moment = self.moment();
        let found = match Self::seen_just_now(target, moment) {
            Some(seen_offer) => Ok((seen_offer, Some(target.change.clone()))),
            None => self.inspect_for(target, moment).await,
        };
        let (seen_offer, change) = match found {
            Ok((seen_offer, Some(change))) => (seen_offer, change),
            Ok((_, None)) => return Step::Changed,
            Err(seen) => return Step::CheckFailed(obstacle_of(seen)),
        };
        let Some((kind, release)) = change.decision.launch() else {
            progress.revised = Some(Revised { change, seen_offer, moment });
            return Step::Changed;
        };
        if kind != target.kind {
            return Step::Changed;
        }
        let release = release.clone();
        // Send only what people reviewed.
        if target.scope.policy.verify && change.decision != target.change.decision {
            return Step::Changed;
        }
        let state = seen_offer.state.unwrap_or_default();
        progress.is_retried = target.kind == OperationKind::GoLive && state.preview.is_none();
        let OfferState { fence, attempts, listed, .. } = state;
        let at = self.clock.now();
        Step::Confirmed(Intent {
            at,
            attempt: 1,
            deadline: self.deadline(at, progress.write_took),
            fence,
            kind: target.kind.clone(),
            known: listed.is_some().then_some(attempts),
            manifest_digest: target.desired.digest.clone(),
            release,
            request_id: self.request_id(),
        })
    }

    /// The pass's observation of the offer, if it has all that a launch needs and is recent enough
    /// (`RIGHT_BEFORE`) to replace another inspection.
    fn seen_just_now(target: &Target<'_>, moment: DecisionTime) -> Option<ObservedOffer> {
        let Some(Observation::Offer(seen)) = target.observed.get(&target.change.offer) else {
            return None;
        };
        let age = moment.now.duration_since(seen.asked_at?);
        let is_fresh = (SignedDuration::ZERO..RIGHT_BEFORE).contains(&age);
        let suffices = seen.state.as_ref().is_some_and(|state| state.is_launchable);
        (is_fresh && suffices).then(|| (**seen).clone())
    }

    async fn send(
        &self,
        target: &Target<'_>,
        intent: &Intent,
        progress: &mut Progress,
    ) -> RequestOutcome {
        let launch = Launch {
            kind: target.kind.clone(),
            release: intent.release.clone(),
            fence: intent.fence.clone(),
            request_id: intent.request_id.clone(),
            notify: target.desired.manifest.notify.clone(),
        };
        match self.observer.backend.launch(&target.change.offer, &launch).await {
            Ok(Accepted::Started { operation, retry_after }) => {
                progress.retry_after = retry_after;
                RequestOutcome::Accepted(operation)
            }
            // The marketplace may accept a request without giving a usable URL.
            Ok(Accepted::Unlocated { why }) => RequestOutcome::Unclear(why),
            Err(error) => {
                let mut answer = answer(&error);
                if let (RequestOutcome::Conflict(why), true) = (&answer, progress.is_retried) {
                    // With no release waiting for sign-off, a conflict means that the marketplace
                    // refuses the retry.
                    answer = RequestOutcome::Refused(why.clone());
                }
                if let RequestOutcome::Unclear(why) = &answer {
                    let offer = &target.change.offer;
                    self.reporter.report(&Event::Doubt { offer, why });
                }
                answer
            }
        }
    }

    /// Records the offer's new state as inspected, instead of asking the list, which lags behind.
    async fn revise(
        &self,
        target: &Target<'_>,
        revised: Option<Revised>,
        deadline: Option<Instant>,
    ) -> Triggered {
        let Some(Revised { change, seen_offer, moment }) = revised else {
            return Triggered::Changed(None);
        };
        let seen = Observation::Offer(Box::new(seen_offer));
        self.write_down(target.scope, &change, Some(&seen), moment);
        self.flush().await;
        let runs = change.decision.tracked().is_some();
        let ended = runs && self.poll_in_time(&change.offer, deadline).await;
        Triggered::Revised { ended }
    }

    async fn follow_sent(
        &self,
        target: &Target<'_>,
        sent: &Sent,
        retry_after: Option<Duration>,
        deadline: Option<Instant>,
    ) -> Triggered {
        let over = sent.status.as_ref().is_some_and(OperationStatus::is_finished);
        if over {
            return Triggered::Over;
        }
        if let Some(pause) = retry_after {
            self.follow_after(&target.change.offer, pause);
            return Triggered::Running;
        }
        if self.poll_in_time(&target.change.offer, deadline).await {
            Triggered::Over
        } else {
            Triggered::Running
        }
    }

    /// Records that the offer changed at every attempt.
    pub(super) fn give_up_on(&self, offer: &OfferId, desired: &Loaded, why: Option<&str>) {
        let why = why.unwrap_or("the offer is not what the list says");
        let now = self.clock.now();
        self.edit(offer, desired, |record| record::conflicted(record, why, now));
    }

    /// Records that the deadline passed before the trigger was sent.
    pub(super) fn deadline_passed(&self, scope: &Scope, offer: &OfferId) {
        let Some(desired) = scope.desired.get(offer) else { return };
        let (end, moment) = (out_of_time(&State::Checking), self.moment());
        self.edit(offer, desired, |record| {
            // A request that may have been sent stays in doubt.
            if record.intent.is_none() {
                record::stopped(record, &end, None, desired, moment);
            }
        });
    }

    /// How much longer the marketplace accepts no requests of the publisher, if this run doesn't
    /// wait that long.
    fn put_off(&self, publisher: &PublisherId) -> Option<Duration> {
        let put_off = self.put_off.lock().unwrap_or_else(PoisonError::into_inner);
        put_off
            .get(publisher)?
            .checked_duration_since(Instant::now())
            .filter(|left| !left.is_zero())
    }

    async fn stop_at(
        &self,
        target: &Target<'_>,
        end: StopReason,
        attempt: Option<&Intent>,
    ) -> Triggered {
        let (offer, desired) = (&target.change.offer, target.desired);
        if let StopReason::Throttled(pause) = &end {
            let until = Instant::now() + *pause;
            let mut put_off = self.put_off.lock().unwrap_or_else(PoisonError::into_inner);
            let known = put_off.entry(offer.publisher().clone()).or_insert(until);
            *known = until.max(*known);
        }
        let listing = match target.observed.get(offer) {
            Some(Observation::Offer(seen)) => seen.listing.fingerprint.clone(),
            _ => None,
        };
        let attempt = attempt.map(|intent| (intent, listing));
        let moment = self.moment();
        self.edit(offer, desired, |record| record::stopped(record, &end, attempt, desired, moment));
        self.flush().await;
        match end {
            StopReason::ObserveAgain(why) => Triggered::Changed(why),
            StopReason::Refused(_) => Triggered::Refused,
            StopReason::Unsent(_)
            | StopReason::Throttled(_)
            | StopReason::Unwritten
            | StopReason::InDoubt(_) => Triggered::Stopped,
        }
    }
}
