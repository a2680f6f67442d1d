//! One stream of events in; text, JSON and progress out.

mod event;
mod json;
mod log;
mod marketplace_kind;
mod outcome;
mod progress;
mod style;
mod table;
mod text;

pub use event::{Event, Reporter, Reporters};
pub(crate) use json::{Note, apply_json, error_json, plan_json, status_json};
pub(crate) use log::LogReporter;
pub(crate) use marketplace_kind::{EMULATOR_NOTICE, MarketplaceKind, marketplace_name};
pub use outcome::Outcome;
pub(crate) use outcome::{Ending, Unfinished};
pub(crate) use progress::{Progress, ProgressLog};
pub(crate) use table::{apply_text, status_text};
pub(crate) use text::plan_text;
