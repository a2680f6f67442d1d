//! What commands work with: the status file, the manifests, the marketplace, the runtime.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::CommandError;
use super::connection::Memory;
use super::routing::Routing;
use crate::changes::{Policy, Retry};
use crate::cli::{Access, Selection, Timing};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::disk::{self, RealDisk};
use crate::engine::StatusRelativePaths;
use crate::manifest::{self, Loaded, ManifestSet};
use crate::marketplace::{Backend, OfferId, PublisherId};
use crate::operation::Intervals;
use crate::status::{self, OfferRecord, StatusFile, StatusLock, StatusStore, publishers};

/// How long the marketplace may put off an offer before a run without `--wait` gives up on it.
pub(super) const MAX_PAUSE: Duration = Duration::from_mins(2);

/// The name of the status file.
const STATUS_FILE: &str = "golive.status.json";

/// The name of the status file of runs against the emulator, which never touch what is known of the
/// real marketplace.
const EMULATOR_STATUS_FILE: &str = "golive.emulator.status.json";

/// Up to so many offers are handled by one thread: starting more takes longer than they save.
const MAX_OFFERS_OF_ONE_THREAD: usize = 20;

/// The status file that a command works on, its clock, and where each publisher's offers are.
pub(super) struct Workspace {
    pub(super) status_path: PathBuf,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) routing: Routing,
}

/// A workspace with its manifests.
pub(super) struct CommandContext {
    pub(super) manifests: ManifestSet,
    pub(super) workspace: Workspace,
}

impl Workspace {
    /// The workspace for these paths, which aren't read yet. The status file is in the folder of the
    /// first one, unless `--status` names it.
    pub(super) fn new(
        paths: &[PathBuf],
        access: &Access,
        config: &Config,
    ) -> Result<Self, CommandError> {
        if access.seed.is_some() && !access.emulator {
            let what = "--seed says what the embedded marketplace begins with; give --emulator too";
            return Err(CommandError::Usage(what.to_owned()));
        }
        let first = paths.first().map_or(Path::new("."), PathBuf::as_path);
        let status_path = access
            .status
            .clone()
            .unwrap_or_else(|| default_status_path(&folder_of_path(first), access.emulator));
        let routing = Routing::new(access.into(), config)?;
        Ok(Self { status_path, clock: Arc::new(SystemClock), routing })
    }

    /// Takes the lock of the status file. `command` is what others read about its holder.
    pub(super) async fn lock(
        &self,
        timeout: Duration,
        command: &str,
    ) -> Result<StatusLock, CommandError> {
        let lock =
            StatusLock::acquire(&RealDisk, &self.status_path, timeout, command, &*self.clock);
        lock.await.map_err(CommandError::failed)
    }

    /// Opens the status file under its lock.
    pub(super) fn store(&self, lock: StatusLock) -> Result<StatusStore, CommandError> {
        status::refuse_unfit(&self.status_path).map_err(CommandError::failed)?;
        let (path, clock) = (self.status_path.clone(), Arc::clone(&self.clock));
        let store = StatusStore::open(path, Arc::new(RealDisk), clock);
        Ok(store.map_err(CommandError::failed)?.holding(lock))
    }
}

impl CommandContext {
    /// Loads the manifests and applies the selection. A command that sends takes the lock first, so
    /// that it reads what was committed while another run held it.
    pub(super) fn load(
        workspace: Workspace,
        paths: &[PathBuf],
        selection: &Selection,
    ) -> Result<(Self, Policy), CommandError> {
        let manifests = manifest::load_checked(paths, &workspace.routing.accounts())
            .map_err(CommandError::Manifests)?;
        let context = Self { manifests, workspace };
        let policy = context.policy(selection)?;
        Ok((context, policy))
    }

