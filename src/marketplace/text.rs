//! Sanitizes text from outside so that it is safe in a terminal, a log, a status file or a page.

use std::convert::Infallible;

use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Span, Tokenizer};
use icu_properties::props::{BidiControl, DefaultIgnorableCodePoint, NoncharacterCodePoint};
use icu_properties::{CodePointSetData, CodePointSetDataBorrowed};

/// Limit for a cleaned line, in characters.
const MAX_LINE: usize = 2_000;

/// Limit for a link address that is shown, in bytes: a longer one would crowd out the text.
const MAX_ADDRESS: usize = 500;

/// Limit for the input, in bytes. A longer text isn't a message for people.
const MAX_INPUT: usize = 64 * 1024;

/// One line: no terminal escapes, no control, bidirectional or invisible characters, white space
/// folded, at most 2,000 characters (a longer one ends in `…`).
#[must_use]
pub fn clean_line(text: &str) -> String {
    cut(cleaned(text), MAX_LINE)
}

/// Whether a text contains a character that [`clean_line`] removes or folds; a plain space doesn't
/// count.
#[must_use]
pub fn is_harmful(text: &str) -> bool {
    let harms = |c: char| is_invisible(c) || (c.is_whitespace() && c != ' ');
    // Nearly every text is plain ASCII, and long ones are checked often.
    if text.is_ascii() {
        return text.bytes().any(|byte| byte.is_ascii_control());
    }
    text.chars().any(harms)
}

/// Converts HTML to one such line: tags, comments, scripts and styles are dropped, entities decoded
/// once. List items are separated by `•`, other blocks by a space. A link is followed by its
/// address: `report (https://…)`. A `<` that would still begin a tag (it was written as an entity)
/// becomes `‹`, so that the text is safe even in a page that doesn't escape it.
#[must_use]
pub fn plain_text(html: &str) -> String {
    cut(without_markup(html, &|_| true), MAX_LINE)
}

/// [`plain_text`] without the length limit.
///
/// A link's address is shown only if `may_show` accepts it.
pub(crate) fn without_markup(html: &str, may_show: &dyn Fn(&str) -> bool) -> String {
    let html = head(html);
    // Most messages contain no markup.
    if !html.contains(['<', '&']) {
        return cleaned(html);
    }
    // Clean after decoding, because `&#27;[31m` becomes an escape only then; defuse last, because
    // dropped characters may join the rest into a tag.
    defused(&cleaned(&visible_text(html, may_show)))
}

/// [`clean_line`] without the length limit.
pub(crate) fn cleaned(text: &str) -> String {
    let text = head(text);
    let mut line = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let tail = &rest[c.len_utf8()..];
        rest = match escape_kind(c, tail) {
            Some(EscapeKind::Sequence(body)) => after_control_sequence(body),
            Some(EscapeKind::Text(body)) => after_control_text(body),
            Some(EscapeKind::Short) => after_short_escape(tail),
            None => {
                if c.is_whitespace() {
                    if !line.is_empty() && !line.ends_with(' ') {
                        line.push(' ');
                    }
                } else if !is_invisible(c) {
                    line.push(c);
                }
                tail
            }
        };
    }
    line.truncate(line.trim_end().len());
    line
}

/// Cuts to at most `max` characters, the last of them `…` if the text was cut.
pub(crate) fn cut(mut text: String, max: usize) -> String {
    if text.len() <= max {
        return text;
    }
    let mut starts = text.char_indices().map(|(at, _)| at);
    let last = starts.by_ref().nth(max.saturating_sub(1));
    if let (Some(last), Some(_)) = (last, starts.next()) {
        text.truncate(last);
        text.push('…');
    }
    text
}

/// The first [`MAX_INPUT`] bytes, cut at a character boundary.
fn head(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_INPUT)]
}

