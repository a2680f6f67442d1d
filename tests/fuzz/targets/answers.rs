//! Answers of the marketplace: what golive takes from any answer is harmless to show, bounded, and can be
//! written to the status file.

use std::fmt::Debug;

use golive::backends::portal::{Offer, OfferStatus, PortalClient, Slot};
use golive::marketplace::MAX_RETRY_AFTER;
use golive::marketplace::{
    Accepted, ChangedTime, Launch, MarketplaceError, Message, OfferId, OperationKind, OperationRef,
    OperationStatus, Release, RequestId, Step,
};
use http::HeaderValue;
use serde_json::Value;

use super::operation_url::{PLACES, assert_ours};
use super::portal::{Portal, answer, assert_harmless, assert_harmless_error, block_on};
use super::status_file::assert_kept;

/// The longest word: a status, an id, a time, a kind.
const MAX_WORD: usize = 100;

/// Sends one request, and checks the error.
fn ask<T>(
    data: &[u8],
    status: u16,
    call: impl AsyncFnOnce(&PortalClient, &OfferId) -> Result<T, MarketplaceError>,
) -> Option<T> {
    let portal = Portal::new(PLACES[0].endpoint, answer(data, status));
    let outcome = block_on(call(&portal.client, &PLACES[0].offer()));
    outcome.inspect_err(assert_harmless_error).ok()
}

/// A body in an array must parse as the same as the body alone.
fn assert_same_in_an_array<T: Debug + PartialEq>(
    data: &[u8],
    alone: &T,
    ask: impl Fn(&[u8]) -> Option<T>,
) {
    // A body without a head, and not at the nesting limit.
    let shallow = data.iter().filter(|byte| b"[{".contains(byte)).count() < 100;
    let body = data.trim_ascii();
    if body.starts_with(b"{") && shallow {
        let wrapped = ask(&[b"[", body, b"]"].concat());
        assert_eq!(wrapped.as_ref(), Some(alone), "an array of one is that one");
    }
}

pub fn offers(data: &[u8]) {
    let publisher = PLACES[0].offer().publisher().clone();
    let list = ask(data, 200, async |client, _| client.offers(&publisher).await);
    for offer in list.into_iter().flatten() {
        assert_eq!(offer.id.publisher(), &publisher);
        assert_harmless(offer.id.offer());
        assert_word(Some(offer.status.as_str()));
        assert_word(changed(offer.changed_time.as_ref()));
    }
}

pub fn offer(data: &[u8]) {
    let get = |data: &[u8]| ask(data, 200, async |client, id| client.offer(id).await);
    let slot = |data: &[u8]| {
        let preview =
            async |client: &PortalClient, id: &OfferId| client.slot(id, Slot::Preview).await;
        ask(data, 200, preview)
    };
    let found = get(data);
    if let Some(offer) = &found {
        assert_offer(offer);
        assert_eq!(slot(data), Some(found.clone()), "a slot is read like an offer");
        assert_same_in_an_array(data, offer, get);
    }
}

fn assert_offer(offer: &Offer) {
    if let Some(tag) = &offer.etag {
        assert_harmless(&tag.0);
        assert!(HeaderValue::from_str(&tag.0).is_ok(), "{tag:?} can't be sent back");
    }
}

pub fn offer_status(data: &[u8]) {
    let get = |data: &[u8]| ask(data, 200, async |client, id| client.status(id).await);
    let report = get(data);
    if let Some(report) = &report {
        assert_word(Some(report.status.as_str()));
        assert_steps(&report.steps, &report.messages);
        if let Some(said) = status_of(data) {
            assert_eq!(report.status, OfferStatus::from(said.as_str()), "a status is known");
            let unknown = matches!(report.status, OfferStatus::Unknown(_));
            assert!(!unknown || report.status.as_str() == said, "or kept: {report:?}");
        }
        assert_same_in_an_array(data, report, get);
    }
}

pub fn submissions(data: &[u8]) {
    let list = ask(data, 200, async |client, id| client.submissions(id).await);
    for submission in list.into_iter().flatten() {
        let id = OperationRef { id: submission.id.clone(), location: None };
        assert_word(Some(submission.kind.as_str()));
        assert_word(Some(submission.state.as_str()));
        assert_word(submission.slot.as_deref());
        assert_word(changed(submission.changed_time.as_ref()));
        assert_harmless(&submission.id);
        // Listed offers can be inspected.
        let portal = Portal::new(PLACES[0].endpoint, answer(b"{\"status\":\"running\"}", 200));
        let polled = block_on(portal.client.operation(&PLACES[0].offer(), &id));
        assert!(polled.is_ok(), "{polled:?}");
        assert_ours(&PLACES[0], &portal.asked());
    }
}

