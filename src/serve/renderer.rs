//! Renders long pages.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::Serving;

/// The most renderings at once. Others wait, so that no number of requests takes the CPU from the
/// reconciler.
const MAX_CONCURRENT: usize = 2;

/// Renders outside of the threads that serve connections and reconcile.
#[derive(Clone, Debug)]
pub(super) struct Renderer {
    serving: Serving,
    permits: Arc<Semaphore>,
}

impl Renderer {
    pub(super) fn new(serving: Serving) -> Self {
        Self { serving, permits: Arc::new(Semaphore::new(MAX_CONCURRENT)) }
    }

    /// Waits for a permit and renders; `None` if that panicked or the program ends.
    pub(super) async fn render<T: Send + 'static>(
        &self,
        render: impl FnOnce(&Serving) -> T + Send + 'static,
    ) -> Option<T> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        let serving = self.serving.clone();
        let rendering = tokio::task::spawn_blocking(move || {
            // Held to the end, even if the client has gone.
            let _permit = permit;
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
    async fn concurrent_renderings_are_limited() {
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
            // A client that goes away releases its permit only when its rendering is done.
            tokio::time::timeout(std::time::Duration::from_millis(number as u64), render)
        };
        drop(join_all((0..40).map(one)).await);
        assert_eq!(most.load(Ordering::SeqCst), MAX_CONCURRENT);
        assert_eq!(renderer.render(|_| 1).await, Some(1));
        assert_eq!(renderer.render(|_| panic!("no permit is lost")).await, None::<u8>);
        // All permits are free again once the abandoned renderings have ended.
        let all = renderer.permits.acquire_many(u32::try_from(MAX_CONCURRENT).unwrap());
        drop(tokio::time::timeout(std::time::Duration::from_mins(1), all).await.unwrap());
    }
}
