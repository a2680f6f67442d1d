//! Where what is long is rendered.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::Serving;

/// How much is rendered at once. Whoever asks for more waits, so that no number of requests takes
/// the machine from the work itself.
const TURNS: usize = 2;

/// Renders what is long away from the threads that serve connections and do the work.
#[derive(Clone, Debug)]
pub(super) struct Renderer {
    serving: Serving,
    turns: Arc<Semaphore>,
}

impl Renderer {
    pub(super) fn new(serving: Serving) -> Self {
        Self { serving, turns: Arc::new(Semaphore::new(TURNS)) }
    }

    /// Renders, once it is its turn; `None` where that panicked, or the program ends.
    pub(super) async fn render<T: Send + 'static>(
        &self,
        render: impl FnOnce(&Serving) -> T + Send + 'static,
    ) -> Option<T> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok()?;
        let serving = self.serving.clone();
        let rendering = tokio::task::spawn_blocking(move || {
            // Kept to the end, also where nobody waits for it any more.
            let _turn = turn;
            render(&serving)
        });
        rendering.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;
    use crate::serve::tests::serving;

    #[tokio::test]
    async fn so_much_is_rendered_at_once_and_no_more() {
        let (serving, _folder) = serving();
        let renderer = Renderer::new(serving);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let one = |number: usize| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            let render = renderer.render(move |_| {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::sleep(std::time::Duration::from_millis(2));
                now.fetch_sub(1, Ordering::SeqCst);
                assert_ne!(number, 7, "this one panics");
                number
            });
            // Who goes away gives up its turn only once what it asked for is done.
            tokio::time::timeout(std::time::Duration::from_millis(number as u64), render)
        };
        drop(join_all((0..40).map(one)).await);
        assert_eq!(most.load(Ordering::SeqCst), TURNS);
        assert_eq!(renderer.render(|_| 1).await, Some(1));
        assert_eq!(renderer.render(|_| panic!("no turn is lost")).await, None::<u8>);
        // All turns are there again, once what nobody waits for is done.
        let all = renderer.turns.acquire_many(u32::try_from(TURNS).unwrap());
        drop(tokio::time::timeout(std::time::Duration::from_mins(1), all).await.unwrap());
    }
}
