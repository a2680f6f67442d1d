//! Implements [`Backend`] for the Product Ingestion API: finds the product, then sends one read after
//! another until its state is known.

use std::time::Duration;

use async_trait::async_trait;

use super::client::IngestionClient;
use super::errors;
use super::interpret::{Answers, Heard, Question, interpret, report};
use super::model::{Lifecycle, Product};
use super::products::{Found, by_offer};
use crate::marketplace::{
    Accepted, Backend, Following, Hint, Inquiry, Launch, Listing, MarketplaceError, OfferId,
    OfferState, PausedUntil, Polled, PublisherId, RefusalKind, Settling,
};

/// Limit for the reads per inspection: the submissions, and a job twice.
const MAX_QUESTIONS: usize = 4;

/// Limit for the products that are inspected for one offer: a remembered one, and the one that the
/// service names.
const MAX_PRODUCTS: usize = 3;

/// How long an accepted request may take to show in the list of submissions. Open: no source says;
/// "a few minutes" in one runbook, and a client waits for an hour.
const SETTLE: Duration = Duration::from_mins(10);

/// How long only the job may show that a request was accepted: a client allows an hour. A job that
/// can't be read after that is given up, and the submissions alone decide.
const JOB_IS_NEEDED: Duration = Duration::from_hours(1);

/// The status of a product that is listed: the list has none.
const LISTED: &str = "listed";

#[async_trait]
impl Backend for IngestionClient {
    fn longest_request(&self, _publisher: &PublisherId) -> Duration {
        self.longest_change()
    }

    /// The same with and without a fence: the preview's id doesn't keep a repeated request from
    /// being accepted (inferred), it only keeps it from launching another preview.
    fn settling(&self, _publisher: &PublisherId) -> Settling {
        Settling::all(SETTLE)
    }

    fn paused_until(&self) -> PausedUntil {
        self.pauses()
    }

    /// The list has neither status nor version nor date (documented): every offer must be asked
    /// about.
    async fn survey(&self, publisher: &PublisherId) -> Result<Vec<Listing>, MarketplaceError> {
        let found = by_offer(self.all_products(publisher).await?);
        self.products.learn_all(publisher, &found);
        Ok(found.iter().map(|(offer, found)| listing(offer, found)).collect())
    }

    fn unlisted(&self, offer: &OfferId) -> String {
        format!(
            "there is no product with the external id {:?}, or it isn't visible to this app: compare \
             the id with the one that Partner Center shows, and the app with the account that owns \
             it; or create the offer first",
            offer.offer()
        )
    }

    fn listing_of(&self, offer: &OfferId, product: &str) -> Option<Listing> {
        self.remember(offer, product);
        Some(listing(offer, &self.products.get(offer)?))
    }

    async fn inspect(
        &self,
        offer: &OfferId,
        inquiry: &Inquiry,
    ) -> Result<OfferState, MarketplaceError> {
        if let Some(guid) = &inquiry.product {
            self.remember(offer, guid);
        }
        // Twice more at most: a remembered product may be gone, or be another one's.
        for _ in 0..MAX_PRODUCTS {
            let product = match self.product(offer, inquiry.launches).await? {
                Found::One(product) => product,
                Found::Several(guids) => return Ok(unclear(twins(offer, &guids))),
            };
            let mut state = match self.inspect_product(offer, &product, inquiry).await {
                Ok(state) => state,
                Err(error)
                    if !product.is_confirmed && error.kind() == Some(RefusalKind::NotFound) =>
                {
                    self.products.forget(offer);
                    continue;
                }
                Err(error) if error.kind() == Some(RefusalKind::Invalid) => {
                    return Ok(unclear(errors::unreadable(&error)));
                }
                Err(error) => return Err(error),
            };
            if product.is_confirmed || !is_due(&state, inquiry) {
                return Ok(state);
            }
            if self.product(offer, true).await? == Found::One(product.confirmed()) {
                state.is_launchable = true;
                return Ok(state);
            }
        }
        Err(lost(offer))
    }

    /// A launch sends one request, and no read before it: the look right before it has found the
    /// product.
    async fn launch(&self, offer: &OfferId, launch: &Launch) -> Result<Accepted, MarketplaceError> {
        match self.products.get(offer) {
            Some(Found::One(product)) if product.is_confirmed => {
                self.configure(offer, &product.guid, launch).await
            }
            Some(_) | None => {
                let why = "its product was not looked up before";
                Err(self.executor.not_sent(why.into()))
            }
        }
    }

    async fn poll(
        &self,
        offer: &OfferId,
        following: &Following,
    ) -> Result<Polled, MarketplaceError> {
        let gone = Polled { report: None, retry_after: None };
        let Found::One(product) = self.product(offer, false).await? else { return Ok(gone) };
        let (mut answers, mut retry_after) = (Answers::default(), None);
        for _ in 0..MAX_QUESTIONS {
            match report(&product, following, &answers) {
                Ok(report) => return Ok(Polled { report, retry_after }),
                Err(question) => {
                    let age = self.age(following);
                    retry_after = self.ask(offer, &product, question, age, &mut answers).await?;
                }
            }
        }
        Ok(gone)
    }
}

