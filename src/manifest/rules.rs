//! What each value of a manifest must look like; the only place that says so.
//!
//! Both readers use these functions, the fast one (`strict`) and the one that explains errors
//! (`explain`), so that they can't disagree about a value.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::characters::{first_foreign, forbidden, is_forbidden};
use super::desired_state::DesiredState;
use crate::marketplace::{IdError, OfferId, PublisherId, Version};

/// What is wrong with a value, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub(crate) struct Problem {
    pub(crate) what: String,
    pub(crate) hint: Option<String>,
}

impl Problem {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A text from a manifest for a message: quoted, escaped, and at most 60 characters.
pub(crate) fn quoted(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// The candidate that is most similar to `text`, if one is similar enough.
pub(super) fn nearest<'a>(
    text: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    /// Longer texts aren't typos, and the time to compare grows with the product of the lengths.
    const LONGEST: usize = 101;
    const LIKE: f64 = 0.6;
    if text.len() > LONGEST {
        return None;
    }
    let text = text.to_lowercase();
    let scored = candidates.into_iter().map(|candidate| {
        (strsim::normalized_damerau_levenshtein(&text, &candidate.to_lowercase()), candidate)
    });
    // The first of equals, so that the answer does not depend on the order of comparison.
    let best = scored.fold(None, |best: Option<(f64, &str)>, (score, candidate)| match best {
        Some((other, _)) if other >= score => best,
        Some(_) | None => Some((score, candidate)),
    });
    best.filter(|(score, _)| *score >= LIKE).map(|(_, candidate)| candidate)
}

fn did_you_mean(text: &str) -> String {
    format!("did you mean {text:?}?")
}

/// An unknown word where one of `known` is meant.
pub(crate) fn unknown(what: String, text: &str, known: &[&str]) -> Problem {
    let hint = match nearest(text, known.iter().copied()) {
        Some(known) => did_you_mean(known),
        None => format!("use one of: {}", known.join(", ")),
    };
    // A letter of another script may look the same.
    Problem::new(what).hint(match first_foreign(text) {
        Some(foreign) => format!("{hint} {foreign}"),
        None => hint,
    })
}

pub(crate) fn publisher(text: &str) -> Result<PublisherId, Problem> {
    PublisherId::new(text).map_err(|error| bad_id("publisher", text, &error))
}

pub(super) fn offer(text: &str) -> Result<String, Problem> {
    // The rules for both ids are the same.
    let checked = PublisherId::new(text).map(|id| id.as_str().to_owned());
    checked.map_err(|error| {
        let problem = bad_id("offer", text, &error);
        match text.split_once('/') {
            Some((_, offer)) if PublisherId::new(offer).is_ok() => problem
                .hint(format!("the publisher has a field of its own; here write only {offer:?}")),
            Some(_) | None => problem,
        }
    })
}

fn bad_id(field: &str, text: &str, error: &IdError) -> Problem {
    let hint = first_foreign(text);
    let what = format!("{} isn't a valid {field} id: {error}", quoted(text));
    Problem { what, hint }
}

pub(super) fn state(text: &str) -> Result<DesiredState, Problem> {
    let known = DesiredState::ALL.map(DesiredState::as_str);
    let found = DesiredState::ALL.into_iter().find(|state| state.as_str() == text);
    found.ok_or_else(|| unknown(format!("unknown state {}", quoted(text)), text, &known))
}

pub(super) fn version(number: u64) -> Result<Version, Problem> {
    if number == 0 {
        return Err(Problem::new("a version is at least 1"));
    }
    Ok(Version(number))
}

pub(super) fn not_before(text: &str) -> Result<Timestamp, Problem> {
    const EXAMPLE: &str = "2030-01-31T09:00:00Z";
    let problem = |hint: String| {
        Problem::new(format!("{} isn't a valid RFC 3339 timestamp", quoted(text))).hint(hint)
    };
    let Some(Shape { zone, digits }) = Shape::of(text) else {
        let with_zone = format!("{text}Z");
        let whole_day = format!("{text}T00:00:00Z");
        return Err(if Shape::of(&with_zone).is_some() {
            problem(format!("say which time zone: {with_zone} is UTC"))
        } else if Shape::of(&whole_day).is_some() {
            problem(format!("say at what time: {whole_day} is midnight UTC"))
        } else {
            problem(format!("write it like {EXAMPLE}"))
        });
    };
    if digits > MOST_DIGITS {
        return Err(problem(format!(
            "write at most {MOST_DIGITS} digits behind the second's point"
        )));
    }
    if zone.get(1..3) > Some("23") || zone.get(4..) > Some("59") {
        return Err(problem("an offset from UTC is at most 23:59".to_owned()));
    }
    let is_leap = text.get(17..19) == Some("60");
    let fits = |moment: &Timestamp| {
        // jiff reads a leap second as the second before it. There are some only at the end of a day.
        let time = moment.to_zoned(TimeZone::UTC).time();
        !is_leap || (time.hour(), time.minute()) == (23, 59)
    };
    match text.parse::<Timestamp>() {
        Ok(moment) if text.get(11..13) <= Some("23") && fits(&moment) => Ok(moment),
        Ok(_) => Err(problem("there is no such time of day".to_owned())),
        Err(_) if text.get(..19).is_some_and(|text| text.parse::<DateTime>().is_ok()) => {
            let latest = Timestamp::from_second(Timestamp::MAX.as_second());
            let latest = latest.map_or(String::new(), |latest| format!(" the latest is {latest};"));
            Err(Problem::new(format!("{} is too far away", quoted(text)))
                .hint(format!("{} to hold the offer for ever, write suspend: true", latest.trim())))
        }
        Err(_) => Err(problem("there is no such date or time".to_owned())),
    }
}

/// A timestamp keeps nanoseconds.
const MOST_DIGITS: usize = 9;

/// The parts of a text in the form of RFC 3339. jiff accepts more forms, which the schema for editors
/// doesn't.
struct Shape<'a> {
    /// `Z`, or an offset like `+01:00`.
    zone: &'a str,
    /// The number of digits of the fraction of a second.
    digits: usize,
}

