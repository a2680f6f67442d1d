//! Lookalikes of the spaces, quotes, dashes and colons that YAML needs, as web pages, chats and word
//! processors produce them.
//!
//! To YAML they are text, so that the parser's error is about something else and mostly elsewhere.
//! They are allowed within a text; golive searches for them only if a file has an error.

use std::collections::BTreeSet;

use super::characters::{is_lookalike_space, named};
use super::diagnostic::Diagnostic;
use super::rules::Problem;
use super::source::Source;

/// One lookalike, or a run of lookalike spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lookalike {
    /// Its position, in characters.
    at: usize,
    length: usize,
    /// The first character.
    c: char,
    /// What was meant.
    meant: Meant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meant {
    Space,
    /// `"` or `'`.
    Quote(char),
    /// Before an item of a list.
    Dash,
    /// Between two documents.
    Separator,
    /// After the name of a field. YAML needs a space after it; without one, replacing characters
    /// doesn't mend the text.
    Colon {
        has_space: bool,
    },
}

/// The lookalikes that may have caused the errors: those on the lines with an error, or all if the
/// parser stopped, since it notices some of them lines later.
pub(super) fn blamed(
    source: &Source<'_>,
    problems: &[Diagnostic],
    is_stopped: bool,
) -> Vec<Lookalike> {
    if source.text.is_ascii() {
        return Vec::new();
    }
    let lines: BTreeSet<usize> = problems.iter().map(|problem| problem.line).collect();
    let (mut found, mut line, mut start, mut is_crlf) = (Vec::new(), 1, 0, false);
    for text in source.text.split_inclusive(['\n', '\r']) {
        if is_crlf && text == "\n" {
            (start, is_crlf) = (start + 1, false);
            continue;
        }
        if (is_stopped || lines.contains(&line)) && !text.is_ascii() {
            Line::new(text).lookalikes(start, &mut found);
        }
        start += text.chars().count();
        line += 1;
        is_crlf = text.ends_with('\r');
    }
    found
}

/// The text with each lookalike replaced, and every character in its place; `None` if that is not
/// possible.
pub(super) fn mended(text: &str, lookalikes: &[Lookalike]) -> Option<String> {
    let mut chars: Vec<char> = text.chars().collect();
    for Lookalike { at, length, meant, .. } in lookalikes {
        let c = match meant {
            Meant::Space => ' ',
            Meant::Quote(quote) => *quote,
            Meant::Dash => '-',
            Meant::Colon { has_space: true } => ':',
            Meant::Colon { has_space: false } | Meant::Separator => return None,
        };
        chars.get_mut(*at..*at + *length)?.fill(c);
    }
    Some(chars.into_iter().collect())
}

impl Lookalike {
    pub(super) fn diagnostic(&self, source: &Source<'_>) -> Diagnostic {
        let (what, hint) = match self.meant {
            Meant::Space => ("a space in YAML", "replace it with an ordinary space".to_owned()),
            Meant::Quote(quote) => {
                ("a quotation mark in YAML", format!("replace it with {quote}, or leave it out"))
            }
            Meant::Dash => ("a list's dash in YAML", "replace it with -".to_owned()),
            Meant::Separator => {
                ("a separator of documents", "write --- between two documents".to_owned())
            }
            Meant::Colon { .. } => ("a colon in YAML", "replace it with : and a space".to_owned()),
        };
        let problem = Problem::new(format!("{} is not {what}", named(self.c))).hint(hint);
        source.diagnostic(self.at..self.at + self.length, problem)
    }
}

/// One line, without its comment.
struct Line {
    chars: Vec<char>,
    /// Whether the character is within quotes, or is a quote.
    quoted: Vec<bool>,
    /// Whether a quote is not closed. Then nothing after it counts as quoted.
    is_open: bool,
}

