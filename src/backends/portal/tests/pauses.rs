//! Who waits where the marketplace asks to wait, in virtual time.

use super::*;
use crate::backends::portal::Slot;

/// Answers with 429 and a pause until that is taken back, by publisher.
#[derive(Default)]
struct Throttling {
    /// How many seconds each is asked to wait.
    pauses: Mutex<std::collections::HashMap<String, u64>>,
    seen: Mutex<Vec<String>>,
}

#[async_trait]
impl Transport for Throttling {
    async fn send(
        &self,
        request: http::Request<bytes::Bytes>,
    ) -> Result<http::Response<bytes::Bytes>, TransportError> {
        let publisher = request.uri().path().split('/').nth(3).unwrap().to_owned();
        let pause = self.pauses.lock().unwrap().remove(&publisher);
        self.seen.lock().unwrap().push(publisher);
        let (status, wait) = pause.map_or((404, 0), |pause| (429, pause));
        let reply = http::Response::builder().status(status).header("retry-after", wait);
        Ok(reply.body("busy".into()).unwrap())
    }
}

impl Throttling {
    fn client(self: &Arc<Self>) -> PortalClient {
        let tokens = Arc::new(AnonymousToken);
        client(Endpoint::DEFAULT, Arc::clone(self) as _, tokens, Settings::default())
    }

    fn pause(&self, publisher: &str, seconds: u64) {
        self.pauses.lock().unwrap().insert(publisher.to_owned(), seconds);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

async fn ask(client: &PortalClient, publisher: &str) -> Result<u64, MarketplaceError> {
    let began = Instant::now();
    let offer: OfferId = format!("{publisher}/vm").parse().unwrap();
    client.slot(&offer, Slot::Preview).await?;
    Ok(began.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn one_publisher_that_is_throttled_for_an_hour_stops_nobody_else() {
    let market = Arc::new(Throttling::default());
    let client = market.client();
    market.pause("contoso", 3_600);
    assert_eq!(ask(&client, "contoso").await.unwrap_err().status(), Some(429));
    let unsent = ask(&client, "contoso").await.unwrap_err();
    let text = "GET /api/publishers/contoso/offers/vm/slot/Preview was not sent: the marketplace \
                asked golive to wait until 2026-12-01T10:00:00Z: \
                GET /api/publishers/contoso/offers/vm/slot/Preview was answered \
                429 Too Many Requests: busy";
    assert_eq!(unsent.to_string(), text);
    assert_eq!(unsent.retry_after(), Some(Duration::from_hours(1)));
    for publisher in ["fabrikam", "litware"] {
        assert_eq!(ask(&client, publisher).await.unwrap(), 0);
    }
    assert_eq!(market.take(), ["contoso", "fabrikam", "litware"]);
    tokio::time::sleep(Duration::from_mins(59)).await;
    let paused = client.paused_until();
    let told: Vec<_> = paused.publishers.iter().map(|(id, it)| (id.as_str(), it.until)).collect();
    assert_eq!(told, [("contoso", start() + jiff::SignedDuration::from_hours(1))]);
    let why = "was answered 429 Too Many Requests: busy";
    assert!(paused.all.is_none() && paused.publishers.values().all(|it| it.why.ends_with(why)));
    assert_eq!(ask(&client, "contoso").await.unwrap(), 60);
    assert!(client.paused_until().is_empty());
}

#[tokio::test(start_paused = true)]
async fn two_publishers_that_are_throttled_stop_all_while_both_are() {
    let market = Arc::new(Throttling::default());
    let client = market.client();
    market.pause("contoso", 3_600);
    market.pause("fabrikam", 600);
    for publisher in ["contoso", "fabrikam"] {
        ask(&client, publisher).await.unwrap_err();
    }
    let unsent = ask(&client, "litware").await.unwrap_err();
    assert!(unsent.to_string().contains("was not sent: the marketplace asked"), "{unsent}");
    assert_eq!(unsent.retry_after(), Some(Duration::from_mins(10)));
    let post = golive();
    let golive = client.post(&"litware/vm".parse().unwrap(), &post).await.unwrap_err();
    assert_eq!(golive.retry_after(), Some(Duration::from_mins(10)));
    tokio::time::sleep(Duration::from_mins(9)).await;
    assert_eq!(ask(&client, "litware").await.unwrap(), 60);
    assert_eq!(ask(&client, "fabrikam").await.unwrap(), 0);
    ask(&client, "contoso").await.unwrap_err();
    assert_eq!(market.take(), ["contoso", "fabrikam", "litware", "fabrikam"]);
}
