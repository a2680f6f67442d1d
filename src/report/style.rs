//! Colors. They are always written; the output stream strips them where they don't belong.

use anstyle::{AnsiColor, Style};

use crate::changes::Decision;
use crate::status::Phase;

pub(super) const PLAIN: Style = Style::new();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const BOLD: Style = Style::new().bold();
pub(super) const GREEN: Style = AnsiColor::Green.on_default();
pub(super) const RED: Style = AnsiColor::Red.on_default();
pub(super) const YELLOW: Style = AnsiColor::Yellow.on_default();
pub(super) const CYAN: Style = AnsiColor::Cyan.on_default();

pub(super) fn paint(style: Style, text: &str) -> String {
    if style.is_plain() { text.to_owned() } else { format!("{style}{text}{style:#}") }
}

pub(super) fn of_phase(phase: Phase) -> Style {
    match phase {
        Phase::Live | Phase::Preview => GREEN,
        Phase::Triggering | Phase::InProgress => CYAN,
        Phase::Held => YELLOW,
        Phase::Blocked | Phase::Failed => RED,
    }
}

pub(super) fn of_decision(decision: &Decision) -> Style {
    match decision {
        Decision::GoLive { .. } | Decision::Publish { .. } => BOLD,
        Decision::Track(_) => CYAN,
        Decision::InSync(_) => DIM,
        Decision::Held(_) => YELLOW,
        Decision::Blocked(_) | Decision::Failed(_) => RED,
    }
}
