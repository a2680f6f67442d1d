//! The queue in which requests wait for a free permit. It only decides: the time is passed in, and
//! [`permits`](super::permits) wakes the tasks.
//!
//! 1. At most `limit` permits are out at once.
//! 2. The publisher with the fewest requests in flight goes first. Ties: mutations first (their
//!    precondition ages), throttled retries last, then least recently served, then FIFO.
//! 3. A publisher is slow from the moment a request takes longer than [`SLOW`] or gets no answer,
//!    until one is answered in time. All slow publishers together get at most half of the permits, but
//!    at least one. If every known publisher is slow, they get all permits.
//!
//! Semaphores, one for all and one for each publisher, don't suffice: they are FIFO, so requests that
//! queued before their publisher was known to be slow keep their turn. Five publishers that hang then
//! hold up a sixth for minutes; and a narrower limit for each slows down a publisher that is alone.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::time::Duration;

use tokio::time::Instant;

use crate::marketplace::PublisherId;

/// How long a request may take before its publisher counts as slow.
pub(crate) const SLOW: Duration = Duration::from_secs(5);

/// The priority of a request. The least goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Priority {
    Mutation,
    /// A first attempt, or a retry after any failure but throttling.
    Read,
    /// A retry after a 429 or 503.
    ThrottledRetry,
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
    /// Unique, and greater than that of every earlier permit.
    number: u64,
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
    waiting: BTreeMap<Place, W>,
    /// When each request in flight got its permit, by the permit's number: the oldest first.
    in_flight: BTreeMap<u64, Instant>,
    /// The number of the last permit it was handed.
    last_permit: u64,
    /// Whether its last answered or unanswered request was slow.
    was_slow: bool,
}

impl<W> Publisher<W> {
    fn new() -> Self {
        let (waiting, in_flight) = (BTreeMap::new(), BTreeMap::new());
        Self { waiting, in_flight, last_permit: 0, was_slow: false }
    }

    /// The first request in its queue, with its rank among other publishers' first ones; the least
    /// goes first. The last permit counts, so that no request waits for all earlier ones of another
    /// publisher.
    fn first(&self) -> Option<(usize, Priority, u64, Place)> {
        let (place, _) = self.waiting.first_key_value()?;
        Some((self.in_flight.len(), place.priority, self.last_permit, *place))
    }

    /// Whether it is slow: its last request was, or one in flight is.
    fn is_slow(&self, now: Instant) -> bool {
        let mut in_flight = self.in_flight.values();
        self.was_slow || in_flight.next().is_some_and(|oldest| now.duration_since(*oldest) > SLOW)
    }
}

/// The queue. `W` wakes the waiting task.
#[derive(Debug)]
pub(crate) struct FairQueue<W> {
    /// The most permits out at once.
    limit: usize,
    in_flight: usize,
    /// The last number given to a place or a permit.
    last_number: u64,
    /// Every publisher that had a request since the start.
    publishers: HashMap<PublisherId, Publisher<W>>,
    /// Requests that must not be sent before a time: their publisher is paused. They wait here, so
    /// that afterwards they go in queue order, not in wake-up order.
    paused: BTreeMap<(Instant, Place), (PublisherId, W)>,
}

impl<W> FairQueue<W> {
    pub(crate) fn new(limit: NonZeroUsize) -> Self {
        let (publishers, paused) = (HashMap::new(), BTreeMap::new());
        Self { limit: limit.get(), in_flight: 0, last_number: 0, publishers, paused }
    }

    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// The position of a new request. The request keeps it when it leaves and enters again.
    pub(crate) fn place(&mut self, priority: Priority) -> Place {
        Place { priority, number: self.number() }
    }

    /// Enters the queue; with `from`, no permit is granted before that time.
    pub(crate) fn enter(
        &mut self,
        publisher: &PublisherId,
        place: Place,
        from: Option<Instant>,
        waiter: W,
    ) {
        let known = self.publishers.entry(publisher.clone()).or_insert_with(Publisher::new);
        match from {
            Some(from) => drop(self.paused.insert((from, place), (publisher.clone(), waiter))),
            None => drop(known.waiting.insert(place, waiter)),
        }
    }

