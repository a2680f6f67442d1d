//! From the wire to golive's own types. Every text is cleaned and bounded; unknown words are kept
//! as text.

use serde_json::Value;

use super::errors;
use super::model::{
    DRAFT, Job, JobState, Lifecycle, ListedProduct, Product, Stage, Submission, Target,
};
use super::wire::{JobWire, ProductWire, SubmissionWire};
use crate::backends::http::error_message::ErrorMessage;
use crate::backends::http::redact::Cleaner;
use crate::backends::http::response::{ApiResponse, Failure, Page};
use crate::marketplace::{ChangedTime, Level, Message, OfferId, PublisherId};

/// Limit for an id, a status or a time, in characters.
const MAX_WORD: usize = 100;

/// Limit for a GUID, a number or a job's id in a path, in bytes. A number has up to 19 digits
/// (seen by clients).
const MAX_ID: usize = 64;

/// Limit for the messages kept of one job.
const MAX_MESSAGES: usize = 20;

/// A page of the account's products. An odd product is skipped and logged: it must not hide all
/// others.
pub(super) fn products(
    answer: &ApiResponse,
    publisher: &PublisherId,
) -> Result<Page<ListedProduct>, Failure> {
    answer.many("a list of products", |wire| product(wire, publisher, &answer.cleaner))
}

fn product(
    wire: ProductWire,
    publisher: &PublisherId,
    cleaner: &Cleaner,
) -> Result<ListedProduct, String> {
    let name = wire.identity.external_id.ok_or("it has no external id")?;
    let shown = || cleaner.line(&name, MAX_WORD);
    if cleaner.finds(&name) {
        return Err("its external id has the token in it".to_owned());
    }
    let offer =
        OfferId::new(publisher.clone(), &name).map_err(|why| format!("{:?}: {why}", shown()))?;
    let id = wire.id.as_deref().unwrap_or_default();
    let guid = guid(id)
        .ok_or_else(|| format!("{:?} has {:?} for an id", shown(), cleaner.line(id, MAX_WORD)))?;
    let lifecycle = match wire.lifecycle_state.as_deref() {
        Some(word) if word.eq_ignore_ascii_case("deprecated") => Lifecycle::Deprecated,
        Some(word) if word.eq_ignore_ascii_case("deleted") => Lifecycle::Deleted,
        Some(_) | None => Lifecycle::Active,
    };
    Ok(ListedProduct { offer, product: Product { guid, lifecycle, is_confirmed: true } })
}

/// The GUID in a product's id, `product/{guid}`.
fn guid(id: &str) -> Option<String> {
    let guid = id.trim().strip_prefix("product/")?;
    is_id(guid).then(|| guid.to_owned())
}

/// Whether a text can stand in a path as a GUID, a submission's number or a job's id. It may come
/// from an answer or from a file.
pub(super) fn is_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_ID
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && text.bytes().any(|byte| byte.is_ascii_alphanumeric())
}

/// A page of a product's submissions. If one of them can't be read, the list is not believed: that
/// one may be running.
pub(super) fn submissions(answer: &ApiResponse, guid: &str) -> Result<Page<Submission>, Failure> {
    let expected = "a list of submissions";
    let page = answer.many(expected, |wire| submission(wire, guid, &answer.cleaner))?;
    if page.elements.len() != page.count {
        let odd = page.count - page.elements.len();
        return Err(answer.misshapen(expected, &format!("{odd} of its entries can't be used")));
    }
    Ok(page)
}

fn submission(wire: SubmissionWire, guid: &str, cleaner: &Cleaner) -> Result<Submission, String> {
    let word = |text: Option<String>| {
        text.map(|text| cleaner.line(&text, MAX_WORD)).filter(|word| !word.is_empty())
    };
    let target = match wire.target.target_type.as_deref().map(str::to_ascii_lowercase).as_deref() {
        Some("draft") => Target::Draft,
        Some("preview") => Target::Preview,
        Some("live") => Target::Live,
        Some(_) => Target::Other,
        None => return Err("it has no target".to_owned()),
    };
    let id = wire.id.unwrap_or_default();
    let shown = || cleaner.line(&id, MAX_WORD);
    let (owner, number) = id.strip_prefix("submission/").and_then(|it| it.split_once('/')).unzip();
    let is_foreign = |owner: &str| !owner.eq_ignore_ascii_case(guid);
    let product = wire.product.as_deref().map(|it| it.strip_prefix("product/").unwrap_or(it));
    if owner.into_iter().chain(product).any(is_foreign) {
        return Err(format!("{:?} belongs to another product", shown()));
    }
    let number = number.unwrap_or_default();
    let is_usable = match target {
        Target::Draft | Target::Other => true,
        Target::Preview | Target::Live => is_id(number) && number != DRAFT,
    };
    if !is_usable {
        return Err(format!("{:?} names no submission", shown()));
    }
    let is_deprecated =
        wire.lifecycle_state.is_some_and(|it| it.trim().eq_ignore_ascii_case("deprecated"));
    Ok(Submission {
        number: number.to_owned(),
        target,
        stage: stage(word(wire.status), word(wire.result)),
        created: word(wire.created).and_then(|at| ChangedTime(at).timestamp()),
        is_deprecated,
    })
}

