//! An offer as its seed says it stands: its slots, and the history that led there.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::behaviour::{Kind, OfferSeed, StartStatus};
use super::dialect::Behaviour;
use super::model::{Content, Offer, Used};
use super::operation::{Ending, Fate, Operation, State};
use super::stage::Resting;

/// When seeded histories begin. A fixed moment: the same seed is the same world at any time.
const LONG_AGO: &str = "2020-01-06T08:00:00.1234567Z";

/// The type of an offer for which nothing else is said.
const VIRTUAL_MACHINES: &str = "microsoft-azure-virtualmachines";

/// Where an offer stands, every default filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct OfferPosition {
    status: StartStatus,
    preview: Option<u64>,
    live: Option<u64>,
    /// What runs, failed or was canceled.
    last: Option<Kind>,
}

/// What of the entry's start cannot be, in words.
pub(super) fn problem(seed: &OfferSeed) -> Option<String> {
    standing(seed, |_, after| after.map_or(1, |after| after.saturating_add(1))).err()
}

/// Where an offer stands. `invent` makes up the n-th release's number, after another one.
fn standing(
    seed: &OfferSeed,
    invent: impl Fn(u64, Option<u64>) -> u64,
) -> Result<OfferPosition, String> {
    let (preview, live) = (seed.preview_version, seed.live_version);
    if preview == Some(0) || live == Some(0) {
        return Err("versions start at 1".to_owned());
    }
    if let (Some(preview), Some(live)) = (preview, live)
        && preview < live
    {
        return Err(format!("previewVersion {preview} is older than liveVersion {live}"));
    }
    let awaits = preview.is_some_and(|preview| live.is_none_or(|live| live < preview));
    let settled = live.is_some() && !awaits;
    let status = seed.status.unwrap_or(if settled {
        StartStatus::Succeeded
    } else {
        StartStatus::WaitingForPublisherReview
    });
    let newer = || Some(preview.unwrap_or_else(|| invent(1, live)));
    let (preview, live, last) = match status {
        StartStatus::NeverPublished if preview.or(live).is_some() => {
            return Err("NeverPublished, yet there is a version in a slot".to_owned());
        }
        StartStatus::NeverPublished => (None, None, None),
        StartStatus::WaitingForPublisherReview if settled && preview.is_some() => {
            return Err("WaitingForPublisherReview needs a previewVersion newer than liveVersion"
                .to_owned());
        }
        StartStatus::WaitingForPublisherReview => (newer(), live, None),
        StartStatus::Succeeded if preview.or(live).is_none() => {
            let first = Some(invent(0, None));
            (first, first, None)
        }
        StartStatus::NotStarted | StartStatus::Succeeded => (preview.or(live), live, None),
        StartStatus::Running | StartStatus::Canceled | StartStatus::Failed => {
            let kind = seed.operation.unwrap_or(if awaits { Kind::GoLive } else { Kind::Publish });
            match kind {
                Kind::GoLive if settled && preview.is_some() => {
                    return Err("a golive needs a previewVersion newer than liveVersion".to_owned());
                }
                Kind::GoLive => (newer(), live, Some(kind)),
                Kind::Publish => (preview.or(live), live, Some(kind)),
            }
        }
    };
    if seed.operation.is_some() && last.is_none() {
        return Err("operation goes with the status Running, Failed or Canceled".to_owned());
    }
    Ok(OfferPosition { status, preview, live, last })
}

