//! Colors, in one place. They are written always; the stream strips them where they don't belong.

use anstyle::{AnsiColor, Style};

use crate::changes::Decision;
use crate::status::Phase;

/// Plain.
pub(super) const PLAIN: Style = Style::new();
/// Of less interest.
pub(super) const DIM: Style = Style::new().dimmed();
/// Of more interest.
pub(super) const BOLD: Style = Style::new().bold();
/// Good, or added.
pub(super) const GREEN: Style = AnsiColor::Green.on_default();
/// Bad, or removed.
pub(super) const RED: Style = AnsiColor::Red.on_default();
/// Held.
pub(super) const YELLOW: Style = AnsiColor::Yellow.on_default();
/// Moving.
pub(super) const CYAN: Style = AnsiColor::Cyan.on_default();

/// A text in a style.
pub(super) fn paint(style: Style, text: &str) -> String {
    if style.is_plain() { text.to_owned() } else { format!("{style}{text}{style:#}") }
}

/// The style of a phase.
pub(super) fn of_phase(phase: Phase) -> Style {
    match phase {
        Phase::Live | Phase::Preview => GREEN,
        Phase::Triggering | Phase::InProgress => CYAN,
        Phase::Held => YELLOW,
        Phase::Blocked | Phase::Failed => RED,
    }
}

/// The style of a decision.
pub(super) fn of_decision(decision: &Decision) -> Style {
    match decision {
        Decision::GoLive { .. } | Decision::Publish { .. } => BOLD,
        Decision::Track(_) => CYAN,
        Decision::InSync(_) => DIM,
        Decision::Held(_) => YELLOW,
        Decision::Blocked(_) | Decision::Failed(_) => RED,
    }
}
