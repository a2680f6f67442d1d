//! What became of a request to change a product. A publish's job runs as long as the publish (seen
//! by clients).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::operation::{Ending, State};
use super::submission::{Conflict, signed};
use super::{Moment, Offer};
use crate::emulator::ids::guid;

/// What a job does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Work {
    /// Changes the draft: the ids of the resources.
    Edit(Vec<String>),
    /// The operation with this index.
    Operation(usize),
    /// Nothing: a publish of this version ran.
    InProgress(u64),
    /// Nothing: this version was not the latest.
    NotLatest(u64),
}

impl Work {
    /// The work that comes of a request about a version.
    pub(crate) fn refused(conflict: Conflict, version: u64) -> Self {
        match conflict {
            Conflict::InProgress(running) => Self::InProgress(running),
            Conflict::NotLatest => Self::NotLatest(version),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Job {
    pub id: String,
    pub started: Timestamp,
    pub work: Work,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobProgress {
    NotStarted,
    Running,
    /// It ended so, at a moment.
    Ended(Ending, Timestamp),
}

impl Job {
    pub(crate) fn progress(&self, offer: &Offer, moment: Moment<'_>) -> JobProgress {
        let delays = &moment.behaviour.ingestion.delays;
        if self.started.duration_until(moment.now) < signed(delays.running) {
            return JobProgress::NotStarted;
        }
        let index = match self.work {
            Work::Edit(_) => return JobProgress::Ended(Ending::Succeeded, self.started),
            Work::InProgress(_) | Work::NotLatest(_) => {
                return JobProgress::Ended(Ending::Failed, self.started);
            }
            Work::Operation(index) => index,
        };
        match offer.operations.get(index).map(|operation| operation.state) {
            Some(State::Ended { ending, at, .. })
                if at.duration_until(moment.now) >= signed(delays.job_ended) =>
            {
                JobProgress::Ended(ending, at)
            }
            Some(State::Running | State::Canceling { .. } | State::Ended { .. }) | None => {
                JobProgress::Running
            }
        }
    }
}

impl Offer {
    /// Adds a job about what the last request did.
    pub(crate) fn add_job(&mut self, work: Work, now: Timestamp) -> Job {
        let id = guid(&format!("job {} {}", self.name(), self.jobs.len()));
        let job = Job { id, started: now, work };
        self.jobs.push(job.clone());
        self.changes += 1;
        job
    }

    pub(crate) fn job(&self, id: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.id.eq_ignore_ascii_case(id))
    }
}
