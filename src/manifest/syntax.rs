//! The usual causes of invalid YAML. A parser only sees their consequences, mostly some lines later.

use std::ops::Range;

use super::diagnostic::Diagnostic;
use super::rules::Problem;
use super::source::Source;
use super::tree::Stop;

/// The hint about a template's marks.
pub(super) const RENDER: &str = "render templates before golive reads them";

/// The error where a parser stopped, or its usual cause nearby.
pub(super) fn syntax(source: &Source<'_>, Stop { at, problem }: Stop) -> Diagnostic {
    let (line, column) = source.position(at);
    let before = (1..line).rev().find(|line| has_content(source.line(*line)));
    let both = || [Some(line), before].into_iter().flatten();
    if let Some(place) = both().find_map(|line| tab(source, line)) {
        let problem = Problem::new("a tab is used for indentation")
            .hint("YAML allows spaces only: replace the tab by spaces");
        return source.diagnostic(place, problem);
    }
    if both().any(|line| is_template(source.line(line))) {
        return source.diagnostic(at..at + 1, problem.hint(RENDER));
    }
    // The parser notices a missing colon only in the next field, or at its beginning.
    let is_here = problem.what.contains("simple key expect") && column > 1;
    let is_before =
        ["simple key expect", "mapping values are"].iter().any(|what| problem.what.contains(what));
    let suspect = if is_here { Some(line) } else { before.filter(|_| is_before) };
    match suspect.and_then(|line| missing_separator(source, line)) {
        Some((place, problem)) => source.diagnostic(place, problem),
        None => source.diagnostic(at..at + 1, problem),
    }
}

fn has_content(line: &str) -> bool {
    let line = line.trim_start();
    !line.is_empty() && !line.starts_with('#')
}

/// The tab in a line's indentation.
fn tab(source: &Source<'_>, line: usize) -> Option<Range<usize>> {
    let text = source.line(line);
    let space = text.len() - text.trim_start().len();
    let tab = text[..space].chars().position(|c| c == '\t').filter(|_| space < text.len())?;
    let start = source.line_start(line) + tab;
    Some(start..start + 1)
}

/// Whether a line has the marks of a usual template language: Go, Jinja, ERB.
fn is_template(line: &str) -> bool {
    ["{{", "{%", "<%"].iter().any(|mark| line.contains(mark))
}

/// The error of a line without a colon after a field's name, or without a space after it or a dash.
fn missing_separator(source: &Source<'_>, line: usize) -> Option<(Range<usize>, Problem)> {
    let text = source.line(line).trim_end();
    let content = text.trim_start();
    let start = source.line_start(line) + (text.len() - content.len());
    let whole = start..start + content.chars().count();
    if content.starts_with('-') && !content.starts_with("- ") && !content.starts_with("--") {
        let problem = Problem::new("a space is missing after the dash");
        return Some((start..start + 1, problem.hint("write a list's items like: - contoso/vm")));
    }
    let content = content.trim_start_matches("- ");
    if content.ends_with(':')
        || content.contains(": ")
        || content.starts_with(['"', '\'', '[', '{'])
    {
        return None;
    }
    let name = content.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(content.len());
    let (name, rest) = content.split_at(name);
    if let Some(value) = rest.strip_prefix(':') {
        let at = whole.end - rest.chars().count();
        let problem = Problem::new("a space is missing after the colon");
        return Some((at..at + 1, problem.hint(format!("write it like: {name}: {value}"))));
    }
    let problem = Problem::new("this line has no colon after a field's name");
    let hint = match rest.split_once(char::is_whitespace) {
        Some(("", value)) if !name.is_empty() => format!("write it like: {name}: {value}"),
        Some(_) | None => "write it like: state: live".to_owned(),
    };
    Some((whole, problem.hint(hint)))
}

/// The error of a merge conflict, for which a parser would report many.
pub(super) fn conflict(source: &Source<'_>) -> Option<Diagnostic> {
    let is_marker = |line: &&str| line.starts_with("<<<<<<< ");
    let byte =
        source.text.split_inclusive('\n').take_while(|line| !is_marker(line)).map(str::len).sum();
    if byte == source.text.len() {
        return None;
    }
    let at = source.character_at(byte);
    let problem = Problem::new("a merge conflict is not resolved")
        .hint("choose one of the two, and remove the marks");
    Some(source.diagnostic(at..at + 7, problem))
}
