//! Which version goes live.

use std::sync::Arc;

use golive::emulator::ManualAction;
use golive::marketplace::Release;
use golive::status::{Phase, Reason};
use pretty_assertions::assert_eq;

use crate::harness::{Harness, RunOptions};
use crate::test_env::{live, manifest};

/// Version 2 is in preview; the publish of version 3 was canceled.
fn canceled_publish() -> Harness {
    let harness = Harness::vm("{previewVersion: 2, stepTime: 1h}");
    let hands = [
        ManualAction::StartPublish,
        ManualAction::Cancel,
        ManualAction::Finish,
        ManualAction::ShowStatus(Some("WaitingForPublisherReview".to_owned())),
    ];
    for hand in hands {
        // A cancel may end at once; then there is nothing to finish.
        drop(harness.emulator.by_hand("contoso/vm", hand));
    }
    harness
}

#[tokio::test(start_paused = true)]
async fn a_failed_publish_of_the_pinned_version_launches_no_other() {
    let harness = canceled_publish();
    // The record of a held offer isn't evidence for the version in preview.
    harness.manifest("vm.yaml", &live("contoso/vm", "suspend: true"));
    harness.once().await;
    assert_eq!(harness.phase("contoso/vm"), Phase::Held);
    harness.manifest("vm.yaml", &live("contoso/vm", "version: 3"));
    harness.until_done().await;
    assert_eq!(harness.golives("contoso/vm"), (0, 0));
    assert_eq!(harness.phase("contoso/vm"), Phase::Blocked);
    assert!(matches!(
        harness.record("contoso/vm").reason,
        Reason::VersionMismatch | Reason::UnknownStatus
    ));
}

#[tokio::test(start_paused = true)]
async fn a_pinned_version_that_is_in_preview_goes_live() {
    let harness = Harness::vm("{previewVersion: 2, liveVersion: 1}");
    harness.manifest("vm.yaml", &live("contoso/vm", "version: 2"));
    harness.until_done().await;
    let observed = harness.record("contoso/vm").observed.unwrap();
    assert_eq!(
        (harness.golives("contoso/vm"), observed.live.unwrap().as_str().parse::<u64>().unwrap()),
        ((1, 1), 2)
    );
}

#[tokio::test(start_paused = true)]
async fn a_preview_known_only_from_the_status_file_is_not_trusted() {
    let harness = Harness::new("offers: {contoso/vm: {previewVersion: 4, liveVersion: 1}}");
    harness.manifest("vm.yaml", &live("contoso/vm", "version: 5"));
    harness.once().await;
    assert_eq!(harness.record("contoso/vm").reason, Reason::VersionMismatch);
    harness.edit_status(|file| {
        let record = file.offers.values_mut().next().unwrap();
        Arc::make_mut(record).observed.as_mut().unwrap().preview = Some(Release::from(5));
    });
    harness.until_done().await;
    assert_eq!(harness.record("contoso/vm").reason, Reason::VersionMismatch);
    assert_eq!(harness.golives("contoso/vm"), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_newer_preview_is_launched_after_the_pin_is_removed() {
    for (state, more, phase) in
        [("live", "version: 1", Phase::Live), ("preview", "", Phase::Preview)]
    {
        let harness = Harness::new("offers: {contoso/vm: {previewVersion: 2, liveVersion: 1}}");
        // After a failed operation the status doesn't tell the version in preview.
        harness.emulator.by_hand("contoso/vm", ManualAction::StartGoLive).unwrap();
        harness.emulator.by_hand("contoso/vm", ManualAction::Fail("no".to_owned())).unwrap();
        harness.manifest("vm.yaml", &manifest("contoso/vm", state, more));
        harness.once().await;
        assert_eq!(harness.phase("contoso/vm"), phase, "{state} {more}");
        harness.manifest("vm.yaml", &live("contoso/vm", ""));
        harness.once().await;
        assert_eq!(harness.phase("contoso/vm"), Phase::Failed, "{state} {more}");
        harness.run(&RunOptions::until_done().with_retry()).await.unwrap();
        assert_eq!(harness.emulator.truth("contoso/vm").unwrap().production, Some(2));
    }
}
