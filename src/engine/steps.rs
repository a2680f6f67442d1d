//! The work that tasks do: looks, launches and polls. The engine reserves a task's offers for it,
//! so that no two tasks work on one offer at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::polls::{Reports, add_report};
use super::{Desired, Observations, Reconciler, RunError};
use crate::changes::{
    ChangeSet, DecisionTime, Input, Observation, Policy, check, undecided, with_dependencies,
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
    /// What is known of running operations without asking.
    pub(super) reports: Reports,
}

impl Scope {
    /// The same manifests and policy for these offers alone.
    fn about(&self, offers: BTreeSet<OfferId>) -> Self {
        let policy = Policy { scope: Some(offers), ..self.policy.clone() };
        let (desired, reports) = (Arc::clone(&self.desired), Arc::clone(&self.reports));
        Self { desired, policy, reports }
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
            listed = self.observer.list(&scope.desired, &scope.policy) => listed,
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
        let heard = |offer: &OfferId, inquiry: &mut _| add_report(&scope.reports, offer, inquiry);
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
