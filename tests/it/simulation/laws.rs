//! What must hold after every event, whatever goes wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use golive::emulator::{Ending, GroundTruth, Kind, Run};
use golive::marketplace::{Fence, OfferId, Release};
use golive::status::{self, Intent, Phase, StatusFile};
use http::Request;
use jiff::Timestamp;

use super::endings;
use super::sim::Process;

/// How long after it was sent a request that arrives may still be on record: as long as it may
/// take, and settle. What comes later was given up, and only shows in what it brings about.
const LATEST: Duration = Duration::from_secs(90);

/// How long a request may be under way: twice the time limit of one.
const LONGEST_REQUEST: Duration = Duration::from_mins(2);

/// How long golive waits after that before it sends again, with and without an entity tag.
const SETTLE: [Duration; 2] = [Duration::from_secs(30), Duration::from_mins(15)];

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Law {
    /// A version of an offer is launched once, unless a retry is asked for.
    NeverTwice,
    /// Golive is sent only where it is wanted and the offer is in preview.
    OnlyWhatIsWanted,
    /// The status file is whole, and says nothing that is not so.
    TrueStatus,
    /// What the user allows and no more: the limits of a run, and its stop.
    Bounds,
    /// What was accepted is found again, and what is wanted is launched.
    NeverLost,
    /// No request goes elsewhere than to the marketplace.
    OneOrigin,
    /// Where nothing is to be done, next to nothing is asked.
    FewRequests,
    /// golive comes to an end, and to rest.
    Rest,
}

/// A broken law, and how it was.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) law: Law,
    pub(crate) what: String,
}

/// A golive that was accepted, or that another hand has started.
#[derive(Clone, Debug)]
struct Attempt {
    /// How many effects there had been.
    at: u64,
    /// What the manifest said, where golive sent it and was there to see it taken.
    digest: Option<String>,
}

/// A golive of golive's own that was accepted.
#[derive(Clone, Debug)]
pub(crate) struct Accepted {
    /// The operation's id.
    pub(crate) id: String,
    pub(crate) request_id: String,
}

/// A request as it was sent: for which version, when, and when the intent was written down.
#[derive(Clone, Copy, Debug)]
struct Sent {
    version: u64,
    /// Whether it carries an entity tag.
    is_guarded: bool,
    at: Timestamp,
    intended_at: Timestamp,
}

/// When golive may have lost what it knew: how many effects there had been, and the time.
#[derive(Clone, Copy, Debug)]
struct Forgotten {
    effects: u64,
    at: Timestamp,
}

/// What has happened so far, as far as it is judged.
#[derive(Debug, Default)]
pub(crate) struct Laws {
    pub(crate) violation: Option<Violation>,
    /// Whether *offer status* names no release, so that without an entity tag a list is all there is.
    pub(crate) status_names_nothing: bool,
    /// Golives, by the operation's id.
    attempts: BTreeMap<String, Attempt>,
    /// What was accepted from golive and is to be on record, by offer.
    pub(crate) accepted: BTreeMap<String, Vec<Accepted>>,
    /// The ids of the operations that were accepted from golive in time.
    tracked: BTreeSet<String>,
    /// What the offer was when a process last asked for it.
    checked: BTreeMap<(u32, String), GroundTruth>,
    /// The last request for each offer, and the process that sent it.
    last_sent: BTreeMap<String, (u32, Sent)>,
    /// The entity tag that each was sent with.
    last_fence: BTreeMap<String, Option<Fence>>,
    /// The requests that were sent, by their ids.
    sent: BTreeMap<String, Sent>,
    /// When an offer's manifest was last edited: how many effects there had been.
    edited: BTreeMap<String, u64>,
    /// When a process that was asked to retry began, by offer.
    retried: BTreeMap<String, u64>,
    /// The offers whose retry was sent, and not accepted so far: the next run may send it again.
    owed: BTreeSet<String>,
    /// The status file, as processes see it.
    pub(crate) status: Option<Arc<StatusFile>>,
    /// The last versions of it that were looked at.
    parsed: Vec<(Arc<Vec<u8>>, Arc<StatusFile>)>,
    /// When the record of an offer was last deleted, or may have been.
    forgotten: BTreeMap<String, Forgotten>,
}

/// The number that a release has in this marketplace.
pub(crate) fn number(release: &Release) -> u64 {
    release.as_str().parse().unwrap()
}

fn number_of(intent: &Intent) -> u64 {
    number(&intent.release)
}

/// Why an offer is not to go live as it stands.
fn not_ready(truth: &GroundTruth, pin: Option<u64>) -> Option<&'static str> {
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