impl IngestionClient {
    /// The product of an offer, from memory if possible. If it must be `confirmed`, a product that
    /// only a file names is looked up: the file may have been tampered with.
    async fn product(&self, offer: &OfferId, confirmed: bool) -> Result<Found, MarketplaceError> {
        match self.products.get(offer) {
            Some(Found::One(product)) if confirmed && !product.is_confirmed => {}
            Some(found) => return Ok(found),
            None => {}
        }
        let mut found = by_offer(self.products_named(offer).await?);
        let Some(found) = found.remove(offer) else {
            self.products.forget(offer);
            return Err(errors::not_found("GET product", offer.offer()));
        };
        self.products.learn(offer, found.clone());
        Ok(found)
    }

    /// Tells the client which product an offer is, as an earlier run has learned: it saves reading
    /// the list. A launch confirms it first. What this run has learned itself stands.
    pub fn remember(&self, offer: &OfferId, guid: &str) {
        if super::translate::is_id(guid) && self.products.get(offer).is_none() {
            let (guid, lifecycle) = (guid.to_owned(), Lifecycle::Active);
            self.products
                .learn(offer, Found::One(Product { guid, lifecycle, is_confirmed: false }));
        }
    }

    /// The GUID of an offer's product, if it is known: for a link, or to be remembered.
    #[must_use]
    pub fn guid(&self, offer: &OfferId) -> Option<String> {
        match self.products.get(offer)? {
            Found::One(product) => Some(product.guid),
            Found::Several(_) => None,
        }
    }

    async fn inspect_product(
        &self,
        offer: &OfferId,
        product: &Product,
        inquiry: &Inquiry,
    ) -> Result<OfferState, MarketplaceError> {
        let mut answers = Answers::default();
        for _ in 0..MAX_QUESTIONS {
            match interpret(product, inquiry, &answers) {
                Ok(state) => return Ok(state),
                Err(question) => {
                    let age = inquiry.following.as_ref().map_or(Duration::MAX, |it| self.age(it));
                    self.ask(offer, product, question, age, &mut answers).await?;
                }
            }
        }
        // At most two attempts to get an answer.
        Err(lost(offer))
    }

    /// How long ago an operation started.
    fn age(&self, following: &Following) -> Duration {
        // A start in the future was written before the clock was set back; its distance counts.
        self.executor.now().duration_since(following.started_at).unsigned_abs()
    }

    /// Asks a question; returns how long the service asks to wait before the next one. `age` is that
    /// of the operation that golive follows.
    async fn ask(
        &self,
        offer: &OfferId,
        product: &Product,
        question: Question,
        age: Duration,
        answers: &mut Answers,
    ) -> Result<Option<Duration>, MarketplaceError> {
        let publisher = offer.publisher();
        match question {
            Question::Submissions => {
                answers.submissions = Some(self.submissions(publisher, &product.guid).await?);
                Ok(None)
            }
            Question::Job { id, is_needed } => {
                let (heard, wait) = match self.job(publisher, &id).await {
                    Ok((job, wait)) => (Heard::Says(job), wait),
                    Err(error) if is_gone(&error) && age < SETTLE => (Heard::NotYet, None),
                    Err(error) if is_gone(&error) => (Heard::Gone, None),
                    Err(error) if is_needed && age < JOB_IS_NEEDED => return Err(error),
                    Err(error) if is_needed => {
                        tracing::warn!(%offer, job = id, %error, "a job can't be read: given up");
                        (Heard::Gone, None)
                    }
                    Err(error) => {
                        tracing::warn!(%offer, job = id, %error, "a job can't be read");
                        (Heard::Silent, None)
                    }
                };
                answers.job = Some(heard);
                Ok(wait)
            }
        }
    }
}

fn listing(offer: &OfferId, found: &Found) -> Listing {
    let words = match found {
        Found::One(Product { lifecycle: Lifecycle::Active, .. }) => LISTED,
        Found::One(Product { lifecycle: Lifecycle::Deprecated, .. }) => "deprecated",
        Found::One(Product { lifecycle: Lifecycle::Deleted, .. }) => "deleted",
        Found::Several(_) => "listed more than once",
    };
    Listing {
        id: offer.clone(),
        words: words.to_owned(),
        changed_time: None,
        // Nothing in the list changes with the offer.
        fingerprint: None,
        hint: Hint::Busy,
        release: None,
        may_be_fenced: true,
    }
}

/// Whether the state asks for a launch, by what the manifest wants.
fn is_due(state: &OfferState, inquiry: &Inquiry) -> bool {
    if !inquiry.wants_live {
        return state.draft.is_some();
    }
    let is_pinned = |preview| inquiry.pin.as_ref().is_none_or(|pin| pin == preview);
    state.preview.as_ref().is_some_and(is_pinned)
}

fn lost(offer: &OfferId) -> MarketplaceError {
    let request = format!("inspect {offer}");
    let what = "the answers don't determine the offer's state".to_owned();
    MarketplaceError::Lost { request, what, source: None }
}

/// The state of an offer about which nothing can be decided.
fn unclear(why: String) -> OfferState {
    OfferState { is_inspected: true, unclear: Some(why), ..OfferState::default() }
}

fn twins(offer: &OfferId, guids: &[String]) -> String {
    format!(
        "{} products have the external id {:?} ({}), and golive can't know which one is meant; \
         rename or delete one in Partner Center",
        guids.len(),
        offer.offer(),
        guids.join(", ")
    )
}

/// Whether a job can no longer be read. Open: which of the two answers it gets then.
fn is_gone(error: &MarketplaceError) -> bool {
    matches!(error.kind(), Some(RefusalKind::NotFound | RefusalKind::Invalid))
}
