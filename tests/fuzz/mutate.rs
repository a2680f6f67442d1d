//! Changes inputs, the same way in each run. Coverage guides the long run; here, pieces of the
//! committed inputs are put together anew, so that what comes out is nearly right.

use fastrand::Rng;

/// The longest input, in bytes.
const MAX_LENGTH: usize = 4_096;

/// The most changes of one input.
const MAX_CHANGES: usize = 4;

/// Bytes that mean something in at least one of the formats.
const TELLING: &[u8] = b"{}[]\",:;-#&*!|>'%@`/\\?=<\n\r\t $.09azAZ\0\x1b\x7f\x80\xe2\xff";

pub(crate) struct Mutator<'a> {
    seeds: Vec<&'a [u8]>,
    random: Rng,
}

impl<'a> Mutator<'a> {
    pub(crate) fn new(seeds: Vec<&'a [u8]>) -> Self {
        Self { seeds, random: Rng::with_seed(0x5eed) }
    }

    /// An input that nobody committed.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        let mut input = self.seed().to_vec();
        for _ in 0..self.random.usize(1..=MAX_CHANGES) {
            self.change(&mut input);
        }
        input.truncate(MAX_LENGTH);
        input
    }

    fn seed(&mut self) -> &'a [u8] {
        self.seeds[self.random.usize(..self.seeds.len())]
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let place = self.piece(input.len());
        let new = match self.random.u8(..8) {
            // Nothing: a piece is gone.
            0 => Vec::new(),
            // The same again.
            1 => input[place.clone()].repeat(2),
            2 => vec![self.random.u8(..)],
            3 | 4 => vec![TELLING[self.random.usize(..TELLING.len())]],
            // A piece of another input.
            _ => {
                let other = self.seed();
                other[self.piece(other.len())].to_vec()
            }
        };
        input.splice(place, new);
    }

    /// A piece of a text; short ones are likelier.
    fn piece(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.random.usize(..=length);
        let most = (length - start).min(1 << self.random.u32(..9));
        start..start + self.random.usize(..=most)
    }
}
