//! PUT and POST: drafts written; publish, golive and cancel asked for.

use http::{HeaderName, StatusCode, header};
use serde_json::{Map, Value, json};

use super::calls::{bad_request, not_found};
use super::dialect::Dialect;
use super::error;
use super::read::document;
use super::route::Command;
use super::view::View;
use crate::backends::portal::wire::API_VERSION;
use crate::emulator::model::offer::Content;
use crate::emulator::model::operation::Ending;
use crate::emulator::model::stage::Refusal;
use crate::emulator::model::{Behaviour, Moment, Offer, Operation, start};
use crate::emulator::reply::Reply;
use crate::emulator::request::{ApiRequest, Context};
use crate::emulator::seed::offer::{CancelAnswer, FixedRefusal, Kind, OperationHeader};
use crate::emulator::world::Key;

/// The longest id of a publisher or an offer.
const MAX_ID: usize = 50;

impl Context<'_> {
    pub(super) fn put(&mut self, key: &Key, publisher: &str, id: &str) -> Result<Reply, Reply> {
        let mut body = json_object(&self.request.body)?;
        let definition = body.remove("definition").filter(|definition| !definition.is_null());
        let offer_type = body.remove("offerTypeId").and_then(|t| t.as_str().map(str::to_owned));
        if !self.world.contains(key) {
            return self.create(publisher, id, definition, offer_type);
        }
        let (request, strict) = (self.request, self.seed.strict);
        let visit = self.world.visit(key, self.now, |offer, moment| {
            check_if_match(request, Some(offer), moment.behaviour, strict)?;
            offer.put(definition, offer_type, moment.now);
            written(View { offer, moment })
        });
        visit.unwrap_or_else(|| Err(not_found("offer")))
    }

    fn create(
        &mut self,
        publisher: &str,
        id: &str,
        definition: Option<Value>,
        offer_type: Option<String>,
    ) -> Result<Reply, Reply> {
        let (now, behaviour) = (self.now, self.world.behaviour(None));
        check_if_match(self.request, None, &behaviour, self.seed.strict)?;
        if !(self.world.has_publisher(publisher) || is_valid_id(publisher)) || !is_valid_id(id) {
            return Err(bad_request(
                "the ids of a publisher and an offer have letters, digits, '-', '_' and '.', \
                at most 50 of them",
            ));
        }
        let definition = definition.unwrap_or_else(|| json!({ "displayText": id }));
        let draft = Content { definition, changed: now, ..Content::default() };
        let mut offer = start::blank(publisher, id, draft, behaviour.draft_version());
        offer.changes = 1;
        if let Some(offer_type) = offer_type {
            offer.type_id = offer_type;
        }
        let last_number = self.world.last_number;
        let moment = Moment { now, behaviour: &behaviour, last_number };
        let reply = written(View { offer: &offer, moment })?;
        let status = Dialect(&behaviour).created();
        self.world.add(offer, behaviour);
        Ok(Reply { status, ..reply })
    }

    pub(super) fn post(&mut self, key: &Key, command: Command) -> Result<Reply, Reply> {
        let (request, strict) = (self.request, self.seed.strict);
        let visit = self.world.visit(key, self.now, |offer, moment| {
            if !matches!(request.body.trim_ascii(), b"" | b"null") {
                json_object(&request.body)?;
            }
            let behaviour = moment.behaviour;
            let kind = match command {
                Command::Publish => Some(Kind::Publish),
                Command::GoLive => Some(Kind::GoLive),
                Command::Cancel => None,
            };
            if let Some(with) = kind.and_then(|kind| behaviour.fixed_refusal(offer, kind)) {
                return Err(refuse_with(with));
            }
            check_if_match(request, Some(offer), behaviour, strict)?;
            let origin = request.origin.as_deref();
            if command == Command::Publish
                && behaviour.ignores_unchanged_publish()
                && let Some(before) = offer.publish_of_unchanged_draft()
            {
                return Ok(started(offer, before, behaviour, origin));
            }
            let refused = |refusal| refuse(refusal, behaviour);
            let has_effect = match command {
                Command::Publish => offer.publish(moment).map(|()| true),
                Command::GoLive => offer.golive(moment).map(|()| true),
                Command::Cancel => offer.cancel(moment),
            }
            .map_err(refused)?;
            let immediate = behaviour.entry.cancel_answer == CancelAnswer::Immediate;
            if command == Command::Cancel && has_effect && immediate {
                offer.end_now(Ending::Canceled, moment).map_err(refused)?;
                return Ok(Reply { accepted: true, ..Reply::empty(StatusCode::OK) });
            }
            let reply = match offer.operations.last() {
                Some(operation) => started(offer, operation, behaviour, origin),
                None => Reply::empty(StatusCode::ACCEPTED),
            };
            Ok(Reply { accepted: has_effect, ..reply })
        });
        visit.unwrap_or_else(|| Err(not_found("offer")))
    }
}

