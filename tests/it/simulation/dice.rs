//! Chance from one seed. Every draw has a name, so that taking one away moves no other: that is
//! what lets a failure be made smaller.

use std::hash::{Hash, Hasher};
use std::time::Duration;

/// The source of all chance in one play.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The throws that belong to a name.
    pub(crate) fn of(self, name: impl Hash) -> Throws {
        let mut hasher = Fold(self.0);
        name.hash(&mut hasher);
        Throws(fastrand::Rng::with_seed(hasher.finish()))
    }
}

/// A hash that is the same with every release of the standard library and on every machine, so that
/// a seed stays the same play.
struct Fold(u64);

impl Fold {
    /// One round of `SplitMix64`.
    fn mix(&mut self, number: u64) {
        let mut mixed = (self.0 ^ number).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.0 = mixed ^ (mixed >> 31);
    }
}

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.mix(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.mix(number.into());
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(u64::try_from(number).unwrap());
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A sequence of throws.
pub(crate) struct Throws(pub(crate) fastrand::Rng);

impl Throws {
    /// True once in so many times; never for 0.
    pub(crate) fn one_in(&mut self, times: u32) -> bool {
        times > 0 && self.0.u32(0..times) == 0
    }

    /// True in so many of a thousand times.
    pub(crate) fn per_mille(&mut self, share: u32) -> bool {
        self.0.u32(0..1000) < share
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.0.usize(0..from.len())]
    }

    pub(crate) fn number(&mut self, below: usize) -> usize {
        self.0.usize(0..below)
    }

    /// A length of time up to `longest`: half of them equally likely, half by powers of two, so
    /// that short ones come as often as long ones.
    pub(crate) fn time(&mut self, longest: Duration) -> Duration {
        let millis = u64::try_from(longest.as_millis()).unwrap();
        if self.0.bool() {
            return Duration::from_millis(self.0.u64(0..=millis));
        }
        let bits = self.0.u32(0..=millis.max(1).ilog2());
        Duration::from_millis(self.0.u64(0..=(1 << bits)).min(millis))
    }
}
