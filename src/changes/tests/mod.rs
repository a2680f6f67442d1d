//! The planner's decisions on given manifests, records and states; here the builders of these.

mod change_sets;
mod ends;
mod failures;
mod rules;
mod uninspected;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::manifest::{FileManifests, Found, Loaded, assemble};
use crate::marketplace::{
    Attempt, ChangedTime, Followed, Hint, Listing, OfferId, OfferState, OperationKind,
    OperationStatus, Release, Report, RequestId, Run, Settling, Step, StepStatus,
};
use crate::status::{
    Intent, ManifestRecord, ObservationRecord, OfferRecord, OperationRecord, Phase, Reason,
    RefusedRecord,
};

/// Manifests, records and observations, put together step by step.
#[derive(Clone, Debug, Default)]
struct Scene {
    desired: BTreeMap<OfferId, Arc<Loaded>>,
    recorded: BTreeMap<OfferId, Arc<OfferRecord>>,
    observed: BTreeMap<OfferId, Observation>,
    policy: Policy,
}

fn offer(name: &str) -> OfferId {
    format!("contoso/{name}").parse().unwrap()
}

fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn long_ago() -> Timestamp {
    now() - SignedDuration::from_hours(2)
}

/// What was started is given five minutes to show.
fn time() -> DecisionTime {
    let settling = Settling { fenced: Duration::from_secs(30), unfenced: Duration::from_mins(2) };
    DecisionTime { now: now(), longest_request: Duration::from_mins(1), settling }
}

fn release(number: u64) -> Release {
    Release::from(number)
}

fn golive_of(number: u64) -> Decision {
    Decision::GoLive { release: release(number) }
}

fn live_at(number: u64) -> Decision {
    Decision::InSync(SyncState::Live(release(number)))
}

fn inspected() -> OfferState {
    OfferState { is_inspected: true, is_launchable: true, ..OfferState::default() }
}

fn draft() -> OfferState {
    OfferState { draft: Some(release(1)), ..inspected() }
}

fn preview(number: u64) -> OfferState {
    OfferState { preview: Some(release(number)), ..inspected() }
}

fn stale(number: u64) -> OfferState {
    OfferState { stale_preview: Some(release(number)), ..inspected() }
}

fn live(number: u64) -> OfferState {
    OfferState { live: Some(release(number)), ..inspected() }
}

fn unclear(state: OfferState) -> OfferState {
    OfferState { unclear: Some("it levitates".to_owned()), ..state }
}

fn running(kind: OperationKind, id: Option<&str>, state: OfferState) -> OfferState {
    let run = Run {
        kind,
        id: id.map(str::to_owned),
        release: Some(release(2)),
        steps: Vec::new(),
        messages: Vec::new(),
    };
    OfferState { running: Some(run), ..state }
}

fn attempt(kind: OperationKind, id: Option<&str>, number: u64, status: &str) -> Attempt {
    Attempt {
        kind,
        id: id.map(str::to_owned),
        release: Some(release(number)),
        status: status.into(),
        is_new: false,
        steps: Vec::new(),
        messages: Vec::new(),
    }
}

/// The same state after an attempt that ended.
fn after(state: OfferState, last: Attempt) -> OfferState {
    OfferState { last: Some(last), ..state }
}

fn failed_golive(number: u64) -> Attempt {
    attempt(OperationKind::GoLive, Some("other"), number, "failed")
}

/// The same state, where the operation that is followed answers this.
fn told(state: OfferState, status: &str) -> OfferState {
    let status = OperationStatus::from(status);
    let report = Report {
        runs: !status.is_finished(),
        status,
        steps: Vec::new(),
        messages: Vec::new(),
        release: None,
    };
    OfferState { followed: Some(Followed::Known(Box::new(report))), ..state }
}

fn listing(name: &str, hint: Hint, number: Option<u64>) -> Listing {
    Listing {
        id: offer(name),
        words: "running".to_owned(),
        changed_time: Some(ChangedTime("2026-11-01T00:00:00.123".to_owned())),
        fingerprint: Some("as before".to_owned()),
        hint,
        release: number.map(Release::from),
        may_be_fenced: false,
    }
}