/// How far a submission is. The status comes first: a result may stand beside a status that says
/// that it still runs.
fn stage(status: Option<String>, result: Option<String>) -> Stage {
    let Some(status) = status else {
        return result.map_or(Stage::Unpublished, Stage::Unknown);
    };
    let result = result.unwrap_or_else(|| "(absent)".to_owned());
    match (status.to_ascii_lowercase().as_str(), result.to_ascii_lowercase().as_str()) {
        ("notstarted" | "running", _) => Stage::Running,
        ("completed", "succeeded") => Stage::Succeeded,
        ("completed", "failed") => Stage::Failed,
        ("completed", "cancelled" | "canceled") => Stage::Canceled,
        _ => Stage::Unknown(format!("{status}/{result}")),
    }
}

/// A job.
pub(super) fn job(answer: &ApiResponse, id: &str) -> Result<Job, Failure> {
    let expected = "a job";
    let wire: JobWire = answer.one(expected)?;
    if let Some(other) = wire.job_id.as_deref().filter(|it| !it.eq_ignore_ascii_case(id)) {
        let shown = answer.cleaner.line(other, MAX_WORD);
        return Err(answer.misshapen(expected, &format!("it is about {shown:?}")));
    }
    if wire.job_status.is_none() && wire.job_result.is_none() {
        return Err(answer.misshapen(expected, "the status is missing"));
    }
    let errors = wire.errors.as_ref().map_or("[]", |errors| errors.get());
    let state = match job_state(wire.job_status.as_deref(), wire.job_result.as_deref()) {
        JobState::Failed if errors::is_conflict(errors) => JobState::Refused,
        state @ (JobState::Running
        | JobState::Succeeded
        | JobState::Failed
        | JobState::Canceled
        | JobState::Refused
        | JobState::Over) => state,
    };
    Ok(Job { state, messages: messages(errors, &answer.cleaner) })
}

/// The id of the job in the answer to *configure*; an error says what is wrong with it. Documented
/// is 202; clients also take 200: any success with a job's id counts.
pub(super) fn job_id(answer: &ApiResponse) -> Result<String, String> {
    let wire: JobWire = answer.one("a job").map_err(|failure| failure.error.to_string())?;
    let id = wire.job_id.ok_or("the answer names no job")?;
    if answer.cleaner.finds(&id) {
        return Err("the id of the job has the token in it".to_owned());
    }
    if is_id(&id) {
        return Ok(id);
    }
    Err(format!("{:?} isn't a valid job id", answer.cleaner.line(&id, MAX_WORD)))
}

fn job_state(status: Option<&str>, result: Option<&str>) -> JobState {
    let lower = |word: Option<&str>| word.map(|word| word.trim().to_ascii_lowercase());
    let (status, result) = (lower(status), lower(result));
    // A missing status leaves it to the result.
    match (status.as_deref().unwrap_or("completed"), result.as_deref()) {
        ("completed", Some("succeeded")) => JobState::Succeeded,
        ("completed", Some("failed")) => JobState::Failed,
        ("completed", Some("cancelled" | "canceled")) => JobState::Canceled,
        ("completed", _) => JobState::Over,
        (_, _) => JobState::Running,
    }
}

/// One message for each error, with all that is nested in it.
fn messages(errors: &str, cleaner: &Cleaner) -> Vec<Message> {
    let all = match serde_json::from_str::<Value>(errors) {
        Ok(Value::Array(all)) => all.iter().map(Value::to_string).collect(),
        Ok(Value::Null) => Vec::new(),
        // Nested too deeply to be read whole, or no list: shown as one text.
        Ok(_) | Err(_) => vec![errors.to_owned()],
    };
    let text = |error: &String| {
        let ErrorMessage { code, message } = ErrorMessage::read(error.as_bytes(), "", cleaner);
        match (code, message) {
            (Some(code), Some(message)) => Some(format!("{code}: {message}")),
            (code, message) => code.or(message),
        }
    };
    let texts = all.iter().filter_map(text).take(MAX_MESSAGES);
    texts.map(|text| Message { level: Level::Error, text, at: None }).collect()
}
