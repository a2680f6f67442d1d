//! What the API's refusals mean.

use serde_json::Value;

use super::TOKEN_RESOURCE;
use crate::backends::http::advice::Advice;
use crate::marketplace::{MarketplaceError, Refusal, RefusalKind};

/// How deep causes are searched. Three levels were seen by clients.
const MAX_DEPTH: usize = 12;

/// Words of a job that failed because another publish of the product runs, and because the named
/// preview isn't the newest one (seen by clients): `An In Progress submission {n} already exists.`
/// and `The submission cannot be pushed to live as its not the latest submission.`
const CONFLICTS: [&str; 2] = ["in progress submission", "not the latest submission"];

/// Codes that the error schema has for the same (documented; none was seen).
const CONFLICT_CODES: [&str; 3] = ["conflict", "locked", "productlocked"];

/// Words of a refusal because of the schema or the version of the request (seen by clients).
const OUT_OF_DATE: [&str; 3] =
    ["schema validation failed", "could not be accessed", "schemavalidationerror"];

/// Whether a job's errors say that it changed nothing because of something else that happened to
/// the product. They may stand in nested causes.
pub(super) fn is_conflict(errors: &str) -> bool {
    serde_json::from_str::<Value>(errors).is_ok_and(|value| tells_conflict(&value, 0))
}

fn tells_conflict(value: &Value, depth: usize) -> bool {
    if depth > MAX_DEPTH {
        return false;
    }
    match value {
        Value::Array(all) => all.iter().any(|value| tells_conflict(value, depth + 1)),
        Value::Object(fields) => fields.iter().any(|(key, value)| match value {
            Value::String(text) if key.eq_ignore_ascii_case("message") => has_any(text, &CONFLICTS),
            Value::String(text) if key.eq_ignore_ascii_case("code") => {
                CONFLICT_CODES.iter().any(|code| text.trim().eq_ignore_ascii_case(code))
            }
            Value::Array(_) | Value::Object(_) => tells_conflict(value, depth + 1),
            Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => false,
        }),
        Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => false,
    }
}

fn has_any(text: &str, words: &[&str]) -> bool {
    let text = text.to_ascii_lowercase();
    words.iter().any(|word| text.contains(word))
}

/// The error of *configure*. Open: whether a conflict may also be a 400. It counts as one if it
/// says so; 409 and 423 always do.
pub(super) fn of_configure(error: MarketplaceError) -> MarketplaceError {
    let MarketplaceError::Refused(mut refusal) = error else { return error };
    let texts = [&refusal.code, &refusal.message];
    let says =
        |words: &[&str]| texts.iter().any(|it| it.as_deref().is_some_and(|it| has_any(it, words)));
    if refusal.kind == RefusalKind::Invalid {
        if says(&CONFLICTS) || says(&["productlocked"]) {
            refusal.kind = RefusalKind::Conflict;
        } else if says(&OUT_OF_DATE) {
            refusal.advice = Some(TOO_OLD.to_owned());
        }
    }
    MarketplaceError::Refused(refusal)
}

const TOO_OLD: &str = "the service no longer takes the version of the request that this golive \
                       sends: a newer golive may; until then, publish in Partner Center";

/// Why a product can't be read, for a person: the API refused the read as such (400). It does so for
/// types that it doesn't serve: `Type AzureApplication is not supported` (seen by clients).
pub(super) fn unreadable(refusal: &MarketplaceError) -> String {
    format!(
        "{refusal}; the API may not serve products of this type (it serves virtual machines, SaaS \
         and container offers), or no longer the version that this golive asks for"
    )
}

/// Nothing has the offer's name. An unknown name and a product that the token may not see get the
/// same answer: 200 and an empty list (inferred from three clients).
pub(super) fn not_found(request: &str, offer: &str) -> MarketplaceError {
    MarketplaceError::Refused(Box::new(Refusal {
        request: request.to_owned(),
        kind: RefusalKind::NotFound,
        answer: "200 OK".to_owned(),
        code: None,
        message: Some(format!("no product has the external id {offer:?}")),
        retry_after: None,
        request_id: None,
        is_unsent: false,
        is_final: false,
        advice: Some(ADVICE.not_found.to_owned()),
    }))
}

pub(super) const ADVICE: Advice = Advice {
    resource: TOKEN_RESOURCE,
    forbidden: "the app must be added in Partner Center (account settings, user management, \
                Microsoft Entra applications) with the role Manager",
    not_found: "the name is wrong, or the product isn't visible to this app: compare the offer's \
                id with the one that Partner Center shows, and the app with the account that owns \
                it",
};
