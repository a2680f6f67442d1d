//! Times and durations in words. `assets/page.js` keeps the words current by the same rules.

use jiff::Timestamp;
use maud::{Markup, html};

/// How a moment is tense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tense {
    /// It is past: `3 min ago`.
    Ago,
    /// It is ahead: `in 3 min`.
    Ahead,
    /// Something has lasted since then: `3 min`.
    Since,
}

impl Tense {
    /// The value of `data-t`, which the script reads.
    fn as_str(self) -> &'static str {
        match self {
            Self::Ago => "ago",
            Self::Ahead => "in",
            Self::Since => "for",
        }
    }

    fn words(self, seconds: i64) -> String {
        match self {
            Self::Ago if seconds < 60 => "just now".to_owned(),
            Self::Ago => format!("{} ago", span(seconds)),
            Self::Ahead if seconds > 0 => "now".to_owned(),
            Self::Ahead if seconds > -60 => "within a minute".to_owned(),
            Self::Ahead => format!("in {}", span(-seconds)),
            Self::Since if seconds < 60 => "under a minute".to_owned(),
            Self::Since => span(seconds),
        }
    }
}

/// A time relative to now; its tooltip is the time itself, in UTC.
pub(super) fn time(at: Timestamp, now: Timestamp, tense: Tense) -> Markup {
    let seconds = now.as_second().saturating_sub(at.as_second());
    html! {
        time data-t=(tense.as_str()) datetime=(format!("{at:.0}")) title=(utc(at)) {
            (tense.words(seconds))
        }
    }
}

/// The time between two moments, in words.
pub(super) fn between(from: Timestamp, to: Timestamp) -> String {
    Tense::Since.words(to.as_second().saturating_sub(from.as_second()))
}

pub(super) fn utc(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A minute or more, by its two largest units.
fn span(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let two = |one: i64, unit: &str, two: i64, rest: &str| match two {
        0 => format!("{one} {unit}"),
        two => format!("{one} {unit} {two} {rest}"),
    };
    match (days, hours) {
        (0, 0) => format!("{minutes} min"),
        (0, hours) => two(hours, "h", minutes % 60, "min"),
        (days, hours) => two(days, "d", hours % 24, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_words() {
        for (tense, seconds, words) in [
            (Tense::Ago, -5, "just now"),
            (Tense::Ago, 59, "just now"),
            (Tense::Ago, 60, "1 min ago"),
            (Tense::Ago, 7_260, "2 h 1 min ago"),
            (Tense::Ago, 86_400 * 3, "3 d ago"),
            (Tense::Ahead, 1, "now"),
            (Tense::Ahead, 0, "within a minute"),
            (Tense::Ahead, -3_600, "in 1 h"),
            (Tense::Since, 90_000, "1 d 1 h"),
        ] {
            assert_eq!(tense.words(seconds), words, "{tense:?} {seconds}");
        }
    }

    #[test]
    fn the_tooltip_is_the_exact_time() {
        let at = "2026-11-01T09:00:00.5Z".parse().unwrap();
        let now = "2026-11-01T09:12:00Z".parse().unwrap();
        assert_eq!(
            time(at, now, Tense::Ago).into_string(),
            "<time data-t=\"ago\" datetime=\"2026-11-01T09:00:00Z\" \
             title=\"2026-11-01 09:00:00 UTC\">12 min ago</time>"
        );
        time(Timestamp::MAX, Timestamp::MIN, Tense::Ago);
    }
}
