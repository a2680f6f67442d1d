//! A [`Source`]: folders of this machine, watched.
//!
//! | file | what it is |
//! |---|---|
//! | `scope` | what counts: the folders to watch, the names in them, what events mean |
//! | `watches` | the existing watches, and their update to the wanted ones |
//! | `remote` | file systems that don't report changes by other machines |
//! | `inbox` | passes events from the watcher's thread to the waiting task |
//! | `debounce` | when a burst of events is over |
//! | `checkout` | whether git is at work on the files |
//!
//! An event means only: check again. So golive need not interpret events, nor does it need any
//! if the system can't send them: then it checks the files every two seconds.

mod checkout;
mod debounce;
mod inbox;
mod remote;
mod scope;
#[cfg(test)]
mod tests;
mod watches;

use std::collections::BTreeSet;
use std::fmt;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use checkout::Checkouts;
use debounce::{Debounce, End};
use inbox::{Inbox, Told};
use scope::Scope;
use watches::{MakeWatcher, Trouble, Updated, Watches};

use super::service_state::ServiceState;
use super::source::{Changed, Source};
use crate::clock::reached;

/// The polling interval where changes cause no events.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Watched folders of this machine. The system reports changes in them; where it can't, golive
/// polls them every two seconds.
pub struct FolderSource {
    /// The roots, as absolute paths.
    roots: Vec<PathBuf>,
    status_path: PathBuf,
    service_state: Arc<ServiceState>,
    inbox: Arc<Inbox>,
    watches: Watches,
    debounce: Debounce,
    checkouts: Checkouts,
    suspects: BTreeSet<PathBuf>,
    /// Whether more than the suspects may have changed.
    others: bool,
    /// Whether to report a change without waiting.
    at_once: bool,
    /// Why golive polls.
    trouble: Option<Trouble>,
    /// Whether a folder disappeared before it could be watched.
    is_behind: bool,
    /// The time of the next poll, if golive polls.
    next_look: Option<Instant>,
}

impl FolderSource {
    /// The files and folders below `roots`, `.` if there is none. Changes are reported after
    /// `debounce` without events. golive's own writes, at `status_path` and beside it, don't count.
    /// Problems with watching are shown on the board.
    #[must_use]
    pub fn new(
        roots: &[PathBuf],
        status_path: &Path,
        debounce: Duration,
        service_state: Arc<ServiceState>,
    ) -> Self {
        Self::with(roots, status_path, debounce, service_state, Box::new(watches::system))
    }

    fn with(
        roots: &[PathBuf],
        status_path: &Path,
        debounce: Duration,
        service_state: Arc<ServiceState>,
        make: MakeWatcher,
    ) -> Self {
        let here = [PathBuf::from(".")];
        let roots = if roots.is_empty() { &here } else { roots };
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let inbox = Arc::<Inbox>::default();
        Self {
            roots: roots.iter().map(absolute).collect(),
            status_path: status_path.to_owned(),
            service_state,
            watches: Watches::new(make, Arc::clone(&inbox)),
            inbox,
            debounce: Debounce::new(debounce),
            checkouts: Checkouts::default(),
            suspects: BTreeSet::new(),
            others: true,
            at_once: true,
            trouble: None,
            is_behind: false,
            next_look: None,
        }
    }

    /// Takes in the events since the last call.
    fn hear(&mut self, now: Instant) {
        let Told { meaning, failure } = self.inbox.take();
        self.suspects.extend(meaning.suspects);
        self.others |= meaning.others || failure.is_some();
        self.watches.lose(&meaning.lost);
        if meaning.counts {
            self.debounce.event(now);
        }
        if let Some(failure) = failure {
            // A lost event may have been the end of a watch, so all watches are recreated.
            self.watches.lose_all();
            self.tell(Some(Trouble::Missed(failure)));
            self.debounce.event(now);
        }
    }

    /// Whether to read the files now.
    fn is_time(&mut self, now: Instant) -> bool {
        if self.at_once {
            return true;
        }
        if self.next_look.is_some_and(|next| next <= now) && self.debounce.due().is_none() {
            if !self.checkouts.is_busy(&self.roots) {
                return true;
            }
            self.debounce.event(now);
        }
        match self.debounce.end(now, || self.checkouts.is_busy(&self.roots)) {
            End::NotYet => false,
            End::Over => true,
            End::Outwaited => {
                for lock in self.checkouts.give_up(&self.roots) {
                    tracing::warn!(
                        "{:?} is there for a minute, so that it is not waited for any longer; \
                         if no git is at work, remove it",
                        lock.display()
                    );
                }
                true
            }
        }
    }

    /// When to check the time again: at the possible end of a burst, else at the next poll.
    fn wake_up(&mut self, now: Instant) -> Option<Instant> {
        let is_blind = self.is_behind || self.trouble.is_some();
        self.next_look = is_blind.then(|| self.next_look.unwrap_or(now + LOOK_INTERVAL));
        self.debounce.due().or(self.next_look)
    }

    fn all_there_is(&mut self) -> Changed {
        self.at_once = false;
        self.next_look = None;
        self.debounce.clear();
        // Changes without events may have happened, too.
        let is_blind = self.is_behind || self.trouble.is_some();
        let is_all = !mem::take(&mut self.others) && !is_blind;
        Changed { suspects: mem::take(&mut self.suspects), is_all, source: None }
    }

    /// Logs a problem with watching once, and its end once.
    fn tell(&mut self, trouble: Option<Trouble>) {
        if self.trouble == trouble {
            return;
        }
        let seconds = LOOK_INTERVAL.as_secs();
        let text = trouble
            .as_ref()
            .map(|it| format!("changes are found by looking every {seconds} s: {it}"));
        if let Some(text) = &text {
            tracing::warn!("{text}");
        } else {
            tracing::info!("changes are told by the system again");
        }
        self.service_state.update(|service| service.source_problem = text);
        self.trouble = trouble;
    }
}

#[async_trait]
impl Source for FolderSource {
    async fn changed(&mut self) -> Changed {
        loop {
            let now = Instant::now();
            self.hear(now);
            if self.is_time(now) {
                return self.all_there_is();
            }
            let wake_up = self.wake_up(now);
            tokio::select! {
                () = self.inbox.rung() => {}
                () = reached(wake_up) => {}
            }
        }
    }

    fn check_now(&mut self) {
        (self.at_once, self.others) = (true, true);
    }

    fn watch(&mut self, folders: &BTreeSet<PathBuf>) -> bool {
        let scope = Scope::new(&self.roots, folders, &self.status_path);
        let wanted: BTreeSet<PathBuf> = scope.folders().map(Path::to_owned).collect();
        // Before the watches are made, so that their events are judged by the new scope.
        let (lost, has_grown) = self.inbox.rescope(scope);
        self.watches.lose(&lost);
        let Updated { is_new, is_behind, trouble } = self.watches.update(&wanted);
        self.is_behind = is_behind;
        self.tell(trouble);
        is_new || has_grown
    }
}

impl fmt::Debug for FolderSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("FolderSource");
        text.field("roots", &self.roots).field("trouble", &self.trouble).finish_non_exhaustive()
    }
}
