//! Checks the invariants after every event.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use golive::emulator::{Ending, GroundTruth, Kind, Run};
use golive::marketplace::{Api, Fence, OfferId, Release};
use golive::status::{self, Intent, OperationRecord, Phase, StatusFile};
use http::Request;
use jiff::Timestamp;

use super::api::{self, INGESTION, Known};
use super::recorded_ends;
use super::sim::Process;

/// A request that arrives this long after it was sent (its timeout and settle time) must be on
/// record. golive gave up a later one, and notices only its effects.
const MAX_TRACKED_DELAY: Duration = Duration::from_secs(90);

/// How long a request may be under way: twice its timeout.
const MAX_REQUEST: Duration = Duration::from_mins(2);

/// How long golive waits after that before it repeats the request, with and without an entity tag.
fn settle_times(api: Api) -> [Duration; 2] {
    match api {
        Api::CloudPartnerPortal => [Duration::from_secs(30), Duration::from_mins(15)],
        Api::ProductIngestion => [Duration::from_mins(10); 2],
    }
}

/// An invariant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invariant {
    /// A version of an offer is launched at most once, unless the user asks for a retry.
    NeverTwice,
    /// golive is sent only if a manifest wants it and the offer is in preview.
    OnlyWhatIsWanted,
    /// The status file is never torn or wrong.
    TrueStatus,
    /// A run keeps its limits, and stops when asked.
    Limits,
    /// Accepted operations are on record, and wanted launches happen.
    NeverLost,
    /// Requests go to the marketplace only.
    OneOrigin,
    /// A run with nothing to do sends few requests.
    FewRequests,
    /// Runs end, and the offers converge.
    Converges,
}

/// A broken invariant, and what happened.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) invariant: Invariant,
    pub(crate) what: String,
}

/// A golive that was accepted from golive or started by another client.
#[derive(Clone, Debug)]
struct Attempt {
    /// The number of effects before it.
    at: u64,
    /// The manifest's digest, if golive sent it and was still waiting for the answer.
    digest: Option<String>,
}

/// An accepted golive that golive has sent.
#[derive(Clone, Debug)]
pub(crate) struct Accepted {
    /// The operation's id.
    pub(crate) id: String,
    pub(crate) request_id: String,
}

/// A request as it was sent.
#[derive(Clone, Copy, Debug)]
struct Sent {
    version: u64,
    /// Whether it carries an entity tag.
    is_guarded: bool,
    at: Timestamp,
    intended_at: Timestamp,
}

/// When golive may have lost a record: the number of effects before, and the time.
#[derive(Clone, Copy, Debug)]
struct Forgotten {
    effects: u64,
    at: Timestamp,
}

/// What has happened so far, as far as the invariants need it.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    pub(crate) api: Api,
    known: Arc<Mutex<Known>>,
    pub(crate) violation: Option<Violation>,
    /// Whether *offer status* names no release, so that without an entity tag only the list does.
    pub(crate) status_names_nothing: bool,
    /// Golives, by the operation's id.
    attempts: BTreeMap<String, Attempt>,
    /// Accepted golives that must be on record, by offer.
    pub(crate) accepted: BTreeMap<String, Vec<Accepted>>,
    /// The ids of operations that were accepted while golive was waiting for the answer.
    tracked: BTreeSet<String>,
    /// The offer's true state when a process last inspected it.
    checked: BTreeMap<(u32, String), GroundTruth>,
    /// The last request for each offer, and the process that sent it.
    last_sent: BTreeMap<String, (u32, Sent)>,
    /// The entity tag of each last request.
    last_fence: BTreeMap<String, Option<Fence>>,
    /// Sent requests, by id.
    sent: BTreeMap<String, Sent>,
    /// The number of effects before the last edit of an offer's manifest.
    edited: BTreeMap<String, u64>,
    /// The number of effects before the last process with a retry began, by offer.
    retried: BTreeMap<String, u64>,
    /// Offers whose retry was sent but not accepted: the next run may send it again.
    owed: BTreeSet<String>,
    /// The status file as processes read it.
    pub(crate) status: Option<Arc<StatusFile>>,
    /// A cache of its last versions.
    parsed: Vec<(Arc<Vec<u8>>, Arc<StatusFile>)>,
    /// When an offer's record was last deleted, or may have been.
    forgotten: BTreeMap<String, Forgotten>,
}

