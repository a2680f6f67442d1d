//! Looking at the marketplace: one list a publisher, then per offer only what its decision needs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;

use super::windows::windows;
use crate::changes::{
    ChangeSet, Input, Moment, Observation, OperationSeen, Policy, Question, Seen, SlotSeen, plan,
};
use crate::manifest::{DesiredState, Loaded};
use crate::marketplace::{
    Marketplace, MarketplaceError, OfferId, OfferSummary, PublisherId, Slot, Submission,
};
use crate::status::{OfferRecord, Phase, Reason};

/// How many questions an offer may raise before it counts as unanswerable. The rules ask each of
/// their five kinds of question at most once or twice.
const MAX_ROUNDS: usize = 16;

/// Asks the marketplace, several questions side by side.
#[derive(Clone)]
pub struct Observer {
    pub(super) marketplace: Arc<dyn Marketplace>,
    concurrency: usize,
}

/// What was seen, and what follows from it.
pub type Observed = BTreeMap<OfferId, Seen>;

/// Lists each publisher once, then asks until everything can be decided.
pub async fn observe_and_plan(
    observer: &Observer,
    desired: &BTreeMap<OfferId, Arc<Loaded>>,
    recorded: &BTreeMap<OfferId, Arc<OfferRecord>>,
    policy: &Policy,
    moment: Moment,
) -> (Observed, ChangeSet) {
    let listed = observer.list(desired, recorded, policy).await;
    observer.settle(listed, desired, recorded, policy, moment).await
}

impl Observer {
    /// An observer that has at most `concurrency` questions about a publisher's offers open.
    #[must_use]
    pub fn new(marketplace: Arc<dyn Marketplace>, concurrency: usize) -> Self {
        Self { marketplace, concurrency: concurrency.max(1) }
    }

    /// A time to decide at, with what this marketplace makes of it.
    #[must_use]
    pub fn moment(&self, now: Timestamp, settle: Duration) -> Moment {
        Moment { now, longest_request: self.marketplace.longest_request(), settle }
    }

    /// One list for each publisher that has an offer in scope, or one that such an offer waits
    /// for.
    pub async fn list(
        &self,
        desired: &BTreeMap<OfferId, Arc<Loaded>>,
        recorded: &BTreeMap<OfferId, Arc<OfferRecord>>,
        policy: &Policy,
    ) -> Observed {
        let wanted = crate::changes::with_dependencies(desired, policy);
        let publishers: BTreeSet<PublisherId> =
            wanted.iter().map(|offer| offer.publisher().clone()).collect();
        // All at once: how many requests are under way is the marketplace's client to see to, which
        // lets publishers take turns.
        let lists = publishers.into_iter().map(|publisher| async move {
            let list = self.marketplace.offers(&publisher).await;
            (publisher, list.map(List::new))
        });
        let lists: HashMap<_, _> = lists.collect::<FuturesUnordered<_>>().collect().await;
        let seen = wanted.into_iter().map(|offer| {
            let seen = match lists.get(offer.publisher()) {
                Some(Ok(list)) => listed(
                    offer,
                    list.get(offer),
                    recorded.get(offer).map(|record| &**record),
                    desired.get(offer).map(|loaded| &**loaded),
                ),
                Some(Err(error)) => failed(error),
                None => Seen::Unreachable("the publisher was not listed".to_owned()),
            };
            (offer.clone(), seen)
        });
        seen.collect()
    }

    /// Asks, all offers side by side, until everything can be decided.
    pub async fn settle(
        &self,
        mut observed: Observed,
        desired: &BTreeMap<OfferId, Arc<Loaded>>,
        recorded: &BTreeMap<OfferId, Arc<OfferRecord>>,
        policy: &Policy,
        moment: Moment,
    ) -> (Observed, ChangeSet) {
        for _ in 0..MAX_ROUNDS {
            let input = Input { desired, recorded, observed: &observed, moment, policy };
            let questions = match plan(input) {
                Ok(changes) => return (observed, changes),
                Err(questions) => questions,
            };
            let ask = |(offer, question): (OfferId, Question)| async {
                let answer = self.ask(&offer, &question).await;
                (offer, question, answer)
            };
            let answers = windows(questions, |(offer, _)| offer, self.concurrency, ask);
            let answers: Vec<_> = answers.collect().await;
            for (offer, question, answer) in answers {
                note(&mut observed, offer, &question, answer);
            }
        }
        // The rules never ask twice for what they were told, so this is not reached; should it
        // be, an offer that can't be decided about is one that was not seen.
        loop {
            let input = Input { desired, recorded, observed: &observed, moment, policy };
            match plan(input) {
                Ok(changes) => return (observed, changes),
                Err(questions) => {
                    for (offer, question) in questions {
                        let what = format!("no answer settles the question {question:?}");
                        observed.insert(offer, Seen::Unreachable(what));
                    }
                }
            }
        }
    }

