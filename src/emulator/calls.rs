//! The calls of the API, on the world. Synchronous: a request is answered at one moment.

use std::collections::BTreeSet;

use http::{Method, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::behaviour::{CancelAnswer, RefuseWith};
use super::dialect::Behaviour;
use super::model::{Content, Offer};
use super::operation::Operation;
use super::reply::{Reply, started};
use super::response_overrides::{Slots, Stale};
use super::route::{Call, Of, Route, SlotName, Verb, type_filter};
use super::seed::Seed;
use super::stage::Refused;
use super::start;
use super::undocumented::OfferAnswer;
use super::view::View;
use super::world::{Key, World};
use crate::backends::portal::wire::{API_VERSION, OneOrArray};

/// Answers one request.
pub(super) fn respond(world: &mut World, seed: &Seed, call: &Call, now: Timestamp) -> Reply {
    let route = Route::parse(&call.segments);
    let key = route.as_ref().and_then(Route::offer).map(|(key, _)| key);
    let behaviour = world.behaviour(key.as_ref());
    let reply = admit(seed, call, &behaviour)
        .and_then(|()| route.ok_or_else(|| not_found("resource")))
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
        .unwrap_or_else(|refusal| refusal);
    behaviour.dialect.put_error(reply)
}

/// Token and version, before anything else is looked at.
fn admit(seed: &Seed, call: &Call, behaviour: &Behaviour) -> Result<(), Reply> {
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
            let message = behaviour.dialect.bad_version(given.unwrap_or_default());
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
                        let lag = behaviour.dialect.lag.list;
                        View::lagging(offer, behaviour, self.now, lag).summary()
                    });
                let wanted = self.call.parameter("$filter").and_then(type_filter);
                let of_type = |offer: &&OfferAnswer| {
                    wanted.is_none_or(|wanted| offer.offer.offer_type_id.as_deref() == Some(wanted))
                };
                let offers: Vec<_> = offers.iter().filter(of_type).collect();
                Ok(Reply::json(StatusCode::OK, &offers))
            }
            Route::Offer { publisher, id, of } => {
                let puts = of == Of::Itself && self.call.method == Method::PUT;
                if puts && self.world.behaviour(None).dialect.creates_publishers() {
                    self.admits(&publisher)?;
                } else {
                    self.publisher(&publisher)?;
                }
                let key = Key::new(&publisher, &id);
                match of {
                    Of::Verb(verb) => self.post(&key, verb),
                    Of::Itself if puts => self.put(&key, &publisher, &id),
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

    /// Whether a publisher is open to the caller, be it there or not.
    fn admits(&self, publisher: &str) -> Result<(), Reply> {
        if !self.forbids(publisher) {
            return Ok(());
        }
        let message = self.world.behaviour(None).dialect.forbidden();
        Err(Reply::error(StatusCode::FORBIDDEN, "Forbidden", message))
    }

    /// Whether a publisher is there, and open to the caller.
    fn publisher(&self, publisher: &str) -> Result<(), Reply> {
        self.admits(publisher)?;
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
            Of::Slot(name @ (SlotName::Preview | SlotName::Production)) => {
                let lag = behaviour.dialect.lag.slots;
                slot(View::lagging(offer, behaviour, now, lag), *name)
            }
            Of::Version(version) => whole(View { offer, behaviour, now }, Some(*version)),
            Of::Status => {
                if offer.running().is_some() {
                    offer.poll(offer.operations.len() - 1, now, behaviour);
                }
                let stale = offer.stale(now, behaviour);
                let shown = stale.unwrap_or(offer);
                let report = View { offer: shown, behaviour, now }.status_report();
                if stale.is_some()
                    && matches!(behaviour.dialect.stale, Some(Stale::ResponseOverrides(_)))
                {
                    offer.stale_answers += 1;
                    offer.stamp += 1;
                }
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
            let behaviour = self.world.behaviour(None);
            precondition(call, None, &behaviour, strict)?;
            if !(self.world.has_publisher(publisher) || usable(publisher)) || !usable(id) {
                return Err(bad_request(
                    "the ids of a publisher and an offer have letters, digits, '-', '_' and '.', \
                    at most 50 of them",
                ));
            }
            let definition = definition.unwrap_or_else(|| json!({ "displayText": id }));
            let draft = Content { definition, changed: now };
            let version = behaviour.dialect.draft_version();
            let mut offer = start::blank(publisher, id, draft, version);
            offer.stamp = 1;
            if let Some(offer_type) = offer_type {
                offer.type_id = offer_type;
            }
            let reply = changed(View { offer: &offer, behaviour: &behaviour, now })?;
            let created = behaviour.dialect.created();
            self.world.add(offer, behaviour);
            return Ok(reply.with_status(created));
        }
        let visit = self.world.visit(key, now, |offer, behaviour| {
            precondition(call, Some(offer), behaviour, strict)?;
            offer.put(definition, offer_type, now);
            changed(View { offer, behaviour, now })
        });
        visit.unwrap_or_else(|| Err(not_found("offer")))
    }

    fn post(&mut self, key: &Key, verb: Verb) -> Result<Reply, Reply> {
        let (now, call, seed, last) = (self.now, self.call, self.seed, self.world.last_number);
        let visit = self.world.visit(key, now, |offer, behaviour| {
            check_body(&call.body)?;
            if let Some(with) = fixed_refusal(offer, behaviour, verb) {
                return Err(refuse_with(with));
            }
            precondition(call, Some(offer), behaviour, seed.strict)?;
            let refused = |refused| refusal(refused, behaviour);
            if verb == Verb::Publish
                && behaviour.dialect.ignores_unchanged_publish()
                && let Some(before) = offer.published()
            {
                return Ok(started(offer, before, behaviour, call.origin.as_deref()));
            }
            let begun = match verb {
                Verb::Publish => offer.publish(now, last, behaviour).map(|()| true),
                Verb::GoLive => offer.golive(now, behaviour).map(|()| true),
                Verb::Cancel => offer.cancel(now, behaviour),
            }
            .map_err(refused)?;
            let immediate = behaviour.entry.cancel_answer == CancelAnswer::Immediate;
            if verb == Verb::Cancel && begun && immediate {
                offer.cancel_now(now, behaviour).map_err(refused)?;
                return Ok(Reply::empty(StatusCode::OK).accepted());
            }
            let reply = match offer.operations.last() {
                Some(operation) => started(offer, operation, behaviour, call.origin.as_deref()),
                None => Reply::empty(StatusCode::ACCEPTED),
            };
            Ok(if begun { reply.accepted() } else { reply })
        });
        visit.unwrap_or_else(|| Err(not_found("offer")))
    }
}

/// Whether an offer or its publisher can have this id.
fn usable(id: &str) -> bool {
    let usable = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    id.len() <= 50 && id.chars().all(usable)
}

fn whole(view: View<'_>, version: Option<u64>) -> Result<Reply, Reply> {
    let wire = view.full(version).ok_or_else(|| not_found("version of this offer"))?;
    let reply = Reply::json(StatusCode::OK, &wire);
    let dialect = &view.behaviour.dialect;
    Ok(if dialect.etags { reply.with(header::ETAG, dialect.etag(view.offer)) } else { reply })
}

/// The answer to a PUT. It has the entity tag also where GET has none.
fn changed(view: View<'_>) -> Result<Reply, Reply> {
    let dialect = &view.behaviour.dialect;
    let reply = whole(view, None)?;
    let tagged =
        if dialect.etags { reply } else { reply.with(header::ETAG, dialect.etag(view.offer)) };
    Ok(tagged.accepted())
}

fn slot(view: View<'_>, slot: SlotName) -> Result<Reply, Reply> {
    let dialect = &view.behaviour.dialect;
    let (name, version) = match slot {
        SlotName::Draft => ("Draft", Some(view.offer.version)),
        SlotName::Preview => ("Staging", view.offer.preview),
        SlotName::Production => ("Production", view.offer.production),
    };
    if let Some(version) = version.filter(|_| dialect.slots == Slots::Present) {
        return whole(view, Some(version));
    }
    let message = dialect.empty_slot(name, view.offer);
    Err(Reply::error(StatusCode::NOT_FOUND, "NotFound", message))
}

/// The submissions, newest first, those in one state only where the query says so.
fn submissions(view: View<'_>, call: &Call) -> Reply {
    let state = call.parameter("status").or_else(|| call.parameter("submissionState"));
    let state = state.filter(|state| !state.is_empty());
    let mut seen = BTreeSet::new();
    // A golive that is the same submission as its publish takes its place.
    let newest = view.offer.operations.iter().rev().filter(|own| seen.insert(&own.id));
    let list = newest.map(|operation| view.submission(operation)).filter(|submission| {
        let shown = submission.submission_state.as_deref().unwrap_or_default();
        state.is_none_or(|state| state.eq_ignore_ascii_case(shown))
    });
    Reply::json(StatusCode::OK, &list.collect::<Vec<_>>())
}

/// Answers *get operation* for the newest operation that matches.
fn poll(
    offer: &mut Offer,
    behaviour: &Behaviour,
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
    let outlived = behaviour.entry.expire.polls.is_some_and(|polls| operation.polls > polls);
    let over = behaviour.entry.expire.finished && !operation.runs();
    if operation.expired || outlived || over {
        return Err(not_found("operation: it has expired"));
    }
    let wire = view.operation(operation);
    let body =
        if behaviour.entry.array_form { OneOrArray::Array([wire]) } else { OneOrArray::One(wire) };
    let reply = Reply::json(StatusCode::OK, &body);
    Ok(if operation.runs() { reply.with_retry_after(behaviour) } else { reply })
}

/// Checks `If-Match` against an offer, or against its absence.
fn precondition(
    call: &Call,
    offer: Option<&Offer>,
    behaviour: &Behaviour,
    strict: bool,
) -> Result<(), Reply> {
    let Some(expected) = call.header("if-match") else {
        let refusal = behaviour.dialect.without_if_match(&call.method, offer);
        return refusal.filter(|_| strict).map_or(Ok(()), Err);
    };
    let current = offer.map(|offer| behaviour.dialect.etag(offer));
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

/// The answer the seed fixed for this call, if it is not used up.
fn fixed_refusal<'a>(
    offer: &mut Offer,
    behaviour: &'a Behaviour,
    verb: Verb,
) -> Option<&'a RefuseWith> {
    let (with, used) = match verb {
        Verb::Publish => (behaviour.entry.publish.as_ref(), &mut offer.used.publish_refusals),
        Verb::GoLive => (behaviour.entry.golive.as_ref(), &mut offer.used.golive_refusals),
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

fn refusal(refused: Refused, behaviour: &Behaviour) -> Reply {
    let code = match refused {
        Refused::Busy => "OperationInProgress",
        Refused::NotInPreview => "OfferNotInPreview",
        Refused::NothingNewer => "OfferAlreadyLive",
        Refused::NotSignedOff => "OfferNotReadyForSignOff",
        Refused::NothingRuns => "NoOperationInProgress",
    };
    Reply::error(behaviour.dialect.refusal(refused), code, refused.to_string())
}
