//! Errors for a person: what, why, what to do. The kind decides the exit code.

use std::fmt::Write as _;
use std::io::Write as _;

use serde_json::{Value, json};

use super::{PROBLEM, USAGE, output};
use crate::cli::LogFormat;
use crate::clock::{Clock, SystemClock};
use crate::manifest::{Diagnostic, Diagnostics};
use crate::marketplace::clean_line;

/// Why a command came to no result.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The command line asks for something that can't be.
    #[error("{0}")]
    Usage(String),
    /// Manifests are invalid.
    #[error("{}; nothing was sent", count(.0))]
    Manifests(Diagnostics),
    /// Anything else.
    #[error("{what}")]
    Failed {
        /// What was to be done.
        what: String,
        /// Why it could not be.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

fn count(diagnostics: &Diagnostics) -> String {
    match diagnostics.len() {
        1 => "1 error".to_owned(),
        more => format!("{more} errors"),
    }
}

/// An error of a manifest, with its place; line and column are absent where it is about a file as a
/// whole.
fn told(problem: &Diagnostic) -> Value {
    let file = problem.file.to_string_lossy();
    let mut told = json!({"file": clean_line(&file), "error": problem.what});
    if let Value::Object(told) = &mut told {
        if problem.line > 0 {
            told.insert("line".to_owned(), json!(problem.line));
            told.insert("column".to_owned(), json!(problem.column));
        }
        if let Some(hint) = &problem.hint {
            told.insert("hint".to_owned(), json!(hint));
        }
        if let Some(related) = &problem.related {
            told.insert("related".to_owned(), json!(related.sentence()));
        }
    }
    told
}

/// A line of the log, with these fields beside its message.
fn write_line(text: &mut String, clock: &dyn Clock, message: &str, mut line: Value) {
    if let Value::Object(line) = &mut line {
        line.insert("timestamp".to_owned(), json!(format!("{:.3}", clock.now())));
        line.insert("level".to_owned(), json!("ERROR"));
        line.insert("message".to_owned(), json!(message));
    }
    // Writing to a string can't fail.
    let _ = writeln!(text, "{line}");
}

impl CommandError {
    /// An error that speaks for itself.
    pub(super) fn failed(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        // The source is told as it is: its own message first, then its causes.
        let what = source.to_string();
        Self::Failed { what, source: Some(Box::new(source)) }
    }

    /// An error that adds what was to be done to its cause.
    pub(super) fn because(
        what: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Failed { what: what.into(), source: Some(Box::new(source)) }
    }

    /// The exit code that stands for this kind.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Manifests(_) | Self::Failed { .. } => PROBLEM,
        }
    }

    /// Tells it on standard error: the manifests' errors with their lines, then the sentence, then
    /// its causes. In a log of JSON, each of them is a line of it.
    pub fn print(&self, format: LogFormat) {
        let text = match format {
            LogFormat::Text => self.to_text(),
            LogFormat::Json => self.to_lines(&SystemClock),
        };
        // Where standard error is closed, the exit code is all that is left to tell.
        drop(anstream::stderr().lock().write_all(text.as_bytes()));
    }

    fn to_text(&self) -> String {
        let red = anstyle::AnsiColor::Red.on_default().bold();
        let mut text = String::new();
        if let Self::Manifests(diagnostics) = self {
            text.push_str(&diagnostics.render(output::stderr_has_color()));
        }
        // Writing to a string can't fail.
        let _ = writeln!(text, "{red}error:{red:#} {self}");
        for cause in self.causes() {
            let _ = writeln!(text, "  caused by: {cause}");
        }
        text
    }

    /// The causes that say something new, the nearest first.
    fn causes(&self) -> Vec<String> {
        let (mut told, mut causes) = (self.to_string(), Vec::new());
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            let text = cause.to_string();
            if !told.contains(&text) {
                told.push_str(&text);
                causes.push(text);
            }
            source = cause.source();
        }
        causes
    }

    /// Lines as those of the log.
    fn to_lines(&self, clock: &dyn Clock) -> String {
        let mut text = String::new();
        if let Self::Manifests(diagnostics) = self {
            for problem in diagnostics.iter() {
                let message = format!("{}: {}", problem.place(), problem.what);
                write_line(&mut text, clock, &message, told(problem));
            }
        }
        let fields = json!({"causes": self.causes(), "exitCode": self.exit_code()});
        write_line(&mut text, clock, &self.to_string(), fields);
        text
    }

    /// The same as a part of a JSON document.
    pub(super) fn to_json(&self) -> Value {
        let mut error = json!({"message": self.to_string(), "causes": self.causes()});
        if let (Self::Manifests(diagnostics), Value::Object(error)) = (self, &mut error) {
            let manifests: Vec<Value> = diagnostics.iter().map(told).collect();
            error.insert("manifests".to_owned(), json!(manifests));
        }
        error
    }
}
