//! Which versions are in an offer's slots at first, and what happened last.

use super::offer::{Kind, OfferSeed, StartStatus};

/// An offer's start, every default filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InitialState {
    pub status: StartStatus,
    pub preview: Option<u64>,
    pub live: Option<u64>,
    /// What runs, failed or was canceled.
    pub last: Option<Kind>,
}

impl InitialState {
    /// Fails, with a message, where the entry contradicts itself.
    pub(crate) fn check(seed: &OfferSeed) -> Result<(), String> {
        Self::of(seed, |_, after| after.map_or(1, |after| after.saturating_add(1))).map(drop)
    }

    /// `number` gives the offer's n-th release a number that is higher than the given one.
    pub(crate) fn of(
        seed: &OfferSeed,
        number: impl Fn(u64, Option<u64>) -> u64,
    ) -> Result<Self, String> {
        let (preview, live) = (seed.preview_version, seed.live_version);
        if preview == Some(0) || live == Some(0) {
            return Err("versions start at 1".to_owned());
        }
        if let (Some(preview), Some(live)) = (preview, live)
            && preview < live
        {
            return Err(format!("previewVersion {preview} is older than liveVersion {live}"));
        }
        // `None` sorts before every version.
        let preview_is_newer = preview > live;
        let all_live = live.is_some() && !preview_is_newer;
        let status = seed.status.unwrap_or(if all_live {
            StartStatus::Succeeded
        } else {
            StartStatus::WaitingForPublisherReview
        });
        let newer = || Some(preview.unwrap_or_else(|| number(1, live)));
        let nothing_newer = all_live && preview.is_some();
        let (preview, live, last) = match status {
            StartStatus::NeverPublished if preview.or(live).is_some() => {
                return Err("NeverPublished, yet there is a version in a slot".to_owned());
            }
            StartStatus::NeverPublished => (None, None, None),
            StartStatus::WaitingForPublisherReview if nothing_newer => {
                let needs = "needs a previewVersion newer than liveVersion";
                return Err(format!("WaitingForPublisherReview {needs}"));
            }
            StartStatus::WaitingForPublisherReview => (newer(), live, None),
            StartStatus::Succeeded if preview.or(live).is_none() => {
                let first = Some(number(0, None));
                (first, first, None)
            }
            StartStatus::NotStarted | StartStatus::Succeeded => (preview.or(live), live, None),
            StartStatus::Running | StartStatus::Canceled | StartStatus::Failed => {
                let default = if preview_is_newer { Kind::GoLive } else { Kind::Publish };
                let kind = seed.operation.unwrap_or(default);
                match kind {
                    Kind::GoLive if nothing_newer => {
                        let needs = "needs a previewVersion newer than liveVersion";
                        return Err(format!("a golive {needs}"));
                    }
                    Kind::GoLive => (newer(), live, Some(kind)),
                    Kind::Publish => (preview.or(live), live, Some(kind)),
                }
            }
        };
        if seed.operation.is_some() && last.is_none() {
            return Err("operation goes with the status Running, Failed or Canceled".to_owned());
        }
        Ok(Self { status, preview, live, last })
    }
}
