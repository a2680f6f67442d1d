//! When a read is asked again.

use std::time::Duration;

/// How often, how long and with which pauses a read is repeated. Changes are never repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The most times one read is sent, the first time included.
    pub tries: u32,
    /// The most times a read is sent whose answers are broken: no JSON, or without end.
    pub broken_tries: u32,
    /// The upper bound of the first pause; it doubles with each attempt.
    pub base: Duration,
    /// The upper bound of any pause.
    pub cap: Duration,
    /// From its first attempt on, a read is not decided to be asked again later than this. Pauses that
    /// the marketplace asks for don't count. What is decided may still stand in line.
    pub budget: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            tries: 5,
            broken_tries: 3,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(30),
            budget: Duration::from_mins(5),
        }
    }
}

/// The pause before attempt `attempt + 1`, counted from 1: any length up to `base · 2^(attempt-1)`
/// and up to `cap`, all equally likely ("full jitter"), so that many clients do not return at once.
#[must_use]
pub fn full_jitter(policy: &RetryPolicy, attempt: u32, rng: &mut fastrand::Rng) -> Duration {
    let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
    let bound = policy.base.saturating_mul(doubled).min(policy.cap);
    let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(rng.u64(0..=nanos))
}

/// Whether a read that was answered so is worth another try.
pub(super) fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
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
            let policy = RetryPolicy {
                base: Duration::from_millis(base),
                cap: Duration::from_millis(cap),
                ..RetryPolicy::default()
            };
            let pause = || full_jitter(&policy, attempt, &mut fastrand::Rng::with_seed(seed));
            prop_assert!(pause() <= policy.cap);
            prop_assert_eq!(pause(), pause());
            if attempt <= 1 {
                prop_assert!(pause() <= policy.base);
            }
        }
    }

    #[test]
    fn pauses_grow_and_fill_their_range() {
        let policy = RetryPolicy::default();
        let mut rng = fastrand::Rng::with_seed(7);
        for (attempt, bound) in [(1, 500), (2, 1_000), (3, 2_000), (7, 30_000), (99, 30_000)] {
            let bound = Duration::from_millis(bound);
            let pauses: Vec<_> =
                (0..1_000).map(|_| full_jitter(&policy, attempt, &mut rng)).collect();
            assert!(pauses.iter().all(|pause| *pause <= bound));
            assert!(pauses.iter().any(|pause| *pause > bound.mul_f32(0.9)));
            assert!(pauses.iter().any(|pause| *pause < bound.mul_f32(0.1)));
        }
    }
}
