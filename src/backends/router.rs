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
            let mut its_own = self.publishers_of(client);
            its_own.extend(publishers.keys().cloned());
            paused.publishers.extend(publishers);
            let Some(pause) = all else { continue };
            for publisher in its_own {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::marketplace::Pause;

    /// A marketplace that is told apart by its times.
    #[derive(Default)]
    struct Fake {
        minutes: u64,
        paused: PausedUntil,
        asked: Mutex<Vec<String>>,
    }

    impl Fake {
        fn note(&self, what: &str, about: impl std::fmt::Display) {
            self.asked.lock().unwrap().push(format!("{what} {about}"));
        }

        fn lost(&self, what: &str, offer: &OfferId) -> MarketplaceError {
            self.note(what, offer);
            MarketplaceError::lost(what, "")
        }
    }

    #[async_trait]
    impl Backend for Fake {
        fn longest_request(&self, _: &PublisherId) -> Duration {
            Duration::from_mins(self.minutes)
        }

        fn settling(&self, _: &PublisherId) -> Settling {
            Settling::all(Duration::from_mins(self.minutes))
        }

        fn paused_until(&self) -> PausedUntil {
            self.paused.clone()
        }

        async fn survey(&self, publisher: &PublisherId) -> Result<Vec<Listing>, MarketplaceError> {
            self.note("survey", publisher.as_str());
            Ok(Vec::new())
        }

        fn unlisted(&self, offer: &OfferId) -> String {
            format!("{offer} is not at {}", self.minutes)
        }

        fn listing_of(&self, offer: &OfferId, product: &str) -> Option<Listing> {
            self.note(&format!("listing by {product}"), offer);
            None
        }

        async fn inspect(
            &self,
            offer: &OfferId,
            _: &Inquiry,
        ) -> Result<OfferState, MarketplaceError> {
            Err(self.lost("inspect", offer))
        }

        async fn launch(&self, offer: &OfferId, _: &Launch) -> Result<Accepted, MarketplaceError> {
            Err(self.lost("launch", offer))
        }

        async fn poll(&self, offer: &OfferId, _: &Following) -> Result<Polled, MarketplaceError> {
            Err(self.lost("poll", offer))
        }
    }

    fn publisher(name: &str) -> PublisherId {
        PublisherId::new(name).unwrap()
    }

    #[tokio::test]
    async fn each_publisher_s_calls_go_to_its_own_client() {
        let (one, two) =
            (Fake { minutes: 1, ..Fake::default() }, Fake { minutes: 2, ..Fake::default() });
        let (one, two) = (Arc::new(one), Arc::new(two));
        let route: Arc<dyn Backend> = Arc::clone(&one) as _;
        let router = Router::new([(publisher("contoso"), route)], Arc::clone(&two) as _);
        for (name, minutes) in [("Contoso", 1), ("fabrikam", 2), ("adatum", 2)] {
            let time = Duration::from_mins(minutes);
            assert_eq!(router.settling(&publisher(name)), Settling::all(time));
            assert_eq!(router.longest_request(&publisher(name)), time);
            let offer: OfferId = format!("{name}/vm").parse().unwrap();
            assert_eq!(router.unlisted(&offer), format!("{name}/vm is not at {minutes}"));
            router.survey(&publisher(name)).await.unwrap();
            assert!(router.listing_of(&offer, "guid").is_none());
            assert!(router.inspect(&offer, &Inquiry::default()).await.is_err());
        }
        let asked = |fake: &Fake| fake.asked.lock().unwrap().join(", ");
        assert_eq!(asked(&one), "survey Contoso, listing by guid Contoso/vm, inspect Contoso/vm");
        assert!(!asked(&two).to_lowercase().contains("contoso"), "{}", asked(&two));
        assert_eq!(two.asked.lock().unwrap().len(), 6);
    }

    #[test]
    fn a_pause_of_one_client_is_none_of_another_s() {
        let pause = |minute: u8| Pause {
            until: format!("2026-12-01T09:{minute:02}:00Z").parse().unwrap(),
            why: String::new(),
        };
        let own = PausedUntil {
            publishers: BTreeMap::from([(publisher("fabrikam"), pause(1))]),
            all: Some(pause(2)),
        };
        let others: Arc<dyn Backend> = Arc::new(Fake { paused: own, ..Fake::default() });
        let free: Arc<dyn Backend> = Arc::new(Fake::default());
        let router = Router::new(
            [
                (publisher("contoso"), Arc::clone(&free)),
                (publisher("northwind"), Arc::clone(&others)),
            ],
            others,
        );
        router.settling(&publisher("adatum"));
        let paused = router.paused_until();
        assert_eq!(paused.all, None);
        let shown = paused.publishers.iter().map(|(it, pause)| (it.as_str(), pause.until));
        let two = pause(2).until;
        // Northwind is paused with its client, fabrikam for longer than by itself.
        let expected = [("adatum", two), ("fabrikam", two), ("northwind", two)];
        assert_eq!(shown.collect::<Vec<_>>(), expected);
    }
}
