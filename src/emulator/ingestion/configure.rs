//! *Configure*: what it asks for, and what comes of it.
//!
//! The service is lenient about what it doesn't need (seen by clients): any or no `$version`,
//! schemas of other versions, submissions sent back as they were read, the draft's id `…/0`, the
//! product by its external id.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::calls::{check_version, is_strict};
use super::view::{Target, View};
use super::{bad_request, error, with_details};
use crate::backends::ingestion::wire::{CONFIGURE_SCHEMA, SUBMISSION_SCHEMA};
use crate::emulator::access::Access;
use crate::emulator::model::job::{JobProgress, Work};
use crate::emulator::model::submission::number;
use crate::emulator::model::{Behaviour, Moment, Offer};
use crate::emulator::reply::Reply;
use crate::emulator::request::{ApiRequest, Context};
use crate::emulator::seed::Seed;
use crate::emulator::seed::offer::{FixedRefusal, Kind};
use crate::emulator::world::{Key, Product, World};

type Object = Map<String, Value>;

/// What one *configure* asks for.
struct Asked {
    schema: Option<String>,
    /// The one submission, if there is one.
    submission: Option<Object>,
    /// The other resources.
    others: Vec<Object>,
}

/// The product of a request: by its GUID, or by its external id.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Guid(String),
    External(String),
}

/// A golive that a *configure* asks for.
pub(in crate::emulator) struct GoliveTarget {
    pub key: Key,
    /// The version that it names; `None` where it names none that there is.
    pub release: Option<u64>,
    /// Whether it would start one.
    pub legitimate: bool,
}

/// The golive that a request asks for, if it is one. It counts as received whatever is wrong with
/// it otherwise.
pub(in crate::emulator) fn golive_target(
    world: &mut World,
    seed: &Seed,
    request: &ApiRequest,
    now: jiff::Timestamp,
) -> Option<GoliveTarget> {
    let is_configure =
        request.segments.last().is_some_and(|it| it.eq_ignore_ascii_case("configure"));
    if !is_configure || request.method != http::Method::POST {
        return None;
    }
    let submission = Asked::read(&request.body).ok()?.submission?;
    if target(&submission).ok()? != Target::Live {
        return None;
    }
    let product = match name(&submission)? {
        Name::Guid(guid) => world.product(&guid)?,
        // Whose it is, the token says.
        by_name @ Name::External(_) => {
            let access = Access::of(seed, request).ok()?;
            Context { world, seed, access, request, now }.product(&by_name).ok()?
        }
    };
    let named = submission_number(&submission);
    let visit = world.visit(&product.key, now, |offer, moment| {
        let release = named.and_then(|named| version(offer, &named));
        let may = |release| offer.may_be_sent_to_live(release, moment).is_ok();
        (release, !product.is_twin && release.is_some_and(may))
    });
    let (release, legitimate) = visit.unwrap_or_default();
    Some(GoliveTarget { key: product.key, release, legitimate })
}

impl Asked {
    fn read(body: &[u8]) -> Result<Self, Reply> {
        let body: Value = serde_json::from_slice(body)
            .map_err(|error| bad_request(format!("The body is not JSON: {error}.")))?;
        let Value::Object(mut body) = body else {
            return Err(bad_request("The body is not a JSON object."));
        };
        let schema = body.get("$schema").and_then(Value::as_str).map(str::to_owned);
        let Some(Value::Array(resources)) = body.remove("resources") else {
            return Err(invalid("resources", "The resources are missing."));
        };
        let (mut submission, mut others) = (None, Vec::new());
        for resource in resources {
            let Value::Object(resource) = resource else {
                return Err(invalid("resources", "A resource is not an object."));
            };
            if !is_submission(&resource) {
                others.push(resource);
            } else if submission.replace(resource).is_some() {
                return Err(invalid("resources", "There is more than one submission."));
            }
        }
        if submission.is_none() && others.is_empty() {
            return Err(invalid("resources", "There is no resource."));
        }
        Ok(Self { schema, submission, others })
    }
}

fn text<'a>(resource: &'a Object, key: &str) -> Option<&'a str> {
    resource.get(key).and_then(Value::as_str)
}

fn is_submission(resource: &Object) -> bool {
    let id = text(resource, "id").is_some_and(|id| id.starts_with("submission/"));
    let schema = text(resource, "$schema").is_some_and(|it| it.contains("/schema/submission/"));
    id || schema
}

