//! How the marketplace treats one offer: its entry in the seed, with every gap filled.

use std::sync::Arc;

use jiff::Timestamp;

use super::Offer;
use super::operation::Pace;
use crate::emulator::seed::answers::{
    AfterFailure, CancelGolive, Numbers, SecondGolive, UnchangedPublish, WithDefaults as _,
};
use crate::emulator::seed::offer::FixedRefusal;
use crate::emulator::seed::{
    AnswerOverrides, IngestionOverrides, Kind, OfferSeed, Profile, Seed, SeedDuration,
};

/// When something happens to an offer, and under which rules.
#[derive(Clone, Copy)]
pub(crate) struct Moment<'a> {
    pub now: Timestamp,
    pub behaviour: &'a Behaviour,
    /// The last number of the space that all offers share.
    pub last_number: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Behaviour {
    pub entry: Arc<OfferSeed>,
    pub profile: Profile,
    /// Those of the entry, then those of the seed.
    pub answers: AnswerOverrides,
    /// The same for the Product Ingestion API.
    pub ingestion: IngestionOverrides,
    pub pace: Pace,
}

impl Behaviour {
    pub(crate) fn new(seed: &Seed, entry: Arc<OfferSeed>) -> Self {
        let time = |step: SeedDuration| Pace::Time(step.signed());
        let own_pace = entry.polls.map(Pace::Polls).or(entry.step_time.map(time));
        let seed_pace = seed.polls.map_or(time(seed.step_time), Pace::Polls);
        Self {
            profile: entry.profile.unwrap_or(seed.profile),
            answers: entry.answers.clone().with_defaults(seed.answers.clone()),
            ingestion: entry.ingestion.clone().with_defaults(seed.ingestion.clone()),
            pace: own_pace.unwrap_or(seed_pace),
            entry,
        }
    }

    /// One of two values, by the profile.
    pub(crate) fn by_profile<T>(&self, field: T, documented: T) -> T {
        match self.profile {
            Profile::Field => field,
            Profile::Documented => documented,
        }
    }

    pub(crate) fn numbers(&self) -> Numbers {
        self.answers.numbers.unwrap_or(self.by_profile(Numbers::One, Numbers::Small))
    }

    /// The version of a draft that was never published.
    pub(crate) fn draft_version(&self) -> u64 {
        self.by_profile(0, 1)
    }

    /// Whether a golive has the id of the publish that it releases.
    pub(crate) fn golive_shares_id(&self) -> bool {
        self.answers.shared_id.unwrap_or(false)
    }

    /// What an offer is after an operation of this kind failed.
    pub(crate) fn after_failure(&self, kind: Kind) -> AfterFailure {
        let default = match kind {
            Kind::Publish => self.by_profile(AfterFailure::Fallback, AfterFailure::Failed),
            Kind::GoLive => AfterFailure::Failed,
        };
        self.answers.after_failure.unwrap_or(default)
    }

    /// Whether a second golive on a release is accepted.
    pub(crate) fn accepts_second_golive(&self) -> bool {
        self.answers.second_golive == Some(SecondGolive::Accept)
    }

    /// Whether a golive that failed or was canceled can be repeated without another sign-off.
    pub(crate) fn repeats_golive(&self) -> bool {
        self.by_profile(false, true)
    }

    /// Whether a cancel is accepted while nothing runs.
    pub(crate) fn accepts_idle_cancel(&self) -> bool {
        self.by_profile(true, false)
    }

    /// Whether a cancel ends a running operation of this kind.
    pub(crate) fn cancels(&self, kind: Kind) -> bool {
        let default = self.by_profile(CancelGolive::Ignored, CancelGolive::Ends);
        match kind {
            Kind::Publish => true,
            Kind::GoLive => self.answers.cancel_golive.unwrap_or(default) == CancelGolive::Ends,
        }
    }

    /// Whether a publish of an unchanged draft has no effect.
    pub(crate) fn ignores_unchanged_publish(&self) -> bool {
        let default = self.by_profile(UnchangedPublish::Ignored, UnchangedPublish::Publishes);
        self.answers.unchanged_publish.unwrap_or(default) == UnchangedPublish::Ignored
    }

    /// The answer that the seed fixed for a request of this kind, unless it is used up.
    pub(crate) fn fixed_refusal(&self, offer: &mut Offer, kind: Kind) -> Option<&FixedRefusal> {
        let (with, used) = match kind {
            Kind::Publish => (&self.entry.publish, &mut offer.used.publish_refusals),
            Kind::GoLive => (&self.entry.golive, &mut offer.used.golive_refusals),
        };
        let with = with.as_ref().filter(|with| with.times.allows(*used))?;
        *used += 1;
        offer.changes += 1;
        Some(with)
    }

    /// Whether some answers show what an offer was before.
    pub(crate) fn shows_the_past(&self) -> bool {
        let lag = self.answers.lag.list.or(self.answers.lag.slots);
        lag.is_some() || self.answers.stale_after_publish.is_some()
    }
}
