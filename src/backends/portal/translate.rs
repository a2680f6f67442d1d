//! From the wire to golive's own types. Every text is cleaned and bounded, every list is bounded;
//! unknown values are kept as text, and unusable elements are skipped and logged.

use http::header::ETAG;

use super::location::is_operation_id;
use super::model::{Offer, OfferStatus, OfferSummary, Publication, Submission};
use super::wire::{
    MAX_MESSAGES, MAX_STEPS, MessageWire, OfferWire, OperationWire, StepWire, SubmissionWire,
};
use crate::backends::http::redact::Cleaner;
use crate::backends::http::response::{ApiResponse, Failure, Page};
use crate::marketplace::{
    ChangedTime, Fence, Level, Message, OfferId, OperationKind, OperationStatus, PublisherId,
    Release, Step, StepStatus, Version,
};

/// Limit for the text of a message, in characters.
const MAX_TEXT: usize = 2_000;

/// Limit for a status, an id, a time or a kind, in characters.
const MAX_WORD: usize = 100;

/// Limit for a display name, in characters.
const MAX_NAME: usize = 200;

/// Replaces a missing status.
const ABSENT: &str = "(absent)";

/// A publisher's list.
pub(super) fn offers(
    answer: &ApiResponse,
    publisher: &PublisherId,
) -> Result<Page<OfferSummary>, Failure> {
    let keep = |wire: OfferWire| summary(wire, publisher, &answer.cleaner);
    let page = answer.many("a list of offers", keep)?;
    let mut offers = page.elements.iter();
    if page.count > 0 && offers.all(|offer| is_number(offer.id.offer())) {
        tracing::warn!(
            request = answer.request,
            "the list names offers by numbers only: a manifest finds an offer by what the list \
             calls it"
        );
    }
    Ok(page)
}

fn summary(
    wire: OfferWire,
    publisher: &PublisherId,
    cleaner: &Cleaner,
) -> Result<OfferSummary, String> {
    // A list with numeric ids may have the names in another field.
    let raw = match (&wire.id, &wire.offer_id) {
        (Some(id), Some(name)) if is_number(id) => name.as_str(),
        (Some(id), _) | (None, Some(id)) => id.as_str(),
        (None, None) => return Err("it has no id".to_owned()),
    };
    let shown = || cleaner.line(raw, MAX_WORD);
    // Some lists give the full `publisher/offer` name.
    let (owner, name) = raw.split_once('/').map_or((None, raw), |(p, o)| (Some(p), o));
    let owners = [owner, wire.publisher_id.as_deref()];
    if owners.into_iter().flatten().any(|owner| is_another(owner, publisher.as_str())) {
        return Err(format!("{:?} belongs to another publisher", shown()));
    }
    if cleaner.finds(name) {
        return Err("its id has the token in it".to_owned());
    }
    let id =
        OfferId::new(publisher.clone(), name).map_err(|why| format!("{:?}: {why}", shown()))?;
    let is_migrated = wire
        .pc_migration_status
        .as_deref()
        .is_some_and(|status| status.trim().eq_ignore_ascii_case("migrated"));
    Ok(OfferSummary {
        id,
        status: OfferStatus::from(word(wire.status, cleaner).unwrap_or(ABSENT.to_owned())),
        version: wire.version.map(Version),
        changed_time: word(wire.changed_time, cleaner).map(ChangedTime),
        is_migrated,
    })
}

/// An offer or a slot. An answer that describes no offer, or another one, is an error: golive would
/// use a missing entity tag or that of another offer.
pub(super) fn offer(answer: &ApiResponse, offer: &OfferId) -> Result<Offer, Failure> {
    let expected = "an offer";
    let wire: OfferWire = answer.one(expected)?;
    let cleaner = &answer.cleaner;
    if wire.id.is_none() && wire.version.is_none() && wire.definition.is_none() {
        return Err(answer.misshapen(expected, "it has no id, no version and no definition"));
    }
    if let Some(raw) = &wire.id {
        let name = raw.trim_end_matches('/').rsplit('/').next().unwrap_or(raw);
        if is_another(name, offer.offer()) {
            let shown = cleaner.line(raw, MAX_WORD);
            return Err(answer.misshapen(expected, &format!("it is about {shown:?}")));
        }
    }
    Ok(Offer { version: wire.version.map(Release::from), etag: etag(answer, wire.etag) })
}

/// An offer's status or an operation.
pub(super) fn publication<S: From<String>>(
    answer: &ApiResponse,
    expected: &str,
) -> Result<Publication<S>, Failure> {
    let wire: OperationWire = answer.one(expected)?;
    let cleaner = &answer.cleaner;
    let status = word(wire.status, cleaner)
        .ok_or_else(|| answer.misshapen(expected, "the status is missing"))?;
    let (steps, messages) = steps_and_messages(wire.steps, wire.messages, cleaner);
    Ok(Publication {
        status: S::from(status),
        steps,
        messages,
        publishing_version: wire.publishing_version.map(Version),
        offer_version: wire.offer_version.map(Version),
    })
}

