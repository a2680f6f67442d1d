//! The queue in which requests wait for a free permit. It only decides: the time is passed in, and
//! [`permits`](super::permits) wakes the tasks.
//!
//! 1. At most `limit` permits are out at once.
//! 2. The publisher with the fewest requests in flight goes first. Ties: mutations first (their
//!    precondition ages), throttled retries last, then least recently served, then FIFO.
//! 3. A publisher is slow from the moment a request takes longer than [`SLOW`] or gets no answer,
//!    until one is answered in time. All slow publishers together get at most half of the permits, but
//!    at least one. If every known publisher is slow, they get all permits.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::time::Duration;

use tokio::time::Instant;

use crate::marketplace::PublisherId;

/// How long a request may take before its publisher counts as slow.
pub(crate) const SLOW: Duration = Duration::from_secs(5);

/// The priority of a request. The least goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Priority {
    /// A mutation.
    Change,
    /// A first attempt, or a retry after any failure but throttling.
    First,
    /// A retry after a 429 or 503.
    Repeat,
}

/// The position of a request. Within a publisher the least goes first: by priority, then FIFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    priority: Priority,
    /// Unique.
    number: u64,
}

/// A permit that was handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    publisher: PublisherId,
    since: Instant,
    place: Place,
}

/// How a permit came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Answered after this long, whatever the answer.
    Answered(Duration),
    /// Not answered, whether or not the request was sent.
    Unanswered,
    /// Its holder gave it back or was canceled. That says nothing about the publisher.
    Dropped,
}

/// The state of one publisher. It is kept for the process's lifetime, and is small while nothing
/// waits.
#[derive(Debug)]
struct Publisher<W> {
    line: BTreeMap<Place, W>,
    /// The requests under way, the oldest first.
    under_way: BTreeSet<(Instant, Place)>,
    /// The number of the last permit it was handed.
    last_turn: u64,
    /// Whether its last answered or unanswered request was slow.
    was_slow: bool,
}

impl<W> Publisher<W> {
    fn new() -> Self {
        let (line, under_way) = (BTreeMap::new(), BTreeSet::new());
        Self { line, under_way, last_turn: 0, was_slow: false }
    }

    /// The first request in its queue, with its rank among other publishers' first ones; the least
    /// goes first. The last permit counts, so that no request waits for all earlier ones of another
    /// publisher.
    fn first(&self) -> Option<(usize, Priority, u64, Place)> {
        let (place, _) = self.line.first_key_value()?;
        Some((self.under_way.len(), place.priority, self.last_turn, *place))
    }

    /// Whether it is slow: its last request was, or one in flight is.
    fn is_slow(&self, now: Instant) -> bool {
        let oldest = self.under_way.first();
        self.was_slow || oldest.is_some_and(|(since, _)| now.duration_since(*since) > SLOW)
    }
}

/// The queue. `W` wakes the waiting task.
#[derive(Debug)]
pub(crate) struct FairQueue<W> {
    /// The most permits out at once.
    limit: usize,
    under_way: usize,
    last_number: u64,
    last_turn: u64,
    /// Every publisher that had a request since the start.
    publishers: HashMap<PublisherId, Publisher<W>>,
    /// Requests that must not be sent before a time: their publisher is paused.
    resting: BTreeMap<(Instant, Place), (PublisherId, W)>,
}

impl<W> FairQueue<W> {
    pub(crate) fn new(limit: NonZeroUsize) -> Self {
        Self {
            limit: limit.get(),
            under_way: 0,
            last_number: 0,
            last_turn: 0,
            publishers: HashMap::new(),
            resting: BTreeMap::new(),
        }
    }

    /// The position of a new request. The request keeps it when it leaves and enters again.
    pub(crate) fn place(&mut self, priority: Priority) -> Place {
        self.last_number += 1;
        Place { priority, number: self.last_number }
    }

