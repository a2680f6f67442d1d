//! Carries out the commands of the trigger protocol ([`crate::operation::step`]).

use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::Instant;

use super::Reconciler;
use super::answers::{answer, obstacle_of, out_of_time};
use super::launches::{Limits, Tried, Triggered};
use super::observe::Known;
use super::record::{Attempt, RecordEvent};
use super::steps::Evaluation;
use crate::changes::{Change, DecisionTime, Observation, ObservedOffer};
use crate::manifest::Loaded;
use crate::marketplace::{
    Accepted, Launch, OfferId, OfferState, OperationKind, OperationStatus, RequestId,
};
use crate::operation::{
    Command, Fresh, Patience, RequestOutcome, State, Step, StopReason, Trigger, TriggerEvent, step,
};
use crate::report::Event;
use crate::status::Intent;

/// The maximum number of attempts for a request that was certainly not accepted.
const ATTEMPTS: u32 = 3;

/// How many checks of an offer in doubt may fail before the doubt is left to the next run.
const MAX_CHECKS: u32 = 12;

/// How often golive looks for the operation that a conflict points to: twice a minute for a day.
const SEARCHES: u32 = 2 * 60 * 24;

/// How old an inspection may be and still count as made right before the request.
const RIGHT_BEFORE: SignedDuration = SignedDuration::from_secs(3);

/// The input of one launch.
pub(super) struct Target<'a> {
    pub(super) known: &'a Known,
    pub(super) change: &'a Change,
    pub(super) desired: &'a Loaded,
    pub(super) kind: OperationKind,
    pub(super) limits: &'a Limits,
}

/// The new decision about an offer that has changed.
struct Revised {
    change: Change,
    seen_offer: ObservedOffer,
    /// When the check began.
    time: DecisionTime,
}

/// The state that the steps of one launch share.
pub(super) struct Progress {
    random: fastrand::Rng,
    revised: Option<Revised>,
    /// The longest time that writing an intent took. The next intent's deadline leaves time for a
    /// write that takes twice as long.
    pub(super) write_took: Duration,
    /// Whether no release waits for sign-off: the user asked to retry a failed one.
    is_retried: bool,
    /// The intent that the last one replaced.
    pub(super) before: Option<Intent>,
    /// How long the marketplace asks to wait before the first poll.
    retry_after: Option<Duration>,
    /// Whether a request was sent that may have been accepted.
    sent: bool,
    paused_until: Option<Instant>,
}

impl Progress {
    fn new(random: fastrand::Rng) -> Self {
        Self {
            random,
            revised: None,
            write_took: Duration::ZERO,
            is_retried: false,
            before: None,
            retry_after: None,
            sent: false,
            paused_until: None,
        }
    }

    fn request_id(&mut self) -> RequestId {
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes);
        RequestId::from_random(bytes)
    }
}

impl Reconciler {
    /// Sends the request that an evaluation decided on for an offer, by the trigger protocol.
    #[tracing::instrument(target = "otlp", name = "launch", skip_all, fields(%offer))]
    pub(super) async fn launch(
        &self,
        evaluation: &Evaluation,
        offer: &OfferId,
        limits: &Limits,
        random: fastrand::Rng,
    ) -> Tried {
        let Evaluation { changes, known, .. } = evaluation;
        let Some(change) = changes.get(offer) else { return Tried::nothing() };
        let Some((kind, _)) = change.decision.launch() else { return Tried::nothing() };
        let Some(desired) = known.desired.get(offer) else { return Tried::nothing() };
        let target = Target { known, change, desired, kind, limits };
        let mut progress = Progress::new(random);
        let outcome = self.carry_through(&target, &mut progress).await;
        let Progress { sent, retry_after: poll_after, paused_until, .. } = progress;
        Tried { outcome, sent, poll_after, paused_until }
    }

