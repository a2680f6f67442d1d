//! What `plan` and `apply` have in common: manifests, the status file's place, the marketplace.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::CommandError;
use super::connection::Memory;
use crate::changes::{Policy, Retry};
use crate::cli::{Access, Pace, Selection};
use crate::clock::{Clock, SystemClock};
use crate::disk::{self, RealDisk};
use crate::engine::StatusRelativePaths;
use crate::manifest::{self, Loaded, ManifestSet};
use crate::marketplace::{Backend, OfferId};
use crate::operation::Intervals;
use crate::status::{
    self, MarketplaceRecord, OfferRecord, StatusFile, StatusLock, StatusStore, publishers,
};

/// How long the marketplace may put an offer off before a run gives up on it, unless it is to wait
/// for the operations anyway.
pub(super) const MAX_PAUSE: Duration = Duration::from_mins(2);

/// The name of the status file.
const STATUS_FILE: &str = "golive.status.json";

/// The name of the status file of runs against the embedded marketplace: a rehearsal never touches
/// what is known of the real one.
const REHEARSAL_FILE: &str = "golive.emulator.status.json";

/// Up to so many offers are the business of one thread.
const FEW: usize = 20;

/// Where a command works: its status file, its clock, its marketplace.
pub(super) struct Workspace {
    pub(super) status_path: PathBuf,
    pub(super) clock: Arc<dyn Clock>,
}

/// What a command works with.
pub(super) struct CommandContext {
    pub(super) manifests: ManifestSet,
    pub(super) ground: Workspace,
}

impl Workspace {
    /// The place for these paths, none of which is read yet. The status file is in the folder of the
    /// first one, unless it is named.
    pub(super) fn new(paths: &[PathBuf], access: &Access) -> Result<Self, CommandError> {
        if access.seed.is_some() && !access.emulator {
            let what = "--seed says what the embedded marketplace begins with; give --emulator too";
            return Err(CommandError::Usage(what.to_owned()));
        }
        let first = paths.first().map_or(Path::new("."), PathBuf::as_path);
        let status_path = access
            .status
            .clone()
            .unwrap_or_else(|| default_status_path(&folder_of_path(first), access.emulator));
        Ok(Self { status_path, clock: Arc::new(SystemClock) })
    }

    /// Takes the lock of the status file. `command` tells others what this process does.
    pub(super) async fn lock(
        &self,
        timeout: Duration,
        command: &str,
    ) -> Result<StatusLock, CommandError> {
        let lock =
            StatusLock::acquire(&RealDisk, &self.status_path, timeout, command, &*self.clock);
        lock.await.map_err(CommandError::failed)
    }

    /// Opens the status file, which is this process's while the lock is held.
    pub(super) fn store(&self, lock: StatusLock) -> Result<StatusStore, CommandError> {
        status::refuse_unfit(&self.status_path).map_err(CommandError::failed)?;
        let (path, clock) = (self.status_path.clone(), Arc::clone(&self.clock));
        let store = StatusStore::open(path, Arc::new(RealDisk), clock);
        Ok(store.map_err(CommandError::failed)?.holding(lock))
    }
}

impl CommandContext {
    /// Loads the manifests, and what the selection means for them. Whoever is going to send anything
    /// holds the lock by now: what was committed while another run held it counts.
    pub(super) fn load(
        ground: Workspace,
        paths: &[PathBuf],
        selection: &Selection,
    ) -> Result<(Self, Policy), CommandError> {
        let manifests = manifest::load(paths).map_err(CommandError::Manifests)?;
        let setting = Self { manifests, ground };
        let policy = setting.policy(selection)?;
        Ok((setting, policy))
    }

    /// What the selection means for these manifests.
    fn policy(&self, selection: &Selection) -> Result<Policy, CommandError> {
        for offer in selection.only.iter().chain(&selection.retry) {
            if !self.manifests.offers.contains_key(offer) {
                return Err(CommandError::Usage(self.unknown(offer)));
            }
        }
        let narrowed = !selection.only.is_empty() || !selection.selector.is_empty();
        let chosen = |loaded: &&Arc<Loaded>| {
            let by_name = selection.only.is_empty() || selection.only.contains(&loaded.id);
            let labels = &loaded.manifest.labels;
            by_name && selection.selector.iter().all(|(key, value)| labels.get(key) == Some(value))
        };
        let scope = narrowed.then(|| {
            let chosen = self.manifests.offers.values().filter(chosen);
            chosen.map(|loaded| loaded.id.clone()).collect::<BTreeSet<_>>()
        });
        if scope.as_ref().is_some_and(BTreeSet::is_empty) {
            // Those that were there may be gone since: the manifests decide, not the command line.
            let what = no_labels(selection);
            return Err(CommandError::Failed { what, source: None });
        }
        let retry = if selection.retry_failed {
            Retry::All
        } else if selection.retry.is_empty() {
            Retry::None
        } else {
            Retry::Offers(selection.retry.iter().cloned().collect())
        };
        Ok(Policy { retry, scope, attempted: BTreeSet::new(), verify: false })
    }

    fn unknown(&self, offer: &OfferId) -> String {
        let text = offer.to_string();
        let near = self.manifests.offers.keys().map(|known| {
            let known = known.to_string();
            (strsim::normalized_damerau_levenshtein(&text, &known), known)
        });
        let nearest = near.max_by(|one, two| one.0.total_cmp(&two.0));
        match nearest.filter(|(likeness, _)| *likeness > 0.6) {
            Some((_, known)) => format!("no manifest names {offer}; did you mean {known}?"),
            None => format!("no manifest names {offer}"),
        }
    }