impl<'a> Shape<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let fits = |text: &str, shape: &[u8]| {
            text.len() == shape.len()
                && text.bytes().zip(shape).all(|(byte, shape)| match shape {
                    b'0' => byte.is_ascii_digit(),
                    b'T' => byte.eq_ignore_ascii_case(&b'T'),
                    b'+' => matches!(byte, b'+' | b'-'),
                    other => byte == *other,
                })
        };
        let (date_and_time, rest) = text.split_at_checked(19)?;
        let fraction = rest.strip_prefix('.');
        let zone = fraction.map_or(rest, |it| it.trim_start_matches(|c: char| c.is_ascii_digit()));
        let digits = fraction.map_or(0, |fraction| fraction.len() - zone.len());
        let is_zone = matches!(zone, "Z" | "z") || fits(zone, b"+00:00");
        (fits(date_and_time, b"0000-00-00T00:00:00")
            && is_zone
            && (fraction.is_none() || digits > 0))
            .then_some(Self { zone, digits })
    }
}

pub(super) fn offer_id(text: &str) -> Result<OfferId, Problem> {
    text.parse().map_err(|error| bad_id("offer", text, &error))
}

/// Checks an e-mail address. Addresses are sent in one field, separated by commas: a comma or a line
/// break in one would add a recipient.
pub(super) fn email(text: &str) -> Result<String, Problem> {
    const LONGEST: usize = 254;
    let problem =
        |why: &str| Problem::new(format!("{} isn't a valid e-mail address: {why}", quoted(text)));
    if let Some(bad) =
        text.chars().find(|c| c.is_whitespace() || is_forbidden(*c) || ",;<>\"".contains(*c))
    {
        let problem = problem(&format!("{bad:?} is not allowed"));
        return Err(if ",; ".contains(bad) && text.matches('@').count() > 1 {
            problem.hint("write each address as an item of its own: [a@example.com, b@example.com]")
        } else {
            problem
        });
    }
    match text.split_once('@') {
        None => Err(problem("it has no \"@\"")),
        Some((_, domain)) if domain.contains('@') => Err(problem("it has more than one \"@\"")),
        Some(("", _)) => Err(problem("nothing stands before the \"@\"")),
        Some((_, "")) => Err(problem("nothing stands after the \"@\"")),
        Some(_) if text.len() > LONGEST => Err(problem("it is too long")),
        Some(_) => Ok(text.to_owned()),
    }
}

pub(super) fn label_key(text: &str) -> Result<String, Problem> {
    let problem = |why: &str| Problem::new(format!("{} isn't a valid label: {why}", quoted(text)));
    if text == MERGE_KEY {
        return Err(merge_key());
    }
    if text.is_empty() {
        return Err(problem("a label must have a name"));
    }
    let bad = |c: &char| c.is_whitespace() || is_forbidden(*c) || "=,!".contains(*c);
    match text.chars().find(bad) {
        Some(bad) => Err(problem(&format!("{bad:?} is not allowed in its name"))
            .hint("--selector is written name=value,name=value")),
        None => Ok(text.to_owned()),
    }
}

pub(super) fn label_value(text: &str) -> Result<String, Problem> {
    let problem =
        |why: &str| Problem::new(format!("{} isn't a valid label value: {why}", quoted(text)));
    match text.chars().find(|c| is_forbidden(*c) || *c == ',') {
        Some(',') => {
            Err(problem("',' is not allowed").hint("--selector is written name=value,name=value"))
        }
        Some(bad) => Err(problem(&format!("{} is not allowed", forbidden(bad)))),
        None if text.trim() != text => Err(problem("it begins or ends with a space")),
        None => Ok(text.to_owned()),
    }
}

/// YAML 1.1 merged mappings by this key; YAML 1.2 does not.
pub(super) const MERGE_KEY: &str = "<<";

