//! What is wrong with manifests, as a person reads it.

use std::fmt::{self, Write as _};
use std::io;
use std::path::{Path, PathBuf};

use anstyle::{AnsiColor, Style};

use super::hint::{Given, Hint};
use super::source::{Excerpt, harmless};

/// Another place that an error refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// How the place is related, e.g. `first defined`.
    pub what: String,
    /// The file, as it was found from the given paths.
    pub file: PathBuf,
    /// The line, from 1; 0 where the file could not be read again.
    pub line: usize,
    /// The column in characters, from 1; 0 as for the line.
    pub column: usize,
}

/// One error in a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, as it was found from the given paths. Raw: may hold control characters.
    pub file: PathBuf,
    /// The line, from 1; 0 where the error is about the file as a whole.
    pub line: usize,
    /// The column in characters, from 1; 0 where the error is about the file as a whole.
    pub column: usize,
    /// What is wrong. One line, nothing in it can control a terminal.
    pub what: String,
    /// What to do about it, where golive has an idea.
    pub hint: Option<String>,
    /// Another place that has to do with it.
    pub related: Option<Related>,
    pub(super) excerpt: Option<Excerpt>,
    /// Where the hint depends on how the file is given; `hint` is the one for a file in a folder.
    pub(super) by_way: Option<Hint>,
}

impl Diagnostic {
    /// The files that it shows a place in.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        let related = self.related.iter().map(|related| &*related.file);
        std::iter::once(&*self.file).chain(related)
    }

    /// An error about a path as a whole.
    pub(super) fn whole(file: &Path, what: impl Into<String>, hint: Option<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: 0,
            column: 0,
            what: what.into(),
            hint,
            related: None,
            excerpt: None,
            by_way: None,
        }
    }

    /// An error about a file as a whole, with what to do about it.
    pub(super) fn of_file(file: &Path, what: impl Into<String>, hint: Hint) -> Self {
        Self::whole(file, what, None).with(hint)
    }

    /// The same with such a hint.
    pub(super) fn with(self, hint: Hint) -> Self {
        let text = hint.text(Given::Found).to_owned();
        Self { hint: Some(text), by_way: Some(hint), ..self }
    }

    /// The same, for a file that was given like this.
    pub(super) fn given(self, given: Given) -> Self {
        match self.by_way {
            Some(hint) => Self { hint: Some(hint.text(given).to_owned()), ..self },
            None => self,
        }
    }

    /// A path that cannot be read.
    pub(super) fn unreadable(path: &Path, error: &io::Error) -> Self {
        let kind = error.kind();
        if kind == io::ErrorKind::NotFound && path.is_symlink() {
            return Self::of_file(path, "this symbolic link leads nowhere", Hint::Dangling);
        }
        let hint = if kind == io::ErrorKind::NotFound {
            "check the path; it is taken from the current folder"
        } else if kind == io::ErrorKind::PermissionDenied {
            "give the user that golive runs as the permission to read it"
        } else {
            "golive must read every manifest before it changes anything"
        };
        Self::whole(path, format!("cannot be read: {error}"), Some(hint.to_owned()))
    }

    /// The place as `file:line:column`, or the file alone where the error is about it as a whole.
    /// Nothing in it can control what shows it.
    #[must_use]
    pub fn place(&self) -> String {
        place(&self.file, self.line, self.column)
    }

    /// The line with the error, and below it a line that underlines the offending text, for a font
    /// of one width. Nothing in it can control what shows it.
    #[must_use]
    pub fn excerpt(&self) -> Option<String> {
        let Excerpt { text, indent, length } = self.excerpt.as_ref()?;
        Some(format!("{text}\n{:indent$}{}", "", "^".repeat(*length)))
    }

    fn write(&self, out: &mut String, paint: &Paint) -> fmt::Result {
        let Paint { place, message, gutter, mark } = paint;
        write!(out, "{place}")?;
        write_place(out, &self.file, self.line, self.column)?;
        writeln!(out, ":{place:#} {message}{}{message:#}", self.what)?;
        let number = if self.line == 0 { String::new() } else { self.line.to_string() };
        let width = number.len();
        if let Some(Excerpt { text, indent, length }) = &self.excerpt {
            writeln!(out, "{gutter}{number} |{gutter:#} {text}")?;
            let underline = "^".repeat(*length);
            writeln!(
                out,
                "{:width$}{gutter} |{gutter:#} {:indent$}{mark}{underline}{mark:#}",
                "", ""
            )?;
        }
        if let Some(hint) = &self.hint {
            writeln!(out, "{:width$}{gutter} ={gutter:#} hint: {hint}", "")?;
        }
        if let Some(Related { what, file, line, column }) = &self.related {
            write!(out, "{:width$}{gutter} ={gutter:#} {what} at ", "")?;
            write_place(out, file, *line, *column)?;
            out.push('\n');
        }
        Ok(())
    }
}

