//! The checks after the offers have converged.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use golive::emulator::{Ending, GroundTruth, Kind, Run};
use golive::marketplace::{Api, OfferId, OperationStatus, RequestId};
use golive::status::{OfferRecord, OperationRecord, Phase, Reason, StatusFile};
use jiff::Timestamp;

use super::checker::{Accepted, Checker, number};
use super::recorded_ends::fits;
use super::scenario::{Manifest, name, publisher};
use super::schedule::FaultPoint;
use super::sim::{Sim, start};

/// A launch date may have passed this long ago and still have been ahead in the last run.
const MARGIN: Duration = Duration::from_mins(10);

/// Requests per run for an offer that is not as desired, besides the list.
const MAX_REQUESTS: usize = 6;

/// Checks that every offer is as its manifest wants, or its record says why not.
pub(crate) fn check_converged(sim: &Sim) -> Result<(), String> {
    let checker = sim.checker();
    let empty = || Arc::new(StatusFile::empty(sim.now()));
    let status = checker.status.clone().unwrap_or_else(empty);
    for number in 0..sim.scenario.offers.len() {
        let offer = name(number);
        let truth = sim.emulator.truth(&offer).ok_or("the offer is gone")?;
        let record = status.offers.get(&offer.parse().unwrap());
        let Some(manifest) = sim.manifest(number) else {
            if truth.last_run().is_none_or(|last| last.ending.is_some()) && record.is_some() {
                return Err(format!("{offer} has a record, and no manifest"));
            }
            continue;
        };
        let record = record.ok_or(format!("{offer} has no record"))?;
        let state =
            FinalState { sim, checker: &checker, number, offer: &offer, truth, manifest, record };
        state.check_nothing_runs()?;
        state.check_accepted_recorded()?;
        state.check_launched()?;
        state.check_live_phase()?;
    }
    Ok(())
}

/// Whether an offer's launch date passed since `began`, or just before.
pub(crate) fn launch_date_passed(sim: &Sim, began: Timestamp) -> bool {
    let dates =
        (0..sim.scenario.offers.len()).filter_map(|number| sim.manifest(number)?.not_before);
    dates.map(|after| start() + after).any(|date| date + MARGIN > began && date <= sim.now())
}

/// Checks the requests of a run with nothing to do: one list per publisher, and a few for offers that
/// are not as desired.
pub(crate) fn check_few_requests(sim: &Sim, points: &[FaultPoint]) -> Result<(), String> {
    let checker = sim.checker();
    let records = checker.status.as_ref().map(|file| file.offers.clone()).unwrap_or_default();
    let count = |is_counted: &dyn Fn(&str) -> bool| {
        points.iter().filter(|point| is_counted(&point.what)).count()
    };
    let lists = count(&|what| matches!(what, "GET offers" | "GET product"));
    let is_managed = |number: usize| sim.manifest(number).is_some();
    let managed = (0..sim.scenario.offers.len()).filter(|number| is_managed(*number));
    let publishers: BTreeSet<_> = managed.map(publisher).collect();
    // The GUIDs of products are remembered, so that their lists aren't needed; each offer is.
    let (expected_lists, in_sync) = match sim.scenario.api {
        Api::CloudPartnerPortal => (publishers.len(), 0),
        // Where a page has one submission, there are several.
        Api::ProductIngestion if sim.scenario.answers.contains("pageSize") => (0, MAX_REQUESTS),
        Api::ProductIngestion => (0, 1),
    };
    if lists > expected_lists {
        return Err(format!("asks {lists} times for the list"));
    }
    if count(&|what| what.starts_with("POST")) > 0 {
        return Err("starts something".to_owned());
    }
    for number in (0..sim.scenario.offers.len()).filter(|number| is_managed(*number)) {
        let offer: OfferId = name(number).parse().unwrap();
        let record = records.get(&offer).ok_or(format!("leaves {offer} without a record"))?;
        let is_of_it = |what: &str| what.split(['/', '$']).any(|part| part == offer.offer());
        let requests = count(&|what| what.starts_with("GET") && is_of_it(what));
        let most = match record.phase {
            Phase::Live | Phase::Preview => in_sync,
            // In doubt after a second attempt: left to people.
            Phase::Triggering if record.intent.as_ref().is_some_and(|it| it.attempt > 1) => {
                continue;
            }
            Phase::Triggering | Phase::InProgress => return Err(format!("leaves {offer}")),
            Phase::Held | Phase::Blocked | Phase::Failed => MAX_REQUESTS,
        };
        if requests > most {
            return Err(format!("asks {requests} times for {offer}: {}", brief(record)));
        }
    }
    Ok(())
}

