//! What a `.goliveignore` leaves out. Like a `.gitignore`, it counts in its folder and below, and those
//! above the given path count up to the root of the repository, so that a narrower path doesn't bring
//! back what is left out. A path on the command line is never left out.

use std::borrow::Cow;
use std::fs::FileType;
use std::io;
use std::path::{Path, PathBuf};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::diagnostic::Diagnostic;
use super::input::{self, read_bounded};
use super::rules::Problem;
use super::source::Source;

/// The name of such a file.
pub(super) const NAME: &str = ".goliveignore";

/// The path that a walk missed because of a problem: the whole folder if its `.goliveignore` could not
/// be read.
pub(crate) fn missed(problem: &Diagnostic) -> &Path {
    match problem.file.parent() {
        Some(folder) if problem.file.file_name().is_some_and(|name| name == NAME) => folder,
        Some(_) | None => &problem.file,
    }
}

/// The rules that apply at the current position of a walk; the innermost come last.
#[derive(Default)]
pub(super) struct Ignores(Vec<Rules>);

struct Rules {
    /// The folder of the walk; the walk's root for rules above it.
    folder: PathBuf,
    /// That folder, relative to the folder of the rules.
    below: PathBuf,
    /// The depth in the walk at which the rules apply.
    depth: usize,
    patterns: Gitignore,
}

impl Ignores {
    /// The rules above the root of a walk, and the files that have or may get such rules.
    pub(super) fn above(root: &Path) -> Result<(Self, Vec<PathBuf>), Box<Diagnostic>> {
        let mut ignores = Self::default();
        // The walk reports a root that can't be looked at.
        let Ok(real) = root.canonicalize() else { return Ok((ignores, Vec::new())) };
        let Some(top) = real.ancestors().find(|folder| folder.join(".git").exists()) else {
            return Ok((ignores, Vec::new()));
        };
        let inside = real.ancestors().skip(1).take_while(|folder| folder.starts_with(top));
        let mut folders: Vec<&Path> = inside.collect();
        folders.reverse();
        for folder in &folders {
            if let Some(patterns) = read(&folder.join(NAME))? {
                let below = real.strip_prefix(folder).unwrap_or(Path::new("")).to_owned();
                ignores.0.push(Rules { folder: root.to_owned(), below, depth: 0, patterns });
            }
        }
        Ok((ignores, folders.into_iter().map(|folder| folder.join(NAME)).collect()))
    }

    /// Enters a folder of the walk, which is depth-first.
    pub(super) fn enter(&mut self, folder: &Path, depth: usize) -> Result<(), Box<Diagnostic>> {
        self.leave(depth);
        if let Some(patterns) = read(&folder.join(NAME))? {
            let below = PathBuf::new();
            self.0.push(Rules { folder: folder.to_owned(), below, depth: depth + 1, patterns });
        }
        Ok(())
    }

    /// Whether the rules leave out a path at this depth of the walk.
    pub(super) fn covers(&mut self, path: &Path, depth: usize, is_folder: bool) -> bool {
        self.leave(depth);
        for Rules { folder, below, patterns, .. } in self.0.iter().rev() {
            let Ok(rest) = path.strip_prefix(folder) else { continue };
            match patterns.matched(below.join(rest), is_folder) {
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
                Match::None => {}
            }
        }
        false
    }

    /// Drops the rules of folders that the walk has left.
    fn leave(&mut self, depth: usize) {
        while self.0.last().is_some_and(|last| last.depth > depth) {
            self.0.pop();
        }
    }
}

/// Reads a `.goliveignore`, if there is one.
fn read(path: &Path) -> Result<Option<Gitignore>, Box<Diagnostic>> {
    match path.metadata() {
        Ok(found) if found.is_file() => {}
        Ok(found) => return Err(Box::new(not_a_file(path, found.file_type()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {
            return Ok(None);
        }
        Err(error) => return Err(Box::new(Diagnostic::unreadable(path, &error))),
    }
    let bytes = read_bounded(path).map_err(|problem| {
        if problem.file_hint.is_none() {
            return problem;
        }
        // The hints for manifests don't fit here.
        let hint = Some("shorten it; until then, nothing here is read".to_owned());
        Box::new(Diagnostic { hint, ..*problem })
    })?;
    let text = String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes));
    let mut builder = GitignoreBuilder::new("");
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let rule = line.trim_end_matches(['\n', '\r']);
        let length = rule.chars().count();
        if let Err(error) = builder.add_line(None, &with_literal_braces(rule)) {
            return Err(Box::new(invalid_pattern(path, &text, start..start + length, &error)));
        }
        start += line.chars().count();
    }
    match builder.build() {
        Ok(rules) => Ok(Some(rules)),
        Err(error) => Err(Box::new(invalid_pattern(path, &text, 0..0, &error))),
    }
}

/// A pattern with its braces escaped: the matcher takes them for alternatives, git doesn't.
fn with_literal_braces(rule: &str) -> Cow<'_, str> {
    if !rule.contains(['{', '}']) {
        return Cow::Borrowed(rule);
    }
    let mut pattern = String::with_capacity(rule.len() + 2);
    let mut rest = rule;
    while let Some(c) = rest.chars().next() {
        // Escaped characters and character classes stay as they are.
        let length = match c {
            '\\' => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            '[' => class(rest).unwrap_or(1),
            '{' | '}' => {
                pattern.push('\\');
                1
            }
            other => other.len_utf8(),
        };
        let (taken, left) = rest.split_at(length);
        pattern.push_str(taken);
        rest = left;
    }
    Cow::Owned(pattern)
}

/// The length of the character class at the beginning of a text, in bytes.
fn class(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('[')?;
    let inside = inside.strip_prefix(['!', '^']).unwrap_or(inside);
    // The first character may be the bracket itself.
    let first = inside.chars().next()?.len_utf8();
    let end = inside.get(first..)?.find(']')?;
    Some(text.len() - inside.len() + first + end + 1)
}

/// The error of a `.goliveignore` that isn't a file.
fn not_a_file(path: &Path, found: FileType) -> Diagnostic {
    let kind = if found.is_dir() { "a folder" } else { input::kind(found) };
    let hint = "give it another name; until then, nothing beside and below it is read".to_owned();
    Diagnostic::whole(path, format!("this is {kind}, not a file"), Some(hint))
}

fn invalid_pattern(
    path: &Path,
    text: &str,
    place: std::ops::Range<usize>,
    error: &ignore::Error,
) -> Diagnostic {
    let problem = Problem::new(format!("invalid pattern: {error}"))
        .hint("patterns are those of a .gitignore; until this is right, nothing here is read");
    Source::new(path, text).diagnostic(place, problem)
}