impl Related {
    /// How the place is related, and where it is, e.g. `first defined at a.yaml:1:1`.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!("{} at {}", self.what, place(&self.file, self.line, self.column))
    }
}

fn place(file: &Path, line: usize, column: usize) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _infallible = write_place(&mut text, file, line, column);
    text
}

fn write_place(out: &mut String, file: &Path, line: usize, column: usize) -> fmt::Result {
    out.extend(file.to_string_lossy().chars().map(harmless));
    if line > 0 { write!(out, ":{line}:{column}") } else { Ok(()) }
}

#[derive(Default)]
struct Paint {
    place: Style,
    message: Style,
    gutter: Style,
    mark: Style,
}

/// Every error that was found, sorted by file, line and column. There is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    pub(super) fn new(mut all: Vec<Diagnostic>) -> Self {
        all.sort_by(|a, b| {
            let key = |d: &Diagnostic| (d.line, d.column);
            a.file.cmp(&b.file).then_with(|| key(a).cmp(&key(b))).then_with(|| a.what.cmp(&b.what))
        });
        all.dedup();
        Self(all)
    }

    /// The errors, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none (which nothing in golive makes).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All errors as text: `file:line:column: what`, the line with the offending text underlined,
    /// a hint, the other place. With `colour`, escape sequences for a terminal are added; those
    /// in a manifest or a file's name never get through.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let paint = if colour {
            Paint {
                place: Style::new().bold(),
                message: AnsiColor::Red.on_default().bold(),
                gutter: AnsiColor::Blue.on_default().bold(),
                mark: AnsiColor::Red.on_default().bold(),
            }
        } else {
            Paint::default()
        };
        let mut out = String::new();
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                out.push('\n');
            }
            // Writing to a string cannot fail.
            let _infallible = diagnostic.write(&mut out, &paint);
        }
        out
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(false).trim_end())
    }
}

impl std::error::Error for Diagnostics {}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::rules::Problem;
    use crate::manifest::source::Source;

    fn sample() -> Diagnostics {
        let source = Source::new(Path::new("a.yaml"), "publisher: contoso\nstat: live\n");
        let mut one = source.diagnostic(
            19..23,
            Problem::new("unknown field \"stat\"").hint("did you mean \"state\"?"),
        );
        one.related = Some(source.related("first given", 0));
        let whole = Diagnostic::whole(Path::new("a.yaml"), "too large", None);
        Diagnostics::new(vec![one.clone(), whole, one])
    }

    #[test]
    fn an_error_is_shown_with_its_line_its_hint_and_the_other_place() {
        assert_eq!(
            sample().to_string(),
            "a.yaml: too large\n\
             \n\
             a.yaml:2:1: unknown field \"stat\"\n\
             2 | stat: live\n  | ^^^^\n  = hint: did you mean \"state\"?\n  = first given at a.yaml:1:1"
        );
    }

    #[test]
    fn an_error_is_told_in_parts_too() {
        let shown: Vec<_> = sample().into_iter().map(|it| (it.place(), it.excerpt())).collect();
        let excerpt = Some("stat: live\n^^^^".to_owned());
        assert_eq!(shown, [("a.yaml".to_owned(), None), ("a.yaml:2:1".to_owned(), excerpt)]);
        let related = sample().iter().find_map(|it| it.related.clone()).unwrap();
        assert_eq!(related.sentence(), "first given at a.yaml:1:1");
    }

    #[test]
    fn colour_adds_escapes_and_nothing_else() {
        let coloured = sample().render(true);
        assert!(coloured.contains("\u{1b}[1m"));
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), sample().render(false));
    }

    #[test]
    fn a_file_s_name_cannot_control_a_terminal() {
        let whole = Diagnostic::whole(Path::new("a\u{1b}[2J\n.yaml"), "x", None);
        assert_eq!(Diagnostics::new(vec![whole]).to_string(), "a\u{fffd}[2J\u{fffd}.yaml: x");
    }

    #[test]
    fn a_refused_read_says_what_to_do() {
        let error = io::Error::from(io::ErrorKind::PermissionDenied);
        let shown = Diagnostic::unreadable(Path::new("secret"), &error);
        assert!(shown.what.contains("permission denied"), "{shown:?}");
        assert!(shown.hint.unwrap().contains("permission to read"));
    }
}
