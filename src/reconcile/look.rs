//! Looking at one offer apart from the others: before a request, and in doubt about one.

use std::collections::{BTreeMap, BTreeSet};

use super::Reconciler;
use super::trigger::Target;
use crate::changes::{
    Block, Change, Decision, Failure, Moment, Observation, Outcome, Policy, Seen, came_of,
    with_dependencies,
};
use crate::marketplace::{
    Offer, OfferId, OperationKind, OperationRef, OperationStatus, Submission, Version,
};
use crate::operation::Look;
use crate::status::Intent;

/// An operation as the list of operations shows it.
fn found(submission: &Submission) -> Look {
    Look::Operation { operation: Some(submission.reference()), status: submission.state.clone() }
}

/// What an offer shows of an intent's request, by what would be decided about it now.
fn shown(
    target: &Target<'_>,
    intent: &Intent,
    observation: &Observation,
    decision: Decision,
) -> Look {
    // A manifest may have come to ask for something else since the request.
    let is_same_request = intent.kind == target.kind && intent.version == target.version;
    let may_be = |kind: &OperationKind, version: Option<Version>| {
        (*kind == intent.kind || kind.as_str().is_empty())
            && version.is_none_or(|version| version == intent.version)
    };
    let by_id = |id: Option<String>| id.map(|id| OperationRef { id, location: None });
    match decision {
        Decision::Track(tracked) if may_be(&tracked.kind, tracked.version) => {
            Look::Operation { operation: by_id(tracked.id), status: OperationStatus::Running }
        }
        decision if decision.achieves(intent) => {
            observation.came_of(intent).map_or(Look::Live, found)
        }
        Decision::Failed(Failure { outcome, kind, id, version, .. }) if may_be(&kind, version) => {
            let status = match outcome {
                Outcome::Failed => OperationStatus::Failed,
                Outcome::Canceled => OperationStatus::Canceled,
            };
            Look::Operation { operation: by_id(id), status }
        }
        decision if decision == target.change.decision && is_same_request => {
            Look::StillWaiting { etag: observation.etag.clone() }
        }
        // An offer that could not be asked about says nothing of the request.
        Decision::Blocked(
            Block::Unauthorized(why)
            | Block::Forbidden(why)
            | Block::NotFound(why)
            | Block::Throttled(why)
            | Block::Unreachable(why),
        ) => Look::Failed(why),
        Decision::Track(_)
        | Decision::GoLive { .. }
        | Decision::InSync(_)
        | Decision::Publish { .. }
        | Decision::Held(_)
        | Decision::Blocked(_)
        | Decision::Failed(_) => {
            // What came of it may have ended before something else began.
            let over = observation.came_of(intent).filter(|it| it.state.is_finished());
            over.map_or(Look::Elsewhere, found)
        }
    }
}

impl Reconciler {
    /// Looks at an offer of which it is not known whether the request was accepted.
    pub(super) async fn look_at(&self, target: &Target<'_>) -> Look {
        let (offer, moment) = (&target.change.offer, self.moment());
        let Some(intent) = self.store.get(offer).and_then(|record| record.intent.clone()) else {
            return Look::Failed("the request is not on record".to_owned());
        };
        if let Some(look) = self.look_for_operation(offer, &intent).await {
            return look;
        }
        let observation = match self.observer.look(offer).await {
            Ok(observation) => observation,
            Err(
                Seen::NotFound(why)
                | Seen::Forbidden(why)
                | Seen::Unauthorized(why)
                | Seen::Throttled(why)
                | Seen::Unreachable(why),
            ) => {
                return Look::Failed(why);
            }
            Err(Seen::Offer(observation)) => *observation,
        };
        let (observation, change) = self.decide_alone(target, observation, moment).await;
        match change {
            Some(change) => shown(target, &intent, &observation, change.decision),
            None => Look::Failed("the offer is out of scope".to_owned()),
        }
    }

    /// The operation that came of an intent, where the list of operations shows it: the cheapest
    /// look, and all that is needed after a 202 without a usable URL.
    pub(super) async fn look_for_operation(
        &self,
        offer: &OfferId,
        intent: &Intent,
    ) -> Option<Look> {
        let submissions = self.observer.submissions(offer).await.ok()?;
        let submission = came_of(&submissions, intent)?;
        // How one failed is for the whole look to tell.
        let is_over = submission.state.is_finished();
        let is_well = !is_over || submission.state == OperationStatus::Succeeded;
        is_well.then(|| found(submission))
    }

    /// Decides about one offer, with what was seen of it since a moment and what the pass saw of the
    /// offers it waits for.
    pub(super) async fn decide_alone(
        &self,
        target: &Target<'_>,
        observation: Observation,
        moment: Moment,
    ) -> (Observation, Option<Change>) {
        let offer = &target.change.offer;
        let scope = Some(BTreeSet::from([offer.clone()]));
        let policy = Policy { scope, ..target.policy.clone() };
        let wanted = with_dependencies(&target.job.desired, &policy);
        let pick =
            |offer: &&OfferId| Some(((*offer).clone(), target.job.desired.get(offer)?.clone()));
        let desired: BTreeMap<_, _> = wanted.iter().filter_map(pick).collect();
        let recorded = wanted
            .iter()
            .filter_map(|offer| Some(((*offer).clone(), self.store.get(offer)?)))
            .collect();
        let mut observed: BTreeMap<OfferId, Seen> = wanted
            .iter()
            .filter_map(|offer| Some(((*offer).clone(), target.observed.get(*offer)?.clone())))
            .collect();
        observed.insert(offer.clone(), Seen::Offer(Box::new(observation.clone())));
        let (mut observed, changes) =
            self.observer.settle(observed, &desired, &recorded, &policy, moment).await;
        let change = changes.get(offer).cloned();
        match observed.remove(offer) {
            Some(Seen::Offer(observation)) => (*observation, change),
            Some(
                Seen::Unauthorized(_)
                | Seen::Forbidden(_)
                | Seen::NotFound(_)
                | Seen::Throttled(_)
                | Seen::Unreachable(_),
            )
            | None => (observation, change),
        }
    }
}

/// What was observed before, as far as the offer itself does not say otherwise.
pub(super) fn refreshed(before: &Observation, answer: Offer) -> Observation {
    let news = |is_new: Option<bool>| is_new.unwrap_or(false);
    let changed = news(answer.version.map(|version| Some(version) != before.version))
        || news(answer.status.as_ref().map(|status| !status.is_like(before.status())))
        || news(
            answer
                .changed_time
                .as_ref()
                .zip(before.changed_time.as_ref())
                .map(|(new, old)| !new.is_like(old)),
        );
    if !changed {
        let (preview, production) = (before.preview.asked(), before.production.asked());
        return Observation { etag: answer.etag, preview, production, ..before.clone() };
    }
    Observation {
        version: answer.version.or(before.version),
        changed_time: answer.changed_time.or_else(|| before.changed_time.clone()),
        etag: answer.etag,
        ..Observation::of(answer.status.unwrap_or_else(|| before.status().clone()))
    }
}
