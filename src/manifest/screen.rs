//! The checks before any parser runs, in one pass over the bytes.
//!
//! libyaml (under `serde_yaml`) takes quadratic time for `[[[…` and for `%TAG` lines, and doesn't bound
//! what aliases expand to. A file that could do that is *unusual*: the tree reader, which has bounds,
//! must accept it first. Files that people write are not unusual, and are parsed once.

use super::characters;

/// A document with more brackets could be nested deeply.
const MANY_BRACKETS: u32 = 48;
/// A line with more indentation could be nested deeply.
/// One column opens at most two levels (a mapping, and a list in it at the same column).
const WIDE_INDENT: u32 = 24;

/// The result of [`screen`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Screened {
    /// Byte offset of the first character that no manifest may have.
    pub(super) forbidden: Option<usize>,
    /// Whether the tree reader must accept the text before `serde_yaml` reads it.
    pub(super) unusual: bool,
}

pub(super) fn screen(text: &str) -> Screened {
    let bytes = text.as_bytes();
    let (mut brackets, mut indent, mut indenting) = (0_u32, 0_u32, true);
    let (mut anchors, mut aliases, mut unusual) = (false, false, false);
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            b'\n' | b'\r' => (indent, indenting) = (0, true),
            b' ' | b'\t' | b'-' | b'?' | b':' if indenting => {
                indent += 1;
                unusual |= indent > WIDE_INDENT;
                if indent == 1 && starts_document(&bytes[index..]) {
                    brackets = 0;
                }
            }
            b'[' | b'{' => {
                (brackets, indenting) = (brackets + 1, false);
                unusual |= brackets > MANY_BRACKETS;
            }
            b'%' => {
                unusual |= indenting && indent == 0;
                indenting = false;
            }
            b'&' => (anchors, indenting) = (true, false),
            b'*' => (aliases, indenting) = (true, false),
            b'\t' | b' '..=b'~' => indenting = false,
            0..=0x1f | 0x7f | 0xc0..=0xff if is_forbidden(text, index) => {
                return Screened { forbidden: Some(index), unusual };
            }
            0..=0x1f | 0x7f..=0xff => indenting = false,
        }
    }
    Screened { forbidden: None, unusual: unusual || (anchors && aliases) }
}

fn starts_document(rest: &[u8]) -> bool {
    rest.strip_prefix(b"---").is_some_and(|rest| rest.first().is_none_or(u8::is_ascii_whitespace))
}

/// Invisible characters, and those that libyaml takes for a line break and YAML 1.2 doesn't (U+0085,
/// U+2028, U+2029): with them, people don't read what golive reads.
fn is_forbidden(text: &str, index: usize) -> bool {
    let c = text.get(index..).and_then(|rest| rest.chars().next());
    c.is_some_and(characters::is_forbidden)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unusual(text: &str) -> bool {
        screen(text).unusual
    }

    #[test]
    fn an_ordinary_manifest_is_not_unusual() {
        let document =
            "---\n# a & b: [x] 100 %\npublisher: contoso\nafter: [a/b]\nlabels: {a: b}\n";
        assert!(!unusual(&document.repeat(1000)));
        assert_eq!(screen("a: é\r\n\tb").forbidden, None);
    }

    #[test]
    fn a_deep_or_expanding_text_is_unusual() {
        assert!(unusual(&"[".repeat(100)));
        assert!(unusual(&"[\n---x\n".repeat(100)));
        assert!(unusual(&"- ".repeat(100)));
        assert!(unusual(&format!("a:\n{}b", " ".repeat(60))));
        assert!(unusual("%TAG ! a"));
        assert!(unusual("a: &a b\nc: *a"));
    }

    #[test]
    fn invisible_characters_are_found() {
        for c in [
            '\0',
            '\u{7}',
            '\u{1b}',
            '\u{7f}',
            '\u{85}',
            '\u{9b}',
            '\u{2028}',
            '\u{feff}',
            '\u{ffff}',
            '\u{ad}',
            '\u{200b}',
            '\u{202e}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{e0041}',
        ] {
            assert_eq!(screen(&format!("aé {c}")).forbidden, Some(4), "{c:?}");
            assert_eq!(screen(&format!("# é{c}\na: b")).forbidden, Some(4), "{c:?}");
        }
        assert_eq!(screen("# 見\u{3000}«\u{a0}é\u{a0}» \u{1f680}").forbidden, None);
    }
}