/// No request goes anywhere else than to the marketplace's own calls.
pub(crate) fn leaves(request: &Request<Bytes>, origin: &str) -> Result<(), String> {
    let uri = request.uri().to_string();
    let path = uri.strip_prefix(origin).ok_or(format!("a request leaves for {uri}"))?;
    let is_ours = |publisher: &str| {
        path.starts_with(&format!("/api/publishers/{publisher}/offers"))
            || path.starts_with(&format!("/api/operations/{publisher}$vm-"))
    };
    if ["contoso", "fabrikam"].into_iter().any(is_ours) && !path.contains("..") {
        Ok(())
    } else {
        Err(format!("a request leaves for {uri}"))
    }
}

impl Laws {
    /// Golives that are there, and that golive did not send.
    pub(crate) fn started_by_others(&mut self, truth: &GroundTruth, at: u64) {
        for run in truth.runs.iter().filter(|run| run.kind == Kind::GoLive) {
            self.attempts.entry(run.id.clone()).or_insert(Attempt { at, digest: None });
        }
    }

    /// A process has the lock, and begins to look.
    pub(crate) fn begins(
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

    /// A commit changes what is wanted of an offer.
    pub(crate) fn edited(&mut self, offer: String, effects: u64) {
        self.edited.insert(offer, effects);
    }

    /// What golive knew of an offer is gone, without its fault.
    pub(crate) fn forgets(&mut self, offer: &str, effects: u64, at: Timestamp) {
        self.forgotten.insert(offer.to_owned(), Forgotten { effects, at });
        self.accepted.remove(offer);
    }

    /// An offer was asked for, and the answer delivered.
    pub(crate) fn checked(&mut self, process: u32, offer: &str, truth: GroundTruth) {
        self.checked.insert((process, offer.to_owned()), truth);
    }

    fn intent(&self, offer: &str) -> Option<&Intent> {
        let id: OfferId = offer.parse().unwrap();
        self.status.as_ref()?.offers.get(&id)?.intent.as_deref()
    }

    /// A golive is about to leave: it is wanted, and the offer was ready when it was looked at.
    pub(crate) fn sends(
        &mut self,
        process: &Process,
        offer: &str,
        request_id: &str,
        now: Timestamp,
        truth: impl Fn(&str) -> Option<GroundTruth>,
    ) -> Result<(), String> {
        let intent = self.intent(offer).filter(|it| it.request_id.as_str() == request_id).cloned();
        if let Some(intent) = &intent {
            self.may_be_sent_again(process, offer, intent, now)?;
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
        let Some(loaded) = desired.get(&id) else { return wrong("no manifest names it") };
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
        if !process.is_foreseen(&id) {
            return wrong("that was not reviewed");
        }
        for dependency in &manifest.after {
            if truth(&dependency.to_string()).is_none_or(|truth| truth.production.is_none()) {
                return wrong("what it waits for is not live");
            }
        }
        let pin = manifest.version.map(|pin| pin.0);
        let seen = self.checked.get(&(process.number, offer.to_owned()));
        let seen =
            seen.ok_or(format!("{offer}: golive is sent, and it was not looked at before"))?;
        // What was seen may have been overtaken; then what is seen next counts, or the ETag.
        let now = truth(offer).ok_or("there is no such offer")?;
        match (not_ready(seen, pin), not_ready(&now, pin)) {
            (Some(then), Some(_)) => wrong(then),
            (None, _) | (_, None) => Ok(()),
        }
    }

    /// What an earlier process left in doubt is not sent again before it can be over, and has settled:
    /// later where it had no entity tag, or where the offer has another one since.
    fn may_be_sent_again(
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
        let settle = SETTLE[usize::from(!last.is_guarded || !is_same)];
        if now < last.at + LONGEST_REQUEST + settle {
            return Err(format!("{offer}: golive is sent again before the first one has settled"));
        }
        Ok(())
    }

    /// A golive was accepted: it is the first for the version, or it was asked for.
    pub(crate) fn accepted(
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
        let is_late = sent.is_some_and(|sent| now > sent.at + LATEST);
        // Who deletes the file deletes the intent as well.
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
            // Another hand may come between the look and the request.
            let is_ours = self.attempts[&previous.id].digest.is_some();
            let is_it = |run: &Run| run.kind == Kind::GoLive && run.id == previous.id;
            let began_since = seen.is_some_and(|truth| !truth.runs.iter().any(is_it));
            if is_ours || !began_since {
                self.may_be_repeated(offer, previous, digest.as_ref())?;
            }
        }
        // Only now, since one before may have the same id.
        let attempt = Attempt { at, digest: digest.filter(|_| !is_late) };
        self.attempts.insert(run.id.clone(), attempt);
        self.owed.remove(offer);
        // Where nothing guards a request, another hand may publish between the look and the request.
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

    /// Whether there may be another golive of a version: the one before it ended badly, and a retry
    /// was asked for, or the manifest is another one since.
    fn may_be_repeated(
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
        // What another hand tries in vain while a run is asked to retry need not be seen as its own.
        let asks = self.owed.contains(offer) && attempt.digest.is_none();
        let asked = asks || self.retried.get(offer).is_some_and(|began| *began >= attempt.at);
        let changed = match self.made_for(offer, &previous.id) {
            Some(known) => Some(known) != digest,
            None => {
                self.edited.get(offer).is_some_and(|edited| *edited >= attempt.at)
                    || self.was_seen_before_an_edit(offer, previous, digest)
                    || attempt.digest.as_ref().is_some_and(|made_for| Some(made_for) != digest)
            }
        };
        if !asked && !changed {
            return Err(format!("{again}, and nobody asked for it"));
        }
        Ok(())
    }

    /// Whether golive found an attempt of another hand while it went by another manifest: by one that
    /// it had read before an edit; or by that of a request without an answer, which what is found in
    /// its place can't be told from, however long ago that was.
    fn was_seen_before_an_edit(&self, offer: &str, run: &Run, digest: Option<&String>) -> bool {
        let record = self.status.as_ref().and_then(|file| file.offers.get(&offer.parse().unwrap()));
        let mut known =
            record.into_iter().flat_map(|it| it.history.iter().chain(it.operation.as_deref()));
        known.any(|operation| {
            // One without an id ends as the newest of its kind and version.
            let version = operation.release.as_ref().map(number);
            let is_it = match &operation.id {
                Some(id) => *id == run.id,
                None => version == Some(run.version),
            };
            is_it && Some(&operation.manifest_digest) != digest
        })
    }

    /// The manifest that an attempt was made for, where golive knows it.
    fn made_for(&self, offer: &str, id: &str) -> Option<&String> {
        let attempt = self.attempts.get(id)?;
        let forgotten = self.forgotten.get(offer).is_some_and(|it| it.effects >= attempt.at);
        attempt.digest.as_ref().filter(|_| !forgotten)
    }

    /// Whether an attempt that ended badly stands for this manifest: it was made for it, as far as
    /// golive can know.
    pub(crate) fn stands(&self, offer: &str, id: &str, digest: &str) -> bool {
        self.made_for(offer, id).is_none_or(|known| known == digest)
    }

    /// The status file is whole, now and after any power loss; and what it calls live is.
    pub(crate) fn files(
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
                self.may_be_dropped(&offer, &truth(&offer).ok_or("the offer is gone")?)?;
            }
        }
        for (offer, record) in &file.offers {
            let truth = truth(&offer.to_string()).ok_or(format!("there is no {offer}"))?;
            endings::are_true(record, &truth).map_err(|what| format!("{offer}: {what}"))?;
        }
        self.status = Some(file);
        Ok(())
    }

