//! Decides about every offer, in dependency order.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::Arc;

use super::change::{Change, ChangeSet};
use super::decision::{Block, Decision};
use super::decision_time::DecisionTime;
use super::facts;
use super::observation::{Observation, Unavailable};
use super::rules::{Case, NeedsInspection};
use crate::manifest::Loaded;
use crate::marketplace::OfferId;
use crate::status::OfferRecord;

/// The failed offers to try again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Retry {
    /// No offer.
    #[default]
    None,
    /// Only these offers.
    Offers(BTreeSet<OfferId>),
    /// Every failed offer.
    All,
}

/// The user's choices on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The failed offers to try again.
    pub retry: Retry,
    /// The offers in this run's scope; `None` for all. Other offers are looked at if one of these
    /// waits for them, but never changed.
    pub scope: Option<BTreeSet<OfferId>>,
    /// The offers that this run has already triggered or found an operation running on. `--retry`
    /// applies once, to failures from before the run.
    pub attempted: BTreeSet<OfferId>,
    /// Whether a list alone is not enough to assume that a preview waits: for a plan that people
    /// review. Before a request is sent, the offer is inspected in any case.
    pub verify: bool,
}

impl Policy {
    /// Whether the offer is in scope.
    #[must_use]
    pub fn covers(&self, offer: &OfferId) -> bool {
        self.scope.as_ref().is_none_or(|scope| scope.contains(offer))
    }

    /// The same policy with a scope of these offers alone.
    pub(crate) fn about(&self, offers: BTreeSet<OfferId>) -> Self {
        let retry = match &self.retry {
            Retry::None => Retry::None,
            Retry::Offers(asked) => Retry::Offers(asked.intersection(&offers).cloned().collect()),
            Retry::All => Retry::All,
        };
        let attempted = self.attempted.intersection(&offers).cloned().collect();
        Self { retry, scope: Some(offers), attempted, verify: self.verify }
    }

    /// Whether a failed offer should be tried again.
    #[must_use]
    pub fn retries(&self, offer: &OfferId) -> bool {
        let asked = match &self.retry {
            Retry::None => false,
            Retry::Offers(offers) => offers.contains(offer),
            Retry::All => true,
        };
        asked && !self.attempted.contains(offer)
    }
}

/// Everything that decisions are based on.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The manifests.
    pub desired: &'a BTreeMap<OfferId, Arc<Loaded>>,
    /// The status records.
    pub recorded: &'a BTreeMap<OfferId, Arc<OfferRecord>>,
    /// The marketplace's answers so far.
    pub observed: &'a BTreeMap<OfferId, Observation>,
    /// The time of the decision.
    pub time: DecisionTime,
    /// The user's choices.
    pub policy: &'a Policy,
}

/// Decides about every offer in scope, or returns the offers that must be inspected first.
pub fn plan(input: Input<'_>) -> Result<ChangeSet, Vec<OfferId>> {
    let Decided { mut changes, undecided: _, to_inspect } = decide(input);
    if !to_inspect.is_empty() {
        return Err(to_inspect);
    }
    changes.retain(|change| input.policy.covers(&change.offer));
    changes.sort_by(|one, other| one.offer.cmp(&other.offer));
    Ok(ChangeSet { changes })
}

/// The offers in scope that can't be decided before golive asks about them or about an offer that
/// they wait for.
pub(crate) fn undecided(input: Input<'_>) -> BTreeSet<OfferId> {
    let open = decide(input).undecided.into_iter();
    open.filter(|offer| input.policy.covers(offer)).cloned().collect()
}

/// The decisions that can be made now.
#[derive(Default)]
struct Decided<'a> {
    /// In dependency order.
    changes: Vec<Change>,
    undecided: HashSet<&'a OfferId>,
    /// The offers that must be inspected before the rest can be decided.
    to_inspect: Vec<OfferId>,
}

fn decide(input: Input<'_>) -> Decided<'_> {
    let wanted = with_dependencies(input.desired, input.policy);
    let order = in_dependency_order(input.desired, &wanted);
    let mut live: HashSet<&OfferId> = HashSet::with_capacity(order.len());
    let mut decided = Decided::default();
    decided.changes.reserve_exact(order.len());
    for loaded in order {
        let Some(waiting_on) = waiting_on(loaded, &live, &decided.undecided) else {
            // An offer that it waits for must be inspected first.
            decided.undecided.insert(&loaded.id);
            continue;
        };
        if let Ok(change) = assess(&input, loaded, &waiting_on) {
            if change.decision.is_live() {
                live.insert(&loaded.id);
            }
            decided.changes.push(change);
        } else {
            decided.undecided.insert(&loaded.id);
            decided.to_inspect.push(loaded.id.clone());
        }
    }
    decided
}

/// The offers in scope, and the offers that they wait for.
pub(crate) fn with_dependencies<'a>(
    desired: &'a BTreeMap<OfferId, Arc<Loaded>>,
    policy: &Policy,
) -> BTreeSet<&'a OfferId> {
    // Cost: a small scope must not visit every offer, and a full scope must not look up each by
    // name.
    let Some(scope) = &policy.scope else {
        let mut wanted: BTreeSet<&OfferId> = desired.keys().collect();
        wanted.extend(desired.values().flat_map(|loaded| &loaded.manifest.after));
        return wanted;
    };
    let known = scope.iter().filter_map(|offer| desired.get_key_value(offer));
    let mut wanted: BTreeSet<&OfferId> = known.map(|(offer, _)| offer).collect();
    let mut open: Vec<&OfferId> = wanted.iter().copied().collect();
    while let Some(offer) = open.pop() {
        for dependency in desired.get(offer).iter().flat_map(|loaded| &loaded.manifest.after) {
            if wanted.insert(dependency) {
                open.push(dependency);
            }
        }
    }
    wanted
}

