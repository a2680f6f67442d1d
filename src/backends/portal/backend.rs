//! Implements [`Backend`] for the portal: sends one read after another until the state of an offer
//! is known.

use std::time::Duration;

use async_trait::async_trait;

use super::client::PortalClient;
use super::interpret::{
    ListedVersion, OperationAnswer, Question, Responses, SlotAnswer, interpret, reported,
    runs_by_itself,
};
use super::model::{Offer, OfferStatus, OfferSummary, Operation, Slot, Submission};
use super::stage::Stage;
use crate::marketplace::{
    Accepted, Backend, Following, Hint, Inquiry, Launch, Listing, MarketplaceError, OfferId,
    OfferState, OperationRef, OperationStatus, PausedUntil, Polled, PublisherId, RefusalKind,
    Release, Report, Settling, is_shared_operation_id,
};

/// Limit for the reads per inspection. The rules need each of the five kinds once or twice, and a
/// few operations.
const MAX_QUESTIONS: usize = 24;

/// With an entity tag: a repeated request is refused if the first one was accepted.
const SETTLE_FENCED: Duration = Duration::from_secs(30);

/// Without an entity tag: nothing guards a repeated request. No source says how long an accepted
/// golive takes to appear; the clients in the field look every half hour at most.
const SETTLE_UNFENCED: Duration = Duration::from_mins(15);

#[async_trait]
impl Backend for PortalClient {
    fn longest_request(&self, _publisher: &PublisherId) -> Duration {
        // A mutation is sent within the first half of this or not at all, also when it is sent again
        // after a 401.
        self.executor.settings.request_timeout.saturating_mul(2)
    }

    fn unlisted(&self, offer: &OfferId) -> String {
        format!(
            "the publisher {} has no offer {:?}; correct the manifest, or create the offer first; if \
             it was made in Partner Center, try api: product-ingestion in golive.yaml, or --api",
            offer.publisher(),
            offer.offer()
        )
    }

    fn settling(&self, _publisher: &PublisherId) -> Settling {
        Settling { fenced: SETTLE_FENCED, unfenced: SETTLE_UNFENCED }
    }

    fn paused_until(&self) -> PausedUntil {
        self.executor.paused_until()
    }

    async fn survey(&self, publisher: &PublisherId) -> Result<Vec<Listing>, MarketplaceError> {
        let offers = self.offers(publisher).await?;
        Ok(offers.into_iter().map(listing).collect())
    }

    async fn inspect(
        &self,
        offer: &OfferId,
        inquiry: &Inquiry,
    ) -> Result<OfferState, MarketplaceError> {
        let mut answers = Responses::default();
        for _ in 0..MAX_QUESTIONS {
            match interpret(inquiry, &answers) {
                Ok(state) => return Ok(state),
                Err(question) => self.ask(offer, question, &mut answers).await?,
            }
        }
        // The rules never ask for the same read twice.
        let request = format!("inspect {offer}");
        Err(MarketplaceError::lost(request, "the answers don't determine the offer's state"))
    }

    async fn launch(&self, offer: &OfferId, launch: &Launch) -> Result<Accepted, MarketplaceError> {
        self.post(offer, launch).await
    }

    async fn poll(
        &self,
        offer: &OfferId,
        following: &Following,
    ) -> Result<Polled, MarketplaceError> {
        if let Some(reference) = &following.operation {
            return match self.operation(offer, reference).await {
                Ok(polled) => {
                    let mut report = reported(&following.kind, &polled.operation);
                    if report.runs && !runs_by_itself(&report) {
                        let status = self.status(offer).await?;
                        report.runs = matches!(Stage::of(&status), Stage::Running(_));
                    }
                    Ok(Polled { report: Some(report), retry_after: polled.retry_after })
                }
                Err(error) if is_expired(&error) => Ok(Polled { report: None, retry_after: None }),
                Err(error) => Err(error),
            };
        }
        let status = self.status(offer).await?;
        let runs = matches!(Stage::of(&status), Stage::Running(_));
        let report = runs.then(|| Report {
            status: OperationStatus::Running,
            runs,
            steps: status.steps,
            messages: status.messages,
            release: status.publishing_version.map(Release::from),
        });
        Ok(Polled { report, retry_after: None })
    }
}

