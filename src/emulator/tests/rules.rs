//! What holds of the model whatever is done to it, in whatever order.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;

use crate::emulator::behaviour::{AfterCancel, Kind, OfferSeed};
use crate::emulator::dialect::Behaviour;
use crate::emulator::model::{Content, Offer};
use crate::emulator::operation::{Ending, State};
use crate::emulator::start::blank;
use crate::emulator::{Length, Profile, Seed};

#[derive(Clone, Debug)]
enum Deed {
    Wait(i64),
    Poll,
    Put,
    Publish,
    GoLive,
    Cancel(bool),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        (0..9_i64).prop_map(Deed::Wait),
        Just(Deed::Poll),
        Just(Deed::Put),
        Just(Deed::Publish),
        Just(Deed::GoLive),
        any::<bool>().prop_map(Deed::Cancel),
    ]
}

fn hold(offer: &Offer) {
    let running = offer.operations.iter().filter(|operation| operation.runs()).count();
    assert!(running <= 1, "one operation at a time");
    assert_eq!(running == 1, offer.running().is_some(), "only the last one runs");
    assert!(offer.production <= offer.preview, "nothing is live that was not in preview");
    let done = |kind| {
        let operations = offer.operations.iter();
        operations.filter(move |own| {
            let succeeded = matches!(own.state, State::Ended { ending: Ending::Succeeded, .. });
            own.kind == kind && succeeded
        })
    };
    let lives: Vec<u64> = done(Kind::GoLive).map(|operation| operation.version).collect();
    assert!(lives.is_sorted_by(|a, b| a < b), "a version goes live once: {lives:?}");
    assert_eq!(offer.versions.len(), done(Kind::Publish).count(), "a publish, a version");
    assert_eq!(offer.staged.is_some(), offer.running().is_some_and(|o| o.kind == Kind::Publish));
}

proptest! {
    #[test]
    fn the_rules_hold_in_every_order(
        deeds in prop::collection::vec(deed(), 0..60),
        polls in any::<bool>(),
        field in any::<bool>(),
    ) {
        let seed = Seed {
            profile: if field { Profile::Field } else { Profile::Documented },
            step_time: Length(Duration::from_secs(2)),
            polls: polls.then_some(3),
            ..Seed::default()
        };
        let entry = OfferSeed { after_cancel: AfterCancel::Canceled, ..OfferSeed::default() };
        let seed = Behaviour::new(&seed, Arc::new(entry));
        let mut now = Timestamp::UNIX_EPOCH;
        let draft = Content { definition: json!({}), changed: now };
        let mut offer = blank("contoso", "vm", draft, 1);
        for deed in deeds {
            let (revision, tag) = (offer.revision, seed.dialect.etag(&offer));
            offer.settle(now, &seed);
            match deed {
                Deed::Wait(seconds) => now += SignedDuration::from_secs(seconds),
                Deed::Poll => offer.poll(offer.operations.len().saturating_sub(1), now, &seed),
                Deed::Put => offer.put(None, None, now),
                Deed::Publish => drop(offer.publish(now, offer.last_number(), &seed)),
                Deed::GoLive => drop(offer.golive(now, &seed)),
                Deed::Cancel(false) => drop(offer.cancel(now, &seed)),
                Deed::Cancel(true) => drop(offer.cancel_now(now, &seed)),
            }
            hold(&offer);
            prop_assert!(offer.revision >= revision);
            prop_assert_eq!(offer.revision == revision, seed.dialect.etag(&offer) == tag);
        }
    }
}
