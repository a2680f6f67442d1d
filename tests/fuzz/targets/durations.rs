//! Durations, as the command line takes them.

use golive::cli::{MAX_DURATION, duration};
use jiff::SignedDuration;

use super::text::assert_clean;

pub fn durations(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match duration(&text) {
        Ok(read) => {
            assert!(read <= MAX_DURATION, "{read:?}");
            let signed = SignedDuration::try_from(read).expect("it is bounded");
            // Both of jiff's forms: `1h 30m`, `PT1H30M`.
            for printed in [format!("{signed:#}"), signed.to_string()] {
                assert_eq!(duration(&printed), Ok(read), "{printed:?}");
            }
        }
        Err(why) => assert_clean(&why),
    }
}
