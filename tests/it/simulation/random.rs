//! Random numbers from one seed. Every draw has a label, so removing one changes no other: shrinking
//! a failure depends on it. Renaming a label changes what all seeds mean.

use std::hash::{Hash, Hasher};
use std::time::Duration;

/// The source of all randomness in one play.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RandomSource(u64);

impl RandomSource {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The generator for a label.
    pub(crate) fn of(self, name: impl Hash) -> Rng {
        let mut hasher = StableHasher(self.0);
        name.hash(&mut hasher);
        Rng(fastrand::Rng::with_seed(hasher.finish()))
    }
}

/// A hash that doesn't depend on the standard library's release or the machine, so that a seed stays
/// reproducible.
struct StableHasher(u64);

impl StableHasher {
    /// One round of `SplitMix64`.
    fn mix(&mut self, number: u64) {
        let mut mixed = (self.0 ^ number).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.0 = mixed ^ (mixed >> 31);
    }
}

impl Hasher for StableHasher {
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

/// The random numbers of one label.
pub(crate) struct Rng(pub(crate) fastrand::Rng);

impl Rng {
    /// True once in `times`; never for 0.
    pub(crate) fn one_in(&mut self, times: u32) -> bool {
        times > 0 && self.0.u32(0..times) == 0
    }

    /// True in `share` of a thousand cases.
    pub(crate) fn per_mille(&mut self, share: u32) -> bool {
        self.0.u32(0..1000) < share
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.0.usize(0..from.len())]
    }

    pub(crate) fn number(&mut self, below: usize) -> usize {
        self.0.usize(0..below)
    }

    /// A duration up to `longest`: half of the draws uniform, half log-uniform, so that short ones
    /// come as often as long ones.
    pub(crate) fn time(&mut self, longest: Duration) -> Duration {
        let millis = u64::try_from(longest.as_millis()).unwrap();
        if self.0.bool() {
            return Duration::from_millis(self.0.u64(0..=millis));
        }
        let bits = self.0.u32(0..=millis.max(1).ilog2());
        Duration::from_millis(self.0.u64(0..=(1 << bits)).min(millis))
    }
}
