//! Several marketplaces as one: each publisher's calls go to the client of its own API, endpoint and
//! credential, and to no other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::marketplace::{
    Accepted, Backend, Following, Inquiry, Launch, Listing, MarketplaceError, OfferId, OfferState,
    PausedUntil, Polled, PublisherId, Settling,
};

/// A backend for each publisher.
pub struct Router {
    clients: Vec<Arc<dyn Backend>>,
    /// The number of each publisher's client.
    by_publisher: BTreeMap<PublisherId, usize>,
    /// The client of all other publishers, and those of them that were asked about.
    others: Arc<dyn Backend>,
    seen: Mutex<BTreeSet<PublisherId>>,
}

impl Router {
    /// A router to these clients by publisher; all other publishers have the client `others`.
    #[must_use]
    pub fn new(
        routes: impl IntoIterator<Item = (PublisherId, Arc<dyn Backend>)>,
        others: Arc<dyn Backend>,
    ) -> Self {
        let mut clients: Vec<Arc<dyn Backend>> = Vec::new();
        let mut by_publisher = BTreeMap::new();
        for (publisher, client) in routes {
            let known = clients.iter().position(|it| Arc::ptr_eq(it, &client));
            let number = known.unwrap_or(clients.len());
            if known.is_none() {
                clients.push(client);
            }
            by_publisher.insert(publisher, number);
        }
        Self { clients, by_publisher, others, seen: Mutex::default() }
    }

    fn client(&self, publisher: &PublisherId) -> &dyn Backend {
        let number = self.by_publisher.get(publisher);
        if let Some(client) = number.and_then(|number| self.clients.get(*number)) {
            return &**client;
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.contains(publisher) {
            seen.insert(publisher.clone());
        }
        &*self.others
    }

    fn client_of(&self, offer: &OfferId) -> &dyn Backend {
        self.client(offer.publisher())
    }

    /// The known publishers of a client.
    fn publishers_of(&self, client: &Arc<dyn Backend>) -> Vec<PublisherId> {
        let routed = self.by_publisher.iter().filter(|(_, number)| {
            self.clients.get(**number).is_some_and(|it| Arc::ptr_eq(it, client))
        });
        let mut publishers: Vec<_> = routed.map(|(publisher, _)| publisher.clone()).collect();
        if Arc::ptr_eq(client, &self.others) {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            publishers.extend(seen.iter().cloned());
        }
        publishers
    }
}

#[async_trait]
impl Backend for Router {
    fn longest_request(&self, publisher: &PublisherId) -> Duration {
        self.client(publisher).longest_request(publisher)
    }

    fn settling(&self, publisher: &PublisherId) -> Settling {
        self.client(publisher).settling(publisher)
    }

    /// The pause of a whole client is one of each of its publishers: the other clients' requests go
    /// elsewhere, or with another credential.
    fn paused_until(&self) -> PausedUntil {
        let mut paused = PausedUntil::default();
        let is_routed = self.clients.iter().any(|it| Arc::ptr_eq(it, &self.others));
        let others = Some(&self.others).filter(|_| !is_routed);
        for client in self.clients.iter().chain(others) {
            let PausedUntil { publishers, all } = client.paused_until();
            paused.publishers.extend(publishers);
            let Some(pause) = all else { continue };
            for publisher in self.publishers_of(client) {
                let longest = paused.publishers.entry(publisher).or_insert_with(|| pause.clone());
                if longest.until < pause.until {
                    longest.clone_from(&pause);
                }
            }
        }
        paused
    }

    async fn survey(&self, publisher: &PublisherId) -> Result<Vec<Listing>, MarketplaceError> {
        self.client(publisher).survey(publisher).await
    }

    fn unlisted(&self, offer: &OfferId) -> String {
        self.client_of(offer).unlisted(offer)
    }

    fn listing_of(&self, offer: &OfferId, product: &str) -> Option<Listing> {
        self.client_of(offer).listing_of(offer, product)
    }

    async fn inspect(
        &self,
        offer: &OfferId,
        inquiry: &Inquiry,
    ) -> Result<OfferState, MarketplaceError> {
        self.client_of(offer).inspect(offer, inquiry).await
    }

    async fn launch(&self, offer: &OfferId, launch: &Launch) -> Result<Accepted, MarketplaceError> {
        self.client_of(offer).launch(offer, launch).await
    }

    async fn poll(
        &self,
        offer: &OfferId,
        following: &Following,
    ) -> Result<Polled, MarketplaceError> {
        self.client_of(offer).poll(offer, following).await
    }
}
