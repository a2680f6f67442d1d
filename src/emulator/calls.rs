//! The calls of the API, on the world. Synchronous: a request is answered at one moment.

use http::{Method, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::{Reply, started};
use super::behaviour::{CancelAnswer, OfferSeed, RefuseWith};
use super::model::{Content, Offer, Refused};
use super::operation::Operation;
use super::route::{Call, Of, Route, SlotName, Verb};
use super::seed::Seed;
use super::start;
use super::view::{View, state_word};
use super::world::{Key, World};
use crate::marketplace::portal::wire::{API_VERSION, OneOrArray};

/// Answers one request.
pub(super) fn respond(world: &mut World, seed: &Seed, call: &Call, now: Timestamp) -> Reply {
    admit(seed, call)
        .and_then(|()| Route::parse(&call.segments).ok_or_else(|| not_found("resource")))
        .and_then(|route| {
            if route.methods().contains(&call.method) {
                return Ok(route);
            }
            let allowed: Vec<&str> = route.methods().iter().map(Method::as_str).collect();
            let message = format!("{} is not answered here", call.method);
            Err(Reply::error(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
                .with(header::ALLOW, allowed.join(", ")))
        })
        .and_then(|route| Context { world, seed, call, now }.answer(route))
        .unwrap_or_else(|refusal| refusal)
}

/// Token and version, before anything else is looked at.
fn admit(seed: &Seed, call: &Call) -> Result<(), Reply> {
    let token = call.header("authorization").and_then(|value| value.split_once(' '));
    let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let token = token.map(|(_, token)| token.trim()).filter(|token| !token.is_empty());
    let known = token.is_some_and(|token| seed.token.as_ref().is_none_or(|own| own.is(token)));
    if !known {
        let message = match token {
            Some(_) => "the token is not valid, or it has expired",
            None => "there is no bearer token in the Authorization header",
        };
        return Err(Reply::error(StatusCode::UNAUTHORIZED, "Unauthorized", message)
            .with(header::WWW_AUTHENTICATE, "Bearer".to_owned()));
    }
    match call.parameter("api-version") {
        Some(API_VERSION) => Ok(()),
        given => {
            let message = format!(
                "The api-version '{}' is invalid. The supported versions are '{API_VERSION}'.",
                given.unwrap_or_default()
            );
            Err(Reply::error(StatusCode::BAD_REQUEST, "InvalidAPIVersion", message))
        }
    }
}

fn not_found(what: &str) -> Reply {
    Reply::error(StatusCode::NOT_FOUND, "NotFound", format!("There is no such {what}."))
}

fn bad_request(message: &str) -> Reply {
    Reply::error(StatusCode::BAD_REQUEST, "BadRequest", message)
}

struct Context<'a> {
    world: &'a mut World,
    seed: &'a Seed,
    call: &'a Call,
    now: Timestamp,
}

impl Context<'_> {
    fn answer(mut self, route: Route) -> Result<Reply, Reply> {
        match route {
            Route::Publishers => Ok(self.publishers()),
            Route::Offers(publisher) => {
                self.publisher(&publisher)?;
                let offers =
                    self.world.visit_publisher(&publisher, self.now, |offer, behaviour| {
                        View { offer, behaviour, now: self.now }.summary()
                    });
                Ok(Reply::json(StatusCode::OK, &offers))
            }
            Route::Offer { publisher, id, of } => {
                self.publisher(&publisher)?;
                let key = Key::new(&publisher, &id);
                match of {
                    Of::Verb(verb) => self.post(&key, verb),
                    Of::Itself if self.call.method == Method::PUT => {
                        self.put(&key, &publisher, &id)
                    }
                    Of::Itself
                    | Of::Slot(_)
                    | Of::Version(_)
                    | Of::Status
                    | Of::Submissions
                    | Of::Operation(_)
                    | Of::Latest(..) => self.get(&key, &of),
                }
            }
        }
    }

    /// Whether a publisher is there, and open to the caller.
    fn publisher(&self, publisher: &str) -> Result<(), Reply> {
        if self.forbids(publisher) {
            let message = "The service principal has no access to this publisher account: enter \
                its object id in the account's users.";
            return Err(Reply::error(StatusCode::FORBIDDEN, "Forbidden", message));
        }
        if self.world.has_publisher(publisher) { Ok(()) } else { Err(not_found("publisher")) }
    }

    fn forbids(&self, publisher: &str) -> bool {
        self.seed.forbidden.iter().any(|own| own.eq_ignore_ascii_case(publisher))
    }

    fn publishers(&self) -> Reply {
        let open = self.world.publishers().filter(|publisher| !self.forbids(publisher));
        let list: Vec<Value> = open.map(|id| json!({ "id": id, "publisherId": id })).collect();
        Reply::json(StatusCode::OK, &list)
    }

    fn get(&mut self, key: &Key, of: &Of) -> Result<Reply, Reply> {
        let (now, call) = (self.now, self.call);
        let visit = self.world.visit(key, now, |offer, behaviour| match of {
            Of::Itself | Of::Verb(_) | Of::Slot(SlotName::Draft) => {
                whole(View { offer, behaviour, now }, None)
            }
            Of::Slot(SlotName::Preview) => slot(View { offer, behaviour, now }, offer.preview),
            Of::Slot(SlotName::Production) => {
                slot(View { offer, behaviour, now }, offer.production)
            }
            Of::Version(version) => whole(View { offer, behaviour, now }, Some(*version)),
            Of::Status => {
                if offer.running().is_some() {
                    offer.poll(offer.operations.len() - 1, now, behaviour);
                }
                let report = View { offer, behaviour, now }.status_report();
                Ok(Reply::json(StatusCode::OK, &report))
            }
            Of::Submissions => Ok(submissions(View { offer, behaviour, now }, call)),
            Of::Operation(id) => {
                poll(offer, behaviour, now, |operation| operation.id.eq_ignore_ascii_case(id))
            }
            Of::Latest(version, slot) => poll(offer, behaviour, now, |operation| {
                let own = match slot {
                    SlotName::Draft => return false,
                    SlotName::Preview => "staging",
                    SlotName::Production => "production",
                };
                operation.version == *version && operation.slot() == own
            }),
        });
        visit.unwrap_or_else(|| Err(not_found("offer")))
    }

    fn put(&mut self, key: &Key, publisher: &str, id: &str) -> Result<Reply, Reply> {
        let body: Value = serde_json::from_slice(&self.call.body)
            .map_err(|error| bad_request(&format!("the body is not JSON: {error}")))?;
        let Value::Object(mut body) = body else {
            return Err(bad_request("the body is not a JSON object"));
        };
        let definition = body.remove("definition").filter(|definition| !definition.is_null());
        let offer_type = body.remove("offerTypeId").and_then(|t| t.as_str().map(str::to_owned));
        let (now, call, strict) = (self.now, self.call, self.seed.strict);
        if !self.world.contains(key) {
            precondition(call, None, strict)?;
            let usable = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if id.len() > 50 || !id.chars().all(usable) {
                return Err(bad_request(
                    "an offer's id has letters, digits, '-', '_' and '.', \
                    at most 50 of them",
                ));
            }
            let definition = definition.unwrap_or_else(|| json!({ "displayText": id }));
            let mut offer = start::blank(publisher, id, Content { definition, changed: now });
            offer.stamp = 1;
            if let Some(offer_type) = offer_type {
                offer.type_id = offer_type;
            }
            let behaviour = OfferSeed::default();
            let reply = whole(View { offer: &offer, behaviour: &behaviour, now }, None)?;
            self.world.add(offer, behaviour.into());
            return Ok(reply.with_status(StatusCode::CREATED).accepted());
        }
        let visit = self.world.visit(key, now, |offer, behaviour| {
            precondition(call, Some(offer), strict)?;
            offer.put(definition, now);
            if let Some(offer_type) = offer_type {
                offer.type_id = offer_type;
            }
            Ok(whole(View { offer, behaviour, now }, None)?.accepted())
        });
        visit.unwrap_or_else(|| Err(not_found("offer")))
    }

    fn post(&mut self, key: &Key, verb: Verb) -> Result<Reply, Reply> {
        let (now, call, seed) = (self.now, self.call, self.seed);
        let visit = self.world.visit(key, now, |offer, behaviour| {
            check_body(&call.body)?;
            if let Some(with) = fixed_refusal(offer, behaviour, verb) {
                return Err(refuse_with(with));
            }
            precondition(call, Some(offer), seed.strict)?;
            let pace = seed.pace(behaviour);
            let at_once = behaviour.cancel_answer == CancelAnswer::Immediate;
            match verb {
                Verb::Publish => offer.publish(now, pace, behaviour),
                Verb::GoLive => offer.golive(now, pace, behaviour),
                Verb::Cancel => offer.cancel(now, at_once, behaviour.after_cancel),
            }
            .map_err(|refused| refusal(refused, behaviour))?;
            match offer.operations.last() {
                Some(operation) if verb != Verb::Cancel || !at_once => {
                    Ok(started(offer, operation, behaviour, call.origin.as_deref()))
                }
                Some(_) | None => Ok(Reply::empty(StatusCode::OK).accepted()),
            }
        });
        visit.unwrap_or_else(|| Err(not_found("offer")))
    }
}