    /// Runs the protocol to its end.
    async fn carry_through(&self, target: &Target<'_>, progress: &mut Progress) -> Triggered {
        let change = target.change;
        let pending = self.store.get(&change.offer).and_then(|record| record.intent.clone());
        let (mut trigger, mut next) = match pending {
            // Once the publisher was throttled, don't wait the same time again for each of its
            // offers.
            None if let Some(pause) = target.limits.pause_left() => {
                return self.stop_at(target, StopReason::Throttled(pause), None, progress).await;
            }
            None => Trigger::fresh(),
            Some(intent) => {
                if target.limits.is_first {
                    let why =
                        format!("request {} was left open by a run before", intent.request_id);
                    self.reporter.report(&Event::Doubt { offer: &change.offer, why: &why });
                }
                // `--retry` allows one more attempt for a request in doubt.
                let is_retried = target.known.policy.retries(&change.offer);
                let attempt = if is_retried { 1 } else { intent.attempt };
                Trigger::in_doubt(Intent { attempt, ..*intent })
            }
        };
        let mut attempt = None;
        loop {
            let command = match next {
                Step::Follow(sent) => {
                    let is_over = sent.status.as_ref().is_some_and(OperationStatus::is_finished);
                    return if is_over { Triggered::Over } else { Triggered::Running };
                }
                Step::Stop(StopReason::ObserveAgain(_)) if progress.revised.is_some() => {
                    return self.revise(target, progress.revised.take()).await;
                }
                Step::Stop(end) => {
                    return self.stop_at(target, end, attempt.as_ref(), progress).await;
                }
                Step::Do(command) => command,
            };
            if let Command::Send(intent) = &command {
                attempt = Some(intent.clone());
            }
            let Some(event) = self.carry_out(target, command, progress).await else {
                if self.stop.is_cancelled() {
                    self.note(&change.offer, target.desired, RecordEvent::Interrupted);
                }
                return Triggered::Stopped;
            };
            progress.sent |= matches!(
                &event,
                TriggerEvent::Answered(RequestOutcome::Accepted(_) | RequestOutcome::Unclear(_))
            );
            tracing::trace!(offer = %change.offer, ?event, "trigger protocol");
            (trigger, next) = step(trigger, event, self.patience(target));
            if let Step::Do(Command::Wait(pause)) = next
                && target.limits.deadline.is_some_and(|deadline| Instant::now() + pause > deadline)
            {
                // The next run can continue from what is on disk.
                next = Step::Stop(out_of_time(&trigger.state));
            }
        }
    }

    /// The limits that apply now: no pause outlasts the run, and once a launch of the publisher was
    /// given up because of a pause, others don't wait out pauses either.
    fn patience(&self, target: &Target<'_>) -> Patience {
        let limits = target.limits;
        let left = limits.deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let left = left.unwrap_or(Duration::MAX);
        let was_paused = limits.paused_until.is_some();
        let pause = if was_paused { Duration::ZERO } else { self.settings.pause };
        let settling = self.observer.settling(target.change.offer.publisher());
        Patience {
            settling,
            attempts: ATTEMPTS,
            checks: MAX_CHECKS,
            searches: SEARCHES,
            pause,
            left,
        }
    }

    /// Carries out one command; `None` if the user stopped golive or the manifest changed instead.
    /// A request that was sent is never aborted for that: its answer must not be lost.
    async fn carry_out(
        &self,
        target: &Target<'_>,
        command: Command,
        progress: &mut Progress,
    ) -> Option<TriggerEvent> {
        let offer = &target.change.offer;
        match command {
            Command::WriteIntent(_) if target.limits.stop.is_cancelled() => None,
            Command::Check => {
                progress.revised = None;
                tokio::select! {
                    biased;
                    () = target.limits.stop.cancelled() => None,
                    checked = self.check_again(target, progress) => Some(checked),
                }
            }
            Command::WriteIntent(intent) => Some(self.write_intent(target, intent, progress).await),
            Command::Send(_) if target.limits.stop.is_cancelled() => {
                // The request was not sent yet: the previous attempt is in doubt again.
                self.drop_intent(target, progress.before.take()).await;
                None
            }
            // A process that finds the intent relies on its deadline.
            Command::Send(intent) if self.can_not_be_over_by(target, intent.deadline) => {
                Some(TriggerEvent::DeadlineMissed)
            }
            Command::Send(intent) => {
                let answer = self.send(target, &intent, progress).await;
                let kind = &intent.kind;
                self.reporter.report(&Event::Answered { offer, kind, answer: &answer });
                Some(TriggerEvent::Answered(answer))
            }
            Command::CheckDoubt => {
                let at = self.clock.now();
                let found = tokio::select! {
                    biased;
                    () = target.limits.stop.cancelled() => return None,
                    found = self.check_offer(target) => found,
                };
                let manifest_digest = target.desired.digest.clone();
                let (at_last, request_id) = (self.clock.now(), progress.request_id());
                let deadline = self.deadline(target, at_last, progress.write_took);
                let fresh = Fresh { at: at_last, deadline, request_id, manifest_digest };
                Some(TriggerEvent::DoubtChecked { found, at, fresh })
            }
            Command::WriteOperation(sent) => {
                let manifest = target.desired;
                self.note(offer, manifest, RecordEvent::Accepted { sent: &sent, manifest });
                Some(self.flush().await)
            }
            Command::DropIntent(before) => Some(self.drop_intent(target, before).await),
            Command::Wait(pause) => {
                let why = "before the offer is inspected again";
                self.reporter.report(&Event::Waiting { offer, pause, why });
                tokio::select! {
                    biased;
                    () = target.limits.stop.cancelled() => None,
                    () = tokio::time::sleep(pause) => Some(TriggerEvent::Elapsed),
                }
            }
        }
    }