    /// The offers in the status file whose manifest is gone: it stood in a file that was read, that is
    /// no more, or that a `.goliveignore` leaves out.
    pub(super) fn gone(&self, status: &StatusFile) -> BTreeSet<OfferId> {
        let folder = disk::folder_of(&self.ground.status_path);
        let paths = StatusRelativePaths::of(&self.ground.status_path);
        // Mostly no offer is gone, and nobody asks.
        let read = LazyCell::new(|| {
            let names = self.manifests.files.iter().map(|file| paths.name(file));
            names.collect::<HashSet<String>>()
        });
        let left_out = LazyCell::new(|| {
            let names = self.manifests.ignored.iter().map(|path| paths.name(path));
            names.collect::<Vec<String>>()
        });
        let is_gone = |record: &OfferRecord| {
            let file = &record.manifest.file;
            read.contains(file)
                || !folder.join(file).exists()
                || left_out.iter().any(|left_out| Path::new(file).starts_with(left_out))
        };
        let unnamed =
            status.offers.iter().filter(|(offer, _)| !self.manifests.offers.contains_key(*offer));
        unnamed.filter(|(_, it)| is_gone(it)).map(|(offer, _)| offer.clone()).collect()
    }

    /// Refuses a marketplace that the status file's offers are not at: those of the publishers that the
    /// manifests name, and those whose manifest is gone, on which something may still run.
    pub(super) fn refuse_elsewhere(
        &self,
        status: &StatusFile,
        marketplace: &MarketplaceRecord,
    ) -> Result<(), CommandError> {
        let gone = self.gone(status);
        let publishers = publishers(self.manifests.offers.keys().chain(&gone));
        status
            .refuse_other_marketplace(&self.ground.status_path, &publishers, marketplace)
            .map_err(CommandError::failed)
    }

    /// How long to wait between polls: hours at the real marketplace, moments at the embedded one.
    pub(super) fn intervals(access: &Access, pace: &Pace) -> Intervals {
        let (first, longest) = if access.emulator {
            (Duration::from_millis(250), Duration::from_secs(2))
        } else {
            (Duration::from_secs(30), Duration::from_mins(5))
        };
        let first = pace.poll.unwrap_or(first);
        Intervals { first, longest: pace.poll_max.unwrap_or(longest.max(first)) }
    }

    /// The marketplace that the command line names.
    pub(super) fn marketplace(
        &self,
        access: &Access,
        memory: Memory,
        max_wait: Duration,
    ) -> Result<Arc<dyn Backend>, CommandError> {
        let connection = self.ground.connect(access, memory)?;
        if let Some(emulator) = &connection.emulator {
            emulator.add_missing(named(&self.manifests.offers));
        }
        Ok(self.ground.client(access, connection, max_wait))
    }
}

/// That no manifest is selected, and by what.
fn no_labels(selection: &Selection) -> String {
    let labels: Vec<String> =
        selection.selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let label = if labels.len() == 1 { "label" } else { "labels" };
    let which = if selection.only.is_empty() { "" } else { " that --only names" };
    format!("no manifest{which} has the {label} {}; nothing was sent", labels.join(" and "))
}

/// A variable; one that is empty counts as not set.
pub(super) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The offers that the embedded marketplace must have: those that a manifest names, in preview
/// with the version it pins.
pub(super) fn named(
    offers: &BTreeMap<OfferId, Arc<Loaded>>,
) -> impl Iterator<Item = (String, String, Option<u64>)> {
    offers.iter().map(|(offer, loaded)| {
        let version = loaded.manifest.version.map(|version| version.0);
        (offer.publisher().to_string(), offer.offer().to_owned(), version)
    })
}

/// The threads that work is done on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Threads {
    /// This one alone.
    One,
    /// As many as there are cores.
    All,
}

impl Threads {
    /// Those for so many offers: where there are few, to start threads takes longer than they spare.
    pub(super) fn for_offers(count: usize) -> Self {
        if count <= FEW { Self::One } else { Self::All }
    }
}

/// Runs to the end. What still blocks then (a name that is being looked up) is not waited for.
pub(super) fn run_to_end<T>(
    threads: Threads,
    work: impl Future<Output = Result<T, CommandError>>,
) -> Result<T, CommandError> {
    let mut builder = match threads {
        Threads::One => tokio::runtime::Builder::new_current_thread(),
        Threads::All => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder
        .enable_all()
        .build()
        .map_err(|error| CommandError::because("cannot start the runtime", error))?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    result
}

/// The folder that a path given on the command line stands for.
pub(super) fn folder_of_path(path: &Path) -> PathBuf {
    // What is named there is an open file or a pipe, and the folder is no place for files.
    if manifest::is_pipe(path) || ["/dev", "/proc"].iter().any(|top| path.starts_with(top)) {
        return PathBuf::from(".");
    }
    if path.is_dir() { path.to_owned() } else { disk::folder_of(path).to_owned() }
}

/// Where the status file is, unless it is named.
pub(super) fn default_status_path(folder: &Path, is_rehearsal: bool) -> PathBuf {
    folder.join(if is_rehearsal { REHEARSAL_FILE } else { STATUS_FILE })
}

/// A time in the place of a path is one that was meant for `--wait`.
pub(super) fn refuse_times(paths: &[PathBuf]) -> Result<(), CommandError> {
    for path in paths.iter().filter(|path| !path.exists()) {
        let text = path.to_string_lossy();
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        if is_number || text.parse::<jiff::SignedDuration>().is_ok() {
            let what = format!("there is no file {text}; did you mean --wait={text}?");
            return Err(CommandError::Usage(what));
        }
    }
    Ok(())
}