    /// Enters the queue; with `from`, no permit is granted before that time.
    pub(crate) fn enter(
        &mut self,
        publisher: &PublisherId,
        place: Place,
        from: Option<Instant>,
        who: W,
    ) {
        let known = self.publishers.entry(publisher.clone()).or_insert_with(Publisher::new);
        match from {
            Some(from) => {
                self.resting.insert((from, place), (publisher.clone(), who));
            }
            None => {
                known.line.insert(place, who);
            }
        }
    }

    /// Leaves the queue. Returns the waiter, unless it was already granted a permit.
    pub(crate) fn leave(
        &mut self,
        publisher: &PublisherId,
        place: Place,
        from: Option<Instant>,
    ) -> Option<W> {
        if let Some((_, who)) = from.and_then(|from| self.resting.remove(&(from, place))) {
            return Some(who);
        }
        self.publishers.get_mut(publisher)?.line.remove(&place)
    }

    /// Grants a free permit to the next eligible request. Call it until it returns `None`, whenever
    /// a request enters and whenever a permit ends.
    ///
    /// No request is stranded: with nothing in flight any request may go, and each permit that ends
    /// runs this again.
    pub(crate) fn next(&mut self, now: Instant) -> Option<(W, Granted)> {
        if self.under_way >= self.limit {
            return None;
        }
        self.wake(now);
        let is_room_for_slow = self.is_room_for_slow(now);
        let first = self.publishers.iter().filter_map(|(id, publisher)| {
            let may_go = is_room_for_slow || !publisher.is_slow(now);
            publisher.first().filter(|_| may_go).map(|first| (first, id))
        });
        let ((.., place), id) = first.min_by_key(|(first, _)| *first)?;
        let granted = Granted { publisher: id.clone(), since: now, place };
        let publisher = self.publishers.get_mut(&granted.publisher)?;
        let who = publisher.line.remove(&place)?;
        publisher.under_way.insert((now, place));
        self.under_way += 1;
        self.last_turn += 1;
        publisher.last_turn = self.last_turn;
        Some((who, granted))
    }

    /// Ends a permit.
    pub(crate) fn end(&mut self, granted: &Granted, end: End) {
        let Some(publisher) = self.publishers.get_mut(&granted.publisher) else { return };
        if !publisher.under_way.remove(&(granted.since, granted.place)) {
            return;
        }
        self.under_way -= 1;
        match end {
            End::Answered(took) => publisher.was_slow = took > SLOW,
            End::Unanswered => publisher.was_slow = true,
            End::Dropped => {}
        }
    }

    /// Moves requests whose time has come into their publisher's queue.
    fn wake(&mut self, now: Instant) {
        while let Some(first) = self.resting.first_entry() {
            let (from, place) = *first.key();
            if from > now {
                return;
            }
            let (id, who) = first.remove();
            let publisher = self.publishers.entry(id).or_insert_with(Publisher::new);
            publisher.line.insert(place, who);
        }
    }

