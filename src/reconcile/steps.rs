//! What tasks do: looks, launches, polls. Each is about offers that the engine keeps for it meanwhile:
//! no two tasks are about one offer at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

use super::trigger::{Tried, Triggered};
use super::{Desired, Observed, Reconciler, RunError};
use crate::changes::{
    Change, ChangeSet, DecisionTime, Input, Policy, Seen, check, undecided, with_dependencies,
};
use crate::marketplace::{OfferId, PublisherId};
use crate::report::Event;
use crate::status::{OfferRecord, Reason};

/// Which offers a task is about, and what is wanted of them.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    /// The manifests.
    pub(super) desired: Desired,
    /// What the user asked for; its scope names the offers.
    pub(super) policy: Policy,
}

impl Scope {
    /// The same, about these offers alone.
    fn about(&self, offers: BTreeSet<OfferId>) -> Self {
        let policy = Policy { scope: Some(offers), ..self.policy.clone() };
        Self { desired: Arc::clone(&self.desired), policy }
    }
}

/// What a look at some offers has come to.
#[derive(Debug)]
pub struct Looked {
    /// What is to be done.
    pub changes: ChangeSet,
    /// The offers that could not be decided about so far: those together that wait for each other.
    pub(super) open: Vec<Open>,
    /// Whether publishers were listed for it; otherwise an older list was reused.
    pub is_of_lists: bool,
    /// The publishers that were listed just now.
    pub listed: BTreeSet<PublisherId>,
    /// The publishers that could not be listed, and why.
    pub unlisted: BTreeMap<PublisherId, String>,
    pub(super) observed: Observed,
    pub(super) scope: Scope,
    /// When it began.
    pub(super) moment: DecisionTime,
}

impl Looked {
    /// Whether an offer's publisher could be listed.
    #[must_use]
    pub fn is_listed(&self, offer: &OfferId) -> bool {
        !self.unlisted.contains_key(offer.publisher())
    }
}

/// Offers about which the marketplace must be asked one by one. Those that a list is enough for don't
/// wait for them: one answer may take minutes.
#[derive(Debug)]
pub(super) struct Open {
    /// The offers.
    pub(super) offers: BTreeSet<OfferId>,
    unlisted: BTreeMap<PublisherId, String>,
    recorded: BTreeMap<OfferId, Arc<OfferRecord>>,
    observed: Observed,
    scope: Scope,
    moment: DecisionTime,
}

/// What comes next for an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Its operation is to be polled.
    Poll(Instant),
    /// It is to be looked at: a launch date has come, a pause is over, a request in doubt has
    /// settled (UTC).
    LookOn(Timestamp),
    /// It is to be looked at once more, right away.
    LookNow,
    /// The same, together with others whose operations end meanwhile.
    LookSoon,
    /// It could not be asked about, or its request could not be sent: after a pause of the caller's.
    Retry,
    /// Nothing, until something changes.
    Rest,
}

impl Open {
    /// What is known so far about some of the offers.
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
    /// enough; the others are left to [`settle`](Self::settle), unless all are to be decided about
    /// `as_one`. Where the user stops, nothing was decided.
    #[tracing::instrument(target = "otlp", name = "look", skip_all)]
    pub(super) async fn look(
        &self,
        scope: Scope,
        as_one: bool,
    ) -> Result<Option<Looked>, RunError> {
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
        let looked =
            self.settle(Open { scope: all.scope.about(all.offers.clone()), ..all }).await?;
        Ok(looked.map(|looked| Looked { open, listed, is_of_lists: true, ..looked }))
    }

    /// Asks what the decisions about open offers need, and decides.
    #[tracing::instrument(target = "otlp", name = "settle", skip_all)]
    pub(super) async fn settle(&self, open: Open) -> Result<Option<Looked>, RunError> {
        let Open { offers: _, unlisted, recorded, observed, scope, moment } = open;
        let (desired, policy) = (&scope.desired, &scope.policy);
        let heard = |offer: &OfferId, inquiry: &mut _| self.add_heard(offer, inquiry);
        let settling =
            self.observer.settle_with(observed, desired, &recorded, policy, moment, heard);
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
        Ok(Some(Looked { changes, open, is_of_lists, listed, unlisted, observed, scope, moment }))
    }

