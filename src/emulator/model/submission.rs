//! An offer as submissions: what the Product Ingestion API makes of the same publishes and golives.
//!
//! A golive makes no submission: the preview's turns into the live one, with the same number
//! (documented by example, seen by clients).

use jiff::{SignedDuration, Timestamp};

use super::operation::{Ending, State};
use super::{Moment, Offer, Operation};
use crate::emulator::seed::ingestion::{Delays, FailedAgain};
use crate::emulator::seed::{Kind, SeedDuration};

/// What numbers begin with: beyond 2^53, with 19 digits, as they were seen by clients.
const FIRST_NUMBER: u64 = 1_152_921_504_606_846_976;

/// Numbers from here on have 19 digits.
const NINETEEN_DIGITS: u64 = 1_000_000_000_000_000_000;

/// The number of a version's submission. A version of 19 digits is its own number.
pub(crate) fn number(version: u64) -> u64 {
    if version < NINETEEN_DIGITS { FIRST_NUMBER + version } else { version }
}

/// How far a submission is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Running,
    Succeeded,
    Failed,
}

/// A release on its way to a target, or there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Submission {
    pub version: u64,
    pub progress: Progress,
    /// When it was sent there. The reference tells it as the day of the push.
    pub created: Timestamp,
}

/// Where the releases of an offer stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The newest release that was sent to preview, whatever became of it. A canceled one is
    /// forgotten (inferred: no source has a submission that says so).
    pub preview: Option<Submission>,
    /// The release that preview shows: the newest one that got there.
    pub in_preview: Option<Submission>,
    /// The release that is live.
    pub live: Option<Submission>,
    /// The release that was live before.
    pub live_before: Option<Submission>,
    /// A push to live that runs, or that failed and that no newer preview replaced.
    pub attempt: Option<Submission>,
}

/// From when on an observer sees what happens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight {
    pub at: Timestamp,
    /// How long the start of an operation stays unseen.
    start: SignedDuration,
    /// How long the end of an operation stays unseen.
    end: SignedDuration,
}

impl Sight {
    /// Sees all.
    pub(crate) fn clear(at: Timestamp) -> Self {
        Self { at, start: SignedDuration::ZERO, end: SignedDuration::ZERO }
    }

    /// Sees what the list of submissions shows.
    pub(crate) fn of_submissions(moment: Moment<'_>) -> Self {
        let answers = &moment.behaviour.ingestion;
        let at = before(moment.now, answers.lag);
        let Delays { listed, ended, .. } = answers.delays;
        Self { at, start: signed(listed), end: signed(ended) }
    }

    /// Sees what the resource tree shows.
    pub(crate) fn of_trees(moment: Moment<'_>) -> Self {
        let Delays { listed, tree, .. } = moment.behaviour.ingestion.delays;
        Self { at: moment.now, start: signed(listed), end: signed(tree) }
    }

    fn sees_start(self, operation: &Operation) -> bool {
        operation.started.duration_until(self.at) >= self.start
    }

    /// How an operation ended, if that shows.
    fn ending(self, operation: &Operation) -> Option<Ending> {
        match operation.state {
            State::Running | State::Canceling { .. } => None,
            State::Ended { ending, at, .. } => {
                (at.duration_until(self.at) >= self.end).then_some(ending)
            }
        }
    }
}

/// A duration of the seed; none is no time.
pub(crate) fn signed(duration: Option<SeedDuration>) -> SignedDuration {
    duration.map_or(SignedDuration::ZERO, SeedDuration::signed)
}

fn before(now: Timestamp, lag: Option<SeedDuration>) -> Timestamp {
    now.checked_sub(signed(lag)).unwrap_or(Timestamp::MIN)
}

impl Standing {
    pub(crate) fn of(offer: &Offer, sight: Sight) -> Self {
        let mut standing = Self::default();
        for operation in offer.operations.iter().filter(|own| sight.sees_start(own)) {
            let progress = match sight.ending(operation) {
                None => Progress::Running,
                Some(Ending::Succeeded) => Progress::Succeeded,
                Some(Ending::Failed) => Progress::Failed,
                Some(Ending::Canceled) => continue,
            };
            let version = operation.version;
            let submission = Submission { version, progress, created: operation.started };
            match (operation.kind, progress) {
                (Kind::Publish, _) => {
                    standing.preview = Some(submission);
                    standing.attempt = None;
                    if progress == Progress::Succeeded {
                        standing.in_preview = Some(submission);
                    }
                }
                (Kind::GoLive, Progress::Running | Progress::Failed) => {
                    standing.attempt = Some(submission);
                }
                (Kind::GoLive, Progress::Succeeded) => {
                    standing.live_before = standing.live.filter(|before| before.version != version);
                    (standing.live, standing.attempt) = (Some(submission), None);
                }
            }
        }
        standing
    }

    /// Whether a release went on from preview to live, whatever became of it.
    pub(crate) fn went_on(&self, version: u64) -> bool {
        [self.live, self.attempt].into_iter().flatten().any(|own| own.version == version)
    }
}

/// Why a publish or a push to live has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conflict {
    /// A publish of this version runs.
    InProgress(u64),
    /// The release is not the newest in preview, or is live already.
    NotLatest,
}

impl Offer {
    /// Sends the draft to preview.
    pub(crate) fn send_to_preview(&mut self, moment: Moment<'_>) -> Result<(), Conflict> {
        if let Some(running) = self.running() {
            return Err(Conflict::InProgress(running.version));
        }
        self.publish(moment).map_err(|_| Conflict::NotLatest)
    }

    /// Sends a release from preview to live.
    pub(crate) fn send_to_live(
        &mut self,
        version: u64,
        moment: Moment<'_>,
    ) -> Result<(), Conflict> {
        self.may_be_sent_to_live(version, moment)?;
        self.break_off(moment.now);
        // After a failed publish or golive, the model may have gone back to another release.
        self.preview = Some(version);
        self.start(Kind::GoLive, version, moment);
        Ok(())
    }

    /// Whether sending a release to live would start something.
    pub(crate) fn may_be_sent_to_live(
        &self,
        version: u64,
        moment: Moment<'_>,
    ) -> Result<(), Conflict> {
        let behaviour = moment.behaviour;
        let standing = Standing::of(self, Sight::clear(moment.now));
        let is_newest = standing.preview.is_some_and(|preview| {
            preview.version == version && preview.progress == Progress::Succeeded
        });
        if behaviour.accepts_second_golive() && is_newest {
            return Ok(());
        }
        if let Some(running) = self.running() {
            return Err(Conflict::InProgress(running.version));
        }
        let is_live = standing.live.is_some_and(|live| live.version == version);
        let failed = standing.attempt.is_some_and(|attempt| attempt.version == version);
        let may_repeat = behaviour.ingestion.failed_again != Some(FailedAgain::Conflict);
        if is_newest && !is_live && (!failed || may_repeat) {
            Ok(())
        } else {
            Err(Conflict::NotLatest)
        }
    }
}
