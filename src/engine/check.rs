//! Inspects one offer: before a request, and while a request is in doubt.

use std::collections::BTreeSet;

use super::Reconciler;
use super::observe::failed;
use super::polls::Reports;
use super::trigger::Target;
use crate::changes::{Change, DecisionTime, Observation, ObservedOffer, Unavailable};
use crate::marketplace::{OfferState, OperationKind, OperationRef, OperationStatus};
use crate::operation::DoubtCheck;
use crate::status::Intent;

/// What an offer's state shows about an intent's request.
pub(super) fn shown(intent: &Intent, state: &OfferState) -> DoubtCheck {
    let by_id =
        |id: &Option<String>| id.as_ref().map(|id| OperationRef { id: id.clone(), location: None });
    if let Some(run) = &state.running {
        let is_kind = run.kind == intent.kind || run.kind.as_str().is_empty();
        return if is_kind {
            DoubtCheck::Operation { operation: by_id(&run.id), status: OperationStatus::Running }
        } else {
            DoubtCheck::Elsewhere
        };
    }
    let is_in_place = match intent.kind {
        OperationKind::Publish => state.preview.is_some(),
        OperationKind::GoLive | OperationKind::Cancel | OperationKind::Unknown(_) => {
            state.live.as_ref() == Some(&intent.release)
        }
    };
    let new = state.new_attempt(&intent.kind, &intent.release);
    if is_in_place {
        return match new {
            Some(new) if new.status == OperationStatus::Succeeded => {
                DoubtCheck::Operation { operation: by_id(&new.id), status: new.status.clone() }
            }
            Some(new) if new.release.as_ref().is_none_or(|it| *it == intent.release) => {
                DoubtCheck::Failed(format!(
                    "the offer shows release {}, but the list of operations says that its {} {}",
                    intent.release, intent.kind, new.status
                ))
            }
            Some(_) | None => DoubtCheck::Live,
        };
    }
    match new {
        // Don't believe a success that is only listed: the offer must show it.
        Some(new) if new.status == OperationStatus::Succeeded => {
            return DoubtCheck::Failed(format!(
                "the list of operations says that {} has succeeded, but the offer does not show it",
                intent.kind
            ));
        }
        Some(new) => {
            return DoubtCheck::Operation { operation: by_id(&new.id), status: new.status.clone() };
        }
        None => {}
    }
    if let Some(why) = &state.unclear {
        return DoubtCheck::Failed(why.clone());
    }
    match intent.kind {
        OperationKind::Publish if state.preview.is_none() && state.live.is_none() => {
            DoubtCheck::StillWaiting { fence: state.fence.clone() }
        }
        OperationKind::GoLive if state.preview.as_ref() == Some(&intent.release) => {
            DoubtCheck::StillWaiting { fence: state.fence.clone() }
        }
        // A retry, for a release that does not wait for sign-off.
        OperationKind::GoLive if state.stale_preview.as_ref() == Some(&intent.release) => {
            DoubtCheck::StillWaiting { fence: state.fence.clone() }
        }
        OperationKind::GoLive if state.preview.is_none() && state.stale_preview.is_none() => {
            DoubtCheck::Gone
        }
        OperationKind::GoLive
        | OperationKind::Publish
        | OperationKind::Cancel
        | OperationKind::Unknown(_) => DoubtCheck::Elsewhere,
    }
}

impl Reconciler {
    /// Looks at an offer whose request is in doubt.
    pub(super) async fn check_offer(&self, target: &Target<'_>) -> DoubtCheck {
        let offer = &target.change.offer;
        let time = self.decision_time(offer);
        let Some(intent) = self.store.get(offer).and_then(|record| record.intent.clone()) else {
            return DoubtCheck::Failed("the request is not on record".to_owned());
        };
        let (seen_offer, change) = match self.inspect_for(target, time).await {
            Ok(found) => found,
            Err(seen) => return DoubtCheck::Failed(said(seen)),
        };
        let Some(state) = &seen_offer.state else {
            return DoubtCheck::Failed("the offer could not be asked about".to_owned());
        };
        let found = shown(&intent, state);
        // Send again only what golive would decide now: the manifest may ask for something else,
        // and an offer that it waits for may no longer be live.
        let launch = change.as_ref().and_then(|change| change.decision.launch());
        let still = launch.is_some_and(|(kind, _)| kind == intent.kind);
        if matches!(found, DoubtCheck::StillWaiting { .. }) && !still {
            DoubtCheck::Elsewhere
        } else {
            found
        }
    }

    /// Inspects one offer as for a launch, and decides about it.
    pub(super) async fn inspect_for(
        &self,
        target: &Target<'_>,
        time: DecisionTime,
    ) -> Result<(ObservedOffer, Option<Change>), Observation> {
        let offer = &target.change.offer;
        let Some(Observation::Offer(seen)) = target.known.observed.get(offer) else {
            let what = "the offer was not listed".to_owned();
            return Err(Observation::Unavailable(Unavailable::Unreachable, what));
        };
        let record = self.store.get(offer);
        let mut inquiry = super::observe::inquiry(seen, target.desired, record.as_deref());
        inquiry.launches = true;
        let state = self.observer.backend.inspect(offer, &inquiry).await;
        let state = state.map_err(|error| failed(&error))?;
        let seen_offer = seen.with(state, time.now);
        let change = self.decide_alone(target, &seen_offer, time).await;
        Ok((seen_offer, change))
    }

    /// Decides about one offer from its observation since `moment` and from what is known of the
    /// offers it waits for.
    async fn decide_alone(
        &self,
        target: &Target<'_>,
        seen_offer: &ObservedOffer,
        time: DecisionTime,
    ) -> Option<Change> {
        let offer = &target.change.offer;
        let mut known = target.known.about(BTreeSet::from([offer.clone()]));
        known.recorded = self.recorded(&known.desired, &known.policy);
        known.observed.insert(offer.clone(), Observation::Offer(Box::new(seen_offer.clone())));
        known.time = time;
        // Running operations are polled again.
        known.reports = Reports::default();
        let (_, changes) = self.observer.inspect(known).await;
        changes.get(offer).cloned()
    }
}

/// The marketplace's message about an offer that could not be seen.
pub(super) fn said(seen: Observation) -> String {
    match seen {
        Observation::Unavailable(_, why) => why,
        Observation::Offer(_) => String::new(),
    }
}
