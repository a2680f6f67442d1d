//! The emulator as an HTTP service: one router, in process and on a socket.
//!
//! One handler serves every request, of either API, so that nothing is missed: it writes the request
//! into the journal, reads the body, asks the fault rules, lets the API answer at one moment of the
//! clock, and saves what changed before the answer goes out.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::StreamExt as _;
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};

use super::ids::guid;
use super::ingestion;
use super::journal::{Entry, GoliveRequest};
use super::portal;
use super::reply::Reply;
use super::request::ApiRequest;
use super::world::Key;
use super::{Emulator, faults};

/// The journal's path. Reading it takes no token, is not in the journal and meets no fault.
const JOURNAL: &str = "/_journal";
const CLIENT_REQUEST_ID: &str = "x-ms-client-request-id";
/// The same, as Microsoft Graph names it, which answers for the Product Ingestion API.
const GRAPH_REQUEST_ID: &str = "client-request-id";
/// The longest body that is taken, in bytes.
const MAX_BODY: usize = 1 << 20;
/// The longest body that is read to its end before it is refused: a client that is still sending
/// does not see the answer.
const MAX_DRAINED: usize = 16 << 20;

pub(super) fn router(emulator: Emulator) -> Router {
    Router::new().fallback(handle).with_state(emulator)
}

/// A request's place in the journal.
#[derive(Clone, Debug)]
struct Ticket {
    number: usize,
    /// The offer that is asked to go live.
    golive_of: Option<Key>,
}

async fn handle(State(emulator): State<Emulator>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if parts.uri.path() == JOURNAL {
        return Reply::json(StatusCode::OK, &emulator.journal().report()).into_response();
    }
    let mut ticket = begin(&emulator, &parts);
    let request = read(body).await.map(|body| ApiRequest::new(&parts, body));
    if let Ok(request) = &request {
        receive(&emulator, &mut ticket, request);
    }
    let action = emulator.state().faults.hit(parts.method.as_str(), parts.uri.path());
    let answer = process(&emulator, &ticket, request);
    let mut response = match action {
        Some(action) => faults::inject(action, answer).await,
        None => answer.await,
    };
    let dropped = response.extensions().get::<crate::backends::http::Dropped>().is_some();
    let status = (!dropped).then_some(response.status().as_u16());
    emulator.state().journal.amend(ticket.number, |entry| entry.status = status);
    let correlates = portal::has_correlation_id(&emulator.state().world.behaviour(None));
    let headers = response.headers_mut();
    let request_id = guid(&format!("request {}", ticket.number));
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        if correlates {
            let name = HeaderName::from_static("x-ms-correlation-request-id");
            headers.insert(name, value.clone());
        }
        headers.insert(HeaderName::from_static("x-ms-request-id"), value);
    }
    for name in [CLIENT_REQUEST_ID, GRAPH_REQUEST_ID] {
        if let Some(value) = parts.headers.get(name) {
            headers.insert(HeaderName::from_static(name), value.clone());
        }
    }
    response
}

/// Writes a request into the journal as soon as its head is there, so that it counts as received
/// whatever becomes of it.
fn begin(emulator: &Emulator, parts: &Parts) -> Ticket {
    let header = |name: &str| Some(parts.headers.get(name)?.to_str().ok()?.to_owned());
    let golive_of = portal::golive_target(parts);
    let now = emulator.now();
    let mut guard = emulator.state();
    let state = &mut *guard;
    let golive = golive_of.as_ref().map(|key| {
        let visit = state.world.visit(key, now, |offer, moment| {
            (offer.preview, offer.may_go_live(moment.behaviour).is_ok())
        });
        let (release, legitimate) = visit.unwrap_or_default();
        GoliveRequest { offer: key.to_string(), release, legitimate }
    });
    let entry = Entry {
        at: now,
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        if_match: header("if-match"),
        request_id: header(CLIENT_REQUEST_ID).or_else(|| header(GRAPH_REQUEST_ID)),
        golive,
        ..Entry::default()
    };
    Ticket { number: state.journal.begin(entry), golive_of }
}

/// Writes into the journal what the body asks for: a *configure* says only there that it is a
/// golive, and of what.
fn receive(emulator: &Emulator, ticket: &mut Ticket, request: &ApiRequest) {
    if !request.is_ingestion() {
        return;
    }
    let now = emulator.now();
    let mut guard = emulator.state();
    let state = &mut *guard;
    let golive = ingestion::golive_target(&mut state.world, emulator.seed(), request, now);
    if let Some(ingestion::GoliveTarget { key, release, legitimate }) = golive {
        let golive = GoliveRequest { offer: key.to_string(), release, legitimate };
        state.journal.received(ticket.number, golive);
        ticket.golive_of = Some(key);
    }
}

async fn process(
    emulator: &Emulator,
    ticket: &Ticket,
    request: Result<ApiRequest, Reply>,
) -> Response {
    let reply = match request {
        Ok(request) => answer(emulator, ticket, &request),
        Err(refusal) => refusal,
    };
    emulator.save_or_log().await;
    reply.into_response()
}

/// Answers at one moment: the world, the clock and the journal are held together.
fn answer(emulator: &Emulator, ticket: &Ticket, request: &ApiRequest) -> Reply {
    let mut guard = emulator.state();
    let state = &mut *guard;
    let now = emulator.now();
    let respond = if request.is_ingestion() { ingestion::respond } else { portal::respond };
    let reply = respond(&mut state.world, emulator.seed(), request, now);
    let notify = portal::notification_emails(&request.body);
    state.journal.amend(ticket.number, |entry| entry.notify = notify);
    if reply.accepted {
        let golive = ticket.golive_of.as_ref().map(|key| {
            let visit = state.world.visit(key, now, |offer, _| {
                offer.operations.last().map(|operation| operation.version)
            });
            (key.to_string(), visit.flatten())
        });
        let golive = golive.as_ref().map(|(offer, release)| (offer.as_str(), *release));
        state.journal.accepted(ticket.number, golive);
    }
    reply
}

/// Reads a body whole.
async fn read(body: Body) -> Result<Bytes, Reply> {
    let mut stream = body.into_data_stream();
    let (mut bytes, mut length) = (Vec::new(), 0);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| {
            portal::error(StatusCode::BAD_REQUEST, "BadRequest", "the body could not be read")
        })?;
        length += chunk.len();
        if length <= MAX_BODY {
            bytes.extend_from_slice(&chunk);
        } else if length > MAX_DRAINED {
            break;
        }
    }
    if length > MAX_BODY {
        let message = format!("the body has more than {MAX_BODY} bytes");
        return Err(portal::error(StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLarge", message));
    }
    Ok(bytes.into())
}