impl PortalClient {
    async fn ask(
        &self,
        offer: &OfferId,
        question: Question,
        answers: &mut Responses,
    ) -> Result<(), MarketplaceError> {
        match question {
            Question::Document => answers.document = Some(self.document(offer).await?),
            Question::Listed => {
                let offers = self.offers(offer.publisher()).await?;
                let found = offers.into_iter().find(|it| it.id == *offer);
                let version = found.and_then(|it| it.version);
                answers.listed_again = Some(ListedVersion(version.map(Release::from)));
            }
            Question::Status => answers.report = Some(self.status(offer).await?),
            Question::Submissions => answers.submissions = Some(self.listed(offer).await?),
            Question::Slot(slot) => {
                let held = self.slot(offer, slot).await?;
                let held = held.map_or(SlotAnswer::Empty, |it| SlotAnswer::Release(it.version));
                match slot {
                    Slot::Preview => answers.preview = Some(held),
                    Slot::Production => answers.production = Some(held),
                }
            }
            Question::Operation(reference) => {
                // The second answer must be readable: there is no other source.
                let is_first = answers.operations.iter().all(|(id, _)| *id != reference.id);
                let answer = match self.known(offer, &reference, answers).await {
                    Err(error) if is_first && is_unreadable(&error) => {
                        let operation = &reference.id;
                        tracing::warn!(%offer, operation, %error, "an operation can't be read");
                        OperationAnswer::Unreadable
                    }
                    answer => answer?.map_or(OperationAnswer::Expired, OperationAnswer::Read),
                };
                answers.operations.retain(|(id, _)| *id != reference.id);
                answers.operations.push((reference.id, answer));
            }
        }
        Ok(())
    }

    /// The offer's document; an empty one if it can't be read: *get offer* was seen to fail
    /// permanently (field, 2020) while golive worked without a tag.
    async fn document(&self, offer: &OfferId) -> Result<Offer, MarketplaceError> {
        match self.offer(offer).await {
            Err(error) if is_unreadable(&error) => {
                tracing::warn!(%offer, %error, "the offer can't be read; going on without an ETag");
                Ok(Offer::default())
            }
            answer => answer,
        }
    }

    /// The operations of an offer. The offer exists, so a 404 can only mean that it has none.
    async fn listed(&self, offer: &OfferId) -> Result<Vec<Submission>, MarketplaceError> {
        match self.submissions(offer).await {
            Err(error) if error.kind() == Some(RefusalKind::NotFound) => Ok(Vec::new()),
            answer => answer,
        }
    }

    /// Reads an operation; `None` if it can no longer be read: its URL has expired or points
    /// elsewhere, or gives nothing readable while the list says that the operation has ended.
    async fn known(
        &self,
        offer: &OfferId,
        reference: &OperationRef,
        answers: &Responses,
    ) -> Result<Option<Operation>, MarketplaceError> {
        let error = match self.operation(offer, reference).await {
            Ok(polled) => return Ok(Some(polled.operation)),
            Err(error) if is_expired(&error) => return Ok(None),
            Err(error) => error,
        };
        if !is_unreadable(&error) || is_shared_operation_id(&reference.id) {
            return Err(error);
        }
        let is_over = |it: &Submission| it.id == reference.id && it.state.is_finished();
        let listed = match &answers.submissions {
            Some(listed) => listed.iter().any(is_over),
            None => self.listed(offer).await.is_ok_and(|listed| listed.iter().any(is_over)),
        };
        if listed { Ok(None) } else { Err(error) }
    }
}

fn listing(summary: OfferSummary) -> Listing {
    let OfferSummary { id, status, version, changed_time, is_migrated } = summary;
    let release = version.map(Release::from);
    let number = release.as_ref().map_or("", Release::as_str);
    let time = changed_time.as_ref().map_or("", |time| time.0.as_str());
    let fingerprint = Some(format!("{status} {number} {time}"));
    let hint = match status {
        OfferStatus::WaitingForPublisherReview => Hint::InPreview,
        OfferStatus::NeverPublished
        | OfferStatus::Succeeded
        | OfferStatus::Published
        | OfferStatus::Canceled
        | OfferStatus::Failed => Hint::AtRest,
        OfferStatus::Running | OfferStatus::NotStarted | OfferStatus::Unknown(_) => Hint::Busy,
    };
    let words = status.to_string();
    let may_be_fenced = !is_migrated;
    Listing { id, words, changed_time, fingerprint, hint, release, may_be_fenced }
}

/// Whether an operation's URL can no longer be used: it has expired, or it points elsewhere and
/// isn't followed. golive then inspects the offer itself.
fn is_expired(error: &MarketplaceError) -> bool {
    error.kind() == Some(RefusalKind::NotFound)
        || matches!(error, MarketplaceError::ForeignOperationUrl(_))
}

/// Whether the error carries no information: no usable answer came, or the marketplace failed.
fn is_unreadable(error: &MarketplaceError) -> bool {
    match error {
        MarketplaceError::Lost { .. } => true,
        MarketplaceError::Refused(refusal) => {
            matches!(refusal.kind, RefusalKind::Failed | RefusalKind::Unavailable)
                && refusal.retry_after.is_none()
        }
        MarketplaceError::NotSent { .. }
        | MarketplaceError::Token(_)
        | MarketplaceError::ForeignOperationUrl(_) => false,
    }
}
