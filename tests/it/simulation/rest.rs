//! What must hold once all has come to rest.

use std::sync::Arc;
use std::time::Duration;

use golive::emulator::{Ending, Kind, Truth};
use golive::marketplace::OfferId;
use golive::status::{OfferRecord, Phase, Reason, StatusFile};

use super::laws::Laws;
use super::scenario::{Manifest, name};
use super::sim::{Sim, start};

/// A launch date that has only just passed may have been ahead when the last run looked.
const MARGIN: Duration = Duration::from_mins(10);

/// Everything is where the manifests want it, or it is said why not.
pub(crate) fn is_at_rest(sim: &Sim) -> Result<(), String> {
    let laws = sim.laws();
    let empty = || Arc::new(StatusFile::empty(sim.now()));
    let status = laws.status.clone().unwrap_or_else(empty);
    for number in 0..sim.scenario.offers.len() {
        let offer = name(number);
        let truth = sim.emulator.truth(&offer).ok_or("the offer is gone")?;
        let Some(manifest) = sim.manifest(number) else { continue };
        let record = status.offers.get(&offer.parse().unwrap());
        let record = record.ok_or(format!("{offer} has no record"))?;
        let at_rest = AtRest { sim, laws: &laws, number, offer: &offer, truth, manifest, record };
        at_rest.nothing_runs()?;
        at_rest.nothing_accepted_is_lost()?;
        at_rest.no_launch_is_lost()?;
        at_rest.what_is_live_is_called_live()?;
    }
    Ok(())
}

/// One offer, once all has come to rest.
struct AtRest<'a> {
    sim: &'a Sim,
    laws: &'a Laws,
    number: usize,
    offer: &'a str,
    truth: Truth,
    manifest: Manifest,
    record: &'a OfferRecord,
}

impl AtRest<'_> {
    fn nothing_runs(&self) -> Result<(), String> {
        let Self { offer, truth, record, .. } = self;
        if let Some(run) = truth.last_run().filter(|run| run.ending.is_none()) {
            return Err(format!("{offer} has an operation that runs: {run:?}"));
        }
        if record.intent.is_some() || record.running().is_some() {
            return Err(format!("{offer} is not done: {}", brief(record)));
        }
        Ok(())
    }

    fn nothing_accepted_is_lost(&self) -> Result<(), String> {
        let Self { laws, offer, truth, record, .. } = self;
        let accepted = laws.accepted.get(*offer);
        let last = truth
            .last_run()
            .filter(|last| accepted.is_some_and(|accepted| accepted.contains(&last.id)));
        if let Some(last) = last
            && !laws.forgotten
            && !matches!(record.phase, Phase::Held | Phase::Blocked)
            && !is_on_record(record, &last.id, last.version)
        {
            return Err(format!("{offer}: the accepted {} was lost: {}", last.id, brief(record)));
        }
        Ok(())
    }

    fn no_launch_is_lost(&self) -> Result<(), String> {
        let Self { offer, truth, record, .. } = self;
        let Some(version) = truth.preview.filter(|_| truth.ready) else { return Ok(()) };
        let publish_failed = truth.last_run().is_some_and(|last| {
            last.kind == Kind::Publish && last.ending != Some(Ending::Succeeded)
        });
        let tried = truth.last_golive(version).is_some();
        let excused = tried || publish_failed || record.reason == Reason::Refused;
        if self.is_wanted(version) && !excused {
            return Err(format!(
                "{offer}: the launch of version {version} is lost: {}",
                brief(record)
            ));
        }
        Ok(())
    }

    /// Whether the manifest asks for this version to be live, now.
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

    /// Whether the offer before this one has a manifest, and is not where it wants it.
    fn predecessor_is_missing(&self) -> bool {
        let before = self.number - 1;
        let Some(Manifest { pin, .. }) = self.sim.manifest(before) else { return false };
        let Some(truth) = self.sim.emulator.truth(&name(before)) else { return true };
        let is_newest = truth.production >= truth.preview;
        truth.production.is_none() || !pin.map_or(is_newest, |pin| truth.production == Some(pin))
    }

    fn what_is_live_is_called_live(&self) -> Result<(), String> {
        let Self { offer, truth, manifest, record, .. } = self;
        let is_live = truth.production.is_some()
            && truth.preview == truth.production
            && manifest.live
            && manifest.pin.is_none()
            && !truth.ready;
        if is_live && record.phase != Phase::Live {
            return Err(format!("{offer} is live, and called {}", brief(record)));
        }
        Ok(())
    }
}

/// A record in a line.
fn brief(record: &OfferRecord) -> String {
    let id = |it: &golive::status::OperationRecord| (it.id.clone(), it.version, it.status.clone());
    let OfferRecord { phase, reason, message, intent, operation, history, .. } = record;
    let operation = operation.as_ref().map(id);
    let history: Vec<_> = history.iter().map(id).collect();
    format!(
        "{phase:?} {reason:?} ({message}), intent {intent:?}, {operation:?}, before {history:?}"
    )
}

/// What of a status file must not change once all is at rest.
pub(crate) fn outline(file: &StatusFile) -> Vec<(String, Phase, Option<String>, u32)> {
    let of = |(offer, record): (&OfferId, &OfferRecord)| {
        let id = record.operation.as_ref().and_then(|operation| operation.id.clone());
        (offer.to_string(), record.phase, id, record.attempts)
    };
    file.offers.iter().map(of).collect()
}

/// Whether an operation is in the record, by its id or, where the marketplace gives another one
/// with each look, by its version.
fn is_on_record(record: &OfferRecord, id: &str, version: u64) -> bool {
    record.history.iter().chain(&record.operation).any(|operation| {
        operation.id.as_deref().is_none_or(|known| known == id || known.contains('$'))
            && operation.version.is_none_or(|known| known.0 == version)
    })
}
