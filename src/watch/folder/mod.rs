//! A [`Source`]: folders of this machine, watched.
//!
//! | file | what it is |
//! |---|---|
//! | `events` | collects events on the watcher's thread |
//! | `scope` | the folders to watch, and the names in them that count |
//! | `watches` | the existing watches, and their update to the wanted ones |
//! | `remote` | file systems that don't report changes by other machines |
//! | `debounce` | when a burst of events is over |
//! | `checkout` | whether git is at work on the files |
//!
//! An event means only: check all files again, by their metadata. So golive need not interpret
//! events, nor does it need any if the system can't send them: then it checks every two seconds.

mod checkout;
mod debounce;
mod events;
mod remote;
mod scope;
#[cfg(test)]
mod tests;
mod watches;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use checkout::Checkouts;
use debounce::{Debounce, End};
use events::{Events, Pending};
use scope::Scope;
use watches::{MakeWatcher, Trouble, Updated, Watches};

use super::service_state::ServiceState;
use super::source::Source;
use crate::clock::reached;
use crate::status::SourceRecord;

/// The polling interval where changes cause no events.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// After a check, the next one waits for this many times as long as the check took: while events
/// keep coming, checks take at most a fifth of the time. (10,000 files take about 30 ms.)
const PAUSE_PER_CHECK: u32 = 4;

/// Watched folders of this machine. The system reports changes in them; where it can't, golive
/// polls them every two seconds.
pub struct FolderSource {
    /// The roots, as absolute paths.
    roots: Vec<PathBuf>,
    status_path: PathBuf,
    service_state: Arc<ServiceState>,
    events: Arc<Events>,
    watches: Watches,
    debounce: Debounce,
    checkouts: Checkouts,
    /// Whether to report a change without waiting.
    at_once: bool,
    /// When a change was reported that is being checked.
    reported_at: Option<Instant>,
    /// When the next check may begin.
    paused_until: Option<Instant>,
    /// Why golive polls.
    trouble: Option<Trouble>,
    /// Whether a folder disappeared before it could be watched.
    is_behind: bool,
    /// The time of the next poll, if golive polls.
    next_poll: Option<Instant>,
}

impl FolderSource {
    /// The files and folders below `roots`, `.` if there is none. Changes are reported after
    /// `debounce` without events. golive's own writes, at `status_path` and beside it, don't count.
    /// Problems with watching are shown in the service state.
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
        let events = Arc::<Events>::default();
        Self {
            roots: roots.iter().map(absolute).collect(),
            status_path: status_path.to_owned(),
            service_state,
            watches: Watches::new(make, Arc::clone(&events)),
            events,
            debounce: Debounce::new(debounce),
            checkouts: Checkouts::default(),
            at_once: true,
            reported_at: None,
            paused_until: None,
            trouble: None,
            is_behind: false,
            next_poll: None,
        }
    }

    /// Takes the events since the last call.
    fn take_events(&mut self, now: Instant) {
        let Pending { is_change, is_watch_lost, failure } = self.events.take();
        if is_change || failure.is_some() {
            self.debounce.event(now);
        }
        // A lost event may have been the end of a watch.
        if is_watch_lost || failure.is_some() {
            self.watches.renew();
        }
        if let Some(failure) = failure {
            self.show_trouble(Some(Trouble::Missed(failure)));
        }
    }

    /// Whether to read the files now.
    fn is_time(&mut self, now: Instant) -> bool {
        if self.at_once {
            return true;
        }
        if self.paused_until.is_some_and(|until| until > now) {
            return false;
        }
        if self.next_poll.is_some_and(|next| next <= now) && self.debounce.due().is_none() {
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
                        "{:?} has been there for a minute, and golive no longer waits for it; \
                         if no git is running, remove it",
                        lock.display()
                    );
                }
                true
            }
        }
    }

    /// When to check the time again: at the possible end of a burst, else at the next poll.
    fn wake_up(&mut self, now: Instant) -> Option<Instant> {
        let polls = self.is_behind || self.trouble.is_some();
        self.next_poll = polls.then(|| self.next_poll.unwrap_or(now + POLL_INTERVAL));
        let wake_up = self.debounce.due().or(self.next_poll)?;
        Some(self.paused_until.map_or(wake_up, |until| wake_up.max(until)))
    }

    /// Logs a problem with watching once, and its end once.
    fn show_trouble(&mut self, trouble: Option<Trouble>) {
        if self.trouble == trouble {
            return;
        }
        let seconds = POLL_INTERVAL.as_secs();
        let text = trouble
            .as_ref()
            .map(|it| format!("changes are found by polling every {seconds} s: {it}"));
        if let Some(text) = &text {
            tracing::warn!("{text}");
        } else {
            tracing::info!("the system reports changes again");
        }
        self.service_state.update(|service| service.source_problem = text);
        self.trouble = trouble;
    }
}

#[async_trait]
impl Source for FolderSource {
    async fn changed(&mut self) -> Option<SourceRecord> {
        if let Some(reported_at) = self.reported_at.take() {
            let now = Instant::now();
            self.paused_until = Some(now + (now - reported_at) * PAUSE_PER_CHECK);
        }
        loop {
            let now = Instant::now();
            self.take_events(now);
            if self.is_time(now) {
                self.at_once = false;
                self.next_poll = None;
                self.debounce.clear();
                self.reported_at = Some(now);
                return None;
            }
            let wake_up = self.wake_up(now);
            tokio::select! {
                () = self.events.arrived() => {}
                () = reached(wake_up) => {}
            }
        }
    }

    fn check_now(&mut self) {
        self.at_once = true;
    }

    fn watch(&mut self, paths: &BTreeSet<PathBuf>) -> bool {
        let scope = Scope::new(&self.roots, paths, &self.status_path);
        let folders = scope.folders().clone();
        // Before the watches are made, so that their events are judged by the new scope.
        let has_grown = self.events.set_scope(scope);
        let Updated { is_new, is_behind, trouble } = self.watches.update(&folders);
        self.is_behind = is_behind;
        self.show_trouble(trouble);
        is_new || has_grown
    }
}

impl fmt::Debug for FolderSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("FolderSource");
        text.field("roots", &self.roots).field("trouble", &self.trouble).finish_non_exhaustive()
    }
}
