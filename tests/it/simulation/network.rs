//! The network between a process and the marketplace, with faults.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use golive::backends::http::{InProcessTransport, Token, TokenSource, Transport, TransportError};
use golive::emulator::{Emulator, GroundTruth, ManualAction, Run};
use golive::marketplace::{Api, MarketplaceError};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};

use super::api::Call;
use super::checker::{self, Invariant};
use super::scenario::Event;
use super::schedule::{Fault, FaultPoint, When};
use super::sim::{Process, Sim};

/// The marketplace's address.
pub(crate) const ORIGIN: &str = "http://localhost:8080";

/// A foreign address, which no request may reach.
const FOREIGN: &str = "http://evil.example/api/operations/1";

const OPERATION_LOCATION: HeaderName = HeaderName::from_static("operation-location");

/// The network as one process sees it.
#[derive(Clone)]
pub(crate) struct SimTransport {
    pub(crate) sim: Arc<Sim>,
    pub(crate) process: Arc<Process>,
}

fn request_id(request: &Request<Bytes>) -> String {
    let names = ["x-ms-client-request-id", "client-request-id"];
    let id = names.iter().find_map(|name| request.headers().get(*name));
    id.and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned()
}

fn lost(what: &str) -> TransportError {
    TransportError::Lost { what: what.to_owned(), source: None }
}

#[async_trait]
impl Transport for SimTransport {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let call = Call::of(&request, &self.sim.known());
        if let Err(what) = checker::check_destination(&request, ORIGIN) {
            self.sim.violation(Invariant::OneOrigin, what);
        }
        if let Some(offer) = call.golive_of()
            && let Err(what) = self.check_golive(offer, &call, &request_id(&request))
        {
            self.sim.violation(Invariant::OnlyWhatIsWanted, what);
        }
        let what = format!("{} {}", call.method, call.rest);
        if call.method == Method::POST
            && let Err(why) = self.process.check_post(&request_id(&request))
        {
            self.sim.violation(Invariant::Limits, format!("{what} is sent {why}"));
        }
        let Some((point, fault)) = self.sim.effect(&self.process, &what, call.effect()) else {
            return std::future::pending().await;
        };
        let mut response = match fault {
            Some(fault) => self.inject(fault, &point, &call, request).await?,
            None => self.pass(&point, &call, request).await?,
        };
        // The process has seen an answer only once it is delivered.
        if let (Some(SeenTruth(truth)), Some(offer)) =
            (response.extensions_mut().remove(), call.offer)
        {
            self.sim.checker().offer_checked(self.process.number, &offer, truth);
        }
        Ok(response)
    }
}

/// The offer's true state when the request was processed; attached to the answer.
#[derive(Clone)]
struct SeenTruth(GroundTruth);

