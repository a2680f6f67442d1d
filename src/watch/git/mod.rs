//! A branch of a remote repository: fetched again and again by the system's git, with the login that
//! the user has given it.
//!
//! | file | what it is |
//! |---|---|
//! | `remote` | the repository's URL, and keeping user name and password out of every text |
//! | `environment` | the user's variables and configuration that git gets |
//! | `run` | one run of git: its time, its output, its end |
//! | `said` | git's message about a failure |
//! | `clone` | the folder with the repository and the checkout |
//! | `error` | the errors |
//!
//! A link in the repository becomes a file that names its target (`core.symlinks=false`), so that
//! no commit can make golive read a file outside of it. Submodules are not fetched, hooks not run.

mod clone;
mod environment;
mod error;
mod mark;
mod remote;
mod run;
mod said;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::mem::Discriminant;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::{Changed, ServiceState, Source};
use crate::status::SourceRecord;
use clone::{Clone, FetchResult, Ready};
pub use error::GitError;
use error::OLDEST;
use mark::{Mark, check_folder, inside};
use remote::Remote;
use run::{Git, Tools};

/// Limit for the time between two tries at an unreachable repository, unless the user's poll
/// interval is longer.
const LONGEST: Duration = Duration::from_mins(10);

/// How long the first check may take before the commit of an earlier run stands in.
const SOON: Duration = Duration::from_secs(30);

/// The fraction of a wait that is random, so that many golive instances don't fetch at once.
const JITTER: f64 = 0.2;

/// The repository to follow, and the folder of its clone.
#[derive(Clone)]
pub struct GitSettings {
    /// The repository: `https://`, `ssh://`, `file://`, `host:path` or a path. It may contain a
    /// user name and a password, which go only to git and are never shown.
    pub url: String,
    /// The branch; `None` for the repository's default branch.
    pub branch: Option<String>,
    /// The folder in the repository that holds the manifests; empty for all of it.
    pub dir: PathBuf,
    /// The folder of the clone, which golive creates or has created.
    pub folder: PathBuf,
    /// The time between two checks.
    pub poll: Duration,
    /// The names of variables that git doesn't get, because they hold golive's own secrets. Those
    /// of golive's prefix are never passed on.
    pub secrets: Vec<String>,
}

impl std::fmt::Debug for GitSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { url: _, branch, dir, folder, poll, secrets: _ } = self;
        let mut debug = f.debug_struct("GitSettings");
        debug.field("branch", branch).field("dir", dir).field("folder", folder);
        debug.field("poll", poll).finish_non_exhaustive()
    }
}

type Job = Pin<Box<dyn Future<Output = Found> + Send>>;

/// The result of work on the clone.
enum Found {
    /// The check is done.
    FetchResult(Box<Clone>, FetchResult),
    /// The check takes long, and continues. The commit of an earlier run may stand in meanwhile.
    StandIn(Ready, Job),
}

/// A [`Source`]: a branch of a remote repository.
///
/// The checkout in force changes only within [`Source::changed`], just before that returns, and as
/// a whole. It stays while the repository can't be reached or its newest commit can't be checked
/// out; that is shown on the board, and logged once.
pub struct GitSource {
    mark: Mark,
    /// The clone's folder, absolute.
    folder: PathBuf,
    checkout: PathBuf,
    root: PathBuf,
    dir: PathBuf,
    soon: Duration,
    poll: Duration,
    service_state: Arc<ServiceState>,
    random: fastrand::Rng,
    /// The clone, while no job uses it.
    idle: Option<Clone>,
    /// The running job on the clone. It stays here when [`Source::changed`] is dropped, and
    /// continues with the next call, so that no two git processes run there.
    job: Option<Job>,
    /// The commit in force.
    current: Option<SourceRecord>,
    /// When to check next.
    next: Instant,
    /// Whether a caller asked to check now.
    wanted: bool,
    /// Whether the running job answers such a request.
    answering: bool,
    /// The number of consecutive failures.
    failures: u32,
    /// The failures that were logged.
    told: Vec<Discriminant<GitError>>,
}

