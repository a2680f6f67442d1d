//! The work that tasks do: looks, launches and polls. The engine reserves a task's offers for it,
//! so that no two tasks work on one offer at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

use super::trigger::{Tried, Triggered};
use super::{Desired, Observations, Reconciler, RunError};
use crate::changes::{
    Change, ChangeSet, DecisionTime, Input, Observation, Policy, check, undecided,
    with_dependencies,
};
use crate::marketplace::{OfferId, PublisherId};
use crate::report::Event;
use crate::status::{OfferRecord, Reason};

/// The offers that a task works on, and the manifests and policy for them.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    /// The manifests.
    pub(super) desired: Desired,
    /// The user's choices; the policy's scope names the offers.
    pub(super) policy: Policy,
}

impl Scope {
    /// The same manifests and policy for these offers alone.
    fn about(&self, offers: BTreeSet<OfferId>) -> Self {
        let policy = Policy { scope: Some(offers), ..self.policy.clone() };
        Self { desired: Arc::clone(&self.desired), policy }
    }
}

/// The result of a look at some offers.
#[derive(Debug)]
pub struct Evaluation {
    /// The decisions.
    pub changes: ChangeSet,
    /// The offers that are still undecided, grouped by the dependencies between them.
    pub(super) open: Vec<Open>,
    /// Whether publishers were listed for this look; otherwise an older list was reused.
    pub is_of_lists: bool,
    /// The publishers listed in this look.
    pub listed: BTreeSet<PublisherId>,
    /// The publishers that could not be listed, with the reason.
    pub unlisted: BTreeMap<PublisherId, String>,
    pub(super) observed: Observations,
    pub(super) scope: Scope,
    /// When the look began.
    pub(super) moment: DecisionTime,
}

impl Evaluation {
    /// Whether the offer's publisher could be listed.
    #[must_use]
    pub fn is_listed(&self, offer: &OfferId) -> bool {
        !self.unlisted.contains_key(offer.publisher())
    }
}

/// Offers about which the marketplace must be asked one by one. Offers that a list is enough for
/// don't wait for these, since one answer may take minutes.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) offers: BTreeSet<OfferId>,
    unlisted: BTreeMap<PublisherId, String>,
    recorded: BTreeMap<OfferId, Arc<OfferRecord>>,
    observed: Observations,
    scope: Scope,
    moment: DecisionTime,
}

/// The next step for an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Poll its operation at this time.
    Poll(Instant),
    /// Look at the offer on this date (UTC): a launch date has come, a pause is over, or a request
    /// in doubt has settled.
    EvaluateOn(Timestamp),
    /// Look at the offer again at once.
    EvaluateNow,
    /// Look at the offer soon, together with others whose operations end about now.
    EvaluateSoon,
    /// Try again after a pause that the caller chooses: the offer could not be asked about, or its
    /// request could not be sent.
    Retry,
    /// Nothing, until something changes.
    Rest,
}

impl Open {
    /// The known facts about some of the offers.
    fn part(&self, offers: BTreeSet<OfferId>) -> Self {
        let scope = self.scope.about(offers.clone());
        let wanted = with_dependencies(&scope.desired, &scope.policy);
        let copy = |offer: &&OfferId| Some(((*offer).clone(), self.observed.get(*offer)?.clone()));
        let observed = wanted.iter().filter_map(copy).collect();
        let copy = |offer: &&OfferId| Some(((*offer).clone(), self.recorded.get(*offer)?.clone()));
        let recorded = wanted.iter().filter_map(copy).collect();
        let (unlisted, moment) = (self.unlisted.clone(), self.moment);
        Self { offers, unlisted, recorded, observed, scope, moment }
    }
}

