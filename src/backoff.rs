//! How long to wait before something is tried again.

use std::time::Duration;

/// Pauses between attempts: each may be twice as long as the one before, up to a cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The upper bound of the first pause.
    pub base: Duration,
    /// The upper bound of any pause.
    pub cap: Duration,
}

impl Backoff {
    /// The pause before attempt `attempt + 1`, counted from 1: any length up to
    /// `base · 2^(attempt-1)` and up to `cap`, all equally likely ("full jitter"), so that many
    /// clients do not return at once.
    #[must_use]
    pub fn pause(&self, attempt: u32, rng: &mut fastrand::Rng) -> Duration {
        let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
        let bound = self.base.saturating_mul(doubled).min(self.cap);
        let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(rng.u64(0..=nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_pause_is_bounded_and_depends_on_the_seed_only(
            attempt in any::<u32>(), seed in any::<u64>(), base in 0_u64..1 << 40, cap in any::<u64>(),
        ) {
            let backoff =
                Backoff { base: Duration::from_millis(base), cap: Duration::from_millis(cap) };
            let pause = || backoff.pause(attempt, &mut fastrand::Rng::with_seed(seed));
            prop_assert!(pause() <= backoff.cap);
            prop_assert_eq!(pause(), pause());
            if attempt <= 1 {
                prop_assert!(pause() <= backoff.base);
            }
        }
    }

    #[test]
    fn pauses_grow_and_fill_their_range() {
        let backoff = Backoff { base: Duration::from_millis(500), cap: Duration::from_secs(30) };
        let mut rng = fastrand::Rng::with_seed(7);
        for (attempt, bound) in [(1, 500), (2, 1_000), (3, 2_000), (7, 30_000), (99, 30_000)] {
            let bound = Duration::from_millis(bound);
            let pauses: Vec<_> = (0..1_000).map(|_| backoff.pause(attempt, &mut rng)).collect();
            assert!(pauses.iter().all(|pause| *pause <= bound));
            assert!(pauses.iter().any(|pause| *pause > bound.mul_f32(0.9)));
            assert!(pauses.iter().any(|pause| *pause < bound.mul_f32(0.1)));
        }
    }
}
