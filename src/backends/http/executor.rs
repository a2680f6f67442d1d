//! One request and its answer: permits, pauses, timeouts, tokens, and retries of reads.

use jiff::Timestamp;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tracing::Instrument as _;

use super::advice::Advice;
use super::call::Call;
use super::client_parts::ClientParts;
use super::endpoint::Endpoint;
use super::fair_queue::Priority;
use super::login::Login;
use super::pause::{Pauses, Stopped, seconds};
use super::permits::{Permit, Permits};
use super::redact::Cleaner;
use super::response::{ApiResponse, Failure, Repeat};
use super::retry_after::retry_after;
use super::settings::Settings;
use super::token::Token;
use super::transport::{Transport, TransportError};
use crate::clock::Clock;
use crate::marketplace::{
    MarketplaceError, PausedUntil, PublisherId, Refusal, RefusalKind, RequestId,
};

/// Shorter pauses are not logged.
const MIN_LOGGED_PAUSE: Duration = Duration::from_secs(5);

/// The queue priority of a request, and the limits on its waits before it is sent.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    priority: Priority,
    /// The longest wait for pauses of the publisher or the host.
    pause: Duration,
    /// The deadline for a permit, if there is one.
    permit_by: Option<Instant>,
}

/// The state that all requests share.
pub(crate) struct RequestExecutor {
    pub(crate) endpoint: Endpoint,
    transport: Arc<dyn Transport>,
    login: Login,
    clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    permits: Permits,
    pauses: Pauses,
    rng: Mutex<fastrand::Rng>,
    advice: &'static Advice,
}

impl RequestExecutor {
    pub(crate) fn new(parts: ClientParts, advice: &'static Advice) -> Self {
        let ClientParts { endpoint, transport, tokens, clock, settings, rng, permits } = parts;
        let permits = permits.unwrap_or_else(|| Permits::new(settings.concurrency));
        let (login, pauses, rng) = (Login::new(tokens), Pauses::default(), Mutex::new(rng));
        Self { endpoint, transport, login, clock, settings, permits, pauses, rng, advice }
    }

    /// The current time (UTC).
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Sends a read until `parse` accepts the answer, within the retry policy.
    pub(crate) async fn read<T>(
        &self,
        call: &Call,
        parse: impl Fn(&ApiResponse) -> Result<T, Failure>,
    ) -> Result<T, MarketplaceError> {
        let started = Instant::now();
        let policy = self.settings.retry;
        let (mut attempt, mut broken) = (0, 0);
        let mut priority = Priority::Read;
        // Waits that the marketplace asks for are bounded by `max_wait` alone.
        let mut asked_waits = Duration::ZERO;
        loop {
            attempt += 1;
            let bounds = Bounds { priority, pause: self.settings.max_wait, permit_by: None };
            let failure = match self.answer(call, attempt, bounds).await {
                Ok(answer) => match answer.answers_a_read().and_then(|()| parse(&answer)) {
                    Ok(value) => return Ok(value),
                    Err(failure) => failure,
                },
                Err(failure) => failure,
            };
            let again = match failure.repeat {
                Repeat::Never => false,
                Repeat::Transient => attempt < policy.tries,
                Repeat::Broken => {
                    broken += 1;
                    attempt < policy.tries && broken < policy.broken_tries
                }
            };
            let wait = self.wait_after(failure.error.retry_after(), attempt);
            if failure.error.retry_after().is_some() {
                asked_waits = asked_waits.saturating_add(wait);
            }
            let spent = started.elapsed().saturating_add(wait).saturating_sub(asked_waits);
            let in_time = wait <= self.settings.max_wait && spent <= policy.budget;
            if !again || !in_time {
                return Err(failure.error);
            }
            tracing::debug!(
                call = call.name,
                attempt,
                wait_ms = millis(wait),
                error = %failure.error,
                "asking again"
            );
            // A throttled request re-queues behind others; other failures keep their priority.
            priority = if is_throttled(&failure.error) {
                Priority::ThrottledRetry
            } else {
                Priority::Read
            };
            sleep(wait).await;
        }
    }

    /// Sends a mutation once, and a second time only after a 401, which says that the marketplace
    /// did nothing. Any answer without a success status is an error. While the publisher is paused,
    /// the mutation fails unsent: a queued mutation can't be canceled, and its caller's knowledge
    /// of the offer grows stale. For the same reason it fails unsent if it gets no permit within
    /// the request timeout; so it has ended after twice that time in any case.
    pub(crate) async fn change(&self, call: &Call) -> Result<ApiResponse, MarketplaceError> {
        let permit_by = Instant::now().checked_add(self.settings.request_timeout);
        let bounds = Bounds { priority: Priority::Mutation, pause: Duration::ZERO, permit_by };
        self.answer(call, 1, bounds).await.map_err(|failure| failure.error)
    }

