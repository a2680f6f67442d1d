//! What happens in one play: offers, their manifests, and rounds of runs, while other clients
//! change the marketplace.

use std::fmt::{self, Write as _};
use std::time::Duration;

use golive::emulator::ManualAction;
use golive::marketplace::Api;

use super::api;
use super::random::{RandomSource, Rng};

#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    /// The API by which golive asks.
    pub(crate) api: Api,
    /// The marketplace's answers, as lines of the emulator's seed.
    pub(crate) answers: String,
    pub(crate) offers: Vec<Offer>,
    pub(crate) rounds: Vec<Round>,
    /// For a marketplace that queues golives: an accepted one shows only after this time, and
    /// until then another one would be accepted as well.
    pub(crate) lag: Option<Duration>,
    pub(crate) step_minutes: u32,
    pub(crate) fault_rates: FaultRates,
}

/// An offer at the marketplace, and its initial manifest.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    /// Its seed, without braces.
    pub(crate) behaviour: String,
    pub(crate) manifest: Option<Manifest>,
}

/// What a manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) live: bool,
    pub(crate) pin: Option<u64>,
    pub(crate) suspend: bool,
    /// After the start of the play.
    pub(crate) not_before: Option<Duration>,
    /// Waits for the previous offer.
    pub(crate) waits: bool,
    /// A label, which changes the manifest's digest and nothing else.
    pub(crate) label: u32,
}

/// Concurrent runs of golive, with the pause before and the events meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    pub(crate) pause: Duration,
    pub(crate) events: Vec<(Duration, Event)>,
    pub(crate) runs: Vec<Run>,
}

/// Something that other people do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Another client, such as a person in the portal.
    ManualAction(usize, ManualAction),
    /// A commit.
    Edit(usize, Option<Manifest>),
    /// The current token becomes invalid.
    RotateToken,
    /// Somebody deletes the status file.
    ForgetStatus,
}

/// One `golive apply`, or one `golive watch`.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// After the round's start.
    pub(crate) after: Duration,
    pub(crate) retry: bool,
    /// Only this offer.
    pub(crate) only: Option<usize>,
    pub(crate) mode: RunMode,
    pub(crate) lock_timeout: Duration,
    pub(crate) limits: Limits,
}

/// `--max-changes` and `--expect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limits {
    None,
    MaxChanges(usize),
    /// `--expect` with the digest of the current change set.
    ExpectCurrent,
    /// `--expect` with the digest of another change set.
    ExpectOther,
}

/// How long a run lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunMode {
    Once,
    For(Duration),
    ToTheEnd,
    /// A service that is stopped after this long.
    Watch(Duration),
}

/// How often things go wrong.
#[derive(Clone, Debug)]
pub(crate) struct FaultRates {
    /// Per mille of requests; only kinds in `kinds` take effect.
    pub(crate) requests: u32,
    /// Per mille of effects on files.
    pub(crate) files: u32,
    /// Per mille of effects at which the process crashes.
    pub(crate) crashes: u32,
    /// Per mille of effects at which the user stops the process.
    pub(crate) stops: u32,
    /// The longest latency, each way.
    pub(crate) latency: Duration,
    /// The kinds of fault in this play: one bit each.
    pub(crate) kinds: u32,
}

