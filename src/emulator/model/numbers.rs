//! How releases and publishings are numbered.

use super::Offer;
use crate::emulator::ids::bytes_of;
use crate::emulator::seed::Kind;
use crate::emulator::seed::answers::Numbers;

/// Below the first number of the large space. Numbers of this size were seen in 2022.
const FIRST_NUMBER: u64 = 1_252_868_275;
/// What the space of its own begins with: beyond 2^53, so that whoever reads it as a double is
/// found out.
const APART: u64 = 636_576_975_611_768_314;
/// How far apart releases are that the seed has no number for.
const STRIDE: u64 = 13;

impl Numbers {
    /// The number of a release that the seed doesn't number: the n-th of that offer, after the
    /// one given. It follows from the offer's name: the same in every run.
    pub(crate) fn invent(self, name: &str, nth: u64, after: Option<u64>) -> u64 {
        let next = after.map_or(1, |after| after.saturating_add(1));
        match self {
            Self::Small => next,
            Self::One | Self::Apart => {
                let [one, two, three, ..] = bytes_of(&format!("number {name}"));
                let place = u64::from(u32::from_be_bytes([0, one, two, three]));
                next.max(FIRST_NUMBER + place * 4 * STRIDE + nth * STRIDE)
            }
        }
    }

    /// The number of the next publish, where `last` is the last number of the large space.
    pub(crate) fn next(self, offer: &Offer, last: u64) -> u64 {
        match self {
            Self::Small => offer.next_small_version(),
            Self::One | Self::Apart => last.max(FIRST_NUMBER).saturating_add(STRIDE),
        }
    }

    /// The publishing version of an operation: the `number`-th of its offer, on a release.
    pub(crate) fn publishing(self, kind: Kind, number: u64, version: u64) -> u64 {
        /// Odd and beyond 2^53, as [`APART`] is.
        const FIRST_GOLIVE: u64 = (1 << 53) + 1;
        match (self, kind) {
            (Self::One, _) => version,
            (Self::Apart, _) => APART.saturating_add(version),
            (Self::Small, Kind::Publish) => 1000 + number,
            (Self::Small, Kind::GoLive) => FIRST_GOLIVE + 2 * number,
        }
    }
}