impl GitSource {
    /// Checks what needs a user to fix: this machine's git, the URL, the names, the folder. Uses no
    /// network. `random` gives the jitter.
    pub async fn open(
        settings: GitSettings,
        service_state: Arc<ServiceState>,
        random: fastrand::Rng,
    ) -> Result<Self, GitError> {
        Self::open_with(settings, Tools::of_this_process(), service_state, random).await
    }

    async fn open_with(
        settings: GitSettings,
        mut tools: Tools,
        service_state: Arc<ServiceState>,
        random: fastrand::Rng,
    ) -> Result<Self, GitError> {
        let GitSettings { url, branch, dir, folder, poll, secrets } = settings;
        let is_secret = |name: &OsString| secrets.iter().any(|it| name.eq_ignore_ascii_case(it));
        tools.environment.retain(|name, _| !is_secret(name));
        let remote = Remote::parse(&url)?;
        let dir = inside(&dir)?;
        let absolute =
            std::path::absolute(&folder).map_err(GitError::files("find", folder.clone()))?;
        let (mark, address) = (Mark { branch, url: remote.shown.clone() }, remote.address.clone());
        let global = Clone::global(&absolute);
        let git = Git::new(tools, remote, &Clone::repository(&absolute), global);
        check_version(&git).await?;
        if let Some(branch) = &mark.branch {
            check_branch(&git, branch).await?;
        }
        check_folder(&absolute)?;
        // As messages name the manifests: without a leading `./`.
        let folder = folder.strip_prefix(".").unwrap_or(&folder);
        let checkout = Clone::tree(folder);
        let root = checkout.join(&dir);
        let clone = Clone::new(git, absolute.clone(), mark.clone(), address, dir.clone());
        Ok(Self {
            mark,
            folder: absolute,
            checkout,
            root,
            dir,
            soon: SOON,
            poll,
            service_state,
            random,
            idle: Some(clone),
            job: None,
            current: None,
            next: Instant::now(),
            wanted: false,
            answering: false,
            failures: 0,
            told: Vec::new(),
        })
    }

    /// The folder to read: the watched one of the checkout. It exists once [`Source::changed`] has
    /// returned.
    #[must_use]
    pub fn roots(&self) -> Vec<PathBuf> {
        vec![self.root.clone()]
    }

    /// The checkout, as the prefix of its files' paths.
    #[must_use]
    pub fn checkout(&self) -> PathBuf {
        self.checkout.clone()
    }

    /// The repository and its branch, for messages, without user name and password.
    #[must_use]
    pub fn place(&self) -> String {
        let place = format!("{}, {}", self.mark.url, self.mark.branch_words());
        if self.dir.as_os_str().is_empty() {
            return place;
        }
        format!("{place}, folder {}", self.dir.display())
    }

    /// Starts a check, unless one is running.
    fn begin(&mut self) {
        let Some(mut clone) = self.idle.take() else { return };
        self.answering = std::mem::take(&mut self.wanted);
        let in_force = self.current.as_ref().map(|record| record.commit.clone());
        let soon = self.soon;
        self.job = Some(Box::pin(async move {
            let is_first = in_force.is_none();
            // Made before the fetch, so that no two git processes run in the clone.
            let ready = if is_first { clone.stand_in().await } else { None };
            let mut look: Job = Box::pin(async move {
                let look = clone.look(in_force.as_deref()).await;
                Found::FetchResult(Box::new(clone), look)
            });
            let Some(ready) = ready else { return look.await };
            match tokio::time::timeout(soon, &mut look).await {
                Ok(found) => found,
                Err(_) => Found::StandIn(ready, look),
            }
        }));
    }

    /// Puts the commit of an earlier run in force while the check continues.
    fn stand_in(&mut self, ready: Ready) -> Option<Changed> {
        if let Err(error) = Clone::put_stand_in(&self.folder) {
            tracing::debug!("{}", error.line());
            return None;
        }
        let changed = self.changed_to(ready);
        self.failed(&GitError::Slow { url: self.mark.url.clone(), after: self.soon });
        Some(changed)
    }