/// Offers alternate between two publishers: delays of one must not affect the other.
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
    pub(crate) fn text(&self, api: Api, offer: usize, start: jiff::Timestamp) -> String {
        let state = if self.live { "live" } else { "preview" };
        let mut text = format!("offer: vm-{offer}\nstate: {state}\n");
        writeln!(text, "publisher: {}", publisher(offer)).unwrap();
        if let Some(pin) = self.pin {
            writeln!(text, "version: {}", api::release(api, pin)).unwrap();
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

/// Answers that were observed from the real service, in addition to the field profile. Two thirds of the
/// marketplaces accept a second golive, so that they don't mask a repeated request.
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
fn answers(rng: &mut Rng) -> String {
    if rng.one_in(3) {
        return "profile: documented\nstrict: true\n".to_owned();
    }
    let second = *rng.pick(&["accept", "accept", "409"]);
    let parts = [*rng.pick(&FIELD), *rng.pick(&FIELD)];
    let mut keys: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let name = |part: &str| part.split(':').next().map(str::to_owned);
    keys.dedup_by_key(|part| name(part));
    format!("profile: field\nanswers: {{secondGolive: {second}, {}}}\n", keys.join(", "))
}

/// Answers of the Product Ingestion API that clients saw, or that are open. What starts late in the
/// list is `lag`'s part.
const SUBMISSIONS: [&str; 12] = [
    "",
    "",
    "live: oldAndNew",
    "live: previewAndLive",
    "shuffled: true",
    "pageSize: 1",
    "delays: {running: 90s, jobEnded: 3m}",
    "delays: {ended: 4m}",
    "jobStatus: 500",
    "jobStatus: 404",
    "accepted: 200",
    "failedAgain: conflict",
];

/// The same for the Product Ingestion API.
fn ingestion_answers(rng: &mut Rng) -> String {
    let second = *rng.pick(&["accept", "accept", "409"]);
    let parts = [*rng.pick(&SUBMISSIONS), *rng.pick(&SUBMISSIONS), "strict: true"];
    let name = |part: &str| part.split(':').next().map(str::to_owned);
    let mut keys: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    // One list would have one order for each of its pages.
    if keys.contains(&"pageSize: 1") {
        keys.retain(|part| *part != "shuffled: true");
    }
    keys.dedup_by_key(|part| name(part));
    format!("answers: {{secondGolive: {second}}}\ningestion: {{{}}}\n", keys.join(", "))
}

const INITIAL_STATES: [&str; 14] = [
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

const RESPONSE_QUIRKS: [&str; 14] = [
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

const OPERATION_ENDS: [&str; 8] = [
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
    pub(crate) fn from_seed(api: Api, seed: u64) -> Self {
        let random = RandomSource::new(seed);
        let mut rng = random.of("scenario");
        let count = *rng.pick(&[1, 1, 1, 2, 2, 3]);
        let offers = (0..count).map(|number| offer(api, number, &mut random.of(("offer", number))));
        let offers: Vec<_> = offers.collect();
        let longest = match api {
            Api::CloudPartnerPortal => [Duration::from_secs(18), Duration::from_mins(10)],
            // The answers may lag by themselves, and golive waits for ten minutes.
            Api::ProductIngestion => [Duration::from_secs(18), Duration::from_mins(4)],
        };
        let longest = *rng.pick(&longest);
        let lag = rng.one_in(2).then(|| rng.time(longest));
        let rounds = 1 + rng.number(4);
        let round = |number| {
            let mut round = round(count, lag, &mut random.of(("round", number)));
            let rng = &mut random.of(("service", number));
            round.runs.iter_mut().for_each(|run| run.draw_service(rng));
            round
        };
        let rounds = (0..rounds).map(round).collect();
        let rng = &mut random.of("answers");
        let answers = match api {
            Api::CloudPartnerPortal => answers(rng),
            Api::ProductIngestion => ingestion_answers(rng),
        };
        Self {
            seed,
            api,
            answers,
            offers,
            rounds,
            lag,
            step_minutes: 7,
            fault_rates: draw_fault_rates(random),
        }
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
    /// Makes one run in six a service, which has no retries, scope or limits.
    fn draw_service(&mut self, rng: &mut Rng) {
        if rng.one_in(6) {
            let mode = RunMode::Watch(rng.time(Duration::from_hours(8)));
            let Self { after, lock_timeout, .. } = *self;
            let limits = Limits::None;
            *self = Self { after, retry: false, only: None, mode, lock_timeout, limits };
        }
    }

    /// How long it watches, if it is a service.
    pub(crate) fn watches(&self) -> Option<Duration> {
        match self.mode {
            RunMode::Watch(duration) => Some(duration),
            RunMode::Once | RunMode::For(_) | RunMode::ToTheEnd => None,
        }
    }
}

fn offer(api: Api, number: usize, rng: &mut Rng) -> Offer {
    let mut parts =
        [*rng.pick(&INITIAL_STATES), *rng.pick(&RESPONSE_QUIRKS), *rng.pick(&OPERATION_ENDS)];
    if api == Api::ProductIngestion {
        // The quirks are the other API's.
        parts[1] = "";
    }
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let mut manifest = Manifest::plain();
    if rng.one_in(3) {
        manifest = edited(&manifest, number, rng);
    }
    Offer { behaviour: parts.join(", "), manifest: Some(manifest) }
}

/// A manifest with one random change.
fn edited(manifest: &Manifest, number: usize, rng: &mut Rng) -> Manifest {
    let mut new = manifest.clone();
    match rng.number(7) {
        0 => new.live = !new.live,
        1 => new.pin = *rng.pick(&[None, Some(1), Some(2), Some(3)]),
        2 => new.suspend = !new.suspend,
        3 => new.not_before = Some(rng.time(Duration::from_hours(4))),
        4 => new.waits = number > 0,
        _ => new.label += 1,
    }
    new
}

fn round(offers: usize, lag: Option<Duration>, rng: &mut Rng) -> Round {
    let longest = *rng.pick(&[Duration::from_secs(2), Duration::from_hours(1)]);
    let events = (0..rng.number(3)).map(|_| (rng.time(longest), event(offers, lag, rng))).collect();
    let side_by_side = if rng.one_in(5) { 2 } else { 1 };
    let runs = (0..side_by_side)
        .map(|_| Run {
            after: rng.time(Duration::from_secs(3)),
            retry: rng.one_in(6),
            only: rng.one_in(8).then(|| rng.number(offers)),
            mode: *rng.pick(&[
                RunMode::Once,
                RunMode::Once,
                RunMode::For(Duration::from_secs(20)),
                RunMode::For(Duration::from_mins(30)),
                RunMode::ToTheEnd,
            ]),
            lock_timeout: rng.time(Duration::from_mins(10)),
            limits: match rng.number(16) {
                0 => Limits::MaxChanges(0),
                1 => Limits::MaxChanges(1),
                2 => Limits::ExpectCurrent,
                3 => Limits::ExpectOther,
                _ => Limits::None,
            },
        })
        .collect();
    let pauses = [Duration::ZERO, Duration::from_secs(5), Duration::from_mins(40)];
    let longest = *rng.pick(&pauses);
    Round { pause: rng.time(longest), events, runs }
}

fn event(offers: usize, lag: Option<Duration>, rng: &mut Rng) -> Event {
    let offer = rng.number(offers);
    match rng.number(12) {
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
        // With a lag the intent is golive's only knowledge of a request, so the file is kept.
        10 if lag.is_none() => Event::ForgetStatus,
        _ if rng.one_in(6) => Event::Edit(offer, None),
        _ => Event::Edit(offer, Some(edited(&Manifest::plain(), offer, rng))),
    }
}

impl FaultRates {
    /// No faults.
    pub(crate) const NONE: Self =
        Self { requests: 0, files: 0, crashes: 0, stops: 0, latency: Duration::ZERO, kinds: 0 };
}

fn draw_fault_rates(random: RandomSource) -> FaultRates {
    let mut rng = random.of("weather");
    FaultRates {
        requests: *rng.pick(&[0, 20, 60, 200, 500]),
        files: *rng.pick(&[0, 0, 0, 10, 60]),
        crashes: *rng.pick(&[0, 5, 20, 20, 60]),
        latency: *rng.pick(&[Duration::ZERO, Duration::from_millis(60), Duration::from_secs(4)]),
        kinds: rng.0.u32(..) | rng.0.u32(..),
        stops: *rng.pick(&[0, 0, 0, 10, 40]),
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { answers, offers, rounds, lag, fault_rates, .. } = self;
        write!(f, "{answers}")?;
        writeln!(f, "fault rates: {fault_rates:?}")?;
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