impl Reconciler {
    /// Looks at the offers in scope and decides about those for which the publishers' lists are
    /// enough. The others are left to [`inspect`](Self::inspect), unless `as_one` demands one
    /// decision about all. `None` if the user stopped golive.
    #[tracing::instrument(target = "otlp", name = "look", skip_all)]
    pub(super) async fn evaluate(
        &self,
        scope: Scope,
        as_one: bool,
    ) -> Result<Option<Evaluation>, RunError> {
        let moment = self.moment();
        let recorded = self.recorded(&scope);
        let observed = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Ok(None),
            listed = self.observer.list(&scope.desired, &recorded, &scope.policy) => listed,
        };
        let unlisted = self.unlisted(&observed);
        let asked = observed.keys().map(OfferId::publisher);
        let listed = asked.filter(|it| !unlisted.contains_key(*it)).cloned().collect();
        let (desired, policy) = (&scope.desired, &scope.policy);
        let input = Input { desired, recorded: &recorded, observed: &observed, moment, policy };
        let undecided = if as_one { BTreeSet::new() } else { undecided(input) };
        let decided = policy.scope.iter().flatten().filter(|offer| !undecided.contains(*offer));
        let decided: BTreeSet<OfferId> = decided.cloned().collect();
        let all = Open { offers: decided, unlisted, recorded, observed, scope, moment };
        let open = linked(&all.scope.desired, &undecided);
        let open = open.into_iter().map(|offers| all.part(offers)).collect();
        let evaluated =
            self.inspect(Open { scope: all.scope.about(all.offers.clone()), ..all }).await?;
        Ok(evaluated.map(|evaluated| Evaluation { open, listed, is_of_lists: true, ..evaluated }))
    }

    /// Asks the questions that decisions about open offers need, then decides.
    #[tracing::instrument(target = "otlp", name = "settle", skip_all)]
    pub(super) async fn inspect(&self, open: Open) -> Result<Option<Evaluation>, RunError> {
        let Open { offers: _, unlisted, recorded, observed, scope, moment } = open;
        let (desired, policy) = (&scope.desired, &scope.policy);
        let heard = |offer: &OfferId, inquiry: &mut _| self.add_heard(offer, inquiry);
        let settling =
            self.observer.inspect_with(observed, desired, &recorded, policy, moment, heard);
        let (observed, changes) = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Ok(None),
            settled = settling => settled,
        };
        let input = Input { desired, recorded: &recorded, observed: &observed, moment, policy };
        let violations = check(&changes, input);
        if !violations.is_empty() {
            return Err(RunError::Unsound(violations));
        }
        let (open, listed) = (Vec::new(), BTreeSet::new());
        let is_of_lists = false;
        Ok(Some(Evaluation {
            changes,
            open,
            is_of_lists,
            listed,
            unlisted,
            observed,
            scope,
            moment,
        }))
    }

    /// The publishers that could not be listed, with the reason. Reports each once.
    fn unlisted(&self, listed: &Observations) -> BTreeMap<PublisherId, String> {
        let mut unlisted = BTreeMap::new();
        for (offer, seen) in listed {
            let (reason, why) = match seen {
                Observation::Unauthorized(why) => (Reason::Unauthorized, why),
                Observation::Throttled(why) => (Reason::Throttled, why),
                Observation::Unreachable(why) => (Reason::Unreachable, why),
                // The publisher answered, even if the answer is a refusal.
                Observation::Offer(_) | Observation::Forbidden(_) | Observation::NotFound(_) => {
                    continue;
                }
            };
            let publisher = offer.publisher();
            if unlisted.insert(publisher.clone(), why.clone()).is_none() {
                self.reporter.report(&Event::NotListed { publisher, reason });
            }
        }
        unlisted
    }

    /// The records of the offers in scope and of the offers that they wait for.
    fn recorded(&self, scope: &Scope) -> BTreeMap<OfferId, Arc<OfferRecord>> {
        let wanted = with_dependencies(&scope.desired, &scope.policy);
        self.store.with(|file| {
            let known = wanted.iter().filter_map(|offer| file.offers.get_key_value(*offer));
            known.map(|(offer, record)| (offer.clone(), record.clone())).collect()
        })
    }

    /// Sends the request that a look decided on for an offer, by the trigger protocol.
    #[tracing::instrument(target = "otlp", name = "launch", skip_all, fields(%offer))]
    pub(super) async fn launch(
        &self,
        evaluated: &Evaluation,
        offer: &OfferId,
        deadline: Option<Instant>,
    ) -> Tried {
        match evaluated.changes.get(offer) {
            Some(change) => {
                self.trigger(&evaluated.scope, change, &evaluated.observed, deadline).await
            }
            None => Tried { outcome: Triggered::Stopped, sent: false },
        }
    }

    /// Polls the running operation of an offer.
    #[tracing::instrument(target = "otlp", name = "poll", skip_all, fields(%offer))]
    pub(super) async fn poll(&self, offer: &OfferId) -> Next {
        if self.ask_once(offer).await { Next::EvaluateSoon } else { self.next(offer) }
    }

    /// Removes an offer whose manifest is gone, once no operation runs and no request is in doubt.
    pub(super) async fn remove(&self, offer: &OfferId) -> Next {
        self.handle_orphan(offer).await;
        if self.forget_if_idle(offer) { Next::Rest } else { self.next(offer) }
    }

    /// Asks about the running operation or the request in doubt of an offer whose manifest can't be
    /// read at the moment. Sends no request.
    pub(super) async fn resolve_orphan_intent(&self, offer: &OfferId) -> Next {
        self.handle_orphan(offer).await;
        let settled = self.store.get(offer).is_none_or(|record| record.intent.is_none());
        match self.next(offer) {
            Next::Poll(due) => Next::Poll(due),
            _ if settled => Next::Rest,
            Next::EvaluateOn(_)
            | Next::EvaluateNow
            | Next::EvaluateSoon
            | Next::Retry
            | Next::Rest => Next::Retry,
        }
    }

    /// The next step for an offer, according to its record.
    pub(super) fn next(&self, offer: &OfferId) -> Next {
        if let Some(due) = self.next_poll(offer) {
            return Next::Poll(due);
        }
        let found = self.store.with(|file| {
            let record = file.offers.get(offer)?;
            // A refused request stays refused until something changes; any other error may pass.
            let refused = record.refused.as_ref().map(|refused| &refused.message);
            let passes = record.error.as_ref().is_some_and(|it| Some(&it.message) != refused);
            Some((record.next_check_at, record.intent.is_some() || passes))
        });
        match found {
            Some((Some(at), _)) => Next::EvaluateOn(at),
            Some((None, true)) => Next::Retry,
            Some((None, false)) | None => Next::Rest,
        }
    }

    /// Records the decision about an offer and reports it. Absences are judged by the time at which
    /// the questions began: the last answer may have come much later.
    pub(super) fn write_down(
        &self,
        scope: &Scope,
        change: &Change,
        seen: Option<&Observation>,
        moment: DecisionTime,
    ) {
        let Some(desired) = scope.desired.get(&change.offer) else { return };
        let file = self.paths.name(&desired.file);
        self.edit(&change.offer, desired, |record| {
            record.manifest.file = file;
            super::record::decided(record, change, seen, desired, moment);
        });
        let runs = self.store.with(|file| {
            file.offers.get(&change.offer).is_some_and(|record| record.running().is_some())
        });
        if !runs {
            self.stop_following(&change.offer);
        }
    }
}

/// Groups offers that wait for each other; an offer without such links forms its own group.
fn linked(desired: &Desired, offers: &BTreeSet<OfferId>) -> Vec<BTreeSet<OfferId>> {
    let mut waiting: BTreeMap<&OfferId, Vec<&OfferId>> = BTreeMap::new();
    for offer in offers {
        for before in desired.get(offer).iter().flat_map(|loaded| &loaded.manifest.after) {
            if offers.contains(before) {
                waiting.entry(offer).or_default().push(before);
                waiting.entry(before).or_default().push(offer);
            }
        }
    }
    let mut groups = Vec::new();
    let mut seen: BTreeSet<&OfferId> = BTreeSet::new();
    for first in offers {
        let mut group = BTreeSet::new();
        let mut next = vec![first];
        while let Some(offer) = next.pop() {
            if seen.insert(offer) {
                group.insert(offer.clone());
                next.extend(waiting.get(offer).into_iter().flatten().copied());
            }
        }
        if !group.is_empty() {
            groups.push(group);
        }
    }
    groups
}
