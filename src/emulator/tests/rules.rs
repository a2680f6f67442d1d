//! What holds of the model whatever is done to it, in whatever order.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;

use crate::emulator::model::offer::Content;
use crate::emulator::model::operation::{Ending, State};
use crate::emulator::model::start::blank;
use crate::emulator::model::{Behaviour, Moment, Offer};
use crate::emulator::portal::etag;
use crate::emulator::seed::offer::{AfterCancel, Kind};
use crate::emulator::{OfferSeed, Profile, Seed, SeedDuration};

#[derive(Clone, Debug)]
enum Step {
    Wait(i64),
    Poll,
    Put,
    Publish,
    GoLive,
    Cancel(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..9_i64).prop_map(Step::Wait),
        Just(Step::Poll),
        Just(Step::Put),
        Just(Step::Publish),
        Just(Step::GoLive),
        any::<bool>().prop_map(Step::Cancel),
    ]
}

fn check_invariants(offer: &Offer) {
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
    fn the_invariants_hold_in_every_order(
        steps in prop::collection::vec(step(), 0..60),
        polls in any::<bool>(),
        field in any::<bool>(),
    ) {
        let seed = Seed {
            profile: if field { Profile::Field } else { Profile::Documented },
            step_time: SeedDuration(Duration::from_secs(2)),
            polls: polls.then_some(3),
            ..Seed::default()
        };
        let entry = OfferSeed { after_cancel: AfterCancel::Canceled, ..OfferSeed::default() };
        let seed = Behaviour::new(&seed, Arc::new(entry));
        let mut now = Timestamp::UNIX_EPOCH;
        let draft = Content { definition: json!({}), changed: now, ..Content::default() };
        let mut offer = blank("contoso", "vm", draft, 1);
        for step in steps {
            let (revision, tag) = (offer.revision, etag(&seed, &offer));
            let moment = Moment { now, behaviour: &seed, last_number: offer.last_number() };
            offer.settle(moment);
            match step {
                Step::Wait(seconds) => now += SignedDuration::from_secs(seconds),
                Step::Poll => offer.poll(offer.operations.len().saturating_sub(1), moment),
                Step::Put => offer.put(None, None, now),
                Step::Publish => drop(offer.publish(moment)),
                Step::GoLive => drop(offer.golive(moment)),
                Step::Cancel(false) => drop(offer.cancel(moment)),
                Step::Cancel(true) => drop(offer.end_now(Ending::Canceled, moment)),
            }
            check_invariants(&offer);
            prop_assert!(offer.revision >= revision);
            prop_assert_eq!(offer.revision == revision, etag(&seed, &offer) == tag);
        }
    }
}
