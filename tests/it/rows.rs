//! Every state of an offer, at once: the table of decisions, on one marketplace.

use golive::emulator::ManualAction;

use crate::test_env::{TestEnv, manifest};

/// One offer: its manifest, its state at the marketplace, and the expected decision.
pub(crate) struct Row {
    pub(crate) offer: &'static str,
    state: &'static str,
    /// More lines of the manifest.
    more: &'static str,
    /// The offer in the seed; `None` if the marketplace doesn't have it.
    seed: Option<&'static str>,
    pub(crate) action: &'static str,
    pub(crate) reason: &'static str,
}

const fn row(
    offer: &'static str,
    (state, more): (&'static str, &'static str),
    seed: Option<&'static str>,
    (action, reason): (&'static str, &'static str),
) -> Row {
    Row { offer, state, more, seed, action, reason }
}

const LIVE: (&str, &str) = ("live", "");
const PREVIEW: (&str, &str) = ("preview", "");
const IN_PREVIEW: Option<&str> = Some("{}");
const FAR: &str = "notBefore: 2999-01-01T00:00:00Z";

pub(crate) const ROWS: [Row; 23] = [
    // 1: an operation runs, started by another client.
    row(
        "contoso/golive-runs",
        LIVE,
        Some("{status: Running, previewVersion: 1, stepTime: 1h}"),
        ("Track", "GoLiveRunning"),
    ),
    row(
        "contoso/publish-runs",
        LIVE,
        Some("{status: Running, operation: publish, stepTime: 1h}"),
        ("Track", "PublishRunning"),
    ),
    // 2: forbidden, or missing.
    row("contoso/missing", LIVE, None, ("Blocked", "NotFound")),
    row("fabrikam/forbidden", LIVE, None, ("Blocked", "Forbidden")),
    row("nobody/vm", LIVE, None, ("Blocked", "NotFound")),
    // 3: as desired.
    row(
        "contoso/live",
        LIVE,
        Some("{previewVersion: 2, liveVersion: 2}"),
        ("InSync", "InProduction"),
    ),
    row(
        "contoso/published",
        LIVE,
        Some("{previewVersion: 2, liveVersion: 2, listStatus: published}"),
        ("InSync", "InProduction"),
    ),
    row(
        "contoso/pinned-live",
        ("live", "version: 1"),
        Some("{previewVersion: 2, liveVersion: 1}"),
        ("InSync", "InProduction"),
    ),
    row("contoso/preview", PREVIEW, IN_PREVIEW, ("InSync", "InPreview")),
    row(
        "contoso/live-not-preview",
        PREVIEW,
        Some("{previewVersion: 4, liveVersion: 4}"),
        ("InSync", "AlreadyLive"),
    ),
    // 4: held by its manifest.
    row("contoso/suspended", ("live", "suspend: true"), IN_PREVIEW, ("Held", "Suspended")),
    row("contoso/scheduled", ("live", FAR), IN_PREVIEW, ("Held", "Scheduled")),
    row(
        "contoso/waiting",
        ("live", "after: [contoso/suspended]"),
        IN_PREVIEW,
        ("Held", "WaitingForDependency"),
    ),
    // 5: the last attempt failed or was canceled.
    row(
        "contoso/failed",
        LIVE,
        Some("{status: Failed, previewVersion: 1}"),
        ("Failed", "OperationFailed"),
    ),
    row(
        "contoso/canceled",
        LIVE,
        Some("{status: Canceled, previewVersion: 1}"),
        ("Failed", "OperationCanceled"),
    ),
    row(
        "contoso/failed-publish",
        PREVIEW,
        Some("{status: Failed, operation: publish}"),
        ("Failed", "OperationFailed"),
    ),
    // 6: another version than the pinned one.
    row(
        "contoso/pinned-otherwise",
        ("live", "version: 9"),
        Some("{previewVersion: 2}"),
        ("Blocked", "VersionMismatch"),
    ),
    // 7: will go live.
    row("contoso/first", LIVE, IN_PREVIEW, ("GoLive", "GoLivePending")),
    row(
        "contoso/newer",
        LIVE,
        Some("{previewVersion: 3, liveVersion: 2}"),
        ("GoLive", "GoLivePending"),
    ),
    row(
        "contoso/pinned",
        ("live", "version: 5"),
        Some("{previewVersion: 5, liveVersion: 2}"),
        ("GoLive", "GoLivePending"),
    ),
    // 8: never in preview.
    row("contoso/draft", PREVIEW, Some("{status: NeverPublished}"), ("Publish", "PublishPending")),
    row(
        "contoso/draft-not-live",
        LIVE,
        Some("{status: NeverPublished}"),
        ("Blocked", "NotInPreview"),
    ),
    // 9: anything else: an unknown status without a waiting sign-off.
    row("contoso/odd", LIVE, Some("{status: NotStarted}"), ("Blocked", "UnknownStatus")),
];

/// The offers that will go live.
pub(crate) const TO_GO_LIVE: [&str; 3] = ["contoso/first", "contoso/newer", "contoso/pinned"];

/// All rows: a manifest each, and a marketplace.
pub(crate) fn env() -> TestEnv {
    let seeds: Vec<_> =
        ROWS.iter().filter_map(|row| Some(format!("  {}: {}\n", row.offer, row.seed?))).collect();
    let env = TestEnv::with_seed(&format!("forbidden: [fabrikam]\noffers:\n{}", seeds.concat()));
    for row in &ROWS {
        let name = format!("{}.yaml", row.offer);
        env.write(&name, manifest(row.offer, row.state, row.more));
    }
    let odd = ManualAction::ShowStatus(Some("Levitating \u{1b}[31m".to_owned()));
    env.emulator().by_hand("contoso/odd", odd).unwrap();
    env
}