/// One offer after convergence.
struct FinalState<'a> {
    sim: &'a Sim,
    checker: &'a Checker,
    number: usize,
    offer: &'a str,
    truth: GroundTruth,
    manifest: Manifest,
    record: &'a OfferRecord,
}

impl FinalState<'_> {
    fn check_nothing_runs(&self) -> Result<(), String> {
        let Self { offer, truth, record, .. } = self;
        if let Some(run) = truth.last_run().filter(|run| run.ending.is_none()) {
            return Err(format!("{offer} has an operation that runs: {run:?}"));
        }
        // In doubt after two requests without a trace: left to people.
        let is_left = record.intent.as_ref().is_some_and(|intent| intent.attempt > 1);
        if (record.intent.is_some() && !is_left) || record.running().is_some() {
            return Err(format!("{offer} is not done: {}", brief(record)));
        }
        Ok(())
    }

    fn check_accepted_recorded(&self) -> Result<(), String> {
        let Self { checker, offer, truth, record, .. } = self;
        for accepted in checker.accepted.get(*offer).into_iter().flatten() {
            let run = truth.runs.iter().find(|run| run.id == accepted.id);
            if self.leaves_no_trace(run) {
                continue;
            }
            if !is_on_record(record, accepted, truth) {
                let record = brief(record);
                return Err(format!("{offer}: the accepted {run:?} was lost: {record}"));
            }
        }
        Ok(())
    }

    /// Whether the submissions no longer show an operation: one that was canceled.
    fn leaves_no_trace(&self, run: Option<&Run>) -> bool {
        self.sim.scenario.api == Api::ProductIngestion
            && run.is_some_and(|run| run.ending == Some(Ending::Canceled))
    }

    /// Whether the live release was sent to live again, and that failed: its one submission can't show
    /// both.
    fn has_ended_twice(&self) -> bool {
        let version = self.truth.production.unwrap_or_default();
        self.sim.scenario.api == Api::ProductIngestion
            && self
                .truth
                .last_golive(version)
                .is_some_and(|run| run.ending != Some(Ending::Succeeded))
    }

    /// Whether golive could never read that its request was refused, because another release overtook
    /// it. Then the request counts as canceled.
    fn has_unread_refusal(&self) -> bool {
        self.sim.scenario.answers.contains("jobStatus")
            && self.record.phase == Phase::Failed
            && self.record.operation.is_none()
    }

    fn check_launched(&self) -> Result<(), String> {
        let Self { offer, truth, record, .. } = self;
        let Some(version) = truth.waiting else { return Ok(()) };
        let publish_failed = truth.last_run().is_some_and(|last| {
            last.kind == Kind::Publish && last.ending != Some(Ending::Succeeded)
        });
        let stands = truth.last_golive(version).is_some_and(|last| self.holds_for_manifest(last));
        // In doubt after two requests without a trace: left to people.
        let is_left = record.intent.as_ref().is_some_and(|intent| intent.attempt > 1);
        let excused = stands || publish_failed || is_left || record.reason == Reason::Refused;
        if self.is_wanted(version) && !excused {
            return Err(format!(
                "{offer}: the launch of version {version} is lost: {}",
                brief(record)
            ));
        }
        Ok(())
    }

    /// Whether a failed attempt was made for the current manifest: then it is not repeated.
    fn holds_for_manifest(&self, attempt: &Run) -> bool {
        let digest = &self.record.manifest.digest;
        let known = self.record.operation.as_ref();
        let known = known.filter(|known| known.id.as_ref() == Some(&attempt.id));
        self.checker.holds_for_manifest(self.offer, &attempt.id, digest)
            && known.is_none_or(|known| known.manifest_digest == *digest)
    }

    /// Whether the manifest wants this version live now.
    fn is_wanted(&self, version: u64) -> bool {
        let Self { sim, manifest, number, .. } = self;
        let begun = |after: Duration| start() + after + MARGIN <= sim.now();
        let waits = manifest.waits && *number > 0 && self.predecessor_is_missing();
        manifest.live
            && !manifest.suspend
            && manifest.not_before.is_none_or(begun)
            && manifest.pin.is_none_or(|pin| pin == version)
            && !waits
    }

    /// Whether the previous offer has a manifest and is not live as it wants.
    fn predecessor_is_missing(&self) -> bool {
        let before = self.number - 1;
        let Some(Manifest { pin, .. }) = self.sim.manifest(before) else { return false };
        let Some(truth) = self.sim.emulator.truth(&name(before)) else { return true };
        let id: OfferId = name(before).parse().unwrap();
        let status = self.checker.status.as_ref();
        // Its newest release failed, and the offer fell back to the previous one.
        if status.is_some_and(|it| it.offers.get(&id).is_some_and(|it| it.phase == Phase::Failed)) {
            return true;
        }
        let is_newest = truth.production >= truth.preview;
        truth.production.is_none() || !pin.map_or(is_newest, |pin| truth.production == Some(pin))
    }

    /// Whether a golive failed and the offer fell back to the previous release: then the record shows
    /// the failure.
    fn has_fallen_back(&self) -> bool {
        let operation = self.record.operation.as_deref();
        let release = operation.and_then(|operation| operation.release.as_ref()).map(number);
        self.record.phase == Phase::Failed && release.is_some() && release != self.truth.production
    }

    /// Whether golive can't determine the live version: a publish failed since, and there are no slots.
    fn live_version_is_unknown(&self) -> bool {
        let is_of_publish = self.truth.last_run().is_some_and(|it| it.kind == Kind::Publish);
        is_of_publish && self.sim.scenario.answers.contains("slots: missing")
    }

    fn check_live_phase(&self) -> Result<(), String> {
        let Self { offer, truth, manifest, record, .. } = self;
        let is_live = truth.production.is_some()
            && truth.preview == truth.production
            && manifest.live
            && manifest.pin.is_none()
            && !truth.ready
            && !self.has_fallen_back()
            && !self.has_ended_twice()
            && !self.has_unread_refusal()
            && !self.live_version_is_unknown();
        if is_live && record.phase != Phase::Live {
            return Err(format!("{offer} is live, and called {}", brief(record)));
        }
        Ok(())
    }
}