/// Makes the offer. What runs has begun `now`; everything else is long ago.
pub(super) fn offer(publisher: &str, id: &str, behaviour: &Behaviour, now: Timestamp) -> Offer {
    let (seed, dialect) = (behaviour.entry.as_ref(), &behaviour.dialect);
    let name = format!("{publisher}/{id}");
    let invent = |nth, after| dialect.numbers.invent(&name, nth, after);
    // The entry was checked when it was read; a wrong one made in code is taken as the default.
    let standing = standing(seed, invent).unwrap_or(OfferPosition {
        status: StartStatus::WaitingForPublisherReview,
        preview: Some(invent(1, None)),
        live: None,
        last: None,
    });
    let mut at = LONG_AGO.parse().unwrap_or(Timestamp::UNIX_EPOCH);
    let definition = seed.definition.clone().unwrap_or_else(|| definition(id, seed));
    let content = Content { definition, changed: at };
    let mut offer = blank(publisher, id, content, dialect.draft_version());
    if let Some(offer_type) = &seed.offer_type {
        offer.type_id.clone_from(offer_type);
    }
    let mut past = |offer: &mut Offer, kind, version, fate, ending| {
        at = at.checked_add(SignedDuration::from_hours(24)).unwrap_or(at);
        offer.push(kind, version, at, fate, behaviour);
        if let Some(operation) = offer.operations.last_mut() {
            end_in_the_past(operation, ending);
        }
    };
    if let Some(live) = standing.live {
        past(&mut offer, Kind::Publish, live, Fate::Succeed, Ending::Succeeded);
        past(&mut offer, Kind::GoLive, live, Fate::Succeed, Ending::Succeeded);
    }
    if let Some(preview) = standing.preview.filter(|preview| standing.live != Some(*preview)) {
        past(&mut offer, Kind::Publish, preview, Fate::Succeed, Ending::Succeeded);
    }
    for version in standing.live.into_iter().chain(standing.preview) {
        offer.versions.insert(version, offer.draft.clone());
        offer.version = version;
    }
    (offer.preview, offer.production) = (standing.preview, standing.live);
    let last = standing.last.unwrap_or(Kind::Publish);
    let version = match last {
        Kind::Publish => invent(2, offer.preview),
        Kind::GoLive => offer.preview.unwrap_or(1),
    };
    offer.resting = match standing.status {
        StartStatus::NeverPublished => Resting::NeverPublished,
        StartStatus::NotStarted => Resting::NotStarted,
        StartStatus::WaitingForPublisherReview => Resting::WaitingForPublisherReview,
        StartStatus::Succeeded => Resting::Succeeded,
        StartStatus::Running => {
            offer.staged = (last == Kind::Publish).then(|| offer.draft.clone());
            offer.push(last, version, now, seed.fate(last, Used::default()), behaviour);
            offer.before()
        }
        StartStatus::Canceled => {
            past(&mut offer, last, version, Fate::Cancel, Ending::Canceled);
            Resting::Canceled
        }
        StartStatus::Failed => {
            past(&mut offer, last, version, seed.past_failure(last), Ending::Failed);
            offer.fall_back(last, dialect);
            offer.resting
        }
    };
    offer.changed = offer.operations.last().map_or(offer.draft.changed, Operation::changed);
    offer
}

/// What an offer says that the seed has no definition for. One of virtual machines has a plan with
/// an image, in the places where clients look for them.
fn definition(id: &str, seed: &OfferSeed) -> Value {
    let title = seed.title.as_deref().unwrap_or(id);
    if seed.offer_type.as_deref().is_some_and(|own| !own.eq_ignore_ascii_case(VIRTUAL_MACHINES)) {
        return json!({ "displayText": title });
    }
    json!({
        "displayText": title,
        "plans": [{
            "planId": "base",
            "displayText": title,
            "microsoft-azure-corevm.vmImagesPublicAzure": {
                "2020.01.06": {
                    "osVhdUrl": format!("https://images.example/{id}-20200106.vhd"),
                    "label": title,
                    "mediaName": format!("{id}-20200106"),
                    "publishedDate": "01/06/2020",
                    "description": title,
                    "showInGui": true,
                    "lunVhdDetails": []
                }
            },
            "diskGenerations": []
        }]
    })
}

/// A draft that was never published.
pub(super) fn blank(publisher: &str, id: &str, draft: Content, version: u64) -> Offer {
    Offer {
        publisher: publisher.to_owned(),
        id: id.to_owned(),
        type_id: VIRTUAL_MACHINES.to_owned(),
        changed: draft.changed,
        draft,
        version,
        preview: None,
        production: None,
        versions: BTreeMap::new(),
        edited: false,
        staged: None,
        resting: Resting::NeverPublished,
        shown: None,
        revision: 1,
        operations: Vec::new(),
        used: Used::default(),
        past: Vec::new(),
        stale_answers: 0,
        stamp: 0,
    }
}

/// Ends a seeded operation an hour after it began.
fn end_in_the_past(operation: &mut Operation, ending: Ending) {
    let at = operation.started.checked_add(SignedDuration::from_hours(1));
    let done = match (ending, &operation.fate) {
        (Ending::Succeeded, _) => operation.count,
        (Ending::Failed | Ending::Canceled, Fate::Fail(step, _)) => *step,
        (Ending::Failed | Ending::Canceled, Fate::Succeed | Fate::Cancel | Fate::Halt(..)) => 0,
    };
    operation.state = State::Ended { ending, at: at.unwrap_or(operation.started), done };
}
