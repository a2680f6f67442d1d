//! Looking at the marketplace: one list per publisher, then each offer that a list is not enough
//! for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;

use super::polls::{Reports, add_report};
use super::windows::windows;
use super::{Desired, RunError};
use crate::changes::{
    ChangeSet, DecisionTime, Input, Observation, ObservedOffer, Policy, Unavailable, check, plan,
    with_dependencies,
};
use crate::manifest::{DesiredState, Loaded};
use crate::marketplace::{
    Backend, Hint, Inquiry, Listing, MarketplaceError, OfferId, PublisherId, RefusalKind, Release,
    Settling,
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

/// What golive knows of the offers in scope and of those that they wait for.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) desired: Desired,
    /// Its scope names the offers.
    pub(super) policy: Policy,
    pub(super) recorded: BTreeMap<OfferId, Arc<OfferRecord>>,
    pub(super) observed: Observations,
    /// What is known of running operations without asking.
    pub(super) reports: Reports,
    /// When the evaluation began.
    pub(super) time: DecisionTime,
}

impl Known {
    pub(super) fn input(&self) -> Input<'_> {
        let Self { desired, policy, recorded, observed, time, .. } = self;
        Input { desired, recorded, observed, time: *time, policy }
    }

    /// The same for some of the offers alone.
    pub(super) fn about(&self, offers: BTreeSet<OfferId>) -> Self {
        let policy = Policy { scope: Some(offers), ..self.policy.clone() };
        let wanted = with_dependencies(&self.desired, &policy);
        let recorded = copy(&self.recorded, &wanted);
        let observed = copy(&self.observed, &wanted);
        let (desired, reports) = (Arc::clone(&self.desired), Arc::clone(&self.reports));
        Self { desired, policy, recorded, observed, reports, time: self.time }
    }
}

fn copy<T: Clone>(all: &BTreeMap<OfferId, T>, wanted: &BTreeSet<&OfferId>) -> BTreeMap<OfferId, T> {
    let known = wanted.iter().filter_map(|offer| all.get_key_value(*offer));
    known.map(|(offer, value)| (offer.clone(), value.clone())).collect()
}

/// Lists each publisher once, asks about offers until everything can be decided, and checks the
/// decisions.
///
/// # Errors
///
/// If the change set fails its check.
pub async fn observe_and_plan(
    observer: &Observer,
    desired: &Desired,
    recorded: &BTreeMap<OfferId, Arc<OfferRecord>>,
    policy: &Policy,
    time: DecisionTime,
) -> Result<ChangeSet, RunError> {
    let listed = observer.list(desired, recorded, policy).await;
    let (desired, policy) = (Arc::clone(desired), policy.clone());
    let (recorded, reports) = (recorded.clone(), Reports::default());
    let known = Known { desired, policy, recorded, observed: listed, reports, time };
    let (known, changes) = observer.inspect(known).await;
    verified(changes, &known)
}

/// The change set, if it passes the check by rules that the planner doesn't use.
pub(super) fn verified(changes: ChangeSet, known: &Known) -> Result<ChangeSet, RunError> {
    let violations = check(&changes, known.input());
    if violations.is_empty() { Ok(changes) } else { Err(RunError::Unsound(violations)) }
}

