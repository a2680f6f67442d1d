//! What is wrong with manifests, as a person reads it.

use std::fmt::{self, Write as _};
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use anstyle::{AnsiColor, Style};

use super::characters::harmless;
use super::hint::{FileHint, InputKind};

/// A line as it is shown, with what to underline. Nothing in it can move a terminal's cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Excerpt {
    pub(super) text: String,
    /// Cells before the underline.
    pub(super) indent: usize,
    /// Cells that are underlined.
    pub(super) length: usize,
}

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
    /// Set if the hint depends on the [`InputKind`]; `hint` is then the one for a file in a folder.
    pub(super) file_hint: Option<FileHint>,
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
            file_hint: None,
        }
    }

    /// An error about a file as a whole, with a hint.
    pub(super) fn of_file(file: &Path, what: impl Into<String>, hint: FileHint) -> Self {
        Self::whole(file, what, None).with_hint(hint)
    }

    pub(super) fn with_hint(self, hint: FileHint) -> Self {
        Self { file_hint: Some(hint), ..self }.for_input(InputKind::InFolder)
    }

    /// The same error with the hint for this kind of input.
    pub(super) fn for_input(self, input: InputKind) -> Self {
        match self.file_hint {
            Some(hint) => Self { hint: Some(hint.text(input).to_owned()), ..self },
            None => self,
        }
    }

    /// A path that cannot be read.
    pub(super) fn unreadable(path: &Path, error: &io::Error) -> Self {
        let kind = error.kind();
        if kind == io::ErrorKind::NotFound && path.is_symlink() {
            return Self::of_file(path, "this symbolic link leads nowhere", FileHint::Dangling);
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

    /// Writes the error with colours.
    fn write(&self, out: &mut String) -> fmt::Result {
        const PLACE: Style = Style::new().bold();
        const ERROR: Style = AnsiColor::Red.on_default().bold();
        const GUTTER: Style = AnsiColor::Blue.on_default().bold();
        writeln!(out, "{PLACE}{}:{PLACE:#} {ERROR}{}{ERROR:#}", self.place(), self.what)?;
        let number = if self.line == 0 { String::new() } else { self.line.to_string() };
        let width = number.len();
        if let Some(Excerpt { text, indent, length }) = &self.excerpt {
            writeln!(out, "{GUTTER}{number} |{GUTTER:#} {text}")?;
            let mark = "^".repeat(*length);
            let space = "";
            writeln!(
                out,
                "{space:width$}{GUTTER} |{GUTTER:#} {space:indent$}{ERROR}{mark}{ERROR:#}"
            )?;
        }
        if let Some(hint) = &self.hint {
            writeln!(out, "{:width$}{GUTTER} ={GUTTER:#} hint: {hint}", "")?;
        }
        if let Some(related) = &self.related {
            writeln!(out, "{:width$}{GUTTER} ={GUTTER:#} {}", "", related.sentence())?;
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
    let file: String = file.to_string_lossy().chars().map(harmless).collect();
    if line > 0 { format!("{file}:{line}:{column}") } else { file }
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

    /// All errors as text: `file:line:column: what`, the line with the offending text underlined,
    /// a hint, the other place. With `colour`, escape sequences for a terminal are added; those
    /// in a manifest or a file's name never get through.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let mut out = String::new();
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                out.push('\n');
            }
            // Writing to a string cannot fail.
            let _infallible = diagnostic.write(&mut out);
        }
        if colour { out } else { anstream::adapter::strip_str(&out).to_string() }
    }
}

impl Deref for Diagnostics {
    type Target = [Diagnostic];

    fn deref(&self) -> &[Diagnostic] {
        &self.0
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(false).trim_end())
    }
}

impl std::error::Error for Diagnostics {}

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
    fn an_error_is_shown_with_its_line_hint_and_related_place() {
        assert_eq!(
            sample().to_string(),
            "a.yaml: too large\n\
             \n\
             a.yaml:2:1: unknown field \"stat\"\n\
             2 | stat: live\n  | ^^^^\n  = hint: did you mean \"state\"?\n  = first given at a.yaml:1:1"
        );
    }

    #[test]
    fn place_and_excerpt_are_available_separately() {
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
