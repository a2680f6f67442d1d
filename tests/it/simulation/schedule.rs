//! What goes wrong, and where. Every effect of every process comes by here.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::dice::{Dice, Throws};
use super::scenario::Weather;

/// One effect: the process, what it does, and the how-manieth of this kind it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Point {
    pub(crate) process: u32,
    pub(crate) what: String,
    pub(crate) nth: u32,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}, {} #{}", self.process, self.what, self.nth)
    }
}

/// Before the effect, or once it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Before,
    After,
}

/// How a process ends that does not end by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// The process is killed; what it wrote stays, flushed or not.
    Kill,
    /// The machine goes down with all its processes; what was not flushed may be lost, whole or
    /// in part.
    PowerLoss,
}

/// What happens at an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Crash(Crash, When),
    /// The user asks the process to stop; the effect itself is done.
    Stop,
    /// No connection is made.
    NoConnection,
    /// The connection is reset.
    Reset(When),
    /// No answer ever comes.
    Silence(When),
    /// No answer ever comes, and the request arrives so much later.
    Late(Duration),
    /// The request arrives so much later.
    Slow(Duration),
    /// The answer arrives so much later.
    SlowAnswer(Duration),
    /// Another answer, with a status, and how many seconds to wait.
    RequestOutcome(u16, Option<u32>, When),
    /// A gateway's page.
    Html(u16, When),
    /// An answer that is JSON, and not what was asked for.
    OtherJson,
    /// The head of an answer, and no whole body.
    CutBody,
    /// An operation header that leads to another host.
    ForeignHeader,
    /// No operation header.
    NoHeader,
    /// Another hand publishes a newer version just before the request arrives.
    Overtaken,
    /// The answer was true a while ago.
    Old,
    /// The system refuses.
    Fails,
    /// The system says that it has failed; the effect is done all the same, or in part.
    FailsLate,
}

impl Fault {
    /// Whether a request that it meets still arrives.
    pub(crate) fn when(self) -> When {
        match self {
            Self::Crash(_, when)
            | Self::Reset(when)
            | Self::Silence(when)
            | Self::RequestOutcome(_, _, when)
            | Self::Html(_, when) => when,
            Self::NoConnection => When::Before,
            Self::Stop
            | Self::Late(_)
            | Self::Slow(_)
            | Self::SlowAnswer(_)
            | Self::OtherJson
            | Self::CutBody
            | Self::ForeignHeader
            | Self::NoHeader
            | Self::Overtaken
            | Self::Old
            | Self::Fails
            | Self::FailsLate => When::After,
        }
    }
}

/// What kind of effect it is: that decides what can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Read,
    List,
    Post,
    File,
    /// The word that a file has changed.
    Word,
}

/// Decides what happens at each effect, and keeps what happened.
pub(crate) struct Schedule {
    dice: Dice,
    weather: Weather,
    source: Source,
    seen: BTreeMap<(u32, String), u32>,
    /// No more faults.
    pub(crate) calm: bool,
    pub(crate) fired: BTreeMap<Point, Fault>,
    pub(crate) effects: u64,
    /// Every effect, in order, if asked for.
    pub(crate) points: Option<Vec<Point>>,
    /// What happened, line by line, if asked for.
    pub(crate) trace: Option<Vec<String>>,
}

/// What is kept of a play, beside the faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Nothing,
    /// Every effect.
    Points,
    /// Every line of what happened.
    Trace,
}

/// Where the faults come from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Dice,
    These(BTreeMap<Point, Fault>),
}

impl Schedule {
    pub(crate) fn new(dice: Dice, weather: Weather, source: Source, record: Record) -> Self {
        Self {
            dice,
            weather,
            source,
            seen: BTreeMap::new(),
            calm: false,
            fired: BTreeMap::new(),
            effects: 0,
            points: (record == Record::Points).then(Vec::new),
            trace: (record == Record::Trace).then(Vec::new),
        }
    }

    /// Names an effect and says what happens at it.
    pub(crate) fn next(
        &mut self,
        process: u32,
        what: &str,
        effect: Effect,
    ) -> (Point, Option<Fault>) {
        self.effects += 1;
        let nth = self.seen.entry((process, what.to_owned())).or_default();
        *nth += 1;
        let point = Point { process, what: what.to_owned(), nth: *nth };
        if let Some(points) = &mut self.points {
            points.push(point.clone());
        }
        let fault = match &self.source {
            _ if self.calm => None,
            Source::Dice => drawn(&mut self.dice.of(&point), &self.weather, effect),
            Source::These(faults) => faults.get(&point).copied(),
        };
        if let Some(fault) = fault {
            self.fired.insert(point.clone(), fault);
        }
        (point, fault)
    }

    /// Writes a line of what happened; `line` is called only where somebody will read it.
    pub(crate) fn say(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(line());
        }
    }
}

