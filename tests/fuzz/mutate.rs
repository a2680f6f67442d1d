//! Deterministic mutations: recombines pieces of the committed inputs, so that the results are nearly
//! valid. Only the long run is guided by coverage.

use fastrand::Rng;

/// The longest input, in bytes.
const MAX_LENGTH: usize = 4_096;

/// The most changes of one input.
const MAX_CHANGES: usize = 4;

/// Bytes with a meaning in at least one format.
const TELLING: &[u8] = b"{}[]\",:;-#&*!|>'%@`/\\?=<\n\r\t $.09azAZ\0\x1b\x7f\x80\xe2\xff";

pub(crate) struct Mutator<'a> {
    seeds: Vec<&'a [u8]>,
    random: Rng,
}

impl<'a> Mutator<'a> {
    pub(crate) fn new(seeds: Vec<&'a [u8]>) -> Self {
        Self { seeds, random: Rng::with_seed(0x5eed) }
    }

    /// The next mutated input.
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
            // Delete a piece.
            0 => Vec::new(),
            // Repeat the piece.
            1 => input[place.clone()].repeat(2),
            2 => vec![self.random.u8(..)],
            3 | 4 => vec![TELLING[self.random.usize(..TELLING.len())]],
            // Insert a piece of another input.
            _ => {
                let other = self.seed();
                other[self.piece(other.len())].to_vec()
            }
        };
        input.splice(place, new);
    }

    /// A random range; short ones are likelier.
    fn piece(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.random.usize(..=length);
        let most = (length - start).min(1 << self.random.u32(..9));
        start..start + self.random.usize(..=most)
    }
}