pub(super) fn merge_key() -> Problem {
    Problem::new(format!("unknown field {MERGE_KEY:?}"))
        .hint("merge keys are not part of YAML 1.2: write the fields out, or alias single values")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_timestamp_gets_a_hint() {
        let hint = |text: &str| not_before(text).unwrap_err().hint.unwrap();
        assert!(hint("2030-01-01T09:00:00").contains("2030-01-01T09:00:00Z is UTC"));
        assert!(hint("2030-01-01").contains("2030-01-01T00:00:00Z is midnight"));
        assert!(hint("tomorrow").contains("write it like"));
        assert!(hint("2030-02-30T09:00:00Z").contains("no such date"));
        for no in [
            "2030-01-01T09Z",
            "2030-01-01 09:00:00Z",
            "20300101T090000Z",
            "+002030-01-01T09:00:00Z",
            "2030-01-01T09:00:00Z[UTC]",
            "2030-01-01T09:00:00.Z",
            "2030-01-01T09:00:00+0100",
            "",
        ] {
            assert!(not_before(no).is_err(), "{no}");
        }
        for yes in ["2030-01-01T09:00:00Z", "2030-01-01t09:00:00z", "2030-01-01T09:00:00.123+01:00"]
        {
            assert!(not_before(yes).is_ok(), "{yes}");
        }
    }

    #[test]
    fn an_impossible_time_gets_a_reason() {
        let told = |text: &str| {
            let Problem { what, hint } = not_before(text).unwrap_err();
            format!("{what}: {}", hint.unwrap())
        };
        for far in
            ["9999-12-31T23:59:59Z", "9999-12-31t23:59:59.9999999z", "9999-12-31T23:59:59-12:00"]
        {
            assert_eq!(
                told(far),
                format!(
                    "\"{far}\" is too far away: the latest is 9999-12-30T22:00:00Z; \
                     to hold the offer for ever, write suspend: true"
                )
            );
        }
        for (no, why) in [
            ("2030-01-01T09:00:00+24:00", "an offset from UTC is at most 23:59"),
            ("2030-01-01T09:00:00-01:60", "an offset from UTC is at most 23:59"),
            ("2030-01-01T24:00:00Z", "there is no such date or time"),
            ("2030-01-01T09:00:60Z", "there is no such time of day"),
            ("2030-01-01T09:00:61Z", "there is no such date or time"),
            ("2030-01-01T09:00:00.1234567891Z", "write at most 9 digits behind the second's point"),
            ("2030-13-01T09:00:00Z", "there is no such date or time"),
        ] {
            assert_eq!(told(no), format!("{no:?} isn't a valid RFC 3339 timestamp: {why}"));
        }
        for yes in [
            "9999-12-30T22:00:00Z",
            "0001-01-01T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "2016-12-31T23:59:60Z",
            "2017-01-01T00:59:60+01:00",
            "2030-01-01T09:00:00-00:00",
            "2030-01-01T09:00:00+23:59",
        ] {
            assert!(not_before(yes).is_ok(), "{yes}: {:?}", not_before(yes));
        }
    }

    #[test]
    fn an_invalid_address_gets_a_reason() {
        for no in [
            "",
            "a",
            "@",
            "a@",
            "@b",
            "a@b@c",
            "a b@c",
            "a@b,c@d",
            "a@b\r\nBcc: c@d",
            "<a@b>",
            "a@b;",
        ] {
            assert!(email(no).is_err(), "{no:?}");
        }
        assert!(email(&format!("a@{}", "b".repeat(300))).is_err());
        assert_eq!(email("release@example.com"), Ok("release@example.com".to_owned()));
        assert!(email("a@b.c, d@e.f").unwrap_err().hint.is_some());
    }

    #[test]
    fn labels_can_be_selected() {
        for no in ["", "a=b", "a,b", "a b", "!a", "a\n", "<<"] {
            assert!(label_key(no).is_err(), "{no:?}");
        }
        for no in
            ["a,b", "a\u{1b}", " a", "a\t", "a\u{202e}", "\u{3164}", "x\u{2028}y", "x\u{2029}y"]
        {
            assert!(label_value(no).is_err(), "{no:?}");
        }
        assert!(label_key("team.example/name").is_ok());
        assert!(
            label_value("").is_ok() && label_value("a=b").is_ok() && label_value("a b").is_ok()
        );
    }

    #[test]
    fn a_hostile_text_is_shown_escaped_and_short() {
        assert_eq!(quoted("\u{1b}[31m\u{202e}"), "\"\\u{1b}[31m\\u{202e}\"");
        assert!(quoted(&"x".repeat(1000)).len() < 70);
    }

    #[test]
    fn only_similar_names_are_suggested() {
        assert_eq!(nearest("stat", ["state", "suspend"]), Some("state"));
        assert_eq!(nearest("LIVE", ["live", "preview"]), Some("live"));
        assert_eq!(nearest("zzz", ["live", "preview"]), None);
        assert_eq!(nearest(&"live".repeat(100), ["live"]), None);
    }
}
