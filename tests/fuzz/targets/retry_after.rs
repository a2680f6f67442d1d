//! `Retry-After`: seconds, or a date in one of three forms.

use std::time::Duration;

use golive::backends::http::retry_after as read;
use golive::marketplace::MAX_RETRY_AFTER;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue};
use jiff::{SignedDuration, Timestamp};

/// The moment of every answer here.
const NOW: i64 = 1_796_115_600;

/// The three date formats of RFC 9110: IMF-fixdate, RFC 850, and C's `asctime`.
const DATES: [&str; 3] =
    ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %T %Y"];

pub fn retry_after(data: &[u8]) {
    let told = wait(data);
    assert!(told.unwrap_or_default() <= MAX_RETRY_AFTER, "{told:?}");
    let Ok(text) = str::from_utf8(data) else { return };
    if !text.is_empty() && text.len() < 18 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds: u64 = text.parse().expect("eighteen digits fit");
        let expected = Duration::from_secs(seconds).min(MAX_RETRY_AFTER);
        assert_eq!(told, Some(expected), "{text:?}");
        // The same number as a date.
        dates(i64::try_from(seconds).expect("eighteen digits fit"));
    }
}

/// Each date format means the same wait.
fn dates(number: i64) {
    // 1970 to 2069: a date of RFC 850 has a two-digit year.
    let moment = Timestamp::from_second(number % 3_155_760_000).expect("within a century");
    let ahead = moment.as_second().saturating_sub(NOW);
    let expected = Duration::from_secs(u64::try_from(ahead).unwrap_or(0)).min(MAX_RETRY_AFTER);
    for format in DATES {
        let date = moment.strftime(format).to_string();
        assert_eq!(wait(date.as_bytes()), Some(expected), "{date}");
    }
}

fn wait(value: &[u8]) -> Option<Duration> {
    let mut headers = HeaderMap::new();
    headers.insert(RETRY_AFTER, HeaderValue::from_bytes(value).ok()?);
    read(&headers, Timestamp::UNIX_EPOCH + SignedDuration::from_secs(NOW))
}
