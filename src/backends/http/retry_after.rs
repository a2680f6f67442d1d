//! `Retry-After`, in both of its forms (RFC 9110, section 10.2.3).

use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;
use jiff::Timestamp;

use crate::marketplace::MAX_RETRY_AFTER;

/// The wait that the answer asks for at `now`: seconds, or the time until a date (zero if it is
/// past). At most [`MAX_RETRY_AFTER`]; a value of neither form counts as absent.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs)
    } else {
        let date = Timestamp::try_from(httpdate::parse_http_date(text).ok()?).ok()?;
        Duration::try_from(date.duration_since(now)).unwrap_or_default()
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wait(text: &[u8]) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, http::HeaderValue::from_bytes(text).ok()?);
        retry_after(&headers, "2026-12-01T09:00:00.5Z".parse().unwrap())
    }

    #[test]
    fn both_forms_are_read() {
        let seconds = |n| Some(Duration::from_secs(n));
        for (text, expected) in [
            ("0", seconds(0)),
            (" 120 ", seconds(120)),
            ("3601", seconds(3600)),
            ("99999999999999999999999", seconds(3600)),
            ("Tue, 01 Dec 2026 09:00:30 GMT", Some(Duration::from_millis(29_500))),
            ("Tue, 01 Dec 2026 08:00:00 GMT", seconds(0)),
            ("Tuesday, 01-Dec-26 09:01:00 GMT", Some(Duration::from_millis(59_500))),
            ("Fri, 01 Jan 2100 00:00:00 GMT", seconds(3600)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("1 2", None),
            ("soon", None),
            ("Tue, 99 Dec 2026 09:00:30 GMT", None),
        ] {
            assert_eq!(wait(text.as_bytes()), expected, "{text:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), Timestamp::MIN), None);
    }

    proptest! {
        #[test]
        fn nothing_panics_and_the_bound_holds(
            text in prop_oneof!["[0-9]{0,30}", "[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} .{0,12}"],
        ) {
            prop_assert!(wait(text.as_bytes()).unwrap_or_default() <= MAX_RETRY_AFTER);
        }
    }
}
