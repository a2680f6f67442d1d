//! How publishers share the requests in flight, in virtual time.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::*;

/// How the marketplace treats requests about an offer. An answer is a 404.
#[derive(Clone, Copy)]
enum Behavior {
    After(Duration),
    Never,
    /// No answer after this long.
    Reset(Duration),
    /// 429 at once, with `Retry-After: 1`.
    Throttled,
}

const QUICK: Behavior = Behavior::After(Duration::from_millis(100));

/// A marketplace in which every offer has its behavior, and which counts what is under behavior.
struct Marketplace {
    /// By the offer's name: `contoso/vm`.
    behavior: Box<dyn Fn(&str) -> Behavior + Send + Sync>,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    busy: HashMap<String, usize>,
    /// The most in flight at once, in all and by publisher since the last look.
    most: usize,
    most_of: HashMap<String, usize>,
    sent: usize,
}

/// One request under behavior, also where it is given up.
struct InFlight<'a>(&'a Marketplace, String);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        *self.0.counts.lock().unwrap().busy.get_mut(&self.1).unwrap() -= 1;
    }
}

impl Marketplace {
    fn new(behavior: impl Fn(&str) -> Behavior + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { behavior: Box::new(behavior), counts: Mutex::default() })
    }

    fn client(self: &Arc<Self>, concurrency: usize, request_timeout: u64) -> Arc<PortalClient> {
        let settings = Settings {
            concurrency: NonZeroUsize::new(concurrency).unwrap(),
            request_timeout: Duration::from_secs(request_timeout),
            ..Settings::default()
        };
        let tokens = Arc::new(AnonymousToken);
        Arc::new(client(Endpoint::DEFAULT, Arc::clone(self) as _, tokens, settings))
    }

    fn enters(&self, publisher: &str) -> InFlight<'_> {
        let counts = &mut *self.counts.lock().unwrap();
        let busy = counts.busy.entry(publisher.to_owned()).or_default();
        *busy += 1;
        let most_of = counts.most_of.entry(publisher.to_owned()).or_default();
        *most_of = (*most_of).max(*busy);
        counts.most = counts.most.max(counts.busy.values().sum());
        counts.sent += 1;
        InFlight(self, publisher.to_owned())
    }

    fn most(&self) -> usize {
        self.counts.lock().unwrap().most
    }

    /// The most of each publisher from now on.
    fn most_of(&self, publisher: &str) -> usize {
        self.counts.lock().unwrap().most_of.remove(publisher).unwrap_or_default()
    }
}

#[async_trait]
impl Transport for Marketplace {
    async fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let path: Vec<_> = request.uri().path().split('/').collect();
        let (publisher, offer) = (path[3], path[5]);
        let busy = self.enters(publisher);
        let reply = |status, wait: Option<&str>| {
            let reply = http::Response::builder().status(status);
            let reply =
                wait.into_iter().fold(reply, |reply, wait| reply.header("retry-after", wait));
            Ok(reply.body(Bytes::new()).unwrap())
        };
        let reply = match (self.behavior)(&format!("{publisher}/{offer}")) {
            Behavior::After(latency) => {
                sleep(latency).await;
                reply(404, None)
            }
            Behavior::Never => std::future::pending().await,
            Behavior::Reset(latency) => {
                sleep(latency).await;
                Err(TransportError::Lost { what: "reset".to_owned(), source: None })
            }
            Behavior::Throttled => reply(429, Some("1")),
        };
        drop(busy);
        reply
    }
}

fn named(publisher: &str, number: usize) -> OfferId {
    format!("{publisher}/o{number}").parse().unwrap()
}

async fn ask(client: Arc<PortalClient>, offer: OfferId) -> Result<(), MarketplaceError> {
    client.slot(&offer, Slot::Preview).await.map(|found| assert_eq!(found, None))
}

/// Asks about so many offers of a publisher, all at once.
fn ask_all(client: &Arc<PortalClient>, publisher: &str, count: usize) -> Asked {
    (0..count).map(|number| ask(Arc::clone(client), named(publisher, number))).collect()
}

type Asked = JoinSet<Result<(), MarketplaceError>>;

/// Waits for all of them. How long it took, and whether all were answered.
async fn answered(asked: Asked) -> (Duration, bool) {
    let began = Instant::now();
    let all = asked.join_all().await;
    (began.elapsed(), all.iter().all(Result::is_ok))
}