    /// Whether a slow publisher may have another permit. The other half of the permits is reserved
    /// for publishers that answer; if there are none, nothing is reserved.
    ///
    /// A publisher that hangs isn't limited further: its queued requests would only fail later, and
    /// the run with them.
    fn is_room_for_slow(&self, now: Instant) -> bool {
        let (mut under_way, mut all_slow) = (0, true);
        for publisher in self.publishers.values() {
            if publisher.is_slow(now) {
                under_way += publisher.under_way.len();
            } else {
                all_slow = false;
            }
        }
        all_slow || under_way < (self.limit / 2).max(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(name: &str) -> PublisherId {
        PublisherId::new(name).unwrap()
    }

    /// A line, and the time.
    struct Desk {
        line: FairQueue<&'static str>,
        now: Instant,
        granted: HashMap<&'static str, Granted>,
    }

    impl Desk {
        fn new(limit: usize) -> Self {
            let line = FairQueue::new(NonZeroUsize::new(limit).unwrap());
            Self { line, now: Instant::now(), granted: HashMap::new() }
        }

        /// Each is called by a publisher and what it asks: "a 1".
        fn come(&mut self, who: &[&'static str]) -> &mut Self {
            self.come_for(who, Priority::First, None)
        }

        fn come_for(
            &mut self,
            who: &[&'static str],
            priority: Priority,
            rest: Option<u64>,
        ) -> &mut Self {
            for who in who {
                let place = self.line.place(priority);
                let from = rest.map(|rest| self.now + Duration::from_secs(rest));
                self.line.enter(&id(who.split_once(' ').unwrap().0), place, from, who);
            }
            self
        }

        fn pass(&mut self, seconds: u64) -> &mut Self {
            self.now += Duration::from_secs(seconds);
            self
        }

        /// Whose permit it is now.
        fn next(&mut self) -> Vec<&'static str> {
            let mut all = Vec::new();
            while let Some((who, granted)) = self.line.next(self.now) {
                self.granted.insert(who, granted);
                all.push(who);
            }
            all
        }

        fn end(&mut self, who: &str, end: End) -> &mut Self {
            let granted = self.granted.remove(who).unwrap();
            self.line.end(&granted, end);
            self
        }

        fn answered(&mut self, who: &str, seconds: u64) -> &mut Self {
            self.end(who, End::Answered(Duration::from_secs(seconds)))
        }
    }

    #[test]
    fn the_publisher_with_the_fewest_under_way_goes_first() {
        let mut desk = Desk::new(4);
        desk.come(&["a 1", "a 2", "a 3", "a 4", "a 5"]);
        assert_eq!(desk.next(), ["a 1", "a 2", "a 3", "a 4"]);
        desk.come(&["b 1", "b 2", "c 1", "b 3"]);
        assert!(desk.next().is_empty());
        let mut order = Vec::new();
        for who in ["a 1", "a 2", "a 3"] {
            order.extend(desk.answered(who, 1).next());
        }
        // Of b and c the first in line; then c has fewer.
        assert_eq!(order, ["b 1", "c 1", "a 5"]);
        assert_eq!(desk.answered("a 4", 1).next(), ["b 2"]);
    }

    #[test]
    fn first_attempts_go_before_repeats_and_then_who_came_first() {
        let mut desk = Desk::new(1);
        desk.come_for(&["a 1", "b 1"], Priority::Repeat, None).come(&["b 2", "a 2"]);
        let mut order = desk.next();
        for at in 0..3 {
            order.extend(desk.answered(order[at], 1).next());
        }
        assert_eq!(order, ["b 2", "a 2", "b 1", "a 1"]);
        let mut desk = Desk::new(1);
        desk.come_for(&["a 1", "a 2"], Priority::Repeat, None).come(&["a 3", "a 4"]);
        let mut order = desk.next();
        for at in 0..3 {
            order.extend(desk.answered(order[at], 1).next());
        }
        assert_eq!(order, ["a 3", "a 4", "a 1", "a 2"]);
        // But a repeat of a publisher that has nothing under way goes before what others ask.
        let mut desk = Desk::new(2);
        desk.come(&["a 1"]).next();
        desk.come(&["a 2"]).come_for(&["b 1"], Priority::Repeat, None);
        assert_eq!(desk.next(), ["b 1"]);
    }

    #[test]
    fn the_slow_have_half_of_the_turns() {
        let slow = [
            End::Answered(SLOW + Duration::from_millis(1)),
            End::Answered(Duration::MAX),
            End::Unanswered,
        ];
        for end in slow {
            let mut desk = Desk::new(6);
            desk.come(&["a 1", "b 1", "c 1"]).next();
            desk.end("a 1", end).end("b 1", end).answered("c 1", 5);
            desk.come(&["a 2", "a 3", "a 4", "b 2", "b 3"]);
            assert_eq!(desk.next(), ["a 2", "b 2", "a 3"]);
            desk.come(&["c 2", "c 3", "c 4", "c 5"]);
            assert_eq!(desk.next(), ["c 2", "c 3", "c 4"]);
            // One of the slow ones makes room for another of them, or for others.
            assert_eq!(desk.end("a 2", end).next(), ["b 3"]);
            assert_eq!(desk.answered("c 2", 1).next(), ["c 5"]);
            assert!(desk.answered("c 3", 1).next().is_empty());
        }
    }

    #[test]
    fn one_answer_in_time_makes_up_for_it() {
        let mut desk = Desk::new(4);
        desk.come(&["a 1", "a 2", "b 1"]).next();
        desk.end("a 1", End::Unanswered).end("a 2", End::Dropped).answered("b 1", 0);
        desk.come(&["a 3", "a 4", "a 5", "a 6"]);
        assert_eq!(desk.next(), ["a 3", "a 4"]);
        assert_eq!(desk.end("a 3", End::Dropped).next(), ["a 5"]);
        assert_eq!(desk.answered("a 4", 5).next(), ["a 6"]);
        desk.come(&["a 7", "a 8"]);
        assert_eq!(desk.next(), ["a 7", "a 8"]);
    }

    #[test]
    fn who_is_under_way_for_long_is_slow_already() {
        let mut desk = Desk::new(4);
        desk.come(&["b 1"]).next();
        desk.answered("b 1", 0).come(&["a 1", "a 2"]).next();
        desk.come(&["a 3"]).pass(5);
        assert_eq!(desk.next(), ["a 3"]);
        desk.come(&["a 4"]).pass(1);
        assert!(desk.next().is_empty());
        // One in time does not make up for those that still hang.
        assert!(desk.answered("a 3", 1).next().is_empty());
        assert!(desk.end("a 1", End::Dropped).next() == ["a 4"]);
        // What was given up says nothing.
        desk.end("a 2", End::Dropped).come(&["a 5", "a 6", "a 7"]);
        assert_eq!(desk.next(), ["a 5", "a 6", "a 7"]);
    }

    #[test]
    fn where_all_are_slow_no_turn_is_kept() {
        let mut desk = Desk::new(4);
        desk.come(&["a 1"]).next();
        desk.end("a 1", End::Unanswered).come(&["a 2", "a 3", "a 4", "a 5", "a 6"]);
        assert_eq!(desk.next().len(), 4);
        desk.come(&["b 1"]);
        assert!(desk.next().is_empty());
        // There are others now. They need not ask for anything.
        assert_eq!(desk.end("a 2", End::Unanswered).next(), ["b 1"]);
        assert!(desk.answered("b 1", 1).next().is_empty());
        desk.come(&["b 2"]);
        assert_eq!(desk.next(), ["b 2"]);
        assert_eq!(desk.end("b 2", End::Unanswered).next(), ["a 6"]);
    }

    #[test]
    fn a_single_turn_is_for_everybody() {
        let mut desk = Desk::new(1);
        desk.come(&["a 1", "a 2", "a 3", "a 4", "b 1", "b 2"]);
        let mut order = desk.next();
        for at in 0..5 {
            let end = if order[at].starts_with('a') { End::Unanswered } else { End::Dropped };
            order.extend(desk.end(order[at], end).next());
        }
        assert_eq!(order, ["a 1", "b 1", "a 2", "b 2", "a 3", "a 4"]);
    }

    #[test]
    fn who_rests_keeps_its_place() {
        let mut desk = Desk::new(1);
        desk.come_for(&["a 1"], Priority::First, Some(9)).come_for(
            &["a 2"],
            Priority::First,
            Some(7),
        );
        desk.come_for(&["a 3"], Priority::Repeat, None);
        assert_eq!(desk.next(), ["a 3"]);
        desk.answered("a 3", 1).come_for(&["a 4"], Priority::Repeat, Some(9)).pass(6);
        assert!(desk.next().is_empty());
        assert_eq!(desk.pass(3).next(), ["a 1"]);
        assert_eq!(desk.answered("a 1", 1).next(), ["a 2"]);
        assert_eq!(desk.answered("a 2", 1).next(), ["a 4"]);
    }

    #[test]
    fn ids_are_compared_without_case() {
        let mut desk = Desk::new(2);
        desk.come(&["Contoso 1"]).next();
        desk.come(&["contoso 2", "fabrikam 1"]);
        assert_eq!(desk.next(), ["fabrikam 1"]);
    }

    /// Where an arrival or an end took a look at all that wait, this would not come to its end.
    #[test]
    fn a_hundred_thousand_may_stand_in_line() {
        const COUNT: u64 = 100_000;
        let mut line = FairQueue::new(NonZeroUsize::new(8).unwrap());
        let publishers: Vec<_> = (0..20).map(|at| id(&format!("p{at}"))).collect();
        let (mut now, mut under_way) = (Instant::now(), std::collections::VecDeque::new());
        for (publisher, who) in publishers.iter().cycle().zip(0..COUNT) {
            let place = line.place(if who % 3 == 0 { Priority::Repeat } else { Priority::First });
            let from = (who % 2 == 0).then(|| now + Duration::from_secs(1));
            line.enter(publisher, place, from, who);
            if who % 10 == 0 {
                assert_eq!(line.leave(publisher, place, from), Some(who));
            }
            under_way.extend(line.next(now));
        }
        let mut count = 0;
        while let Some((_, granted)) = under_way.pop_front() {
            count += 1;
            now += Duration::from_millis(100);
            line.end(&granted, End::Answered(Duration::from_millis(800)));
            under_way.extend(line.next(now));
            while let Some(next) = line.next(now) {
                under_way.push_back(next);
            }
            assert!(under_way.len() <= 8);
        }
        assert_eq!(count, COUNT / 10 * 9);
        assert!(line.resting.is_empty() && line.under_way == 0);
        assert!(line.publishers.len() == 20 && line.publishers.values().all(|p| p.line.is_empty()));
    }

    /// What may happen to a line. Where a number says which, it is taken modulo how many there are.
    #[derive(Clone, Debug)]
    enum Event {
        Come { publisher: usize, priority: Priority, rest: Option<u64> },
        Pass { millis: u64 },
        End { which: usize, end: End },
        Leave { which: usize },
    }

    fn event() -> impl Strategy<Value = Event> {
        let end = prop_oneof![
            (0..12_000_u64).prop_map(|millis| End::Answered(Duration::from_millis(millis))),
            Just(End::Unanswered),
            Just(End::Dropped),
        ];
        let priority =
            prop_oneof![Just(Priority::Change), Just(Priority::First), Just(Priority::Repeat)];
        prop_oneof![
            5 => (0..4_usize, priority, proptest::option::weighted(0.2, 0..9_000_u64)).prop_map(
                |(publisher, priority, rest)| Event::Come { publisher, priority, rest }
            ),
            2 => (0..4_000_u64).prop_map(|millis| Event::Pass { millis }),
            4 => (any::<usize>(), end).prop_map(|(which, end)| Event::End { which, end }),
            1 => any::<usize>().prop_map(|which| Event::Leave { which }),
        ]
    }

    #[derive(Clone, Debug)]
    struct Waits {
        publisher: usize,
        place: Place,
        from: Option<Instant>,
        who: usize,
    }

    /// The rules once more, word by word and without any index.
    #[derive(Debug)]
    struct Rules {
        limit: usize,
        now: Instant,
        waiting: Vec<Waits>,
        /// Whose, since when.
        under_way: Vec<(usize, Instant, Granted)>,
        /// Those that were ever asked about, and whether they were slow at last.
        known: BTreeMap<usize, bool>,
        /// Whose permits they were, in order.
        permits: Vec<usize>,
    }

    impl Rules {
        fn is_slow(&self, publisher: usize) -> bool {
            let hangs = |(of, since, _): &(usize, Instant, Granted)| {
                *of == publisher && self.now.duration_since(*since) > SLOW
            };
            self.known[&publisher] || self.under_way.iter().any(hangs)
        }

        fn may_go(&self, waits: &Waits) -> bool {
            let slow = self.under_way.iter().filter(|(of, ..)| self.is_slow(*of)).count();
            self.under_way.len() < self.limit
                && waits.from.is_none_or(|from| from <= self.now)
                && (!self.is_slow(waits.publisher)
                    || self.known.keys().all(|publisher| self.is_slow(*publisher))
                    || slow < (self.limit / 2).max(1))
        }

        fn next(&self) -> Option<usize> {
            let count =
                |publisher| self.under_way.iter().filter(|(of, ..)| *of == publisher).count();
            let last = |publisher| self.permits.iter().rposition(|of| *of == publisher);
            let may_go = (0..self.waiting.len()).filter(|at| self.may_go(&self.waiting[*at]));
            may_go.min_by_key(|at| {
                let waits = &self.waiting[*at];
                let Waits { publisher, place: Place { priority, number }, .. } = *waits;
                (count(publisher), priority, last(publisher), number)
            })
        }

        /// The line hands out what the rules say, and all that they say.
        fn check(&mut self, line: &mut FairQueue<usize>) -> Result<(), TestCaseError> {
            loop {
                let expected = self.next().map(|at| self.waiting.remove(at));
                let handed_out = line.next(self.now);
                let who = handed_out.as_ref().map(|(who, _)| *who);
                prop_assert_eq!(who, expected.as_ref().map(|waits| waits.who));
                let (Some(waits), Some((_, granted))) = (expected, handed_out) else { break };
                self.under_way.push((waits.publisher, self.now, granted));
                self.permits.push(waits.publisher);
                prop_assert!(self.under_way.len() <= self.limit);
            }
            // Where somebody waits whose time has come, an end is still to come, with a look.
            let wait = |waits: &Waits| waits.from.is_none_or(|from| from <= self.now);
            prop_assert!(!self.waiting.iter().any(wait) || !self.under_way.is_empty());
            Ok(())
        }

        fn end(&mut self, line: &mut FairQueue<usize>, which: usize, end: End) {
            let (publisher, _, granted) = self.under_way.swap_remove(which);
            line.end(&granted, end);
            match end {
                End::Answered(took) => self.known.insert(publisher, took > SLOW),
                End::Unanswered => self.known.insert(publisher, true),
                End::Dropped => None,
            };
        }
    }

    proptest! {
        #[test]
        fn the_line_keeps_to_the_rules_and_forgets_nobody(
            limit in 1..7_usize, events in proptest::collection::vec(event(), 1..120),
        ) {
            let names: Vec<_> = (0..4).map(|at| id(&format!("p{at}"))).collect();
            let mut line = FairQueue::new(NonZeroUsize::new(limit).unwrap());
            let mut rules = Rules {
                limit,
                now: Instant::now(),
                waiting: Vec::new(),
                under_way: Vec::new(),
                known: BTreeMap::new(),
                permits: Vec::new(),
            };
            let (mut came, mut left) = (0, 0);
            for event in events {
                match event {
                    Event::Come { publisher, priority, rest } => {
                        let from = rest.map(|rest| rules.now + Duration::from_millis(rest));
                        let (place, who) = (line.place(priority), came);
                        came += 1;
                        line.enter(&names[publisher], place, from, who);
                        rules.known.entry(publisher).or_insert(false);
                        rules.waiting.push(Waits { publisher, place, from, who });
                    }
                    Event::Pass { millis } => rules.now += Duration::from_millis(millis),
                    Event::End { which, end } if !rules.under_way.is_empty() => {
                        let which = which % rules.under_way.len();
                        rules.end(&mut line, which, end);
                    }
                    Event::Leave { which } if !rules.waiting.is_empty() => {
                        let waits = rules.waiting.swap_remove(which % rules.waiting.len());
                        let who = line.leave(&names[waits.publisher], waits.place, waits.from);
                        prop_assert_eq!(who, Some(waits.who));
                        left += 1;
                    }
                    Event::End { .. } | Event::Leave { .. } => {}
                }
                rules.check(&mut line)?;
            }
            // Once nobody comes any more, all have their permit.
            rules.now += Duration::from_secs(10);
            rules.check(&mut line)?;
            while !rules.under_way.is_empty() {
                rules.end(&mut line, 0, End::Unanswered);
                rules.check(&mut line)?;
            }
            prop_assert_eq!((rules.waiting.len(), rules.permits.len() + left), (0, came));
            prop_assert!(line.resting.is_empty() && line.under_way == 0);
        }
    }
}
