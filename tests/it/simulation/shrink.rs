//! Shrinks a failure: fewer faults, events, runs and offers.

use std::collections::BTreeMap;

use super::checker::Invariant;
use super::mutants::Mutant;
use super::play::{PlayResult, play};
use super::scenario::{Limits, RunMode, Scenario};
use super::schedule::{Fault, FaultPoint, Record, Source};

/// A failing play, and its faults.
#[derive(Clone)]
pub(crate) struct Failure {
    pub(crate) scenario: Scenario,
    pub(crate) faults: BTreeMap<FaultPoint, Fault>,
}

impl Failure {
    pub(crate) fn play(&self, mutant: Option<Mutant>) -> PlayResult {
        play(&self.scenario, Source::Listed(self.faults.clone()), mutant, Record::Trace)
    }

    fn breaks(&self, mutant: Option<Mutant>) -> Option<Invariant> {
        let source = Source::Listed(self.faults.clone());
        Some(play(&self.scenario, source, mutant, Record::Nothing).violation?.invariant)
    }

    /// Every variant with one thing less.
    fn smaller(&self) -> Vec<Self> {
        let mut smaller = Vec::new();
        let mut without = |change: &dyn Fn(&mut Self)| {
            let mut other = self.clone();
            change(&mut other);
            smaller.push(other);
        };
        if self.scenario.offers.len() > 1 {
            without(&|it| drop(it.scenario.offers.pop()));
        }
        for round in 0..self.scenario.rounds.len() {
            without(&|it| drop(it.scenario.rounds.remove(round)));
            for event in 0..self.scenario.rounds[round].events.len() {
                without(&|it| drop(it.scenario.rounds[round].events.remove(event)));
            }
            for run in 0..self.scenario.rounds[round].runs.len() {
                without(&|it| {
                    it.scenario.rounds[round].runs.remove(run);
                });
                if self.scenario.rounds[round].runs[run].limits != Limits::None {
                    without(&|it| it.scenario.rounds[round].runs[run].limits = Limits::None);
                }
                if self.scenario.rounds[round].runs[run].mode != RunMode::Once {
                    without(&|it| it.scenario.rounds[round].runs[run].mode = RunMode::Once);
                }
            }
        }
        for point in self.faults.keys() {
            without(&|it| {
                it.faults.remove(point);
            });
        }
        if !self.scenario.fault_rates.latency.is_zero() {
            without(&|it| it.scenario.fault_rates.latency = std::time::Duration::ZERO);
        }
        if self.scenario.lag.is_some() {
            without(&|it| it.scenario.lag = None);
        }
        smaller.retain(Self::is_consistent);
        smaller
    }

    /// Whether every event refers to an existing offer.
    fn is_consistent(&self) -> bool {
        use super::scenario::Event;
        let count = self.scenario.offers.len();
        self.scenario.rounds.iter().all(|round| {
            let events = round.events.iter().all(|(_, event)| match event {
                Event::ManualAction(offer, _) | Event::Edit(offer, _) => *offer < count,
                Event::RotateToken | Event::ForgetStatus => true,
            });
            events && round.runs.iter().all(|run| run.only.is_none_or(|only| only < count))
        })
    }

    /// Shrinks greedily, as long as the same invariant breaks.
    pub(crate) fn shrunk(self, mutant: Option<Mutant>) -> Self {
        let invariant = self.breaks(mutant);
        let mut smallest = self;
        let breaks_it = |it: &Self| it.breaks(mutant) == invariant;
        while let Some(next) = smallest.smaller().into_iter().find(breaks_it) {
            smallest = next;
        }
        smallest
    }
}