    /// The publishers that could not be listed, and why: that is what their offers have instead.
    fn unlisted(&self, listed: &Observed) -> BTreeMap<PublisherId, String> {
        let mut unlisted = BTreeMap::new();
        for (offer, seen) in listed {
            let (reason, why) = match seen {
                Seen::Unauthorized(why) => (Reason::Unauthorized, why),
                Seen::Throttled(why) => (Reason::Throttled, why),
                Seen::Unreachable(why) => (Reason::Unreachable, why),
                // That is an answer, though not a welcome one.
                Seen::Offer(_) | Seen::Forbidden(_) | Seen::NotFound(_) => continue,
            };
            let publisher = offer.publisher();
            if unlisted.insert(publisher.clone(), why.clone()).is_none() {
                self.reporter.report(&Event::NotListed { publisher, reason });
            }
        }
        unlisted
    }

    /// What is on record about the offers in scope, and those they wait for.
    fn recorded(&self, scope: &Scope) -> BTreeMap<OfferId, Arc<OfferRecord>> {
        let wanted = with_dependencies(&scope.desired, &scope.policy);
        self.store.with(|file| {
            let known = wanted.iter().filter_map(|offer| file.offers.get_key_value(*offer));
            known.map(|(offer, record)| (offer.clone(), record.clone())).collect()
        })
    }

    /// Sends what a look found to be sent for an offer, by the protocol.
    #[tracing::instrument(target = "otlp", name = "launch", skip_all, fields(%offer))]
    pub(super) async fn launch(
        &self,
        looked: &Looked,
        offer: &OfferId,
        deadline: Option<Instant>,
    ) -> Tried {
        match looked.changes.get(offer) {
            Some(change) => self.trigger(&looked.scope, change, &looked.observed, deadline).await,
            None => Tried { outcome: Triggered::Stopped, sent: false },
        }
    }

    /// Polls the running operation of an offer.
    #[tracing::instrument(target = "otlp", name = "poll", skip_all, fields(%offer))]
    pub(super) async fn poll(&self, offer: &OfferId) -> Next {
        if self.ask_once(offer).await { Next::LookSoon } else { self.next(offer) }
    }

    /// Removes an offer whose manifest is gone, once nothing runs there, or may.
    pub(super) async fn remove(&self, offer: &OfferId) -> Next {
        self.handle_orphan(offer).await;
        if self.forget_if_idle(offer) { Next::Rest } else { self.next(offer) }
    }

    /// Asks what runs, or what came of a request in doubt, for an offer that no manifest in force
    /// declares: its manifest can't be read at the moment. Nothing is sent.
    pub(super) async fn tend(&self, offer: &OfferId) -> Next {
        self.handle_orphan(offer).await;
        let settled = self.store.get(offer).is_none_or(|record| record.intent.is_none());
        match self.next(offer) {
            Next::Poll(due) => Next::Poll(due),
            _ if settled => Next::Rest,
            Next::LookOn(_) | Next::LookNow | Next::LookSoon | Next::Retry | Next::Rest => {
                Next::Retry
            }
        }
    }

    /// What comes next for an offer, by its record.
    pub(super) fn next(&self, offer: &OfferId) -> Next {
        if let Some(due) = self.next_poll(offer) {
            return Next::Poll(due);
        }
        let found = self.store.with(|file| {
            let record = file.offers.get(offer)?;
            // What was refused stays refused until something changes; any other error passes.
            let refused = record.refused.as_ref().map(|refused| &refused.message);
            let passes = record.error.as_ref().is_some_and(|it| Some(&it.message) != refused);
            Some((record.next_check_at, record.intent.is_some() || passes))
        });
        match found {
            Some((Some(at), _)) => Next::LookOn(at),
            Some((None, true)) => Next::Retry,
            Some((None, false)) | None => Next::Rest,
        }
    }

    /// Records what was decided about an offer, and reports it. What did not show is judged by the
    /// moment at which the questions began: the last answer may have come much later.
    pub(super) fn write_down(
        &self,
        scope: &Scope,
        change: &Change,
        seen: Option<&Seen>,
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

/// Splits offers into those that wait for each other, and those that have nothing to do with others.
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
