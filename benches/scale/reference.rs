//! Reference clients that only send requests: concurrently, as a lower bound, and one after the other.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use reqwest::{Client, Method, header};

use super::files::name;
use super::market::Market;

fn client() -> Client {
    // The marketplace is on this machine and speaks HTTP.
    let builder = Client::builder().no_proxy().tls_certs_only([]);
    // reqwest needs a crypto provider even so; an error means that one is installed already.
    drop(rustls::crypto::ring::default_provider().install_default());
    builder.build().unwrap()
}

fn in_runtime<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.unwrap().block_on(work)
}

async fn ask(client: &Client, method: Method, url: String, tag: Option<&str>) -> reqwest::Response {
    let mut request = client.request(method, url).bearer_auth("bench");
    if let Some(tag) = tag {
        request = request.header(header::IF_MATCH, tag);
    }
    let answer = request.send().await.unwrap();
    answer.error_for_status().unwrap()
}

fn path(market: &Market, offer: &str, rest: &str) -> String {
    let path = offer.replace('/', "/offers/");
    format!("{}/api/publishers/{path}{rest}?api-version=2017-10-31", market.url())
}

/// The time to read each publisher's list.
pub(crate) fn lists(market: &Market, publishers: usize, concurrency: usize) -> Duration {
    let started = Instant::now();
    in_runtime(async {
        let client = client();
        let urls = (0..publishers).map(|publisher| {
            let offer = name(publisher, publishers);
            let (publisher, _) = offer.split_once('/').unwrap();
            let url = format!("{}/api/publishers/{publisher}/offers", market.url());
            format!("{url}?api-version=2017-10-31")
        });
        let lists = futures_util::stream::iter(urls).map(|url| async {
            ask(&client, Method::GET, url, None).await.bytes().await.unwrap().len()
        });
        let sizes: Vec<usize> = lists.buffer_unordered(concurrency).collect().await;
        assert!(sizes.iter().all(|size| *size > 2), "a list is empty");
    });
    started.elapsed()
}

/// The time to send `count` requests, `concurrency` at a time.
pub(crate) fn requests(market: &Market, count: usize, concurrency: usize) -> Duration {
    let started = Instant::now();
    in_runtime(async {
        let client = client();
        let offer = name(0, 1);
        let requests = futures_util::stream::iter(0..count).map(|_| async {
            let answer = ask(&client, Method::GET, path(market, &offer, "/status"), None).await;
            answer.bytes().await.unwrap()
        });
        requests.buffer_unordered(concurrency).for_each(|_| std::future::ready(())).await;
    });
    started.elapsed()
}

/// The time of a script that launches these offers one after the other: it reads the entity tag, sends
/// golive, and polls once.
pub(crate) fn one_by_one(market: &Market, offers: impl Iterator<Item = String>) -> Duration {
    let started = Instant::now();
    in_runtime(async {
        let client = client();
        for offer in offers {
            let answer = ask(&client, Method::GET, path(market, &offer, ""), None).await;
            let tag = answer.headers()[header::ETAG].to_str().unwrap().to_owned();
            answer.bytes().await.unwrap();
            let golive = path(market, &offer, "/golive");
            let accepted = ask(&client, Method::POST, golive, Some(&tag)).await;
            let operation = accepted.headers()["operation-location"].to_str().unwrap().to_owned();
            let url = format!("{operation}?api-version=2017-10-31");
            ask(&client, Method::GET, url, None).await.bytes().await.unwrap();
        }
    });
    started.elapsed()
}
