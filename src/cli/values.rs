//! How the values of flags are written. The configuration's are written alike.

use std::net::SocketAddr;
use std::time::Duration;

/// The longest duration of the command line, a year of 365 days: added to a time, it can't overflow.
pub const MAX_DURATION: Duration = Duration::from_hours(365 * 24);

/// Reads a duration of the command line: `90s`, `5m`, `2h` or `1h30m`, at most [`MAX_DURATION`].
/// The error is a sentence for people.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration; write 90s, 5m, 2h or 1h30m");
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    let parsed = Duration::try_from(parsed).map_err(|_| wrong())?;
    if parsed > MAX_DURATION {
        return Err(format!("{text:?} is too long; give at most 8760h, which is a year"));
    }
    Ok(parsed)
}

pub(crate) fn positive_duration(text: &str) -> Result<Duration, String> {
    duration_of_at_least(text, Duration::from_nanos(1), "1ms")
}

/// An interval between requests to a marketplace or a repository, which shorter ones would burden.
pub(crate) fn request_interval(text: &str) -> Result<Duration, String> {
    duration_of_at_least(text, Duration::from_secs(1), "1s")
}

fn duration_of_at_least(text: &str, least: Duration, hint: &str) -> Result<Duration, String> {
    let parsed = duration(text)?;
    if parsed < least {
        return Err(format!("{text:?} is too short; give at least {hint}"));
    }
    Ok(parsed)
}

/// An address to listen on. A port alone is on 127.0.0.1.
pub(super) fn listen(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix(':').unwrap_or(text).parse().ok();
    let local = port.map(|port: u16| SocketAddr::from(([127, 0, 0, 1], port)));
    local.or_else(|| text.parse().ok()).ok_or_else(|| {
        format!("{text:?} isn't an address to listen on; write 127.0.0.1:9464, [::1]:9464 or 9464")
    })
}

pub(crate) fn concurrency(text: &str) -> Result<usize, String> {
    let parsed: Option<usize> = text.parse().ok();
    parsed
        .filter(|count| (1..=1024).contains(count))
        .ok_or_else(|| format!("{text:?} is not a number from 1 to 1024"))
}

pub(super) fn selector(text: &str) -> Result<(String, String), String> {
    let parsed = text.split_once('=').filter(|(key, _)| !key.is_empty());
    let (key, value) = parsed.ok_or_else(|| format!("{text:?} is not of the form key=value"))?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_with_units() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_mins(90)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for wrong in ["", "90", "-5m", "soon", "1 fortnight", "99999999999999999999h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(duration("8760h"), Ok(MAX_DURATION));
        assert!(duration("8760h1s").unwrap_err().contains("at most 8760h"));
    }

    #[test]
    fn a_port_alone_is_one_of_this_machine() {
        for local in ["9464", ":9464", "127.0.0.1:9464"] {
            assert_eq!(listen(local).unwrap().to_string(), "127.0.0.1:9464");
        }
        assert_eq!(listen("[::]:0").unwrap().to_string(), "[::]:0");
        for wrong in ["", "localhost:1", "1.2.3.4", "99999"] {
            assert!(listen(wrong).unwrap_err().contains("127.0.0.1:9464"), "{wrong}");
        }
    }

    #[test]
    fn a_selector_has_a_key() {
        assert_eq!(selector("team=compute"), Ok(("team".to_owned(), "compute".to_owned())));
        assert_eq!(selector("team="), Ok(("team".to_owned(), String::new())));
        assert!(selector("team").is_err() && selector("=x").is_err());
    }
}