impl Observer {
    /// An observer with at most `concurrency` open questions per publisher.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>, concurrency: usize, settle: Option<Settling>) -> Self {
        Self { backend, concurrency: concurrency.max(1), settle }
    }

    /// How long a request that left no trace may still show: the user's value, or the backend's.
    #[must_use]
    pub fn settling(&self, publisher: &PublisherId) -> Settling {
        self.settle.unwrap_or_else(|| self.backend.settling(publisher))
    }

    /// The time of a decision about offers of these publishers, with the limits that hold for all of
    /// them: each is the longest of theirs. Publishers that have nothing to do with each other are
    /// decided about apart, so that an API that is slow to show a request doesn't delay others.
    #[must_use]
    pub fn decision_time<'a>(
        &self,
        now: Timestamp,
        publishers: impl IntoIterator<Item = &'a PublisherId>,
    ) -> DecisionTime {
        let none = Settling::all(Duration::ZERO);
        let mut time = DecisionTime { now, longest_request: Duration::ZERO, settling: none };
        // Most callers give the publisher of each offer, in order.
        let mut last = None;
        for publisher in publishers {
            if last.replace(publisher) == Some(publisher) {
                continue;
            }
            let (request, settling) =
                (self.backend.longest_request(publisher), self.settling(publisher));
            time.longest_request = time.longest_request.max(request);
            time.settling = time.settling.max(settling);
        }
        time
    }

    /// Lists each publisher that has an offer in scope, or an offer that one in scope waits for. A
    /// publisher is not listed if the record names all of these offers' products, and the backend's
    /// list has no more information.
    pub async fn list(
        &self,
        desired: &BTreeMap<OfferId, Arc<Loaded>>,
        recorded: &BTreeMap<OfferId, Arc<OfferRecord>>,
        policy: &Policy,
    ) -> Observations {
        let wanted = with_dependencies(desired, policy);
        let known = |offer: &OfferId| {
            let product = recorded.get(offer)?.observed.as_ref()?.product.as_deref()?;
            self.backend.listing_of(offer, product)
        };
        let remembered: BTreeMap<&OfferId, Listing> =
            wanted.iter().filter_map(|offer| Some((*offer, known(offer)?))).collect();
        let unknown = wanted.iter().filter(|offer| !remembered.contains_key(**offer));
        let publishers: BTreeSet<PublisherId> =
            unknown.map(|offer| offer.publisher().clone()).collect();
        // Start all lists at once: the marketplace's client limits the concurrent requests and lets
        // publishers take turns.
        let lists = publishers.into_iter().map(|publisher| async move {
            let list = self.backend.survey(&publisher).await;
            (publisher, list.map(List::new))
        });
        let lists: HashMap<_, _> = lists.collect::<FuturesUnordered<_>>().collect().await;
        let seen = wanted.into_iter().map(|offer| {
            let seen = match (lists.get(offer.publisher()), remembered.get(offer)) {
                (Some(Ok(list)), _) => self.listed(offer, list.get(offer)),
                (Some(Err(error)), _) => failed(error),
                (None, Some(listing)) => self.listed(offer, Some(listing)),
                (None, None) => {
                    let what = "the publisher was not listed".to_owned();
                    Observation::Unavailable(Unavailable::Unreachable, what)
                }
            };
            (offer.clone(), seen)
        });
        seen.collect()
    }

    fn listed(&self, offer: &OfferId, listing: Option<&Listing>) -> Observation {
        match listing {
            Some(listing) => Observation::Offer(Box::new(ObservedOffer::listed(listing.clone()))),
            None => Observation::Unavailable(Unavailable::NotFound, self.backend.unlisted(offer)),
        }
    }

    /// Asks about all offers that need it, in parallel, until everything can be decided.
    pub(super) async fn inspect(&self, mut known: Known) -> (Known, ChangeSet) {
        for _ in 0..MAX_ROUNDS {
            let offers = match plan(known.input()) {
                Ok(changes) => return (known, changes),
                Err(offers) => offers,
            };
            let questions: Vec<_> =
                offers.into_iter().filter_map(|offer| question(&known, offer)).collect();
            let ask = |(offer, inquiry): (OfferId, Inquiry)| async move {
                let answer = self.backend.inspect(&offer, &inquiry).await;
                (offer, answer)
            };
            let answers = windows(questions, |(offer, _)| offer, self.concurrency, ask);
            let answers: Vec<_> = answers.collect().await;
            for (offer, answer) in answers {
                let Some(Observation::Offer(seen)) = known.observed.get(&offer) else { continue };
                let seen = match answer {
                    Ok(state) => Observation::Offer(Box::new(seen.with(state, known.time.now))),
                    Err(error) => failed(&error),
                };
                known.observed.insert(offer, seen);
            }
        }
        // Not normally reached, since each offer is asked about once. If it is, an offer that can't
        // be decided counts as not seen.
        loop {
            match plan(known.input()) {
                Ok(changes) => return (known, changes),
                Err(offers) => {
                    for offer in offers {
                        let what = "the answers don't determine the offer's state".to_owned();
                        let unclear = Observation::Unavailable(Unavailable::Unreachable, what);
                        known.observed.insert(offer, unclear);
                    }
                }
            }
        }
    }
}

/// What to ask about an offer that is listed.
fn question(known: &Known, offer: OfferId) -> Option<(OfferId, Inquiry)> {
    let Some(Observation::Offer(seen)) = known.observed.get(&offer) else { return None };
    let record = known.recorded.get(&offer).map(|record| &**record);
    let mut inquiry = inquiry(seen, known.desired.get(&offer)?, record);
    // An offer that is not listed as waiting is hardly ever launched; if it is, it is asked about
    // again.
    let may_launch = inquiry.wants_live && seen.listing.hint == Hint::InPreview;
    inquiry.launches |= known.policy.verify && may_launch;
    add_report(&known.reports, &offer, &mut inquiry);
    Some((offer, inquiry))
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

/// What an error says about the offer.
pub(super) fn failed(error: &MarketplaceError) -> Observation {
    let why = match error.kind() {
        Some(RefusalKind::Unauthenticated) => Unavailable::Unauthorized,
        Some(RefusalKind::Forbidden) => Unavailable::Forbidden,
        Some(RefusalKind::NotFound) => Unavailable::NotFound,
        Some(RefusalKind::Throttled) => Unavailable::Throttled,
        Some(RefusalKind::Unavailable) if error.retry_after().is_some() => Unavailable::Throttled,
        None if matches!(error, MarketplaceError::Token(_)) => Unavailable::Unauthorized,
        Some(
            RefusalKind::Invalid
            | RefusalKind::Conflict
            | RefusalKind::Unavailable
            | RefusalKind::Failed
            | RefusalKind::Other,
        )
        | None => Unavailable::Unreachable,
    };
    Observation::Unavailable(why, describe(error))
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