impl SimTransport {
    /// Delivers a request without a fault.
    async fn pass(
        &self,
        point: &FaultPoint,
        call: &Call,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, TransportError> {
        self.add_latency(point, "there").await;
        let response = self.deliver(point, call, request, false).await?;
        self.add_latency(point, "back").await;
        Ok(response)
    }

    /// Waits for a random part of the latency.
    async fn add_latency(&self, point: &FaultPoint, way: &str) {
        let latency = self.sim.scenario.fault_rates.latency;
        if !latency.is_zero() {
            let pause = self.sim.random.of((point, way)).time(latency);
            tokio::time::sleep(pause).await;
        }
    }

    async fn inject(
        &self,
        fault: Fault,
        point: &FaultPoint,
        call: &Call,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, TransportError> {
        match fault {
            Fault::NoConnection => {
                let source = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
                return Err(TransportError::NotSent { source: source.into() });
            }
            Fault::Late(delay) => {
                self.arrive_later(delay, point.clone(), call.clone(), request);
                return std::future::pending().await;
            }
            Fault::Slow(delay) => tokio::time::sleep(delay).await,
            Fault::Overtaken => self.overtake(call),
            Fault::Stop => return self.pass(point, call, request).await,
            Fault::Crash(..)
            | Fault::Reset(_)
            | Fault::NoAnswer(_)
            | Fault::SlowAnswer(_)
            | Fault::OtherStatus(..)
            | Fault::Html(..)
            | Fault::OtherJson
            | Fault::CutBody
            | Fault::ForeignHeader
            | Fault::NoHeader
            | Fault::StaleList
            | Fault::Fails
            | Fault::FailsButDone => {}
        }
        let honest = if fault.when() == When::After {
            self.deliver(point, call, request, fault == Fault::StaleList).await?
        } else {
            Response::new(Bytes::new())
        };
        self.answer(fault, honest).await
    }

    /// Replaces the honest answer as the fault says.
    async fn answer(
        &self,
        fault: Fault,
        honest: Response<Bytes>,
    ) -> Result<Response<Bytes>, TransportError> {
        match fault {
            Fault::Crash(crash, _) => {
                self.sim.crash(&self.process, crash);
                std::future::pending().await
            }
            Fault::NoAnswer(_) => std::future::pending().await,
            Fault::Reset(_) => Err(lost("reset")),
            Fault::SlowAnswer(delay) => {
                tokio::time::sleep(delay).await;
                Ok(honest)
            }
            Fault::OtherStatus(status, wait, _) => Ok(status_response(status, wait)),
            Fault::Html(status, _) => {
                let page = "<html><body>Gateway</body></html>";
                Ok(answer(StatusCode::from_u16(status).unwrap(), page))
            }
            Fault::OtherJson => {
                let mut other = honest.map(|_| Bytes::from_static(br#"{"value": [1, null]}"#));
                other.extensions_mut().remove::<SeenTruth>();
                Ok(other)
            }
            Fault::CutBody => {
                let source = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
                let head = Box::new(honest.into_parts().0);
                Err(TransportError::Cut { head, source: source.into() })
            }
            Fault::ForeignHeader => Ok(with_location(honest, Some(FOREIGN))),
            Fault::NoHeader => Ok(with_location(honest, None)),
            Fault::Stop
            | Fault::NoConnection
            | Fault::Late(_)
            | Fault::Slow(_)
            | Fault::Overtaken
            | Fault::StaleList
            | Fault::Fails
            | Fault::FailsButDone => Ok(honest),
        }
    }

    /// Another client publishes the offer that is being launched.
    fn overtake(&self, call: &Call) {
        let number = call.offer.as_deref().and_then(|offer| offer.rsplit('-').next());
        if let Some(number) = number.and_then(|number| number.parse().ok()) {
            self.sim.apply_event(&Event::ManualAction(number, ManualAction::Publish));
        }
    }

    /// Delivers a request later, even if the process has ended.
    fn arrive_later(
        &self,
        delay: Duration,
        point: FaultPoint,
        call: Call,
        request: Request<Bytes>,
    ) {
        let transport = self.clone();
        // golive's settle times assume that requests reach a lagging queue within seconds. Without an
        // entity tag, nothing but time keeps a late request from being accepted.
        let delay = match (self.sim.scenario.lag, self.sim.scenario.api) {
            (None, Api::CloudPartnerPortal) => delay,
            (Some(_), _) | (None, Api::ProductIngestion) => delay.min(Duration::from_secs(8)),
        };
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            transport.sim.log(|| format!("{point} arrives"));
            drop(transport.deliver(&point, &call, request, false).await);
        });
    }

    /// Checks a golive before it is sent.
    fn check_golive(&self, offer: &str, call: &Call, request_id: &str) -> Result<(), String> {
        let now = self.sim.now();
        let truth = |offer: &str| self.sim.emulator.truth(offer);
        let mut checker = self.sim.checker();
        checker.check_named_version(offer, request_id, call.golive_version())?;
        checker.golive_sent(&self.process, offer, request_id, now, truth)
    }

    /// Has the emulator answer the request.
    async fn deliver(
        &self,
        point: &FaultPoint,
        call: &Call,
        request: Request<Bytes>,
        old: bool,
    ) -> Result<Response<Bytes>, TransportError> {
        let sim = &self.sim;
        let token = format!("Bearer token-number-{}", sim.token.lock().unwrap());
        if request.headers().get(header::AUTHORIZATION).is_none_or(|it| it != token.as_str()) {
            return Ok(answer(StatusCode::UNAUTHORIZED, "{}"));
        }
        let reads = call.method == Method::GET;
        let queued = sim.before_queued_golive(call.offer.as_deref());
        let lags = call.may_lag(sim.scenario.api);
        let hidden = queued.filter(|_| lags && sim.random.of((point, "old")).one_in(2));
        let list = sim.before_last_change().filter(|_| old);
        let shown = hidden.or(list).filter(|_| reads);
        let emulator = shown.as_ref().map_or(&sim.emulator, |shown| &shown.emulator);
        if shown.is_some() {
            sim.log(|| "   … is shown what was before".to_owned());
        }
        let checked = call.offer.as_ref().filter(|_| call.is_check());
        let truth = checked.and_then(|offer| emulator.truth(offer));
        if let Some(offer) = call.golive_of() {
            return self.golive(offer, request).await;
        }
        if !reads {
            sim.changed(sim.take_past_state(), None);
        }
        let runs = || Some(sim.emulator.truth(call.offer.as_ref()?)?.runs);
        let before = runs();
        let mut response = direct(emulator).send(request).await?;
        sim.known().learn_products(response.body());
        if let Some(offer) = call.offer.as_ref().filter(|_| !reads) {
            sim.known().learn_job(response.body(), offer, new_run(before, runs()));
        }
        if let Some(truth) = truth {
            response.extensions_mut().insert(SeenTruth(truth));
        }
        Ok(response)
    }

    async fn golive(
        &self,
        offer: &str,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, TransportError> {
        let sim = &self.sim;
        let before = sim.emulator.truth(offer);
        if sim.before_queued_golive(Some(offer)).is_some() {
            let what = format!("{offer}: golive was sent again while one was in the queue");
            sim.violation(Invariant::NeverTwice, what);
        }
        let id = request_id(&request);
        let past_state = sim.take_past_state();
        let response = direct(&sim.emulator).send(request).await?;
        sim.log(|| format!("   … {offer}: golive {id} is answered {}", response.status()));
        let after = sim.emulator.truth(offer);
        let runs = |truth: &Option<GroundTruth>| truth.as_ref().map(|truth| truth.runs.clone());
        let run = new_run(runs(&before), runs(&after));
        sim.known().learn_job(response.body(), offer, run.clone());
        // A *configure* is always accepted; its job says whether something started.
        if response.status().is_success() && run.is_some() {
            if let Err(what) = self.process.count_accepted() {
                sim.violation(Invariant::Limits, what);
            }
            let at = (sim.schedule().effects, sim.now());
            let (before, after) = (before.unwrap(), after.unwrap());
            sim.changed(past_state, Some(offer));
            let accepted =
                sim.checker().golive_accepted(&self.process, offer, &id, &before, &after, at);
            if let Err(what) = accepted {
                sim.violation(Invariant::NeverTwice, what);
            }
        }
        Ok(response)
    }
}

/// The id of the operation that started between two looks, if one did.
fn new_run(before: Option<Vec<Run>>, after: Option<Vec<Run>>) -> Option<String> {
    let (before, mut after) = (before?, after?);
    if after.len() > before.len() { after.pop().map(|run| run.id) } else { None }
}

fn answer(status: StatusCode, body: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(body.as_bytes()));
    *response.status_mut() = status;
    response
}

fn status_response(status: u16, wait: Option<u32>) -> Response<Bytes> {
    let mut response = answer(StatusCode::from_u16(status).unwrap(), "{}");
    if let Some(wait) = wait {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait));
    }
    response
}

