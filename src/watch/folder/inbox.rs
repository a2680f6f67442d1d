//! Between the thread that tells of events and the one that waits for them.

use std::collections::BTreeSet;
use std::mem;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::scope::{Meaning, Scope, is_a_look};

/// What was told and not taken yet. It grows with the names that are told of, not with the events.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    bell: Notify,
}

#[derive(Debug, Default)]
struct State {
    scope: Scope,
    told: Told,
}

/// What events told.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) meaning: Meaning,
    pub(super) failure: Option<Failure>,
}

/// Why events can't be relied on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// There were more than the system keeps.
    Overflow,
    /// In the system's words.
    Error(String),
}

impl Inbox {
    /// Takes an event in. Called on the thread of the watcher.
    pub(super) fn hear(&self, event: notify::Result<notify::Event>) {
        let failure = match event {
            Ok(event) if event.need_rescan() => Failure::Overflow,
            Ok(event) => return self.hear_of(&event),
            Err(error) => Failure::Error(error.to_string()),
        };
        self.state().told.failure = Some(failure);
        self.bell.notify_one();
    }

    fn hear_of(&self, event: &notify::Event) {
        // By far the most events, golive's own reading among them.
        if is_a_look(event.kind) {
            return;
        }
        let mut state = self.state();
        let Meaning { counts, suspects, others, lost } =
            state.scope.meaning(event.kind, &event.paths);
        let told = &mut state.told.meaning;
        told.suspects.extend(suspects);
        told.lost.extend(lost);
        told.counts |= counts;
        told.others |= others;
        drop(state);
        if counts {
            self.bell.notify_one();
        }
    }

    /// Takes out all that was told.
    pub(super) fn take(&self) -> Told {
        mem::take(&mut self.state().told)
    }

    /// From now on, other things count. Returns the folders that were lost before, and whether
    /// something counts that did not.
    pub(super) fn rescope(&self, scope: Scope) -> (BTreeSet<PathBuf>, bool) {
        let mut state = self.state();
        let has_grown = !state.scope.covers(&scope);
        state.scope = scope;
        (mem::take(&mut state.told.meaning.lost), has_grown)
    }

    /// Waits until something is told. It may be taken already.
    pub(super) async fn rung(&self) {
        self.bell.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
