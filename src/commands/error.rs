//! Errors for a person: what, why, what to do. The kind decides the exit code.

use std::fmt::Write as _;
use std::io::Write as _;

use serde_json::{Value, json};

use super::{PROBLEM, USAGE, output};
use crate::cli::LogFormat;
use crate::clock::{Clock, SystemClock};
use crate::manifest::{Diagnostic, Diagnostics};
use crate::marketplace::clean_line;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// The command line is wrong.
    #[error("{0}")]
    Usage(String),
    /// Manifests are invalid.
    #[error("{}; nothing was sent", count(.0))]
    Manifests(Diagnostics),
    /// Anything else.
    #[error("{what}")]
    Failed {
        /// What failed.
        what: String,
        /// Why.
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

/// A manifest's error; without line and column if it is about the whole file.
fn diagnostic_json(diagnostic: &Diagnostic) -> Value {
    let mut value = json!({
        "file": clean_line(&diagnostic.file.to_string_lossy()),
        "error": diagnostic.what,
    });
    if diagnostic.line > 0 {
        value["line"] = json!(diagnostic.line);
        value["column"] = json!(diagnostic.column);
    }
    if let Some(hint) = &diagnostic.hint {
        value["hint"] = json!(hint);
    }
    if let Some(related) = &diagnostic.related {
        value["related"] = json!(related.sentence());
    }
    value
}

/// A line of the JSON log, with these fields besides its message.
fn log_line(clock: &dyn Clock, message: &str, mut fields: Value) -> String {
    fields["timestamp"] = json!(format!("{:.3}", clock.now()));
    fields["level"] = json!("ERROR");
    fields["message"] = json!(message);
    format!("{fields}\n")
}

impl CommandError {
    /// An error whose own text says enough.
    pub(super) fn failed(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        let what = source.to_string();
        Self::Failed { what, source: Some(Box::new(source)) }
    }

    /// An error with a text of its own about its cause.
    pub(super) fn because(
        what: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Failed { what: what.into(), source: Some(Box::new(source)) }
    }

    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Manifests(_) | Self::Failed { .. } => PROBLEM,
        }
    }

    /// Prints to standard error: the manifests' errors with their lines, then the sentence, then its
    /// causes; or with a JSON log, a line of it for each.
    pub(super) fn print(&self, format: LogFormat) {
        let text = match format {
            LogFormat::Text => self.to_text(),
            LogFormat::Json => self.to_log_lines(&SystemClock),
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

    /// The causes, the nearest first, without those whose text was in an earlier one.
    fn causes(&self) -> Vec<String> {
        let (mut said, mut causes) = (self.to_string(), Vec::new());
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            let text = cause.to_string();
            if !said.contains(&text) {
                said.push_str(&text);
                causes.push(text);
            }
            source = cause.source();
        }
        causes
    }

    fn to_log_lines(&self, clock: &dyn Clock) -> String {
        let mut text = String::new();
        if let Self::Manifests(diagnostics) = self {
            for problem in diagnostics.iter() {
                let message = format!("{}: {}", problem.place(), problem.what);
                text.push_str(&log_line(clock, &message, diagnostic_json(problem)));
            }
        }
        let fields = json!({"causes": self.causes(), "exitCode": self.exit_code()});
        text + &log_line(clock, &self.to_string(), fields)
    }

    /// The error as a part of a JSON document.
    pub(super) fn to_json(&self) -> Value {
        let mut error = json!({"message": self.to_string(), "causes": self.causes()});
        if let Self::Manifests(diagnostics) = self {
            error["manifests"] = diagnostics.iter().map(diagnostic_json).collect();
        }
        error
    }
}