/// A release's number in this marketplace.
pub(crate) fn number(release: &Release) -> u64 {
    release.as_str().parse().unwrap()
}

fn number_of(intent: &Intent) -> u64 {
    number(&intent.release)
}

/// Why an offer can't go live in this state.
fn why_not_ready(truth: &GroundTruth, pin: Option<u64>) -> Option<&'static str> {
    if truth.preview <= truth.production {
        Some("nothing newer was in preview")
    } else if truth.last_run().is_some_and(|last| last.ending.is_none()) {
        Some("an operation was running")
    } else if pin.is_some() && pin != truth.preview {
        Some("another version was in preview")
    } else {
        None
    }
}

/// Fails for a request to anything but the marketplace's own calls.
pub(crate) fn check_destination(request: &Request<Bytes>, origin: &str) -> Result<(), String> {
    let uri = request.uri().to_string();
    let path = uri.strip_prefix(origin).ok_or(format!("a request leaves for {uri}"))?;
    let is_ours = |publisher: &str| {
        path.starts_with(&format!("/api/publishers/{publisher}/offers"))
            || path.starts_with(&format!("/api/operations/{publisher}$vm-"))
    };
    let is_ingestion = path.starts_with(INGESTION);
    if (is_ingestion || ["contoso", "fabrikam"].into_iter().any(is_ours)) && !path.contains("..") {
        Ok(())
    } else {
        Err(format!("a request leaves for {uri}"))
    }
}

impl Checker {
    pub(crate) fn new(api: Api, known: Arc<Mutex<Known>>) -> Self {
        Self { api, known, ..Self::default() }
    }

    /// Fails if a golive names another version than its intent.
    pub(crate) fn check_named_version(
        &self,
        offer: &str,
        request_id: &str,
        named: Option<u64>,
    ) -> Result<(), String> {
        let intent = self.intent(offer).filter(|it| it.request_id.as_str() == request_id);
        match (intent.map(number_of), named) {
            (Some(intended), Some(named)) if intended != named => {
                Err(format!("{offer}: golive names version {named} instead of {intended}"))
            }
            (Some(_) | None, Some(_) | None) => Ok(()),
        }
    }

    /// Records golives that golive did not send.
    pub(crate) fn record_foreign_golives(&mut self, truth: &GroundTruth, at: u64) {
        for run in truth.runs.iter().filter(|run| run.kind == Kind::GoLive) {
            self.attempts.entry(run.id.clone()).or_insert(Attempt { at, digest: None });
        }
    }

    /// A process has the lock and starts to work.
    pub(crate) fn run_started(
        &mut self,
        process: &Process,
        now: u64,
        offers: impl Iterator<Item = String>,
    ) {
        for offer in offers {
            let id: OfferId = offer.parse().unwrap();
            if process.policy.retries(&id) && process.policy.covers(&id) {
                self.retried.insert(offer, now);
            }
        }
    }

    /// A commit changes an offer's manifest.
    pub(crate) fn manifest_edited(&mut self, offer: String, effects: u64) {
        self.edited.insert(offer, effects);
    }

    /// An offer's record is deleted, or may be, without golive's fault.
    pub(crate) fn record_deleted(&mut self, offer: &str, effects: u64, at: Timestamp) {
        self.forgotten.insert(offer.to_owned(), Forgotten { effects, at });
        self.accepted.remove(offer);
    }

    /// A process received the answer to an inspection.
    pub(crate) fn offer_checked(&mut self, process: u32, offer: &str, truth: GroundTruth) {
        self.checked.insert((process, offer.to_owned()), truth);
    }

    fn intent(&self, offer: &str) -> Option<&Intent> {
        let id: OfferId = offer.parse().unwrap();
        self.status.as_ref()?.offers.get(&id)?.intent.as_deref()
    }

