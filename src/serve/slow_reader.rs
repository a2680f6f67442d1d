//! Cuts off clients that don't read their response.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// How long a client may block writing, in all.
pub(super) const MAX_BLOCKED: Duration = Duration::from_secs(30);
/// A client that reads faster than this is never cut off: each such number of bytes earns it a
/// second of [`MAX_BLOCKED`] back. The slowest line that anybody uses takes as many.
pub(super) const MIN_BYTES_PER_SECOND: u64 = 4096;

/// A stream whose writes fail with `TimedOut` once the client has blocked them for too long. Only
/// time spent waiting to write counts, so an event stream may be silent for hours; and reading a
/// byte now and then is not enough, so that no client can hold a connection for ever.
#[derive(Debug)]
pub(super) struct SlowReaderGuard<S> {
    stream: S,
    /// How much longer writes may be blocked.
    left: Duration,
    /// Since when a write is blocked, and when it fails.
    blocked: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<S> SlowReaderGuard<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, left: MAX_BLOCKED, blocked: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for SlowReaderGuard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

// Without vectored writes: hyper joins the pieces of a response, so that one place counts them.
impl<S: AsyncWrite + Unpin> AsyncWrite for SlowReaderGuard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Ready(written) => {
                let count = written?;
                if let Some((since, _)) = self.blocked.take() {
                    self.left = self.left.saturating_sub(since.elapsed());
                }
                let earned = u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(1000);
                self.left += Duration::from_millis(earned / MIN_BYTES_PER_SECOND);
                self.left = self.left.min(MAX_BLOCKED);
                Poll::Ready(Ok(count))
            }
            Poll::Pending => {
                let left = self.left;
                let (_, end) = self.blocked.get_or_insert_with(|| {
                    let now = Instant::now();
                    (now, Box::pin(sleep_until(now + left)))
                });
                ready!(end.as_mut().poll(context));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