    /// The policy that a selection asks for.
    fn policy(&self, selection: &Selection) -> Result<Policy, CommandError> {
        for offer in selection.only.iter().chain(&selection.retry) {
            if !self.manifests.offers.contains_key(offer) {
                return Err(CommandError::Usage(self.unknown_offer(offer)));
            }
        }
        let narrowed = !selection.only.is_empty() || !selection.selector.is_empty();
        let chosen = |loaded: &&Arc<Loaded>| {
            let is_named = selection.only.is_empty() || selection.only.contains(&loaded.id);
            let labels = &loaded.manifest.labels;
            is_named && selection.selector.iter().all(|(key, value)| labels.get(key) == Some(value))
        };
        let scope = narrowed.then(|| {
            let chosen = self.manifests.offers.values().filter(chosen);
            chosen.map(|loaded| loaded.id.clone()).collect::<BTreeSet<_>>()
        });
        if scope.as_ref().is_some_and(BTreeSet::is_empty) {
            // Not a usage error: the manifests may have had these labels before.
            let what = nothing_selected(selection);
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

    fn unknown_offer(&self, offer: &OfferId) -> String {
        let text = offer.to_string();
        let near = self.manifests.offers.keys().map(|known| {
            let known = known.to_string();
            (strsim::normalized_damerau_levenshtein(&text, &known), known)
        });
        let nearest = near.max_by(|one, two| one.0.total_cmp(&two.0));
        match nearest.filter(|(likeness, _)| *likeness > 0.6) {
            Some((_, known)) => format!("no manifest declares {offer}; did you mean {known}?"),
            None => format!("no manifest declares {offer}"),
        }
    }

    /// The offers of the status file whose manifest is gone: its file was read, doesn't exist any
    /// more, or is ignored by a `.goliveignore`.
    pub(super) fn gone(&self, status: &StatusFile) -> BTreeSet<OfferId> {
        let undeclared = status.offers.iter();
        let undeclared: Vec<_> =
            undeclared.filter(|(offer, _)| !self.manifests.offers.contains_key(*offer)).collect();
        if undeclared.is_empty() {
            return BTreeSet::new();
        }
        let folder = disk::folder_of(&self.workspace.status_path);
        let paths = StatusRelativePaths::of(&self.workspace.status_path);
        let read: HashSet<String> =
            self.manifests.files.iter().map(|file| paths.name(file)).collect();
        let ignored: Vec<String> =
            self.manifests.ignored.iter().map(|path| paths.name(path)).collect();
        let is_gone = |record: &OfferRecord| {
            let file = &record.manifest.file;
            read.contains(file)
                || !folder.join(file).exists()
                || ignored.iter().any(|ignored| Path::new(file).starts_with(ignored))
        };
        let gone = undeclared.into_iter().filter(|(_, record)| is_gone(record));
        gone.map(|(offer, _)| offer.clone()).collect()
    }

    /// The publishers of the manifests.
    pub(super) fn publishers(&self) -> BTreeSet<PublisherId> {
        publishers(self.manifests.offers.keys())
    }

    /// The names of the marketplaces of the manifests' publishers.
    pub(super) fn marketplace_name(&self) -> String {
        self.workspace.routing.name(&self.publishers())
    }

    /// Refuses other marketplaces than the status file records for the publishers of the manifests,
    /// and of the offers whose manifest is gone: operations may still run on them.
    pub(super) fn refuse_other_marketplace(&self, status: &StatusFile) -> Result<(), CommandError> {
        let gone = self.gone(status);
        let publishers = publishers(self.manifests.offers.keys().chain(&gone));
        let marketplaces = self.workspace.routing.marketplaces(&publishers);
        status
            .refuse_other_marketplace(&self.workspace.status_path, &marketplaces)
            .map_err(CommandError::failed)
    }

    /// How long to wait between polls: operations take hours at the real marketplace, seconds at the
    /// emulator.
    pub(super) fn intervals(access: &Access, timing: &Timing) -> Intervals {
        let (first, longest) = if access.emulator {
            (Duration::from_millis(250), Duration::from_secs(2))
        } else {
            (Duration::from_secs(30), Duration::from_mins(5))
        };
        let first = timing.poll.unwrap_or(first);
        Intervals { first, longest: timing.poll_max.unwrap_or(longest.max(first)) }
    }

    /// A client of the marketplaces.
    pub(super) fn marketplace(
        &self,
        access: &Access,
        memory: Memory,
        max_wait: Duration,
    ) -> Result<Arc<dyn Backend>, CommandError> {
        let connection = self.workspace.connect(access, memory)?;
        if let Some(emulator) = &connection.emulator {
            emulator.add_missing(emulated_offers(&self.manifests.offers));
        }
        Ok(self.workspace.client(access, connection, max_wait))
    }
}

/// The error that no manifest is selected.
fn nothing_selected(selection: &Selection) -> String {
    let labels: Vec<String> =
        selection.selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let label = if labels.len() == 1 { "label" } else { "labels" };
    let which = if selection.only.is_empty() { "" } else { " that --only names" };
    format!("no manifest{which} has the {label} {}; nothing was sent", labels.join(" and "))
}

/// An environment variable; an empty one counts as not set.
pub(super) fn variable(name: impl AsRef<OsStr>) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The offers that the emulator must have: those of manifests, in preview with the pinned version.
pub(super) fn emulated_offers(
    offers: &BTreeMap<OfferId, Arc<Loaded>>,
) -> impl Iterator<Item = (String, String, Option<u64>)> {
    offers.iter().map(|(offer, loaded)| {
        let version = loaded.manifest.version.map(|version| version.0);
        (offer.publisher().to_string(), offer.offer().to_owned(), version)
    })
}

/// The threads of the runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Threads {
    /// The main thread alone.
    One,
    /// As many as there are cores.
    All,
}

impl Threads {
    pub(super) fn for_offers(count: usize) -> Self {
        if count <= MAX_OFFERS_OF_ONE_THREAD { Self::One } else { Self::All }
    }
}

/// Runs a future to its end. Blocking tasks that remain (e.g. a DNS lookup) are not waited for.
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

/// The folder of a path of the command line.
pub(super) fn folder_of_path(path: &Path) -> PathBuf {
    // A pipe or an open file: its folder is no place for a status file.
    if manifest::is_pipe(path) || ["/dev", "/proc"].iter().any(|top| path.starts_with(top)) {
        return PathBuf::from(".");
    }
    if path.is_dir() { path.to_owned() } else { disk::folder_of(path).to_owned() }
}

/// The path of the status file without `--status`.
pub(super) fn default_status_path(folder: &Path, is_emulator: bool) -> PathBuf {
    folder.join(if is_emulator { EMULATOR_STATUS_FILE } else { STATUS_FILE })
}

/// A duration in the place of a path was meant for `--wait`.
pub(super) fn refuse_durations(paths: &[PathBuf]) -> Result<(), CommandError> {
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
