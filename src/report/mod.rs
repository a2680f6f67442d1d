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
pub use json::{apply_json, error_json, plan_json, status_json};
pub use log::LogReporter;
pub use marketplace_kind::{MarketplaceKind, REHEARSAL, marketplace_name};
pub use outcome::{Ending, Outcome, Unfinished};
pub use progress::{Progress, ProgressLog};
pub use table::{apply_text, status_text};
pub use text::plan_text;