    /// Only an offer of which nothing runs leaves the status file.
    fn may_be_dropped(&self, offer: &str, truth: &GroundTruth) -> Result<(), String> {
        let running = truth.last_run().filter(|last| last.ending.is_none());
        // Who deletes the file deletes what it knew.
        let is_known = |run: &&Run| {
            let forgotten = self.forgotten.get(offer).map(|forgotten| forgotten.effects);
            self.attempts.get(&run.id).is_none_or(|attempt| forgotten < Some(attempt.at))
        };
        let ours = running.filter(|run| self.tracked.contains(&run.id)).filter(is_known);
        ours.map_or(Ok(()), |run| Err(format!("{offer} leaves the file while {run:?} runs")))
    }

    /// The status file in these bytes; each version of it is parsed once.
    fn read(&mut self, bytes: &Arc<Vec<u8>>) -> Result<Arc<StatusFile>, String> {
        let known = self.parsed.iter().find(|(parsed, _)| Arc::ptr_eq(parsed, bytes));
        if let Some((_, file)) = known {
            return Ok(Arc::clone(file));
        }
        let path = Path::new("golive.status.json");
        let file = Arc::new(status::parse(path, bytes).map_err(|error| error.to_string())?);
        self.parsed.truncate(3);
        self.parsed.insert(0, (Arc::clone(bytes), Arc::clone(&file)));
        Ok(file)
    }
}