    /// The operations of an offer, as the marketplace lists them now.
    pub async fn submissions(&self, offer: &OfferId) -> Result<Vec<Submission>, MarketplaceError> {
        match self.marketplace.submissions(offer).await {
            // The offer is in the list, so that this can only mean that there are none.
            Err(error) if error.status() == Some(404) => Ok(Vec::new()),
            answer => answer,
        }
    }

    /// Asks about one offer afresh, without the publisher's list.
    pub async fn look(&self, offer: &OfferId) -> Result<Observation, Seen> {
        let answer = self.marketplace.offer(offer).await.map_err(|error| failed(&error))?;
        let report = self.marketplace.status(offer).await.map_err(|error| failed(&error))?;
        Ok(Observation {
            version: answer.version,
            changed_time: answer.changed_time,
            etag: answer.etag,
            report: Some(report.clone()),
            ..Observation::of(report.status)
        })
    }

    /// Whether the list of operations says that one has ended, whose id is its own.
    async fn is_listed_as_over(&self, offer: &OfferId, id: &str) -> bool {
        if id.contains('$') {
            return false;
        }
        let listed = self.submissions(offer).await.unwrap_or_default();
        listed.iter().any(|it| it.id == id && it.state.is_finished())
    }

    async fn ask(&self, offer: &OfferId, question: &Question) -> Result<Answer, MarketplaceError> {
        match question {
            Question::Status => Ok(Answer::Status(self.marketplace.status(offer).await?)),
            Question::Submissions => Ok(Answer::Submissions(self.submissions(offer).await?)),
            Question::Slot(slot) => {
                let held = self.marketplace.slot(offer, *slot).await?;
                Ok(Answer::Slot(match held {
                    None => Some(SlotSeen::Empty),
                    Some(offer) => offer.version.map(SlotSeen::Holds),
                }))
            }
            Question::Operation(reference) => {
                match self.marketplace.operation(offer, reference).await {
                    Ok(polled) => {
                        Ok(Answer::Operation(OperationSeen::Known(Box::new(polled.operation))))
                    }
                    Err(error) if is_expired(&error) => {
                        Ok(Answer::Operation(OperationSeen::Expired))
                    }
                    // One that can't be read may be listed as over; then the list is asked for the rest.
                    Err(error)
                        if is_unreadable(&error)
                            && self.is_listed_as_over(offer, &reference.id).await =>
                    {
                        Ok(Answer::Operation(OperationSeen::Expired))
                    }
                    Err(error) => Err(error),
                }
            }
        }
    }
}

/// Whether an operation can no longer be asked for under its URL: it has expired, or the URL
/// leads elsewhere and is not followed. Then the offer itself is asked.
pub(super) fn is_expired(error: &MarketplaceError) -> bool {
    error.status() == Some(404) || matches!(error, MarketplaceError::ForeignOperationUrl(_))
}

/// Whether no answer came that says anything, or the marketplace could not give one.
fn is_unreadable(error: &MarketplaceError) -> bool {
    match error {
        MarketplaceError::Lost { .. } => true,
        MarketplaceError::Refused(refusal) => {
            refusal.status >= 500 && refusal.retry_after.is_none()
        }
        MarketplaceError::NotSent { .. }
        | MarketplaceError::Token(_)
        | MarketplaceError::ForeignOperationUrl(_) => false,
    }
}

enum Answer {
    Status(crate::marketplace::StatusReport),
    Submissions(Vec<Submission>),
    /// `None` where the slot holds a version that is not told.
    Slot(Option<SlotSeen>),
    Operation(OperationSeen),
}

/// A publisher's list, in the order of the names.
struct List(Vec<OfferSummary>);

impl List {
    fn new(mut list: Vec<OfferSummary>) -> Self {
        // Where one stands there twice, the later is the one that is found.
        list.reverse();
        list.sort_by(|one, other| one.id.cmp(&other.id));
        list.dedup_by(|one, other| one.id == other.id);
        Self(list)
    }

    fn get(&self, offer: &OfferId) -> Option<&OfferSummary> {
        let found = self.0.binary_search_by(|summary| summary.id.cmp(offer));
        found.ok().and_then(|index| self.0.get(index))
    }
}

/// What the list says, and what the record still knows where nothing changed since.
fn listed(
    offer: &OfferId,
    summary: Option<&OfferSummary>,
    record: Option<&OfferRecord>,
    desired: Option<&Loaded>,
) -> Seen {
    let Some(summary) = summary else {
        return Seen::NotFound(format!(
            "the publisher {} has no offer {:?}; correct the manifest, or create the offer first",
            offer.publisher(),
            offer.offer()
        ));
    };
    let mut observation = Observation::listed(summary);
    if let Some(record) = record
        && let Some(known) = &record.observed
        && known.status == summary.status
        && known.version == summary.version
        && known.changed_time == summary.changed_time
        && (summary.changed_time.is_some() || matches!(record.phase, Phase::Live | Phase::Preview))
    {
        // Of an offer that was found in preview, production was not always asked: to a manifest
        // that wants no more, that makes no difference.
        let wants_preview = desired.is_some_and(|it| it.manifest.state == DesiredState::Preview);
        let alone = wants_preview && record.phase == Phase::Preview && known.live_version.is_none();
        let otherwise = if alone { SlotSeen::Empty } else { SlotSeen::Unasked };
        observation.production = known.live_version.map_or(otherwise, SlotSeen::Remembered);
        // What a decision was made of is sure; elsewhere the record has what is likely.
        let is_sure = matches!(record.phase, Phase::Live | Phase::Preview)
            || record.reason == Reason::VersionMismatch;
        if is_sure {
            observation.preview =
                known.preview_version.map_or(SlotSeen::Unasked, SlotSeen::Remembered);
        }
    }
    Seen::Offer(Box::new(observation))
}

