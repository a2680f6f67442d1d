//! Turns a position in a text into a line, a column, and the excerpt for an error.

use std::ops::Range;
use std::path::Path;

use unicode_width::UnicodeWidthChar;

use super::characters::harmless;
use super::diagnostic::{Diagnostic, Excerpt, Related};
use super::rules::Problem;

/// How many characters of a line are shown.
const WIDEST: usize = 100;
/// How many of them before the offending text.
const BEFORE: usize = 40;
/// The byte offset of every 512th character is kept, so that finding one doesn't scan the text.
const STRIDE: usize = 512;

/// A text with an index of its lines. Positions are counted in characters, as both parsers do.
pub(crate) struct Source<'a> {
    pub(super) file: &'a Path,
    pub(super) text: &'a str,
    /// Character offset of the start of each line.
    lines: Vec<usize>,
    /// Byte offset of every [`STRIDE`]th character.
    marks: Vec<usize>,
    characters: usize,
}

impl<'a> Source<'a> {
    pub(super) fn new(file: &'a Path, text: &'a str) -> Self {
        let mut source = Self { file, text, lines: vec![0], marks: Vec::new(), characters: 0 };
        let mut chars = text.char_indices().peekable();
        while let Some((byte, c)) = chars.next() {
            if source.characters.is_multiple_of(STRIDE) {
                source.marks.push(byte);
            }
            source.characters += 1;
            let ends_line = match c {
                '\n' => true,
                '\r' => chars.peek().is_none_or(|(_, next)| *next != '\n'),
                _ => false,
            };
            if ends_line {
                source.lines.push(source.characters);
            }
        }
        source
    }

    /// The character that begins at, or holds, a byte.
    pub(super) fn character_at(&self, byte: usize) -> usize {
        let mark = self.marks.partition_point(|start| *start <= byte).saturating_sub(1);
        let start = self.marks.get(mark).copied().unwrap_or(0);
        let within = self.text[start..].char_indices().take_while(|(i, _)| start + i < byte);
        mark * STRIDE + within.count()
    }

    /// The text from a character on.
    pub(super) fn from(&self, character: usize) -> &'a str {
        let Some(start) = self.marks.get(character / STRIDE) else { return "" };
        let mut rest = self.text[*start..].chars();
        for _ in 0..character % STRIDE {
            rest.next();
        }
        rest.as_str()
    }

    /// Line and column of a character, both from 1.
    pub(super) fn position(&self, character: usize) -> (usize, usize) {
        let character = character.min(self.characters);
        let line = self.lines.partition_point(|start| *start <= character);
        (line, character - self.line_start(line) + 1)
    }

    /// A line's text without its end. Lines count from 1.
    pub(super) fn line(&self, line: usize) -> &'a str {
        let rest = self.from(self.line_start(line));
        rest.find(['\n', '\r']).map_or(rest, |end| &rest[..end])
    }

    /// Offset of a line's first character.
    pub(super) fn line_start(&self, line: usize) -> usize {
        self.lines.get(line.saturating_sub(1)).copied().unwrap_or(0)
    }

    /// The error at a place.
    pub(super) fn diagnostic(&self, place: Range<usize>, problem: Problem) -> Diagnostic {
        let (line, column) = self.position(place.start);
        // A parser's message may quote the file unescaped.
        let clean = |text: String| text.chars().map(harmless).collect();
        Diagnostic {
            file: self.file.to_owned(),
            line,
            column,
            what: clean(problem.what),
            hint: problem.hint.map(clean),
            related: None,
            excerpt: Some(self.excerpt(place)),
            file_hint: None,
        }
    }

    /// Another place, to which an error refers.
    pub(super) fn related(&self, what: &str, place: usize) -> Related {
        let (line, column) = self.position(place);
        Related { what: what.to_owned(), file: self.file.to_owned(), line, column }
    }

    fn excerpt(&self, place: Range<usize>) -> Excerpt {
        let (line, column) = self.position(place.start);
        let skipped = if column > WIDEST { column - 1 - BEFORE } else { 0 };
        let start = self.line_start(line) + skipped;
        let ends = |c: &char| !matches!(c, '\n' | '\r');
        let mut rest = self.from(start).chars();
        let shown: Vec<char> = rest.by_ref().take_while(ends).take(WIDEST).collect();
        let cut = shown.len() == WIDEST && rest.next().as_ref().is_some_and(ends);

        let before = (column - 1 - skipped).min(shown.len());
        let marked = place.end.saturating_sub(place.start).min(shown.len() - before);
        let marked = &shown[before..before + marked];
        let trailing = marked.iter().rev().take_while(|c| c.is_whitespace()).count();
        let marked = &marked[..marked.len() - trailing];

        let (mut text, mut indent) = (String::new(), 0);
        if skipped > 0 {
            text.push('…');
            indent += 1;
        }
        text.extend(shown.iter().copied().map(harmless));
        if cut {
            text.push('…');
        }
        text.truncate(text.trim_end().len());
        indent += cells(&shown[..before]);
        Excerpt { text, indent, length: cells(marked).max(1) }
    }
}

fn cells(text: &[char]) -> usize {
    text.iter().map(|c| harmless(*c).width().unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_and_know_all_line_ends() {
        let source = Source::new(Path::new("a"), "é: ü\r\nb: c\rd\n\ne");
        let position =
            |text: &str| source.position(source.character_at(source.text.find(text).unwrap()));
        assert_eq!(position("ü"), (1, 4));
        assert_eq!(position("c"), (2, 4));
        assert_eq!(position("d"), (3, 1));
        assert_eq!(position("e"), (5, 1));
        assert_eq!(source.line(2), "b: c");
        assert_eq!(source.position(1000), (5, 2));
    }

    #[test]
    fn a_long_line_is_trimmed_around_the_error() {
        let text = format!("a: {}X{}", "é".repeat(5000), "z".repeat(5000));
        let source = Source::new(Path::new("a"), &text);
        let place = source.character_at(text.find('X').unwrap());
        let excerpt = source.excerpt(place..place + 1);
        assert_eq!(excerpt.text.chars().nth(excerpt.indent), Some('X'));
        assert!(excerpt.text.starts_with('…') && excerpt.text.ends_with('…'));
        assert!(excerpt.text.chars().count() <= WIDEST + 2);
    }

    #[test]
    fn wide_characters_move_the_underline() {
        let source = Source::new(Path::new("a"), "見: x");
        let excerpt = source.excerpt(3..4);
        assert_eq!((excerpt.indent, excerpt.length), (4, 1));
    }

    #[test]
    fn nothing_in_an_excerpt_moves_a_cursor() {
        let source = Source::new(Path::new("a"), "a: \u{1b}[2J\u{202e}\t\u{9b}1mx");
        let excerpt = source.excerpt(0..1);
        assert_eq!(excerpt.text, "a: \u{fffd}[2J\u{fffd} \u{fffd}1mx");
    }

    #[test]
    fn an_empty_text_has_a_position() {
        let source = Source::new(Path::new("a"), "");
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.excerpt(0..0), Excerpt { text: String::new(), indent: 0, length: 1 });
    }
}
