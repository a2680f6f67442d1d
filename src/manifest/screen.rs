//! What is looked at before any parser runs, in one pass over the bytes.
//!
//! libyaml (under `serde_yaml`) takes time in the square of the depth of `[[[…` and of the number
//! of `%TAG` lines, and knows no bound for what aliases expand to. A file that could be of that
//! kind is *unusual*: the tree reader, which has those bounds, must accept it first. Files that
//! people write are not unusual, and are parsed once.

use super::characters;

/// More brackets than this in one document: it could be nested deeply.
const MANY_BRACKETS: u32 = 48;
/// Block nesting needs indentation: a line that begins with more of it could be nested deeply.
/// One column opens at most two levels (a mapping, and a list in it at the same column).
const WIDE_INDENT: u32 = 24;

/// What a look at the bytes tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Screened {
    /// Byte offset of the first character that no manifest may have.
    pub(super) forbidden: Option<usize>,
    /// Whether the tree reader must look first.
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

/// Characters that nobody sees, of which some are refused by libyaml, and those that it takes for a
/// line break where YAML 1.2 has none (U+0085, U+2028, U+2029): with them, what one reads is not what
/// golive reads.
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
    fn what_people_write_is_usual() {
        let document =
            "---\n# a & b: [x] 100 %\npublisher: contoso\nafter: [a/b]\nlabels: {a: b}\n";
        assert!(!unusual(&document.repeat(1000)));
        assert_eq!(screen("a: é\r\n\tb").forbidden, None);
    }

    #[test]
    fn what_could_be_deep_or_large_is_not() {
        assert!(unusual(&"[".repeat(100)));
        assert!(unusual(&"[\n---x\n".repeat(100)));
        assert!(unusual(&"- ".repeat(100)));
        assert!(unusual(&format!("a:\n{}b", " ".repeat(60))));
        assert!(unusual("%TAG ! a"));
        assert!(unusual("a: &a b\nc: *a"));
    }

    #[test]
    fn characters_that_hide_are_found() {
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