/// A record in one line.
fn brief(record: &OfferRecord) -> String {
    let id = |it: &golive::status::OperationRecord| {
        (it.id.clone(), it.release.clone(), it.status.clone())
    };
    let OfferRecord { phase, reason, message, intent, operation, history, .. } = record;
    let operation = operation.as_deref().map(id);
    let history: Vec<_> = history.iter().map(id).collect();
    format!(
        "{phase:?} {reason:?} ({message}), intent {intent:?}, {operation:?}, before {history:?}"
    )
}

/// The parts of a status file that must not change after convergence.
pub(crate) fn outline(file: &StatusFile) -> Vec<(String, Phase, Option<String>, u32)> {
    let of = |(offer, record): (&OfferId, &Arc<OfferRecord>)| {
        let id = record.operation.as_ref().and_then(|operation| operation.id.clone());
        (offer.to_string(), record.phase, id, record.attempts)
    };
    file.offers.iter().map(of).collect()
}

/// Whether an accepted golive is on record with its true end: found by its id or, without one, by its
/// request or version.
fn is_on_record(record: &OfferRecord, accepted: &Accepted, truth: &GroundTruth) -> bool {
    // A golive may share the id of its publish.
    let is_it = |run: &&Run| run.kind == Kind::GoLive && run.id == accepted.id;
    let since = truth.runs.iter().skip_while(|run| !is_it(run));
    let Some(run) = since.clone().next() else { return false };
    let again = since.filter(|it| (it.kind, it.version) == (run.kind, run.version));
    // The release may be live through another client's golive.
    let fits = |operation: &OperationRecord, run: &Run| {
        let is_live = truth.production == Some(run.version);
        fits(operation, run) || (is_live && operation.status == OperationStatus::Succeeded)
    };
    record.history.iter().chain(record.operation.as_deref()).any(|operation| {
        let own_id = operation.id.as_ref().filter(|id| !id.contains('$'));
        let request_id = operation.request_id.as_ref().map(RequestId::as_str);
        let version = operation.release.as_ref().map(number);
        if request_id == Some(&accepted.request_id) {
            // golive may mistake a later attempt of another client for its own.
            let mut again = again.clone().filter(|run| own_id.is_none_or(|id| *id == run.id));
            again.any(|run| fits(operation, run))
        } else if let Some(id) = own_id {
            *id == run.id && fits(operation, run)
        } else {
            let may_be_it = request_id.is_none() && version.is_none_or(|it| it == run.version);
            may_be_it && fits(operation, run)
        }
    })
}