/// Sorts each offer after those it waits for. Validation refuses cycles; if there is one anyway,
/// its offers come last and wait.
fn in_dependency_order<'a>(
    desired: &'a BTreeMap<OfferId, Arc<Loaded>>,
    wanted: &BTreeSet<&OfferId>,
) -> Vec<&'a Loaded> {
    let offers = wanted.iter().filter_map(|offer| desired.get(*offer)).map(|loaded| &**loaded);
    // Most offers wait for none.
    let (mut order, waiting): (Vec<&Loaded>, Vec<&Loaded>) =
        offers.partition(|loaded| loaded.manifest.after.is_empty());
    let waits = |offer: &&OfferId| {
        desired.get(offer).is_some_and(|loaded| !loaded.manifest.after.is_empty())
    };
    let mut missing: BTreeMap<&OfferId, usize> = BTreeMap::new();
    let mut dependents: BTreeMap<&OfferId, Vec<&Loaded>> = BTreeMap::new();
    for loaded in &waiting {
        let after: BTreeSet<_> = loaded.manifest.after.iter().filter(waits).collect();
        missing.insert(&loaded.id, after.len());
        for dependency in after {
            dependents.entry(dependency).or_default().push(loaded);
        }
    }
    let is_ready = |loaded: &&Loaded| missing.get(&loaded.id) == Some(&0);
    let mut ready: VecDeque<&Loaded> = waiting.iter().copied().filter(is_ready).collect();
    while let Some(loaded) = ready.pop_front() {
        missing.remove(&loaded.id);
        order.push(loaded);
        for dependent in dependents.remove(&loaded.id).unwrap_or_default() {
            if let Some(count) = missing.get_mut(&dependent.id) {
                *count -= 1;
                if *count == 0 {
                    ready.push_back(dependent);
                }
            }
        }
    }
    order.extend(waiting.into_iter().filter(|loaded| missing.contains_key(&loaded.id)));
    order
}

/// The offers in `after` that are not live; `None` while that is unknown.
fn waiting_on(
    loaded: &Loaded,
    live: &HashSet<&OfferId>,
    undecided: &HashSet<&OfferId>,
) -> Option<Vec<OfferId>> {
    let after = &loaded.manifest.after;
    if after.iter().any(|dependency| undecided.contains(dependency)) {
        return None;
    }
    Some(after.iter().filter(|dependency| !live.contains(dependency)).cloned().collect())
}

fn assess(
    input: &Input<'_>,
    loaded: &Loaded,
    waiting_on: &[OfferId],
) -> Result<Change, NeedsInspection> {
    let recorded = input.recorded.get(&loaded.id).map(|record| &**record);
    let absent =
        |why, message: &str| (Decision::Blocked(Block::Unavailable(why, message.to_owned())), None);
    let (decision, state) = match input.observed.get(&loaded.id) {
        Some(Observation::Offer(seen)) => {
            let case = Case {
                desired: loaded,
                recorded,
                seen,
                waiting_on,
                time: input.time,
                retry: input.policy.retries(&loaded.id),
                verify: input.policy.verify,
            };
            let (decision, state) = case.decide()?;
            (decision, Some(state))
        }
        Some(Observation::Unavailable(why, message)) => absent(*why, message),
        None => absent(Unavailable::Unreachable, "the marketplace was not asked"),
    };
    let from = state.as_ref().map(|state| facts::current_position(state, recorded, &decision));
    let from = from.unwrap_or_default();
    let to = facts::target_position(&decision, &from, loaded);
    let in_doubt = recorded.is_some_and(|record| record.intent.is_some());
    let seen = state.as_ref().and_then(|state| state.product.as_ref());
    let known = || recorded?.observed.as_ref()?.product.as_ref();
    let product = seen.or_else(known).cloned();
    Ok(Change { offer: loaded.id.clone(), decision, from, to, in_doubt, product })
}