    /// One attempt that must give a success status, retried once with a new token where the call
    /// takes one.
    async fn answer(
        &self,
        call: &Call,
        attempt: u32,
        bounds: Bounds,
    ) -> Result<ApiResponse, Failure> {
        let mut token = self.login.token(&call.title()).await?;
        let mut is_repeat = false;
        loop {
            let permit = self.permit_in_time(call, bounds).await?;
            // Meanwhile another request with this token may have been answered 401.
            if self.login.is_refused(&token) {
                drop(permit);
                token = self.login.token(&call.title()).await?;
                continue;
            }
            let answer = self.send(call, attempt, &token, permit).await?;
            if answer.status.is_success() {
                return Ok(answer);
            }
            let refusal = answer.refusal();
            if answer.status != StatusCode::UNAUTHORIZED {
                self.leave_alone(&call.publisher, &refusal, attempt);
                return Err(Failure::refused(answer.status, refusal));
            }
            self.login.refuse(&token, refusal.clone());
            let fresh = if is_repeat { None } else { self.login.another(&token).await? };
            let Some(fresh) = fresh else {
                let refusal = Refusal { is_final: self.login.is_final(), ..refusal };
                return Err(Failure::refused(answer.status, refusal));
            };
            (token, is_repeat) = (fresh, true);
        }
    }

    /// Pauses the publisher if the marketplace asks for it.
    fn leave_alone(&self, publisher: &PublisherId, refusal: &Refusal, attempt: u32) {
        if !matches!(refusal.kind, RefusalKind::Throttled | RefusalKind::Unavailable) {
            return;
        }
        let (wait, answer) = (self.wait_after(refusal.retry_after, attempt), &refusal.answer);
        let stopped = self.pauses.extend(publisher, wait, refusal);
        if wait < MIN_LOGGED_PAUSE {
            return;
        }
        let now = self.clock.now();
        let until = now.checked_add(wait).unwrap_or(now);
        match stopped {
            Stopped::Publisher => tracing::warn!(
                answer,
                %until,
                publisher = publisher.as_str(),
                "the marketplace answers {answer} and asks to wait: until {until:.0} nothing is sent \
                 about {publisher}"
            ),
            Stopped::Host => tracing::warn!(
                answer,
                "the marketplace asks to wait for two publishers: nothing is sent at all until one of the two pauses is over"
            ),
            Stopped::Nobody => {}
        }
    }

    /// The pauses that the marketplace asked for, and their ends.
    pub(crate) fn paused_until(&self) -> PausedUntil {
        let (publishers, host) = self.pauses.all();
        let now = self.clock.now();
        let publishers = publishers.into_iter().map(|(id, paused)| (id, paused.shown(now)));
        let publishers = publishers.collect();
        PausedUntil { publishers, all: host.map(|paused| paused.shown(now)) }
    }

    /// A cleaner that redacts every recently used token.
    pub(crate) fn cleaner(&self) -> Cleaner {
        self.login.cleaner()
    }

    /// Sends one request under its permit.
    async fn send(
        &self,
        call: &Call,
        attempt: u32,
        token: &Token,
        permit: Permit,
    ) -> Result<ApiResponse, Failure> {
        let request_id = call.request_id.clone().unwrap_or_else(|| self.new_request_id());
        let request = call
            .request(token, &request_id)
            .map_err(|error| Failure::last(self.not_sent(error.into())))?;
        let limit = self.settings.request_timeout.max(call.least_timeout);
        let started = Instant::now();
        let span = tracing::info_span!(
            target: "otlp",
            "request",
            otel.name = call.name,
            otel.kind = "client",
            http.request.method = %call.method,
            url.path = call.url.path(),
            http.response.status_code = tracing::field::Empty,
            request_id = request_id.as_str(),
            attempt,
        );
        let sending = timeout(limit, self.transport.send(request));
        let outcome = sending.instrument(span.clone()).await;
        let took = started.elapsed();
        if is_answered(&outcome) {
            permit.answered(took);
        } else {
            permit.unanswered();
        }
        let status = match &outcome {
            Ok(Ok(response)) => Some(response.status()),
            Ok(Err(error)) => error.status(),
            Err(_elapsed) => None,
        };
        let status = status.map(|status| status.as_u16());
        span.record("http.response.status_code", status);
        tracing::debug!(
            call = call.name,
            method = %call.method,
            path = call.url.path(),
            status,
            millis = millis(took),
            request_id = request_id.as_str(),
            attempt,
            "request"
        );
        match outcome {
            Ok(Ok(response)) => Ok(self.received(call, response)),
            // The head of the answer says how a POST ended: if it was accepted, a cut body must not
            // make golive search for it.
            Ok(Err(TransportError::Cut { head, .. })) if call.method == Method::POST => {
                Ok(self.received(call, Response::from_parts(*head, Bytes::new())))
            }
            Ok(Err(error)) => Err(self.not_received(call, error)),
            Err(_elapsed) => {
                let what = format!("no answer within {}", seconds(limit));
                Err(Failure::new(MarketplaceError::lost(call.title(), what), Repeat::Transient))
            }
        }
    }