fn with_location(mut honest: Response<Bytes>, location: Option<&'static str>) -> Response<Bytes> {
    for name in [header::LOCATION, OPERATION_LOCATION] {
        if honest.headers_mut().remove(&name).is_some()
            && let Some(location) = location
        {
            honest.headers_mut().insert(name, HeaderValue::from_static(location));
        }
    }
    honest
}

/// Tokens that are valid until they are rotated.
#[derive(Debug)]
pub(crate) struct SimTokens {
    pub(crate) sim: Arc<Sim>,
    kept: std::sync::Mutex<Option<Token>>,
}

impl SimTokens {
    pub(crate) fn new(sim: Arc<Sim>) -> Self {
        Self { sim, kept: std::sync::Mutex::default() }
    }
}

#[async_trait]
impl TokenSource for SimTokens {
    async fn token(&self, rejected: Option<&Token>) -> Result<Token, MarketplaceError> {
        let mut kept = self.kept.lock().unwrap();
        if rejected.is_some() && kept.as_ref() == rejected {
            *kept = None;
        }
        let number = *self.sim.token.lock().unwrap();
        let token = || Token::new(&format!("token-number-{number}")).unwrap();
        Ok(kept.get_or_insert_with(token).clone())
    }
}

/// A transport without faults.
fn direct(emulator: &Emulator) -> InProcessTransport {
    InProcessTransport::new(emulator.router())
}