fn is_valid_id(id: &str) -> bool {
    let is_valid = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    id.len() <= MAX_ID && id.chars().all(is_valid)
}

/// The answer to a PUT. It has the entity tag even where GET has none.
fn written(view: View<'_>) -> Result<Reply, Reply> {
    let reply = document(view, None)?;
    let dialect = view.dialect();
    let tagged =
        if dialect.etags() { reply } else { reply.with(header::ETAG, dialect.etag(view.offer)) };
    Ok(Reply { accepted: true, ..tagged })
}

/// Checks `If-Match` against an offer, or against its absence.
fn check_if_match(
    request: &ApiRequest,
    offer: Option<&Offer>,
    behaviour: &Behaviour,
    strict: bool,
) -> Result<(), Reply> {
    let dialect = Dialect(behaviour);
    let Some(expected) = request.header("if-match") else {
        let refusal = dialect.without_if_match(&request.method, offer);
        return refusal.filter(|_| strict).map_or(Ok(()), Err);
    };
    let current = offer.map(|offer| dialect.etag(offer));
    let mut tags = expected.split(',').map(str::trim);
    if tags.any(|tag| tag == "*" || Some(tag) == current.as_deref()) {
        return Ok(());
    }
    let message = "The offer has changed: its ETag is not the one in If-Match.";
    Err(error(StatusCode::PRECONDITION_FAILED, "PreconditionFailed", message))
}

fn json_object(body: &[u8]) -> Result<Map<String, Value>, Reply> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(bad_request("the body is not a JSON object")),
        Err(error) => Err(bad_request(&format!("the body is not JSON: {error}"))),
    }
}

fn refuse_with(with: &FixedRefusal) -> Reply {
    let status = StatusCode::from_u16(with.status).unwrap_or(StatusCode::BAD_REQUEST);
    let reason = status.canonical_reason().unwrap_or("Refused");
    let code = with.code.clone().unwrap_or_else(|| reason.replace(' ', ""));
    let message = with.message.clone().unwrap_or_else(|| format!("{reason}, as the seed says."));
    error(status, &code, message).with_retry_after(with.retry_after.as_ref())
}

fn refuse(refusal: Refusal, behaviour: &Behaviour) -> Reply {
    let code = match refusal {
        Refusal::Busy => "OperationInProgress",
        Refusal::NotInPreview => "OfferNotInPreview",
        Refusal::NothingNewer => "OfferAlreadyLive",
        Refusal::NotSignedOff => "OfferNotReadyForSignOff",
        Refusal::NothingRuns => "NoOperationInProgress",
    };
    error(Dialect(behaviour).refusal_status(refusal), code, refusal.to_string())
}

/// 202, and the operation's URL in the header that the seed asks for.
fn started(
    offer: &Offer,
    operation: &Operation,
    behaviour: &Behaviour,
    origin: Option<&str>,
) -> Reply {
    let location = header::LOCATION;
    let operation_location = HeaderName::from_static("operation-location");
    let (publisher, id) = (&offer.publisher, &offer.id);
    let path = format!("/api/publishers/{publisher}/offers/{id}/operations/{}", operation.id);
    let query = format!("?api-version={API_VERSION}");
    let relative = format!("{path}{query}");
    // A request without a host has no absolute URL.
    let absolute = origin.map_or_else(|| relative.clone(), |origin| format!("{origin}{path}"));
    let reply =
        Reply::empty(StatusCode::ACCEPTED).with_retry_after(behaviour.entry.retry_after.as_ref());
    match Dialect(behaviour).header() {
        OperationHeader::Both => reply.with(operation_location, absolute).with(location, relative),
        OperationHeader::Absolute => reply.with(operation_location, absolute),
        OperationHeader::Relative => reply.with(location, relative),
        OperationHeader::RelativeOperationLocation => reply.with(operation_location, relative),
        OperationHeader::Dollar => {
            let slot = match operation.kind {
                Kind::Publish => "preview",
                Kind::GoLive => "production",
            };
            let name = format!("{publisher}${id}${}${slot}", operation.version);
            reply.with(location, format!("/api/operations/{name}{query}"))
        }
        OperationHeader::None => reply,
        OperationHeader::Garbage => reply.with(operation_location, "http://[not a url".to_owned()),
        OperationHeader::Foreign => {
            reply.with(operation_location, format!("https://elsewhere.example{path}"))
        }
    }
}
