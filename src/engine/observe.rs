//! Looking at the marketplace: one list per publisher, then each offer that a list is not enough
//! for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;

use super::windows::windows;
use crate::changes::{ChangeSet, DecisionTime, Input, Observation, ObservedOffer, Policy, plan};
use crate::manifest::{DesiredState, Loaded};
use crate::marketplace::{
    Backend, Hint, Inquiry, Listing, MarketplaceError, OfferId, RefusalKind, Release, Settling,
};
use crate::status::OfferRecord;

/// The maximum number of rounds of questions. Each offer is asked about once.
const MAX_ROUNDS: usize = 4;

/// Asks the marketplace, with several questions in parallel.
#[derive(Clone)]
pub struct Observer {
    pub(super) backend: Arc<dyn Backend>,
    concurrency: usize,
    /// How long a request that left no trace may still show, if the user set it (`--settle`).
    settle: Option<Settling>,
}

/// What was seen of each offer.
pub type Observations = BTreeMap<OfferId, Observation>;

/// Lists each publisher once, then asks about offers until everything can be decided.
pub async fn observe_and_plan(
    observer: &Observer,
    desired: &BTreeMap<OfferId, Arc<Loaded>>,
    recorded: &BTreeMap<OfferId, Arc<OfferRecord>>,
    policy: &Policy,
    moment: DecisionTime,
) -> (Observations, ChangeSet) {
    let listed = observer.list(desired, recorded, policy).await;
    observer.inspect(listed, desired, recorded, policy, moment).await
}

impl Observer {
    /// An observer with at most `concurrency` open questions per publisher.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>, concurrency: usize, settle: Option<Settling>) -> Self {
        Self { backend, concurrency: concurrency.max(1), settle }
    }

    /// How long a request that left no trace may still show: the user's value, or the backend's.
    #[must_use]
    pub fn settling(&self) -> Settling {
        self.settle.unwrap_or_else(|| self.backend.settling())
    }

    /// The time of a decision, with this marketplace's limits.
    #[must_use]
    pub fn moment(&self, now: Timestamp) -> DecisionTime {
        let (longest_request, settling) = (self.backend.longest_request(), self.settling());
        DecisionTime { now, longest_request, settling }
    }

    /// Lists each publisher that has an offer in scope, or an offer that one in scope waits for. A
    /// publisher is not listed if the record names all of these offers' products, and the backend's
    /// list tells no more.
    pub async fn list(
        &self,
        desired: &BTreeMap<OfferId, Arc<Loaded>>,
        recorded: &BTreeMap<OfferId, Arc<OfferRecord>>,
        policy: &Policy,
    ) -> Observations {
        let wanted = crate::changes::with_dependencies(desired, policy);
        let known = |offer: &OfferId| {
            let product = recorded.get(offer)?.observed.as_ref()?.product.as_deref()?;
            self.backend.listing_of(offer, product)
        };
        let mut publishers = BTreeSet::new();
        let mut remembered = BTreeMap::new();
        for offer in wanted.iter().copied() {
            match known(offer) {
                Some(listing) => drop(remembered.insert(offer, listing)),
                None if publishers.contains(offer.publisher()) => {}
                None => drop(publishers.insert(offer.publisher().clone())),
            }
        }
        // Start all lists at once: the marketplace's client limits the concurrent requests and lets
        // publishers take turns.
        let lists = publishers.into_iter().map(|publisher| async move {
            let list = self.backend.survey(&publisher).await;
            (publisher, list.map(List::new))
        });
        let lists: HashMap<_, _> = lists.collect::<FuturesUnordered<_>>().collect().await;
        let seen = wanted.into_iter().map(|offer| {
            let seen = match (lists.get(offer.publisher()), remembered.get(offer)) {
                (Some(Ok(list)), _) => listed(offer, list.get(offer)),
                (Some(Err(error)), _) => failed(error),
                (None, Some(listing)) => listed(offer, Some(listing)),
                (None, None) => Observation::Unreachable("the publisher was not listed".to_owned()),
            };
            (offer.clone(), seen)
        });
        seen.collect()
    }

    /// Asks about all offers that need it, in parallel, until everything can be decided.
    pub async fn inspect(
        &self,
        observed: Observations,
        desired: &BTreeMap<OfferId, Arc<Loaded>>,
        recorded: &BTreeMap<OfferId, Arc<OfferRecord>>,
        policy: &Policy,
        moment: DecisionTime,
    ) -> (Observations, ChangeSet) {
        self.inspect_with(observed, desired, recorded, policy, moment, |_, _| {}).await
    }

    /// As [`settle`](Self::settle), but `adjust` may add to the inquiry about an offer.
    pub(super) async fn inspect_with(
        &self,
        mut observed: Observations,
        desired: &BTreeMap<OfferId, Arc<Loaded>>,
        recorded: &BTreeMap<OfferId, Arc<OfferRecord>>,
        policy: &Policy,
        moment: DecisionTime,
        adjust: impl Fn(&OfferId, &mut Inquiry),
    ) -> (Observations, ChangeSet) {
        for _ in 0..MAX_ROUNDS {
            let input = Input { desired, recorded, observed: &observed, moment, policy };
            let offers = match plan(input) {
                Ok(changes) => return (observed, changes),
                Err(offers) => offers,
            };
            let questions = offers.into_iter().filter_map(|offer| {
                let Some(Observation::Offer(seen)) = observed.get(&offer) else { return None };
                let record = recorded.get(&offer).map(|record| &**record);
                let mut inquiry = inquiry(seen, desired.get(&offer)?, record);
                // An offer that is not listed as waiting is hardly ever launched; if it is, it is
                // asked about again.
                let may_launch = inquiry.wants_live && seen.listing.hint == Hint::InPreview;
                inquiry.launches |= policy.verify && may_launch;
                adjust(&offer, &mut inquiry);
                Some((offer, inquiry))
            });
            let questions: Vec<_> = questions.collect();
            let ask = |(offer, inquiry): (OfferId, Inquiry)| async move {
                let answer = self.backend.inspect(&offer, &inquiry).await;
                (offer, answer)
            };
            let answers = windows(questions, |(offer, _)| offer, self.concurrency, ask);
            let answers: Vec<_> = answers.collect().await;
            for (offer, answer) in answers {
                let Some(Observation::Offer(seen)) = observed.get(&offer) else { continue };
                let seen = match answer {
                    Ok(state) => Observation::Offer(Box::new(seen.with(state, moment.now))),
                    Err(error) => failed(&error),
                };
                observed.insert(offer, seen);
            }
        }
        // Not normally reached, since each offer is asked about once. If it is, an offer that can't
        // be decided counts as not seen.
        loop {
            let input = Input { desired, recorded, observed: &observed, moment, policy };
            match plan(input) {
                Ok(changes) => return (observed, changes),
                Err(offers) => {
                    for offer in offers {
                        let what = "no answer settles how the offer stands".to_owned();
                        observed.insert(offer, Observation::Unreachable(what));
                    }
                }
            }
        }
    }
}

