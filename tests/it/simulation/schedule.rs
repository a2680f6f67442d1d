//! Decides which fault is injected at each effect of each process.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::random::{RandomSource, Rng};
use super::scenario::FaultRates;

/// One effect: the process, what it does, and the number of this occurrence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FaultPoint {
    pub(crate) process: u32,
    pub(crate) what: String,
    pub(crate) nth: u32,
}

impl fmt::Display for FaultPoint {
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

/// How a process crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// The process is killed; what it wrote stays, flushed or not.
    Kill,
    /// The machine goes down with all its processes; what was not flushed may be lost, whole or
    /// in part.
    PowerLoss,
}

/// What goes wrong at an effect.
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
    NoAnswer(When),
    /// No answer ever comes, and the request arrives after this delay.
    Late(Duration),
    /// The request arrives after this delay.
    Slow(Duration),
    /// The answer arrives after this delay.
    SlowAnswer(Duration),
    /// An answer with this status and `Retry-After` in seconds.
    OtherStatus(u16, Option<u32>, When),
    /// A gateway's page.
    Html(u16, When),
    /// Valid JSON of another shape.
    OtherJson,
    /// The head of an answer, and no whole body.
    CutBody,
    /// An operation header with another host.
    ForeignHeader,
    /// No operation header.
    NoHeader,
    /// Another client publishes a newer version just before the request arrives.
    Overtaken,
    /// A list from before the last change.
    StaleList,
    /// The file operation fails and has no effect.
    Fails,
    /// The file operation reports an error, but was done, or done in part.
    FailsButDone,
}

impl Fault {
    /// `After` if the request still arrives.
    pub(crate) fn when(self) -> When {
        match self {
            Self::Crash(_, when)
            | Self::Reset(when)
            | Self::NoAnswer(when)
            | Self::OtherStatus(_, _, when)
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
            | Self::StaleList
            | Self::Fails
            | Self::FailsButDone => When::After,
        }
    }
}

/// The kind of effect, which decides what faults are possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Read,
    List,
    Post,
    File,
    /// The notification that a file has changed.
    FileEvent,
}

/// Decides the fault for each effect, and records what happened.
pub(crate) struct Schedule {
    random: RandomSource,
    fault_rates: FaultRates,
    source: Source,
    seen: BTreeMap<(u32, String), u32>,
    pub(crate) faults_off: bool,
    pub(crate) fired: BTreeMap<FaultPoint, Fault>,
    pub(crate) effects: u64,
    /// Every effect, in order, with `Record::Points`.
    pub(crate) points: Option<Vec<FaultPoint>>,
    /// What happened, line by line, with `Record::Trace`.
    pub(crate) trace: Option<Vec<String>>,
}

/// What a play records, besides the faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Nothing,
    /// Every effect.
    Points,
    /// Every line of the trace.
    Trace,
}

/// Where the faults come from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Random,
    Listed(BTreeMap<FaultPoint, Fault>),
}

impl Schedule {
    pub(crate) fn new(
        random: RandomSource,
        fault_rates: FaultRates,
        source: Source,
        record: Record,
    ) -> Self {
        Self {
            random,
            fault_rates,
            source,
            seen: BTreeMap::new(),
            faults_off: false,
            fired: BTreeMap::new(),
            effects: 0,
            points: (record == Record::Points).then(Vec::new),
            trace: (record == Record::Trace).then(Vec::new),
        }
    }

    /// Numbers an effect and decides its fault.
    pub(crate) fn next(
        &mut self,
        process: u32,
        what: &str,
        effect: Effect,
    ) -> (FaultPoint, Option<Fault>) {
        self.effects += 1;
        let nth = self.seen.entry((process, what.to_owned())).or_default();
        *nth += 1;
        let point = FaultPoint { process, what: what.to_owned(), nth: *nth };
        if let Some(points) = &mut self.points {
            points.push(point.clone());
        }
        let fault = match &self.source {
            _ if self.faults_off => None,
            Source::Random => draw_fault(&mut self.random.of(&point), &self.fault_rates, effect),
            Source::Listed(faults) => faults.get(&point).copied(),
        };
        if let Some(fault) = fault {
            self.fired.insert(point.clone(), fault);
        }
        (point, fault)
    }

    /// Adds a line to the trace; `line` is called only if there is one.
    pub(crate) fn log(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(line());
        }
    }
}