    /// Leaves the queue. Returns the waiter, unless it was already granted a permit.
    pub(crate) fn leave(
        &mut self,
        publisher: &PublisherId,
        place: Place,
        from: Option<Instant>,
    ) -> Option<W> {
        if let Some((_, waiter)) = from.and_then(|from| self.paused.remove(&(from, place))) {
            return Some(waiter);
        }
        self.publishers.get_mut(publisher)?.waiting.remove(&place)
    }

    /// Grants a free permit to the next eligible request. Call it until it returns `None`, whenever
    /// a request enters and whenever a permit ends.
    ///
    /// No request is stranded: with nothing in flight any request may go, and each permit that ends
    /// runs this again.
    pub(crate) fn next(&mut self, now: Instant) -> Option<(W, Granted)> {
        if self.in_flight >= self.limit {
            return None;
        }
        self.end_pauses(now);
        let is_room_for_slow = self.is_room_for_slow(now);
        let number = self.number();
        let eligible = self.publishers.iter_mut().filter_map(|(id, publisher)| {
            let may_go = is_room_for_slow || !publisher.is_slow(now);
            publisher.first().filter(|_| may_go).map(|first| (first, id, publisher))
        });
        let ((.., place), id, publisher) = eligible.min_by_key(|(first, ..)| *first)?;
        let waiter = publisher.waiting.remove(&place)?;
        publisher.in_flight.insert(number, now);
        publisher.last_permit = number;
        self.in_flight += 1;
        Some((waiter, Granted { publisher: id.clone(), number }))
    }

    /// Moves requests whose pause is over into their publisher's queue.
    fn end_pauses(&mut self, now: Instant) {
        while let Some(first) = self.paused.first_entry().filter(|first| first.key().0 <= now) {
            let ((_, place), (id, waiter)) = first.remove_entry();
            self.publishers.entry(id).or_insert_with(Publisher::new).waiting.insert(place, waiter);
        }
    }

    /// Ends a permit.
    pub(crate) fn end(&mut self, granted: &Granted, end: End) {
        let Some(publisher) = self.publishers.get_mut(&granted.publisher) else { return };
        if publisher.in_flight.remove(&granted.number).is_none() {
            return;
        }
        self.in_flight -= 1;
        match end {
            End::Answered(took) => publisher.was_slow = took > SLOW,
            End::Unanswered => publisher.was_slow = true,
            End::Dropped => {}
        }
    }

