//! The current against the desired position, as a unified diff of YAML.

use std::fmt::Write as _;

use similar::TextDiff;

use super::change::{Change, OfferPosition};

/// A unified diff from the offer's current to its target position; empty if they are equal or if
/// the current state is unknown.
pub(crate) fn diff(change: &Change) -> String {
    if change.from.state.is_none() {
        return String::new();
    }
    let (from, to) = (yaml(change, &change.from), yaml(change, &change.to));
    if from == to {
        return String::new();
    }
    let diff = TextDiff::from_lines(&from, &to);
    diff.unified_diff().context_radius(3).header("observed", "desired").to_string()
}

/// Plain scalars only: ids, words and integers need no quoting.
fn yaml(change: &Change, position: &OfferPosition) -> String {
    let offer = &change.offer;
    let mut text = format!("publisher: {}\noffer: {}\n", offer.publisher(), offer.offer());
    let versions =
        [("previewVersion", &position.preview_version), ("liveVersion", &position.live_version)];
    // Writing to a string can't fail.
    let _ = writeln!(text, "state: {}", position.state.unwrap_or("unknown"));
    for (name, version) in versions {
        if let Some(version) = version {
            let _ = writeln!(text, "{name}: {version}");
        }
    }
    text
}