/// The kind of an escape sequence (ECMA-48), with the text after its introducer.
enum EscapeKind<'a> {
    /// `ESC [` or its one-character form: parameters, then a final byte.
    Sequence(&'a str),
    /// `ESC ]`, `ESC P`, `ESC X`, `ESC ^`, `ESC _` or their one-character forms: text up to a
    /// terminator.
    Text(&'a str),
    /// Any other escape: perhaps intermediate bytes, then a final byte.
    Short,
}

fn escape_kind(c: char, tail: &str) -> Option<EscapeKind<'_>> {
    match c {
        '\u{1b}' => Some(match tail.chars().next() {
            Some('[') => EscapeKind::Sequence(&tail[1..]),
            Some(']' | 'P' | 'X' | '^' | '_') => EscapeKind::Text(&tail[1..]),
            _ => EscapeKind::Short,
        }),
        '\u{9b}' => Some(EscapeKind::Sequence(tail)),
        '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => Some(EscapeKind::Text(tail)),
        _ => None,
    }
}

fn after_control_sequence(body: &str) -> &str {
    let body = body.trim_start_matches(|c| matches!(c, ' '..='?'));
    body.strip_prefix(|c| matches!(c, '@'..='~')).unwrap_or(body)
}

fn after_short_escape(body: &str) -> &str {
    let body = body.trim_start_matches(|c| matches!(c, ' '..='/'));
    body.strip_prefix(|c| matches!(c, '0'..='~')).unwrap_or(body)
}

/// The rest after the terminator (BEL or ST). Without one, only the introducer is dropped: an open
/// escape must not hide the rest of a message. The search ends at any control character, so that
/// the whole stays linear.
fn after_control_text(body: &str) -> &str {
    let Some(end) = body.find(char::is_control) else { return body };
    let terminated = &body[end..];
    ["\u{7}", "\u{9c}", "\u{1b}\\"]
        .iter()
        .find_map(|terminator| terminated.strip_prefix(terminator))
        .unwrap_or(body)
}

/// Whether a character is a control character, is invisible, or changes the direction of the text
/// around it. Input checks and output share this one table, which is Unicode's. White space doesn't
/// count, unless it is a control character. An emoji's variation selectors and joiners do count:
/// names that differ only in them look the same.
#[must_use]
pub(crate) fn is_invisible(c: char) -> bool {
    const IGNORABLE: CodePointSetDataBorrowed<'_> =
        CodePointSetData::new::<DefaultIgnorableCodePoint>();
    const BIDI: CodePointSetDataBorrowed<'_> = CodePointSetData::new::<BidiControl>();
    const NONCHARACTER: CodePointSetDataBorrowed<'_> =
        CodePointSetData::new::<NoncharacterCodePoint>();
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    // Marks of interlinear annotations are invisible, too, but Unicode doesn't list them as
    // default-ignorable.
    let is_annotation = matches!(c, '\u{fff9}'..='\u{fffb}');
    c.is_control()
        || is_annotation
        || IGNORABLE.contains(c)
        || BIDI.contains(c)
        || NONCHARACTER.contains(c)
}

/// Elements whose content isn't shown.
const HIDDEN: [&[u8]; 7] =
    [b"script", b"style", b"template", b"iframe", b"noembed", b"noframes", b"noscript"];

/// Inline elements; any other one ends a word.
const INLINE: [&[u8]; 20] = [
    b"a", b"abbr", b"b", b"bdi", b"bdo", b"cite", b"code", b"em", b"font", b"i", b"kbd", b"mark",
    b"s", b"small", b"span", b"strong", b"sub", b"sup", b"u", b"wbr",
];