/// The ways in which contoso is slow.
fn slow_behaviors() -> [Behavior; 3] {
    let minute = Duration::from_mins(1);
    [Behavior::After(minute), Behavior::Never, Behavior::Reset(minute)]
}

fn is_contoso(offer: &str) -> bool {
    offer.starts_with("contoso/")
}

fn at_most(took: Duration, millis: u64) -> bool {
    // A timer may be a millisecond late, each time.
    took <= Duration::from_millis(millis + 20)
}

/// At first contoso is not known to be slow, and gets all permits. That is over when the first
/// request ends: after a minute. Then half of them are for others.
#[tokio::test(start_paused = true)]
async fn a_slow_publisher_holds_up_others_for_one_request_at_most() {
    for slow in slow_behaviors() {
        let marketplace =
            Marketplace::new(move |offer| if is_contoso(offer) { slow } else { QUICK });
        let client = marketplace.client(8, 61);
        let _requests = ask_all(&client, "contoso", 500);
        tokio::task::yield_now().await;
        let (took, all) = answered(ask_all(&client, "fabrikam", 20)).await;
        // 61 s of contoso's, then 20 requests at 4 a time.
        assert!(all && at_most(took, 61_000 + 500), "{took:?}");
        assert_eq!(marketplace.most(), 8);
    }
}

/// Once contoso is known to be slow, other publishers wait for nothing.
#[tokio::test(start_paused = true)]
async fn later_requests_find_half_of_the_permits_free() {
    for slow in slow_behaviors() {
        let marketplace =
            Marketplace::new(move |offer| if is_contoso(offer) { slow } else { QUICK });
        let client = marketplace.client(8, 61);
        let (took, _) = answered(ask_all(&client, "fabrikam", 1)).await;
        assert!(at_most(took, 100), "{took:?}");
        let _requests = ask_all(&client, "contoso", 500);
        sleep(Duration::from_secs(10)).await;
        for publisher in ["fabrikam", "litware", "fabrikam"] {
            // What contoso had before it was slow is not taken from it.
            sleep(Duration::from_mins(2)).await;
            marketplace.most_of("contoso");
            let (took, all) = answered(ask_all(&client, publisher, 20)).await;
            assert!(all && at_most(took, 500), "{publisher}: {took:?}");
            assert_eq!((marketplace.most_of("contoso"), marketplace.most()), (0, 8));
        }
        // Meanwhile contoso goes on with the other half.
        sleep(Duration::from_mins(2)).await;
        assert_eq!(marketplace.most_of("contoso"), 4);
    }
}

