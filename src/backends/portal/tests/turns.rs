//! How publishers share the requests in flight, in virtual time.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::*;

/// What one offer comes to at the marketplace. What is found is answered 404, which is an answer.
#[derive(Clone, Copy)]
enum Way {
    After(Duration),
    Never,
    /// No answer after this long.
    Reset(Duration),
    /// 429 at once, with `Retry-After: 1`.
    Throttled,
}

const QUICK: Way = Way::After(Duration::from_millis(100));

/// A marketplace in which every offer has its way, and which counts what is under way.
struct Town {
    /// By the offer's name: `contoso/vm`.
    way: Box<dyn Fn(&str) -> Way + Send + Sync>,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    busy: HashMap<String, usize>,
    /// The most there were at once, in all and of each publisher since it was looked at.
    most: usize,
    most_of: HashMap<String, usize>,
    sent: usize,
}

/// One request under way, also where it is given up.
struct Busy<'a>(&'a Town, String);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        *self.0.counts.lock().unwrap().busy.get_mut(&self.1).unwrap() -= 1;
    }
}

impl Town {
    fn new(way: impl Fn(&str) -> Way + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { way: Box::new(way), counts: Mutex::default() })
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

    fn enters(&self, publisher: &str) -> Busy<'_> {
        let counts = &mut *self.counts.lock().unwrap();
        let busy = counts.busy.entry(publisher.to_owned()).or_default();
        *busy += 1;
        let most_of = counts.most_of.entry(publisher.to_owned()).or_default();
        *most_of = (*most_of).max(*busy);
        counts.most = counts.most.max(counts.busy.values().sum());
        counts.sent += 1;
        Busy(self, publisher.to_owned())
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
impl Transport for Town {
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
        let reply = match (self.way)(&format!("{publisher}/{offer}")) {
            Way::After(latency) => {
                sleep(latency).await;
                reply(404, None)
            }
            Way::Never => std::future::pending().await,
            Way::Reset(latency) => {
                sleep(latency).await;
                Err(TransportError::Lost { what: "reset".to_owned(), source: None })
            }
            Way::Throttled => reply(429, Some("1")),
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

/// How contoso is slow.
fn troubles() -> [Way; 3] {
    let minute = Duration::from_mins(1);
    [Way::After(minute), Way::Never, Way::Reset(minute)]
}

fn is_contoso(offer: &str) -> bool {
    offer.starts_with("contoso/")
}

fn at_most(took: Duration, millis: u64) -> bool {
    // A timer may be a millisecond late, each time.
    took <= Duration::from_millis(millis + 20)
}

/// At first nobody knows that contoso is slow, and it has all turns. That is over when the first
/// request ends: after a minute. Then half of them are for others.
#[tokio::test(start_paused = true)]
async fn who_is_slow_holds_up_the_others_for_one_request_at_most() {
    for trouble in troubles() {
        let town = Town::new(move |offer| if is_contoso(offer) { trouble } else { QUICK });
        let client = town.client(8, 61);
        let _slow = ask_all(&client, "contoso", 500);
        tokio::task::yield_now().await;
        let (took, all) = answered(ask_all(&client, "fabrikam", 20)).await;
        // 61 s of contoso's, then 20 requests at 4 a time.
        assert!(all && at_most(took, 61_000 + 500), "{took:?}");
        assert_eq!(town.most(), 8);
    }
}

/// Once it is known, those that come later wait for nothing, however many times they come.
#[tokio::test(start_paused = true)]
async fn who_comes_later_finds_half_of_the_turns_free() {
    for trouble in troubles() {
        let town = Town::new(move |offer| if is_contoso(offer) { trouble } else { QUICK });
        let client = town.client(8, 61);
        let (took, _) = answered(ask_all(&client, "fabrikam", 1)).await;
        assert!(at_most(took, 100), "{took:?}");
        let _slow = ask_all(&client, "contoso", 500);
        sleep(Duration::from_secs(10)).await;
        for publisher in ["fabrikam", "litware", "fabrikam"] {
            // What contoso had before it was slow is not taken from it.
            sleep(Duration::from_mins(2)).await;
            town.most_of("contoso");
            let (took, all) = answered(ask_all(&client, publisher, 20)).await;
            assert!(all && at_most(took, 500), "{publisher}: {took:?}");
            assert_eq!((town.most_of("contoso"), town.most()), (0, 8));
        }
        // Meanwhile contoso goes on with the other half.
        sleep(Duration::from_mins(2)).await;
        assert_eq!(town.most_of("contoso"), 4);
    }
}

/// The very first question about a publisher comes while another one, that hangs, has all turns.
#[tokio::test(start_paused = true)]
async fn a_stranger_waits_for_one_request_at_most() {
    for trouble in troubles() {
        let town = Town::new(move |offer| if is_contoso(offer) { trouble } else { QUICK });
        let client = town.client(8, 61);
        let _slow = ask_all(&client, "contoso", 500);
        sleep(Duration::from_secs(190)).await;
        let (took, all) = answered(ask_all(&client, "fabrikam", 20)).await;
        assert!(all && at_most(took, 61_000 + 500), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn several_that_hang_have_half_of_the_turns_together() {
    let town = Town::new(|offer| if offer.starts_with("fabrikam/") { QUICK } else { Way::Never });
    let client = town.client(8, 60);
    answered(ask_all(&client, "fabrikam", 1)).await;
    let hanging = ["contoso", "litware", "adatum", "tailspin", "wingtip"];
    let _slow: Vec<_> = hanging.map(|publisher| ask_all(&client, publisher, 100)).into();
    sleep(Duration::from_secs(130)).await;
    let (took, all) = answered(ask_all(&client, "fabrikam", 20)).await;
    assert!(all && at_most(took, 500), "{took:?}");
    // None of those that hang has them all, and none is left out.
    for publisher in hanging {
        town.most_of(publisher);
    }
    sleep(Duration::from_mins(10)).await;
    for publisher in hanging {
        assert!((1..=2).contains(&town.most_of(publisher)));
    }
}

/// There is nothing to keep free of a single turn, but publishers take turns.
#[tokio::test(start_paused = true)]
async fn where_there_is_one_turn_each_waits_for_one_request_of_another() {
    for trouble in troubles() {
        let town = Town::new(move |offer| if is_contoso(offer) { trouble } else { QUICK });
        let client = town.client(1, 61);
        let _slow = ask_all(&client, "contoso", 500);
        tokio::task::yield_now().await;
        let (took, all) = answered(ask_all(&client, "fabrikam", 20)).await;
        assert!(all && at_most(took, 20 * 61_100), "{took:?}");
        assert_eq!(town.most(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_alone_has_all_turns_however_slow() {
    for trouble in [Way::After(Duration::from_secs(20)), Way::Reset(Duration::from_secs(20))] {
        let town = Town::new(move |_| trouble);
        let client = town.client(8, 60);
        let began = Instant::now();
        let all = ask_all(&client, "contoso", 80).join_all().await;
        let (took, sent) = (began.elapsed(), town.counts.lock().unwrap().sent);
        // All turns all the time, but for the pauses before repeats at the very end.
        let least = Duration::from_secs(20 * u64::try_from(sent.div_ceil(8)).unwrap());
        assert_eq!((all.len(), town.most()), (80, 8));
        assert!(took >= least && took < least + Duration::from_secs(30), "{sent}: {took:?}");
    }
}

/// It is asked again and again, and each time it is answered 429, everybody waits for a second.
#[tokio::test(start_paused = true)]
async fn who_is_throttled_for_good_holds_up_nobody() {
    for (concurrency, expected) in [(1, 5_100), (8, 1_600)] {
        let town = Town::new(|offer| if offer == "contoso/o0" { Way::Throttled } else { QUICK });
        let client = town.client(concurrency, 60);
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
async fn who_asks_again_lets_those_go_first_that_were_never_answered() {
    let is_throttled = |offer: &str| offer.starts_with("contoso/o");
    let town = Town::new(move |offer| if is_throttled(offer) { Way::Throttled } else { QUICK });
    let client = town.client(1, 60);
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

/// A failure is not its doing: it does not wait until nobody asks for the first time any more.
#[tokio::test(start_paused = true)]
async fn who_had_no_answer_asks_again_in_its_turn() {
    let reset = |offer: &str| offer == "contoso/o0";
    let lost = Way::Reset(Duration::from_millis(100));
    let town = Town::new(move |offer| if reset(offer) { lost } else { QUICK });
    let client = town.client(1, 60);
    // Busy for a minute.
    let others = ask_all(&client, "fabrikam", 600);
    sleep(Duration::from_millis(10)).await;
    let began = Instant::now();
    assert!(client.offer(&named("contoso", 0)).await.is_err());
    // Five attempts with up to 0.5, 1, 2 and 4 s between them.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(!others.is_empty());
}

/// Its answer comes late, and the second time it would be sent later still.
#[tokio::test(start_paused = true)]
async fn what_changes_something_is_not_sent_again_once_its_time_is_over() {
    let script = Script::new([answer(200, "{}"), answer(401, ""), answer(202, "")]);
    let script = Script { latency: Duration::from_secs(40), ..script };
    let settings = Settings { concurrency: NonZeroUsize::MIN, ..Settings::default() };
    let client = script.client_with(settings, Arc::new(Numbered::default()));
    let (vm, post) = (vm(), golive());
    let later = async {
        sleep(Duration::from_secs(1)).await;
        client.post(&vm, &post).await
    };
    let (_, later) = tokio::join!(timeout(Duration::from_secs(40), client.offer(&vm)), later);
    assert!(matches!(later, Err(MarketplaceError::NotSent { .. })), "{later:?}");
    assert_eq!(script.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_changes_something_leaves_the_line_when_a_pause_begins() {
    let script = Script::new([with(503, "", &[("retry-after", "60")])]);
    let script = Script { latency: Duration::from_secs(2), ..script };
    let settings = Settings { concurrency: NonZeroUsize::MIN, ..Settings::default() };
    let client = script.client_with(settings, Arc::new(AnonymousToken));
    let (vm, post) = (vm(), golive());
    let began = Instant::now();
    let later = async {
        sleep(Duration::from_secs(1)).await;
        let error = client.post(&vm, &post).await.unwrap_err();
        (began.elapsed().as_secs(), error.retry_after().map(|wait| wait.as_secs()))
    };
    let (_, later) = tokio::join!(timeout(Duration::from_mins(1), client.offer(&vm)), later);
    assert_eq!((later, script.count()), ((2, Some(60)), 1));
}

/// Whoever asks for what, however it ends, and whoever gives up.
#[tokio::test(start_paused = true)]
async fn never_more_requests_than_allowed() {
    for concurrency in [1, 2, 3, 8] {
        let town = Town::new(|offer| match offer.bytes().map(usize::from).sum::<usize>() % 7 {
            0 => Way::Never,
            1 => Way::Reset(Duration::from_millis(700)),
            2 => Way::After(Duration::from_secs(9)),
            3 if offer.ends_with('3') => Way::Throttled,
            _ => QUICK,
        });
        let client = town.client(concurrency, 10);
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
        assert!(town.most() == concurrency && heard > 10, "{concurrency}: {heard}");
        assert_eq!(town.counts.lock().unwrap().busy.values().sum::<usize>(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_changes_something_is_over_after_twice_the_time_of_a_request() {
    let town = Town::new(|_| Way::Never);
    let client = town.client(1, 60);
    let post = golive();
    let began = Instant::now();
    let offers: Vec<_> = (0..5).map(|number| named("contoso", number)).collect();
    let ends = join_all(offers.iter().map(|offer| client.post(offer, &post))).await;
    assert_eq!(began.elapsed(), client.longest_request());
    // Two may have arrived. The others were never sent, and nothing is in doubt about them.
    let unsent = ends.iter().filter(|end| matches!(end, Err(MarketplaceError::NotSent { .. })));
    let (unsent, sent) = (unsent.count(), town.counts.lock().unwrap().sent);
    assert_eq!((unsent, sent), (ends.len() - sent, 2));
}

#[tokio::test(start_paused = true)]
async fn what_changes_something_goes_before_what_is_asked() {
    let town = Town::new(|_| QUICK);
    let client = town.client(1, 60);
    let asked = (0..20).map(|number| ask(Arc::clone(&client), named("contoso", number)));
    let asked: JoinSet<_> = asked.collect();
    tokio::task::yield_now().await;
    let began = Instant::now();
    // The emptiness of its answer is no matter here.
    let _ = client.post(&named("contoso", 99), &golive()).await;
    assert!(began.elapsed() <= Duration::from_millis(200), "{:?}", began.elapsed());
    drop(asked);
}