pub fn operation(data: &[u8]) {
    let id = OperationRef { id: "1".to_owned(), location: None };
    let get =
        |data: &[u8]| ask(data, 200, async |client, offer| client.operation(offer, &id).await);
    let polled = get(data);
    if let Some(polled) = &polled {
        assert!(polled.retry_after.unwrap_or_default() <= MAX_RETRY_AFTER);
        let operation = &polled.operation;
        assert_word(Some(operation.status.as_str()));
        assert_steps(&operation.steps, &operation.messages);
        if let Some(said) = status_of(data) {
            assert_eq!(operation.status, OperationStatus::from(said.as_str()), "a status is known");
            let unknown = matches!(operation.status, OperationStatus::Unknown(_));
            assert!(!unknown || operation.status.as_str() == said, "or kept: {operation:?}");
            assert!(!unknown || !operation.status.is_finished(), "unknown means still running");
        }
        assert_kept(operation);
        assert_same_in_an_array(data, polled, get);
    }
}

pub fn refusal(data: &[u8]) {
    let portal = Portal::new(PLACES[0].endpoint, answer(data, 400));
    let outcome = block_on(portal.client.offer(&PLACES[0].offer()));
    let Err(error) = outcome else { return };
    assert_harmless_error(&error);
    if let MarketplaceError::Refused(refusal) = &error {
        assert!(!refusal.answer.starts_with('2'), "{refusal:?}");
        assert_word(refusal.code.as_deref());
        assert_word(refusal.request_id.as_deref());
        let message = refusal.message.as_deref().unwrap_or_default();
        assert!(message.chars().count() <= 1_000, "{message:?}");
        assert_harmless(message);
    }
}

pub fn accepted(data: &[u8]) {
    let place = &PLACES[0];
    let portal = Portal::new(place.endpoint, answer(data, 202));
    let launch = Launch {
        kind: OperationKind::GoLive,
        release: Release::from(2),
        fence: None,
        request_id: RequestId::from_random([7; 16]),
        notify: Vec::new(),
    };
    match block_on(portal.client.post(&place.offer(), &launch)) {
        Ok(Accepted::Started { operation, retry_after }) => {
            assert!(retry_after.unwrap_or_default() <= MAX_RETRY_AFTER);
            assert_harmless(&operation.id);
            operation.location.as_deref().inspect(|location| assert_harmless(location));
            // The operation can be polled, at the marketplace's own origin.
            let portal = Portal::new(place.endpoint, answer(b"{\"status\":\"running\"}", 200));
            let polled = block_on(portal.client.operation(&place.offer(), &operation));
            assert!(polled.is_ok(), "{polled:?}");
            assert_ours(place, &portal.asked());
        }
        Ok(Accepted::Unlocated { why }) => assert_harmless(&why),
        Err(error) => assert_harmless_error(&error),
    }
}

fn assert_steps(steps: &[Step], messages: &[Message]) {
    assert!(steps.len() <= 200 && messages.len() <= 102, "lists are bounded");
    for step in steps {
        for word in [Some(step.status.as_str()), step.estimate.as_deref()] {
            assert_word(word);
        }
        // A step without an id is identified by its name.
        assert_harmless(&step.id);
        assert_harmless(&step.name);
        assert!(!step.id.is_empty() && !step.name.is_empty(), "{step:?}");
        assert!(step.progress.unwrap_or_default() <= 100, "{step:?}");
        assert!(step.messages.len() <= 101, "lists are bounded");
    }
    for message in steps.iter().flat_map(|step| &step.messages).chain(messages) {
        assert_harmless(&message.text);
        assert_word(Some(message.level.as_str()));
        assert_word(message.at.as_deref());
    }
}

fn assert_word(word: Option<&str>) {
    if let Some(word) = word {
        assert_harmless(word);
        assert!(word.chars().count() <= MAX_WORD, "{word:?}");
    }
}

fn changed(time: Option<&ChangedTime>) -> Option<&str> {
    time.map(|time| time.0.as_str())
}

/// A body's status, if it is one plain word without duplicate keys.
fn status_of(data: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(data).ok()?;
    let said = body.get("status")?.as_str()?;
    let plain = said.bytes().all(|byte| byte.is_ascii_alphanumeric()) && said.len() < 16;
    (plain && !said.is_empty()).then(|| said.to_owned())
}
