//! Cleaning of outside texts for a terminal, a log, a status file and a page.

use golive::marketplace::{clean_line, plain_text};

/// The most characters of a cleaned text.
const MAX_LINE: usize = 2_000;

pub fn text(data: &[u8]) {
    let raw = String::from_utf8_lossy(data);
    let line = clean_line(&raw);
    assert_clean(&line);
    assert!(line.chars().count() <= MAX_LINE, "{line:?}");
    assert_eq!(clean_line(&line), line, "cleaning twice is cleaning once");

    let plain = plain_text(&raw);
    assert_clean(&plain);
    assert!(plain.chars().count() <= MAX_LINE, "{plain:?}");
    assert_eq!(clean_line(&plain), plain, "plain text is a clean line");
    assert!(!has_tag(&plain), "{plain:?} has a tag in it");
}

/// Fails unless a text is harmless as one line: nothing in it moves a cursor, is invisible, or changes
/// the writing direction.
pub(super) fn assert_clean(text: &str) {
    let bad = text.chars().find(|c| is_control(*c) || is_bidi(*c) || is_invisible(*c));
    assert_eq!(bad, None, "in {text:?}");
}

/// Control characters and line terminators.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Unicode's `Bidi_Control`.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Invisible characters, which can split a word or carry a hidden text.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// Whether an HTML parser would see a tag, a comment or a declaration.
fn has_tag(text: &str) -> bool {
    text.as_bytes()
        .windows(2)
        .any(|pair| pair[0] == b'<' && (pair[1].is_ascii_alphabetic() || b"/!?".contains(&pair[1])))
}