    /// Inspects the offer and decides about it again.
    async fn check_again(&self, target: &Target<'_>, progress: &mut Progress) -> TriggerEvent {
        let time = self.decision_time(&target.change.offer);
        let found = match Self::seen_just_now(target, time) {
            Some(seen_offer) => Ok((seen_offer, Some(target.change.clone()))),
            None => self.inspect_for(target, time).await,
        };
        let (seen_offer, change) = match found {
            Ok((seen_offer, Some(change))) => (seen_offer, change),
            Ok((_, None)) => return TriggerEvent::Changed,
            Err(seen) => return TriggerEvent::CheckFailed(obstacle_of(seen)),
        };
        let Some((kind, release)) = change.decision.launch() else {
            progress.revised = Some(Revised { change, seen_offer, time });
            return TriggerEvent::Changed;
        };
        if kind != target.kind {
            return TriggerEvent::Changed;
        }
        let release = release.clone();
        // Send only what people reviewed.
        if target.known.policy.verify && change.decision != target.change.decision {
            return TriggerEvent::Changed;
        }
        let state = seen_offer.state.unwrap_or_default();
        progress.is_retried = target.kind == OperationKind::GoLive && state.preview.is_none();
        let OfferState { fence, attempts, listed, .. } = state;
        let at = self.clock.now();
        TriggerEvent::Confirmed(Intent {
            at,
            attempt: 1,
            deadline: self.deadline(target, at, progress.write_took),
            fence,
            kind: target.kind.clone(),
            known: listed.is_some().then_some(attempts),
            manifest_digest: target.desired.digest.clone(),
            release,
            request_id: progress.request_id(),
        })
    }

    /// The known observation of the offer, if it has all that a launch needs and is recent enough
    /// (`RIGHT_BEFORE`) to replace another inspection.
    fn seen_just_now(target: &Target<'_>, time: DecisionTime) -> Option<ObservedOffer> {
        let Some(Observation::Offer(seen)) = target.known.observed.get(&target.change.offer) else {
            return None;
        };
        let age = time.now.duration_since(seen.asked_at?);
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
    async fn revise(&self, target: &Target<'_>, revised: Option<Revised>) -> Triggered {
        let Some(Revised { change, seen_offer, time }) = revised else {
            return Triggered::Changed(None);
        };
        let seen = Observation::Offer(Box::new(seen_offer));
        self.note_decision(target.desired, &change, Some(&seen), time);
        self.flush().await;
        Triggered::Revised
    }

    /// Records that the offer changed at every attempt.
    pub(super) fn give_up_on(&self, offer: &OfferId, desired: &Loaded, why: Option<&str>) {
        let why = why.unwrap_or("the offer is not what the list says");
        self.note(offer, desired, RecordEvent::KeptChanging { why });
    }

    /// Records that the deadline passed before the trigger was sent.
    pub(super) fn deadline_passed(&self, offer: &OfferId, manifest: &Loaded) {
        let end = out_of_time(&State::Checking);
        self.note(offer, manifest, RecordEvent::OutOfTime { end: &end, manifest });
    }

    async fn stop_at(
        &self,
        target: &Target<'_>,
        end: StopReason,
        attempt: Option<&Intent>,
        progress: &mut Progress,
    ) -> Triggered {
        let (offer, manifest) = (&target.change.offer, target.desired);
        if let StopReason::Throttled(pause) = &end {
            progress.paused_until = Instant::now().checked_add(*pause);
        }
        let fingerprint = match target.known.observed.get(offer) {
            Some(Observation::Offer(seen)) => seen.listing.fingerprint.clone(),
            _ => None,
        };
        let attempt = attempt.map(|intent| Attempt { intent, fingerprint });
        self.note(offer, manifest, RecordEvent::Stopped { end: &end, attempt, manifest });
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
