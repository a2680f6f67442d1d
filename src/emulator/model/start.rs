//! An offer as its seed declares it: its slots, and the history that led there.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::offer::Content;
use super::operation::{Plan, UseCounts};
use super::stage::IdleStatus;
use super::{Behaviour, Offer, Operation};
use crate::emulator::seed::initial_state::InitialState;
use crate::emulator::seed::offer::{Kind, OfferSeed, StartStatus};

/// When seeded histories begin. A fixed moment: the same seed is the same world at any time.
const LONG_AGO: &str = "2020-01-06T08:00:00.1234567Z";

/// The default type of an offer.
const VIRTUAL_MACHINES: &str = "microsoft-azure-virtualmachines";

/// The operations that the seed declares as over, a day apart.
struct History<'a> {
    behaviour: &'a Behaviour,
    last: Timestamp,
}

impl History<'_> {
    fn add(&mut self, offer: &mut Offer, kind: Kind, version: u64, plan: Plan) {
        self.last = self.last.checked_add(SignedDuration::from_hours(24)).unwrap_or(self.last);
        offer.push(kind, version, self.last, plan, self.behaviour);
        if let Some(operation) = offer.operations.last_mut() {
            let end = self.last.checked_add(SignedDuration::from_hours(1));
            operation.end_as_planned(end.unwrap_or(self.last));
        }
    }
}

/// Makes the offer. What runs has begun `now`; everything else is long ago.
pub(crate) fn offer(publisher: &str, id: &str, behaviour: &Behaviour, now: Timestamp) -> Offer {
    let seed = behaviour.entry.as_ref();
    let name = format!("{publisher}/{id}");
    let number = |nth, after| behaviour.numbers().invent(&name, nth, after);
    // Seeds are checked when they are read. An invalid entry made in code is taken as the default.
    let start = InitialState::of(seed, number).unwrap_or(InitialState {
        status: StartStatus::WaitingForPublisherReview,
        preview: Some(number(1, None)),
        live: None,
        last: None,
    });
    let changed = LONG_AGO.parse().unwrap_or(Timestamp::UNIX_EPOCH);
    let definition = seed.definition.clone().unwrap_or_else(|| definition(id, seed));
    let content = Content { definition, changed, ..Content::default() };
    let mut offer = blank(publisher, id, content, behaviour.draft_version());
    if let Some(offer_type) = &seed.offer_type {
        offer.type_id.clone_from(offer_type);
    }
    let mut history = History { behaviour, last: changed };
    if let Some(live) = start.live {
        history.add(&mut offer, Kind::Publish, live, Plan::Succeed);
        history.add(&mut offer, Kind::GoLive, live, Plan::Succeed);
    }
    if let Some(preview) = start.preview.filter(|preview| start.live != Some(*preview)) {
        history.add(&mut offer, Kind::Publish, preview, Plan::Succeed);
    }
    for version in start.live.into_iter().chain(start.preview) {
        offer.versions.insert(version, offer.draft.clone());
        offer.version = version;
    }
    (offer.preview, offer.production) = (start.preview, start.live);
    let last = start.last.unwrap_or(Kind::Publish);
    let version = match last {
        Kind::Publish => number(2, offer.preview),
        Kind::GoLive => offer.preview.unwrap_or(1),
    };
    offer.idle_status = match start.status {
        StartStatus::NeverPublished => IdleStatus::NeverPublished,
        StartStatus::NotStarted => IdleStatus::NotStarted,
        StartStatus::WaitingForPublisherReview => IdleStatus::WaitingForPublisherReview,
        StartStatus::Succeeded => IdleStatus::Succeeded,
        StartStatus::Running => {
            offer.staged = (last == Kind::Publish).then(|| offer.draft.clone());
            let plan = Plan::new(seed, last, UseCounts::default());
            offer.push(last, version, now, plan, behaviour);
            offer.status_by_slots()
        }
        StartStatus::Canceled => {
            history.add(&mut offer, last, version, Plan::Cancel);
            IdleStatus::Canceled
        }
        StartStatus::Failed => {
            history.add(&mut offer, last, version, Plan::failed(seed, last));
            offer.fall_back(last, behaviour);
            offer.idle_status
        }
    };
    offer.changed = offer.operations.last().map_or(offer.draft.changed, Operation::changed);
    offer
}

/// The definition of an offer that the seed has none for. A virtual machine offer has a plan with an
/// image, where clients look for them.
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
pub(crate) fn blank(publisher: &str, id: &str, draft: Content, version: u64) -> Offer {
    Offer {
        publisher: publisher.to_owned(),
        id: id.to_owned(),
        type_id: VIRTUAL_MACHINES.to_owned(),
        changed: draft.changed,
        draft,
        version,
        revision: 1,
        ..Offer::default()
    }
}