fn target(submission: &Object) -> Result<Target, Reply> {
    let word = submission.get("target").and_then(|it| it.get("targetType"));
    let word = word.and_then(Value::as_str).unwrap_or_default();
    let is_one = |target: &Target| *target != Target::Draft;
    Target::parse(word).filter(is_one).ok_or_else(|| {
        invalid("target", format!("The target type {word:?} can't be published to."))
    })
}

/// The product that a resource is about.
fn name(resource: &Object) -> Option<Name> {
    let by_id = || {
        let guid = text(resource, "id")?.split('/').nth(1)?;
        Some(Name::Guid(guid.to_owned()))
    };
    match resource.get("product") {
        Some(Value::String(id)) => {
            Some(Name::Guid(id.strip_prefix("product/").unwrap_or(id).to_owned()))
        }
        Some(Value::Object(own)) => {
            let external = own.iter().find(|(key, _)| key.eq_ignore_ascii_case("externalId"));
            external.and_then(|(_, name)| name.as_str()).map(|name| Name::External(name.to_owned()))
        }
        Some(_) | None => by_id(),
    }
}

/// The number in a submission's id, unless it is none or that of the draft.
fn submission_number(submission: &Object) -> Option<String> {
    let own = text(submission, "id")?.split('/').nth(2)?;
    (own != "0" && !own.is_empty()).then(|| own.to_owned())
}

/// The version whose submission has this number.
fn version(offer: &Offer, named: &str) -> Option<u64> {
    let mut versions = offer.operations.iter().map(|operation| operation.version);
    versions.find(|version| number(*version).to_string() == named)
}

fn invalid(what: &str, message: impl Into<String>) -> Reply {
    let message = message.into();
    let detail = json!([{
        "code": "invalidRequest", "message": format!("{what}: {message}"), "details": []
    }]);
    with_details(StatusCode::BAD_REQUEST, "badRequest", message, &detail)
}

/// What a strict marketplace refuses. The words were seen by clients.
fn check_schemas(asked: &Asked) -> Result<(), Reply> {
    let schema = |given: Option<&str>, expected: &str| match given {
        Some(given) if given == expected => Ok(()),
        Some(given) if given.contains("product-ingestion.azureedge.net") => {
            Err(bad_request(format!("Schema {given} could not be accessed")))
        }
        Some(given) => {
            let message = format!("Schema validation failed for schema {given}");
            let detail = json!([{
                "code": "schemaValidationError",
                "message": "Required properties [\"sources\"] were not present",
                "details": []
            }]);
            Err(with_details(StatusCode::BAD_REQUEST, "badRequest", message, &detail))
        }
        None => Err(invalid("$schema", "Invalid resource")),
    };
    schema(asked.schema.as_deref(), CONFIGURE_SCHEMA)?;
    let Some(submission) = &asked.submission else { return Ok(()) };
    schema(text(submission, "$schema"), SUBMISSION_SCHEMA)?;
    let known = ["$schema", "id", "product", "target"];
    match submission.keys().find(|key| !known.contains(&key.as_str())) {
        Some(other) => Err(invalid(other, format!("The seed is strict: unexpected {other:?}."))),
        None => Ok(()),
    }
}

impl Context<'_> {
    /// The product that a name means.
    fn product(&mut self, name: &Name) -> Result<Product, Reply> {
        let external = match name {
            Name::Guid(guid) => return self.find(guid),
            Name::External(external) => external,
        };
        let mut found = self.visible(Some(external));
        match (found.pop(), found.is_empty()) {
            (Some(product), true) => Ok(product),
            (Some(_), false) => Err(invalid("product", "Several products have this external id.")),
            (None, _) => Err(invalid("product", format!("There is no product {external:?}."))),
        }
    }

    pub(super) fn configure(&mut self) -> Result<Reply, Reply> {
        let asked = Asked::read(&self.request.body)?;
        let mut all = asked.submission.iter().chain(&asked.others).filter_map(name);
        let first = all.next().ok_or_else(|| invalid("product", "The product is missing."))?;
        let product = self.product(&first)?;
        let (guid, request) = (product.guid(), self.request);
        let reply = self.world.visit(&product.key, self.now, |offer, moment| {
            let behaviour = moment.behaviour;
            check_version(request, is_strict(behaviour))?;
            if is_strict(behaviour) {
                check_schemas(&asked)?;
            }
            let (work, accepted) = match &asked.submission {
                Some(own) => publish(offer, own, &asked.others, (&guid, product.is_twin), moment)?,
                None => (edit(offer, &asked.others, &guid, moment)?, true),
            };
            let job = offer.add_job(work, moment.now);
            let view = View { guid: &guid, offer, is_twin: product.is_twin, moment, request };
            // Nothing is known at once, whatever becomes of it.
            let value = view.job(&job, JobProgress::NotStarted);
            let status = behaviour.ingestion.accepted.and_then(|it| StatusCode::from_u16(it).ok());
            let reply = Reply::json(status.unwrap_or(StatusCode::ACCEPTED), &value)
                .with_retry_after(behaviour.entry.retry_after.as_ref());
            Ok((Reply { accepted, ..reply }, job.id))
        });
        let (reply, job) = reply.unwrap_or_else(|| Err(super::not_found("product")))?;
        self.world.add_job(&job, &product.key);
        Ok(reply)
    }
}

