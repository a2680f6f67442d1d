//! The API's calls on the world. Synchronous: a request is answered at one moment.

use http::{Method, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::dialect::Dialect;
use super::error;
use super::route::{Resource, Route, type_filter};
use super::undocumented::OfferAnswer;
use super::view::View;
use crate::backends::portal::wire::API_VERSION;
use crate::emulator::access::Access;
use crate::emulator::model::Behaviour;
use crate::emulator::reply::Reply;
use crate::emulator::request::{ApiRequest, Context};
use crate::emulator::seed::Seed;
use crate::emulator::world::{Key, World};

/// Answers one request.
pub(in crate::emulator) fn respond(
    world: &mut World,
    seed: &Seed,
    request: &ApiRequest,
    now: Timestamp,
) -> Reply {
    let route = Route::parse(&request.segments);
    let key = route.as_ref().and_then(Route::key);
    let behaviour = world.behaviour(key.as_ref());
    let reply = authorize(seed, request)
        .and_then(|access| check_version(request, &behaviour).map(|()| access))
        .and_then(|access| {
            let route = check_method(request, route.ok_or_else(|| not_found("resource"))?)?;
            answer(Context { world, seed, access, request, now }, route)
        })
        .unwrap_or_else(|refusal| refusal);
    Dialect(&behaviour).reword_error(reply)
}

fn authorize<'a>(seed: &'a Seed, request: &'a ApiRequest) -> Result<Access<'a>, Reply> {
    Access::of(seed, request).map_err(|message| {
        error(StatusCode::UNAUTHORIZED, "Unauthorized", message)
            .with(header::WWW_AUTHENTICATE, "Bearer".to_owned())
    })
}

fn check_version(request: &ApiRequest, behaviour: &Behaviour) -> Result<(), Reply> {
    let given = request.parameter("api-version").unwrap_or_default();
    if given == API_VERSION {
        return Ok(());
    }
    let message = Dialect(behaviour).bad_version(given);
    Err(error(StatusCode::BAD_REQUEST, "InvalidAPIVersion", message))
}

fn check_method(request: &ApiRequest, route: Route) -> Result<Route, Reply> {
    if route.methods().contains(&request.method) {
        return Ok(route);
    }
    let allowed: Vec<&str> = route.methods().iter().map(Method::as_str).collect();
    let message = format!("{} is not answered here", request.method);
    Err(error(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
        .with(header::ALLOW, allowed.join(", ")))
}

pub(super) fn not_found(what: &str) -> Reply {
    error(StatusCode::NOT_FOUND, "NotFound", format!("There is no such {what}."))
}

pub(super) fn bad_request(message: &str) -> Reply {
    error(StatusCode::BAD_REQUEST, "BadRequest", message)
}

fn answer(mut context: Context<'_>, route: Route) -> Result<Reply, Reply> {
    match route {
        Route::Publishers => {
            let open = context.world.publishers().filter(|id| context.access.opens(id));
            let list: Vec<Value> = open.map(|id| json!({ "id": id, "publisherId": id })).collect();
            Ok(Reply::json(StatusCode::OK, &list))
        }
        Route::Offers(publisher) => {
            context.require_publisher(&publisher)?;
            Ok(context.list(&publisher))
        }
        Route::Offer { publisher, id, resource } => {
            let puts = resource == Resource::Itself && context.request.method == Method::PUT;
            if puts && Dialect(&context.world.behaviour(None)).creates_publishers() {
                context.require_access(&publisher)?;
            } else {
                context.require_publisher(&publisher)?;
            }
            let key = Key::new(&publisher, &id);
            if let Resource::Command(command) = resource {
                context.post(&key, command)
            } else if puts {
                context.put(&key, &publisher, &id)
            } else {
                context.get(&key, &resource)
            }
        }
    }
}

impl Context<'_> {
    fn list(&mut self, publisher: &str) -> Reply {
        let offers = self.world.visit_publisher(publisher, self.now, |offer, moment| {
            View::lagging(offer, moment, moment.behaviour.answers.lag.list).summary()
        });
        let wanted = self.request.parameter("$filter").and_then(type_filter);
        let of_type = |answer: &&OfferAnswer| {
            wanted.is_none_or(|wanted| answer.offer.offer_type_id.as_deref() == Some(wanted))
        };
        let offers: Vec<_> = offers.iter().filter(of_type).collect();
        Reply::json(StatusCode::OK, &offers)
    }

    /// Fails where a publisher, be it there or not, is closed to the caller.
    fn require_access(&self, publisher: &str) -> Result<(), Reply> {
        if self.access.opens(publisher) {
            return Ok(());
        }
        let message = Dialect(&self.world.behaviour(None)).forbidden();
        Err(error(StatusCode::FORBIDDEN, "Forbidden", message))
    }

    fn require_publisher(&self, publisher: &str) -> Result<(), Reply> {
        self.require_access(publisher)?;
        if self.world.has_publisher(publisher) { Ok(()) } else { Err(not_found("publisher")) }
    }
}
