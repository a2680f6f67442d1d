//! A [`Source`]: folders of this machine, watched.
//!
//! | file | what it is |
//! |---|---|
//! | `scope` | what counts: the folders to watch, the names in them, what events mean |
//! | `watches` | the watches there are, and how they become those that are wanted |
//! | `remote` | file systems that do not tell what others change |
//! | `inbox` | between the thread that tells of events and the one that waits for them |
//! | `debounce` | when a bunch of events is over |
//! | `checkout` | whether git is at work on the files |
//!
//! An event means only: look again. So that no event needs to be understood, and none is needed
//! where the system has none to give: then the files are looked at every two seconds.

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

use super::board::Board;
use super::source::{Changed, Source};
use crate::clock::reached;

/// How often the files are looked at where changes are not told.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Folders of this machine. The system tells what changes in them; where it can't, they are looked
/// at every two seconds.
pub struct FolderSource {
    /// Absolute.
    roots: Vec<PathBuf>,
    status_path: PathBuf,
    board: Arc<Board>,
    inbox: Arc<Inbox>,
    watches: Watches,
    debounce: Debounce,
    checkouts: Checkouts,
    suspects: BTreeSet<PathBuf>,
    /// Whether more than the suspects may have changed.
    others: bool,
    /// Whether to look without waiting for anything.
    at_once: bool,
    /// Why the files are looked at again and again.
    trouble: Option<Trouble>,
    /// Whether a folder went before it could be watched.
    is_behind: bool,
    /// When the files are looked at next, where nothing is told.
    next_look: Option<Instant>,
}

impl FolderSource {
    /// The files and folders below `roots`, `.` where there is none. Changes are told once it was
    /// quiet for `debounce`. What golive itself writes, at `status_path` and beside it, is no change.
    /// What hinders the watching is shown on the board.
    #[must_use]
    pub fn new(
        roots: &[PathBuf],
        status_path: &Path,
        debounce: Duration,
        board: Arc<Board>,
    ) -> Self {
        Self::with(roots, status_path, debounce, board, Box::new(watches::system))
    }

    fn with(
        roots: &[PathBuf],
        status_path: &Path,
        debounce: Duration,
        board: Arc<Board>,
        make: MakeWatcher,
    ) -> Self {
        let here = [PathBuf::from(".")];
        let roots = if roots.is_empty() { &here } else { roots };
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let inbox = Arc::<Inbox>::default();
        Self {
            roots: roots.iter().map(absolute).collect(),
            status_path: status_path.to_owned(),
            board,
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

    /// Takes in what was told since.
    fn hear(&mut self, now: Instant) {
        let Told { meaning, failure } = self.inbox.take();
        self.suspects.extend(meaning.suspects);
        self.others |= meaning.others || failure.is_some();
        self.watches.lose(&meaning.lost);
        if meaning.counts {
            self.debounce.event(now);
        }
        if let Some(failure) = failure {
            // What went unnoticed may have been the end of a watch. They are made anew.
            self.watches.lose_all();
            self.tell(Some(Trouble::Missed(failure)));
            self.debounce.event(now);
        }
    }

    /// Whether it is time to look at the files.
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

    /// When to look at the clock again: when a bunch may be over, else when nothing is told.
    fn wake_up(&mut self, now: Instant) -> Option<Instant> {
        let is_blind = self.is_behind || self.trouble.is_some();
        self.next_look = is_blind.then(|| self.next_look.unwrap_or(now + LOOK_INTERVAL));
        self.debounce.due().or(self.next_look)
    }

    fn all_there_is(&mut self) -> Changed {
        self.at_once = false;
        self.next_look = None;
        self.debounce.clear();
        // What is not told of may have changed, too.
        let is_blind = self.is_behind || self.trouble.is_some();
        let is_all = !mem::take(&mut self.others) && !is_blind;
        Changed { suspects: mem::take(&mut self.suspects), is_all, source: None }
    }

    /// Says what hinders the watching, once, and once that it does no more.
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
        self.board.update(|service| service.source_problem = text);
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

    fn look_now(&mut self) {
        (self.at_once, self.others) = (true, true);
    }

    fn follow(&mut self, folders: &BTreeSet<PathBuf>) -> bool {
        let scope = Scope::new(&self.roots, folders, &self.status_path);
        let wanted: BTreeSet<PathBuf> = scope.folders().map(Path::to_owned).collect();
        // Before the watches are made, so that nothing they tell is taken for something else.
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