    /// Puts the result of a check in force.
    fn end(&mut self, clone: Clone, look: FetchResult) -> Option<Changed> {
        let FetchResult { ready, mut problem } = look;
        let mut changed = None;
        if let Some(ready) = ready {
            match clone.put_in_force() {
                Ok(()) => changed = Some(self.changed_to(ready)),
                Err(error) => problem = Some(error),
            }
        }
        self.idle = Some(clone);
        match problem {
            Some(error) => self.failed(&error),
            None => self.succeeded(),
        }
        self.next = Instant::now() + self.pause();
        if changed.is_none() && self.answering && self.current.is_some() {
            return Some(Changed { source: self.current.clone(), ..Changed::default() });
        }
        changed
    }

    fn changed_to(&mut self, ready: Ready) -> Changed {
        let Ready { commit, manifests } = ready;
        let Mark { branch, url } = self.mark.clone();
        tracing::info!(commit, "{url} is at commit {commit}");
        let source = Some(SourceRecord { branch, commit, url });
        self.current.clone_from(&source);
        // With coarse file times, a file of another commit may look unchanged.
        let suspects = manifests.into_iter().map(|path| self.root.join(path)).collect();
        Changed { suspects, is_all: false, source }
    }

    fn failed(&mut self, error: &GitError) {
        self.failures = self.failures.saturating_add(1);
        let (line, kind) = (error.line(), std::mem::discriminant(error));
        if self.told.contains(&kind) {
            tracing::debug!("{line}");
        } else {
            let follows = match &self.current {
                Some(record) => format!("commit {} stays in force", record.commit),
                None => "there is no commit yet".to_owned(),
            };
            tracing::warn!("{line}; {follows}, and golive goes on trying");
            self.told.push(kind);
        }
        self.service_state.update(|service| service.source_problem = Some(line));
    }

    fn succeeded(&mut self) {
        if self.failures == 0 {
            return;
        }
        tracing::info!("{} is followed again, after {} failures", self.mark.url, self.failures);
        self.failures = 0;
        self.told.clear();
        self.service_state.update(|service| service.source_problem = None);
    }

    /// The time until the next check: longer after each failure, with jitter.
    fn pause(&mut self) -> Duration {
        let longest = LONGEST.max(self.poll);
        let doublings = self.failures.saturating_sub(1).min(16);
        let pause = self.poll.saturating_mul(1 << doublings).min(longest);
        pause.mul_f64(1.0 - JITTER * self.random.f64())
    }
}

#[async_trait]
impl Source for GitSource {
    async fn changed(&mut self) -> Changed {
        loop {
            if self.job.is_none() {
                if !self.wanted {
                    tokio::time::sleep_until(self.next).await;
                }
                self.begin();
            }
            let Some(job) = &mut self.job else { continue };
            let found = job.await;
            // No `await` from here on, so that a dropped future can't lose the result.
            let changed = match found {
                Found::FetchResult(clone, look) => {
                    self.job = None;
                    self.end(*clone, look)
                }
                Found::StandIn(ready, job) => {
                    self.job = Some(job);
                    self.stand_in(ready)
                }
            };
            if let Some(changed) = changed {
                return changed;
            }
        }
    }

    fn check_now(&mut self) {
        self.wanted = true;
    }

    fn watch(&mut self, _folders: &BTreeSet<PathBuf>) -> bool {
        // The checkout contains no links, and it is read after each change of it.
        false
    }
}

async fn check_version(git: &Git) -> Result<(), GitError> {
    let text = git.run("version", &["--version"]).await?;
    let text = crate::marketplace::clean_line(&text);
    let mut numbers = text.split([' ', '.']).filter_map(|part| part.parse::<u32>().ok());
    let version = numbers.next().zip(numbers.next());
    if version.is_some_and(|version| version >= OLDEST) { Ok(()) } else { Err(GitError::Old(text)) }
}

async fn check_branch(git: &Git, branch: &str) -> Result<(), GitError> {
    let wrong = || GitError::Branch(crate::marketplace::clean_line(branch));
    // git itself refuses to create such a branch, though a ref may have the name.
    if branch.starts_with('-') {
        return Err(wrong());
    }
    let name = format!("refs/heads/{branch}");
    match git.run("check-ref-format", &["check-ref-format", &name]).await {
        Err(GitError::Failed { .. }) => Err(wrong()),
        other => other.map(drop),
    }
}
