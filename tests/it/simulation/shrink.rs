//! Makes a failure as small as it gets: fewer faults, fewer events, fewer runs, fewer offers.

use std::collections::BTreeMap;

use super::laws::Law;
use super::mutants::Mutant;
use super::play::{Played, play};
use super::scenario::{Bounds, Scenario, Waiting};
use super::schedule::{Fault, Point, Record, Source};

/// A failing play, and what makes it fail.
#[derive(Clone)]
pub(crate) struct Failure {
    pub(crate) scenario: Scenario,
    pub(crate) faults: BTreeMap<Point, Fault>,
}

impl Failure {
    pub(crate) fn play(&self, mutant: Option<Mutant>) -> Played {
        play(&self.scenario, Source::These(self.faults.clone()), mutant, Record::Trace)
    }

    fn breaks(&self, mutant: Option<Mutant>) -> Option<Law> {
        let source = Source::These(self.faults.clone());
        Some(play(&self.scenario, source, mutant, Record::Nothing).violation?.law)
    }

    /// Everything that can be taken away at once.
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
                if self.scenario.rounds[round].runs[run].bounds != Bounds::None {
                    without(&|it| it.scenario.rounds[round].runs[run].bounds = Bounds::None);
                }
                if self.scenario.rounds[round].runs[run].wait != Waiting::Once {
                    without(&|it| it.scenario.rounds[round].runs[run].wait = Waiting::Once);
                }
            }
        }
        for point in self.faults.keys() {
            without(&|it| {
                it.faults.remove(point);
            });
        }
        if !self.scenario.weather.latency.is_zero() {
            without(&|it| it.scenario.weather.latency = std::time::Duration::ZERO);
        }
        if self.scenario.lag.is_some() {
            without(&|it| it.scenario.lag = None);
        }
        smaller.retain(Self::is_consistent);
        smaller
    }

    /// Whether every event is about an offer that is there.
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

    /// The smallest that still breaks the same law and that one step after the other leads to.
    pub(crate) fn shrunk(self, mutant: Option<Mutant>) -> Self {
        let law = self.breaks(mutant);
        let mut smallest = self;
        let breaks_it = |it: &Self| it.breaks(mutant) == law;
        while let Some(next) = smallest.smaller().into_iter().find(breaks_it) {
            smallest = next;
        }
        smallest
    }
}