fn draw_fault(rng: &mut Rng, fault_rates: &FaultRates, effect: Effect) -> Option<Fault> {
    if rng.per_mille(fault_rates.crashes) {
        let crash = *rng.pick(&[Crash::Kill, Crash::PowerLoss]);
        return Some(Fault::Crash(crash, *rng.pick(&[When::Before, When::After])));
    }
    let share = match effect {
        Effect::File | Effect::FileEvent => fault_rates.files,
        Effect::Read | Effect::List => fault_rates.requests,
        // POSTs are few but matter most: raise their share, so that half of all faults hit them.
        Effect::Post => (fault_rates.requests * 4).min(700),
    };
    if rng.per_mille(fault_rates.stops) {
        return Some(Fault::Stop);
    }
    if !rng.per_mille(share) {
        return None;
    }
    let kinds: &[FaultKind] = match effect {
        Effect::File => {
            let longest = *rng.pick(&[Duration::from_secs(20), Duration::from_mins(8)]);
            let slow = Fault::Slow(rng.time(longest));
            return Some(*rng.pick(&[Fault::Fails, Fault::FailsButDone, slow, slow]));
        }
        Effect::FileEvent => {
            let late = Fault::Late(rng.time(Duration::from_mins(10)));
            return Some(*rng.pick(&[Fault::Fails, late]));
        }
        Effect::Read => &READS,
        Effect::List => &LISTS,
        Effect::Post => &POSTS,
    };
    let kind = *rng.pick(kinds);
    let statuses: &[u16] = match effect {
        Effect::Post => &[500, 502, 504, 408, 400, 401, 403, 404, 409, 412, 422, 301, 200, 202],
        // No 404 for reads: it would claim that a full slot is empty, which golive can't detect.
        Effect::Read | Effect::List | Effect::File | Effect::FileEvent => {
            &[500, 502, 504, 408, 400, 401, 403, 301, 202]
        }
    };
    // Each play has a subset of the kinds, since all kinds together can hide a bug.
    (fault_rates.kinds & (1 << (kind as u32)) != 0).then(|| fault(kind, statuses, rng))
}

/// A kind of fault of requests, before its details are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FaultKind {
    NoConnection,
    Reset,
    NoAnswer,
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
    StaleList,
}

const READS: [FaultKind; 11] = [
    FaultKind::NoConnection,
    FaultKind::Reset,
    FaultKind::NoAnswer,
    FaultKind::Slow,
    FaultKind::SlowAnswer,
    FaultKind::NotNow,
    FaultKind::Gateway,
    FaultKind::Status,
    FaultKind::Html,
    FaultKind::OtherJson,
    FaultKind::CutBody,
];

const LISTS: [FaultKind; 8] = [
    FaultKind::StaleList,
    FaultKind::StaleList,
    FaultKind::StaleList,
    FaultKind::Reset,
    FaultKind::NotNow,
    FaultKind::Status,
    FaultKind::Html,
    FaultKind::CutBody,
];

const POSTS: [FaultKind; 22] = [
    FaultKind::Gateway,
    FaultKind::Gateway,
    FaultKind::Overtaken,
    FaultKind::Overtaken,
    FaultKind::NoConnection,
    FaultKind::Reset,
    FaultKind::Reset,
    FaultKind::Reset,
    FaultKind::NoAnswer,
    FaultKind::NoAnswer,
    FaultKind::Late,
    FaultKind::Late,
    FaultKind::Late,
    FaultKind::Slow,
    FaultKind::SlowAnswer,
    FaultKind::NotNow,
    FaultKind::Gateway,
    FaultKind::Status,
    FaultKind::Html,
    FaultKind::CutBody,
    FaultKind::ForeignHeader,
    FaultKind::NoHeader,
];

fn fault(kind: FaultKind, statuses: &[u16], rng: &mut Rng) -> Fault {
    let when = *rng.pick(&[When::Before, When::After, When::After]);
    let wait = *rng.pick(&[None, Some(0), Some(3), Some(40), Some(600)]);
    match kind {
        FaultKind::NoConnection => Fault::NoConnection,
        FaultKind::Reset => Fault::Reset(when),
        FaultKind::NoAnswer => Fault::NoAnswer(when),
        FaultKind::Late => Fault::Late(rng.time(Duration::from_mins(10))),
        FaultKind::Slow => Fault::Slow(rng.time(Duration::from_secs(90))),
        FaultKind::SlowAnswer => Fault::SlowAnswer(rng.time(Duration::from_secs(90))),
        // The protocol relies on it that 429 and 503 mean the request was not processed.
        FaultKind::NotNow => Fault::OtherStatus(*rng.pick(&[429, 503]), wait, When::Before),
        FaultKind::Gateway => Fault::OtherStatus(*rng.pick(&[500, 502, 504, 408]), wait, when),
        FaultKind::Status => Fault::OtherStatus(*rng.pick(statuses), None, When::Before),
        FaultKind::Html => Fault::Html(*rng.pick(&[200, 500, 502]), when),
        FaultKind::OtherJson => Fault::OtherJson,
        FaultKind::CutBody => Fault::CutBody,
        FaultKind::ForeignHeader => Fault::ForeignHeader,
        FaultKind::NoHeader => Fault::NoHeader,
        FaultKind::Overtaken => Fault::Overtaken,
        FaultKind::StaleList => Fault::StaleList,
    }
}