    fn received(&self, call: &Call, response: Response<Bytes>) -> ApiResponse {
        let (parts, body) = response.into_parts();
        let retry_after = retry_after(&parts.headers, self.clock.now());
        let cleaner = self.cleaner();
        let (status, headers) = (parts.status, parts.headers);
        let advice = self.advice.on(status);
        ApiResponse { request: call.title(), status, headers, body, retry_after, cleaner, advice }
    }

    fn not_received(&self, call: &Call, error: TransportError) -> Failure {
        let message = error.to_string();
        let lost = |what, source| MarketplaceError::Lost { request: call.title(), what, source };
        match error {
            TransportError::NotSent { source } => {
                Failure::new(self.not_sent(source), Repeat::Transient)
            }
            TransportError::Lost { what, source } => {
                Failure::new(lost(what, source), Repeat::Transient)
            }
            TransportError::Cut { source, .. } => {
                Failure::new(lost(message, Some(source)), Repeat::Transient)
            }
            TransportError::TooLong => Failure::new(lost(message, None), Repeat::Broken),
        }
    }

    pub(crate) fn not_sent(&self, source: Box<dyn Error + Send + Sync>) -> MarketplaceError {
        MarketplaceError::NotSent { origin: self.endpoint.origin(), source }
    }

    /// Waits for a permit, as long as the bounds allow.
    async fn permit_in_time(&self, call: &Call, bounds: Bounds) -> Result<Permit, Failure> {
        let permit = self.permit(call, bounds);
        let Some(permit_by) = bounds.permit_by else { return permit.await };
        let late = || {
            let waited = seconds(self.settings.request_timeout);
            let why = format!("it could not be sent within {waited}: too many requests wait");
            Failure::last(self.not_sent(why.into()))
        };
        // A free permit would be granted even after the deadline.
        if permit_by <= Instant::now() {
            return Err(late());
        }
        timeout_at(permit_by, permit).await.unwrap_or_else(|_elapsed| Err(late()))
    }

    /// Waits for a permit and for the publisher's pauses, in total no longer than the bounds allow.
    /// Time in the queue doesn't count.
    async fn permit(&self, call: &Call, bounds: Bounds) -> Result<Permit, Failure> {
        let Bounds { priority, pause: mut allowance, .. } = bounds;
        let place = self.permits.place(priority);
        loop {
            let paused = self.pauses.current(&call.publisher);
            if let Some(paused) = &paused {
                let wait = paused.until.saturating_duration_since(Instant::now());
                allowance = allowance
                    .checked_sub(wait)
                    .ok_or_else(|| Failure::last(paused.error(&call.title(), self.clock.now())))?;
            }
            // It queues during the pause, so that afterwards requests go in queue order, not in
            // wake-up order.
            let from = paused.map(|paused| paused.until);
            let waiting = self.permits.enter(&call.publisher, place, from);
            if let Some(from) = from {
                sleep_until(from).await;
                if self.pauses.current(&call.publisher).is_some() {
                    continue;
                }
            }
            // A pause may have begun while this request was queued.
            if let Ok(permit) = waiting.permit().await
                && self.pauses.current(&call.publisher).is_none()
            {
                return Ok(permit);
            }
        }
    }

    /// The wait after a failed attempt: the one the marketplace asked for, else the policy's.
    fn wait_after(&self, asked: Option<Duration>, attempt: u32) -> Duration {
        // A `Retry-After` of 0 would use up all tries within a moment.
        asked.filter(|wait| !wait.is_zero()).unwrap_or_else(|| {
            let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
            self.settings.retry.backoff.pause(attempt, &mut rng)
        })
    }

    fn new_request_id(&self) -> RequestId {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        RequestId::from_random(rng.u128(..).to_be_bytes())
    }
}

/// Whether the marketplace itself asked for a wait.
fn is_throttled(error: &MarketplaceError) -> bool {
    matches!(error.kind(), Some(RefusalKind::Throttled | RefusalKind::Unavailable))
}

/// Whether any answer came, including one that breaks off.
fn is_answered(outcome: &Result<Result<Response<Bytes>, TransportError>, Elapsed>) -> bool {
    match outcome {
        Ok(Ok(_) | Err(TransportError::Cut { .. } | TransportError::TooLong)) => true,
        Ok(Err(TransportError::NotSent { .. } | TransportError::Lost { .. })) | Err(_) => false,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
