//! Errors for a person: what, why, what to do. The kind decides the exit code.

use std::fmt::Write as _;
use std::io::Write as _;

use super::{PROBLEM, USAGE, output};
use crate::manifest::Diagnostics;

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
    /// its causes.
    pub fn print(&self) {
        let mut stderr = anstream::stderr().lock();
        let red = anstyle::AnsiColor::Red.on_default().bold();
        let mut text = String::new();
        if let Self::Manifests(diagnostics) = self {
            text.push_str(&diagnostics.render(output::stderr_has_color()));
        }
        // Writing to a string can't fail.
        let _ = writeln!(text, "{red}error:{red:#} {self}");
        let mut told = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !told.contains(&cause_text) {
                let _ = writeln!(text, "  caused by: {cause_text}");
                told.push_str(&cause_text);
            }
            source = cause.source();
        }
        // Where standard error is closed, the exit code is all that is left to tell.
        drop(stderr.write_all(text.as_bytes()));
    }
}
