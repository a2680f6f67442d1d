//! Work on many offers in parallel.

use std::collections::BTreeMap;
use std::future::Future;

use futures_util::stream::{self, Stream, StreamExt as _};

use crate::marketplace::{OfferId, PublisherId};

/// Runs the work with a window for each publisher that limits how many of its pieces run at once.
/// With one shared window, pieces that hang could fill it before other publishers get their turn.
pub(super) fn windows<T, F, W>(
    all: impl IntoIterator<Item = T>,
    offer: impl Fn(&T) -> &OfferId,
    width: usize,
    work: W,
) -> impl Stream<Item = F::Output>
where
    F: Future,
    W: Fn(T) -> F + Clone,
{
    let mut publishers: BTreeMap<PublisherId, Vec<T>> = BTreeMap::new();
    for one in all {
        let publisher = offer(&one).publisher().clone();
        publishers.entry(publisher).or_default().push(one);
    }
    // Create a piece's future only when it starts, because a future that sends a request is large.
    let window =
        move |all: Vec<T>| stream::iter(all).map(work.clone()).buffer_unordered(width.max(1));
    stream::select_all(publishers.into_values().map(window))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::time::Duration;

    use tokio::time::{sleep, timeout};

    use super::*;

    fn offers(publishers: &[&str], each: usize) -> Vec<OfferId> {
        let names = publishers
            .iter()
            .flat_map(|publisher| (0..each).map(move |number| format!("{publisher}/vm-{number}")));
        names.map(|name| name.parse().unwrap()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_fills_no_window_but_its_own() {
        let under_way: RefCell<BTreeMap<PublisherId, usize>> = RefCell::default();
        let begun = RefCell::new(0);
        let work = |offer: OfferId| {
            let (under_way, begun) = (&under_way, &begun);
            async move {
                let publisher = offer.publisher().clone();
                *under_way.borrow_mut().entry(publisher.clone()).or_default() += 1;
                *begun.borrow_mut() += 1;
                assert!(under_way.borrow()[&publisher] <= 3);
                if publisher.as_str() == "a" {
                    std::future::pending::<()>().await;
                }
                sleep(Duration::from_secs(1)).await;
                *under_way.borrow_mut().entry(publisher).or_default() -= 1;
                offer
            }
        };
        let all = windows(offers(&["a", "b", "c"], 10), |offer| offer, 3, work);
        let mut ended = Vec::new();
        let collecting = all.for_each(|offer| {
            ended.push(offer);
            std::future::ready(())
        });
        // Ten pieces, three at a time, take four seconds.
        timeout(Duration::from_millis(4_500), collecting).await.unwrap_err();
        ended.sort();
        assert_eq!(ended, offers(&["b", "c"], 10));
        assert_eq!(begun.take(), 23);
    }

    #[tokio::test(start_paused = true)]
    async fn each_piece_is_done_once() {
        for (publishers, each, width) in [(1, 1, 0), (1, 9, 2), (7, 5, 3), (3, 0, 1)] {
            let names: Vec<_> = (0..publishers).map(|number| format!("p{number}")).collect();
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            let all = offers(&names, each);
            let done = windows(all.clone(), |offer| offer, width, std::future::ready);
            let mut done: Vec<OfferId> = done.collect().await;
            done.sort();
            assert_eq!(done, all);
        }
    }
}
