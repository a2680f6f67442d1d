//! Reads a YAML file that isn't a manifest with the same bounds and diagnostics.

use std::path::Path;

use super::diagnostic::{Diagnostic, Diagnostics};
use super::input::read_bounded;
use super::load::{decode, forbidden_character};
use super::screen::screen;
use super::source::Source;
use super::syntax::{conflict, syntax};
use super::tree::{NodeId, Tree};
use super::walk::Walk;

/// Reads the one document of a file, and has `read` make a value of its root. An empty file, or one
/// that has only comments, has no root.
///
/// # Errors
/// Every error in the file.
pub(crate) fn read_document<T>(
    path: &Path,
    read: impl FnOnce(&mut Walk<'_, '_>, Option<NodeId>) -> T,
) -> Result<T, Diagnostics> {
    read_all(path, read)
        .map_err(|problems| Diagnostics::new(problems.into_iter().map(concealed).collect()))
}

fn read_all<T>(
    path: &Path,
    read: impl FnOnce(&mut Walk<'_, '_>, Option<NodeId>) -> T,
) -> Result<T, Vec<Diagnostic>> {
    let one = |problem: Diagnostic| vec![problem];
    let bytes = read_bounded(path).map_err(|problem| one(without_file_hint(*problem)))?;
    let text = decode(path, &bytes).map_err(|problem| one(without_file_hint(*problem)))?;
    if let Some(byte) = screen(text).forbidden {
        return Err(one(forbidden_character(path, text, byte)));
    }
    let source = Source::new(path, text);
    if let Some(problem) = conflict(&source) {
        return Err(one(problem));
    }
    let mut tree = Tree::parse(text);
    if let Some(stop) = tree.stop.take() {
        return Err(one(syntax(&source, stop)));
    }
    let mut errors = Vec::new();
    let mut walk = Walk { tree: &tree, source: &source, errors: &mut errors };
    let filled: Vec<NodeId> =
        tree.documents.iter().copied().filter(|root| !tree.is_blank(*root)).collect();
    let value = read(&mut walk, filled.first().copied());
    if let Some(second) = filled.get(1) {
        walk.second_document(*second);
    }
    if errors.is_empty() { Ok(value) } else { Err(errors) }
}

/// The hints about a file as a whole are about manifests.
fn without_file_hint(problem: Diagnostic) -> Diagnostic {
    if problem.file_hint.is_none() {
        return problem;
    }
    Diagnostic { hint: None, file_hint: None, ..problem }
}

/// From this length on, a word may be a token or a secret that somebody wrote into the file. Ids of
/// tenants and clients have 36 characters.
const SECRET_LENGTH: usize = 37;

/// The error without what may be a secret.
fn concealed(problem: Diagnostic) -> Diagnostic {
    let excerpt = problem.excerpt.clone().filter(|excerpt| conceal(&excerpt.text) == excerpt.text);
    let what = conceal(&problem.what);
    let hint = problem.hint.as_deref().map(conceal);
    Diagnostic { what, hint, excerpt, ..problem }
}

fn conceal(text: &str) -> String {
    let is_in_word = |c: char| c.is_ascii_alphanumeric() || "._~+/=-".contains(c);
    let mut shown = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_in_word) {
        let (before, word) = rest.split_at(start);
        let end = word.find(|c| !is_in_word(c)).unwrap_or(word.len());
        let (word, after) = word.split_at(end);
        shown.push_str(before);
        shown.push_str(if word.len() < SECRET_LENGTH { word } else { "…" });
        rest = after;
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_word_is_concealed() {
        let tenant = "00000000-0000-4000-8000-000000000000";
        assert_eq!(conceal(&format!("a: {tenant}, b")), format!("a: {tenant}, b"));
        let token = "eyJ0".repeat(12);
        assert_eq!(conceal(&format!("unknown api \"{token}\"…")), "unknown api \"…\"…");
    }
}