/// Publishes to preview or live. While another publish runs, and where the named release isn't the
/// newest, the request is accepted and its job fails (seen by clients). False: nothing started.
fn publish(
    offer: &mut Offer,
    submission: &Object,
    others: &[Object],
    (guid, is_twin): (&str, bool),
    moment: Moment<'_>,
) -> Result<(Work, bool), Reply> {
    let behaviour = moment.behaviour;
    let (kind, named) = (target(submission)?, submission_number(submission));
    let own = text(submission, "id").and_then(|id| id.split('/').nth(1));
    if own.is_some_and(|own| !own.eq_ignore_ascii_case(guid)) {
        return Err(invalid("id", "The submission belongs to another product."));
    }
    if is_twin {
        return Err(invalid("product", "The draft of this product is not complete."));
    }
    match kind {
        Target::Live => {
            // Seen by clients; open: whether at the POST or in the job.
            let named = named.ok_or_else(|| {
                bad_request(
                    "Expected a submission id that isn't null or 0 since target type is Live",
                )
            })?;
            if !others.is_empty() {
                return Err(invalid("resources", "A publish to live can't be partial."));
            }
            let Some(version) = version(offer, &named) else {
                return Err(invalid("id", format!("There is no submission {named}.")));
            };
            refuse_as_seeded(offer, behaviour, Kind::GoLive)?;
            Ok(match offer.send_to_live(version, moment) {
                Ok(()) => (Work::Operation(offer.operations.len() - 1), true),
                Err(conflict) => (Work::refused(conflict, version), false),
            })
        }
        Target::Preview | Target::Draft => {
            refuse_as_seeded(offer, behaviour, Kind::Publish)?;
            if let Some(running) = offer.running() {
                return Ok((Work::InProgress(running.version), false));
            }
            if !others.is_empty() {
                edit(offer, others, guid, moment)?;
            }
            Ok(match offer.send_to_preview(moment) {
                Ok(()) => (Work::Operation(offer.operations.len() - 1), true),
                Err(conflict) => (Work::refused(conflict, offer.version), false),
            })
        }
    }
}

/// Writes resources of the draft.
fn edit(
    offer: &mut Offer,
    resources: &[Object],
    guid: &str,
    moment: Moment<'_>,
) -> Result<Work, Reply> {
    let mut written = BTreeMap::new();
    for resource in resources {
        let id = text(resource, "id").ok_or_else(|| {
            invalid("id", "The emulator takes resources that are there, by their ids.")
        })?;
        if name(resource) != Some(Name::Guid(guid.to_owned())) {
            return Err(invalid("resources", "The resources are not of one product."));
        }
        written.insert(id.to_owned(), Value::Object(resource.clone()));
    }
    let ids = written.keys().cloned().collect();
    offer.write_resources(written, moment.now);
    Ok(Work::Edit(ids))
}

/// The answer that the seed fixed.
fn refuse_as_seeded(offer: &mut Offer, behaviour: &Behaviour, kind: Kind) -> Result<(), Reply> {
    let Some(with) = behaviour.fixed_refusal(offer, kind) else { return Ok(()) };
    let FixedRefusal { status, code, message, retry_after, .. } = with;
    let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_REQUEST);
    let code = code.clone().unwrap_or_else(|| code_of(status).to_owned());
    let message = message.clone().unwrap_or_else(|| format!("{status}, as the seed says."));
    Err(error(status, &code, message).with_retry_after(retry_after.as_ref()))
}

/// The outer code of an error (documented).
fn code_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "unauthorized",
        403 => "forbidden",
        404 => "notFound",
        408 => "requestTimeout",
        409 => "conflict",
        423 => "locked",
        501 => "notImplemented",
        503 => "serviceUnavailable",
        500..=599 => "internalServerError",
        _ => "badRequest",
    }
}