/// The first request of a publisher comes while another one, which hangs, has all permits.
#[tokio::test(start_paused = true)]
async fn a_new_publisher_waits_for_one_request_at_most() {
    for slow in slow_behaviors() {
        let marketplace =
            Marketplace::new(move |offer| if is_contoso(offer) { slow } else { QUICK });
        let client = marketplace.client(8, 61);
        let _requests = ask_all(&client, "contoso", 500);
        sleep(Duration::from_secs(190)).await;
        let (took, all) = answered(ask_all(&client, "fabrikam", 20)).await;
        assert!(all && at_most(took, 61_000 + 500), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn several_hanging_publishers_share_half_of_the_permits() {
    let marketplace =
        Marketplace::new(
            |offer| if offer.starts_with("fabrikam/") { QUICK } else { Behavior::Never },
        );
    let client = marketplace.client(8, 60);
    answered(ask_all(&client, "fabrikam", 1)).await;
    let hanging = ["contoso", "litware", "adatum", "tailspin", "wingtip"];
    let _requests: Vec<_> = hanging.map(|publisher| ask_all(&client, publisher, 100)).into();
    sleep(Duration::from_secs(130)).await;
    let (took, all) = answered(ask_all(&client, "fabrikam", 20)).await;
    assert!(all && at_most(took, 500), "{took:?}");
    // None of those that hang has them all, and none is left out.
    for publisher in hanging {
        marketplace.most_of(publisher);
    }
    sleep(Duration::from_mins(10)).await;
    for publisher in hanging {
        assert!((1..=2).contains(&marketplace.most_of(publisher)));
    }
}

/// A single permit is not reserved for anyone.
#[tokio::test(start_paused = true)]
async fn with_one_permit_publishers_take_turns() {
    for slow in slow_behaviors() {
        let marketplace =
            Marketplace::new(move |offer| if is_contoso(offer) { slow } else { QUICK });
        let client = marketplace.client(1, 61);
        let _requests = ask_all(&client, "contoso", 500);
        tokio::task::yield_now().await;
        let (took, all) = answered(ask_all(&client, "fabrikam", 20)).await;
        assert!(all && at_most(took, 20 * 61_100), "{took:?}");
        assert_eq!(marketplace.most(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lone_publisher_has_all_permits_however_slow() {
    for slow in [Behavior::After(Duration::from_secs(20)), Behavior::Reset(Duration::from_secs(20))]
    {
        let marketplace = Marketplace::new(move |_| slow);
        let client = marketplace.client(8, 60);
        let began = Instant::now();
        let all = ask_all(&client, "contoso", 80).join_all().await;
        let (took, sent) = (began.elapsed(), marketplace.counts.lock().unwrap().sent);
        // All turns all the time, but for the pauses before repeats at the very end.
        let least = Duration::from_secs(20 * u64::try_from(sent.div_ceil(8)).unwrap());
        assert_eq!((all.len(), marketplace.most()), (80, 8));
        assert!(took >= least && took < least + Duration::from_secs(30), "{sent}: {took:?}");
    }
}

/// Each 429 pauses the publisher for a second.
#[tokio::test(start_paused = true)]
async fn an_offer_throttled_for_good_holds_up_no_other() {
    for (concurrency, expected) in [(1, 5_100), (8, 1_600)] {
        let marketplace =
            Marketplace::new(
                |offer| if offer == "contoso/o0" { Behavior::Throttled } else { QUICK },
            );
        let client = marketplace.client(concurrency, 60);
        let throttled = {
            let client = Arc::clone(&client);
            tokio::spawn(async move {
                loop {
                    assert!(ask(Arc::clone(&client), named("contoso", 0)).await.is_err());
                }
            })
        };
        sleep(Duration::from_millis(10)).await;
        let mut others = JoinSet::new();
        for number in 1..21 {
            others.spawn(ask(Arc::clone(&client), named("contoso", number)));
            others.spawn(ask(Arc::clone(&client), named("fabrikam", number)));
        }
        let (took, all) = answered(others).await;
        // One pause, then 40 requests of 100 ms.
        assert!(all && at_most(took, expected), "{took:?}");
        assert!(!throttled.is_finished());
        throttled.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn throttled_retries_go_after_first_attempts() {
    let is_throttled = |offer: &str| offer.starts_with("contoso/o");
    let marketplace =
        Marketplace::new(
            move |offer| if is_throttled(offer) { Behavior::Throttled } else { QUICK },
        );
    let client = marketplace.client(1, 60);
    // Each is answered 429 once within 20 s, and then they ask again, in turn.
    let _throttled = ask_all(&client, "contoso", 20);
    sleep(Duration::from_millis(25_500)).await;
    let mut others = JoinSet::new();
    for number in 0..10 {
        let offer = format!("contoso/new{number}").parse().unwrap();
        others.spawn(ask(Arc::clone(&client), offer));
    }
    let (took, all) = answered(others).await;
    // What is left of the pause, then 10 requests of 100 ms.
    assert!(all && at_most(took, 1_500), "{took:?}");
}

/// It isn't the publisher's fault: the retry doesn't wait behind all first attempts.
#[tokio::test(start_paused = true)]
async fn a_lost_request_is_retried_in_its_turn() {
    let reset = |offer: &str| offer == "contoso/o0";
    let lost = Behavior::Reset(Duration::from_millis(100));
    let marketplace = Marketplace::new(move |offer| if reset(offer) { lost } else { QUICK });
    let client = marketplace.client(1, 60);
    // InFlight for a minute.
    let others = ask_all(&client, "fabrikam", 600);
    sleep(Duration::from_millis(10)).await;
    let began = Instant::now();
    assert!(client.offer(&named("contoso", 0)).await.is_err());
    // Five attempts with up to 0.5, 1, 2 and 4 s between them.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(!others.is_empty());
}

/// Its 401 comes late, so that the repeat would be sent after the deadline.
#[tokio::test(start_paused = true)]
async fn a_mutation_is_not_sent_again_after_its_deadline() {
    let server = ScriptedServer::new([answer(200, "{}"), answer(401, ""), answer(202, "")]);
    let server = ScriptedServer { latency: Duration::from_secs(40), ..server };
    let settings = Settings { concurrency: NonZeroUsize::MIN, ..Settings::default() };
    let client = server.client_with(settings, Arc::new(NumberedTokens::default()));
    let (vm, post) = (vm(), golive());
    let later = async {
        sleep(Duration::from_secs(1)).await;
        client.post(&vm, &post).await
    };
    let (_, later) = tokio::join!(timeout(Duration::from_secs(40), client.offer(&vm)), later);
    assert!(matches!(later, Err(MarketplaceError::NotSent { .. })), "{later:?}");
    assert_eq!(server.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_mutation_leaves_the_queue_when_a_pause_begins() {
    let server = ScriptedServer::new([with(503, "", &[("retry-after", "60")])]);
    let server = ScriptedServer { latency: Duration::from_secs(2), ..server };
    let settings = Settings { concurrency: NonZeroUsize::MIN, ..Settings::default() };
    let client = server.client_with(settings, Arc::new(AnonymousToken));
    let (vm, post) = (vm(), golive());
    let began = Instant::now();
    let later = async {
        sleep(Duration::from_secs(1)).await;
        let error = client.post(&vm, &post).await.unwrap_err();
        (began.elapsed().as_secs(), error.retry_after().map(|wait| wait.as_secs()))
    };
    let (_, later) = tokio::join!(timeout(Duration::from_mins(1), client.offer(&vm)), later);
    assert_eq!((later, server.count()), ((2, Some(60)), 1));
}

/// Whichever requests fail, hang or are given up.
#[tokio::test(start_paused = true)]
async fn never_more_requests_than_allowed() {
    for concurrency in [1, 2, 3, 8] {
        let marketplace =
            Marketplace::new(|offer| match offer.bytes().map(usize::from).sum::<usize>() % 7 {
                0 => Behavior::Never,
                1 => Behavior::Reset(Duration::from_millis(700)),
                2 => Behavior::After(Duration::from_secs(9)),
                3 if offer.ends_with('3') => Behavior::Throttled,
                _ => QUICK,
            });
        let client = marketplace.client(concurrency, 10);
        let ask = async |number: u64| {
            let mut rng = fastrand::Rng::with_seed(number);
            sleep(Duration::from_millis(rng.u64(0..60_000))).await;
            let publisher = ["contoso", "fabrikam", "litware", "adatum"][rng.usize(0..4)];
            let offer = named(publisher, rng.usize(0..1_000));
            // Who asks may have no patience.
            let patience = Duration::from_millis(rng.u64(0..120_000));
            let asked = ask(Arc::clone(&client), offer);
            timeout(patience, asked).await.is_ok()
        };
        let heard = join_all((0..600).map(ask)).await;
        let heard = heard.into_iter().filter(|heard| *heard).count();
        assert!(marketplace.most() == concurrency && heard > 10, "{concurrency}: {heard}");
        assert_eq!(marketplace.counts.lock().unwrap().busy.values().sum::<usize>(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_mutation_ends_within_twice_the_request_timeout() {
    let marketplace = Marketplace::new(|_| Behavior::Never);
    let client = marketplace.client(1, 60);
    let post = golive();
    let began = Instant::now();
    let offers: Vec<_> = (0..5).map(|number| named("contoso", number)).collect();
    let ends = join_all(offers.iter().map(|offer| client.post(offer, &post))).await;
    assert_eq!(began.elapsed(), client.longest_request(offers[0].publisher()));
    // Two may have arrived. The others were never sent, and nothing is in doubt about them.
    let unsent = ends.iter().filter(|end| matches!(end, Err(MarketplaceError::NotSent { .. })));
    let (unsent, sent) = (unsent.count(), marketplace.counts.lock().unwrap().sent);
    assert_eq!((unsent, sent), (ends.len() - sent, 2));
}

#[tokio::test(start_paused = true)]
async fn a_mutation_goes_before_reads() {
    let marketplace = Marketplace::new(|_| QUICK);
    let client = marketplace.client(1, 60);
    let asked = (0..20).map(|number| ask(Arc::clone(&client), named("contoso", number)));
    let asked: JoinSet<_> = asked.collect();
    tokio::task::yield_now().await;
    let began = Instant::now();
    // The emptiness of its answer is no matter here.
    let _ = client.post(&named("contoso", 99), &golive()).await;
    assert!(began.elapsed() <= Duration::from_millis(200), "{:?}", began.elapsed());
    drop(asked);
}
