//! What happens in one play: offers, what their manifests say, and rounds of runs, while other
//! hands work at the marketplace.

use std::fmt::{self, Write as _};
use std::time::Duration;

use golive::emulator::ManualAction;

use super::dice::{Dice, Throws};

#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    /// How the marketplace answers: lines of the emulator's seed.
    pub(crate) answers: String,
    pub(crate) offers: Vec<Offer>,
    pub(crate) rounds: Vec<Round>,
    /// A marketplace that takes golives into a queue: one that was accepted shows only so much
    /// later, and until then another one would be taken as well.
    pub(crate) lag: Option<Duration>,
    /// How many minutes a step of an operation takes.
    pub(crate) step_minutes: u32,
    pub(crate) weather: Weather,
}

/// An offer at the marketplace, and its manifest at first.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    /// What the seed says of it, without braces.
    pub(crate) behaviour: String,
    pub(crate) manifest: Option<Manifest>,
}

/// What a manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) live: bool,
    pub(crate) pin: Option<u64>,
    pub(crate) suspend: bool,
    /// Not before this long after the start of the play.
    pub(crate) not_before: Option<Duration>,
    /// Waits for the offer before it.
    pub(crate) waits: bool,
    /// A label: another one is another manifest, and nothing else.
    pub(crate) label: u32,
}

/// Runs of golive, side by side where there are several, with what goes before.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    pub(crate) pause: Duration,
    pub(crate) events: Vec<(Duration, Event)>,
    pub(crate) runs: Vec<Run>,
}

/// Something that is not golive's doing, so long after the round's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Another hand in the portal.
    ManualAction(usize, ManualAction),
    /// A commit.
    Edit(usize, Option<Manifest>),
    /// The token that was good so far is not any more.
    RotateToken,
    /// Somebody deletes the status file.
    ForgetStatus,
}

/// One `golive apply`, or one `golive watch`.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// So long after the round's start.
    pub(crate) after: Duration,
    pub(crate) retry: bool,
    /// Only this offer.
    pub(crate) only: Option<usize>,
    pub(crate) wait: Waiting,
    pub(crate) lock_timeout: Duration,
    /// What must hold before anything is sent.
    pub(crate) bounds: Bounds,
}

/// `--max-changes` and `--expect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bounds {
    None,
    /// No more requests than this.
    Most(usize),
    /// The change set was reviewed just before.
    Reviewed,
    /// Another change set was reviewed.
    OtherReviewed,
}

/// How long a run lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    Once,
    For(Duration),
    ToTheEnd,
    /// A service, which is asked to stop after this long.
    Watch(Duration),
}

/// How bad things get.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    /// How many of a thousand requests something happens to, of this marketplace's kinds.
    pub(crate) requests: u32,
    /// The same for effects on files.
    pub(crate) files: u32,
    /// How many of a thousand effects the process dies at.
    pub(crate) crashes: u32,
    /// How many of a thousand effects the user asks the process to stop at.
    pub(crate) stops: u32,
    /// The longest an ordinary answer takes.
    pub(crate) latency: Duration,
    /// Which kinds of fault there are in this play: one bit each.
    pub(crate) kinds: u32,
}

/// Whose offer it is: what some publishers are looked at late must not matter to others.
pub(crate) fn publisher(offer: usize) -> &'static str {
    if offer.is_multiple_of(2) { "contoso" } else { "fabrikam" }
}

pub(crate) fn name(offer: usize) -> String {
    format!("{}/vm-{offer}", publisher(offer))
}

impl Manifest {
    pub(crate) fn plain() -> Self {
        Self { live: true, pin: None, suspend: false, not_before: None, waits: false, label: 0 }
    }

    /// The YAML text; `start` is when the play began.
    pub(crate) fn text(&self, offer: usize, start: jiff::Timestamp) -> String {
        let state = if self.live { "live" } else { "preview" };
        let mut text = format!("offer: vm-{offer}\nstate: {state}\n");
        writeln!(text, "publisher: {}", publisher(offer)).unwrap();
        if let Some(pin) = self.pin {
            writeln!(text, "version: {pin}").unwrap();
        }
        if self.suspend {
            text.push_str("suspend: true\n");
        }
        if let Some(after) = self.not_before {
            writeln!(text, "notBefore: {:.0}", start + after).unwrap();
        }
        if self.waits && offer > 0 {
            writeln!(text, "after: [{}]", name(offer - 1)).unwrap();
        }
        if self.label > 0 {
            writeln!(text, "labels: {{rev: r{}}}", self.label).unwrap();
        }
        text
    }
}

/// How the service was seen to answer, each beside what the field profile has anyway. Two thirds of the
/// marketplaces take a second golive, so that golive is not saved from itself.
const FIELD: [&str; 13] = [
    "",
    "",
    "listWords: {signOff: running}",
    "listWords: {signOff: published, live: published}",
    "afterFailure: fallback",
    "afterFailure: signOff",
    "sharedId: true",
    "staleAfterPublish: 3m",
    "slots: missing",
    "publishInSignOff: running",
    "goliveType: publish",
    "offerIds: guid",
    "publishingVersion: false",
];

