//! Replaces times and ids in outputs, which differ from run to run.

/// Replaces times by `[TIME]` and random ids by `[ID]`.
pub(crate) fn normalize(text: &str) -> String {
    const UUID: &str = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    const TIME: &str = "0000-00-00T00:00:00";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some(after) = after_match(rest, UUID) {
            out.push_str("[ID]");
            rest = after;
        } else if let Some(after) = after_match(rest, TIME) {
            let after = after.strip_prefix('.').map_or(after, |fraction| {
                fraction.trim_start_matches(|c: char| c.is_ascii_digit())
            });
            out.push_str("[TIME]");
            rest = after.strip_prefix('Z').unwrap_or(after);
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

/// The rest after a match of the template, where `0` is a digit and `x` a hex digit.
fn after_match<'a>(text: &'a str, template: &str) -> Option<&'a str> {
    let (head, after) = text.as_bytes().split_at_checked(template.len())?;
    let fits = head.iter().zip(template.bytes()).all(|(byte, shape)| match shape {
        b'0' => byte.is_ascii_digit(),
        b'x' => byte.is_ascii_hexdigit(),
        other => *byte == other,
    });
    fits.then(|| std::str::from_utf8(after).unwrap())
}

#[test]
fn only_times_and_ids_are_replaced() {
    let text = "é 2026-11-23T00:26:45.646Z 2026-11-23 04e3a99d-b53d-4d6b-b51d-f4099f0876fa 1,5";
    assert_eq!(normalize(text), "é [TIME] 2026-11-23 [ID] 1,5");
}