    /// Checks a golive that is about to be sent: it is wanted, and the inspected offer was ready.
    pub(crate) fn golive_sent(
        &mut self,
        process: &Process,
        offer: &str,
        request_id: &str,
        now: Timestamp,
        truth: impl Fn(&str) -> Option<GroundTruth>,
    ) -> Result<(), String> {
        let intent = self.intent(offer).filter(|it| it.request_id.as_str() == request_id).cloned();
        if let Some(intent) = &intent {
            self.check_resend_delay(process, offer, intent, now)?;
            let (version, is_guarded) = (number(&intent.release), intent.fence.is_some());
            let sent = Sent { version, is_guarded, at: now, intended_at: intent.at };
            self.sent.insert(request_id.to_owned(), sent);
            self.last_sent.insert(offer.to_owned(), (process.number, sent));
            self.last_fence.insert(offer.to_owned(), intent.fence.clone());
        }
        let wrong = |what: &str| Err(format!("{offer}: golive is sent although {what}"));
        let id: OfferId = offer.parse().unwrap();
        if process.policy.retries(&id) {
            self.owed.insert(offer.to_owned());
        }
        let desired = process.desired();
        let Some(loaded) = desired.get(&id) else { return wrong("no manifest declares it") };
        let manifest = &loaded.manifest;
        if manifest.suspend {
            return wrong("it is suspended");
        }
        if manifest.state != golive::manifest::DesiredState::Live {
            return wrong("it is to stay in preview");
        }
        if manifest.not_before.is_some_and(|until| until > now) {
            return wrong("it is held until later");
        }
        if !process.policy.covers(&id) {
            return wrong("it is outside of --only");
        }
        if !process.was_reviewed(&id) {
            return wrong("that was not reviewed");
        }
        for dependency in &manifest.after {
            if truth(&dependency.to_string()).is_none_or(|truth| truth.production.is_none()) {
                return wrong("what it waits for is not live");
            }
        }
        let pin = manifest.version.map(|pin| api::version(pin.0));
        let seen = self.checked.get(&(process.number, offer.to_owned()));
        let seen =
            seen.ok_or(format!("{offer}: golive is sent, and it was not looked at before"))?;
        // If the offer changed since the inspection, its entity tag or the next inspection catches that.
        let now = truth(offer).ok_or("there is no such offer")?;
        match (why_not_ready(seen, pin), why_not_ready(&now, pin)) {
            (Some(then), Some(_)) => wrong(then),
            (None, _) | (_, None) => Ok(()),
        }
    }

    /// A request that an earlier process left in doubt is repeated only after its timeout and settle
    /// time, which is longer without an entity tag or with another one.
    fn check_resend_delay(
        &self,
        process: &Process,
        offer: &str,
        intent: &Intent,
        now: Timestamp,
    ) -> Result<(), String> {
        let last = self.last_sent.get(offer).filter(|(number, last)| {
            *number != process.number && last.version == number_of(intent)
        });
        let Some((_, last)) = last.filter(|_| intent.attempt > 1) else { return Ok(()) };
        let is_same = self.last_fence.get(offer).is_some_and(|it| *it == intent.fence);
        let settle = settle_times(self.api)[usize::from(!last.is_guarded || !is_same)];
        if now < last.at + MAX_REQUEST + settle {
            return Err(format!("{offer}: golive is sent again before the first one has settled"));
        }
        Ok(())
    }