/// The visible text of a page: entities decoded, links followed by their addresses.
fn visible_text(html: &str, may_show: &dyn Fn(&str) -> bool) -> String {
    let mut page = Page { may_show, text: Vec::new(), hidden: None, link: None, in_href: false };
    page.text.reserve(html.len());
    let mut emitter =
        CallbackEmitter::new(|event: CallbackEvent<'_>, _: Span<()>| -> Option<Infallible> {
            match event {
                CallbackEvent::OpenStartTag { name } => page.start(name),
                CallbackEvent::EndTag { name } => page.end(name),
                CallbackEvent::String { value } => page.say(value),
                CallbackEvent::AttributeName { name } => page.in_href = name == b"href",
                CallbackEvent::AttributeValue { value } => page.attribute(value),
                CallbackEvent::CloseStartTag { .. }
                | CallbackEvent::Comment { .. }
                | CallbackEvent::Doctype { .. }
                | CallbackEvent::Error(_) => {}
            }
            None
        });
    // Otherwise the tokenizer would take a `<` in a script as a tag and miss the script's end.
    emitter.naively_switch_states(true);
    let Ok(()) = Tokenizer::new_with_emitter(html, emitter).finish();
    page.end_link();
    String::from_utf8_lossy(&page.text).into_owned()
}

/// The state while a page is read.
struct Page<'a> {
    /// Whether an address may be shown.
    may_show: &'a dyn Fn(&str) -> bool,
    text: Vec<u8>,
    /// The hidden element around the current position.
    hidden: Option<Vec<u8>>,
    /// The open link.
    link: Option<OpenLink>,
    /// Whether the current attribute is a link's `href`.
    in_href: bool,
}

struct OpenLink {
    /// The offset at which the link's text begins.
    from: usize,
    address: Vec<u8>,
}

impl Page<'_> {
    fn start(&mut self, name: &[u8]) {
        self.in_href = false;
        if self.hidden.is_none() && HIDDEN.contains(&name) {
            self.hidden = Some(name.to_vec());
        }
        if name == b"a" {
            self.end_link();
            if self.hidden.is_none() {
                self.link = Some(OpenLink { from: self.text.len(), address: Vec::new() });
            }
        } else if name == b"li" {
            self.text.extend_from_slice(" • ".as_bytes());
        } else if !INLINE.contains(&name) {
            self.text.push(b' ');
        }
    }

    /// Part of an attribute's value; only `<a>` has an address.
    fn attribute(&mut self, value: &[u8]) {
        if let Some(link) = self.link.as_mut().filter(|link| link.from == self.text.len())
            && self.in_href
        {
            link.address.extend_from_slice(value);
        }
    }

    fn say(&mut self, value: &[u8]) {
        if self.hidden.is_none() {
            self.text.extend_from_slice(value);
        }
    }

    fn end(&mut self, name: &[u8]) {
        if self.hidden.as_deref() == Some(name) {
            self.hidden = None;
        }
        if name == b"a" {
            self.end_link();
        } else if !INLINE.contains(&name) {
            self.text.push(b' ');
        }
    }

    /// Appends a link's address to its text, unless the text is the address.
    fn end_link(&mut self) {
        let Some(OpenLink { from, address }) = self.link.take() else { return };
        let Some(address) = address_of(&address).filter(|address| (self.may_show)(address)) else {
            return;
        };
        let text = String::from_utf8_lossy(&self.text[from..]);
        let text = text.trim();
        let bare = |text: &str| {
            let text = text.split_once(':').map_or(text, |(_, rest)| rest);
            text.trim_matches('/').to_ascii_lowercase()
        };
        if text.is_empty() {
            self.text.extend_from_slice(format!(" {address} ").as_bytes());
        } else if bare(text) != bare(&address) {
            self.text.extend_from_slice(format!(" ({address})").as_bytes());
        }
    }
}

/// The address of a link that a person can follow: `http`, `https` or `mailto`. Script URLs and
/// relative ones are dropped.
fn address_of(href: &[u8]) -> Option<String> {
    let url = url::Url::parse(str::from_utf8(href).ok()?.trim()).ok()?;
    let is_shown = matches!(url.scheme(), "http" | "https" | "mailto");
    (is_shown && url.as_str().len() <= MAX_ADDRESS).then(|| url.into())
}