fn whole(view: View<'_>, version: Option<u64>) -> Result<Reply, Reply> {
    let wire = view.full(version).ok_or_else(|| not_found("version of this offer"))?;
    Ok(Reply::json(StatusCode::OK, &wire).with(header::ETAG, view.offer.etag()))
}

fn slot(view: View<'_>, version: Option<u64>) -> Result<Reply, Reply> {
    match version {
        Some(version) => whole(view, Some(version)),
        None => Err(not_found("slot: it is empty")),
    }
}

/// The submissions, newest first, those in one state only where the query says so.
fn submissions(view: View<'_>, call: &Call) -> Reply {
    let state = call.parameter("status").or_else(|| call.parameter("submissionState"));
    let wanted = |operation: &&Operation| {
        state.is_none_or(|state| {
            state.is_empty() || state.eq_ignore_ascii_case(state_word(operation))
        })
    };
    let operations = view.offer.operations.iter().rev().filter(wanted);
    let list: Vec<_> = operations.map(|operation| view.submission(operation)).collect();
    Reply::json(StatusCode::OK, &list)
}

/// Answers *get operation* for the newest operation that matches.
fn poll(
    offer: &mut Offer,
    behaviour: &OfferSeed,
    now: Timestamp,
    matches: impl Fn(&Operation) -> bool,
) -> Result<Reply, Reply> {
    let index = offer.operations.iter().rposition(matches);
    let index = index.ok_or_else(|| not_found("operation"))?;
    offer.poll(index, now, behaviour);
    let view = View { offer, behaviour, now };
    let Some(operation) = offer.operations.get(index) else {
        return Err(not_found("operation"));
    };
    let outlived = behaviour.expire.polls.is_some_and(|polls| operation.polls > polls);
    let over = behaviour.expire.finished && !operation.runs();
    if operation.expired || outlived || over {
        return Err(not_found("operation: it has expired"));
    }
    let wire = view.operation(operation);
    let body = if behaviour.array_form { OneOrArray::Array([wire]) } else { OneOrArray::One(wire) };
    let reply = Reply::json(StatusCode::OK, &body);
    Ok(if operation.runs() { reply.with_retry_after(behaviour) } else { reply })
}