fn record(desired: &Loaded) -> OfferRecord {
    let manifest = ManifestRecord {
        digest: desired.digest.clone(),
        file: "vm.yaml".to_owned(),
        state: desired.manifest.state,
    };
    let record = OfferRecord::new(manifest, Phase::InProgress, Reason::GoLiveRunning, "", now());
    OfferRecord { attempts: 1, ..record }
}

fn observed(preview: Option<u64>, live: Option<u64>) -> ObservationRecord {
    ObservationRecord {
        at: now(),
        changed_time: None,
        fingerprint: Some("as before".to_owned()),
        live: live.map(Release::from),
        preview: preview.map(Release::from),
        product: None,
        status: "running".to_owned(),
    }
}

fn operation(status: &str, started_at: Timestamp, digest: &str) -> OperationRecord {
    let status = OperationStatus::from(status);
    OperationRecord {
        finished_at: status.is_finished().then(now),
        id: Some("op".to_owned()),
        manifest_digest: digest.to_owned(),
        release: Some(release(2)),
        request_id: Some(RequestId::from_random([1; 16])),
        ..OperationRecord::new(OperationKind::GoLive, status, started_at)
    }
}

fn intent(at: Timestamp) -> Intent {
    Intent {
        at,
        attempt: 1,
        deadline: at + SignedDuration::from_mins(2),
        fence: None,
        kind: OperationKind::GoLive,
        known: None,
        manifest_digest: String::new(),
        release: release(2),
        request_id: RequestId::from_random([1; 16]),
    }
}

impl Scene {
    /// One offer, `contoso/vm`, with these lines in its manifest.
    fn of(lines: &str) -> Self {
        Self::default().and("vm", lines)
    }

    fn and(mut self, name: &str, lines: &str) -> Self {
        // `after` may name offers that this one file does not have.
        let (after, lines): (Vec<_>, Vec<_>) =
            lines.lines().partition(|line| line.starts_with("after: "));
        let text = format!("publisher: contoso\noffer: \"{name}\"\n{}\n", lines.join("\n"));
        let file = FileManifests::from_bytes(Path::new("vm.yaml"), text.as_bytes());
        let mut set = assemble(&Found::default(), [&file]).unwrap();
        let loaded = set.offers.values_mut().next().unwrap();
        for line in after {
            let name = line.trim_start_matches("after: ");
            Arc::make_mut(loaded).manifest.after.push(offer(name));
        }
        self.desired.extend(set.offers);
        self
    }

    fn sees(mut self, name: &str, state: OfferState) -> Self {
        let seen = ObservedOffer::listed(listing(name, Hint::Busy, None)).with(state, now());
        self.observed.insert(offer(name), Observation::Offer(Box::new(seen)));
        self
    }

    fn lists(mut self, hint: Hint, number: Option<u64>) -> Self {
        let seen = ObservedOffer::listed(listing("vm", hint, number));
        self.observed.insert(offer("vm"), Observation::Offer(Box::new(seen)));
        self
    }

    fn digest(&self) -> String {
        self.desired[&offer("vm")].digest.clone()
    }

    fn recorded(mut self, change: impl FnOnce(&mut OfferRecord)) -> Self {
        let mut record = record(&self.desired[&offer("vm")]);
        change(&mut record);
        self.recorded.insert(offer("vm"), Arc::new(record));
        self
    }

    /// With a golive of release 2 on record.
    fn started(self, status: &str, at: Timestamp) -> Self {
        let digest = self.digest();
        self.recorded(|record| record.operation = Some(operation(status, at, &digest).into()))
    }

    fn retry(mut self) -> Self {
        self.policy.retry = Retry::All;
        self
    }

    fn input(&self) -> Input<'_> {
        Input {
            desired: &self.desired,
            recorded: &self.recorded,
            observed: &self.observed,
            time: time(),
            policy: &self.policy,
        }
    }

    /// The decision about `contoso/vm`, which must need no further question.
    #[track_caller]
    fn decision(&self) -> Decision {
        let set = plan(self.input()).unwrap();
        assert_eq!(check(&set, self.input()), []);
        set.get(&offer("vm")).unwrap().decision.clone()
    }

    fn is_asked(&self) -> bool {
        plan(self.input()) == Err(vec![offer("vm")])
    }
}

const LIVE: &str = "state: live";
const PREVIEW: &str = "state: preview";