/// Lines of the emulator's seed.
fn answers(throws: &mut Throws) -> String {
    if throws.one_in(3) {
        return "profile: documented\nstrict: true\n".to_owned();
    }
    let second = *throws.pick(&["accept", "accept", "409"]);
    let parts = [*throws.pick(&FIELD), *throws.pick(&FIELD)];
    let mut keys: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let name = |part: &str| part.split(':').next().map(str::to_owned);
    keys.dedup_by_key(|part| name(part));
    format!("profile: field\nanswers: {{secondGolive: {second}, {}}}\n", keys.join(", "))
}

const STARTS: [&str; 14] = [
    "",
    "",
    "previewVersion: 2",
    "previewVersion: 2, liveVersion: 1",
    "previewVersion: 2, liveVersion: 1",
    "previewVersion: 2, liveVersion: 1",
    "previewVersion: 2, liveVersion: 2, status: Succeeded",
    "previewVersion: 2, liveVersion: 1, status: Succeeded",
    "status: NeverPublished",
    "status: Running, operation: golive, previewVersion: 2, liveVersion: 1",
    "status: Running, operation: publish, previewVersion: 2",
    "status: Failed, operation: golive, previewVersion: 2",
    "status: Failed, operation: publish, previewVersion: 2, liveVersion: 2",
    "status: Canceled, operation: golive, previewVersion: 2",
];

const WAYS: [&str; 14] = [
    "",
    "",
    "header: absolute",
    "header: relative",
    "header: dollar",
    "header: none",
    "header: foreign",
    "casing: pascal",
    "arrayForm: true",
    "succeededAs: complete",
    "expire: {finished: true}",
    "expire: {polls: 1}",
    "retryAfter: 90",
    "busy: 400",
];

const ENDS: [&str; 8] = [
    "",
    "",
    "",
    "",
    "cancel: true",
    "cancel: true, afterCancel: Canceled",
    "fail: {step: live, message: no, times: 1}",
    "fail: {step: live, message: no}",
];

impl Scenario {
    pub(crate) fn from_seed(seed: u64) -> Self {
        let dice = Dice::new(seed);
        let mut throws = dice.of("scenario");
        let count = *throws.pick(&[1, 1, 1, 2, 2, 3]);
        let offers = (0..count).map(|number| offer(number, &mut dice.of(("offer", number))));
        let offers: Vec<_> = offers.collect();
        let longest = *throws.pick(&[Duration::from_secs(18), Duration::from_mins(10)]);
        let lag = throws.one_in(2).then(|| throws.time(longest));
        let rounds = 1 + throws.number(4);
        let round = |number| {
            let mut round = round(count, lag, &mut dice.of(("round", number)));
            let throws = &mut dice.of(("service", number));
            round.runs.iter_mut().for_each(|run| run.may_be_a_service(throws));
            round
        };
        let rounds = (0..rounds).map(round).collect();
        let answers = answers(&mut dice.of("answers"));
        Self { seed, answers, offers, rounds, lag, step_minutes: 7, weather: weather(dice) }
    }

    /// Whether a service is among the runs.
    pub(crate) fn has_a_service(&self) -> bool {
        self.rounds.iter().flat_map(|round| &round.runs).any(|run| run.watches().is_some())
    }

    /// The emulator's seed.
    pub(crate) fn marketplace(&self) -> String {
        let mut text = format!("{}stepTime: {}m\noffers:\n", self.answers, self.step_minutes);
        for (number, offer) in self.offers.iter().enumerate() {
            writeln!(text, "  {}: {{{}}}", name(number), offer.behaviour).unwrap();
        }
        text
    }
}

impl Run {
    /// One run in a few is a service: it knows no retries, no scope and no bounds.
    fn may_be_a_service(&mut self, throws: &mut Throws) {
        if throws.one_in(6) {
            let wait = Waiting::Watch(throws.time(Duration::from_hours(8)));
            let Self { after, lock_timeout, .. } = *self;
            let bounds = Bounds::None;
            *self = Self { after, retry: false, only: None, wait, lock_timeout, bounds };
        }
    }

    /// How long it watches, if it is a service.
    pub(crate) fn watches(&self) -> Option<Duration> {
        match self.wait {
            Waiting::Watch(duration) => Some(duration),
            Waiting::Once | Waiting::For(_) | Waiting::ToTheEnd => None,
        }
    }
}

fn offer(number: usize, throws: &mut Throws) -> Offer {
    let parts = [*throws.pick(&STARTS), *throws.pick(&WAYS), *throws.pick(&ENDS)];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let mut manifest = Manifest::plain();
    if throws.one_in(3) {
        manifest = edited(&manifest, number, throws);
    }
    Offer { behaviour: parts.join(", "), manifest: Some(manifest) }
}

