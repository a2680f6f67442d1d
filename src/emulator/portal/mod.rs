//! The Cloud Partner Portal API over the model: routes, JSON, errors. Nothing outside this folder
//! knows them.

mod calls;
mod dialect;
mod read;
mod route;
mod undocumented;
mod view;
mod write;

use http::request::Parts;
use http::{Method, StatusCode};
use serde_json::Value;

use super::model::Behaviour;
use super::reply::Reply;
use super::request::segments;
use super::world::Key;
use crate::backends::portal::wire::{ErrorBodyWire, ErrorWire};
pub(super) use calls::respond;
use dialect::Dialect;
use route::{Command, Resource, Route};

/// An error in the API's form.
pub(super) fn error(status: StatusCode, code: &str, message: impl Into<String>) -> Reply {
    let message = message.into();
    let wire = ErrorWire { code: Some(code.to_owned()), message: Some(message.clone()) };
    let reply = Reply::json(status, &ErrorBodyWire { error: wire });
    Reply { problem: Some(message), ..reply }
}

/// The offer that a request asks to go live.
pub(super) fn golive_target(parts: &Parts) -> Option<Key> {
    let route = Route::parse(&segments(parts.uri.path()))?;
    let golive = matches!(
        &route,
        Route::Offer { resource: Resource::Command(Command::GoLive), .. }
            if parts.method == Method::POST
    );
    route.key().filter(|_| golive)
}

/// The notification addresses in the body of a POST.
pub(super) fn notification_emails(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    Some(body.pointer("/metadata/notification-emails")?.as_str()?.to_owned())
}

/// Whether answers have a correlation id.
pub(super) fn has_correlation_id(behaviour: &Behaviour) -> bool {
    Dialect(behaviour).has_correlation_id()
}

#[cfg(test)]
pub(super) fn etag(behaviour: &Behaviour, offer: &super::model::Offer) -> String {
    Dialect(behaviour).etag(offer)
}