/// What an error says of the offer.
pub(super) fn failed(error: &MarketplaceError) -> Seen {
    let said = describe(error);
    match error.status() {
        Some(401) => Seen::Unauthorized(said),
        Some(403) => Seen::Forbidden(said),
        Some(404) => Seen::NotFound(said),
        Some(429) => Seen::Throttled(said),
        Some(503) if error.retry_after().is_some() => Seen::Throttled(said),
        None if matches!(error, MarketplaceError::Token(_)) => Seen::Unauthorized(said),
        Some(_) | None => Seen::Unreachable(said),
    }
}

/// The error, its causes, and what to do about it, in one line.
pub(super) fn describe(error: &MarketplaceError) -> String {
    let mut text = error.to_string();
    // What lies between says only which layer failed; the first cause says why.
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

fn note(
    observed: &mut Observed,
    offer: OfferId,
    question: &Question,
    answer: Result<Answer, MarketplaceError>,
) {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            observed.insert(offer, failed(&error));
            return;
        }
    };
    let Some(Seen::Offer(observation)) = observed.get_mut(&offer) else { return };
    match (answer, question) {
        (Answer::Status(report), _) => observation.report = Some(report),
        (Answer::Submissions(submissions), _) => observation.submissions = Some(submissions),
        (Answer::Operation(seen), Question::Operation(reference)) => {
            observation.operations.insert(reference.id.clone(), seen);
        }
        (Answer::Slot(Some(held)), Question::Slot(slot)) => *slot_of(observation, *slot) = held,
        (Answer::Slot(None), Question::Slot(slot)) => {
            let what = format!("the {} slot does not tell its version", slot.as_str());
            observed.insert(offer, Seen::Unreachable(what));
        }
        (Answer::Operation(_) | Answer::Slot(_), _) => {}
    }
}

fn slot_of(observation: &mut Observation, slot: Slot) -> &mut SlotSeen {
    match slot {
        Slot::Production => &mut observation.production,
        Slot::Preview => &mut observation.preview,
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::manifest::{FileManifests, Found, assemble};
    use crate::marketplace::{ChangedTime, OfferStatus, Version};
    use crate::status::ObservedRecord;

    fn loaded() -> Arc<Loaded> {
        let text = b"publisher: contoso\noffer: vm\nstate: live\n";
        let file = FileManifests::from_bytes(Path::new("vm.yaml"), text);
        let files = vec![PathBuf::from("vm.yaml")];
        let found = Found { roots: vec![PathBuf::from(".")], files, ..Found::default() };
        assemble(&found, [&file]).unwrap().offers.into_values().next().unwrap()
    }

    /// The slots that are taken over from a record of this phase, while the list is unchanged.
    fn slots(phase: Phase) -> (SlotSeen, SlotSeen) {
        let (loaded, now) = (loaded(), "2026-11-22T12:00:00Z".parse().unwrap());
        let changed_time = Some(ChangedTime("2026-11-01T00:00:00Z".to_owned()));
        let mut record = super::super::record::fresh(&loaded, String::new(), now);
        record.phase = phase;
        record.observed = Some(ObservedRecord {
            at: now,
            changed_time: changed_time.clone(),
            etag: None,
            live_version: Some(Version(1)),
            preview_version: Some(Version(3)),
            status: OfferStatus::WaitingForPublisherReview,
            version: Some(Version(3)),
        });
        let summary = OfferSummary {
            id: loaded.id.clone(),
            status: OfferStatus::WaitingForPublisherReview,
            version: Some(Version(3)),
            changed_time,
        };
        let seen = listed(&loaded.id, Some(&summary), Some(&record), Some(&loaded));
        let Seen::Offer(seen) = seen else { panic!("{seen:?}") };
        (seen.preview, seen.production)
    }

    #[test]
    fn what_is_only_likely_to_be_in_preview_is_asked_for_again() {
        let (one, three) = (SlotSeen::Remembered(Version(1)), SlotSeen::Remembered(Version(3)));
        assert_eq!(slots(Phase::Live), (three, one));
        for phase in [Phase::Held, Phase::Triggering, Phase::InProgress, Phase::Failed] {
            assert_eq!(slots(phase), (SlotSeen::Unasked, one), "{phase:?}");
        }
    }
}