/// Checks `If-Match` against an offer, or against its absence.
fn precondition(call: &Call, offer: Option<&Offer>, strict: bool) -> Result<(), Reply> {
    let Some(expected) = call.header("if-match") else {
        if strict {
            return Err(bad_request("the If-Match header is missing: send an ETag or *"));
        }
        return Ok(());
    };
    let current = offer.map(Offer::etag);
    let mut tags = expected.split(',').map(str::trim);
    if tags.any(|tag| tag == "*" || Some(tag) == current.as_deref()) {
        return Ok(());
    }
    let message = "The offer has changed: its ETag is not the one in If-Match.";
    Err(Reply::error(StatusCode::PRECONDITION_FAILED, "PreconditionFailed", message))
}

/// The body of a POST: nothing, or a JSON object.
fn check_body(body: &[u8]) -> Result<(), Reply> {
    if body.trim_ascii().is_empty() {
        return Ok(());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(_) | Value::Null) => Ok(()),
        Ok(Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            Err(bad_request("the body is not a JSON object"))
        }
        Err(error) => Err(bad_request(&format!("the body is not JSON: {error}"))),
    }
}

/// The notification addresses in the body of a POST.
pub(super) fn notification_emails(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    Some(body.pointer("/metadata/notification-emails")?.as_str()?.to_owned())
}

/// The answer the seed fixed for this call, if it is not used up.
fn fixed_refusal<'a>(
    offer: &mut Offer,
    behaviour: &'a OfferSeed,
    verb: Verb,
) -> Option<&'a RefuseWith> {
    let (with, used) = match verb {
        Verb::Publish => (behaviour.publish.as_ref(), &mut offer.used.publish_refusals),
        Verb::GoLive => (behaviour.golive.as_ref(), &mut offer.used.golive_refusals),
        Verb::Cancel => return None,
    };
    let with = with.filter(|with| with.times.allows(*used))?;
    *used += 1;
    offer.stamp += 1;
    Some(with)
}

fn refuse_with(with: &RefuseWith) -> Reply {
    let status = StatusCode::from_u16(with.status).unwrap_or(StatusCode::BAD_REQUEST);
    let reason = status.canonical_reason().unwrap_or("Refused");
    let code = with.code.clone().unwrap_or_else(|| reason.replace(' ', ""));
    let message = with.message.clone().unwrap_or_else(|| format!("{reason}, as the seed says."));
    let reply = Reply::error(status, &code, message);
    match &with.retry_after {
        Some(retry_after) => reply.with(header::RETRY_AFTER, retry_after.to_string()),
        None => reply,
    }
}

fn refusal(refused: Refused, behaviour: &OfferSeed) -> Reply {
    let busy = match behaviour.busy {
        Some(400) => StatusCode::BAD_REQUEST,
        Some(_) | None => StatusCode::CONFLICT,
    };
    let (status, code) = match refused {
        Refused::Busy => (busy, "OperationInProgress"),
        Refused::NotInPreview => (StatusCode::BAD_REQUEST, "OfferNotInPreview"),
        Refused::NothingNewer => (StatusCode::BAD_REQUEST, "OfferAlreadyLive"),
        Refused::NotSignedOff => (StatusCode::BAD_REQUEST, "OfferNotReadyForSignOff"),
        Refused::NothingRuns => (StatusCode::BAD_REQUEST, "NoOperationInProgress"),
    };
    Reply::error(status, code, refused.to_string())
}
