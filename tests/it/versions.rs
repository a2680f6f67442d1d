//! Which version goes live.

use std::sync::Arc;

use golive::emulator::ManualAction;
use golive::marketplace::Release;
use golive::status::{Phase, Reason};
use pretty_assertions::assert_eq;

use crate::lab::{Ask, Lab};
use crate::place::{live, manifest};

/// Version 2 is in preview; the publish of version 3 was canceled.
fn canceled_publish() -> Lab {
    let lab = Lab::vm("{previewVersion: 2, stepTime: 1h}");
    let hands = [
        ManualAction::StartPublish,
        ManualAction::Cancel,
        ManualAction::Finish,
        ManualAction::ShowStatus(Some("WaitingForPublisherReview".to_owned())),
    ];
    for hand in hands {
        // A cancel may be over at once, so that there is nothing left to finish.
        drop(lab.emulator.by_hand("contoso/vm", hand));
    }
    lab
}

#[tokio::test(start_paused = true)]
async fn a_pinned_version_that_was_published_in_vain_does_not_take_another_one_live() {
    let lab = canceled_publish();
    // The record of a held offer is no word on what is in preview.
    lab.manifest("vm.yaml", &live("contoso/vm", "suspend: true"));
    lab.once().await;
    assert_eq!(lab.phase("contoso/vm"), Phase::Held);
    lab.manifest("vm.yaml", &live("contoso/vm", "version: 3"));
    lab.to_the_end().await;
    assert_eq!(lab.golives("contoso/vm"), (0, 0));
    assert_eq!(lab.phase("contoso/vm"), Phase::Blocked);
    assert!(matches!(
        lab.record("contoso/vm").reason,
        Reason::VersionMismatch | Reason::UnknownStatus
    ));
}

#[tokio::test(start_paused = true)]
async fn a_pinned_version_that_is_in_preview_goes_live() {
    let lab = Lab::vm("{previewVersion: 2, liveVersion: 1}");
    lab.manifest("vm.yaml", &live("contoso/vm", "version: 2"));
    lab.to_the_end().await;
    let observed = lab.record("contoso/vm").observed.unwrap();
    assert_eq!(
        (lab.golives("contoso/vm"), observed.live.unwrap().as_str().parse::<u64>().unwrap()),
        ((1, 1), 2)
    );
}

#[tokio::test(start_paused = true)]
async fn a_version_in_preview_that_only_the_status_file_names_is_not_believed() {
    let lab = Lab::new("offers: {contoso/vm: {previewVersion: 4, liveVersion: 1}}");
    lab.manifest("vm.yaml", &live("contoso/vm", "version: 5"));
    lab.once().await;
    assert_eq!(lab.record("contoso/vm").reason, Reason::VersionMismatch);
    lab.leave_status(|file| {
        let record = file.offers.values_mut().next().unwrap();
        Arc::make_mut(record).observed.as_mut().unwrap().preview = Some(Release::from(5));
    });
    lab.to_the_end().await;
    assert_eq!(lab.record("contoso/vm").reason, Reason::VersionMismatch);
    assert_eq!(lab.golives("contoso/vm"), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_newer_preview_is_seen_once_the_pin_is_gone() {
    for (state, more, phase) in
        [("live", "version: 1", Phase::Live), ("preview", "", Phase::Preview)]
    {
        let lab = Lab::new("offers: {contoso/vm: {previewVersion: 2, liveVersion: 1}}");
        // What runs, and fails, leaves a status that says nothing of the preview.
        lab.emulator.by_hand("contoso/vm", ManualAction::StartGoLive).unwrap();
        lab.emulator.by_hand("contoso/vm", ManualAction::Fail("no".to_owned())).unwrap();
        lab.manifest("vm.yaml", &manifest("contoso/vm", state, more));
        lab.once().await;
        assert_eq!(lab.phase("contoso/vm"), phase, "{state} {more}");
        lab.manifest("vm.yaml", &live("contoso/vm", ""));
        lab.once().await;
        assert_eq!(lab.phase("contoso/vm"), Phase::Failed, "{state} {more}");
        lab.run(&Ask::to_the_end().with_retry()).await.unwrap();
        assert_eq!(lab.emulator.truth("contoso/vm").unwrap().production, Some(2));
    }
}