/// The operations of an offer. An entry's own offer and publisher fields are ignored (the
/// reference's sample has a GUID there): it answers a request about this offer, and skipping it
/// could make golive repeat an operation that failed or runs.
pub(super) fn submissions(answer: &ApiResponse) -> Result<Page<Submission>, Failure> {
    let keep = |wire: SubmissionWire| submission(wire, &answer.cleaner);
    answer.many("a list of operations", keep)
}

fn submission(wire: SubmissionWire, cleaner: &Cleaner) -> Result<Submission, String> {
    let id = wire.id.filter(|id| is_operation_id(id) && !cleaner.finds(id));
    let id = id.ok_or("it has no usable id")?;
    let or_absent = |text| word(text, cleaner).unwrap_or(ABSENT.to_owned());
    Ok(Submission {
        id,
        kind: OperationKind::from(or_absent(wire.submission_type)),
        state: OperationStatus::from(or_absent(wire.submission_state.or(wire.status))),
        slot: word(wire.slot, cleaner),
        offer_version: wire.offer_version.map(Version),
        publishing_version: wire.publishing_version.map(Version),
        changed_time: word(wire.changed_time, cleaner).map(ChangedTime),
    })
}

/// Whether `said` names another publisher or offer than `ours`. A generated id doesn't count: the
/// service shows a GUID for some of them.
fn is_another(said: &str, ours: &str) -> bool {
    !said.eq_ignore_ascii_case(ours) && !is_number(said)
}

/// Whether an id is generated by the service: a GUID, or digits only.
fn is_number(id: &str) -> bool {
    let id = id.trim().trim_matches(|c| matches!(c, '{' | '}'));
    let is_guid = || {
        let lengths = id.split('-').map(str::len);
        lengths.eq([8, 4, 4, 4, 12]) && id.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
    };
    let is_plain = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_digits = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    is_digits || is_plain || is_guid()
}

fn steps_and_messages(
    mut steps: Vec<StepWire>,
    messages: Vec<MessageWire>,
    cleaner: &Cleaner,
) -> (Vec<Step>, Vec<Message>) {
    let more = steps.len() > MAX_STEPS;
    steps.truncate(MAX_STEPS);
    let steps = steps.into_iter().enumerate().map(|(at, wire)| step(at, wire, cleaner)).collect();
    let mut messages = self::messages(messages, cleaner);
    if more {
        messages.push(note(format!("only the first {MAX_STEPS} steps are shown")));
    }
    (steps, messages)
}

fn step(at: usize, wire: StepWire, cleaner: &Cleaner) -> Step {
    let name = named(wire.step_name, cleaner);
    let id = word(wire.id, cleaner).or_else(|| name.clone());
    let id = id.unwrap_or_else(|| format!("step-{}", at + 1));
    Step {
        name: name.unwrap_or_else(|| id.clone()),
        id,
        status: StepStatus::from(word(wire.status, cleaner).unwrap_or(ABSENT.to_owned())),
        progress: wire
            .progress_percentage
            .map(|percent| u8::try_from(percent.min(100)).unwrap_or(100)),
        estimate: word(wire.estimated_time_frame, cleaner),
        messages: messages(wire.messages, cleaner),
    }
}

fn messages(mut wires: Vec<MessageWire>, cleaner: &Cleaner) -> Vec<Message> {
    let more = wires.len() > MAX_MESSAGES;
    wires.truncate(MAX_MESSAGES);
    let message = |wire: MessageWire| {
        let text = cleaner.html(wire.message_html.as_deref()?, MAX_TEXT);
        let level = word(wire.level, cleaner).map_or(Level::Information, Level::from);
        (!text.is_empty()).then(|| Message { level, text, at: word(wire.timestamp, cleaner) })
    };
    let mut messages: Vec<_> = wires.into_iter().filter_map(message).collect();
    if more {
        messages.push(note(format!("only the first {MAX_MESSAGES} messages are shown")));
    }
    messages
}

/// A message from golive itself among the marketplace's messages.
fn note(text: String) -> Message {
    Message { level: Level::Warning, text, at: None }
}

/// A cleaned display name.
fn named(text: Option<String>, cleaner: &Cleaner) -> Option<String> {
    text.map(|text| cleaner.html(&text, MAX_NAME)).filter(|name| !name.is_empty())
}

/// A short text for programs, not parsed as HTML: an estimate is written `< 5 day`.
fn word(text: Option<String>, cleaner: &Cleaner) -> Option<String> {
    text.map(|text| cleaner.line(&text, MAX_WORD)).filter(|word| !word.is_empty())
}

/// Limit for an entity tag, in bytes.
const MAX_ETAG: usize = 512;

/// The entity tag from the header, else `in_body`; `None` if it can't be sent back in a header.
fn etag(answer: &ApiResponse, in_body: Option<String>) -> Option<Fence> {
    let header = answer.headers.get(ETAG).and_then(|value| value.to_str().ok());
    let tag = header.map(|text| text.trim().to_owned()).or(in_body)?;
    let sendable = !tag.is_empty()
        && tag.len() <= MAX_ETAG
        && tag.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
        && !answer.cleaner.finds(&tag);
    sendable.then_some(Fence(tag))
}