    /// Whether a slow publisher may have another permit. The other half of the permits is reserved
    /// for publishers that answer; if there are none, nothing is reserved.
    ///
    /// A publisher that hangs isn't limited further: its queued requests would only fail later, and
    /// the run with them.
    fn is_room_for_slow(&self, now: Instant) -> bool {
        let is_slow = |publisher: &&Publisher<W>| publisher.is_slow(now);
        let slow = self.publishers.values().filter(is_slow);
        let in_flight: usize = slow.clone().map(|publisher| publisher.in_flight.len()).sum();
        slow.count() == self.publishers.len() || in_flight < (self.limit / 2).max(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(name: &str) -> PublisherId {
        PublisherId::new(name).unwrap()
    }

    /// A queue, and the time.
    struct Fixture {
        queue: FairQueue<&'static str>,
        now: Instant,
        granted: HashMap<&'static str, Granted>,
    }

    impl Fixture {
        fn new(limit: usize) -> Self {
            let queue = FairQueue::new(NonZeroUsize::new(limit).unwrap());
            Self { queue, now: Instant::now(), granted: HashMap::new() }
        }

        /// Each request is named by its publisher and a number: "a 1".
        fn enter(&mut self, names: &[&'static str]) -> &mut Self {
            self.enter_with(Priority::Read, names)
        }

        fn enter_with(&mut self, priority: Priority, names: &[&'static str]) -> &mut Self {
            self.enter_paused(priority, names, None)
        }

        fn enter_paused(
            &mut self,
            priority: Priority,
            names: &[&'static str],
            seconds: Option<u64>,
        ) -> &mut Self {
            let from = seconds.map(|seconds| self.now + Duration::from_secs(seconds));
            for name in names {
                let place = self.queue.place(priority);
                self.queue.enter(&id(name.split_once(' ').unwrap().0), place, from, name);
            }
            self
        }

        fn pass(&mut self, seconds: u64) -> &mut Self {
            self.now += Duration::from_secs(seconds);
            self
        }

        /// Grants all free permits.
        fn next(&mut self) -> Vec<&'static str> {
            let mut all = Vec::new();
            while let Some((who, granted)) = self.queue.next(self.now) {
                self.granted.insert(who, granted);
                all.push(who);
            }
            all
        }

        fn end(&mut self, name: &str, end: End) -> &mut Self {
            let granted = self.granted.remove(name).unwrap();
            self.queue.end(&granted, end);
            self
        }

        fn answered(&mut self, name: &str, seconds: u64) -> &mut Self {
            self.end(name, End::Answered(Duration::from_secs(seconds)))
        }
    }

    #[test]
    fn the_publisher_with_the_fewest_in_flight_goes_first() {
        let mut fixture = Fixture::new(4);
        fixture.enter(&["a 1", "a 2", "a 3", "a 4", "a 5"]);
        assert_eq!(fixture.next(), ["a 1", "a 2", "a 3", "a 4"]);
        fixture.enter(&["b 1", "b 2", "c 1", "b 3"]);
        assert!(fixture.next().is_empty());
        let mut order = Vec::new();
        for who in ["a 1", "a 2", "a 3"] {
            order.extend(fixture.answered(who, 1).next());
        }
        // Of b and c the first in line; then c has fewer.
        assert_eq!(order, ["b 1", "c 1", "a 5"]);
        assert_eq!(fixture.answered("a 4", 1).next(), ["b 2"]);
    }

    #[test]
    fn throttled_retries_go_last_and_equals_in_fifo_order() {
        let mut fixture = Fixture::new(1);
        fixture.enter_with(Priority::ThrottledRetry, &["a 1", "b 1"]).enter(&["b 2", "a 2"]);
        let mut order = fixture.next();
        for at in 0..3 {
            order.extend(fixture.answered(order[at], 1).next());
        }
        assert_eq!(order, ["b 2", "a 2", "b 1", "a 1"]);
        let mut fixture = Fixture::new(1);
        fixture.enter_with(Priority::ThrottledRetry, &["a 1", "a 2"]).enter(&["a 3", "a 4"]);
        let mut order = fixture.next();
        for at in 0..3 {
            order.extend(fixture.answered(order[at], 1).next());
        }
        assert_eq!(order, ["a 3", "a 4", "a 1", "a 2"]);
        // But a repeat of a publisher that has nothing under way goes before what others ask.
        let mut fixture = Fixture::new(2);
        fixture.enter(&["a 1"]).next();
        fixture.enter(&["a 2"]).enter_with(Priority::ThrottledRetry, &["b 1"]);
        assert_eq!(fixture.next(), ["b 1"]);
    }

    #[test]
    fn slow_publishers_get_half_of_the_permits() {
        let slow = [
            End::Answered(SLOW + Duration::from_millis(1)),
            End::Answered(Duration::MAX),
            End::Unanswered,
        ];
        for end in slow {
            let mut fixture = Fixture::new(6);
            fixture.enter(&["a 1", "b 1", "c 1"]).next();
            fixture.end("a 1", end).end("b 1", end).answered("c 1", 5);
            fixture.enter(&["a 2", "a 3", "a 4", "b 2", "b 3"]);
            assert_eq!(fixture.next(), ["a 2", "b 2", "a 3"]);
            fixture.enter(&["c 2", "c 3", "c 4", "c 5"]);
            assert_eq!(fixture.next(), ["c 2", "c 3", "c 4"]);
            // One of the slow ones makes room for another of them, or for others.
            assert_eq!(fixture.end("a 2", end).next(), ["b 3"]);
            assert_eq!(fixture.answered("c 2", 1).next(), ["c 5"]);
            assert!(fixture.answered("c 3", 1).next().is_empty());
        }
    }

    #[test]
    fn one_answer_in_time_ends_slowness() {
        let mut fixture = Fixture::new(4);
        fixture.enter(&["a 1", "a 2", "b 1"]).next();
        fixture.end("a 1", End::Unanswered).end("a 2", End::Dropped).answered("b 1", 0);
        fixture.enter(&["a 3", "a 4", "a 5", "a 6"]);
        assert_eq!(fixture.next(), ["a 3", "a 4"]);
        assert_eq!(fixture.end("a 3", End::Dropped).next(), ["a 5"]);
        assert_eq!(fixture.answered("a 4", 5).next(), ["a 6"]);
        fixture.enter(&["a 7", "a 8"]);
        assert_eq!(fixture.next(), ["a 7", "a 8"]);
    }

    #[test]
    fn a_request_in_flight_for_long_makes_its_publisher_slow() {
        let mut fixture = Fixture::new(4);
        fixture.enter(&["b 1"]).next();
        fixture.answered("b 1", 0).enter(&["a 1", "a 2"]).next();
        fixture.enter(&["a 3"]).pass(5);
        assert_eq!(fixture.next(), ["a 3"]);
        fixture.enter(&["a 4"]).pass(1);
        assert!(fixture.next().is_empty());
        // One in time does not make up for those that still hang.
        assert!(fixture.answered("a 3", 1).next().is_empty());
        assert!(fixture.end("a 1", End::Dropped).next() == ["a 4"]);
        // What was given up says nothing.
        fixture.end("a 2", End::Dropped).enter(&["a 5", "a 6", "a 7"]);
        assert_eq!(fixture.next(), ["a 5", "a 6", "a 7"]);
    }

    #[test]
    fn if_all_publishers_are_slow_no_permit_is_reserved() {
        let mut fixture = Fixture::new(4);
        fixture.enter(&["a 1"]).next();
        fixture.end("a 1", End::Unanswered).enter(&["a 2", "a 3", "a 4", "a 5", "a 6"]);
        assert_eq!(fixture.next().len(), 4);
        fixture.enter(&["b 1"]);
        assert!(fixture.next().is_empty());
        // There are others now. They need not ask for anything.
        assert_eq!(fixture.end("a 2", End::Unanswered).next(), ["b 1"]);
        assert!(fixture.answered("b 1", 1).next().is_empty());
        fixture.enter(&["b 2"]);
        assert_eq!(fixture.next(), ["b 2"]);
        assert_eq!(fixture.end("b 2", End::Unanswered).next(), ["a 6"]);
    }

    #[test]
    fn a_single_permit_goes_round() {
        let mut fixture = Fixture::new(1);
        fixture.enter(&["a 1", "a 2", "a 3", "a 4", "b 1", "b 2"]);
        let mut order = fixture.next();
        for at in 0..5 {
            let end = if order[at].starts_with('a') { End::Unanswered } else { End::Dropped };
            order.extend(fixture.end(order[at], end).next());
        }
        assert_eq!(order, ["a 1", "b 1", "a 2", "b 2", "a 3", "a 4"]);
    }

    #[test]
    fn a_paused_request_keeps_its_place() {
        let mut fixture = Fixture::new(1);
        fixture
            .enter_paused(Priority::Read, &["a 1"], Some(9))
            .enter_paused(Priority::Read, &["a 2"], Some(7))
            .enter_with(Priority::ThrottledRetry, &["a 3"]);
        assert_eq!(fixture.next(), ["a 3"]);
        fixture.answered("a 3", 1);
        fixture.enter_paused(Priority::ThrottledRetry, &["a 4"], Some(9)).pass(6);
        assert!(fixture.next().is_empty());
        assert_eq!(fixture.pass(3).next(), ["a 1"]);
        assert_eq!(fixture.answered("a 1", 1).next(), ["a 2"]);
        assert_eq!(fixture.answered("a 2", 1).next(), ["a 4"]);
    }

    #[test]
    fn ids_are_compared_without_case() {
        let mut fixture = Fixture::new(2);
        fixture.enter(&["Contoso 1"]).next();
        fixture.enter(&["contoso 2", "fabrikam 1"]);
        assert_eq!(fixture.next(), ["fabrikam 1"]);
    }

    /// Where an arrival or an end took a look at all that wait, this would not come to its end.
    #[test]
    fn a_hundred_thousand_requests_can_wait() {
        const COUNT: u64 = 100_000;
        let mut queue = FairQueue::new(NonZeroUsize::new(8).unwrap());
        let publishers: Vec<_> = (0..20).map(|at| id(&format!("p{at}"))).collect();
        let (mut now, mut in_flight) = (Instant::now(), std::collections::VecDeque::new());
        for (publisher, who) in publishers.iter().cycle().zip(0..COUNT) {
            let place =
                queue.place(if who % 3 == 0 { Priority::ThrottledRetry } else { Priority::Read });
            let from = (who % 2 == 0).then(|| now + Duration::from_secs(1));
            queue.enter(publisher, place, from, who);
            if who % 10 == 0 {
                assert_eq!(queue.leave(publisher, place, from), Some(who));
            }
            in_flight.extend(queue.next(now));
        }
        let mut count = 0;
        while let Some((_, granted)) = in_flight.pop_front() {
            count += 1;
            now += Duration::from_millis(100);
            queue.end(&granted, End::Answered(Duration::from_millis(800)));
            in_flight.extend(queue.next(now));
            while let Some(next) = queue.next(now) {
                in_flight.push_back(next);
            }
            assert!(in_flight.len() <= 8);
        }
        assert_eq!(count, COUNT / 10 * 9);
        assert!(queue.paused.is_empty() && queue.in_flight == 0 && queue.publishers.len() == 20);
        assert!(queue.publishers.values().all(|publisher| publisher.waiting.is_empty()));
    }

    /// An event. Where a number says which, it is taken modulo how many there are.
    #[derive(Clone, Debug)]
    enum Event {
        Enter { publisher: usize, priority: Priority, pause: Option<u64> },
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
        let priority = prop_oneof![
            Just(Priority::Mutation),
            Just(Priority::Read),
            Just(Priority::ThrottledRetry)
        ];
        prop_oneof![
            5 => (0..4_usize, priority, proptest::option::weighted(0.2, 0..9_000_u64)).prop_map(
                |(publisher, priority, pause)| Event::Enter { publisher, priority, pause }
            ),
            2 => (0..4_000_u64).prop_map(|millis| Event::Pass { millis }),
            4 => (any::<usize>(), end).prop_map(|(which, end)| Event::End { which, end }),
            1 => any::<usize>().prop_map(|which| Event::Leave { which }),
        ]
    }

    #[derive(Clone, Debug)]
    struct Waiting {
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
        waiting: Vec<Waiting>,
        /// The publisher, the start and the permit.
        in_flight: Vec<(usize, Instant, Granted)>,
        /// Every publisher that had a request, and whether its last one was slow.
        known: BTreeMap<usize, bool>,
        /// The publishers of the permits, in order.
        served: Vec<usize>,
    }

    impl Rules {
        fn is_slow(&self, publisher: usize) -> bool {
            let hangs = |(of, since, _): &(usize, Instant, Granted)| {
                *of == publisher && self.now.duration_since(*since) > SLOW
            };
            self.known[&publisher] || self.in_flight.iter().any(hangs)
        }

        fn may_go(&self, waiting: &Waiting) -> bool {
            let slow = self.in_flight.iter().filter(|(of, ..)| self.is_slow(*of)).count();
            self.in_flight.len() < self.limit
                && waiting.from.is_none_or(|from| from <= self.now)
                && (!self.is_slow(waiting.publisher)
                    || self.known.keys().all(|publisher| self.is_slow(*publisher))
                    || slow < (self.limit / 2).max(1))
        }

        fn next(&self) -> Option<usize> {
            let count =
                |publisher| self.in_flight.iter().filter(|(of, ..)| *of == publisher).count();
            let last = |publisher| self.served.iter().rposition(|of| *of == publisher);
            let may_go = (0..self.waiting.len()).filter(|at| self.may_go(&self.waiting[*at]));
            may_go.min_by_key(|at| {
                let waiting = &self.waiting[*at];
                let Waiting { publisher, place: Place { priority, number }, .. } = *waiting;
                (count(publisher), priority, last(publisher), number)
            })
        }

        /// The queue grants what the rules say, and all that they say.
        fn check(&mut self, queue: &mut FairQueue<usize>) -> Result<(), TestCaseError> {
            loop {
                let expected = self.next().map(|at| self.waiting.remove(at));
                let granted = queue.next(self.now);
                let who = granted.as_ref().map(|(who, _)| *who);
                prop_assert_eq!(who, expected.as_ref().map(|waiting| waiting.who));
                let (Some(waiting), Some((_, granted))) = (expected, granted) else { break };
                self.in_flight.push((waiting.publisher, self.now, granted));
                self.served.push(waiting.publisher);
                prop_assert!(self.in_flight.len() <= self.limit);
            }
            // While an unpaused request waits, another is in flight, whose end runs this again.
            let may_wait = |waiting: &Waiting| waiting.from.is_none_or(|from| from <= self.now);
            prop_assert!(!self.waiting.iter().any(may_wait) || !self.in_flight.is_empty());
            Ok(())
        }

        fn end(&mut self, queue: &mut FairQueue<usize>, which: usize, end: End) {
            let (publisher, _, granted) = self.in_flight.swap_remove(which);
            queue.end(&granted, end);
            match end {
                End::Answered(took) => self.known.insert(publisher, took > SLOW),
                End::Unanswered => self.known.insert(publisher, true),
                End::Dropped => None,
            };
        }
    }

    proptest! {
        #[test]
        fn the_queue_keeps_to_the_rules_and_strands_no_request(
            limit in 1..7_usize, events in proptest::collection::vec(event(), 1..120),
        ) {
            let names: Vec<_> = (0..4).map(|at| id(&format!("p{at}"))).collect();
            let mut queue = FairQueue::new(NonZeroUsize::new(limit).unwrap());
            let mut rules = Rules {
                limit,
                now: Instant::now(),
                waiting: Vec::new(),
                in_flight: Vec::new(),
                known: BTreeMap::new(),
                served: Vec::new(),
            };
            let (mut came, mut left) = (0, 0);
            for event in events {
                match event {
                    Event::Enter { publisher, priority, pause } => {
                        let from = pause.map(|pause| rules.now + Duration::from_millis(pause));
                        let (place, who) = (queue.place(priority), came);
                        came += 1;
                        queue.enter(&names[publisher], place, from, who);
                        rules.known.entry(publisher).or_insert(false);
                        rules.waiting.push(Waiting { publisher, place, from, who });
                    }
                    Event::Pass { millis } => rules.now += Duration::from_millis(millis),
                    Event::End { which, end } if !rules.in_flight.is_empty() => {
                        let which = which % rules.in_flight.len();
                        rules.end(&mut queue, which, end);
                    }
                    Event::Leave { which } if !rules.waiting.is_empty() => {
                        let waiting = rules.waiting.swap_remove(which % rules.waiting.len());
                        let who = queue.leave(&names[waiting.publisher], waiting.place, waiting.from);
                        prop_assert_eq!(who, Some(waiting.who));
                        left += 1;
                    }
                    Event::End { .. } | Event::Leave { .. } => {}
                }
                rules.check(&mut queue)?;
            }
            // Once no request enters any more, all get their permit.
            rules.now += Duration::from_secs(10);
            rules.check(&mut queue)?;
            while !rules.in_flight.is_empty() {
                rules.end(&mut queue, 0, End::Unanswered);
                rules.check(&mut queue)?;
            }
            prop_assert_eq!((rules.waiting.len(), rules.served.len() + left), (0, came));
            prop_assert!(queue.paused.is_empty() && queue.in_flight == 0);
        }
    }
}
