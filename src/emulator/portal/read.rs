//! GET: an offer, its slots and versions, its status, its operations.

use std::collections::BTreeSet;

use http::{StatusCode, header};

use super::calls::not_found;
use super::error;
use super::route::{Resource, SlotName};
use super::view::View;
use crate::backends::portal::wire::OneOrArray;
use crate::emulator::model::{Moment, Offer, Operation};
use crate::emulator::reply::Reply;
use crate::emulator::request::{ApiRequest, Context};
use crate::emulator::seed::Kind;
use crate::emulator::seed::answers::Staleness;
use crate::emulator::world::Key;

impl Context<'_> {
    pub(super) fn get(&mut self, key: &Key, resource: &Resource) -> Result<Reply, Reply> {
        let request = self.request;
        let visit = self.world.visit(key, self.now, |offer, moment| match resource {
            Resource::Itself | Resource::Command(_) | Resource::Slot(SlotName::Draft) => {
                document(View { offer, moment }, None)
            }
            Resource::Slot(name @ (SlotName::Preview | SlotName::Production)) => {
                let lag = moment.behaviour.answers.lag.slots;
                slot(View::lagging(offer, moment, lag), *name)
            }
            Resource::Version(version) => document(View { offer, moment }, Some(*version)),
            Resource::Status => Ok(status(offer, moment)),
            Resource::Submissions => Ok(submissions(View { offer, moment }, request)),
            Resource::Operation(id) => {
                poll(offer, moment, |operation| operation.id.eq_ignore_ascii_case(id))
            }
            Resource::LatestOperation(version, slot) => {
                let kind = match slot {
                    SlotName::Draft => None,
                    SlotName::Preview => Some(Kind::Publish),
                    SlotName::Production => Some(Kind::GoLive),
                };
                poll(offer, moment, |operation| {
                    operation.version == *version && Some(operation.kind) == kind
                })
            }
        });
        visit.unwrap_or_else(|| Err(not_found("offer")))
    }
}

/// A version of an offer; the draft without one.
pub(super) fn document(view: View<'_>, version: Option<u64>) -> Result<Reply, Reply> {
    let wire = view.full(version).ok_or_else(|| not_found("version of this offer"))?;
    let reply = Reply::json(StatusCode::OK, &wire);
    let dialect = view.dialect();
    Ok(if dialect.etags() { reply.with(header::ETAG, dialect.etag(view.offer)) } else { reply })
}

fn slot(view: View<'_>, slot: SlotName) -> Result<Reply, Reply> {
    let (name, version) = match slot {
        SlotName::Draft => ("Draft", Some(view.offer.version)),
        SlotName::Preview => ("Staging", view.offer.preview),
        SlotName::Production => ("Production", view.offer.production),
    };
    if let Some(version) = version.filter(|_| !view.dialect().slots_missing()) {
        return document(view, Some(version));
    }
    let message = view.dialect().empty_slot(name, view.offer);
    Err(error(StatusCode::NOT_FOUND, "NotFound", message))
}

fn status(offer: &mut Offer, moment: Moment<'_>) -> Reply {
    if offer.running().is_some() {
        offer.poll(offer.operations.len() - 1, moment);
    }
    let stale = offer.stale(moment);
    let report = View { offer: stale.unwrap_or(offer), moment }.status_report();
    if stale.is_some()
        && matches!(moment.behaviour.answers.stale_after_publish, Some(Staleness::Answers(_)))
    {
        offer.stale_answers += 1;
        offer.changes += 1;
    }
    Reply::json(StatusCode::OK, &report)
}

/// The submissions, newest first; of one state where the query says so.
fn submissions(view: View<'_>, request: &ApiRequest) -> Reply {
    let state = request.parameter("status").or_else(|| request.parameter("submissionState"));
    let state = state.filter(|state| !state.is_empty());
    let mut seen = BTreeSet::new();
    // A golive that is the same submission as its publish takes its place.
    let newest = view.offer.operations.iter().rev().filter(|own| seen.insert(&own.id));
    let list = newest.map(|operation| view.submission(operation)).filter(|submission| {
        let own = submission.submission_state.as_deref().unwrap_or_default();
        state.is_none_or(|state| state.eq_ignore_ascii_case(own))
    });
    Reply::json(StatusCode::OK, &list.collect::<Vec<_>>())
}

/// Answers *get operation* for the newest operation that matches.
fn poll(
    offer: &mut Offer,
    moment: Moment<'_>,
    matches: impl Fn(&Operation) -> bool,
) -> Result<Reply, Reply> {
    let index = offer.operations.iter().rposition(matches);
    let index = index.ok_or_else(|| not_found("operation"))?;
    offer.poll(index, moment);
    let entry = &moment.behaviour.entry;
    let Some(operation) = offer.operations.get(index) else {
        return Err(not_found("operation"));
    };
    let polled_out = entry.expire.polls.is_some_and(|polls| operation.polls > polls);
    let finished = entry.expire.finished && !operation.runs();
    if operation.expired || polled_out || finished {
        return Err(not_found("operation: it has expired"));
    }
    let wire = View { offer, moment }.operation(operation);
    let body = if entry.array_form { OneOrArray::Array([wire]) } else { OneOrArray::One(wire) };
    let reply = Reply::json(StatusCode::OK, &body);
    let retry_after = entry.retry_after.as_ref().filter(|_| operation.runs());
    Ok(reply.with_retry_after(retry_after))
}