/// What to ask about an offer.
pub(super) fn inquiry(
    seen: &ObservedOffer,
    desired: &Loaded,
    record: Option<&OfferRecord>,
) -> Inquiry {
    let wants_live = desired.manifest.state == DesiredState::Live;
    let pin = desired.manifest.version.filter(|_| wants_live).map(Release::from);
    seen.inquiry(wants_live, pin, record)
}

/// A publisher's list, sorted by offer id.
struct List(Vec<Listing>);

impl List {
    fn new(mut list: Vec<Listing>) -> Self {
        // If an offer is listed twice, the later entry wins.
        list.reverse();
        list.sort_by(|one, other| one.id.cmp(&other.id));
        list.dedup_by(|one, other| one.id == other.id);
        Self(list)
    }

    fn get(&self, offer: &OfferId) -> Option<&Listing> {
        let found = self.0.binary_search_by(|summary| summary.id.cmp(offer));
        found.ok().and_then(|index| self.0.get(index))
    }
}

fn listed(offer: &OfferId, listing: Option<&Listing>) -> Observation {
    match listing {
        Some(listing) => Observation::Offer(Box::new(ObservedOffer::listed(listing.clone()))),
        None => Observation::NotFound(format!(
            "the publisher {} has no offer {:?}; correct the manifest, or create the offer first",
            offer.publisher(),
            offer.offer()
        )),
    }
}

/// What an error says about the offer.
pub(super) fn failed(error: &MarketplaceError) -> Observation {
    let said = describe(error);
    match error.kind() {
        Some(RefusalKind::Unauthenticated) => Observation::Unauthorized(said),
        Some(RefusalKind::Forbidden) => Observation::Forbidden(said),
        Some(RefusalKind::NotFound) => Observation::NotFound(said),
        Some(RefusalKind::Throttled) => Observation::Throttled(said),
        Some(RefusalKind::Unavailable) if error.retry_after().is_some() => {
            Observation::Throttled(said)
        }
        None if matches!(error, MarketplaceError::Token(_)) => Observation::Unauthorized(said),
        Some(
            RefusalKind::Invalid
            | RefusalKind::Conflict
            | RefusalKind::Unavailable
            | RefusalKind::Failed
            | RefusalKind::Other,
        )
        | None => Observation::Unreachable(said),
    }
}

/// The error, its root cause and the remedy, in one line.
pub(super) fn describe(error: &MarketplaceError) -> String {
    let mut text = error.to_string();
    // The errors in between only name the layer that failed; the root cause gives the reason.
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    if let Some(first) = causes.last().map(ToString::to_string)
        && !text.contains(&first)
    {
        text = format!("{text}: {first}");
    }
    if let Some(pause) = error.retry_after() {
        let pause = super::record::spell(pause);
        text = format!("{}; it asks to wait for {pause}", text.trim_end_matches('.'));
    }
    if let Some(advice) = error.advice() {
        text = format!("{}; {advice}", text.trim_end_matches('.'));
    }
    text
}