fn drawn(throws: &mut Throws, weather: &Weather, effect: Effect) -> Option<Fault> {
    if throws.per_mille(weather.crashes) {
        let crash = *throws.pick(&[Crash::Kill, Crash::PowerLoss]);
        return Some(Fault::Crash(crash, *throws.pick(&[When::Before, When::After])));
    }
    let share = match effect {
        Effect::File | Effect::Word => weather.files,
        Effect::Read | Effect::List => weather.requests,
        // What golive is about is one request in many: half of all that goes wrong meets it.
        Effect::Post => (weather.requests * 4).min(700),
    };
    if throws.per_mille(weather.stops) {
        return Some(Fault::Stop);
    }
    if !throws.per_mille(share) {
        return None;
    }
    let kinds: &[Kind] = match effect {
        Effect::File => {
            let longest = *throws.pick(&[Duration::from_secs(20), Duration::from_mins(8)]);
            let slow = Fault::Slow(throws.time(longest));
            return Some(*throws.pick(&[Fault::Fails, Fault::FailsLate, slow, slow]));
        }
        Effect::Word => {
            let late = Fault::Late(throws.time(Duration::from_mins(10)));
            return Some(*throws.pick(&[Fault::Fails, late]));
        }
        Effect::Read => &READS,
        Effect::List => &LISTS,
        Effect::Post => &POSTS,
    };
    let kind = *throws.pick(kinds);
    let statuses: &[u16] = match effect {
        Effect::Post => &[500, 502, 504, 408, 400, 401, 403, 404, 409, 412, 422, 301, 200, 202],
        // Who says that a slot is empty that is not has lied: nothing guards against that.
        Effect::Read | Effect::List | Effect::File | Effect::Word => {
            &[500, 502, 504, 408, 400, 401, 403, 301, 202]
        }
    };
    // Each play has kinds of fault of its own: what all kinds together hide, some of them show.
    (weather.kinds & (1 << (kind as u32)) != 0).then(|| fault(kind, statuses, throws))
}

/// A kind of fault of requests, before its details are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    NoConnection,
    Reset,
    Silence,
    Late,
    Slow,
    SlowAnswer,
    NotNow,
    Gateway,
    Status,
    Html,
    OtherJson,
    CutBody,
    ForeignHeader,
    NoHeader,
    Overtaken,
    Old,
}

const READS: [Kind; 11] = [
    Kind::NoConnection,
    Kind::Reset,
    Kind::Silence,
    Kind::Slow,
    Kind::SlowAnswer,
    Kind::NotNow,
    Kind::Gateway,
    Kind::Status,
    Kind::Html,
    Kind::OtherJson,
    Kind::CutBody,
];

const LISTS: [Kind; 8] = [
    Kind::Old,
    Kind::Old,
    Kind::Old,
    Kind::Reset,
    Kind::NotNow,
    Kind::Status,
    Kind::Html,
    Kind::CutBody,
];

const POSTS: [Kind; 22] = [
    Kind::Gateway,
    Kind::Gateway,
    Kind::Overtaken,
    Kind::Overtaken,
    Kind::NoConnection,
    Kind::Reset,
    Kind::Reset,
    Kind::Reset,
    Kind::Silence,
    Kind::Silence,
    Kind::Late,
    Kind::Late,
    Kind::Late,
    Kind::Slow,
    Kind::SlowAnswer,
    Kind::NotNow,
    Kind::Gateway,
    Kind::Status,
    Kind::Html,
    Kind::CutBody,
    Kind::ForeignHeader,
    Kind::NoHeader,
];

fn fault(kind: Kind, statuses: &[u16], throws: &mut Throws) -> Fault {
    let when = *throws.pick(&[When::Before, When::After, When::After]);
    let wait = *throws.pick(&[None, Some(0), Some(3), Some(40), Some(600)]);
    match kind {
        Kind::NoConnection => Fault::NoConnection,
        Kind::Reset => Fault::Reset(when),
        Kind::Silence => Fault::Silence(when),
        Kind::Late => Fault::Late(throws.time(Duration::from_mins(10))),
        Kind::Slow => Fault::Slow(throws.time(Duration::from_secs(90))),
        Kind::SlowAnswer => Fault::SlowAnswer(throws.time(Duration::from_secs(90))),
        // Who says "not now" has done nothing: the protocol relies on it.
        Kind::NotNow => Fault::RequestOutcome(*throws.pick(&[429, 503]), wait, When::Before),
        Kind::Gateway => Fault::RequestOutcome(*throws.pick(&[500, 502, 504, 408]), wait, when),
        Kind::Status => Fault::RequestOutcome(*throws.pick(statuses), None, When::Before),
        Kind::Html => Fault::Html(*throws.pick(&[200, 500, 502]), when),
        Kind::OtherJson => Fault::OtherJson,
        Kind::CutBody => Fault::CutBody,
        Kind::ForeignHeader => Fault::ForeignHeader,
        Kind::NoHeader => Fault::NoHeader,
        Kind::Overtaken => Fault::Overtaken,
        Kind::Old => Fault::Old,
    }
}
