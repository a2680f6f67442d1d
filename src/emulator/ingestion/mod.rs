//! The Product Ingestion API over the model: routes, JSON, errors. Nothing outside this folder
//! knows them.
//!
//! | module | what it is |
//! |---|---|
//! | `route` | which resource a path names |
//! | `calls` | reads, and cancel |
//! | `configure` | what a *configure* asks for, and what comes of it |
//! | `resources` | a product's resource tree |
//! | `view` | the JSON of products, submissions and jobs |
//! | `pages` | lists in pages |
//!
//! Comments name the source of each fact about the service: *documented*, *seen by clients*,
//! *inferred*, *open*.

mod calls;
mod configure;
mod pages;
mod resources;
mod route;
mod view;

use http::StatusCode;
use serde_json::{Value, json};

use super::reply::Reply;
pub(super) use calls::respond;
pub(super) use configure::{GoliveTarget, golive_target};

/// Whether a path is one of this API.
pub(super) fn serves(segments: &[String]) -> bool {
    let mut words = segments.iter();
    route::BASE.iter().all(|own| words.next().is_some_and(|word| word.eq_ignore_ascii_case(own)))
}

/// An error in the API's form.
pub(super) fn error(status: StatusCode, code: &str, message: impl Into<String>) -> Reply {
    with_details(status, code, message, &json!([]))
}

fn with_details(
    status: StatusCode,
    code: &str,
    message: impl Into<String>,
    details: &Value,
) -> Reply {
    let message = message.into();
    let body = json!({"error": {"code": code, "message": message, "details": details}});
    Reply { problem: Some(message), ..Reply::json(status, &body) }
}

fn bad_request(message: impl Into<String>) -> Reply {
    error(StatusCode::BAD_REQUEST, "badRequest", message)
}

fn not_found(what: &str) -> Reply {
    error(StatusCode::NOT_FOUND, "notFound", format!("The {what} was not found."))
}