/// Replaces `<` where a parser would see a tag, and the `>` that closes it, with `‹` and `›`.
fn defused(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut open = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let begins_tag =
            c == '<' && chars.peek().is_some_and(|c| c.is_ascii_alphabetic() || "/!?".contains(*c));
        out.push(match c {
            '<' if begins_tag => '‹',
            '>' if open => '›',
            other => other,
        });
        open = begins_tag || (open && c != '>');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn html_becomes_a_line() {
        for (html, text) in [
            ("plain", "plain"),
            ("<b>Image</b> is <i>bad</i>", "Image is bad"),
            ("<p>One.</p><p>Two.</p>", "One. Two."),
            ("a<br>b<br/>c", "a b c"),
            ("Fix:<ul><li>SSH</li><li>swap</li></ul>", "Fix: • SSH • swap"),
            ("a &amp; b &lt; c &gt; d &quot;e&quot; &eacute;", "a & b < c > d \"e\" é"),
            ("size &lt; 5 GB, x &lt;5", "size < 5 GB, x <5"),
            ("<script>alert('<b>x</b>')</script>safe", "safe"),
            ("<style>p{}</style><SCRIPT>1</SCRIPT >ok", "ok"),
            ("seen<script>never closed", "seen"),
            ("<!-- hidden -->shown", "shown"),
            ("&lt;script&gt;alert(1)&lt;/script&gt;", "‹script›alert(1)‹/script›"),
            ("&amp;lt;script&amp;gt;", "&lt;script&gt;"),
            ("&lt;<b>script</b>&gt;", "‹script›"),
            ("&#27;[31mred&#27;[0m", "red"),
            ("&#x1b;]8;;https://evil.example&#7;link&#27;]8;;&#7;", "link"),
            ("<img src=x onerror='alert(1)'>after", "after"),
            ("<a href='javascript:x'>here</a>.", "here."),
            ("<a href='/relative'>here</a>.", "here."),
            (
                "See the <A class=x HREF=\"https://x.example/a?b=1&amp;c=2\"><b>report</b></A>.",
                "See the report (https://x.example/a?b=1&c=2).",
            ),
            ("<a href=https://x.example/>https://x.example</a>!", "https://x.example!"),
            ("<a href=https://x.example/>x.example</a>!", "x.example!"),
            ("<a href='https://x.example'></a>", "https://x.example/"),
            ("<a href=mailto:a@x.example>us</a>", "us (mailto:a@x.example)"),
            (
                "<a href='https://x.example/1'>one<a href='https://x.example/2'>two",
                "one (https://x.example/1)two (https://x.example/2)",
            ),
            ("<a><img href='https://x.example/1'>x</a>", "x"),
            ("<script><a href='https://x.example'>x</a></script>y", "y"),
            (
                "<a href='https://x.example/<script>&#27;[31m'>x</a>",
                "x (https://x.example/%3Cscript%3E%1B[31m)",
            ),
            ("&#8238;evil&#8236; &#xfeff;x&#x200b;y", "evil xy"),
            ("&lt;&#x200b;script&gt;", "‹script›"),
            ("a&nbsp;&nbsp; b", "a b"),
            ("tail <", "tail <"),
            ("cut <b", "cut"),
            ("&#0;&#xD800;&#x110000;", "\u{fffd}\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(plain_text(html), text, "{html:?}");
        }
    }

    #[test]
    fn a_line_has_no_escapes() {
        for (raw, clean) in [
            ("  a \n\t b\r\n", "a b"),
            ("a\u{2028}b\u{85}c", "a b c"),
            ("\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("\u{9b}31mred", "red"),
            ("\u{1b}]0;title\u{7}x", "x"),
            ("\u{1b}]8;;http://evil\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{9d}0;t\u{9c}x", "x"),
            ("\u{1b}Pdcs\u{1b}\\x\u{1b}(By\u{1b}7z\u{1b}", "xyz"),
            ("\u{1b}]open and the rest is kept", "open and the rest is kept"),
            ("\u{1b}[", ""),
            ("a\u{8}b\u{7f}c\u{0}", "abc"),
            ("\u{202e}abc\u{2066}d\u{61c}\u{200f}", "abcd"),
            ("\u{feff}a\u{200b}b\u{200d}c\u{2060}d\u{ad}e", "abcde"),
            ("\u{e0041}x", "x"),
            ("日本語 é", "日本語 é"),
            ("a < b <script>", "a < b <script>"),
        ] {
            assert_eq!(clean_line(raw), clean, "{raw:?}");
        }
    }

    #[test]
    fn invisible_characters_are_those_of_unicode() {
        for c in "\0\t\u{7f}\u{85}\u{9b}\u{ad}\u{34f}\u{61c}\u{115f}\u{17b4}\u{180e}\u{180f}\u{200b}\
                  \u{200e}\u{202a}\u{202e}\u{2060}\u{2065}\u{2069}\u{206f}\u{3164}\u{fe0f}\u{feff}\u{ffa0}\
                  \u{fff0}\u{fffa}\u{ffff}\u{fdd0}\u{1bca0}\u{1d173}\u{e0001}\u{e0100}\u{e0fff}"
            .chars()
        {
            assert!(is_invisible(c), "{c:?}");
        }
        // Arabic number signs are format characters that show; spaces are spaces.
        for c in " a\u{a0}é\u{3000}\u{2028}見\u{600}\u{301}\u{fffd}\u{1f680}".chars() {
            assert!(!is_invisible(c), "{c:?}");
        }
        assert_eq!(clean_line("a\u{fe0f}\u{1bca0}\u{1d173}b \u{2764}\u{fe0f}"), "ab \u{2764}");
    }

    #[test]
    fn length_is_bounded_in_characters() {
        let line = clean_line(&"é".repeat(5_000));
        assert_eq!(line.chars().count(), MAX_LINE);
        assert!(line.ends_with("é…"));
        let exact = "é".repeat(MAX_LINE);
        assert_eq!(clean_line(&exact), exact);
        assert_eq!(cut("abc".to_owned(), 0), "…");
        let endless = "\u{1b}]".repeat(1_000_000);
        assert!(clean_line(&endless).len() < 10);
    }

    fn is_safe(text: &str) -> bool {
        text.chars().all(|c| !is_invisible(c))
            && text.chars().count() <= MAX_LINE
            && !text.contains("  ")
    }

    /// Pieces that are harmful when they meet.
    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("\u{1b}"),
            Just("["),
            Just("]"),
            Just("31m"),
            Just("\u{7}"),
            Just("\\"),
            Just("\u{9b}"),
            Just("<"),
            Just(">"),
            Just("script"),
            Just("/"),
            Just("!"),
            Just("&lt;"),
            Just("&gt;"),
            Just("&#27;"),
            Just("&amp;"),
            Just("lt;"),
            Just("&#x200b;"),
            Just("\u{200b}"),
            Just("\u{202e}"),
            Just("style"),
            Just(" "),
            Just("\n"),
            Just("--"),
            Just("é"),
            Just("&"),
            Just("\u{0}"),
            Just("<li>"),
            Just("</script>"),
        ];
        proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_text_becomes_safe(text in prop_oneof![hostile(), ".{0,200}", "\\PC*"]) {
            let (line, plain) = (clean_line(&text), plain_text(&text));
            prop_assert!(is_safe(&line), "{line:?}");
            prop_assert!(is_safe(&plain), "{plain:?}");
            prop_assert_eq!(clean_line(&line), line.clone());
            prop_assert!(!is_harmful(&line), "{line:?}");
            let markup = plain.as_bytes().windows(2).any(|pair| {
                pair[0] == b'<' && (pair[1].is_ascii_alphabetic() || b"/!?".contains(&pair[1]))
            });
            prop_assert!(!markup, "{plain:?}");
        }
    }
}