impl Line {
    fn new(text: &str) -> Self {
        let (mut chars, mut quoted) = (Vec::new(), Vec::new());
        let mut open: Option<char> = None;
        let mut opened_at = 0;
        for c in text.chars() {
            let before = chars.last().copied();
            let begins = before.is_none_or(|c: char| c.is_whitespace() || "[{,:".contains(c));
            let is_quoted = open.is_some();
            match open {
                Some(quote) if c == quote && before != Some('\\') => open = None,
                None if begins && matches!(c, '"' | '\'') => {
                    (open, opened_at) = (Some(c), chars.len());
                }
                None if c == '#' && before.is_none_or(char::is_whitespace) => break,
                Some(_) | None => {}
            }
            chars.push(c);
            quoted.push(is_quoted || open.is_some());
        }
        if open.is_some() {
            quoted.truncate(opened_at);
        }
        Self { chars, quoted, is_open: open.is_some() }
    }

    fn lookalikes(&self, start: usize, found: &mut Vec<Lookalike>) {
        let mut at = 0;
        let mut has_quote = self.is_open;
        while let Some(c) = self.chars.get(at).copied() {
            let length = self.run(at).max(1);
            if let Some(meant) = self.meant(at, length, has_quote) {
                has_quote |= matches!(meant, Meant::Quote(_));
                found.push(Lookalike { at: start + at, length, c, meant });
            }
            at += length;
        }
    }

    /// The number of consecutive lookalike spaces here.
    fn run(&self, at: usize) -> usize {
        self.chars[at..].iter().take_while(|c| is_lookalike_space(**c)).count()
    }

    fn meant(&self, at: usize, length: usize, has_quote: bool) -> Option<Meant> {
        let c = self.chars.get(at).copied()?;
        if c.is_ascii() || self.quoted.get(at) == Some(&true) {
            return None;
        }
        let before = self.chars[..at].iter().rev().copied().find(|c| !c.is_whitespace());
        let next = self.chars.get(at + length).copied();
        let after = self.chars[at + length..].iter().copied().find(|c| !c.is_whitespace());
        let begins = before.is_none_or(|c| ":,[{".contains(c)) || self.is_behind_marker(at);
        let ends = after.is_none_or(|c| ":,]}".contains(c));
        if is_lookalike_space(c) {
            return (begins || ends).then_some(Meant::Space);
        }
        if let Some(quote) = quote(c) {
            return (begins || ends && has_quote).then_some(Meant::Quote(quote));
        }
        let is_apart = next.is_none_or(char::is_whitespace);
        if is_dash(c) {
            let is_item = before.is_none() || self.is_behind_marker(at);
            let is_alone = self.chars.iter().all(|c| *c == '-' || is_dash(*c) || c.is_whitespace());
            return match (is_alone, is_item && is_apart) {
                (true, _) if !self.chars.first().is_some_and(|c| c.is_whitespace()) => {
                    Some(Meant::Separator)
                }
                (_, true) => Some(Meant::Dash),
                (_, false) => None,
            };
        }
        let is_name = || {
            let name = self.chars[..at].rsplit(|c| "{,".contains(*c)).next().unwrap_or_default();
            name.iter().all(|c| c.is_alphanumeric() || " \"'-_".contains(*c))
        };
        (is_colon(c) && is_name()).then_some(Meant::Colon { has_space: is_apart })
    }

    /// Whether there is nothing before a position but the dashes of lists.
    fn is_behind_marker(&self, at: usize) -> bool {
        let before = &self.chars[..at];
        before.iter().all(|c| c.is_whitespace() || *c == '-' || is_dash(*c))
            && before.iter().any(|c| !c.is_whitespace())
    }
}

fn quote(c: char) -> Option<char> {
    match c {
        '\u{201c}'..='\u{201f}' | '\u{2033}' | '\u{ff02}' | '«' | '»' => Some('"'),
        '\u{2018}'..='\u{201b}' | '\u{2032}' | '\u{ff07}' | '´' => Some('\''),
        _ => None,
    }
}

fn is_dash(c: char) -> bool {
    matches!(c, '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}')
}

fn is_colon(c: char) -> bool {
    matches!(c, '\u{2236}' | '\u{a789}' | '\u{fe13}' | '\u{fe55}' | '\u{ff1a}')
}