/// A manifest in which one thing is another.
fn edited(manifest: &Manifest, number: usize, throws: &mut Throws) -> Manifest {
    let mut new = manifest.clone();
    match throws.number(7) {
        0 => new.live = !new.live,
        1 => new.pin = *throws.pick(&[None, Some(1), Some(2), Some(3)]),
        2 => new.suspend = !new.suspend,
        3 => new.not_before = Some(throws.time(Duration::from_hours(4))),
        4 => new.waits = number > 0,
        _ => new.label += 1,
    }
    new
}

fn round(offers: usize, lag: Option<Duration>, throws: &mut Throws) -> Round {
    let longest = *throws.pick(&[Duration::from_secs(2), Duration::from_hours(1)]);
    let events =
        (0..throws.number(3)).map(|_| (throws.time(longest), event(offers, lag, throws))).collect();
    let side_by_side = if throws.one_in(5) { 2 } else { 1 };
    let runs = (0..side_by_side)
        .map(|_| Run {
            after: throws.time(Duration::from_secs(3)),
            retry: throws.one_in(6),
            only: throws.one_in(8).then(|| throws.number(offers)),
            wait: *throws.pick(&[
                Waiting::Once,
                Waiting::Once,
                Waiting::For(Duration::from_secs(20)),
                Waiting::For(Duration::from_mins(30)),
                Waiting::ToTheEnd,
            ]),
            lock_timeout: throws.time(Duration::from_mins(10)),
            bounds: match throws.number(16) {
                0 => Bounds::Most(0),
                1 => Bounds::Most(1),
                2 => Bounds::Reviewed,
                3 => Bounds::OtherReviewed,
                _ => Bounds::None,
            },
        })
        .collect();
    let pauses = [Duration::ZERO, Duration::from_secs(5), Duration::from_mins(40)];
    let longest = *throws.pick(&pauses);
    Round { pause: throws.time(longest), events, runs }
}

fn event(offers: usize, lag: Option<Duration>, throws: &mut Throws) -> Event {
    let offer = throws.number(offers);
    match throws.number(12) {
        0 => Event::ManualAction(offer, ManualAction::Publish),
        1 => Event::ManualAction(offer, ManualAction::StartPublish),
        2 => Event::ManualAction(offer, ManualAction::StartGoLive),
        3 => Event::ManualAction(offer, ManualAction::GoLive),
        4 => Event::ManualAction(offer, ManualAction::Cancel),
        5 => Event::ManualAction(offer, ManualAction::Fail("broken".to_owned())),
        6 => Event::ManualAction(offer, ManualAction::Finish),
        7 => Event::ManualAction(offer, ManualAction::Expire),
        8 => Event::ManualAction(offer, ManualAction::Edit),
        9 => Event::RotateToken,
        // What golive may not know from anywhere else it must be left: the intent.
        10 if lag.is_none() => Event::ForgetStatus,
        _ if throws.one_in(6) => Event::Edit(offer, None),
        _ => Event::Edit(offer, Some(edited(&Manifest::plain(), offer, throws))),
    }
}

impl Weather {
    /// Nothing goes wrong by itself.
    pub(crate) const FAIR: Self =
        Self { requests: 0, files: 0, crashes: 0, stops: 0, latency: Duration::ZERO, kinds: 0 };
}

fn weather(dice: Dice) -> Weather {
    let mut throws = dice.of("weather");
    Weather {
        requests: *throws.pick(&[0, 20, 60, 200, 500]),
        files: *throws.pick(&[0, 0, 0, 10, 60]),
        crashes: *throws.pick(&[0, 5, 20, 20, 60]),
        latency: *throws.pick(&[Duration::ZERO, Duration::from_millis(60), Duration::from_secs(4)]),
        kinds: throws.0.u32(..) | throws.0.u32(..),
        stops: *throws.pick(&[0, 0, 0, 10, 40]),
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { answers, offers, rounds, lag, weather, .. } = self;
        write!(f, "{answers}")?;
        writeln!(f, "weather: {weather:?}")?;
        if let Some(lag) = lag {
            writeln!(f, "an accepted golive shows after {lag:?}")?;
        }
        for (number, Offer { behaviour, manifest }) in offers.iter().enumerate() {
            writeln!(f, "offer {}: {{{behaviour}}}, {manifest:?}", name(number))?;
        }
        for (number, Round { pause, events, runs }) in rounds.iter().enumerate() {
            writeln!(f, "round {number}, after {pause:?}:")?;
            for (after, event) in events {
                writeln!(f, "  +{after:?} {event:?}")?;
            }
            for run in runs {
                writeln!(f, "  {run:?}")?;
            }
        }
        Ok(())
    }
}
