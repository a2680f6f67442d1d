//! Evaluates groups of offers: lists their publishers, inspects single offers, and decides. The engine
//! reserves a task's offers for it, so that no two tasks work on one offer at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::observe::{Known, verified};
use super::polls::Reports;
use super::{Desired, Observations, Reconciler, RunError};
use crate::changes::{ChangeSet, Observation, Policy, undecided, with_dependencies};
use crate::marketplace::{OfferId, PublisherId};
use crate::report::Event;
use crate::status::OfferRecord;

/// The result of evaluating some offers.
#[derive(Debug)]
pub struct Evaluation {
    /// The decisions.
    pub changes: ChangeSet,
    /// The offers that are still undecided, grouped by the dependencies between them.
    pub(super) open: Vec<Open>,
    /// The publishers that were listed; `None` if this evaluation reused older lists.
    pub listed: Option<BTreeSet<PublisherId>>,
    /// The publishers that could not be listed, with the reason.
    pub unlisted: BTreeMap<PublisherId, String>,
    pub(super) known: Known,
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
    known: Known,
}

impl Reconciler {
    /// Lists the publishers of the offers in scope, and decides about those for which the lists are
    /// enough. The others are left to [`inspect`](Self::inspect), unless the policy demands one
    /// verified decision about all. `None` if the user stopped golive.
    #[tracing::instrument(target = "otlp", name = "evaluate", skip_all)]
    pub(super) async fn evaluate(
        &self,
        desired: Desired,
        policy: Policy,
        reports: Reports,
    ) -> Result<Option<Evaluation>, RunError> {
        let now = self.clock.now();
        let recorded = self.recorded(&desired, &policy);
        let observed = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Ok(None),
            listed = self.observer.list(&desired, &recorded, &policy) => listed,
        };
        let unlisted = self.unlisted(&observed);
        let asked = observed.keys().map(OfferId::publisher);
        let listed = asked.filter(|it| !unlisted.contains_key(*it)).cloned().collect();
        let time = self.observer.decision_time(now, observed.keys().map(OfferId::publisher));
        let known = Known { desired, policy, recorded, observed, reports, time };
        let undecided =
            if known.policy.verify { BTreeSet::new() } else { undecided(known.input()) };
        let scope = known.policy.scope.iter().flatten();
        let decided = scope.filter(|offer| !undecided.contains(*offer)).cloned().collect();
        let part = |offers: BTreeSet<OfferId>| {
            let known = known.about(offers.clone());
            Open { offers, unlisted: unlisted.clone(), known }
        };
        let open = linked(&known.desired, &undecided).into_iter().map(part).collect();
        let evaluation = self.inspect(part(decided)).await?;
        Ok(evaluation.map(|it| Evaluation { open, listed: Some(listed), ..it }))
    }

    /// Asks the questions that decisions about open offers need, then decides.
    #[tracing::instrument(target = "otlp", name = "inspect", skip_all)]
    pub(super) async fn inspect(&self, open: Open) -> Result<Option<Evaluation>, RunError> {
        let Open { offers: _, unlisted, known } = open;
        let (known, changes) = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Ok(None),
            decided = self.observer.inspect(known) => decided,
        };
        let changes = verified(changes, &known)?;
        Ok(Some(Evaluation { changes, open: Vec::new(), listed: None, unlisted, known }))
    }

    /// The publishers that could not be listed, with the reason. Reports each once.
    fn unlisted(&self, listed: &Observations) -> BTreeMap<PublisherId, String> {
        let mut unlisted = BTreeMap::new();
        for (offer, seen) in listed {
            // The publisher answered, even if the answer is a refusal.
            let Observation::Unavailable(kind, why) = seen else { continue };
            if kind.is_answer() {
                continue;
            }
            let publisher = offer.publisher();
            if unlisted.insert(publisher.clone(), why.clone()).is_none() {
                self.reporter.report(&Event::NotListed { publisher, reason: kind.reason() });
            }
        }
        unlisted
    }

    /// The records of the offers in scope and of the offers that they wait for.
    pub(super) fn recorded(
        &self,
        desired: &Desired,
        policy: &Policy,
    ) -> BTreeMap<OfferId, Arc<OfferRecord>> {
        let wanted = with_dependencies(desired, policy);
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
