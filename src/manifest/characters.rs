//! The characters that a manifest may not have, and names for those that are invisible or easily
//! mistaken for others.

use crate::marketplace::is_invisible;

/// Whether a character is forbidden in manifests, even as an escape (`"\u2028"`): it is
/// invisible, or a line break to some programs only.
pub(super) fn is_forbidden(c: char) -> bool {
    is_invisible(c) || matches!(c, '\u{2028}' | '\u{2029}')
}

/// A character that is safe to show on a terminal: nothing that moves, colours, hides or reorders.
pub(super) fn harmless(c: char) -> char {
    match c {
        '\t' => ' ',
        c if is_forbidden(c) => '\u{fffd}',
        c => c,
    }
}

/// A forbidden character in words, for an error.
pub(super) fn forbidden(c: char) -> String {
    let kind = if matches!(c, '\t' | '\n' | '\r') { "control" } else { "invisible" };
    format!("the {kind} character {}", named(c))
}

/// A character's code and name: `U+00A0 (no-break space)`.
pub(super) fn named(c: char) -> String {
    let code = u32::from(c);
    match name(c) {
        Some(name) => format!("U+{code:04X} ({name})"),
        None => format!("U+{code:04X}"),
    }
}

/// Whether a character is a space to people, but text to YAML.
pub(super) fn is_lookalike_space(c: char) -> bool {
    c.is_whitespace() && !c.is_ascii()
}

/// The first character of a text that is not ASCII, in words.
pub(super) fn first_foreign(text: &str) -> Option<String> {
    let c = text.chars().find(|c| !c.is_ascii())?;
    Some(format!("{c:?} is {}", named(c)))
}

/// The Unicode name, in lower case, of a character that is common in manifests by mistake. Others are
/// shown by their code alone: a table of all names would be larger than golive's code.
fn name(c: char) -> Option<&'static str> {
    const NAMES: [(char, &str); 63] = [
        ('\0', "null"),
        ('\u{7}', "bell"),
        ('\u{8}', "backspace"),
        ('\t', "tab"),
        ('\n', "line feed"),
        ('\u{b}', "vertical tab"),
        ('\u{c}', "form feed"),
        ('\r', "carriage return"),
        ('\u{1b}', "escape"),
        ('\u{7f}', "delete"),
        ('\u{85}', "next line"),
        ('\u{a0}', "no-break space"),
        ('\u{ad}', "soft hyphen"),
        ('\u{34f}', "combining grapheme joiner"),
        ('\u{61c}', "Arabic letter mark"),
        ('\u{115f}', "Hangul choseong filler"),
        ('\u{1160}', "Hangul jungseong filler"),
        ('\u{180e}', "Mongolian vowel separator"),
        ('\u{2002}', "en space"),
        ('\u{2003}', "em space"),
        ('\u{2007}', "figure space"),
        ('\u{2008}', "punctuation space"),
        ('\u{2009}', "thin space"),
        ('\u{200a}', "hair space"),
        ('\u{200b}', "zero width space"),
        ('\u{200c}', "zero width non-joiner"),
        ('\u{200d}', "zero width joiner"),
        ('\u{200e}', "left-to-right mark"),
        ('\u{200f}', "right-to-left mark"),
        ('\u{2010}', "hyphen"),
        ('\u{2011}', "non-breaking hyphen"),
        ('\u{2012}', "figure dash"),
        ('\u{2013}', "en dash"),
        ('\u{2014}', "em dash"),
        ('\u{2018}', "left single quotation mark"),
        ('\u{2019}', "right single quotation mark"),
        ('\u{201a}', "single low-9 quotation mark"),
        ('\u{201c}', "left double quotation mark"),
        ('\u{201d}', "right double quotation mark"),
        ('\u{201e}', "double low-9 quotation mark"),
        ('\u{2028}', "line separator"),
        ('\u{2029}', "paragraph separator"),
        ('\u{202a}', "left-to-right embedding"),
        ('\u{202b}', "right-to-left embedding"),
        ('\u{202c}', "pop directional formatting"),
        ('\u{202d}', "left-to-right override"),
        ('\u{202e}', "right-to-left override"),
        ('\u{202f}', "narrow no-break space"),
        ('\u{205f}', "medium mathematical space"),
        ('\u{2060}', "word joiner"),
        ('\u{2066}', "left-to-right isolate"),
        ('\u{2067}', "right-to-left isolate"),
        ('\u{2068}', "first strong isolate"),
        ('\u{2069}', "pop directional isolate"),
        ('\u{2212}', "minus sign"),
        ('\u{2236}', "ratio"),
        ('\u{3000}', "ideographic space"),
        ('\u{3164}', "Hangul filler"),
        ('\u{fe0e}', "variation selector-15"),
        ('\u{fe0f}', "variation selector-16"),
        ('\u{feff}', "zero width no-break space, or byte order mark"),
        ('\u{ff0d}', "fullwidth hyphen-minus"),
        ('\u{ff1a}', "fullwidth colon"),
    ];
    let found = NAMES.binary_search_by_key(&c, |(known, _)| *known).ok()?;
    NAMES.get(found).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_named() {
        assert_eq!(named('\0'), "U+0000 (null)");
        assert_eq!(named('\u{a0}'), "U+00A0 (no-break space)");
        assert_eq!(named('\u{ff1a}'), "U+FF1A (fullwidth colon)");
        assert_eq!(named('é'), "U+00E9");
        assert_eq!(first_foreign("lіve").as_deref(), Some("'і' is U+0456"));
        assert!("\u{a0}\u{1680}\u{2007}\u{202f}\u{3000}".chars().all(is_lookalike_space));
        assert!(!" \t\n\u{feff}".chars().any(is_lookalike_space));
    }
}