    /// Checks an accepted golive: it is the version's first, or the user asked for another.
    pub(crate) fn golive_accepted(
        &mut self,
        process: &Process,
        offer: &str,
        request_id: &str,
        before: &GroundTruth,
        after: &GroundTruth,
        (at, now): (u64, Timestamp),
    ) -> Result<(), String> {
        let id: OfferId = offer.parse().unwrap();
        let run = after.last_run().ok_or("nothing runs after a golive was accepted")?.clone();
        let digest = process.desired().get(&id).map(|loaded| loaded.digest.clone());
        let sent = self.sent.get(request_id).copied();
        let is_late = sent.is_some_and(|sent| now > sent.at + MAX_TRACKED_DELAY);
        // Deleting the file deletes the intent.
        let is_forgotten = self
            .forgotten
            .get(offer)
            .is_some_and(|forgotten| sent.is_none_or(|sent| sent.intended_at <= forgotten.at));
        if !is_late && !is_forgotten {
            self.tracked.insert(run.id.clone());
            let accepted = Accepted { id: run.id.clone(), request_id: request_id.to_owned() };
            self.accepted.entry(offer.to_owned()).or_default().push(accepted);
        }
        let seen = self.checked.get(&(process.number, offer.to_owned()));
        if let Some(previous) = before.last_golive(run.version) {
            // Another client may start one between the inspection and the request.
            let is_ours = self.attempts[&previous.id].digest.is_some();
            let is_it = |run: &Run| run.kind == Kind::GoLive && run.id == previous.id;
            let began_since = seen.is_some_and(|truth| !truth.runs.iter().any(is_it));
            if is_ours || !began_since {
                self.check_repeat(offer, previous, digest.as_ref())?;
            }
        }
        // Inserted last, since the previous run may have the same id.
        let attempt = Attempt { at, digest: digest.filter(|_| !is_late) };
        self.attempts.insert(run.id.clone(), attempt);
        self.owed.remove(offer);
        // Without an entity tag, another client may publish between the inspection and the request.
        let seen = seen.and_then(|truth| truth.preview);
        match sent {
            Some(Sent { version, is_guarded, .. })
                if version != run.version
                    && (is_guarded
                        || (seen == Some(run.version) && !self.status_names_nothing)) =>
            {
                Err(format!(
                    "{offer}: version {} goes live, and version {version} was decided",
                    run.version
                ))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// A second golive of a version is allowed only if the previous one failed or was canceled, and a
    /// retry was requested or the manifest changed since.
    fn check_repeat(
        &self,
        offer: &str,
        previous: &Run,
        digest: Option<&String>,
    ) -> Result<(), String> {
        let again = format!("{offer}: a second golive of version {} is accepted", previous.version);
        if !matches!(previous.ending, Some(Ending::Failed | Ending::Canceled)) {
            return Err(format!("{again}, and the first one is {:?}", previous.ending));
        }
        let attempt = &self.attempts[&previous.id];
        let is_canceled = previous.ending == Some(Ending::Canceled);
        if self.api == Api::ProductIngestion && is_canceled && !self.is_recorded(offer, previous) {
            // The preview waits again, and nothing shows that there was a golive.
            return Ok(());
        }
        // A failed attempt of another client meanwhile doesn't use up the requested retry.
        let asks = self.owed.contains(offer) && attempt.digest.is_none();
        let asked = asks || self.retried.get(offer).is_some_and(|began| *began >= attempt.at);
        let changed = match self.manifest_of(offer, &previous.id) {
            Some(known) => Some(known) != digest,
            None => {
                self.edited.get(offer).is_some_and(|edited| *edited >= attempt.at)
                    || self.recorded_under_another_manifest(offer, previous, digest)
                    || attempt
                        .digest
                        .as_ref()
                        .is_some_and(|manifest_of| Some(manifest_of) != digest)
            }
        };
        if !asked && !changed {
            return Err(format!("{again} without a retry or a changed manifest"));
        }
        Ok(())
    }

    /// The operations of an offer that the status file has.
    fn recorded(&self, offer: &str) -> impl Iterator<Item = &OperationRecord> {
        let record = self.status.as_ref().and_then(|file| file.offers.get(&offer.parse().unwrap()));
        record.into_iter().flat_map(|it| it.history.iter().chain(it.operation.as_deref()))
    }

    /// Whether the status file has this very operation.
    fn is_recorded(&self, offer: &str, run: &Run) -> bool {
        self.recorded(offer).any(|operation| operation.id.as_ref() == Some(&run.id))
    }

    /// Whether golive recorded another client's attempt under another manifest: one read before an
    /// edit, or that of an unanswered request, from which golive can't distinguish the attempt.
    fn recorded_under_another_manifest(
        &self,
        offer: &str,
        run: &Run,
        digest: Option<&String>,
    ) -> bool {
        self.recorded(offer).any(|operation| {
            // An operation without an id is matched by version.
            let version = operation.release.as_ref().map(number);
            let is_it = match &operation.id {
                Some(id) => *id == run.id,
                None => version == Some(run.version),
            };
            is_it && Some(&operation.manifest_digest) != digest
        })
    }

    /// The digest of the manifest that an attempt was made for, if golive knows it.
    fn manifest_of(&self, offer: &str, id: &str) -> Option<&String> {
        let attempt = self.attempts.get(id)?;
        let forgotten = self.forgotten.get(offer).is_some_and(|it| it.effects >= attempt.at);
        attempt.digest.as_ref().filter(|_| !forgotten)
    }

    /// Whether a failed attempt was made for this manifest, as far as golive can know.
    pub(crate) fn holds_for_manifest(&self, offer: &str, id: &str, digest: &str) -> bool {
        self.manifest_of(offer, id).is_none_or(|known| known == digest)
    }

    /// Checks that the status file is whole, now and after any power loss, and true.
    pub(crate) fn check_status_files(
        &mut self,
        seen: Option<&Arc<Vec<u8>>>,
        futures: &[Result<Arc<Vec<u8>>, ()>],
        truth: impl Fn(&str) -> Option<GroundTruth>,
    ) -> Result<(), String> {
        for future in futures {
            let Ok(bytes) = future else {
                return Err("a power loss now may leave a torn status file".to_owned());
            };
            self.read(bytes)?;
        }
        let Some(seen) = seen else {
            self.status = None;
            return Ok(());
        };
        let file = self.read(seen)?;
        if self.status.as_ref().is_some_and(|known| Arc::ptr_eq(known, &file)) {
            return Ok(());
        }
        for (offer, record) in file.offers.iter().filter(|(_, it)| it.phase == Phase::Live) {
            let production = truth(&offer.to_string()).and_then(|truth| truth.production);
            let said = record.observed.as_ref().and_then(|seen| seen.live.as_ref()).map(number);
            if production.is_none() || production < said {
                return Err(format!(
                    "{offer} is called Live with version {said:?}, and production has {production:?}"
                ));
            }
        }
        if let Some(before) = &self.status {
            let dropped = before.offers.keys().filter(|offer| !file.offers.contains_key(*offer));
            for offer in dropped.map(ToString::to_string) {
                self.check_removal(&offer, &truth(&offer).ok_or("the offer is gone")?)?;
            }
        }
        for (offer, record) in &file.offers {
            let truth = truth(&offer.to_string()).ok_or(format!("there is no {offer}"))?;
            recorded_ends::match_truth(record, &truth)
                .map_err(|what| format!("{offer}: {what}"))?;
        }
        self.status = Some(file);
        Ok(())
    }

    /// An offer may leave the status file only if none of its operations runs.
    fn check_removal(&self, offer: &str, truth: &GroundTruth) -> Result<(), String> {
        let running = truth.last_run().filter(|last| last.ending.is_none());
        // golive doesn't know operations from before the file was deleted.
        let is_known = |run: &&Run| {
            let forgotten = self.forgotten.get(offer).map(|forgotten| forgotten.effects);
            self.attempts.get(&run.id).is_none_or(|attempt| forgotten < Some(attempt.at))
        };
        let ours = running.filter(|run| self.tracked.contains(&run.id)).filter(is_known);
        ours.map_or(Ok(()), |run| Err(format!("{offer} leaves the file while {run:?} runs")))
    }

    /// Parses the status file, with a cache.
    fn read(&mut self, bytes: &Arc<Vec<u8>>) -> Result<Arc<StatusFile>, String> {
        let known = self.parsed.iter().find(|(parsed, _)| Arc::ptr_eq(parsed, bytes));
        if let Some((_, file)) = known {
            return Ok(Arc::clone(file));
        }
        let path = Path::new("golive.status.json");
        let file = status::parse(path, bytes).map_err(|error| error.to_string())?;
        let file = match self.api {
            Api::CloudPartnerPortal => Arc::new(file),
            Api::ProductIngestion => Arc::new(self.known.lock().unwrap().in_versions(file)),
        };
        self.parsed.truncate(3);
        self.parsed.insert(0, (Arc::clone(bytes), Arc::clone(&file)));
        Ok(file)
    }
}
